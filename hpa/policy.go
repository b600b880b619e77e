package hpa

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Resource is a resource that a replica requests and uses.
type Resource string

// The resources that are scaled on.
const (
	CPU    Resource = "cpu"    // thousandths of a core
	Memory Resource = "memory" // bytes
)

// TargetType says how a metric's target is meant.
type TargetType string

// The target types.
const (
	Utilization  TargetType = "Utilization"  // percent of the requests
	AverageValue TargetType = "AverageValue" // absolute value per replica
	Value        TargetType = "Value"        // absolute value in all: Object, External and Prometheus only
)

// Metric is one metric of a policy.
type Metric struct {
	Source Source     `json:"source"`
	Type   TargetType `json:"type"`
	// Target in percent (Utilization), thousandths of a core (cpu), bytes (memory), or thousandths (any other metric).
	// Greater than zero.
	Target int64 `json:"target"`
	// Fallback says what the metric asks for while it cannot be computed; nil: as in Kubernetes, where a metric that
	// cannot be computed asks for nothing and keeps the others from scaling down.
	Fallback *Fallback `json:"fallback,omitempty"`
}

// FallbackType says what stands in for a metric that cannot be computed.
type FallbackType string

// The fallbacks.
const (
	FallbackHold     FallbackType = "Hold"     // the current number of replicas
	FallbackLastGood FallbackType = "LastGood" // the last proposal that could be computed, if it is not older than For; then Hold
	FallbackReplicas FallbackType = "Replicas" // a fixed number
)

// Fallback of one metric.
type Fallback struct {
	Type FallbackType `json:"type"`
	// For bounds the age of the last good proposal; only of LastGood. Greater than zero, at most 24 h.
	For time.Duration `json:"for,omitempty"`
	// Replicas is the fixed number; only of Replicas. At least 0.
	Replicas int32 `json:"replicas,omitempty"`
}

// Policy is what the user wants. The defaults are those of Kubernetes 1.36 (pkg/controller/podautoscaler/config and
// pkg/apis/autoscaling/v2/defaults.go); DefaultPolicy gives them.
type Policy struct {
	Min     int32    `json:"min"`
	Max     int32    `json:"max"`
	Metrics []Metric `json:"metrics"`
	// Behavior is nil where the user gave none: then the default limits apply, as in Kubernetes.
	Behavior *Behavior `json:"behavior,omitempty"`
	// Tolerance is the band around 1.0 within which a ratio changes nothing, where Behavior gives no own. Default 0.1.
	Tolerance float64 `json:"tolerance"`
	// DownscaleStabilization is the window where Behavior gives none. Default 5 m.
	DownscaleStabilization time.Duration `json:"downscaleStabilization"`
	// CPUInitializationPeriod after a replica's start in which its CPU is only counted once it is ready. Default 5 m.
	CPUInitializationPeriod time.Duration `json:"cpuInitializationPeriod"`
	// InitialReadinessDelay after the start: a replica whose readiness last changed before its end was never ready. Default 30 s.
	InitialReadinessDelay time.Duration `json:"initialReadinessDelay"`
	Health                HealthPolicy  `json:"health"`
	// Pause holds the number of replicas in one direction, against every other rule.
	Pause Pause `json:"pause,omitzero"`
}

// Pause holds the number of replicas in one direction.
type Pause struct {
	ScaleUp   bool `json:"scaleUp,omitempty"`
	ScaleDown bool `json:"scaleDown,omitempty"`
}

