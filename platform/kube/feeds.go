package kube

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/platform/kube/view"
)

// feed is one informer: the objects of one kind in one namespace, or in all.
type feed struct {
	kind     string
	informer cache.SharedIndexInformer
	link     *link
	// optional is true where the view does without when it must not be read, or is not served.
	optional bool
	refused  chan struct{} // closed when that was first seen
	said     sync.Once
}

// synced reports whether the first list is complete, or will not come.
func (f *feed) synced() bool { return f.informer.HasSynced() || f.link.isExcused() }

// failed notes why the feed cannot be read. What the API server refuses of an optional one is said once.
func (f *feed) failed(ctx context.Context, log *slog.Logger, err error) {
	f.link.failed(err)
	if !f.optional || !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) && !apierrors.IsMethodNotSupported(err) {
		return
	}
	f.link.excuse()
	f.said.Do(func() {
		close(f.refused)
		log.WarnContext(ctx, "kind must not be read, so that what it would tell is not known", "kind", f.link.name, "error", err)
	})
}

// feeds are the informers by kind; with a list of namespaces there are several of a kind.
type feeds struct {
	all []*feed

	pods, owners, history, nodes     []*feed
	services, slices, budgets        []*feed
	natives                          []*feed
	autoscalers, policies, incidents []*feed
}

// lister is the half of a typed client that an informer needs.
type lister[L runtime.Object] interface {
	List(ctx context.Context, opts metav1.ListOptions) (L, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}

// listWatch reads through the typed client and lets the link follow its watches. A field selector may be empty.
func listWatch[L runtime.Object](c lister[L], l *link, selector string) cache.ListerWatcher {
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			opts.FieldSelector = selector
			return c.List(ctx, opts)
		},
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			opts.FieldSelector = selector
			w, err := c.Watch(ctx, opts)
			if err != nil {
				l.failed(err)
				return nil, err
			}
			return l.follow(w, opts), nil
		},
	}, c)
}

// watchKind makes the informer of one kind.
func watchKind[L runtime.Object](p *Platform, kind, namespace string, c lister[L], example runtime.Object, indexers cache.Indexers) (*feed, error) {
	name := kind
	if namespace != "" {
		name += " in " + namespace
	}
	f := &feed{kind: kind, link: p.contact.link(name, time.Now()), refused: make(chan struct{})}
	f.informer = cache.NewSharedIndexInformer(listWatch(c, f.link, ""), example, 0, indexers)
	err := f.informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) {
		// Said by whoever waits for the view, and told by its age: not logged at every try.
		f.failed(ctx, p.log, err)
	})
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", name, err)
	}
	if err := f.informer.SetTransform(p.transform); err != nil {
		return nil, fmt.Errorf("watch %s: %w", name, err)
	}
	p.feeds.all = append(p.feeds.all, f)
	return f, nil
}

// watchOptional makes the informer of a kind that the view can do without.
func watchOptional[L runtime.Object](p *Platform, kind, namespace string, c lister[L], example runtime.Object, indexers cache.Indexers) (*feed, error) {
	f, err := watchKind(p, kind, namespace, c, example, indexers)
	if err == nil {
		f.optional = true
	}
	return f, err
}

// transform replaces objects by records, and strips the own ones of what nobody reads.
func (p *Platform) transform(obj any) (any, error) {
	out, err := p.records.Transform(obj)
	if o, ok := out.(metav1.Object); ok && o.GetManagedFields() != nil {
		o.SetManagedFields(nil)
	}
	return out, err //nolint:wrapcheck // it has no error of its own
}

