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
// meaning, and those that Homeostat adds: mode, timing and health.
//
// +kubebuilder:validation:XValidation:rule="!has(self.minReplicas) || self.maxReplicas >= self.minReplicas",fieldPath=".maxReplicas",messageExpression="'maxReplicas is %d, it must be at least minReplicas, which is %d'.format([self.maxReplicas, self.minReplicas])"
type AutoscalerSpec struct {
	// scaleTargetRef names the object whose number of replicas is scaled: one with a scale subresource, in the same
	// namespace.
	// +required
	// +kubebuilder:validation:XValidation:rule="size(self.kind) > 0",fieldPath=".kind",message="scaleTargetRef.kind must not be empty: give the kind of what is scaled, such as Deployment"
	// +kubebuilder:validation:XValidation:rule="size(self.name) > 0",fieldPath=".name",message="scaleTargetRef.name must not be empty: give the name of what is scaled"
	ScaleTargetRef autoscalingv2.CrossVersionObjectReference `json:"scaleTargetRef"`

	// minReplicas is the lower limit of the number of replicas, at least 1.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	MinReplicas *int32 `json:"minReplicas,omitempty"`

	// maxReplicas is the upper limit of the number of replicas, not less than minReplicas.
	// +required
	// +kubebuilder:validation:Minimum=1
	MaxReplicas int32 `json:"maxReplicas"`

	// metrics are what the number of replicas is computed from; the largest proposal counts. Only metrics of type
	// Resource for cpu and memory, with a target of type Utilization or AverageValue. Where none is given: an average
	// CPU utilization of 80 % of the requests.
	// +optional
	// +listType=atomic
	// +kubebuilder:default={{type:"Resource",resource:{name:"cpu",target:{type:"Utilization",averageUtilization:80}}}}
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:XValidation:rule="self.type == 'Resource'",fieldPath=".type",messageExpression="'type is ' + self.type + ', only Resource is allowed'"
	// +kubebuilder:validation:items:XValidation:rule="self.type != 'Resource' || has(self.resource)",message="resource is missing: a metric of type Resource needs resource.name and resource.target"
	// +kubebuilder:validation:items:XValidation:rule="!has(self.resource) || self.resource.name in ['cpu', 'memory']",fieldPath=".resource.name",messageExpression="'resource.name is ' + self.resource.name + ', only cpu and memory are allowed'"
	// +kubebuilder:validation:items:XValidation:rule="!has(self.resource) || self.resource.target.type in ['Utilization', 'AverageValue']",fieldPath=".resource.target.type",messageExpression="'resource.target.type is ' + self.resource.target.type + ', only Utilization and AverageValue are allowed'"
	// +kubebuilder:validation:items:XValidation:rule="!has(self.resource) || self.resource.target.type != 'Utilization' || (has(self.resource.target.averageUtilization) && !has(self.resource.target.averageValue))",fieldPath=".resource.target.averageUtilization",message="a target of type Utilization needs averageUtilization, in percent of the requests, and no averageValue"
	// +kubebuilder:validation:items:XValidation:rule="!has(self.resource) || !has(self.resource.target.averageUtilization) || self.resource.target.averageUtilization >= 1",fieldPath=".resource.target.averageUtilization",messageExpression="'averageUtilization is %d, it must be at least 1 (percent)'.format([self.resource.target.averageUtilization])"
	// +kubebuilder:validation:items:XValidation:rule="!has(self.resource) || self.resource.target.type != 'AverageValue' || (has(self.resource.target.averageValue) && !has(self.resource.target.averageUtilization))",fieldPath=".resource.target.averageValue",message="a target of type AverageValue needs averageValue, such as 500m or 256Mi, and no averageUtilization"
	// +kubebuilder:validation:items:XValidation:rule="!has(self.resource) || !has(self.resource.target.averageValue) || quantity(string(self.resource.target.averageValue)).isGreaterThan(quantity('0'))",fieldPath=".resource.target.averageValue",messageExpression="'averageValue is %s, it must be greater than 0'.format([string(self.resource.target.averageValue)])"
	// +kubebuilder:validation:items:XValidation:rule="!has(self.resource) || !has(self.resource.target.value)",fieldPath=".resource.target.value",message="resource.target.value is not allowed: use averageUtilization or averageValue"
	// +kubebuilder:validation:items:XValidation:rule="self.type != 'Resource' || !(has(self.object) || has(self.pods) || has(self.containerResource) || has(self.external))",message="a metric of type Resource must have no object, pods, containerResource or external"
	Metrics []autoscalingv2.MetricSpec `json:"metrics,omitempty"`

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

	// timing says how long a new replica's metrics are taken with care.
	// +optional
	// +kubebuilder:default={}
	Timing AutoscalerTiming `json:"timing,omitempty"`

	// health says how the health of the target holds its scaling.
	// +optional
	// +kubebuilder:default={}
	Health AutoscalerHealth `json:"health,omitempty"`
}