// HealthPolicy says what the health of the workload means to its scaling. Every rule is on by default, Kubernetes has
// none of them, and with all of them off the decision is that of Kubernetes.
//
// A rule that takes capacity away never makes a scale-down greater. What such a replica uses is no load, so it is idle
// where the others ask for more; but the load that it had may be with nobody now, so it is busy where they ask for less:
// all of its request, or the target where that is more. Where every replica is taken away nothing can be computed, and the
// number stays (or a fallback stands in). For the one value of an Object, External or Prometheus metric, which is not
// read from replicas, the ready ones are counted as in Kubernetes; those that are taken away keep their place in a
// scale-down, and a ratio above 1 never scales down while one is.
type HealthPolicy struct {
	// HoldOnIncident keeps the number of replicas from going down while the workload has an open incident. Max is
	// still enforced.
	HoldOnIncident bool `json:"holdScaleDownOnIncident"`
	// CrashLoopIsNoCapacity counts a replica in a crash loop as not ready, for every metric and whatever its age.
	CrashLoopIsNoCapacity bool `json:"crashLoopIsNotCapacity"`
	// OOMKilledIsNoCapacity counts a replica with an OOM kill less than OOMWindow ago as not ready, for every metric: it
	// starts anew with little usage, which is no sign of little load. Once it is ready again, what it uses is load and
	// counts where the metric asks for more: a workload whose every replica was killed under load can still grow.
	// OOMWindow: default 5 m, at most 1 h.
	OOMKilledIsNoCapacity bool          `json:"oomKilledIsNotCapacity"`
	OOMWindow             time.Duration `json:"oomWindow"`
	// FailingIsNoCapacity counts a replica of a new revision that fails (Replica.Failing) as not ready, for every metric.
	FailingIsNoCapacity bool `json:"failingIsNotCapacity"`
	// NeverReadyIsNoCapacity counts a replica that has never been ready as not ready, for every metric and whatever its
	// age: what it burns at its start is not load. It has had no load either, so where the metric asks for less it counts
	// with what it uses, as in Kubernetes.
	NeverReadyIsNoCapacity bool `json:"neverReadyIsNotCapacity"`
	// PartialIsMissing counts a replica as missing where the sample of one of its containers is: the sum over the others
	// beside the requests of all would look like less load than there is. Where even that sum asks for more, it counts.
	PartialIsMissing bool `json:"partialIsMissing"`
	// MemorySettle is how long after a restart of a container the memory of its replica is not trusted: it has not
	// filled yet, so it counts as missing unless it asks for more even so. 0 switches the rule off. Default 2 m, at most
	// 1 h.
	MemorySettle time.Duration `json:"memorySettle"`
	// HoldOnFailingRollout keeps the number where it is, in both directions, while the replicas of a new revision fail.
	// Min and Max are still enforced. What it costs: load that grows meanwhile gets no replicas until the rollout is mended or
	// taken back.
	HoldOnFailingRollout bool `json:"holdOnFailingRollout"`
	// HoldOnShortage asks for no more replicas while those that were asked for cannot be placed (Observation.Shortage).
	// What it costs: an autoscaler of nodes, which adds them for replicas that wait, sees only those that wait now.
	HoldOnShortage bool `json:"holdScaleUpOnShortage"`
}

// Behavior limits how fast the number of replicas changes. A nil direction has its defaults.
type Behavior struct {
	ScaleUp   *Rules `json:"scaleUp,omitempty"`
	ScaleDown *Rules `json:"scaleDown,omitempty"`
}

// Rules of one direction, with the meaning of autoscaling/v2 HPAScalingRules.
type Rules struct {
	// StabilizationWindow is nil where it was not given: 0 for up, Policy.DownscaleStabilization (in whole seconds) for
	// down. At most 1 h.
	StabilizationWindow *time.Duration `json:"stabilizationWindow,omitempty"`
	Select              Select         `json:"select,omitempty"`
	// Limits is empty where none were given: up 4 replicas or 100 % in 15 s, down 100 % in 15 s.
	Limits []RateLimit `json:"limits,omitempty"`
	// Tolerance is nil where it was not given: Policy.Tolerance.
	Tolerance *float64 `json:"tolerance,omitempty"`
}

// Select says which of several rate limits counts.
type Select string

// The choices. The empty value means Max.
const (
	SelectMax      Select = "Max"      // the limit that allows the greatest change
	SelectMin      Select = "Min"      // the limit that allows the smallest change
	SelectDisabled Select = "Disabled" // no change in this direction at all
)

// RateLimitType is the unit of a rate limit.
type RateLimitType string

// The units of a rate limit.
const (
	LimitReplicas RateLimitType = "Pods"
	LimitPercent  RateLimitType = "Percent"
)

// RateLimit allows a change of Value replicas or percent within Period. Value is greater than zero and Period at most 30 m.
type RateLimit struct {
	Type   RateLimitType `json:"type"`
	Value  int32         `json:"value"`
	Period time.Duration `json:"period"`
}

