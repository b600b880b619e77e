package kube

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/metrics"
	"github.com/homeostat/homeostat/platform/kube/internal/apitest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is an API server with a Deployment "web" of two replicas in the namespace "shop", and what the tests add to it.
type world struct {
	*apitest.Server
	store *metrics.Store
	now   time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	store, err := metrics.NewStore(metrics.Config{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Server: apitest.New(t), store: store, now: time.Now().UTC()}
	w.deployment(t, 2)
	w.Put(t, apitest.Object{
		"apiVersion": "apps/v1", "kind": "ReplicaSet",
		"metadata": apitest.Object{
			"namespace": "shop", "name": "web-5d9c7f8b6", "uid": "rs-web", "labels": apitest.Object{"pod-template-hash": "5d9c7f8b6"},
			"annotations": apitest.Object{"deployment.kubernetes.io/revision": "1"}, "ownerReferences": owner("apps/v1", "Deployment", "web", "d-web"),
		},
		"spec": apitest.Object{"replicas": 2, "selector": matching("web"), "template": podTemplate("web")},
	})
	w.pod(t, "web-1", "running")
	w.pod(t, "web-2", "running")
	w.Put(t, &corev1.Node{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}, ObjectMeta: metav1.ObjectMeta{Name: "node-1"},
		Status: corev1.NodeStatus{
			Conditions:      []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
			Addresses:       []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}},
			DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: 10250}},
		},
	})
	return w
}

func owner(apiVersion, kind, name, uid string) []apitest.Object {
	return []apitest.Object{{"apiVersion": apiVersion, "kind": kind, "name": name, "uid": uid, "controller": true}}
}

func matching(app string) apitest.Object {
	return apitest.Object{"matchLabels": apitest.Object{"app": app}}
}

func podTemplate(app string) apitest.Object {
	return apitest.Object{
		"metadata": apitest.Object{"labels": apitest.Object{"app": app}},
		"spec":     apitest.Object{"containers": []apitest.Object{{"name": "web", "image": "registry.local/web:1.5"}}},
	}
}

func (w *world) deployment(t *testing.T, replicas int) {
	t.Helper()
	w.Put(t, apitest.Object{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": apitest.Object{"namespace": "shop", "name": "web", "uid": "d-web"},
		"spec":     apitest.Object{"replicas": replicas, "selector": matching("web"), "template": podTemplate("web")},
	})
}

// pod puts one of the recorded pods under another name.
func (w *world) pod(t *testing.T, name, record string) {
	t.Helper()
	w.podAs(t, name, record, "pod-"+name)
}

func (w *world) podAs(t *testing.T, name, record, uid string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("view", "testdata", "pods", record+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var p corev1.Pod
	if err := json.Unmarshal(raw, &p); err != nil {
		t.Fatal(err)
	}
	p.Name, p.UID, p.ResourceVersion = name, types.UID(uid), ""
	p.OwnerReferences[0].UID = "rs-web"
	w.Put(t, &p)
}

// sample gives a container two samples, so that it has a usage at w.now.
func (w *world) sample(pod, container string, milli, bytes int64) {
	key := metrics.Key{Namespace: "shop", Pod: pod, Container: container}
	for i := range 2 {
		at := w.now.Add(time.Duration(i-1) * 15 * time.Second)
		w.store.Add(key, "node-1", metrics.Sample{At: at, CPUSeconds: float64(milli) / 1000 * 15 * float64(i), MemoryBytes: bytes})
	}
}

func (w *world) autoscaler(t *testing.T, name string, change func(*v1alpha1.Autoscaler)) {
	t.Helper()
	a := &v1alpha1.Autoscaler{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindAutoscaler},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("as-" + name), Generation: 1},
	}
	a.Spec.ScaleTargetRef.APIVersion, a.Spec.ScaleTargetRef.Kind, a.Spec.ScaleTargetRef.Name = "apps/v1", "Deployment", "web"
	a.Spec.MaxReplicas = 4
	if change != nil {
		change(a)
	}
	w.Put(t, a)
}