// openFeeds makes every informer; nothing runs yet.
func (p *Platform) openFeeds() error {
	var err error
	add := func(list *[]*feed, open func() (*feed, error)) {
		if err != nil {
			return
		}
		var f *feed
		if f, err = open(); err == nil {
			*list = append(*list, f)
		}
	}
	core, own := p.clients.core, p.clients.own
	add(&p.feeds.nodes, func() (*feed, error) {
		return watchKind(p, "nodes", "", core.CoreV1().Nodes(), &corev1.Node{}, nil)
	})
	for _, ns := range p.namespaces() {
		add(&p.feeds.pods, func() (*feed, error) {
			return watchKind(p, "pods", ns, core.CoreV1().Pods(ns), &corev1.Pod{}, byNamespace())
		})
		add(&p.feeds.owners, func() (*feed, error) {
			return watchKind(p, "deployments.apps", ns, core.AppsV1().Deployments(ns), &appsv1.Deployment{}, nil)
		})
		add(&p.feeds.owners, func() (*feed, error) {
			return watchKind(p, "replicasets.apps", ns, core.AppsV1().ReplicaSets(ns), &appsv1.ReplicaSet{}, cache.Indexers{controllerIndex: byController})
		})
		add(&p.feeds.owners, func() (*feed, error) {
			return watchKind(p, "statefulsets.apps", ns, core.AppsV1().StatefulSets(ns), &appsv1.StatefulSet{}, nil)
		})
		add(&p.feeds.owners, func() (*feed, error) {
			return watchKind(p, "daemonsets.apps", ns, core.AppsV1().DaemonSets(ns), &appsv1.DaemonSet{}, nil)
		})
		add(&p.feeds.owners, func() (*feed, error) {
			return watchKind(p, "jobs.batch", ns, core.BatchV1().Jobs(ns), &batchv1.Job{}, nil)
		})
		add(&p.feeds.history, func() (*feed, error) {
			return watchOptional(p, "controllerrevisions.apps", ns, core.AppsV1().ControllerRevisions(ns), &appsv1.ControllerRevision{}, nil)
		})
		add(&p.feeds.services, func() (*feed, error) {
			return watchOptional(p, "services", ns, core.CoreV1().Services(ns), &corev1.Service{}, nil)
		})
		add(&p.feeds.slices, func() (*feed, error) {
			return watchOptional(p, "endpointslices.discovery.k8s.io", ns, core.DiscoveryV1().EndpointSlices(ns), &discoveryv1.EndpointSlice{}, nil)
		})
		add(&p.feeds.budgets, func() (*feed, error) {
			return watchOptional(p, "poddisruptionbudgets.policy", ns, core.PolicyV1().PodDisruptionBudgets(ns), &policyv1.PodDisruptionBudget{}, nil)
		})
		add(&p.feeds.natives, func() (*feed, error) {
			return watchKind(p, "horizontalpodautoscalers.autoscaling", ns, core.AutoscalingV2().HorizontalPodAutoscalers(ns),
				&autoscalingv2.HorizontalPodAutoscaler{}, byNamespace())
		})
		add(&p.feeds.autoscalers, func() (*feed, error) {
			return watchKind(p, "autoscalers.homeostat.dev", ns, own.Autoscalers(ns), &v1alpha1.Autoscaler{}, byNamespace())
		})
		add(&p.feeds.policies, func() (*feed, error) {
			return watchKind(p, "healingpolicies.homeostat.dev", ns, own.HealingPolicies(ns), &v1alpha1.HealingPolicy{}, byNamespace())
		})
		add(&p.feeds.incidents, func() (*feed, error) {
			return watchKind(p, "incidents.homeostat.dev", ns, own.Incidents(ns), &v1alpha1.Incident{}, cache.Indexers{workloadIndex: incidentWorkload})
		})
	}
	if home := p.opts.SelfNamespace; home != "" && !p.watches(home) { // the incidents about nodes and the cluster are there
		add(&p.feeds.incidents, func() (*feed, error) {
			return watchOptional(p, "incidents.homeostat.dev", home, own.Incidents(home), &v1alpha1.Incident{}, cache.Indexers{workloadIndex: incidentWorkload})
		})
	}
	return err
}

// eventReflectors feed the store of events. They are no part of the view: an event is evidence and never a trigger, so
// that nothing waits for them.
func (p *Platform) eventReflectors() []*cache.Reflector {
	var out []*cache.Reflector
	elsewhere := newContact(time.Now())
	for _, ns := range p.namespaces() {
		for _, selector := range view.EventSelectors() {
			l := elsewhere.link("events", time.Now())
			out = append(out, cache.NewReflectorWithOptions(
				listWatch(p.clients.core.CoreV1().Events(ns), l, selector), &corev1.Event{}, p.events,
				cache.ReflectorOptions{Name: strings.TrimSpace("events " + selector + " " + ns)},
			))
		}
	}
	return out
}

