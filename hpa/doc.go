// Package hpa decides how many replicas a workload should have, and says why.
//
// Decide is a pure function of a Policy (what the user wants), an Observation (what is so now), a History (what the
// decisions before have left) and a time. It reads no clock, does no I/O, keeps nothing, and changes none of its
// arguments, so a replay, a dry run and production run the same lines. Collecting the usage, reading and writing the
// target and telling people are the work of others. Decider is the same function for a loop: it keeps its memory, so that
// a decision in steady state allocates nothing, and makes words only when Explain is called.
//
// # Steps
//
// The number of replicas goes through these steps, and the Recommendation holds one Step for each: the number before and
// after, the Reason, one sentence, and the cause, which is a field of the policy or the name of what did it.
//
//	step           question                                    reasons when it settles the number
//	-------------  ------------------------------------------  ---------------------------------------------------
//	Metrics        what do the metrics ask for?                DesiredWithinRange, WithinTolerance, Fallback,
//	                                                           NoMetrics, InvalidMetrics, InvalidSelector,
//	                                                           AmbiguousSelector, ScalingDisabled
//	Stabilization  did it ask for more, or less, lately?       ScaleUpStabilized, ScaleDownStabilized
//	RateLimit      is this too fast?                           ScaleUpLimit, ScaleDownLimit
//	Bounds         is it within minimum and maximum?           TooFewReplicas, TooManyReplicas, ScheduledMinimum
//	Health         does the workload's health forbid it?       RolloutHold, IncidentHold, ShortageHold
//	Pause          is this direction paused?                   ScaleUpPaused, ScaleDownPaused
//
// A target that is outside of its bounds is brought back to them before any metric is looked at. Such a decision, and one
// without a usable metric, has only the step that settled it, and Pause where that holds it.
//
// # Metrics
//
// Every metric makes a proposal, and the highest one counts. A metric that cannot be computed proposes what its Fallback
// says; without one it keeps the others from scaling down, for it might have held the number.
//
//	source                       target        proposal
//	---------------------------  ------------  ------------------------------------------------------------------
//	Resource, ContainerResource  Utilization   ceil(percent/target * ready), percent = sum of usage*100 / sum of requests
//	Resource, ContainerResource  AverageValue  ceil(average/target * ready), average = sum of usage / ready
//	Pods                         AverageValue  the same, without a look at readiness
//	Object, External,            Value         ceil(value/target * ready); from zero ceil(value/target)
//	Prometheus                   AverageValue  ceil(value/target)
//
// Divisions of sums are cut to whole numbers, and the ratio is 64-bit floating point. A ratio within the tolerance of 1
// proposes the current number (AverageValue of one value: the number that exists). A replica that is not ready is idle
// where the ratio is above 1, and left out below. One without a sample is idle above 1, and busy below: with all of its
// request, or the target where that is more. Where counting them so would turn the direction, the number stays.
//
// # To zero and back
//
// Min may be 0 beside a metric that has a value without replicas (Object, External, Prometheus). The decision that takes
// the last replica away has the condition ScaledToZero; with that condition, which comes back as
// Observation.ScaledToZero, a decision is made at zero, and else zero means that scaling is switched off. Where by then
// the policy has a minimum but no metric that has a value without replicas, nothing can be computed and zero stays. The
// condition is in every decision that changes the number. With Min of 1 or more and no ScaledToZero, everything but the condition
// is as in a Kubernetes without the feature gate HPAScaleToZero.
//
// # What differs from Kubernetes
//
// The first four steps are those of the HorizontalPodAutoscaler of Kubernetes 1.36 with HPAScaleToZero and
// HPAConfigurableTolerance on, quirks included: a stabilization window includes its edge where there is no Behavior and
// excludes it where there is one, and a leading proposal of 0 gives way even to a negative one. Sources: "Horizontal Pod
// Autoscaling" in the documentation of Kubernetes
// (https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/), the package documentation of
// k8s.io/api/autoscaling/v2, KEP-853 (behavior), KEP-2021 (scale to zero), KEP-4951 (tolerance), and the behaviour of
// k8s.io/kubernetes/pkg/controller/podautoscaler at 1.36.3.
//
// On purpose, and only where asked for: the rules of HealthPolicy, each with its own switch; Fallback, Pause, and
// Observation.Floor. The rules about capacity never take away a replica that Kubernetes would have left. The holds come
// after the bounds so that everything before them, the recorded recommendations above all, stays what the metrics said:
// once the hold is over, the number goes where it would have been. Nothing is held at zero replicas, where there is
// nothing to be careful with, but by Pause.
//
// By construction: sums and products saturate where those of Kubernetes wrap around; a usage sample without a replica
// cannot be expressed; a value per replica where there is no replica is given as a whole, where Kubernetes converts an
// infinity; recommendations are forgotten once both windows have passed, while Kubernetes may count some of them again
// if a window is made longer after a pause; a time in the History that lies in the future counts as now, so that a clock
// that was wrong cannot hold a target for longer than its windows; fractions of a byte are rounded up; a sum of External
// values below zero is what it is, where Kubernetes takes it for an overflow if the target is an average.
// docs/hpa-differences.md has them as a table.
//
// # Limits
//
// One target at a time: nothing is known of other targets, of nodes or of cost, beyond what Shortage says. There is no
// forecast: the past counts only through the windows and LastGood. Proposals round up in both directions, as those of
// Kubernetes do, so that a few replicas come down late. CPU pressure is named and not decided on.
package hpa
