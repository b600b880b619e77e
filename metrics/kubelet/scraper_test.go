package kubelet

import (
	"context"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestScrapeDirectly(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != "Bearer token-1" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		servePage(w, req)
	})
	if err := r.visits(t)(); err != nil {
		t.Fatal(err)
	}
	s, ok := r.rec.samples[appKey]
	if !ok || s.CPUSeconds != 1 || s.MemoryBytes != 1024 || !s.At.Equal(time.UnixMilli(1772366400123)) {
		t.Errorf("sample is %+v, want that of the page", s)
	}
	if r.rec.done["n1"] != 1 {
		t.Errorf("the observer is told of %d samples, want 1", r.rec.done["n1"])
	}
	if r.rec.ooms[appKey] != 2 {
		t.Errorf("%v OOM kills read, want 2", r.rec.ooms[appKey])
	}
	at := time.UnixMilli(1772366400456).UTC()
	if got, want := r.rec.resident[appKey], (told{"/a", at, [2]float64{4096}}); got != want {
		t.Errorf("resident memory is %+v, want %+v", got, want)
	}
	if got, want := r.rec.throttled[appKey], (told{"/a", at, [2]float64{100, 25}}); got != want {
		t.Errorf("throttling is %+v, want %+v", got, want)
	}
	if n := r.viaAPI.Load(); n != 0 {
		t.Errorf("%d requests went through the API server, want none", n)
	}
}

func TestOOMCountersAreReadEveryOtherScrape(t *testing.T) {
	for _, on := range []bool{true, false} {
		var resource, cadvisor int
		r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Path == pageCadvisor {
				cadvisor++
			} else {
				resource++
			}
			servePage(w, req)
		})
		r.config.OOMEvents = on
		visit := r.visits(t)
		for range 4 {
			if err := visit(); err != nil {
				t.Fatal(err)
			}
		}
		want := 0
		if on {
			want = 2 // 10 s at a period of 5 s
		}
		if resource != 4 || cadvisor != want {
			t.Errorf("OOMEvents %v: %d and %d pages read, want 4 and %d", on, resource, cadvisor, want)
		}
	}
}

func TestUnreadableOOMCountersAreNoFailureOfTheNode(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == pageCadvisor {
			text(w, familyOOM+"{ broken\n")
			return
		}
		servePage(w, req)
	})
	if err := r.visits(t)(); err != nil {
		t.Errorf("error is %v, want none", err)
	}
	if len(r.rec.ooms) != 0 {
		t.Errorf("OOM kills are %v, want none", r.rec.ooms)
	}
}

