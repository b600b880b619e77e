package differential

import (
	"strconv"
	"strings"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	v2defaults "k8s.io/kubernetes/pkg/apis/autoscaling/v2"
	metricsapi "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"github.com/homeostat/homeostat/hpa"
)

const namespace = "d"

// autoscaler returns the HorizontalPodAutoscaler that says the same as the policy.
func autoscaler(name string, p *hpa.Policy) *autoscalingv2.HorizontalPodAutoscaler {
	h := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: name},
			MinReplicas:    &p.Min,
			MaxReplicas:    p.Max,
		},
	}
	for i := range p.Metrics {
		h.Spec.Metrics = append(h.Spec.Metrics, metricSpec(&p.Metrics[i]))
	}
	if b := p.Behavior; b != nil {
		h.Spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: scalingRules(b.ScaleUp), ScaleDown: scalingRules(b.ScaleDown)}
		v2defaults.SetDefaults_HorizontalPodAutoscalerBehavior(h)
	}
	return h
}

func metricSpec(m *hpa.Metric) autoscalingv2.MetricSpec {
	spec := autoscalingv2.MetricSpec{Type: autoscalingv2.MetricSourceType(m.Source.Type)}
	id := autoscalingv2.MetricIdentifier{Name: m.Source.Name, Selector: metricSelector(m.Source.Selector)}
	target := metricTarget(m)
	switch m.Source.Type {
	case hpa.FromResource:
		spec.Resource = &autoscalingv2.ResourceMetricSource{Name: v1.ResourceName(m.Source.Resource), Target: target}
	case hpa.FromContainerResource:
		spec.ContainerResource = &autoscalingv2.ContainerResourceMetricSource{
			Name: v1.ResourceName(m.Source.Resource), Container: m.Source.Container, Target: target,
		}
	case hpa.FromPods:
		spec.Pods = &autoscalingv2.PodsMetricSource{Metric: id, Target: target}
	case hpa.FromObject:
		spec.Object = &autoscalingv2.ObjectMetricSource{Metric: id, Target: target, DescribedObject: autoscalingv2.CrossVersionObjectReference{
			APIVersion: "v1", Kind: strings.Split(m.Source.Object, "/")[1], Name: "described",
		}}
	case hpa.FromExternal:
		spec.External = &autoscalingv2.ExternalMetricSource{Metric: id, Target: target}
	case hpa.FromPrometheus: // Kubernetes has none
	}
	return spec
}

func metricSelector(text string) *metav1.LabelSelector {
	switch text {
	case "":
		return nil
	case selectorBroken:
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "verb", Operator: "Nope"}}}
	}
	return &metav1.LabelSelector{MatchLabels: map[string]string{"verb": text}}
}

func metricTarget(m *hpa.Metric) autoscalingv2.MetricTarget {
	target := autoscalingv2.MetricTarget{Type: autoscalingv2.MetricTargetType(m.Type)}
	amount := resource.NewMilliQuantity(m.Target, resource.DecimalSI)
	if m.Source.Resource == hpa.Memory {
		amount = resource.NewQuantity(m.Target, resource.BinarySI)
	}
	switch m.Type {
	case hpa.Utilization:
		percent := int32(m.Target)
		target.AverageUtilization = &percent
	case hpa.AverageValue:
		target.AverageValue = amount
	case hpa.Value:
		target.Value = amount
	}
	return target
}

func scalingRules(r *hpa.Rules) *autoscalingv2.HPAScalingRules {
	if r == nil {
		return nil
	}
	rules := &autoscalingv2.HPAScalingRules{}
	if r.Select != "" {
		s := autoscalingv2.ScalingPolicySelect(r.Select)
		rules.SelectPolicy = &s
	}
	if r.StabilizationWindow != nil {
		seconds := int32(*r.StabilizationWindow / time.Second)
		rules.StabilizationWindowSeconds = &seconds
	}
	for _, l := range r.Limits {
		rules.Policies = append(rules.Policies, autoscalingv2.HPAScalingPolicy{
			Type: autoscalingv2.HPAScalingPolicyType(l.Type), Value: l.Value, PeriodSeconds: int32(l.Period / time.Second),
		})
	}
	if r.Tolerance != nil {
		q := toleranceQuantity(*r.Tolerance)
		rules.Tolerance = &q
	}
	return rules
}

func toleranceQuantity(t float64) resource.Quantity {
	return resource.MustParse(strconv.FormatFloat(t, 'f', -1, 64))
}

// object returns the pod as the API server would give it at a sync.
func (p *Pod) object(now time.Time) *v1.Pod {
	o := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: namespace, Labels: map[string]string{"app": p.App}},
		Status:     v1.PodStatus{Phase: p.Phase},
	}
	if p.Deleting {
		o.DeletionTimestamp = &metav1.Time{Time: now}
	}
	if p.Started != nil {
		o.Status.StartTime = &metav1.Time{Time: now.Add(-*p.Started)}
	}
	if p.Ready != "" {
		o.Status.Conditions = []v1.PodCondition{{Type: v1.PodReady, Status: p.Ready, LastTransitionTime: metav1.Time{Time: now.Add(-p.ReadyFor)}}}
	}
	always := v1.ContainerRestartPolicyAlways
	for i := range p.Containers {
		c := &p.Containers[i]
		k := v1.Container{Name: c.Name, Resources: v1.ResourceRequirements{Requests: c.Requests.list()}}
		switch {
		case c.Restarts:
			k.RestartPolicy = &always
			fallthrough
		case c.Init:
			o.Spec.InitContainers = append(o.Spec.InitContainers, k)
		default:
			o.Spec.Containers = append(o.Spec.Containers, k)
		}
	}
	if p.Requests != nil {
		o.Spec.Resources = &v1.ResourceRequirements{Requests: p.Requests.list()}
	}
	return o
}

// metrics returns the pod's usage as the resource metrics API would give it, false where it knows nothing of it.
func (p *Pod) metrics(now time.Time) (metricsapi.PodMetrics, bool) {
	if p.Sample == nil {
		return metricsapi.PodMetrics{}, false
	}
	m := metricsapi.PodMetrics{
		ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: namespace, Labels: map[string]string{"app": p.App}},
		Timestamp:  metav1.Time{Time: now.Add(-p.Sample.Age)},
		Window:     metav1.Duration{Duration: p.Sample.Window},
	}
	for i := range p.Containers {
		if c := &p.Containers[i]; c.Usage != nil {
			m.Containers = append(m.Containers, metricsapi.ContainerMetrics{Name: c.Name, Usage: c.Usage.list()})
		}
	}
	return m, true
}

func (a *Amounts) list() v1.ResourceList {
	l := v1.ResourceList{}
	if a.CPU != nil {
		l[v1.ResourceCPU] = *a.CPU
	}
	if a.Memory != nil {
		l[v1.ResourceMemory] = *a.Memory
	}
	return l
}