// AutoscalerTiming has per object what a cluster's kube-controller-manager has as flags for all HPAs.
type AutoscalerTiming struct {
	// cpuInitializationPeriod after a replica's start in which its CPU usage only counts once it is ready. 0s to 24h.
	// +optional
	// +kubebuilder:default="5m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,6})?(h|m|s|ms))+$') && duration(self) <= duration('24h')",messageExpression="'cpuInitializationPeriod is ' + self + ', it must be a duration of 0s to 24h, such as 30s or 5m'"
	CPUInitializationPeriod *metav1.Duration `json:"cpuInitializationPeriod,omitempty"`
	// initialReadinessDelay after a replica's start: one whose readiness last changed before its end was never ready.
	// 0s to 24h.
	// +optional
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,6})?(h|m|s|ms))+$') && duration(self) <= duration('24h')",messageExpression="'initialReadinessDelay is ' + self + ', it must be a duration of 0s to 24h, such as 30s or 5m'"
	InitialReadinessDelay *metav1.Duration `json:"initialReadinessDelay,omitempty"`
}

// AutoscalerHealth says how what healing knows holds scaling. Kubernetes has neither rule.
type AutoscalerHealth struct {
	// holdScaleDownOnIncident keeps the number of replicas from going down while the target has an open incident.
	// +optional
	// +kubebuilder:default=true
	HoldScaleDownOnIncident *bool `json:"holdScaleDownOnIncident,omitempty"`
	// crashLoopIsNotCapacity counts a replica in a crash loop as not ready, whatever its age.
	// +optional
	// +kubebuilder:default=true
	CrashLoopIsNotCapacity *bool `json:"crashLoopIsNotCapacity,omitempty"`
}

// The types of an Autoscaler's conditions. The first three are those of a HorizontalPodAutoscaler, with its reasons.
const (
	ConditionAbleToScale    = "AbleToScale"
	ConditionScalingActive  = "ScalingActive"
	ConditionScalingLimited = "ScalingLimited"
	// ConditionAccepted is false while the spec or the target is refused; its message names the field, its value and
	// what is allowed, or the other object that scales the same target. HealingPolicies have it too.
	ConditionAccepted = "Accepted"
)

// MaxLastChanges bounds AutoscalerStatus.LastChanges.
const MaxLastChanges = 10

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
	// currentMetrics is the last read state of each metric that could be computed.
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
}

// Decision is one decision about the number of replicas.
type Decision struct {
	// time of the decision.
	Time metav1.MicroTime `json:"time"`
	// current is the number that the target asked for.
	Current int32 `json:"current"`
	// proposed is the number that the metrics alone would give.
	Proposed int32 `json:"proposed"`
	// desired is the number after every step.
	Desired int32 `json:"desired"`
	// reason is the last step that moved or held the number.
	Reason string `json:"reason"`
	// message is one plain sentence.
	Message string `json:"message"`
	// metrics are the proposals of the metrics.
	// +optional
	// +listType=atomic
	Metrics []DecisionMetric `json:"metrics,omitempty"`
	// steps after the metrics, in the order in which they ran.
	// +optional
	// +listType=atomic
	Steps []DecisionStep `json:"steps,omitempty"`
}

