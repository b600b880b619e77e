package cluster

import "time"

// Condition is one condition of an owner or a replica.
type Condition struct {
	Type    string    `json:"type"`
	Status  string    `json:"status"` // True, False or Unknown
	Reason  string    `json:"reason,omitempty"`
	Message string    `json:"message,omitempty"`
	Since   time.Time `json:"since,omitzero"` // of the last transition
}

// Condition returns the condition of that type, nil if there is none.
func (w *Workload) Condition(kind string) *Condition {
	for i := range w.Conditions {
		if w.Conditions[i].Type == kind {
			return &w.Conditions[i]
		}
	}
	return nil
}

// Revision is one pod template that an owner keeps.
type Revision struct {
	// Name is its hash, as in Replica.Revision; Object the ReplicaSet or ControllerRevision that holds it.
	Name   string `json:"name"`
	Object string `json:"object,omitempty"`
	// Number counts up with each rollout; going back to a revision gives it the newest number.
	Number    int64     `json:"number"`
	CreatedAt time.Time `json:"createdAt"`
	// Desired, and how many replicas of it exist and are ready.
	Desired int32 `json:"desired"`
	Ready   int32 `json:"ready"`
	// HealthyAt is when all its replicas were last seen ready for a minute (zero: never, or before the adapter began to look).
	// A revision that a rollout away from it was allowed to leave behind complete counts from the end of its own rollout.
	HealthyAt time.Time `json:"healthyAt,omitzero"`
	// Images of its containers, "name=image".
	Images []string `json:"images,omitempty"`
	// MemoryLimits of its containers in bytes, by container; 0: none.
	MemoryLimits map[string]int64 `json:"memoryLimits,omitempty"`
}

// OwnerKind says who else writes a workload's spec.
type OwnerKind string

// The kinds of owner.
const (
	OwnerArgoCD   OwnerKind = "ArgoCD"
	OwnerFlux     OwnerKind = "Flux"
	OwnerHelm     OwnerKind = "Helm"
	OwnerOperator OwnerKind = "Operator" // a controller that the workload itself belongs to
	OwnerVPA      OwnerKind = "VPA"      // a VerticalPodAutoscaler that may change its resources; without a name: they cannot be read, and one may
)

// Owner is one of them, with a name for people, such as "application shop".
type Owner struct {
	Kind OwnerKind `json:"kind"`
	Name string    `json:"name"`
	// Since is when it last wrote; zero: not known.
	Since time.Time `json:"since,omitzero"`
}

// Scaler is the autoscaler of a workload.
type Scaler struct {
	// Ref has the kind Autoscaler (of Homeostat) or HorizontalPodAutoscaler.
	Ref Ref   `json:"ref"`
	Min int32 `json:"min"`
	Max int32 `json:"max"`
	// Active is its condition ScalingActive, nil where it has none yet.
	Active *Condition `json:"active,omitempty"`
}

// DisruptionBudget is a PodDisruptionBudget.
type DisruptionBudget struct {
	Name string `json:"name"`
	// Allowed disruptions now; Healthy replicas and how many Desired must be.
	Allowed int32 `json:"allowed"`
	Healthy int32 `json:"healthy"`
	Desired int32 `json:"desired"`
}

// TrackKind says how two workloads relate.
type TrackKind string

// The kinds of track.
const (
	TrackCanary    TrackKind = "Canary"    // a second workload that takes a share of the traffic of a stable one
	TrackBlueGreen TrackKind = "BlueGreen" // one of two workloads, between which a Service switches
)

// Track is the relation of a workload to the one that stands for it: a canary to its stable track (annotation
// homeostat.dev/canary-of: NAME on the canary), or the workload that a Service now selects to the one that it could go back to
// (annotation homeostat.dev/blue-green: KEY on the Service, the key of its selector whose value tells the tracks apart).
type Track struct {
	Kind TrackKind `json:"kind"`
	// Other is the stable workload, or the other colour; OtherReady and OtherDesired its replicas.
	Other        Ref   `json:"other"`
	OtherReady   int32 `json:"otherReady"`
	OtherDesired int32 `json:"otherDesired"`
	// Service, Key, Value and OtherValue belong to BlueGreen: what the Service selects now, and what it would select again.
	Service    string `json:"service,omitempty"`
	Key        string `json:"key,omitempty"`
	Value      string `json:"value,omitempty"`
	OtherValue string `json:"otherValue,omitempty"`
}

// Service is a name that others connect to.
type Service struct {
	Namespace string
	Name      string
	// Ready endpoints; Selects is false for one without a selector, whose endpoints somebody else writes.
	Ready   int32
	Selects bool
	// Workloads that its selector matches.
	Workloads []Ref
	// DownSince is when the last ready endpoint went away (zero: it has one, or it was never seen with one).
	DownSince time.Time
}
