package v1alpha1

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AutoscalerMode says whether an Autoscaler decides, and whether it writes what it decided.
// +kubebuilder:validation:Enum=Active;DryRun;Paused
type AutoscalerMode string

// The modes of an Autoscaler.
const (
	ModeActive AutoscalerMode = "Active" // decide, record and write the number of replicas
	ModeDryRun AutoscalerMode = "DryRun" // decide and record, never write the number
	ModePaused AutoscalerMode = "Paused" // do not decide
)

// Autoscaler keeps the number of replicas of one target where its metrics meet their targets, and says in its status
// why the number is what it is. The spec of a HorizontalPodAutoscaler (autoscaling/v2) can be pasted in.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=as,categories=homeostat
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.scaleTargetRef.name`
// +kubebuilder:printcolumn:name="Min",type=integer,JSONPath=`.spec.minReplicas`
// +kubebuilder:printcolumn:name="Max",type=integer,JSONPath=`.spec.maxReplicas`
// +kubebuilder:printcolumn:name="Replicas",type=string,JSONPath=`.status.replicasSummary`,description="current, and desired where it differs"
// +kubebuilder:printcolumn:name="Metrics",type=string,JSONPath=`.status.metricsSummary`,description="each metric's value over its target"
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.lastDecision.reason`,description="which step settled the number"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Kind",type=string,JSONPath=`.spec.scaleTargetRef.kind`,priority=1
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`,priority=1
// +kubebuilder:printcolumn:name="Last Scale",type=date,JSONPath=`.status.lastScaleTime`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.lastDecision.message`,priority=1
type Autoscaler struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the user wants.
	// +required
	Spec AutoscalerSpec `json:"spec"`
	// Status is written by Homeostat.
	// +optional
	Status AutoscalerStatus `json:"status,omitempty"`
}