// The greatest values that autoscaling/v2 allows.
const (
	maxWindow = time.Hour
	maxPeriod = 30 * time.Minute
)

// maxLastGood is the greatest age of a proposal that may stand in: a day, after which the load has come round.
const maxLastGood = 24 * time.Hour

// DefaultPolicy returns the defaults of Kubernetes 1.36, with the cpu utilization of 80 % that it takes where no metric is
// given, and every rule of HealthPolicy on. Max has no default and must be set.
func DefaultPolicy() Policy {
	return Policy{
		Min:                     1,
		Metrics:                 []Metric{{Source: OfResource(CPU), Type: Utilization, Target: 80}},
		Tolerance:               0.1,
		DownscaleStabilization:  5 * time.Minute,
		CPUInitializationPeriod: 5 * time.Minute,
		InitialReadinessDelay:   30 * time.Second,
		Health:                  DefaultHealth(),
	}
}

// DefaultHealth returns every rule of HealthPolicy switched on.
func DefaultHealth() HealthPolicy {
	return HealthPolicy{
		HoldOnIncident: true, CrashLoopIsNoCapacity: true,
		OOMKilledIsNoCapacity: true, OOMWindow: 5 * time.Minute,
		FailingIsNoCapacity: true, NeverReadyIsNoCapacity: true, PartialIsMissing: true,
		MemorySettle: 2 * time.Minute, HoldOnFailingRollout: true, HoldOnShortage: true,
	}
}

// Validate returns every fault of the policy, joined, each naming the field, its value and what is allowed.
func (p *Policy) Validate() error {
	var f faults
	f.check(p.Min >= 0, "min", p.Min, "at least 0")
	f.check(p.Min != 0 || p.fromZero(), "min", p.Min, "at least 1, or 0 beside a metric of type Object, External or Prometheus")
	f.check(p.Max >= 1, "max", p.Max, "at least 1 (it has no default)")
	f.check(p.Max < 1 || p.Max >= p.Min, "max", p.Max, fmt.Sprintf("at least min, which is %d", p.Min))
	f.check(len(p.Metrics) > 0, "metrics", "an empty list", "at least one metric")
	for i := range p.Metrics {
		p.Metrics[i].validate(&f, fmt.Sprintf("metrics[%d]", i))
	}
	f.tolerance("tolerance", p.Tolerance)
	f.check(p.DownscaleStabilization >= 0, "downscaleStabilization", p.DownscaleStabilization, "0s or more")
	f.check(p.CPUInitializationPeriod >= 0, "cpuInitializationPeriod", p.CPUInitializationPeriod, "0s or more")
	f.check(p.InitialReadinessDelay >= 0, "initialReadinessDelay", p.InitialReadinessDelay, "0s or more")
	if p.Behavior != nil {
		p.Behavior.ScaleUp.validate(&f, "behavior.scaleUp")
		p.Behavior.ScaleDown.validate(&f, "behavior.scaleDown")
	}
	h := &p.Health
	f.check(!h.OOMKilledIsNoCapacity || (h.OOMWindow > 0 && h.OOMWindow <= maxWindow), "health.oomWindow", h.OOMWindow,
		"greater than 0s and at most "+span(maxWindow))
	f.check(h.MemorySettle >= 0 && h.MemorySettle <= maxWindow, "health.memorySettle", h.MemorySettle, "0s to "+span(maxWindow))
	return errors.Join(f...)
}

func (m *Metric) validate(f *faults, field string) {
	m.Source.validate(f, field+".source")
	switch m.Source.Type {
	case FromResource, FromContainerResource:
		f.check(m.allows(m.Type), field+".type", quote(m.Type), `"Utilization" or "AverageValue"`)
	case FromPods:
		f.check(m.allows(m.Type), field+".type", quote(m.Type), `"AverageValue"`)
	case FromObject, FromExternal, FromPrometheus:
		f.check(m.allows(m.Type), field+".type", quote(m.Type), `"Value" or "AverageValue"`)
	}
	f.check(m.Target > 0, field+".target", m.Target, "greater than 0")
	f.check(m.Type != Utilization || m.Target <= math.MaxInt32, field+".target", m.Target, "at most 2147483647 percent")
	if m.Fallback != nil {
		m.Fallback.validate(f, field+".fallback")
	}
}

