package keda

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/homeostat/homeostat/platform/kube/internal/apitest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// follow runs a Follower on the server until the test ends.
func follow(t *testing.T, s *apitest.Server, namespaces ...string) *Follower {
	t.Helper()
	hc, err := rest.HTTPClientFor(s.Config())
	if err != nil {
		t.Fatal(err)
	}
	objects, err := dynamic.NewForConfigAndClient(s.Config(), hc)
	if err != nil {
		t.Fatal(err)
	}
	served, err := discovery.NewDiscoveryClientForConfigAndClient(s.Config(), hc)
	if err != nil {
		t.Fatal(err)
	}
	f := New(objects, served, namespaces, 20*time.Millisecond, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		hc.CloseIdleConnections()
	})
	return f
}

func put(t *testing.T, s *apitest.Server, namespace, name string, annotations map[string]string, target apitest.Object) {
	t.Helper()
	s.Put(t, apitest.Object{
		"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
		"metadata": apitest.Object{"namespace": namespace, "name": name, "annotations": annotations},
		"spec":     apitest.Object{"scaleTargetRef": target},
	})
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("it did not happen: %s", what)
}

func TestScaledObjectsAreFollowed(t *testing.T) {
	s := apitest.New(t)
	put(t, s, "shop", "orders", nil, apitest.Object{"name": "orders"})
	put(t, s, "shop", "carts", map[string]string{"autoscaling.keda.sh/paused": "true"}, apitest.Object{"name": "carts", "kind": "StatefulSet"})
	put(t, s, "shop", "held", map[string]string{"autoscaling.keda.sh/paused": "true", "autoscaling.keda.sh/paused-replicas": "2"}, apitest.Object{"name": "held"})
	put(t, s, "other", "elsewhere", nil, apitest.Object{"name": "x"})
	f := follow(t, s, "shop")
	until(t, "the list is there", func() bool { return len(f.Objects()) == 3 })
	got := f.Objects()
	slices.SortFunc(got, func(a, b *ScaledObject) int { return strings.Compare(a.Name, b.Name) })
	want := []*ScaledObject{
		{Namespace: "shop", Name: "carts", TargetKind: "StatefulSet", TargetName: "carts", Paused: true},
		{Namespace: "shop", Name: "held", TargetKind: "Deployment", TargetName: "held"}, // at a number that KEDA writes
		{Namespace: "shop", Name: "orders", TargetKind: "Deployment", TargetName: "orders"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	put(t, s, "shop", "carts", nil, apitest.Object{"name": "carts"})
	until(t, "the change is seen", func() bool {
		return slices.ContainsFunc(f.Objects(), func(o *ScaledObject) bool { return o.Name == "carts" && !o.Paused })
	})
	s.Remove(t, "scaledobjects", "shop", "orders")
	until(t, "the deletion is seen", func() bool { return len(f.Objects()) == 2 })
}

func TestAClusterWithoutKedaIsNotAskedForObjects(t *testing.T) {
	s := apitest.New(t)
	put(t, s, "shop", "orders", nil, apitest.Object{"name": "orders"})
	var absent, forbidden atomic.Bool
	var asked, listed atomic.Int32
	absent.Store(true)
	s.Hook(func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.URL.Path == "/apis/keda.sh/v1alpha1" && absent.Load():
			asked.Add(1)
			apitest.Refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")
			return true
		case strings.HasSuffix(r.URL.Path, "/scaledobjects"):
			listed.Add(1)
			if forbidden.Load() {
				apitest.Refuse(w, http.StatusForbidden, metav1.StatusReasonForbidden, "scaledobjects is forbidden")
				return true
			}
		}
		return false
	})
	f := follow(t, s, "")
	until(t, "it was asked for the kind twice", func() bool { return asked.Load() >= 2 })
	if n := listed.Load(); n != 0 {
		t.Errorf("what is not served was listed %d times", n)
	}
	absent.Store(false) // KEDA is installed
	until(t, "the object is known", func() bool { return len(f.Objects()) == 1 })

	forbidden.Store(true) // and then may not be read any more
	s.CloseWatches()
	until(t, "nothing is known", func() bool { return len(f.Objects()) == 0 })
	forbidden.Store(false)
	until(t, "it is known again", func() bool { return len(f.Objects()) == 1 })
}

// An API server that takes a question and never answers must not keep the controller from its end.
func TestAQuestionWithoutAnAnswerEndsWithTheFollower(t *testing.T) {
	s := apitest.New(t)
	asked, answer := make(chan struct{}, 16), make(chan struct{})
	t.Cleanup(func() { close(answer) })
	s.Hook(func(_ http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/apis/keda.sh") {
			return false
		}
		asked <- struct{}{}
		select {
		case <-answer:
		case <-r.Context().Done():
		}
		return true
	})
	hc, err := rest.HTTPClientFor(s.Config())
	if err != nil {
		t.Fatal(err)
	}
	defer hc.CloseIdleConnections()
	served, err := discovery.NewDiscoveryClientForConfigAndClient(s.Config(), hc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		New(nil, served, []string{""}, time.Hour, slog.New(slog.DiscardHandler)).Run(ctx)
	}()
	<-asked
	stop()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the follower still waits for an answer")
	}
}