// AutoscalerSpec has the fields of autoscaling/v2 HorizontalPodAutoscalerSpec under the same names and with the same
// meaning, and those that Homeostat adds: appMetrics, schedules, pause, mode, timing and health.
//
// +kubebuilder:validation:XValidation:rule="!has(self.minReplicas) || self.maxReplicas >= self.minReplicas",fieldPath=".maxReplicas",messageExpression="'maxReplicas is %d, it must be at least minReplicas, which is %d'.format([self.maxReplicas, self.minReplicas])"
// +kubebuilder:validation:XValidation:rule="!has(self.minReplicas) || self.minReplicas != 0 || (has(self.metrics) && self.metrics.exists(m, m.type in ['Object', 'External', 'Prometheus']))",fieldPath=".minReplicas",message="minReplicas is 0, it must be at least 1 unless there is a metric of type Object, External or Prometheus"
// +kubebuilder:validation:XValidation:rule="!has(self.schedules) || self.schedules.all(s, s.minReplicas <= self.maxReplicas)",fieldPath=".schedules",messageExpression="'minReplicas of a schedule is %d, it must be at most maxReplicas, which is %d'.format([self.schedules.filter(s, s.minReplicas > self.maxReplicas)[0].minReplicas, self.maxReplicas])"
type AutoscalerSpec struct {
	// scaleTargetRef names the object whose number of replicas is scaled: one with a scale subresource, in the same
	// namespace.
	// +required
	// +kubebuilder:validation:XValidation:rule="size(self.kind) > 0",fieldPath=".kind",message="scaleTargetRef.kind must not be empty: give the kind of what is scaled, such as Deployment"
	// +kubebuilder:validation:XValidation:rule="size(self.name) > 0",fieldPath=".name",message="scaleTargetRef.name must not be empty: give the name of what is scaled"
	ScaleTargetRef autoscalingv2.CrossVersionObjectReference `json:"scaleTargetRef"`

	// minReplicas is the lower limit of the number of replicas, at least 1. It may be 0 where there is a metric of type
	// Object, External or Prometheus, whose value is known while there is no replica.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	MinReplicas *int32 `json:"minReplicas,omitempty"`

	// maxReplicas is the upper limit of the number of replicas, not less than minReplicas.
	// +required
	// +kubebuilder:validation:Minimum=1
	MaxReplicas int32 `json:"maxReplicas"`

	// metrics are what the number of replicas is computed from; the largest proposal counts. Where none is given: an
	// average CPU utilization of 80 % of the requests. At most 16.
	// +optional
	// +listType=atomic
	// +kubebuilder:default={{type:"Resource",resource:{name:"cpu",target:{type:"Utilization",averageUtilization:80}}}}
	// +kubebuilder:validation:MaxItems=16
	Metrics []MetricSpec `json:"metrics,omitempty"`

	// appMetrics has the metrics page of the app itself read. Each of its gauges and counters (as a rate) can then be a
	// metric of type Pods, and its process_cpu_seconds_total is the CPU usage of that container where it is fresher than
	// the kubelet's.
	// +optional
	AppMetrics *AppMetrics `json:"appMetrics,omitempty"`

	// schedules raise the minimum at times that are known beforehand. At most 16.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Schedules []Schedule `json:"schedules,omitempty"`

	// behavior limits how fast the number of replicas changes, per direction. Where it is not given, the defaults of
	// Kubernetes hold: up by 4 replicas or 100 % in 15 s without stabilization, down by 100 % in 15 s with a
	// stabilization window of 5 minutes.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleUp) || !has(self.scaleUp.stabilizationWindowSeconds) || (self.scaleUp.stabilizationWindowSeconds >= 0 && self.scaleUp.stabilizationWindowSeconds <= 3600)",fieldPath=".scaleUp.stabilizationWindowSeconds",messageExpression="'stabilizationWindowSeconds is %d, it must be 0 to 3600'.format([self.scaleUp.stabilizationWindowSeconds])"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleDown) || !has(self.scaleDown.stabilizationWindowSeconds) || (self.scaleDown.stabilizationWindowSeconds >= 0 && self.scaleDown.stabilizationWindowSeconds <= 3600)",fieldPath=".scaleDown.stabilizationWindowSeconds",messageExpression="'stabilizationWindowSeconds is %d, it must be 0 to 3600'.format([self.scaleDown.stabilizationWindowSeconds])"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleUp) || !has(self.scaleUp.selectPolicy) || self.scaleUp.selectPolicy in ['Max', 'Min', 'Disabled']",fieldPath=".scaleUp.selectPolicy",messageExpression="'selectPolicy is ' + self.scaleUp.selectPolicy + ', only Max, Min and Disabled are allowed'"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleDown) || !has(self.scaleDown.selectPolicy) || self.scaleDown.selectPolicy in ['Max', 'Min', 'Disabled']",fieldPath=".scaleDown.selectPolicy",messageExpression="'selectPolicy is ' + self.scaleDown.selectPolicy + ', only Max, Min and Disabled are allowed'"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleUp) || !has(self.scaleUp.tolerance) || !quantity(string(self.scaleUp.tolerance)).isLessThan(quantity('0'))",fieldPath=".scaleUp.tolerance",messageExpression="'tolerance is %s, it must be 0 or more, such as 50m (5 %%)'.format([string(self.scaleUp.tolerance)])"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleDown) || !has(self.scaleDown.tolerance) || !quantity(string(self.scaleDown.tolerance)).isLessThan(quantity('0'))",fieldPath=".scaleDown.tolerance",messageExpression="'tolerance is %s, it must be 0 or more, such as 50m (5 %%)'.format([string(self.scaleDown.tolerance)])"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleUp) || !has(self.scaleUp.policies) || (size(self.scaleUp.policies) >= 1 && size(self.scaleUp.policies) <= 16)",fieldPath=".scaleUp.policies",messageExpression="'policies has %d items, it must have 1 to 16, or not be given'.format([size(self.scaleUp.policies)])"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleDown) || !has(self.scaleDown.policies) || (size(self.scaleDown.policies) >= 1 && size(self.scaleDown.policies) <= 16)",fieldPath=".scaleDown.policies",messageExpression="'policies has %d items, it must have 1 to 16, or not be given'.format([size(self.scaleDown.policies)])"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleUp) || !has(self.scaleUp.policies) || self.scaleUp.policies.all(p, p.type in ['Pods', 'Percent'])",fieldPath=".scaleUp.policies",messageExpression="'type of a policy is %s, only Pods and Percent are allowed'.format([self.scaleUp.policies.filter(p, !(p.type in ['Pods', 'Percent']))[0].type])"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleDown) || !has(self.scaleDown.policies) || self.scaleDown.policies.all(p, p.type in ['Pods', 'Percent'])",fieldPath=".scaleDown.policies",messageExpression="'type of a policy is %s, only Pods and Percent are allowed'.format([self.scaleDown.policies.filter(p, !(p.type in ['Pods', 'Percent']))[0].type])"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleUp) || !has(self.scaleUp.policies) || self.scaleUp.policies.all(p, p.value >= 1)",fieldPath=".scaleUp.policies",messageExpression="'value of a policy is %d, it must be at least 1'.format([self.scaleUp.policies.filter(p, p.value < 1)[0].value])"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleDown) || !has(self.scaleDown.policies) || self.scaleDown.policies.all(p, p.value >= 1)",fieldPath=".scaleDown.policies",messageExpression="'value of a policy is %d, it must be at least 1'.format([self.scaleDown.policies.filter(p, p.value < 1)[0].value])"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleUp) || !has(self.scaleUp.policies) || self.scaleUp.policies.all(p, p.periodSeconds >= 1 && p.periodSeconds <= 1800)",fieldPath=".scaleUp.policies",messageExpression="'periodSeconds of a policy is %d, it must be 1 to 1800'.format([self.scaleUp.policies.filter(p, p.periodSeconds < 1 || p.periodSeconds > 1800)[0].periodSeconds])"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleDown) || !has(self.scaleDown.policies) || self.scaleDown.policies.all(p, p.periodSeconds >= 1 && p.periodSeconds <= 1800)",fieldPath=".scaleDown.policies",messageExpression="'periodSeconds of a policy is %d, it must be 1 to 1800'.format([self.scaleDown.policies.filter(p, p.periodSeconds < 1 || p.periodSeconds > 1800)[0].periodSeconds])"
	Behavior *autoscalingv2.HorizontalPodAutoscalerBehavior `json:"behavior,omitempty"`

	// mode says whether the Autoscaler writes what it decides (Active), only records it (DryRun) or rests (Paused).
	// +optional
	// +kubebuilder:default=Active
	Mode AutoscalerMode `json:"mode,omitempty"`

	// pause holds the number of replicas in one direction, against every other rule.
	// +optional
	// +kubebuilder:default={}
	Pause AutoscalerPause `json:"pause,omitempty"`

	// timing says how often is decided, and how long a new replica's metrics are taken with care.
	// +optional
	// +kubebuilder:default={}
	Timing AutoscalerTiming `json:"timing,omitempty"`

	// health says what the health of the target means to its scaling.
	// +optional
	// +kubebuilder:default={}
	Health AutoscalerHealth `json:"health,omitempty"`
}

// AutoscalerList is a list of Autoscalers.
//
// +kubebuilder:object:root=true
type AutoscalerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Autoscaler `json:"items"`
}
