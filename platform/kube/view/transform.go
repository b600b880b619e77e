package view

import (
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// maxInterned bounds the memory of one table of shared strings, to about 10 MB of label sets where every Job has its own; a full
// table starts anew.
const maxInterned = 1 << 14

// Records makes records. Strings and label sets that many objects have in common are kept once. It is safe for
// concurrent use; make one with NewRecords.
type Records struct {
	mu      sync.Mutex
	strings map[string]string
	labels  map[string]map[string]string
	limits  map[string]map[string]int64
}

// NewRecords returns a maker of records.
func NewRecords() *Records {
	return &Records{strings: map[string]string{}, labels: map[string]map[string]string{}, limits: map[string]map[string]int64{}}
}

var _ cache.TransformFunc = (*Records)(nil).Transform

// Transform replaces an object by its record. What has no record, and what is a record already, is returned as it is.
func (r *Records) Transform(obj any) (any, error) {
	switch o := obj.(type) {
	case *corev1.Pod:
		return r.Pod(o), nil
	case *corev1.Node:
		return r.Node(o), nil
	case *appsv1.Deployment:
		return r.withWriters(r.deployment(o), o), nil
	case *appsv1.ReplicaSet:
		return r.withWriters(r.replicaSet(o), o), nil
	case *appsv1.StatefulSet:
		return r.withWriters(r.statefulSet(o), o), nil
	case *appsv1.DaemonSet:
		return r.daemonSet(o), nil
	case *batchv1.Job:
		return r.job(o), nil
	case *appsv1.ControllerRevision:
		return r.history(o), nil
	case *corev1.Service:
		return r.service(o), nil
	case *discoveryv1.EndpointSlice:
		return r.slice(o), nil
	case *policyv1.PodDisruptionBudget:
		return r.budget(o), nil
	case *autoscalingv2.HorizontalPodAutoscaler:
		return r.native(o), nil
	default:
		return obj, nil
	}
}

// intern returns a string equal to s that is kept once for all records.
func (r *Records) intern(s string) string {
	if s == "" {
		return ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.strings[s]; ok {
		return known
	}
	if len(r.strings) >= maxInterned {
		r.strings = map[string]string{}
	}
	s = strings.Clone(s)
	r.strings[s] = s
	return s
}

// internLabels returns a map equal to m that is kept once; it must not be changed.
func (r *Records) internLabels(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var b strings.Builder
	for _, k := range keys {
		b.WriteString(k)
		b.WriteByte(0)
		b.WriteString(m[k])
		b.WriteByte(0)
	}
	key := b.String()
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.labels[key]; ok {
		return known
	}
	if len(r.labels) >= maxInterned {
		r.labels = map[string]map[string]string{}
	}
	own := make(map[string]string, len(m))
	for _, k := range keys {
		own[strings.Clone(k)] = strings.Clone(m[k])
	}
	r.labels[key] = own
	return own
}

// internLimits returns a map equal to m that is kept once; it must not be changed.
func (r *Records) internLimits(m map[string]int64) map[string]int64 {
	var key []byte
	for _, name := range slices.Sorted(maps.Keys(m)) {
		key = append(key, name...)
		key = strconv.AppendInt(append(key, 0), m[name], 10)
		key = append(key, 0)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.limits[string(key)]; ok {
		return known
	}
	if len(r.limits) >= maxInterned {
		r.limits = map[string]map[string]int64{}
	}
	r.limits[string(key)] = m
	return m
}

// internList returns a list of interned strings, nil for an empty one.
func (r *Records) internList(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = r.intern(s)
	}
	return out
}

func (r *Records) meta(o metav1.Object) Meta {
	return Meta{
		Namespace: r.intern(o.GetNamespace()), Name: o.GetName(), UID: string(o.GetUID()), Version: o.GetResourceVersion(),
	}
}

// controller returns the owner that controls the object.
func (r *Records) controller(o metav1.Object) Controller {
	ref := metav1.GetControllerOfNoCopy(o)
	if ref == nil {
		return Controller{}
	}
	return Controller{Kind: r.intern(ref.Kind), Name: r.intern(ref.Name), UID: r.intern(string(ref.UID))}
}

// utc returns the zero time for a time that is not set.
func utc(t metav1.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}

// utcPtr is utc for an optional time.
func utcPtr(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return utc(*t)
}
