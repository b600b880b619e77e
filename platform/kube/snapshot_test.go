package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/metrics"
	"github.com/homeostat/homeostat/platform/kube/internal/apitest"
	"github.com/homeostat/homeostat/platform/kube/view"
)

// said is a log that can be read while it is written.
type said struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

func (s *said) log() *slog.Logger { return slog.New(slog.NewTextHandler(s, nil)) }

// relate puts what others say about the Deployment "web" into the world.
func (w *world) relate(t *testing.T) {
	t.Helper()
	object := func(apiVersion, kind, name string, rest apitest.Object) {
		o := apitest.Object{"apiVersion": apiVersion, "kind": kind, "metadata": apitest.Object{"namespace": "shop", "name": name, "uid": kind + name}}
		maps.Copy(o, rest)
		w.Put(t, o)
	}
	object("v1", "Service", "web", apitest.Object{"spec": apitest.Object{"selector": apitest.Object{"app": "web"}}})
	w.endpoints(t, true)
	object("policy/v1", "PodDisruptionBudget", "web", apitest.Object{
		"spec": apitest.Object{"selector": matching("web")}, "status": apitest.Object{"disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1},
	})
	for name, mode := range map[string]string{"grow": "Recreate", "advise": "Off"} {
		object("autoscaling.k8s.io/v1", "VerticalPodAutoscaler", name, apitest.Object{"spec": apitest.Object{
			"targetRef": apitest.Object{"kind": "Deployment", "name": "web"}, "updatePolicy": apitest.Object{"updateMode": mode},
		}})
	}
}

// endpoints has two ready ones, or none.
func (w *world) endpoints(t *testing.T, ready bool) {
	t.Helper()
	w.Put(t, apitest.Object{
		"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
		"metadata": apitest.Object{
			"namespace": "shop", "name": "web-1", "uid": "slice-1", "labels": apitest.Object{"kubernetes.io/service-name": "web"},
		},
		"endpoints": []apitest.Object{
			{"addresses": []string{"10.1.0.1"}, "conditions": apitest.Object{"ready": ready}},
			{"addresses": []string{"10.1.0.2"}, "conditions": apitest.Object{"ready": ready}},
		},
	})
}

// resizable answers as an API server that can change the resources of running pods.
func resizable(rw http.ResponseWriter, r *http.Request) bool {
	if r.URL.Path != "/api/v1" {
		return false
	}
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(apitest.Object{"kind": "APIResourceList", "groupVersion": "v1", "resources": []apitest.Object{
		{"name": "pods", "kind": "Pod", "namespaced": true, "verbs": []string{"get"}},
		{"name": "pods/resize", "kind": "Pod", "namespaced": true, "verbs": []string{"patch"}},
	}})
	return true
}

func TestTheViewTellsWhatOthersSayOfAWorkload(t *testing.T) {
	w := newWorld(t)
	w.relate(t)
	w.Hook(resizable)
	w.autoscaler(t, "dry", func(a *v1alpha1.Autoscaler) { a.Spec.Mode = v1alpha1.ModeDryRun })
	w.autoscaler(t, "web", func(a *v1alpha1.Autoscaler) {
		a.Spec.MinReplicas = new(int32(2))
		a.Status.Conditions = []metav1.Condition{{Type: "ScalingActive", Status: "False", Reason: "FailedGetResourceMetric"}}
	})
	p := w.start(t, nil)
	snap := p.Snapshot(time.Now())
	got := snap.Workloads[0]
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"services", got.Services, []string{"web"}},
		{"service", snap.Services["shop/web"], cluster.Service{Namespace: "shop", Name: "web", Ready: 2, Selects: true, Workloads: []cluster.Ref{web()}}},
		{"budgets", got.Budgets, []cluster.DisruptionBudget{{Name: "web", Allowed: 1, Healthy: 2, Desired: 1}}},
		{"owners", got.Owners, []cluster.Owner{{Kind: cluster.OwnerVPA, Name: "grow"}}},
		{"resizable", got.Resizable, true},
		{"scaler", got.Scaler.Ref, cluster.Ref{Kind: "Autoscaler", Namespace: "shop", Name: "web", UID: "as-web"}},
		{"bounds", []int32{got.Scaler.Min, got.Scaler.Max}, []int32{2, 4}},
		{"scaler's condition", got.Scaler.Active.Reason, "FailedGetResourceMetric"},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
	w.endpoints(t, false)
	until(t, "the service is down", func() bool {
		s := p.Snapshot(time.Now()).Services["shop/web"]
		return s.Ready == 0 && !s.DownSince.IsZero()
	})
	w.Put(t, apitest.Object{
		"apiVersion": "v1", "kind": "Service", "metadata": apitest.Object{"namespace": "shop", "name": "web", "uid": "Serviceweb"},
		"spec": apitest.Object{"selector": apitest.Object{"app": "web", "version": "2"}},
	})
	until(t, "the other selector is among the changes", func() bool {
		c := p.Snapshot(time.Now()).Workloads[0].Changes
		return len(c) == 1 && c[0].Kind == cluster.ChangeSwitch
	})
}

