package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/homeostat/homeostat/internal/corpus"
)

const (
	logLines   = 40
	logTimeout = 10 * time.Second
)

// watched is what is recorded.
func watched() []schema.GroupVersionResource {
	of := func(group, version string, resources ...string) (out []schema.GroupVersionResource) {
		for _, r := range resources {
			out = append(out, schema.GroupVersionResource{Group: group, Version: version, Resource: r})
		}
		return out
	}
	return slices.Concat(
		of("", "v1", "nodes", "pods", "services", "events", "resourcequotas", "persistentvolumeclaims"),
		of("apps", "v1", "deployments", "replicasets", "statefulsets", "daemonsets", "controllerrevisions"),
		of("batch", "v1", "jobs", "cronjobs"),
		of("autoscaling", "v2", "horizontalpodautoscalers"),
		of("policy", "v1", "poddisruptionbudgets"),
		of("discovery.k8s.io", "v1", "endpointslices"),
	)
}

// watcher has one watch of each kind over the whole cluster and hands what it sees to the recordings that it is about.
type watcher struct {
	raw *rest.RESTClient
	// readLog reads the last lines of a container's log, of its life before the present one if previous.
	readLog func(pod *corev1.Pod, container string, previous bool) ([]byte, error)

	mu    sync.Mutex
	nodes map[string]*unstructured.Unstructured
	tapes map[string]*tape // by namespace
}

func newWatcher(ctx context.Context, config *rest.Config) (*watcher, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	core := rest.CopyConfig(config)
	core.APIPath, core.GroupVersion, core.NegotiatedSerializer = "/api", &schema.GroupVersion{Version: "v1"}, scheme.Codecs.WithoutConversion()
	raw, err := rest.RESTClientFor(core)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	w := &watcher{raw: raw, nodes: map[string]*unstructured.Unstructured{}, tapes: map[string]*tape{}}
	w.readLog = func(pod *corev1.Pod, container string, previous bool) ([]byte, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logTimeout)
		defer cancel()
		return raw.Get().Namespace(pod.Namespace).Resource("pods").Name(pod.Name).SubResource("log").
			Param("container", container).Param("previous", strconv.FormatBool(previous)).
			Param("tailLines", strconv.Itoa(logLines)).DoRaw(ctx)
	}
	factory := dynamicinformer.NewDynamicSharedInformerFactory(client, 0)
	for _, resource := range watched() {
		_, err := factory.ForResource(resource).Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { w.see(corpus.Added, o) },
			UpdateFunc: func(_, o any) { w.see(corpus.Modified, o) },
			DeleteFunc: func(o any) {
				if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
					o = gone.Obj
				}
				w.see(corpus.Deleted, o)
			},
		})
		if err != nil {
			return nil, fmt.Errorf("watch %s: %w", resource.Resource, err)
		}
	}
	factory.Start(ctx.Done())
	for resource, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return nil, fmt.Errorf("watch %s: %w", resource.Resource, ctx.Err())
		}
	}
	go w.measure(ctx)
	return w, nil
}

// open starts a recording of the namespace with the nodes as they are now.
func (w *watcher) open(v *corpus.Variant) *tape {
	t := &tape{variant: v, watcher: w, logged: map[string]bool{}}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tapes[v.Namespace()] = t
	for _, name := range v.Nodes {
		if n := w.nodes[name]; n != nil {
			t.object(corpus.Added, n)
		}
	}
	return t
}

func (w *watcher) close(v *corpus.Variant) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.tapes, v.Namespace())
}

func (w *watcher) see(kind string, o any) {
	object, ok := o.(*unstructured.Unstructured)
	if !ok {
		return
	}
	if reason, _, _ := unstructured.NestedString(object.Object, "reason"); object.GetKind() == "Event" && reason == "MissingClusterDNS" {
		return // the lab has no cluster DNS, and every kubelet repeats that with every pod
	}
	object = slim(object)
	w.mu.Lock()
	defer w.mu.Unlock()
	if object.GetKind() == "Node" {
		w.seeNode(kind, object)
		return
	}
	if about, _, _ := unstructured.NestedString(object.Object, "involvedObject", "kind"); object.GetKind() == "Event" && about == "Node" {
		name, _, _ := unstructured.NestedString(object.Object, "involvedObject", "name")
		w.ofNode(name, kind, object)
		return
	}
	if t := w.tapes[object.GetNamespace()]; t != nil {
		t.object(kind, object)
	}
}

// seeNode records a node only where more than its heartbeat changed.
func (w *watcher) seeNode(kind string, n *unstructured.Unstructured) {
	if before := w.nodes[n.GetName()]; before != nil && kind == corpus.Modified {
		was, is := before.DeepCopy(), n.DeepCopy()
		was.SetResourceVersion("")
		is.SetResourceVersion("")
		if equal(was, is) {
			return
		}
	}
	w.nodes[n.GetName()] = n
	w.ofNode(n.GetName(), kind, n)
}

func (w *watcher) ofNode(name, kind string, o *unstructured.Unstructured) {
	for _, t := range w.tapes {
		if slices.Contains(t.variant.Nodes, name) {
			t.object(kind, o)
		}
	}
}

func equal(a, b *unstructured.Unstructured) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// slim returns the object without what only its writers need, and a node without its images and heartbeats.
func slim(o *unstructured.Unstructured) *unstructured.Unstructured {
	o = o.DeepCopy()
	o.SetManagedFields(nil)
	if o.GetKind() != "Node" {
		return o
	}
	unstructured.RemoveNestedField(o.Object, "status", "images")
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range conditions {
		if m, ok := c.(map[string]any); ok {
			delete(m, "lastHeartbeatTime")
		}
	}
	if len(conditions) > 0 {
		_ = unstructured.SetNestedSlice(o.Object, conditions, "status", "conditions") // it came out of there
	}
	return o
}

// now is the recorder's clock.
func now() time.Time { return time.Now().UTC() } //nolint:forbidigo // a recorder reads the clock