func (s *Source) validate(f *faults, field string) {
	if !s.perReplica() && !s.beyondReplicas() {
		f.check(false, field+".type", quote(s.Type), `"Resource", "ContainerResource", "Pods", "Object", "External" or "Prometheus"`)
		return
	}
	resource := s.Type == FromResource || s.Type == FromContainerResource
	selective := s.Type == FromPods || s.Type == FromObject || s.Type == FromExternal
	if resource {
		f.check(s.Resource == CPU || s.Resource == Memory, field+".resource", quote(s.Resource), `"cpu" or "memory"`)
	} else {
		f.part(false, s.Type, field+".resource", string(s.Resource), "")
	}
	f.part(s.Type == FromContainerResource, s.Type, field+".container", s.Container, "the name of a container")
	name := "the name of a metric"
	if s.Type == FromPrometheus {
		name = "a query"
	}
	f.part(!resource, s.Type, field+".name", s.Name, name)
	f.part(s.Type == FromObject, s.Type, field+".object", s.Object, `an object as "apiVersion/kind/name"`)
	if !selective {
		f.part(false, s.Type, field+".selector", s.Selector, "")
	}
}

func (b *Fallback) validate(f *faults, field string) {
	switch b.Type {
	case FallbackHold, FallbackLastGood, FallbackReplicas:
	default:
		f.check(false, field+".type", quote(b.Type), `"Hold", "LastGood" or "Replicas"`)
		return
	}
	if b.Type == FallbackLastGood {
		f.check(b.For > 0 && b.For <= maxLastGood, field+".for", b.For, "greater than 0s and at most "+span(maxLastGood))
	} else {
		f.check(b.For == 0, field+".for", b.For, "left out where the type is "+string(b.Type))
	}
	if b.Type == FallbackReplicas {
		f.check(b.Replicas >= 0, field+".replicas", b.Replicas, "at least 0")
	} else {
		f.check(b.Replicas == 0, field+".replicas", b.Replicas, "left out where the type is "+string(b.Type))
	}
}

func (r *Rules) validate(f *faults, field string) {
	if r == nil {
		return
	}
	if w := r.StabilizationWindow; w != nil {
		f.check(*w >= 0 && *w <= maxWindow, field+".stabilizationWindow", *w, "0s to "+span(maxWindow))
	}
	switch r.Select {
	case "", SelectMax, SelectMin, SelectDisabled:
	default:
		f.check(false, field+".select", quote(r.Select), `"Max", "Min" or "Disabled"`)
	}
	for i, l := range r.Limits {
		at := fmt.Sprintf("%s.limits[%d]", field, i)
		f.check(l.Type == LimitReplicas || l.Type == LimitPercent, at+".type", quote(l.Type), `"Pods" or "Percent"`)
		f.check(l.Value > 0, at+".value", l.Value, "greater than 0")
		f.check(l.Period > 0 && l.Period <= maxPeriod, at+".period", l.Period, "greater than 0s and at most "+span(maxPeriod))
	}
	if r.Tolerance != nil {
		f.tolerance(field+".tolerance", *r.Tolerance)
	}
}

// faults collects what is wrong with a policy.
type faults []error

func (f *faults) check(ok bool, field string, value any, allowed string) {
	if !ok {
		*f = append(*f, fmt.Errorf("%s: %v is not allowed, it must be %s", field, value, allowed))
	}
}

// part checks a part of a source: something where it is wanted, nothing where it is not.
func (f *faults) part(wanted bool, of SourceType, field, value, allowed string) {
	if wanted {
		f.check(value != "", field, quote(value), allowed)
		return
	}
	f.check(value == "", field, quote(value), "left out where the type is "+string(of))
}

func (f *faults) tolerance(field string, t float64) {
	f.check(t >= 0 && !math.IsInf(t, 0), field, t, "a number of 0 or more")
}

func quote[S ~string](s S) string { return fmt.Sprintf("%q", string(s)) }
