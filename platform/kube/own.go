package kube

import (
	"sync"
	"time"

	"k8s.io/client-go/tools/cache"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/platform/kube/internal/lag"
)

// ownWrites remembers what was written until the informers show it, so that a loop never decides on an older version
// than its own.
type ownWrites struct {
	mu        sync.Mutex
	incidents map[string]*lag.Own[*v1alpha1.Incident] // by namespace/name
	policies  map[string]*lag.Own[*v1alpha1.HealingPolicy]
	scales    map[string]*lag.Own[int32] // by workloadKey
}

func newOwnWrites() *ownWrites {
	return &ownWrites{
		incidents: map[string]*lag.Own[*v1alpha1.Incident]{},
		policies:  map[string]*lag.Own[*v1alpha1.HealingPolicy]{},
		scales:    map[string]*lag.Own[int32]{},
	}
}

// wrote notes a write under key. The lock must be held.
func wrote[T any](m map[string]*lag.Own[T], key string, value T, version, shown string, now time.Time) {
	for k, o := range m {
		if o.Done(now) {
			delete(m, k)
		}
	}
	o := m[key]
	if o == nil {
		o = &lag.Own[T]{}
		m[key] = o
	}
	o.Wrote(value, version, shown, now)
}

// over returns the own write under key where it is newer than what is shown. The lock must be held.
func over[T any](m map[string]*lag.Own[T], key, shown string, now time.Time) (value T, ok bool) {
	if o := m[key]; o != nil {
		return o.Over(shown, now)
	}
	return value, false
}

// saved notes an incident that was written while the informer showed the version shown.
func (o *ownWrites) saved(in *v1alpha1.Incident, shown string, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	wrote(o.incidents, in.Namespace+"/"+in.Name, in, in.ResourceVersion, shown, now)
}

// deleted forgets the own write of an incident that is gone. Its UID tells it from one that was created since.
func (o *ownWrites) deleted(obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	in, ok := obj.(*v1alpha1.Incident)
	if !ok {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	key := in.Namespace + "/" + in.Name
	if own := o.incidents[key]; own != nil && own.Value().UID == in.UID {
		delete(o.incidents, key)
	}
}

// incidentsOf lays the own writes about a workload over what the informer shows of it. The result must not be changed.
func (o *ownWrites) incidentsOf(shown []*v1alpha1.Incident, w cluster.Ref, now time.Time) []*v1alpha1.Incident {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []*v1alpha1.Incident
	seen := make(map[string]bool, len(shown))
	for _, in := range shown {
		key := in.Namespace + "/" + in.Name
		seen[key] = true
		if own, ok := over(o.incidents, key, in.ResourceVersion, now); ok {
			in = own
		}
		out = append(out, in)
	}
	for key, own := range o.incidents {
		in, ok := own.Over("", now)
		if ok && !seen[key] && in.Namespace == w.Namespace && in.Status.Workload.Kind == w.Kind && in.Status.Workload.Name == w.Name {
			out = append(out, in)
		}
	}
	return out
}

// allIncidents lays the own writes over all that the informer shows. The result must not be changed.
func (o *ownWrites) allIncidents(shown []*v1alpha1.Incident, now time.Time) []*v1alpha1.Incident {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := make([]*v1alpha1.Incident, 0, len(shown))
	seen := make(map[string]bool, len(shown))
	for _, in := range shown {
		key := in.Namespace + "/" + in.Name
		seen[key] = true
		if own, ok := over(o.incidents, key, in.ResourceVersion, now); ok {
			in = own
		}
		out = append(out, in)
	}
	for key, own := range o.incidents {
		if own.Done(now) { // every pass asks, so that a quiet cluster keeps none
			delete(o.incidents, key)
			continue
		}
		if in, ok := own.Over("", now); ok && !seen[key] {
			out = append(out, in)
		}
	}
	return out
}

// incident returns the newest known version of an incident; shown is what the informer shows, nil for nothing.
func (o *ownWrites) incident(namespace, name string, shown *v1alpha1.Incident, now time.Time) *v1alpha1.Incident {
	o.mu.Lock()
	defer o.mu.Unlock()
	version := ""
	if shown != nil {
		version = shown.ResourceVersion
	}
	if own, ok := over(o.incidents, namespace+"/"+name, version, now); ok {
		return own
	}
	return shown
}

// charged notes a HealingPolicy that was written while the informer showed the version shown.
func (o *ownWrites) charged(p *v1alpha1.HealingPolicy, shown string, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	wrote(o.policies, p.Namespace+"/"+p.Name, p, p.ResourceVersion, shown, now)
}

// policy returns the newest known version of a HealingPolicy.
func (o *ownWrites) policy(shown *v1alpha1.HealingPolicy, now time.Time) *v1alpha1.HealingPolicy {
	o.mu.Lock()
	defer o.mu.Unlock()
	if own, ok := over(o.policies, shown.Namespace+"/"+shown.Name, shown.ResourceVersion, now); ok && own.UID == shown.UID {
		return own
	}
	return shown
}

// scaled notes that a target's number of replicas was written, while the informer showed the version shown.
func (o *ownWrites) scaled(target cluster.Ref, replicas int32, shown string, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	// Which version the target has now is not known, so that any other than the one shown counts as newer. If it is not,
	// the API server refuses the next scaling as coming from the wrong number.
	wrote(o.scales, workloadKey(target), replicas, "unknown", shown, now)
}

// replicas returns the number that the target asks for.
func (o *ownWrites) replicas(target cluster.Ref, shown int32, version string, now time.Time) int32 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if own, ok := over(o.scales, workloadKey(target), version, now); ok {
		return own
	}
	return shown
}