func TestTheViewDoesWithoutWhatItMustNotRead(t *testing.T) {
	w := newWorld(t)
	w.relate(t)
	var granted atomic.Bool
	refused := []string{"/services", "/endpointslices", "/poddisruptionbudgets", "/controllerrevisions", "/verticalpodautoscalers"}
	w.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
		for _, end := range refused {
			if strings.HasSuffix(r.URL.Path, end) && !granted.Load() {
				apitest.Refuse(rw, http.StatusForbidden, metav1.StatusReasonForbidden, end+" is forbidden")
				return true
			}
		}
		return false
	})
	var said said
	p := w.start(t, func(o *Options) { o.Log = said.log() })
	until(t, "all are said to be missing", func() bool {
		return strings.Count(said.String(), "kind must not be read") == len(refused)
	})
	snap := p.Snapshot(time.Now())
	if !snap.Synced || snap.Stale >= probePeriod+probeTimeout || len(snap.Workloads) != 1 || len(snap.Workloads[0].Replicas) != 2 {
		t.Errorf("the view is %+v", snap)
	}
	if snap.Services != nil || snap.Workloads[0].Budgets != nil {
		t.Errorf("it knows what it must not read: %+v", snap.Workloads[0])
	}
	if diff := cmp.Diff([]cluster.Owner{{Kind: cluster.OwnerVPA}}, snap.Workloads[0].Owners); diff != "" {
		t.Errorf("that a VerticalPodAutoscaler may own it is not told (-want +got):\n%s", diff)
	}
	if got := p.Trouble(time.Now()); got != "" {
		t.Errorf("what is forbidden counts as trouble: %s", got)
	}
	granted.Store(true)
	until(t, "what may be read now is in the view", func() bool {
		snap := p.Snapshot(time.Now())
		return snap.Synced && snap.Services["shop/web"].Ready == 2 && len(snap.Workloads[0].Budgets) == 1
	})
	if got := strings.Count(said.String(), "kind must not be read"); got != len(refused) {
		t.Errorf("it was said %d times that %d kinds must not be read", got, len(refused))
	}
}

func TestEventsAboutNodesComeAlsoWithAFewNamespaces(t *testing.T) {
	w := newWorld(t)
	put := func(name, reason, kind string) {
		w.Put(t, apitest.Object{
			"apiVersion": "v1", "kind": "Event", "metadata": apitest.Object{"namespace": "default", "name": name, "uid": name}, "type": "Normal",
			"reason": reason, "message": "m", "lastTimestamp": w.now.Format(time.RFC3339),
			"involvedObject": apitest.Object{"kind": kind, "name": "node-1", "uid": "node-1"},
		})
	}
	put("e1", "NodeNotReady", "Node")
	p := w.start(t, func(o *Options) { o.Namespaces = []string{"shop"} })
	until(t, "the event is at its node", func() bool {
		e := p.Snapshot(time.Now()).Nodes["node-1"].Events
		return len(e) == 1 && e[0].Reason == "NodeNotReady"
	})

	refused := newWorld(t)
	refused.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/api/v1/namespaces/default/events" {
			return false
		}
		apitest.Refuse(rw, http.StatusForbidden, metav1.StatusReasonForbidden, "events is forbidden")
		return true
	})
	var said said
	q := refused.start(t, func(o *Options) { o.Namespaces, o.Log = []string{"shop"}, said.log() })
	until(t, "it is said that they are missing", func() bool { return strings.Contains(said.String(), "events about nodes must not be read") })
	if !q.Snapshot(time.Now()).Synced {
		t.Error("the view waits for events")
	}
}

func TestThrottlingIsAtItsContainer(t *testing.T) {
	w := newWorld(t)
	for i := range 12 {
		at := w.now.Add(time.Duration(i-11) * 15 * time.Second)
		w.store.AddThrottling(metrics.Key{Namespace: "shop", Pod: "web-1", Container: "web"}, "c1", at, float64(100*i), float64(40*i))
	}
	p := w.start(t, nil)
	r := p.Snapshot(w.now).Workloads[0].Replicas
	if c := r[0].Containers[0]; !c.ThrottledKnown || c.ThrottledPercent != 40 {
		t.Errorf("container is %+v", c)
	}
	if c := r[1].Containers[0]; c.ThrottledKnown {
		t.Errorf("the other replica's is known: %+v", c)
	}
}

// A standby is not asked for its view. What it has to know of the time before it leads, it notes all the same: that the revision which
// fails now was healthy, and since when the Service has no endpoint.
func TestAStandbyRemembersWhatWasHealthy(t *testing.T) {
	w := newWorld(t)
	w.Put(t, apitest.Object{
		"apiVersion": "v1", "kind": "Service", "metadata": apitest.Object{"namespace": "shop", "name": "web", "uid": "svc-web"},
		"spec": apitest.Object{"selector": apitest.Object{"app": "web"}},
	})
	w.endpoints(t, true)
	p := w.start(t, nil)
	tick, ended := make(chan time.Time), make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		defer close(ended)
		p.keepNotes(ctx, tick)
	}()
	tick <- time.Time{}
	tick <- time.Time{} // the first look has ended
	stop()
	<-ended
	w.endpoints(t, false)
	w.pod(t, "web-1", "crash-loop")
	w.pod(t, "web-2", "crash-loop")
	until(t, "the failure is in the view", func() bool {
		return len(records[*view.Slice](p.feeds.slices)) == 1 && records[*view.Slice](p.feeds.slices)[0].Ready == 0 &&
			!slices.ContainsFunc(records[*view.Pod](p.feeds.pods), func(o *view.Pod) bool { return o.Replica.Ready })
	})
	snap := p.Snapshot(time.Now())
	if since := snap.Services["shop/web"].DownSince; since.IsZero() {
		t.Error("it is not known that the service had an endpoint")
	}
	web := snap.Workloads[0]
	if len(web.Revisions) != 1 || web.Revisions[0].HealthyAt.IsZero() {
		t.Errorf("it is not known that the revision was healthy: %+v", web.Revisions)
	}
}
