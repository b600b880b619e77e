//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// seenPod is what is known of one pod that there was at some time.
type seenPod struct {
	name     string
	deleted  bool  // its deletion was asked for
	evicted  bool  // by the Eviction API
	restarts int32 // the most of its containers' that was seen
}

// seenScale is one number of replicas that a Deployment asked for.
type seenScale struct {
	generation int64
	replicas   int32
}

// history watches a namespace from its beginning: what a test asserts about the past must not hang on when it looked.
type history struct {
	mu     sync.Mutex
	byUID  map[string]*seenPod
	scales []seenScale
	stop   chan struct{}
	once   sync.Once
}

func record(t *testing.T, namespace string) *history {
	t.Helper()
	h := &history{byUID: map[string]*seenPod{}, stop: make(chan struct{})}
	factory := informers.NewSharedInformerFactoryWithOptions(env.kube, 0, informers.WithNamespace(namespace))
	pods, deployments := factory.Core().V1().Pods().Informer(), factory.Apps().V1().Deployments().Informer()
	for _, in := range []cache.SharedIndexInformer{pods, deployments} {
		if _, err := in.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: h.note, UpdateFunc: func(_, obj any) { h.note(obj) }, DeleteFunc: h.note,
		}); err != nil {
			t.Fatal(err)
		}
	}
	factory.Start(h.stop)
	factory.WaitForCacheSync(t.Context().Done())
	return h
}

func (h *history) end() { h.once.Do(func() { close(h.stop) }) }

func (h *history) note(obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch o := obj.(type) {
	case *corev1.Pod:
		p := h.byUID[string(o.UID)]
		if p == nil {
			p = &seenPod{name: o.Name}
			h.byUID[string(o.UID)] = p
		}
		p.deleted = p.deleted || o.DeletionTimestamp != nil
		p.restarts = max(p.restarts, restarts(o))
		for i := range o.Status.Conditions {
			if c := &o.Status.Conditions[i]; c.Type == corev1.DisruptionTarget && c.Reason == evictionReason {
				p.evicted = true
			}
		}
	case *appsv1.Deployment:
		next := seenScale{generation: o.Generation, replicas: *o.Spec.Replicas}
		if n := len(h.scales); n == 0 || h.scales[n-1] != next {
			h.scales = append(h.scales, next)
		}
	}
}

// evictionReason is the reason of the condition DisruptionTarget that the API server sets at an eviction.
const evictionReason = "EvictionByEvictionAPI"

// evicted returns the UIDs of the pods that were evicted.
func (h *history) evicted() []string { return h.uids(func(p *seenPod) bool { return p.evicted }) }

// deleted returns the UIDs of the pods whose deletion was asked for, evictions among them.
func (h *history) deleted() []string { return h.uids(func(p *seenPod) bool { return p.deleted }) }

// restarted returns the UIDs of the pods of which a container was restarted.
func (h *history) restarted() []string {
	return h.uids(func(p *seenPod) bool { return p.restarts > 0 })
}

// uids returns those of the pods that is accepts, sorted.
func (h *history) uids(is func(*seenPod) bool) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for uid, p := range h.byUID {
		if is(p) {
			out = append(out, uid)
		}
	}
	slices.Sort(out)
	return out
}

// scaled returns every number of replicas that the Deployment asked for, in order.
func (h *history) scaled() []seenScale {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.scales)
}

func (h *history) pods() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for uid, p := range h.byUID {
		out = append(out, fmt.Sprintf("%s (%s, deleted %t, evicted %t)", p.name, uid, p.deleted, p.evicted))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}
