package kube

import (
	"sync"
	"time"

	"k8s.io/client-go/tools/cache"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/internal/cluster"
)

// ownFor is how long an own write stands in for an informer that does not show it. An informer that lists anew can step
// over a version; a compare-and-swap guards every write in any case.
const ownFor = 30 * time.Second

// ownWrites remembers what was written until the informers show it, so that a loop never decides on an older version
// than its own. Versions are compared for equality only.
type ownWrites struct {
	mu        sync.Mutex
	incidents map[string]ownIncident // by namespace/name
	policies  map[string]ownPolicy
	scales    map[string]ownScale // by workloadKey
}

type ownIncident struct {
	object *v1alpha1.Incident
	at     time.Time
}

type ownPolicy struct {
	object *v1alpha1.HealingPolicy
	over   string // the version that the informer showed then
	at     time.Time
}

type ownScale struct {
	replicas int32
	over     string // the version that the informer showed then
	at       time.Time
}

func newOwnWrites() *ownWrites {
	return &ownWrites{incidents: map[string]ownIncident{}, policies: map[string]ownPolicy{}, scales: map[string]ownScale{}}
}

func (o *ownWrites) saved(in *v1alpha1.Incident, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.incidents[in.Namespace+"/"+in.Name] = ownIncident{in, now}
}

// caughtUp drops the own write that the informer shows now.
func (o *ownWrites) caughtUp(obj any) {
	in, ok := obj.(*v1alpha1.Incident)
	if !ok {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	key := in.Namespace + "/" + in.Name
	if own, ok := o.incidents[key]; ok && own.object.ResourceVersion == in.ResourceVersion {
		delete(o.incidents, key)
	}
}

// deleted drops the own write of an incident that is gone. Its UID tells it from one that was created since.
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
	if own, ok := o.incidents[key]; ok && own.object.UID == in.UID {
		delete(o.incidents, key)
	}
}

// over lays the own writes about a workload over what the informer shows of it. The result must not be changed.
func (o *ownWrites) over(cached []*v1alpha1.Incident, w cluster.Ref, now time.Time) []*v1alpha1.Incident {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []*v1alpha1.Incident
	seen := map[string]bool{}
	for _, in := range cached {
		key := in.Namespace + "/" + in.Name
		seen[key] = true
		if own, ok := o.incidents[key]; ok && now.Sub(own.at) < ownFor {
			in = own.object
		}
		out = append(out, in)
	}
	for key, own := range o.incidents {
		if now.Sub(own.at) >= ownFor {
			delete(o.incidents, key)
			continue
		}
		s := &own.object.Status
		if !seen[key] && own.object.Namespace == w.Namespace && s.Workload.Kind == w.Kind && s.Workload.Name == w.Name {
			out = append(out, own.object)
		}
	}
	return out
}

// incident returns the newest known version, nil if none is known.
func (o *ownWrites) incident(namespace, name string, cached *v1alpha1.Incident) *v1alpha1.Incident {
	o.mu.Lock()
	defer o.mu.Unlock()
	if own, ok := o.incidents[namespace+"/"+name]; ok {
		return own.object
	}
	return cached
}

func (o *ownWrites) charged(p *v1alpha1.HealingPolicy, over string, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.policies[p.Namespace+"/"+p.Name] = ownPolicy{p, over, now}
}

// policy returns the newer of both versions of a HealingPolicy.
func (o *ownWrites) policy(cached *v1alpha1.HealingPolicy, now time.Time) *v1alpha1.HealingPolicy {
	o.mu.Lock()
	defer o.mu.Unlock()
	key := cached.Namespace + "/" + cached.Name
	own, ok := o.policies[key]
	switch {
	case !ok:
		return cached
	case own.over == cached.ResourceVersion && own.object.UID == cached.UID && now.Sub(own.at) < ownFor:
		return own.object
	default:
		delete(o.policies, key)
		return cached
	}
}

func (o *ownWrites) scaled(target cluster.Ref, replicas int32, over string, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.scales[workloadKey(target)] = ownScale{replicas, over, now}
}

// replicas returns the number that the target asks for: what was written, as long as the informer shows the version
// from before.
func (o *ownWrites) replicas(target cluster.Ref, cached int32, version string, now time.Time) int32 {
	o.mu.Lock()
	defer o.mu.Unlock()
	key := workloadKey(target)
	own, ok := o.scales[key]
	switch {
	case !ok:
		return cached
	case own.over == version && now.Sub(own.at) < ownFor:
		return own.replicas
	default:
		delete(o.scales, key)
		return cached
	}
}