// followNodeEvents feeds the store with the events about nodes until ctx is done. They are in a namespace of their own, which
// is read also where only some namespaces are watched. Where that must not be read, it is said once.
func (p *Platform) followNodeEvents(ctx context.Context) {
	run, refuse := context.WithCancelCause(ctx)
	defer refuse(nil)
	l := newContact(time.Now()).link("events about nodes", time.Now())
	events := listWatch(&refusable{p.clients.core.CoreV1().Events(view.NodeEventNamespace), refuse}, l, view.NodeEventSelector)
	cache.NewReflectorWithOptions(events, &corev1.Event{}, p.events, cache.ReflectorOptions{Name: "events about nodes"}).RunWithContext(run)
	if err := context.Cause(run); apierrors.IsForbidden(err) && ctx.Err() == nil {
		p.log.WarnContext(ctx, "events about nodes must not be read, so that they are no evidence",
			"namespace", view.NodeEventNamespace, "error", err)
	}
}

// refusable ends the run when the list is refused: an answer that will not change by asking again.
type refusable struct {
	lister[*corev1.EventList]

	refuse context.CancelCauseFunc
}

// List lists the events.
func (r *refusable) List(ctx context.Context, opts metav1.ListOptions) (*corev1.EventList, error) {
	list, err := r.lister.List(ctx, opts)
	return list, r.judge(err)
}

// Watch watches the events.
func (r *refusable) Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	w, err := r.lister.Watch(ctx, opts)
	return w, r.judge(err)
}

func (r *refusable) judge(err error) error {
	if apierrors.IsForbidden(err) {
		r.refuse(err)
	}
	return err
}

// namespaces returns what to watch; an empty name is all.
func (p *Platform) namespaces() []string {
	if len(p.opts.Namespaces) == 0 {
		return []string{metav1.NamespaceAll}
	}
	return p.opts.Namespaces
}

// watches reports whether the workloads of the namespace are watched.
func (p *Platform) watches(namespace string) bool {
	return len(p.opts.Namespaces) == 0 || slices.Contains(p.opts.Namespaces, namespace)
}

const (
	namespaceIndex  = "namespace"
	workloadIndex   = "workload"
	controllerIndex = "controller"
)

func byNamespace() cache.Indexers {
	return cache.Indexers{namespaceIndex: cache.MetaNamespaceIndexFunc}
}

// byController indexes owners by the UID of what controls them.
func byController(obj any) ([]string, error) {
	o, ok := obj.(*view.Owner)
	if !ok {
		return nil, fmt.Errorf("index owner: got a %T", obj)
	}
	if o.Controller.UID == "" {
		return nil, nil
	}
	return []string{o.Controller.UID}, nil
}

// incidentWorkload indexes incidents by their workload.
func incidentWorkload(obj any) ([]string, error) {
	in, ok := obj.(*v1alpha1.Incident)
	if !ok {
		return nil, fmt.Errorf("index incident: got a %T", obj)
	}
	return []string{workloadKey(cluster.Ref{Kind: in.Status.Workload.Kind, Namespace: in.Namespace, Name: in.Status.Workload.Name})}, nil
}

// workloadKey names a workload whatever its UID.
func workloadKey(r cluster.Ref) string { return r.Kind + "/" + r.Namespace + "/" + r.Name }

// records returns what the feeds hold.
func records[T any](list []*feed) []T {
	var out []T
	for _, f := range list {
		for _, obj := range f.informer.GetStore().List() {
			if r, ok := obj.(T); ok {
				out = append(out, r)
			}
		}
	}
	return out
}

// indexed returns what the feeds hold under one value of an index.
func indexed[T any](list []*feed, index, value string) []T {
	var out []T
	for _, f := range list {
		objs, err := f.informer.GetIndexer().ByIndex(index, value)
		if err != nil {
			continue // the index does not exist, which no caller asks for
		}
		for _, obj := range objs {
			if r, ok := obj.(T); ok {
				out = append(out, r)
			}
		}
	}
	return out
}

// named returns the object of that name, the zero value if there is none. want tells kinds apart that share a list; nil wants any.
func named[T any](list []*feed, namespace, name string, want func(T) bool) (found T, ok bool) {
	key := cache.NewObjectName(namespace, name).String()
	for _, f := range list {
		obj, exists, err := f.informer.GetStore().GetByKey(key)
		if err != nil || !exists {
			continue
		}
		if r, is := obj.(T); is && (want == nil || want(r)) {
			return r, true
		}
	}
	return found, false
}
