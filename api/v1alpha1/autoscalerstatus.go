package v1alpha1

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The types of an Autoscaler's conditions. The first four are those of a HorizontalPodAutoscaler, with its reasons.
const (
	ConditionAbleToScale    = "AbleToScale"
	ConditionScalingActive  = "ScalingActive"
	ConditionScalingLimited = "ScalingLimited"
	// ConditionScaledToZero is true while the target has zero replicas because a decision said so, so that a metric may
	// bring it back. It is only there where minReplicas is 0, or was when it was set.
	ConditionScaledToZero = "ScaledToZero"
	// ConditionAccepted is false while the spec or the target is refused; its message names the field, its value and
	// what is allowed, or the other object that scales the same target. HealingPolicies have it too.
	ConditionAccepted = "Accepted"
)

// The bounds of the lists in a status.
const (
	MaxLastChanges     = 10 // AutoscalerStatus.LastChanges
	MaxRecommendations = 64 // AutoscalerHistory.Recommendations
	MaxHistoryChanges  = 64 // AutoscalerHistory.Ups and Downs, each
	MaxMetrics         = 16 // AutoscalerSpec.Metrics, and so AutoscalerHistory.LastGood
)

// AutoscalerStatus is what Homeostat saw and decided last.
type AutoscalerStatus struct {
	// observedGeneration is the generation of the spec that the status belongs to.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// currentReplicas is the number of replicas that the target asks for.
	// +optional
	CurrentReplicas int32 `json:"currentReplicas,omitempty"`
	// desiredReplicas is the number that was decided last.
	// +optional
	DesiredReplicas int32 `json:"desiredReplicas,omitempty"`
	// replicasSummary is currentReplicas, and desiredReplicas where it differs: "2" or "2→4".
	// +optional
	ReplicasSummary string `json:"replicasSummary,omitempty"`
	// metricsSummary is each metric's value over its target, such as "cpu: 83%/40%".
	// +optional
	MetricsSummary string `json:"metricsSummary,omitempty"`
	// lastScaleTime is when the number of replicas was last written.
	// +optional
	LastScaleTime *metav1.Time `json:"lastScaleTime,omitempty"`
	// currentMetrics is the last read state of each metric that could be computed and that an HPA could have: those of type
	// Prometheus are in lastDecision only.
	// +optional
	// +listType=atomic
	CurrentMetrics []autoscalingv2.MetricStatus `json:"currentMetrics,omitempty"`
	// conditions say whether the target can be scaled, is scaled, and what limits it.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// lastDecision is the last decision with every step that led to it.
	// +optional
	LastDecision *Decision `json:"lastDecision,omitempty"`
	// lastChanges are the last changes of the number of replicas that were written, newest first, at most 10.
	// +optional
	// +listType=atomic
	LastChanges []ScaleChange `json:"lastChanges,omitempty"`
	// history is what the next decision goes on from, so that a controller that takes over does.
	// +optional
	History *AutoscalerHistory `json:"history,omitempty"`
}
