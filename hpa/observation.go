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
	// StatusReplicas is the number of replicas that exist (scale.status.replicas). Object, External and Prometheus metrics
	// with a target per replica divide by it.
	StatusReplicas int32 `json:"statusReplicas"`
	// ScaledToZero is true where the target has zero replicas because a decision said so (the condition ScaledToZero of its
	// status), so that a metric may bring it back. Zero replicas of anybody else's making switch scaling off.
	ScaledToZero bool `json:"scaledToZero,omitempty"`
	// Selector says why the target's replicas cannot be told from those of others; its Reason is InvalidSelector or
	// AmbiguousSelector. Nil: they can.
	Selector *Fault `json:"selector,omitempty"`
	// Readings are the values of all metrics but those of type Resource, which are in the replicas. One that is not here
	// cannot be computed.
	Readings []Reading `json:"readings,omitempty"`
	// Floor raises the minimum for now; nil: nothing does.
	Floor *Floor `json:"floor,omitempty"`
	// Rollout is the state of a rollout that is under way; nil: none is.
	Rollout *Rollout `json:"rollout,omitempty"`
	// Shortage says that replicas cannot be placed; nil: as far as is known they can.
	Shortage *Fault `json:"shortage,omitempty"`
	// Incident names an open incident of the workload; empty: there is none.
	Incident string `json:"incident,omitempty"`
	// Unavailable is set when nothing at all can be said about usage, and says why (no node could be scraped, say).
	Unavailable string `json:"unavailable,omitempty"`
}

// Fault is something that stands in the way: one word of a bounded set and one plain sentence.
type Fault struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// The reasons of Observation.Selector and Observation.Shortage.
const (
	FaultInvalidSelector   = "InvalidSelector"   // the target's selector cannot be read
	FaultAmbiguousSelector = "AmbiguousSelector" // another autoscaler's selector matches one of the replicas too
	FaultUnschedulable     = "Unschedulable"     // the scheduler finds no node for a replica
	FaultQuotaExceeded     = "QuotaExceeded"     // a quota refuses more replicas
)

// Floor raises the minimum, at most to Policy.Max.
type Floor struct {
	Replicas int32 `json:"replicas"`
	// By names what raises it, such as "schedule office-hours".
	By string `json:"by"`
}

// Rollout is a rollout that is under way.
type Rollout struct {
	// Revision that is being rolled out; New is how many replicas have it and Ready how many of those are ready.
	Revision string `json:"revision,omitempty"`
	New      int32  `json:"new"`
	Ready    int32  `json:"ready"`
	// Failing says in one sentence how the new replicas fail; empty: they do not.
	Failing string `json:"failing,omitempty"`
}

// Reading is what a source has delivered.
type Reading struct {
	Source Source `json:"source"`
	// From says where it was read, such as "custom.metrics.k8s.io" or "app /metrics".
	From string `json:"from,omitempty"`
	// Known is false where the source as a whole has delivered nothing that is usable; Why says the reason.
	Known bool   `json:"known"`
	Why   string `json:"why,omitempty"`
	// Value of an Object, External or Prometheus metric in thousandths, the sum where the source has several.
	Value int64 `json:"value,omitempty"`
	// Replicas has the value of each replica (Pods in thousandths; ContainerResource in thousandths of a core or bytes), in
	// the order of Observation.Replicas and as long; nil for the other types.
	Replicas []Usage `json:"replicas,omitempty"`
	// At is the time of the value and Window the span that it covers.
	At     time.Time     `json:"at,omitzero"`
	Window time.Duration `json:"window,omitempty"`
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
	CrashLooping bool `json:"crashLooping,omitempty"`
	// OOMKilledAt is the last OOM kill of one of its containers, RestartedAt the last start of a container after the first;
	// zero: there was none.
	OOMKilledAt time.Time `json:"oomKilledAt,omitzero"`
	RestartedAt time.Time `json:"restartedAt,omitzero"`
	// NeverReady is true where the replica is known to have never been ready.
	NeverReady bool `json:"neverReady,omitempty"`
	// Failing says in two or three words how a replica of a new revision fails, such as "image pull back-off"; empty: it
	// does not, or is of no new revision.
	Failing string `json:"failing,omitempty"`
	// CPUPressure is the share of the last 10 s in which a task of the replica waited for a CPU, in percent (PSI, some,
	// avg10). It shows load beyond what usage can, which ends at the limit. 0: none, or not known.
	CPUPressure float64 `json:"cpuPressure,omitempty"`
	CPU         Usage   `json:"cpu"`
	Memory      Usage   `json:"memory"`
}

// Usage of one resource by one replica: the sum over its containers.
type Usage struct {
	// Known is false where there is no usable sample; Why says the reason (Missing, Stale, TooFewSamples, NodeUnreachable).
	Known bool   `json:"known"`
	Why   string `json:"why,omitempty"`
	// Partial names a container that has no sample while others have; the value is then the sum over the others. Empty:
	// every container has one.
	Partial string `json:"partial,omitempty"`
	// From says where it was read where that is not the kubelet, such as "app /metrics".
	From string `json:"from,omitempty"`
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
