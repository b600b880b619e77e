package differential

import (
	"encoding/json"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/homeostat/homeostat/hpa"
)

// Case is one cluster and what happens to it, sync after sync. It is plain JSON, so that a failure can be kept and run
// again without the generator.
type Case struct {
	Seed  uint64 `json:"seed,omitempty"`
	Gates Gates  `json:"gates"`
	// The flags of the controller manager.
	Tolerance               float64       `json:"tolerance"`
	DownscaleStabilization  time.Duration `json:"downscaleStabilization"`
	CPUInitializationPeriod time.Duration `json:"cpuInitializationPeriod"`
	InitialReadinessDelay   time.Duration `json:"initialReadinessDelay"`
	SyncPeriod              time.Duration `json:"syncPeriod"`
	Targets                 []Target      `json:"targets"`
	Steps                   []Step        `json:"steps"`
}

// Gates are the feature gates of Kubernetes that the controller asks for.
type Gates struct {
	ScaleToZero bool `json:"scaleToZero"`
	Tolerance   bool `json:"tolerance"`
	PodLevel    bool `json:"podLevel"`
}

// Target is one autoscaler and what it scales, as both are at the start. They share a name.
type Target struct {
	Name         string     `json:"name"`
	Policy       hpa.Policy `json:"policy"`
	Replicas     int32      `json:"replicas"`
	ScaledToZero bool       `json:"scaledToZero,omitempty"` // the condition in the first status
}

// Step is the cluster at one sync of every target.
type Step struct {
	Pods []Pod `json:"pods,omitempty"`
	// Resources says how the resource metrics API fails: not ("") or one of the faults.
	Resources Fault `json:"resources,omitempty"`
	// Values of Object and External metrics, by the metric's name; those of Pods metrics hold only a fault.
	Values  map[string]Value `json:"values,omitempty"`
	Targets []TargetStep     `json:"targets"`
}

// TargetStep is one target at one sync.
type TargetStep struct {
	Policy         *hpa.Policy `json:"policy,omitempty"`   // edited before the sync
	Replicas       *int32      `json:"replicas,omitempty"` // set by somebody else before the sync
	StatusReplicas int32       `json:"statusReplicas"`
	Selector       string      `json:"selector"`
	Fault          Fault       `json:"fault,omitempty"`
	// HandOver writes our history down and reads it again before the sync, as another leader does.
	HandOver bool `json:"handOver,omitempty"`
	// Health is what only the rules of hpa.HealthPolicy look at.
	Health Health `json:"health,omitzero"`
}

// Health of a workload.
type Health struct {
	Incident string       `json:"incident,omitempty"`
	Shortage string       `json:"shortage,omitempty"`
	Rollout  *hpa.Rollout `json:"rollout,omitempty"`
}

// Fault is something that fails.
type Fault string

// The faults.
const (
	FaultError     Fault = "error"     // the metrics API answers with an error
	FaultEmpty     Fault = "empty"     // the metrics API answers with nothing
	FaultRead      Fault = "read"      // the scale cannot be read
	FaultWrite     Fault = "write"     // the scale cannot be written
	FaultConflict  Fault = "conflict"  // the first two writes conflict
	FaultConflicts Fault = "conflicts" // every write conflicts
)

// Value of a metric that is no replica's.
type Value struct {
	Items []resource.Quantity `json:"items,omitempty"`
	Fault Fault               `json:"fault,omitempty"`
}

// Pod is one pod at one sync. Times are ages: how long before the sync they were.
type Pod struct {
	Name       string             `json:"name"`
	App        string             `json:"app"` // its label
	Phase      v1.PodPhase        `json:"phase"`
	Deleting   bool               `json:"deleting,omitempty"`
	Gone       bool               `json:"gone,omitempty"` // the metrics APIs still know it, nobody else does
	Started    *time.Duration     `json:"started,omitempty"`
	Ready      v1.ConditionStatus `json:"ready,omitempty"` // empty: there is no such condition
	ReadyFor   time.Duration      `json:"readyFor,omitempty"`
	Containers []Container        `json:"containers"`
	Requests   *Amounts           `json:"requests,omitempty"` // those of the pod as a whole
	Sample     *Sample            `json:"sample,omitempty"`   // nil: the resource metrics API does not know the pod
	Values     map[string]Reading `json:"values,omitempty"`   // of Pods metrics
	// What only the rules of hpa.HealthPolicy look at.
	CrashLooping bool           `json:"crashLooping,omitempty"`
	NeverReady   bool           `json:"neverReady,omitempty"`
	Failing      string         `json:"failing,omitempty"`
	OOMKilled    *time.Duration `json:"oomKilled,omitempty"`
	Restarted    *time.Duration `json:"restarted,omitempty"`
}

// Container of a pod.
type Container struct {
	Name     string   `json:"name"`
	Init     bool     `json:"init,omitempty"`
	Restarts bool     `json:"restarts,omitempty"` // an init container that restarts always
	Requests Amounts  `json:"requests"`
	Usage    *Amounts `json:"usage,omitempty"` // nil: not in the sample
}

// Amounts of both resources; nil: not given.
type Amounts struct {
	CPU    *resource.Quantity `json:"cpu,omitempty"`
	Memory *resource.Quantity `json:"memory,omitempty"`
}

// Sample says when the usage of a pod was sampled.
type Sample struct {
	Age    time.Duration `json:"age"`
	Window time.Duration `json:"window"`
}

// Reading of a Pods metric.
type Reading struct {
	Value  resource.Quantity `json:"value"`
	Age    time.Duration     `json:"age"`
	Window *int64            `json:"window,omitempty"` // seconds
}

// clone returns a copy that shares nothing.
func clone[T any](x *T) *T {
	text, err := json.Marshal(x)
	if err != nil {
		panic(fmt.Sprintf("marshal a %T: %v", x, err)) // plain data always can be
	}
	y := new(T)
	if err := json.Unmarshal(text, y); err != nil {
		panic(fmt.Sprintf("unmarshal a %T: %v", x, err))
	}
	return y
}

// policy returns the policy with what the flags and gates of the case make of it.
func (c *Case) policy(p hpa.Policy) hpa.Policy {
	p.Tolerance = c.Tolerance
	p.DownscaleStabilization = c.DownscaleStabilization
	p.CPUInitializationPeriod = c.CPUInitializationPeriod
	p.InitialReadinessDelay = c.InitialReadinessDelay
	if p.Behavior == nil {
		return p
	}
	rules := func(r *hpa.Rules) *hpa.Rules {
		if r == nil || r.Tolerance == nil {
			return r
		}
		next := *r
		if next.Tolerance = nil; c.Gates.Tolerance {
			t := toleranceQuantity(*r.Tolerance)
			f := t.AsApproximateFloat64() // what becomes of it on its way through the API
			next.Tolerance = &f
		}
		return &next
	}
	p.Behavior = &hpa.Behavior{ScaleUp: rules(p.Behavior.ScaleUp), ScaleDown: rules(p.Behavior.ScaleDown)}
	return p
}

// selectorBroken is the selector of a metric that no API server would read.
const selectorBroken = "broken"
