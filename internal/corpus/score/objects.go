package score

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/corpus"
	"github.com/homeostat/homeostat/metrics"
	"github.com/homeostat/homeostat/platform/kube/view"
)

// objects are what a watcher knows at one time of a recording: the API server's objects and the product's records of them.
type objects struct {
	records *view.Records
	events  *view.Events
	notes   *view.Notes
	store   *metrics.Store

	kept    map[string]any           // records by UID
	raw     map[string]metav1.Object // objects by UID
	healthy map[string]bool          // UIDs of ReplicaSets that once had all replicas ready
}

func newObjects(store *metrics.Store) *objects {
	return &objects{
		records: view.NewRecords(), events: view.NewEvents(), notes: view.NewNotes(), store: store,
		kept: map[string]any{}, raw: map[string]metav1.Object{}, healthy: map[string]bool{},
	}
}

// object is a recorded object of the API server.
type object interface{ metav1.Object }

// blank returns an empty object of the kind, nil for a kind that is not read.
func blank(kind string) object {
	switch kind {
	case "Pod":
		return &corev1.Pod{}
	case "Node":
		return &corev1.Node{}
	case "Event":
		return &corev1.Event{}
	case "Service":
		return &corev1.Service{}
	case "Deployment":
		return &appsv1.Deployment{}
	case "ReplicaSet":
		return &appsv1.ReplicaSet{}
	case "StatefulSet":
		return &appsv1.StatefulSet{}
	case "DaemonSet":
		return &appsv1.DaemonSet{}
	case "ControllerRevision":
		return &appsv1.ControllerRevision{}
	case "Job":
		return &batchv1.Job{}
	case "HorizontalPodAutoscaler":
		return &autoscalingv2.HorizontalPodAutoscaler{}
	case "PodDisruptionBudget":
		return &policyv1.PodDisruptionBudget{}
	case "EndpointSlice":
		return &discoveryv1.EndpointSlice{}
	default:
		return nil
	}
}

// take brings the objects up to date with one line of a recording.
func (o *objects) take(l *corpus.Line) error {
	switch {
	case l.Usage != nil:
		o.measure(l.Usage, l.At)
		return nil
	case len(l.Object) == 0:
		return nil
	}
	obj := blank(l.Kind)
	if obj == nil {
		return nil
	}
	if err := json.Unmarshal(l.Object, obj); err != nil {
		return fmt.Errorf("read %s: %w", l.Kind, err)
	}
	if ev, is := obj.(*corev1.Event); is {
		if !selected(ev) || l.Type == corpus.Deleted {
			return nil
		}
		return o.events.Add(ev)
	}
	uid := string(obj.GetUID())
	if l.Type == corpus.Deleted {
		o.remove(uid)
		return nil
	}
	o.raw[uid] = obj
	if rs, is := obj.(*appsv1.ReplicaSet); is && rs.Status.ReadyReplicas > 0 && rs.Status.ReadyReplicas == rs.Status.Replicas {
		o.healthy[uid] = true
	}
	record, err := o.records.Transform(obj)
	if err != nil {
		return fmt.Errorf("read %s: %w", l.Kind, err)
	}
	o.notes.Changed(o.kept[uid], record, l.At)
	o.kept[uid] = record
	return nil
}

func (o *objects) remove(uid string) {
	if p, is := o.kept[uid].(*view.Pod); is {
		o.store.Forget(p.Namespace, p.Name)
	}
	o.notes.Deleted(uid)
	delete(o.kept, uid)
	delete(o.raw, uid)
}

// measure stores a line of usage as the kubelet's scraper would.
func (o *objects) measure(u *corpus.Usage, at time.Time) {
	key := metrics.Key{Namespace: u.Namespace, Pod: u.Pod, Container: u.Container}
	if !u.SampledAt.IsZero() && u.WorkingSet > 0 {
		// The resident memory first: a step of the trend is made with what is known by then.
		o.store.AddResident(key, u.Life, u.SampledAt, u.RSS)
		o.store.Add(key, u.Node, metrics.Sample{
			At: u.SampledAt, CPUSeconds: u.CPUSeconds, MemoryBytes: u.WorkingSet, Start: u.StartedAt,
		})
	}
	o.store.AddOOMEvents(key, u.Life, at.Truncate(time.Second), float64(u.OOMEvents))
	if u.CFSPeriods > 0 {
		o.store.AddThrottling(key, u.Life, at.Truncate(time.Second), float64(u.CFSPeriods), float64(u.CFSThrottled))
	}
}

// selected reports whether one of the product's watches of events delivers the event.
func selected(ev *corev1.Event) bool {
	if ev.InvolvedObject.Kind == "Node" {
		return true // all events about nodes are watched
	}
	for _, selector := range view.EventSelectors() {
		field, value, _ := strings.Cut(selector, "=")
		if field == "type" && ev.Type == value || field == "reason" && ev.Reason == value {
			return true
		}
	}
	return false
}

// snapshot is the product's view of the objects. The recorded cluster can resize running pods.
func (o *objects) snapshot(now time.Time) *cluster.Snapshot {
	natives := of[*view.NativeHPA](o)
	slices.SortStableFunc(natives, func(a, b *view.NativeHPA) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.Name, b.Name))
	})
	scalings := make([]view.Scaling, len(natives))
	for i, n := range natives {
		scalings[i] = n.Scaling()
	}
	out := view.Snapshot(view.Sources{
		Pods: of[*view.Pod](o), Owners: of[*view.Owner](o), History: of[*view.History](o), Nodes: of[*view.Node](o),
		Services: of[*view.Service](o), Slices: of[*view.Slice](o), EndpointsKnown: true, Budgets: of[*view.Budget](o),
		Scalings: scalings, Resizable: true, Events: o.events, Notes: o.notes,
		OOM: func(namespace, pod, container string) (int64, time.Time, bool) {
			count, at, known := o.store.OOMEvents(metrics.Key{Namespace: namespace, Pod: pod, Container: container})
			return int64(count), at, known
		},
		Throttled: func(namespace, pod, container string) (float64, bool) {
			return o.store.Throttled(metrics.Key{Namespace: namespace, Pod: pod, Container: container}, now)
		},
	}, now)
	out.Synced, out.Stale = true, 0
	slices.SortFunc(out.Workloads, func(a, b *cluster.Workload) int { return cmp.Compare(a.Ref.String(), b.Ref.String()) })
	return out
}

// of returns the records of one type in the order of their UIDs, so that a replay does not depend on chance.
func of[T any](o *objects) []T {
	var out []T
	for _, uid := range slices.Sorted(maps.Keys(o.kept)) {
		if record, is := o.kept[uid].(T); is {
			out = append(out, record)
		}
	}
	return out
}
