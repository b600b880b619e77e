package hpa

import "time"

// Reason says in one word which step settled the number. It is the same in conditions, events, metric labels, the
// journal and the CLI.
type Reason string

// The reasons of a decision.
const (
	ReasonDesiredWithinRange Reason = "DesiredWithinRange" // the metrics' proposal stands as it is
	ReasonWithinTolerance    Reason = "WithinTolerance"    // the ratio of the metric that asks for most is near enough to 1
	ReasonScaleUpStabilized  Reason = "ScaleUpStabilized"
	ReasonScaleDownStable    Reason = "ScaleDownStabilized"
	ReasonScaleUpLimit       Reason = "ScaleUpLimit"
	ReasonScaleDownLimit     Reason = "ScaleDownLimit"
	ReasonTooFewReplicas     Reason = "TooFewReplicas"   // raised to the minimum
	ReasonTooManyReplicas    Reason = "TooManyReplicas"  // lowered to the maximum
	ReasonIncidentHold       Reason = "IncidentHold"     // an open incident holds a scale-down
	ReasonRolloutHold        Reason = "RolloutHold"      // the new replicas of a rollout fail
	ReasonShortageHold       Reason = "ShortageHold"     // replicas cannot be placed, so no more are asked for
	ReasonScheduledMinimum   Reason = "ScheduledMinimum" // raised to the minimum of a schedule
	ReasonScaleUpPaused      Reason = "ScaleUpPaused"
	ReasonScaleDownPaused    Reason = "ScaleDownPaused"
	ReasonFallback           Reason = "Fallback"          // a fallback stood in for the metric that asks for most
	ReasonInvalidSelector    Reason = "InvalidSelector"   // the target's replicas cannot be told
	ReasonAmbiguousSelector  Reason = "AmbiguousSelector" // the target's replicas are another autoscaler's too
	ReasonScalingDisabled    Reason = "ScalingDisabled"   // the target has zero replicas
	ReasonNoMetrics          Reason = "NoMetrics"         // no metric could be computed
	ReasonInvalidMetrics     Reason = "InvalidMetrics"    // one metric could not be computed and the others would scale down
)

// StepName names a step of the decision, in the order in which the steps run.
type StepName string

// The steps.
const (
	StepMetrics       StepName = "Metrics"
	StepStabilization StepName = "Stabilization"
	StepRateLimit     StepName = "RateLimit"
	StepBounds        StepName = "Bounds"
	StepHealth        StepName = "Health"
	StepPause         StepName = "Pause"
)

// Recommendation is the result of one decision, with every step that led to it.
type Recommendation struct {
	At time.Time `json:"at"`
	// Current is what the target asked for, Proposed what the metrics alone would give, Desired the final number.
	Current  int32 `json:"current"`
	Proposed int32 `json:"proposed"`
	Desired  int32 `json:"desired"`
	// Reason is that of the last step that moved or held the number; Message is one plain sentence.
	Reason  Reason           `json:"reason"`
	Message string           `json:"message"`
	Metrics []MetricProposal `json:"metrics,omitempty"`
	Steps   []Step           `json:"steps,omitempty"`
	// Conditions as HPA users know them: AbleToScale, ScalingActive, ScalingLimited, and ScaledToZero where that can be. One that is not here is left as it
	// is, as Kubernetes does: a decision that ends early says nothing new about the rest.
	Conditions []Condition `json:"conditions,omitempty"`
	// RatePeriod is how long the change counts for the rate limits of its direction, the longest of their periods. Zero
	// where nothing changes, and where the policy has no Behavior and so nothing to remember a change for.
	RatePeriod time.Duration `json:"ratePeriod,omitempty"`
}

// Change reports whether the target has to be written.
func (r *Recommendation) Change() bool { return r.Desired != r.Current }

