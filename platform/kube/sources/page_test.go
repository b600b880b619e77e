package sources

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/policy"
	"github.com/homeostat/homeostat/metrics/app"
	"github.com/homeostat/homeostat/platform/kube/view"
)

// scrape returns running sources that scrape pages, and the port of a server whose pages, by their path, are those that are given.
func scrape(t *testing.T, config app.Config, page func(path string) string) (s *Sources, port int) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, page(r.URL.Path))
	}))
	t.Cleanup(server.Close)
	scraper, err := app.New(config)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = New(Config{Store: newStore(t), App: scraper}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return s, server.Listener.Addr().(*net.TCPAddr).Port
}

// An Autoscaler in DryRun names another page than the pod's annotations, which the HPA of the same target goes by.
func TestAnHPADoesNotTakeThePageAway(t *testing.T) {
	s, port := scrape(t, app.Config{}, func(path string) string { return strings.Trim(path, "/") + " 5\n" })
	paged := pod("a", "web")
	paged.IP, paged.Page = "127.0.0.1", &app.Page{Scheme: "http", Path: "/other", Port: port}
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		own := Ask{
			Namespace: "shop", Metrics: []hpa.Metric{{Source: hpa.Source{Type: hpa.FromPods, Name: "hits"}}}, Pods: []*view.Pod{paged},
			Page: &policy.AppPage{Scheme: "http", Path: "/hits", Port: int32(port)},
		}
		got := s.Read(&own, make([]hpa.Replica, 1), time.Now())
		if len(got) == 1 && got[0].Known {
			break
		}
		if time.Since(begun) > 10*time.Second {
			t.Fatalf("it is never read: %+v", got)
		}
		native := Ask{Namespace: "shop", Metrics: []hpa.Metric{{Source: hpa.OfResource(hpa.CPU)}}, Pods: []*view.Pod{paged}, Native: true}
		s.Read(&native, make([]hpa.Replica, 1), time.Now())
	}
}