// DecisionMetric is what one metric alone would give, and the replicas that it counted.
type DecisionMetric struct {
	// resource is cpu or memory.
	Resource string `json:"resource"`
	// type of the target: Utilization or AverageValue.
	Type string `json:"type"`
	// target in percent of the requests (Utilization), thousandths of a core (cpu) or bytes (memory).
	Target int64 `json:"target"`
	// replicas is the metric's proposal.
	// +optional
	Replicas int32 `json:"replicas,omitempty"`
	// ratio is usage over target, with at most four decimals.
	// +optional
	Ratio string `json:"ratio,omitempty"`
	// adjustedRatio is the ratio once replicas that are missing or not ready were counted in, not given where there was
	// no need to.
	// +optional
	AdjustedRatio string `json:"adjustedRatio,omitempty"`
	// value is the average usage per counted replica, in thousandths of a core or bytes.
	// +optional
	Value int64 `json:"value,omitempty"`
	// utilization in percent of the requests.
	// +optional
	Utilization int64 `json:"utilization,omitempty"`
	// withinTolerance is true where the ratio alone asked for no change.
	// +optional
	WithinTolerance bool `json:"withinTolerance,omitempty"`
	// ready is the number of replicas that were counted in full.
	// +optional
	Ready int32 `json:"ready,omitempty"`
	// unready replicas are counted as if they used nothing, and never for scaling down.
	// +optional
	Unready *ReplicaNames `json:"unready,omitempty"`
	// missing replicas have no usable sample.
	// +optional
	Missing *ReplicaNames `json:"missing,omitempty"`
	// ignored replicas are not counted at all (deleted or failed).
	// +optional
	Ignored *ReplicaNames `json:"ignored,omitempty"`
	// error says why the metric could not be computed; errorReason is its one word.
	// +optional
	Error string `json:"error,omitempty"`
	// errorReason is the one word for error.
	// +optional
	ErrorReason string `json:"errorReason,omitempty"`
	// message is one plain sentence.
	// +optional
	Message string `json:"message,omitempty"`
	// oldestSample is the time of the oldest sample that was used.
	// +optional
	OldestSample *metav1.MicroTime `json:"oldestSample,omitempty"`
}

// ReplicaNames counts replicas and names the first of them, each with its reason ("web-1: crash loop").
type ReplicaNames struct {
	// count of all of them.
	Count int32 `json:"count"`
	// first few of them, each with its reason.
	// +optional
	// +listType=atomic
	First []string `json:"first,omitempty"`
}

// DecisionStep is one step after the metrics.
type DecisionStep struct {
	// name of the step: Metrics, Health, Stabilization, RateLimit or Bounds.
	Name string `json:"name"`
	// before is the number that the step was given.
	Before int32 `json:"before"`
	// after is the number that it handed on.
	After int32 `json:"after"`
	// reason is the rule that moved or held the number.
	// +optional
	Reason string `json:"reason,omitempty"`
	// message is one plain sentence.
	// +optional
	Message string `json:"message,omitempty"`
}

// ScaleChange is one change of the number of replicas that was written.
type ScaleChange struct {
	// time of the write.
	Time metav1.MicroTime `json:"time"`
	// from is the number before.
	From int32 `json:"from"`
	// to is the number after.
	To int32 `json:"to"`
	// reason of the decision.
	Reason string `json:"reason"`
	// message is one plain sentence.
	// +optional
	Message string `json:"message,omitempty"`
}

// AutoscalerList is a list of Autoscalers.
//
// +kubebuilder:object:root=true
type AutoscalerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Autoscaler `json:"items"`
}
