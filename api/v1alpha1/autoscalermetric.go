package v1alpha1

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MetricPrometheus is the type of a metric that is the result of a query to Prometheus. The other types are those of
// autoscaling/v2.
const MetricPrometheus autoscalingv2.MetricSourceType = "Prometheus"

// MetricSpec is one metric: its type, the field that is named like the type and has the source and the target, and what
// stands in for it while it cannot be computed. It has the fields of autoscaling/v2 MetricSpec under the same names and
// with the same meaning, and those that Homeostat adds: prometheus and fallback.
//
// +kubebuilder:validation:XValidation:rule="self.type != 'Resource' || has(self.resource)",fieldPath=".resource",message="a metric of type Resource needs resource"
// +kubebuilder:validation:XValidation:rule="self.type == 'Resource' || !has(self.resource)",fieldPath=".resource",messageExpression="'resource is only allowed in a metric of type Resource, this one is of type ' + self.type"
// +kubebuilder:validation:XValidation:rule="self.type != 'ContainerResource' || has(self.containerResource)",fieldPath=".containerResource",message="a metric of type ContainerResource needs containerResource"
// +kubebuilder:validation:XValidation:rule="self.type == 'ContainerResource' || !has(self.containerResource)",fieldPath=".containerResource",messageExpression="'containerResource is only allowed in a metric of type ContainerResource, this one is of type ' + self.type"
// +kubebuilder:validation:XValidation:rule="self.type != 'Pods' || has(self.pods)",fieldPath=".pods",message="a metric of type Pods needs pods"
// +kubebuilder:validation:XValidation:rule="self.type == 'Pods' || !has(self.pods)",fieldPath=".pods",messageExpression="'pods is only allowed in a metric of type Pods, this one is of type ' + self.type"
// +kubebuilder:validation:XValidation:rule="self.type != 'Object' || has(self.object)",fieldPath=".object",message="a metric of type Object needs object"
// +kubebuilder:validation:XValidation:rule="self.type == 'Object' || !has(self.object)",fieldPath=".object",messageExpression="'object is only allowed in a metric of type Object, this one is of type ' + self.type"
// +kubebuilder:validation:XValidation:rule="self.type != 'External' || has(self.external)",fieldPath=".external",message="a metric of type External needs external"
// +kubebuilder:validation:XValidation:rule="self.type == 'External' || !has(self.external)",fieldPath=".external",messageExpression="'external is only allowed in a metric of type External, this one is of type ' + self.type"
// +kubebuilder:validation:XValidation:rule="self.type != 'Prometheus' || has(self.prometheus)",fieldPath=".prometheus",message="a metric of type Prometheus needs prometheus"
// +kubebuilder:validation:XValidation:rule="self.type == 'Prometheus' || !has(self.prometheus)",fieldPath=".prometheus",messageExpression="'prometheus is only allowed in a metric of type Prometheus, this one is of type ' + self.type"
type MetricSpec struct {
	// type of the metric: Resource, ContainerResource, Pods, Object, External or Prometheus.
	// +required
	// +kubebuilder:validation:Enum=Resource;ContainerResource;Pods;Object;External;Prometheus
	Type autoscalingv2.MetricSourceType `json:"type"`
	// resource is the usage of cpu or memory, summed over the containers of a replica, with a target of type Utilization
	// (percent of the requests) or AverageValue.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.name in ['cpu', 'memory']",fieldPath=".name",messageExpression="'name is ' + self.name + ', only cpu and memory are allowed'"
	// +kubebuilder:validation:XValidation:rule="self.target.type in ['Utilization', 'AverageValue']",fieldPath=".target.type",messageExpression="'type is ' + self.target.type + ', only Utilization and AverageValue are allowed'"
	// +kubebuilder:validation:XValidation:rule="self.target.type != 'Utilization' || (has(self.target.averageUtilization) && !has(self.target.averageValue))",fieldPath=".target.averageUtilization",message="a target of type Utilization needs averageUtilization, in percent of the requests, and no averageValue"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.averageUtilization) || self.target.averageUtilization >= 1",fieldPath=".target.averageUtilization",messageExpression="'averageUtilization is %d, it must be at least 1 (percent)'.format([self.target.averageUtilization])"
	// +kubebuilder:validation:XValidation:rule="self.target.type != 'AverageValue' || (has(self.target.averageValue) && !has(self.target.averageUtilization))",fieldPath=".target.averageValue",message="a target of type AverageValue needs averageValue, such as 500m or 256Mi, and no averageUtilization"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.averageValue) || (type(self.target.averageValue) == int ? self.target.averageValue > 0 : quantity(self.target.averageValue).isGreaterThan(quantity('0')))",fieldPath=".target.averageValue",messageExpression="'averageValue is %s, it must be greater than 0'.format([string(self.target.averageValue)])"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.value)",fieldPath=".target.value",message="value is not allowed here: use averageUtilization or averageValue"
	Resource *autoscalingv2.ResourceMetricSource `json:"resource,omitempty"`
	// containerResource is the usage of cpu or memory by one container of each replica, with a target of type Utilization
	// (percent of its request) or AverageValue.
	// +optional
	// +kubebuilder:validation:XValidation:rule="size(self.container) > 0",fieldPath=".container",message="container must not be empty: give the name of the container"
	// +kubebuilder:validation:XValidation:rule="self.name in ['cpu', 'memory']",fieldPath=".name",messageExpression="'name is ' + self.name + ', only cpu and memory are allowed'"
	// +kubebuilder:validation:XValidation:rule="self.target.type in ['Utilization', 'AverageValue']",fieldPath=".target.type",messageExpression="'type is ' + self.target.type + ', only Utilization and AverageValue are allowed'"
	// +kubebuilder:validation:XValidation:rule="self.target.type != 'Utilization' || (has(self.target.averageUtilization) && !has(self.target.averageValue))",fieldPath=".target.averageUtilization",message="a target of type Utilization needs averageUtilization, in percent of the requests, and no averageValue"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.averageUtilization) || self.target.averageUtilization >= 1",fieldPath=".target.averageUtilization",messageExpression="'averageUtilization is %d, it must be at least 1 (percent)'.format([self.target.averageUtilization])"
	// +kubebuilder:validation:XValidation:rule="self.target.type != 'AverageValue' || (has(self.target.averageValue) && !has(self.target.averageUtilization))",fieldPath=".target.averageValue",message="a target of type AverageValue needs averageValue, such as 500m or 256Mi, and no averageUtilization"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.averageValue) || (type(self.target.averageValue) == int ? self.target.averageValue > 0 : quantity(self.target.averageValue).isGreaterThan(quantity('0')))",fieldPath=".target.averageValue",messageExpression="'averageValue is %s, it must be greater than 0'.format([string(self.target.averageValue)])"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.value)",fieldPath=".target.value",message="value is not allowed here: use averageUtilization or averageValue"
	ContainerResource *autoscalingv2.ContainerResourceMetricSource `json:"containerResource,omitempty"`
	// pods is a metric with one value for each replica, averaged over them, with a target of type AverageValue.
	// +optional
	// +kubebuilder:validation:XValidation:rule="size(self.metric.name) > 0",fieldPath=".metric.name",message="metric.name must not be empty: give the name of the metric"
	// +kubebuilder:validation:XValidation:rule="self.target.type == 'AverageValue'",fieldPath=".target.type",messageExpression="'type is ' + self.target.type + ', only AverageValue is allowed'"
	// +kubebuilder:validation:XValidation:rule="has(self.target.averageValue) && !has(self.target.value) && !has(self.target.averageUtilization)",fieldPath=".target.averageValue",message="a metric of type Pods needs averageValue, such as 100, and no value or averageUtilization"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.averageValue) || (type(self.target.averageValue) == int ? self.target.averageValue > 0 : quantity(self.target.averageValue).isGreaterThan(quantity('0')))",fieldPath=".target.averageValue",messageExpression="'averageValue is %s, it must be greater than 0'.format([string(self.target.averageValue)])"
	Pods *autoscalingv2.PodsMetricSource `json:"pods,omitempty"`
	// object is a metric that describes another object of the same namespace, with a target of type Value, or
	// AverageValue: per replica.
	// +optional
	// +kubebuilder:validation:XValidation:rule="size(self.describedObject.kind) > 0",fieldPath=".describedObject.kind",message="describedObject.kind must not be empty: give the kind of the object, such as Ingress"
	// +kubebuilder:validation:XValidation:rule="size(self.describedObject.name) > 0",fieldPath=".describedObject.name",message="describedObject.name must not be empty: give the name of the object"
	// +kubebuilder:validation:XValidation:rule="size(self.metric.name) > 0",fieldPath=".metric.name",message="metric.name must not be empty: give the name of the metric"
	// +kubebuilder:validation:XValidation:rule="self.target.type in ['Value', 'AverageValue']",fieldPath=".target.type",messageExpression="'type is ' + self.target.type + ', only Value and AverageValue are allowed'"
	// +kubebuilder:validation:XValidation:rule="self.target.type != 'Value' || (has(self.target.value) && !has(self.target.averageValue))",fieldPath=".target.value",message="a target of type Value needs value, such as 100, and no averageValue"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.value) || (type(self.target.value) == int ? self.target.value > 0 : quantity(self.target.value).isGreaterThan(quantity('0')))",fieldPath=".target.value",messageExpression="'value is %s, it must be greater than 0'.format([string(self.target.value)])"
	// +kubebuilder:validation:XValidation:rule="self.target.type != 'AverageValue' || (has(self.target.averageValue) && !has(self.target.value))",fieldPath=".target.averageValue",message="a target of type AverageValue needs averageValue, such as 100, and no value"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.averageValue) || (type(self.target.averageValue) == int ? self.target.averageValue > 0 : quantity(self.target.averageValue).isGreaterThan(quantity('0')))",fieldPath=".target.averageValue",messageExpression="'averageValue is %s, it must be greater than 0'.format([string(self.target.averageValue)])"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.averageUtilization)",fieldPath=".target.averageUtilization",message="averageUtilization is not allowed here: use value or averageValue"
	Object *autoscalingv2.ObjectMetricSource `json:"object,omitempty"`
	// external is a metric from outside of the cluster, the sum of the values that its selector matches, with a target of
	// type Value, or AverageValue: per replica.
	// +optional
	// +kubebuilder:validation:XValidation:rule="size(self.metric.name) > 0",fieldPath=".metric.name",message="metric.name must not be empty: give the name of the metric"
	// +kubebuilder:validation:XValidation:rule="self.target.type in ['Value', 'AverageValue']",fieldPath=".target.type",messageExpression="'type is ' + self.target.type + ', only Value and AverageValue are allowed'"
	// +kubebuilder:validation:XValidation:rule="self.target.type != 'Value' || (has(self.target.value) && !has(self.target.averageValue))",fieldPath=".target.value",message="a target of type Value needs value, such as 100, and no averageValue"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.value) || (type(self.target.value) == int ? self.target.value > 0 : quantity(self.target.value).isGreaterThan(quantity('0')))",fieldPath=".target.value",messageExpression="'value is %s, it must be greater than 0'.format([string(self.target.value)])"
	// +kubebuilder:validation:XValidation:rule="self.target.type != 'AverageValue' || (has(self.target.averageValue) && !has(self.target.value))",fieldPath=".target.averageValue",message="a target of type AverageValue needs averageValue, such as 100, and no value"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.averageValue) || (type(self.target.averageValue) == int ? self.target.averageValue > 0 : quantity(self.target.averageValue).isGreaterThan(quantity('0')))",fieldPath=".target.averageValue",messageExpression="'averageValue is %s, it must be greater than 0'.format([string(self.target.averageValue)])"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.averageUtilization)",fieldPath=".target.averageUtilization",message="averageUtilization is not allowed here: use value or averageValue"
	External *autoscalingv2.ExternalMetricSource `json:"external,omitempty"`
	// prometheus is the result of a query, with a target of type Value, or AverageValue: per replica.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.target.type in ['Value', 'AverageValue']",fieldPath=".target.type",messageExpression="'type is ' + self.target.type + ', only Value and AverageValue are allowed'"
	// +kubebuilder:validation:XValidation:rule="self.target.type != 'Value' || (has(self.target.value) && !has(self.target.averageValue))",fieldPath=".target.value",message="a target of type Value needs value, such as 100, and no averageValue"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.value) || (type(self.target.value) == int ? self.target.value > 0 : quantity(self.target.value).isGreaterThan(quantity('0')))",fieldPath=".target.value",messageExpression="'value is %s, it must be greater than 0'.format([string(self.target.value)])"
	// +kubebuilder:validation:XValidation:rule="self.target.type != 'AverageValue' || (has(self.target.averageValue) && !has(self.target.value))",fieldPath=".target.averageValue",message="a target of type AverageValue needs averageValue, such as 100, and no value"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.averageValue) || (type(self.target.averageValue) == int ? self.target.averageValue > 0 : quantity(self.target.averageValue).isGreaterThan(quantity('0')))",fieldPath=".target.averageValue",messageExpression="'averageValue is %s, it must be greater than 0'.format([string(self.target.averageValue)])"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.averageUtilization)",fieldPath=".target.averageUtilization",message="averageUtilization is not allowed here: use value or averageValue"
	Prometheus *PrometheusMetricSource `json:"prometheus,omitempty"`
	// fallback says what stands in for the metric while it cannot be computed. Where it is not given, it is as with a
	// HorizontalPodAutoscaler: the metric asks for nothing, and keeps the others from scaling down.
	// +optional
	Fallback *MetricFallback `json:"fallback,omitempty"`
}