// MetricProposal is what one metric alone would give, and the replicas that it counted.
type MetricProposal struct {
	Metric Metric `json:"metric"`
	// Err says why the metric could not be computed; empty: it could. ErrReason is the reason of the ScalingActive condition.
	Err       string `json:"err,omitempty"`
	ErrReason string `json:"errReason,omitempty"`
	// Replicas is the proposal, 0 where the metric could not be computed.
	Replicas int32 `json:"replicas"`
	// Ratio is usage over target of the ready replicas. Value is their average usage (unit of the metric); Utilization in percent of
	// the requests, 0 where the target is no utilization.
	Ratio float64 `json:"ratio"`
	Value int64   `json:"value"`
	// From says where the value was read where that is not the kubelet.
	From string `json:"from,omitempty"`
	// Fallback is what stood in for the metric; empty: it could be computed, or has none. Err still says why it could not.
	Fallback FallbackType `json:"fallback,omitempty"`
	// CPUPressure is the highest of the replicas that were counted, in percent; only of cpu.
	CPUPressure float64 `json:"cpuPressure,omitempty"`
	// LastGood is when the proposal that stood in was computed; only of FallbackLastGood.
	LastGood    time.Time `json:"lastGood,omitzero"`
	Utilization int64     `json:"utilization,omitempty"`
	// AdjustedRatio is the ratio once replicas that are missing or not ready were counted in, 0 where there was no need to.
	AdjustedRatio float64 `json:"adjustedRatio,omitempty"`
	// WithinTolerance is true where the ratio, adjusted if need be, alone asked for no change.
	WithinTolerance bool   `json:"withinTolerance,omitempty"`
	Ready           int32  `json:"ready"`
	Unready         Names  `json:"unready,omitzero"`
	Missing         Names  `json:"missing,omitzero"`
	Ignored         Names  `json:"ignored,omitzero"`
	Message         string `json:"message"`
	// Oldest is the time of the oldest sample that was used.
	Oldest time.Time `json:"oldest,omitzero"`
}

// MaxNames bounds the names that a proposal lists.
const MaxNames = 5

// Names counts replicas and names the first MaxNames of them, each with its reason ("web-1: crash loop").
type Names struct {
	Count int32    `json:"count"`
	First []string `json:"first,omitempty"`
}

// Step is one step of the decision: the number before and after, and the rule that moved or held it. A step that let the
// number pass has the reason DesiredWithinRange.
type Step struct {
	Name    StepName `json:"name"`
	Before  int32    `json:"before"`
	After   int32    `json:"after"`
	Reason  Reason   `json:"reason"`
	Message string   `json:"message"`
	// Cause is the field, or the name of what moved or held the number: "maxReplicas", "behavior.scaleUp.policies",
	// "schedule office-hours", a metric, an incident. Empty: nothing did.
	Cause string `json:"cause,omitempty"`
}

// The types of the conditions.
const (
	AbleToScale    = "AbleToScale"
	ScalingActive  = "ScalingActive"
	ScalingLimited = "ScalingLimited"
	ScaledToZero   = "ScaledToZero"
)

// The reasons of conditions that are no Reason of a decision. SucceededRescale and FailedUpdateScale follow from the
// write and are for whoever writes; FailedGetScale and the reasons of selectors come before any decision.
const (
	CondSucceededGetScale        = "SucceededGetScale"
	CondReadyForNewScale         = "ReadyForNewScale"
	CondValidMetricFound         = "ValidMetricFound"
	CondFailedGetResourceMetric  = "FailedGetResourceMetric"
	CondFailedGetContainerMetric = "FailedGetContainerResourceMetric"
	CondFailedGetPodsMetric      = "FailedGetPodsMetric"
	CondFailedGetObjectMetric    = "FailedGetObjectMetric"
	CondFailedGetExternalMetric  = "FailedGetExternalMetric"
	CondScaledToZero             = "ScaledToZero"
	CondNotScaledToZero          = "NotScaledToZero"
	CondInvalidMetricSourceType  = "InvalidMetricSourceType"
)

// Condition is one condition of the target, with the types and reasons of autoscaling/v2.
type Condition struct {
	Type    string `json:"type"`
	Status  bool   `json:"status"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}
