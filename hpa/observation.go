package hpa

import (
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

// Observation is what one decision is made from.
type Observation struct {
	// Current is the number of replicas that the target's spec asks for now (scale.spec.replicas).
	Current int32 `json:"current"`
	// Replicas are all replicas that the target's selector matches, each once.
	Replicas []Replica `json:"replicas"`
	// Incident names an open incident of the workload; empty: there is none.
	Incident string `json:"incident,omitempty"`
	// Unavailable is set when nothing at all can be said about usage, and says why (no node could be scraped, say).
	Unavailable string `json:"unavailable,omitempty"`
}

// Replica is what a decision needs to know of one replica.
type Replica struct {
	Name  string        `json:"name"`
	Phase cluster.Phase `json:"phase"`
	// Deleting is true once its deletion was asked for.
	Deleting bool `json:"deleting,omitempty"`
	// StartedAt is the pod's status.startTime; zero: not yet.
	StartedAt time.Time `json:"startedAt,omitzero"`
	// Ready is the Ready condition; ReadySince its last transition; ReadyKnown false where there is no such condition.
	Ready      bool      `json:"ready"`
	ReadyKnown bool      `json:"readyKnown"`
	ReadySince time.Time `json:"readySince,omitzero"`
	// ReadyUnknown is true where the condition is there and its status is Unknown. Kubernetes takes only the status
	// False for not ready, so such a replica is counted.
	ReadyUnknown bool `json:"readyUnknown,omitempty"`
	// CrashLooping is true while a container of it is in the back-off of a crash loop.
	CrashLooping bool  `json:"crashLooping,omitempty"`
	CPU          Usage `json:"cpu"`
	Memory       Usage `json:"memory"`
}

// Usage of one resource by one replica: the sum over its containers.
type Usage struct {
	// Known is false where there is no usable sample; Why says the reason (Missing, Stale, TooFewSamples, NodeUnreachable).
	Known bool   `json:"known"`
	Why   string `json:"why,omitempty"`
	// Value in thousandths of a core or bytes. Kubernetes rounds each container's CPU up to a thousandth before it sums.
	Value int64 `json:"value,omitempty"`
	// Request in the same unit, the sum over the containers; 0 with RequestMissing set to the name of a container that has
	// none. It comes from the spec and is wanted where there is no sample, too: a replica that is pending or missing
	// is counted with it.
	Request        int64  `json:"request,omitempty"`
	RequestMissing string `json:"requestMissing,omitempty"`
	// At is the sample's time and Window the span it covers.
	At     time.Time     `json:"at,omitzero"`
	Window time.Duration `json:"window,omitempty"`
}

// usage returns the replica's usage of a resource.
func (r *Replica) usage(of Resource) *Usage {
	if of == Memory {
		return &r.Memory
	}
	return &r.CPU
}

// capacity says what a replica is to one metric.
type capacity int

const (
	capacityReady   capacity = iota // counted with its usage
	capacityUnready                 // left out; idle capacity when the others ask for more
	capacityMissing                 // no sample: idle when the others ask for more, busy when they ask for less
	capacityIgnored                 // going or gone
)

// capacity sorts the replica for a metric of the resource and says why, in two or three words, unless it is ready.
func (r *Replica) capacity(of Resource, p *Policy, now time.Time) (kind capacity, why string) {
	switch {
	case r.Deleting:
		return capacityIgnored, "deleting"
	case r.Phase == cluster.PhaseFailed:
		return capacityIgnored, "failed"
	case r.CrashLooping && p.Health.CrashLoopIsNoCapacity:
		return capacityUnready, "crash loop"
	case r.Phase == cluster.PhasePending:
		return capacityUnready, "pending"
	}
	u := r.usage(of)
	if !u.Known {
		if u.Why == "" {
			return capacityMissing, "no sample"
		}
		return capacityMissing, u.Why
	}
	if of != CPU {
		return capacityReady, ""
	}
	if why := r.warmingUp(u, p, now); why != "" {
		return capacityUnready, why
	}
	return capacityReady, ""
}

// warmingUp says why the CPU usage does not show the load yet: work at the start is not load. Empty: it does.
func (r *Replica) warmingUp(u *Usage, p *Policy, now time.Time) string {
	if !r.ReadyKnown || r.StartedAt.IsZero() {
		return "readiness not known"
	}
	notReady := !r.Ready && !r.ReadyUnknown
	if r.StartedAt.Add(p.CPUInitializationPeriod).After(now) {
		switch {
		case notReady:
			return "starting, not ready"
		case u.At.Before(r.ReadySince.Add(u.Window)):
			return "no full sample since it became ready"
		}
		return ""
	}
	if notReady && r.StartedAt.Add(p.InitialReadinessDelay).After(r.ReadySince) {
		return "never ready"
	}
	return ""
}