// PrometheusMetricSource is a query with its target. The address of Prometheus is in the configuration of the
// controller.
type PrometheusMetricSource struct {
	// query in PromQL, whose result is one number: a scalar, or a vector with exactly one element.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Query string `json:"query"`
	// target of type Value, or AverageValue: per replica.
	// +required
	Target autoscalingv2.MetricTarget `json:"target"`
}

// FallbackType says what stands in for a metric that cannot be computed.
// +kubebuilder:validation:Enum=Hold;LastGood;Replicas
type FallbackType string

// The fallbacks of a metric.
const (
	FallbackHold     FallbackType = "Hold"     // the current number of replicas
	FallbackLastGood FallbackType = "LastGood" // what the metric last asked for, for a time; then as Hold
	FallbackReplicas FallbackType = "Replicas" // a fixed number
)

// MetricFallback is what stands in for a metric that cannot be computed.
//
// +kubebuilder:validation:XValidation:rule="(self.type == 'LastGood') == has(self.__for__)",fieldPath=".for",messageExpression="self.type == 'LastGood' ? 'a fallback of type LastGood needs for, such as 10m' : 'for is only allowed in a fallback of type LastGood, this one is of type ' + self.type"
// +kubebuilder:validation:XValidation:rule="(self.type == 'Replicas') == has(self.replicas)",fieldPath=".replicas",messageExpression="self.type == 'Replicas' ? 'a fallback of type Replicas needs replicas, such as 5' : 'replicas is only allowed in a fallback of type Replicas, this one is of type ' + self.type"
type MetricFallback struct {
	// type of the fallback: Hold, LastGood or Replicas.
	// +required
	Type FallbackType `json:"type"`
	// for is how old the last proposal may be that stands in; only of LastGood. More than 0s, at most 24h.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,6})?(h|m|s|ms))+$') && duration(self) > duration('0s') && duration(self) <= duration('24h')",messageExpression="'for is ' + self + ', it must be a duration of more than 0s and at most 24h, such as 10m'"
	For *metav1.Duration `json:"for,omitempty"`
	// replicas is the number that stands in; only of Replicas. minReplicas and maxReplicas hold for it too.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Replicas *int32 `json:"replicas,omitempty"`
}