func TestTheLogTellsChangesOnly(t *testing.T) {
	status := http.StatusForbidden
	r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == pageCadvisor || status != http.StatusOK {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		servePage(w, req)
	})
	var out strings.Builder
	r.config.Proxy = Proxy{}
	r.config.Logger = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "error" {
				return slog.Attr{}
			}
			return a
		},
	}))
	visit := r.visits(t)
	for _, status = range []int{403, 403, 200, 200, 200, 403} {
		_ = visit() // what it returns is what the log is checked for
	}
	want := `level=WARN msg="node unreachable" node=n1 class=Forbidden
level=INFO msg="node reachable again" node=n1
level=WARN msg="oom counters unreadable" node=n1 class=Forbidden
level=WARN msg="node unreachable" node=n1 class=Forbidden
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestABadPageIsAnErrorAndNotFetchedTwice(t *testing.T) {
	tests := []struct {
		name  string
		serve http.HandlerFunc
		class Class
		want  string
	}{
		{"not a page", func(w http.ResponseWriter, _ *http.Request) { text(w, page+"!?\n") }, ClassBadPage, "parse page"},
		{"JSON", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, "{}")
		}, ClassBadPage, `content type is "application/json", allowed is text/plain`},
		{"kubelet's own error", func(w http.ResponseWriter, _ *http.Request) {
			text(w, "resource_scrape_error 1\n")
		}, ClassBadPage, "the kubelet reports"},
		{"too large, with its size", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "3000")
			text(w, strings.Repeat("# \n", 1000))
		}, ClassTooLarge, "page is larger than maxBodyBytes, 2048 bytes"},
		{"too large, in pieces", func(w http.ResponseWriter, _ *http.Request) {
			text(w, page)
			_ = http.NewResponseController(w).Flush()
			fmt.Fprint(w, strings.Repeat("# \n", 1000))
		}, ClassTooLarge, "page is larger than maxBodyBytes, 2048 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, tt.serve)
			r.config.MaxBodyBytes = 2048
			err := r.visits(t)()
			if ClassOf(err) != tt.class || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %v of class %q, want %q with %q", err, ClassOf(err), tt.class, tt.want)
			}
			if len(r.rec.samples) != 0 {
				t.Errorf("samples %v of a bad page", r.rec.samples)
			}
			if n := r.viaAPI.Load(); n != 0 {
				t.Errorf("the page is fetched again through the API server")
			}
		})
	}
}

func TestAPageOfExactlyTheLimitIsRead(t *testing.T) {
	full := page + strings.Repeat("#", 2048-len(page)-1) + "\n"
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { text(w, full) })
	r.config.MaxBodyBytes, r.config.OOMEvents = 2048, false
	if err := r.visits(t)(); err != nil || len(r.rec.samples) != 1 {
		t.Errorf("error is %v with %d samples, want the page", err, len(r.rec.samples))
	}
}

func TestOneNodeThatHangsDoesNotStopTheOthers(t *testing.T) {
	release := make(chan struct{})
	r := newRig(t, func(_ http.ResponseWriter, req *http.Request) {
		select {
		case <-release:
		case <-req.Context().Done():
		}
	})
	defer close(release)
	good := serveTLS(t, http.HandlerFunc(servePage))
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: good.Certificate().Raw})
	writeFile(t, r.config.CAFile, string(cert)) // all servers of httptest have the same
	r.config.Proxy = Proxy{}
	r.config.Period, r.config.Timeout = 200*time.Millisecond, 200*time.Millisecond
	r.rec.told = make(chan string)
	nodes := []Node{r.node, nodeAt(t, "good-1", good), nodeAt(t, "good-2", good)}
	s, err := New(r.config, nodeList(func() []Node { return nodes }), r.rec)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.Run(ctx)
	}()
	times := map[string]int{}
	for times["n1"] < 2 || times["good-1"] < 3 || times["good-2"] < 3 || !r.rec.has(appKey) {
		select {
		case node := <-r.rec.told:
			times[node]++
		case <-t.Context().Done():
			t.Fatalf("the test ends with scrapes %v", times)
		}
	}
	if _, err := r.rec.last("n1"); ClassOf(err) != ClassTimeout {
		t.Errorf("the node that hangs has error %v, want class %s", err, ClassTimeout)
	}
	cancel()
	for running := true; running; {
		select {
		case <-r.rec.told: // a scrape that had ended before
		case <-stopped:
			running = false
		}
	}
}

func TestStoppingSaysNothingAboutTheNode(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := newRig(t, func(_ http.ResponseWriter, req *http.Request) {
		cancel()
		<-req.Context().Done()
	})
	r.config.Period, r.config.Timeout = time.Second, 0
	s := r.scraper(t)
	s.Run(ctx) // returns although the kubelet hangs
	if times, err := r.rec.last("n1"); times != 0 {
		t.Errorf("the node is told to have failed: %v", err)
	}
}

func TestScrapesFillARealStore(t *testing.T) {
	cpu := 0
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		cpu++
		at := time.Now().Add(time.Duration(cpu-3) * 10 * time.Second).UnixMilli()
		text(w, fmt.Sprintf("%s{container=\"app\",namespace=\"shop\",pod=\"cart-1\"} %d %d\n", familyCPU, cpu*4, at))
	})
	r.config.OOMEvents = false
	store, err := metrics.NewStore(metrics.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(r.config, nil, store)
	if err != nil {
		t.Fatal(err)
	}
	defer s.client.close()
	tg := &target{node: r.node, parser: NewParser()}
	var b buffers
	for range 2 {
		s.visit(t.Context(), tg, &b)
	}
	if u := store.Container(appKey, time.Now()); !u.OK() || u.CPUMilli < 390 || u.CPUMilli > 400 {
		t.Errorf("usage is %+v, want 4 core-seconds in about 10 s", u)
	}
	if n := store.Node("n1"); !n.Reachable {
		t.Errorf("node is %+v, want reachable", n)
	}
}
