// Package keda follows the ScaledObjects of KEDA (keda.sh/v1alpha1), so that a target that one of them scales is known.
//
// It only reads, and only where the cluster serves that kind: a cluster without KEDA is asked for it every few minutes and
// nothing else. Who may not list them gets none. What it knows can be as old as that; KEDA also makes a
// HorizontalPodAutoscaler for every ScaledObject, which tells sooner.
package keda

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
)

// RediscoverEvery is how often a cluster is asked whether it serves ScaledObjects, while it does not.
const RediscoverEvery = 3 * time.Minute

// Kind of the objects, and of the owner of the HorizontalPodAutoscalers that KEDA makes.
const Kind = "ScaledObject"

// Annotations of KEDA that stop a ScaledObject from scaling, and that make it hold a number of replicas all the same.
const (
	pausedAnnotation         = "autoscaling.keda.sh/paused"
	pausedReplicasAnnotation = "autoscaling.keda.sh/paused-replicas"
)

// ScaledObject is what is kept of one: what it scales.
type ScaledObject struct {
	Namespace, Name        string
	TargetKind, TargetName string
	// Paused is true while it does not write the number of replicas.
	Paused bool
}

// GetObjectMeta makes it something that a store can find by its name.
func (o *ScaledObject) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name}
}

// Follower follows the ScaledObjects. Make it with New; it is safe for concurrent use.
type Follower struct {
	objects    dynamic.Interface
	discovery  discovery.DiscoveryInterface
	namespaces []string
	log        *slog.Logger
	every      time.Duration

	mu     sync.Mutex
	stores []cache.Store // nil while they are not followed
}

// New returns a Follower of some namespaces; an empty name is all. It asks nothing before Run; every is RediscoverEvery but
// in tests.
func New(objects dynamic.Interface, served discovery.DiscoveryInterface, namespaces []string, every time.Duration, log *slog.Logger) *Follower {
	return &Follower{objects: objects, discovery: served, namespaces: namespaces, every: every, log: log}
}

// Run follows until ctx is done.
func (f *Follower) Run(ctx context.Context) {
	tick := time.NewTicker(f.every)
	defer tick.Stop()
	for {
		if f.served(ctx) {
			f.follow(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Objects returns the ScaledObjects as they are known now.
func (f *Follower) Objects() []*ScaledObject {
	f.mu.Lock()
	stores := f.stores
	f.mu.Unlock()
	var out []*ScaledObject
	for _, s := range stores {
		for _, obj := range s.List() {
			if o, ok := obj.(*ScaledObject); ok {
				out = append(out, o)
			}
		}
	}
	return out
}

func resource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "keda.sh", Version: "v1alpha1", Resource: "scaledobjects"}
}

// served asks the API server whether it knows the kind. One that does not answer is asked again later.
func (f *Follower) served(ctx context.Context) bool {
	ask := discovery.ToDiscoveryInterfaceWithContext(f.discovery)
	list, err := ask.ServerResourcesForGroupVersionWithContext(ctx, resource().GroupVersion().String())
	if err != nil {
		return false
	}
	for i := range list.APIResources {
		if list.APIResources[i].Name == resource().Resource {
			return true
		}
	}
	return false
}

// errRefused ends the following of a kind that is not served or must not be read.
var errRefused = errors.New("refused")

// follow lists and watches until ctx is done or the API server refuses: an answer that will not change by asking again.
func (f *Follower) follow(ctx context.Context) {
	run, refuse := context.WithCancelCause(ctx)
	defer refuse(nil)
	stores := make([]cache.Store, 0, len(f.namespaces))
	var running sync.WaitGroup
	for _, ns := range f.namespaces {
		store := cache.NewStore(cache.MetaNamespaceKeyFunc)
		stores = append(stores, store)
		r := cache.NewReflectorWithOptions(f.listWatch(ns, refuse), &unstructured.Unstructured{}, records{store},
			cache.ReflectorOptions{Name: "scaledobjects " + ns, TypeDescription: "keda.sh/v1alpha1, Kind=ScaledObject"})
		running.Go(func() { r.RunWithContext(run) })
	}
	f.set(stores)
	running.Wait()
	f.set(nil)
	if cause := context.Cause(run); errors.Is(cause, errRefused) {
		f.log.InfoContext(ctx, "scaled objects of keda are not followed", "error", cause)
	}
}

func (f *Follower) set(stores []cache.Store) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stores = stores
}

func (f *Follower) listWatch(namespace string, refuse context.CancelCauseFunc) cache.ListerWatcher {
	objects := f.objects.Resource(resource()).Namespace(namespace)
	judge := func(err error) error {
		if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) || apierrors.IsMethodNotSupported(err) {
			refuse(fmt.Errorf("%w: %w", errRefused, err))
		}
		return err
	}
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			list, err := objects.List(ctx, opts)
			if err != nil {
				return nil, judge(err)
			}
			return list, nil
		},
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			w, err := objects.Watch(ctx, opts)
			if err != nil {
				return nil, judge(err)
			}
			return w, nil
		},
	}, f.objects)
}

// records keeps of every object no more than its record.
type records struct{ cache.Store }

// Add stores the record of an object.
func (r records) Add(obj any) error { return r.Store.Add(recordOf(obj)) }

// Update stores the record of an object.
func (r records) Update(obj any) error { return r.Store.Update(recordOf(obj)) }

// Delete removes the record of an object.
func (r records) Delete(obj any) error { return r.Store.Delete(recordOf(obj)) }

// Replace stores the records of a list.
func (r records) Replace(list []any, version string) error {
	out := make([]any, 0, len(list))
	for _, obj := range list {
		out = append(out, recordOf(obj))
	}
	return r.Store.Replace(out, version)
}

func recordOf(obj any) any {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return obj
	}
	out := &ScaledObject{Namespace: u.GetNamespace(), Name: u.GetName(), TargetKind: "Deployment"} // KEDA's default kind
	// What is missing or of another type is left empty, and then fits no target.
	if kind, found, err := unstructured.NestedString(u.Object, "spec", "scaleTargetRef", "kind"); err == nil && found && kind != "" {
		out.TargetKind = kind
	}
	out.TargetName, _, _ = unstructured.NestedString(u.Object, "spec", "scaleTargetRef", "name")
	annotations := u.GetAnnotations()
	_, holds := annotations[pausedReplicasAnnotation]
	out.Paused = annotations[pausedAnnotation] == "true" && !holds
	return out
}