func (w *world) policy(t *testing.T, name, app string, change func(*v1alpha1.HealingPolicy)) {
	t.Helper()
	p := &v1alpha1.HealingPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindHealingPolicy},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("hp-" + name), Generation: 1},
	}
	p.Spec.Selector.MatchLabels = map[string]string{"app": app}
	p.Spec.Mode = v1alpha1.HealingAct
	if change != nil {
		change(p)
	}
	w.Put(t, p)
}

// start runs a Platform on the world until the test ends.
func (w *world) start(t *testing.T, change func(*Options)) *Platform {
	t.Helper()
	o := Options{REST: w.Config(), Store: w.store, Identity: "me", WatchAll: true, SyncTimeout: 20 * time.Second}
	if change != nil {
		change(&o)
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// until waits for something that takes the network to happen.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("it did not happen: %s", what)
}

func web() cluster.Ref {
	return cluster.Ref{Kind: cluster.KindDeployment, Namespace: "shop", Name: "web", UID: "d-web"}
}

func TestTheViewFollowsTheCluster(t *testing.T) {
	w := newWorld(t)
	p := w.start(t, nil)
	snap := p.Snapshot(time.Now())
	if !snap.Synced || len(snap.Workloads) != 1 || snap.Workloads[0].Ref != web() || len(snap.Workloads[0].Replicas) != 2 {
		t.Fatalf("the first view is %+v", snap)
	}
	if n := snap.Nodes["node-1"]; n.Ready != "True" {
		t.Errorf("node is %+v", n)
	}
	if nodes := p.Nodes(); len(nodes) != 1 || nodes[0].Address != "10.0.0.1" || nodes[0].Port != 10250 {
		t.Errorf("kubelets are %+v", nodes)
	}
	w.pod(t, "web-2", "crash-loop")
	until(t, "the crash loop is seen", func() bool {
		r := p.Snapshot(time.Now()).Workloads[0].Replicas
		return len(r) == 2 && r[1].CrashLooping()
	})
	select {
	case <-p.Changed():
	case <-time.After(20 * time.Second):
		t.Error("no wake-up after a change")
	}
	w.deployment(t, 5)
	until(t, "the scaling is among the changes", func() bool {
		c := p.Snapshot(time.Now()).Workloads[0].Changes
		return len(c) == 1 && c[0].Message == "scaled from 2 to 5"
	})
	w.Put(t, apitest.Object{
		"apiVersion": "v1", "kind": "Event", "metadata": apitest.Object{"namespace": "shop", "name": "e1"}, "type": "Warning",
		"reason": "BackOff", "message": "back-off", "count": 3, "lastTimestamp": w.now.Format(time.RFC3339),
		"involvedObject": apitest.Object{"kind": "Pod", "namespace": "shop", "name": "web-1", "uid": "pod-web-1"},
	})
	until(t, "the event is at its replica", func() bool {
		e := p.Snapshot(time.Now()).Workloads[0].Replicas[0].Events
		return len(e) == 1 && e[0].Count == 3
	})
	w.sample("web-1", "web", 10, 1)
	w.Remove(t, "pods", "shop", "web-1")
	until(t, "the pod and its usage are gone", func() bool {
		return len(p.Snapshot(time.Now()).Workloads[0].Replicas) == 1 && len(p.Memory("shop")("web-1", "web")) == 0
	})
}

// A watch that was away tells a deletion and a creation as one change.
func TestAnotherObjectOfTheSameNameIsAnotherOne(t *testing.T) {
	w := newWorld(t)
	p := w.start(t, nil)
	w.deployment(t, 5)
	until(t, "the scaling is noted", func() bool { return len(p.notes.Scalings("d-web")) == 1 })
	w.sample("web-1", "web", 10, 1)
	w.Put(t, apitest.Object{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": apitest.Object{"namespace": "shop", "name": "web", "uid": "d-web-2"},
		"spec": apitest.Object{"replicas": 5, "selector": matching("web"), "template": podTemplate("web")},
	})
	w.podAs(t, "web-1", "running", "pod-web-1-again")
	until(t, "the notes of the old one and the usage of the old pod are gone", func() bool {
		return len(p.notes.Scalings("d-web")) == 0 && len(p.Memory("shop")("web-1", "web")) == 0
	})
}

func TestTheViewKnowsItsAge(t *testing.T) {
	w := newWorld(t)
	p := w.start(t, nil)
	until(t, "the view is fresh", func() bool { return p.Snapshot(time.Now()).Stale < probePeriod+probeTimeout })
	w.SetDown(true)
	until(t, "the watches have ended", func() bool {
		return slices.ContainsFunc(p.contact.links, func(l *link) bool { return !l.isOpen() })
	})
	if err := p.clients.ask(t.Context()); err == nil || err.Error() != "/readyz answered 503" {
		t.Errorf("a server that is down: %v", err)
	}
	left := time.Now()
	if got := p.Snapshot(left.Add(time.Minute)).Stale; got < time.Minute {
		t.Errorf("a minute later the view says it is %v old", got)
	}
	w.SetDown(false)
	w.deployment(t, 3)
	until(t, "the view is fresh again", func() bool { return p.Snapshot(time.Now()).Stale < probePeriod+probeTimeout })
	// Fresh means that what happened meanwhile is in it, or delivered any moment.
	until(t, "the change is in the view", func() bool { return p.Snapshot(time.Now()).Workloads[0].Desired == 3 })
}

func (l *link) isOpen() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

func TestStartNamesWhatCannotBeRead(t *testing.T) {
	w := newWorld(t)
	w.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/jobs") {
			apitest.Refuse(rw, http.StatusForbidden, metav1.StatusReasonForbidden, "jobs.batch is forbidden: no list")
			return true
		}
		return false
	})
	p, err := New(Options{REST: w.Config(), Store: w.store, Identity: "me", SyncTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	err = p.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "read jobs.batch: ") || !strings.Contains(err.Error(), "forbidden: no list") {
		t.Errorf("error is %v, want the kind and the reason", err)
	}
	if p.Synced() || p.Snapshot(time.Now()).Synced {
		t.Error("half a view counts as complete")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	w := newWorld(t)
	for want, o := range map[string]Options{
		"REST is missing":      {Store: w.store, Identity: "me"},
		"Store is missing":     {REST: w.Config(), Identity: "me"},
		"Identity is empty":    {REST: w.Config(), Store: w.store},
		"KeepIncidents is -1s": {REST: w.Config(), Store: w.store, Identity: "me", KeepIncidents: -time.Second},
		"MaxIncidents is -1":   {REST: w.Config(), Store: w.store, Identity: "me", MaxIncidents: -1},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
}

func TestTwoPlatformsSideBySide(t *testing.T) {
	w := newWorld(t)
	w.policy(t, "p", "web", func(p *v1alpha1.HealingPolicy) { p.Spec.Budget.Actions = new(int32(3)) })
	a, b := w.start(t, nil), w.start(t, func(o *Options) { o.Identity = "other"; o.Namespaces = []string{"shop"} })
	pol, _ := a.PolicyFor(a.Snapshot(time.Now()).Workloads[0])
	// However the two are mixed, no more than the budget is ever charged.
	var charged atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		p := []*Platform{a, b}[i%2]
		wg.Go(func() {
			if p.Charge(context.WithoutCancel(t.Context()), pol, web(), string(rune('a'+i)), w.now) == nil {
				charged.Add(1)
			}
		})
	}
	wg.Wait()
	var stored v1alpha1.HealingPolicy
	w.Get(t, "healingpolicies", "shop", "p", &stored)
	if len(stored.Status.Budgets) != 1 || len(stored.Status.Budgets[0].Actions) != int(charged.Load()) || charged.Load() > 3 || charged.Load() == 0 {
		t.Errorf("%d charges went through, stored are %+v", charged.Load(), stored.Status.Budgets)
	}
	a.Stop()
	if snap := b.Snapshot(time.Now()); len(snap.Workloads) != 1 {
		t.Errorf("the other platform sees %d workloads", len(snap.Workloads))
	}
}
