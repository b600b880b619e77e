package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AutoscalerHistory is what the decisions so far have left for the next: the recommendations within the stabilization
// windows, the changes within the periods of the behavior's policies, and what the metrics last asked for.
type AutoscalerHistory struct {
	// recommendations before stabilization, oldest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Recommendations []HistoryRecommendation `json:"recommendations,omitempty"`
	// ups are the changes to more replicas.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Ups []HistoryChange `json:"ups,omitempty"`
	// downs are the changes to fewer replicas.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Downs []HistoryChange `json:"downs,omitempty"`
	// lastGood is what the metrics with a fallback of type LastGood asked for when they could last be computed.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	LastGood []HistoryProposal `json:"lastGood,omitempty"`
}

// HistoryRecommendation is a recommendation at a time.
type HistoryRecommendation struct {
	// time of the recommendation.
	Time metav1.MicroTime `json:"time"`
	// replicas that were recommended.
	Replicas int32 `json:"replicas"`
}

// HistoryChange is a change of the number of replicas.
type HistoryChange struct {
	// time of the change.
	Time metav1.MicroTime `json:"time"`
	// replicas more or less; always positive.
	Replicas int32 `json:"replicas"`
	// outdated is true once the change is older than every period of its direction.
	// +optional
	Outdated bool `json:"outdated,omitempty"`
}

// HistoryProposal is what a metric asked for at a time.
type HistoryProposal struct {
	// source of the metric.
	Source MetricSource `json:"source"`
	// time of the proposal.
	Time metav1.MicroTime `json:"time"`
	// replicas that the metric asked for.
	Replicas int32 `json:"replicas"`
}
