package hpa

import (
	"slices"
	"time"
)

// Reason says in one word which step settled the number. It is the same in conditions, events, metric labels, the
// journal and the CLI.
type Reason string

// The reasons of a decision.
const (
	// ReasonDesiredWithinRange: the metrics' proposal stands as it is.
	ReasonDesiredWithinRange Reason = "DesiredWithinRange"
	// ReasonWithinTolerance: the ratio of the metric that asks for most is near enough to 1.
	ReasonWithinTolerance Reason = "WithinTolerance"
	// ReasonFallback: a fallback stood in for the metric that asks for most.
	ReasonFallback Reason = "Fallback"
	// ReasonScaleUpStabilized: a lower recommendation within the window holds a scale-up.
	ReasonScaleUpStabilized Reason = "ScaleUpStabilized"
	// ReasonScaleDownStable: a higher recommendation within the window holds a scale-down.
	ReasonScaleDownStable Reason = "ScaleDownStabilized"
	// ReasonScaleUpLimit: a rate limit lets only a part of a scale-up pass.
	ReasonScaleUpLimit Reason = "ScaleUpLimit"
	// ReasonScaleDownLimit: a rate limit lets only a part of a scale-down pass.
	ReasonScaleDownLimit Reason = "ScaleDownLimit"
	// ReasonTooFewReplicas: raised to the minimum.
	ReasonTooFewReplicas Reason = "TooFewReplicas"
	// ReasonTooManyReplicas: lowered to the maximum.
	ReasonTooManyReplicas Reason = "TooManyReplicas"
	// ReasonScheduledMinimum: raised to the minimum of a schedule.
	ReasonScheduledMinimum Reason = "ScheduledMinimum"
	// ReasonIncidentHold: an open incident holds a scale-down.
	ReasonIncidentHold Reason = "IncidentHold"
	// ReasonRolloutHold: the new replicas of a rollout fail, so the number stays.
	ReasonRolloutHold Reason = "RolloutHold"
	// ReasonShortageHold: replicas cannot be placed, so no more are asked for.
	ReasonShortageHold Reason = "ShortageHold"
	// ReasonScaleUpPaused: Pause holds a scale-up.
	ReasonScaleUpPaused Reason = "ScaleUpPaused"
	// ReasonScaleDownPaused: Pause holds a scale-down.
	ReasonScaleDownPaused Reason = "ScaleDownPaused"
	// ReasonInvalidSelector: the target's replicas cannot be told.
	ReasonInvalidSelector Reason = "InvalidSelector"
	// ReasonAmbiguousSelector: the target's replicas are another autoscaler's too.
	ReasonAmbiguousSelector Reason = "AmbiguousSelector"
	// ReasonScalingDisabled: the target has zero replicas, and no decision made them so.
	ReasonScalingDisabled Reason = "ScalingDisabled"
	// ReasonNoMetrics: no metric could be computed.
	ReasonNoMetrics Reason = "NoMetrics"
	// ReasonInvalidMetrics: a metric could not be computed and the others would scale down.
	ReasonInvalidMetrics Reason = "InvalidMetrics"
)

// Reasons returns every reason that a decision can have, in the order of the steps: what labels, documentation and alerts
// have to know.
func Reasons() []Reason {
	return []Reason{
		ReasonScalingDisabled, ReasonInvalidSelector, ReasonAmbiguousSelector, ReasonNoMetrics, ReasonInvalidMetrics,
		ReasonDesiredWithinRange, ReasonWithinTolerance, ReasonFallback,
		ReasonScaleUpStabilized, ReasonScaleDownStable, ReasonScaleUpLimit, ReasonScaleDownLimit,
		ReasonTooFewReplicas, ReasonTooManyReplicas, ReasonScheduledMinimum,
		ReasonRolloutHold, ReasonIncidentHold, ReasonShortageHold, ReasonScaleUpPaused, ReasonScaleDownPaused,
	}
}

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
	// Conditions as HPA users know them: AbleToScale, ScalingActive, ScalingLimited, and ScaledToZero where the number
	// changes (it then holds once the number is written). One that is not here is left as it is, as Kubernetes does: a
	// decision that ends early says nothing new about the rest.
	Conditions []Condition `json:"conditions,omitempty"`
	// RatePeriod is how long the change counts for the rate limits of its direction, the longest of their periods. Zero
	// where nothing changes, and where the policy has no Behavior and so nothing to remember a change for.
	RatePeriod time.Duration `json:"ratePeriod,omitempty"`
}

// Change reports whether the target has to be written.
func (r *Recommendation) Change() bool { return r.Desired != r.Current }

// Clone returns a copy that outlives the Decider's next call.
func (r *Recommendation) Clone() Recommendation {
	c := *r
	c.Metrics, c.Steps, c.Conditions = slices.Clone(r.Metrics), slices.Clone(r.Steps), slices.Clone(r.Conditions)
	return c
}

// MetricProposal is what one metric alone would give, and the replicas that it counted.
type MetricProposal struct {
	Metric Metric `json:"metric"`
	// Err says why the metric could not be computed, with ErrReason as the reason of the condition ScalingActive; empty: it
	// could be.
	Err       string `json:"err,omitempty"`
	ErrReason string `json:"errReason,omitempty"`
	// Replicas is the proposal: that of the fallback where there is one, 0 where the metric could not be computed and has none.
	Replicas int32 `json:"replicas"`
	// Ratio is usage over target, of the ready replicas where the metric is read from replicas; 0 where there was nothing
	// to divide by. Value is their average usage, or the one value of Object, External and Prometheus, per existing
	// replica where the target is an average (unit of the metric). Utilization in percent of the requests, 0 where the
	// target is no utilization.
	Ratio float64 `json:"ratio"`
	Value int64   `json:"value"`
	// From says where the value was read where that is not the kubelet.
	From string `json:"from,omitempty"`
	// Fallback is what stood in for the metric; empty: it could be computed, or has none. Err still says why it could not.
	Fallback FallbackType `json:"fallback,omitempty"`
	// LastGood is when the proposal that stood in was computed; only of FallbackLastGood.
	LastGood time.Time `json:"lastGood,omitzero"`
	// CPUPressure is the highest of the replicas that were counted, in percent; only of cpu.
	CPUPressure float64 `json:"cpuPressure,omitempty"`
	Utilization int64   `json:"utilization,omitempty"`
	// AdjustedRatio is the ratio once replicas that say nothing were counted as idle or busy, 0 where there was no need to.
	AdjustedRatio float64 `json:"adjustedRatio,omitempty"`
	// WithinTolerance is true where the ratio, adjusted if need be, alone asked for no change.
	WithinTolerance bool `json:"withinTolerance,omitempty"`
	// Ready counts the replicas whose usage stands for their load. Unready are those that are no capacity, or that a health
	// rule counts so; Missing those without a sample, or with one that a health rule does not trust; Ignored those that
	// are going or gone. Of Object, External and Prometheus only Ready counts, and only where the target is a Value;
	// Unready then names those that a health rule keeps a place for.
	Ready int32 `json:"ready"`
	// ReadyFirst names the first MaxNames of the ready replicas.
	ReadyFirst []string `json:"readyFirst,omitempty"`
	Unready    Names    `json:"unready,omitzero"`
	Missing    Names    `json:"missing,omitzero"`
	Ignored    Names    `json:"ignored,omitzero"`
	Message    string   `json:"message"`
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
