package policy

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"

	"github.com/homeostat/homeostat/api/v1alpha1"
)

// FromHPA returns the spec of the Autoscaler that scales as a HorizontalPodAutoscaler with that spec does, but for the
// rules about health, which are all on. It shares nothing with the HPA's.
//
// An HPA may have a target whose type is not that of the value given, and values that do not count; the Autoscaler has the
// type and the value that Kubernetes goes by (computeReplicasForMetric in pkg/controller/podautoscaler), and no other.
// What Kubernetes cannot compute either stays as it is, and Autoscaling refuses it.
func FromHPA(spec *autoscalingv2.HorizontalPodAutoscalerSpec) v1alpha1.AutoscalerSpec {
	from := spec.DeepCopy()
	out := v1alpha1.AutoscalerSpec{
		ScaleTargetRef: from.ScaleTargetRef,
		MinReplicas:    from.MinReplicas,
		MaxReplicas:    from.MaxReplicas,
		Behavior:       from.Behavior,
	}
	for i := range from.Metrics {
		m := &from.Metrics[i]
		settle(m)
		out.Metrics = append(out.Metrics, v1alpha1.MetricSpec{
			Type: m.Type, Resource: m.Resource, ContainerResource: m.ContainerResource,
			Pods: m.Pods, Object: m.Object, External: m.External,
		})
	}
	return out
}

// settle leaves the metric the target that Kubernetes goes by.
func settle(m *autoscalingv2.MetricSpec) {
	switch {
	case m.Resource != nil:
		settleUsage(&m.Resource.Target)
	case m.ContainerResource != nil:
		settleUsage(&m.ContainerResource.Target)
	case m.Pods != nil && m.Pods.Target.AverageValue != nil:
		m.Pods.Target = averageValue(&m.Pods.Target)
	case m.Object != nil:
		t := &m.Object.Target
		switch {
		case t.Type == autoscalingv2.ValueMetricType && t.Value != nil:
			*t = wholeValue(t)
		case t.Type == autoscalingv2.AverageValueMetricType && t.AverageValue != nil:
			*t = averageValue(t)
		}
	case m.External != nil:
		t := &m.External.Target
		switch {
		case t.AverageValue != nil:
			*t = averageValue(t)
		case t.Value != nil:
			*t = wholeValue(t)
		}
	}
}

func settleUsage(t *autoscalingv2.MetricTarget) {
	switch {
	case t.AverageValue != nil:
		*t = averageValue(t)
	case t.AverageUtilization != nil:
		*t = autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: t.AverageUtilization}
	}
}

func averageValue(t *autoscalingv2.MetricTarget) autoscalingv2.MetricTarget {
	return autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: t.AverageValue}
}

func wholeValue(t *autoscalingv2.MetricTarget) autoscalingv2.MetricTarget {
	return autoscalingv2.MetricTarget{Type: autoscalingv2.ValueMetricType, Value: t.Value}
}
