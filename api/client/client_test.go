package client

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/homeostat/homeostat/api/v1alpha1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server answers every request with one object and notes what was asked.
type server struct {
	mu    sync.Mutex
	asked []string
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.Method+" "+r.URL.Path)
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	query := r.URL.Query()
	object := map[string]any{
		"apiVersion": "homeostat.dev/v1alpha1", "kind": "Incident",
		"metadata": map[string]any{"name": "web", "namespace": "demo", "resourceVersion": "7"},
		"status":   map[string]any{"state": "Open", "openedAt": "2026-03-01T11:00:00.123456Z"},
	}
	var answer any = object
	switch {
	case query.Get("watch") != "" && query.Get("sendInitialEvents") == "":
		w.(http.Flusher).Flush()
		<-r.Context().Done() // nothing happens any more
		return
	case query.Get("watch") != "":
		// As a server that does not stream lists answers, so that the informer falls back to a list.
		w.WriteHeader(http.StatusUnprocessableEntity)
		answer = metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonInvalid, Code: http.StatusUnprocessableEntity}
	case r.URL.Path == "/apis/homeostat.dev/v1alpha1/incidents":
		answer = map[string]any{
			"apiVersion": "homeostat.dev/v1alpha1", "kind": "IncidentList",
			"metadata": map[string]any{"resourceVersion": "7"}, "items": []any{object},
		}
	}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		panic(err)
	}
}

func start(t *testing.T) (*Client, *server) {
	t.Helper()
	s := &server{}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	// A program that speaks protobuf to the rest of the cluster can share its configuration.
	c, err := New(&rest.Config{Host: h.URL, ContentConfig: rest.ContentConfig{ContentType: "application/vnd.kubernetes.protobuf"}, Transport: h.Client().Transport})
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

func TestClientsAskForTheirResources(t *testing.T) {
	c, s := start(t)
	ctx := t.Context()
	got, err := c.Incidents("demo").Get(ctx, "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 11, 0, 0, 123456000, time.UTC)
	if got.Status.State != "Open" || got.ResourceVersion != "7" || !got.Status.OpenedAt.Time.Equal(at) {
		t.Errorf("got %+v", got)
	}
	for _, call := range []func() error{
		func() error { _, err := c.Incidents("demo").Create(ctx, got, metav1.CreateOptions{}); return err },
		func() error { _, err := c.Incidents("demo").Update(ctx, got, metav1.UpdateOptions{}); return err },
		func() error {
			_, err := c.Autoscalers("demo").UpdateStatus(ctx, &v1alpha1.Autoscaler{ObjectMeta: metav1.ObjectMeta{Name: "web"}}, metav1.UpdateOptions{})
			return err
		},
		func() error {
			_, err := c.HealingPolicies("demo").Get(ctx, "web", metav1.GetOptions{})
			return err
		},
	} {
		// What comes back is an Incident for all of them; the requests are what counts here.
		if err := call(); err != nil {
			t.Logf("answer: %v", err)
		}
	}
	const prefix = "/apis/homeostat.dev/v1alpha1/namespaces/demo/"
	want := []string{
		"GET " + prefix + "incidents/web", "POST " + prefix + "incidents", "PUT " + prefix + "incidents/web",
		"PUT " + prefix + "autoscalers/web/status", "GET " + prefix + "healingpolicies/web",
	}
	if diff := cmp.Diff(want, s.asked); diff != "" {
		t.Errorf("-want +asked:\n%s", diff)
	}
}

func TestAnInformerReadsFromListWatch(t *testing.T) {
	c, _ := start(t)
	informer := cache.NewSharedIndexInformer(ListWatch(c.Incidents("")), &v1alpha1.Incident{}, 0, cache.Indexers{})
	done := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(done)
		informer.Run(stop)
	}()
	if !cache.WaitForCacheSync(t.Context().Done(), informer.HasSynced) {
		t.Error("the informer did not sync")
	}
	if keys := informer.GetStore().ListKeys(); !cmp.Equal(keys, []string{"demo/web"}) {
		t.Errorf("the informer holds %v", keys)
	}
	close(stop)
	<-done
}
