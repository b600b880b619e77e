// Package hpa decides how many replicas a workload should have, and says why.
//
// Decide is a pure function of a Policy (what the user wants), an Observation (what is so now), a History (what the
// decisions before have left) and a time. It reads no clock, does no I/O, keeps nothing, and changes none of its
// arguments, so a replay, a dry run and production run the same lines. Collecting the usage, reading and writing the
// target and telling people are the work of others.
//
// # Steps
//
// The number of replicas goes through these steps, and the Recommendation holds one Step for each:
//
//	step           question                                    reasons when it settles the number
//	-------------  ------------------------------------------  ---------------------------------------------
//	Metrics        what do the metrics ask for?                DesiredWithinRange, WithinTolerance, NoMetrics,
//	                                                           InvalidMetrics, ScalingDisabled
//	Stabilization  did it ask for more, or less, lately?       ScaleUpStabilized, ScaleDownStabilized
//	RateLimit      is this too fast?                           ScaleUpLimit, ScaleDownLimit
//	Bounds         is it within minReplicas and maxReplicas?   TooFewReplicas, TooManyReplicas
//	Health         does an open incident forbid a scale-down?  IncidentHold
//
// A target with zero replicas is left alone, and one outside of its bounds is brought back to them before any metric
// is looked at; such decisions, and those without a usable metric, have only the one step that settled them.
//
// # The algorithm
//
// The first four steps are those of the HorizontalPodAutoscaler of Kubernetes 1.36, quirks included: utilization is
// cut to whole percent, ceilings are taken of 64-bit floating point products, a stabilization window includes its
// edge where there is no Behavior and excludes it where there is one. Sources: "Horizontal Pod Autoscaling" in the
// documentation of Kubernetes (https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/),
// the package documentation of k8s.io/api/autoscaling/v2, KEP-853 (behavior), KEP-4951 (tolerance), and the behaviour
// of k8s.io/kubernetes/pkg/controller/podautoscaler at 1.36.3.
//
// # What differs from Kubernetes
//
// On purpose, and each switched by a field of HealthPolicy: a replica in a crash loop is never ready capacity
// (CrashLoopIsNoCapacity), and the number does not go down while the workload has an open incident (HoldOnIncident).
// The hold is the last step so that everything before it, the recorded recommendations above all, stays what the
// metrics said: once the incident is over, the number goes where it would have been.
//
// By construction: sums and products saturate where those of Kubernetes wrap around; a usage sample without a replica
// cannot be expressed; recommendations are forgotten once both windows have passed, while Kubernetes may count some of
// them again if a window is made longer after a pause; a time in the History that lies in the future counts as now, so
// that a clock that was wrong cannot hold a target for longer than its windows.
//
// # Limits
//
// Only Resource metrics (cpu and memory, over all containers of a replica). No scaling from or to zero.
package hpa
