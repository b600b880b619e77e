package policy

import (
	"fmt"
	"slices"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/control"
)

// Bounds of an Autoscaler's spec. Those of windows and periods are Kubernetes' (pkg/apis/autoscaling/validation).
const (
	MaxMetrics         = 8
	MaxScalingPolicies = 16
	MaxTiming          = 24 * time.Hour

	maxWindowSeconds = 3600
	maxPeriodSeconds = 1800
)

// Autoscaling returns the scaling policy that the spec means, with the defaults of Kubernetes for what it leaves out. An
// error is an aggregate of field.Errors, one for each fault; the policy is then not to be used.
func Autoscaling(spec *v1alpha1.AutoscalerSpec) (hpa.Policy, error) {
	at := field.NewPath("spec")
	p := hpa.DefaultPolicy()
	var errs field.ErrorList

	errs = append(errs, checkTarget(spec.ScaleTargetRef, at.Child("scaleTargetRef"))...)
	errs = append(errs, setBounds(&p, spec, at)...)
	if len(spec.Metrics) > 0 {
		metrics, faults := readMetrics(spec.Metrics, at.Child("metrics"))
		p.Metrics = metrics
		errs = append(errs, faults...)
	}
	if spec.Behavior != nil {
		behavior, faults := readBehavior(spec.Behavior, at.Child("behavior"))
		p.Behavior = behavior
		errs = append(errs, faults...)
	}
	if _, err := readMode(spec.Mode); err != nil {
		errs = append(errs, err)
	}
	timing := at.Child("timing")
	errs = append(errs,
		setDuration(&p.CPUInitializationPeriod, spec.Timing.CPUInitializationPeriod, 0, MaxTiming, timing.Child("cpuInitializationPeriod"))...)
	errs = append(errs,
		setDuration(&p.InitialReadinessDelay, spec.Timing.InitialReadinessDelay, 0, MaxTiming, timing.Child("initialReadinessDelay"))...)
	if v := spec.Health.HoldScaleDownOnIncident; v != nil {
		p.Health.HoldOnIncident = *v
	}
	if v := spec.Health.CrashLoopIsNotCapacity; v != nil {
		p.Health.CrashLoopIsNoCapacity = *v
	}
	if err := errs.ToAggregate(); err != nil {
		return hpa.Policy{}, err
	}
	if err := p.Validate(); err != nil {
		return hpa.Policy{}, fmt.Errorf("spec: %w", err)
	}
	return p, nil
}

// Mode returns the mode that the spec means; the empty one is Active.
func Mode(spec *v1alpha1.AutoscalerSpec) (control.Mode, error) {
	m, err := readMode(spec.Mode)
	if err != nil {
		return "", err
	}
	return m, nil
}

func readMode(m v1alpha1.AutoscalerMode) (control.Mode, *field.Error) {
	switch m {
	case "", v1alpha1.ModeActive:
		return control.Active, nil
	case v1alpha1.ModeDryRun:
		return control.DryRun, nil
	case v1alpha1.ModePaused:
		return control.Paused, nil
	default:
		return "", field.NotSupported(field.NewPath("spec", "mode"), m,
			[]v1alpha1.AutoscalerMode{v1alpha1.ModeActive, v1alpha1.ModeDryRun, v1alpha1.ModePaused})
	}
}

func checkTarget(ref autoscalingv2.CrossVersionObjectReference, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if ref.Kind == "" {
		errs = append(errs, field.Required(at.Child("kind"), "give the kind of what is scaled, such as Deployment"))
	}
	if ref.Name == "" {
		errs = append(errs, field.Required(at.Child("name"), "give the name of what is scaled"))
	}
	return errs
}

func setBounds(p *hpa.Policy, spec *v1alpha1.AutoscalerSpec, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if spec.MinReplicas != nil {
		p.Min = *spec.MinReplicas
	}
	p.Max = spec.MaxReplicas
	if p.Min < 1 {
		errs = append(errs, field.Invalid(at.Child("minReplicas"), p.Min, "must be at least 1"))
	}
	switch {
	case p.Max < 1:
		errs = append(errs, field.Invalid(at.Child("maxReplicas"), p.Max, "is required and must be at least 1"))
	case p.Max < p.Min:
		errs = append(errs, field.Invalid(at.Child("maxReplicas"), p.Max, fmt.Sprintf("must be at least minReplicas, which is %d", p.Min)))
	}
	return errs
}

func readMetrics(specs []v1alpha1.MetricSpec, at *field.Path) ([]hpa.Metric, field.ErrorList) {
	if len(specs) > MaxMetrics {
		return nil, field.ErrorList{field.TooMany(at, len(specs), MaxMetrics)}
	}
	var errs field.ErrorList
	metrics := make([]hpa.Metric, 0, len(specs))
	for i := range specs {
		m, faults := readMetric(&specs[i], at.Index(i))
		metrics = append(metrics, m)
		errs = append(errs, faults...)
	}
	return metrics, errs
}

func readMetric(m *v1alpha1.MetricSpec, at *field.Path) (hpa.Metric, field.ErrorList) {
	if m.Type != autoscalingv2.ResourceMetricSourceType {
		return hpa.Metric{}, field.ErrorList{field.NotSupported(at.Child("type"), m.Type,
			[]autoscalingv2.MetricSourceType{autoscalingv2.ResourceMetricSourceType})}
	}
	var errs field.ErrorList
	if m.Object != nil || m.Pods != nil || m.ContainerResource != nil || m.External != nil {
		errs = append(errs, field.Forbidden(at, "a metric of type Resource must have no object, pods, containerResource or external"))
	}
	at = at.Child("resource")
	if m.Resource == nil {
		return hpa.Metric{}, append(errs, field.Required(at, "a metric of type Resource needs resource.name and resource.target"))
	}
	name := m.Resource.Name
	if name != corev1.ResourceCPU && name != corev1.ResourceMemory {
		errs = append(errs, field.NotSupported(at.Child("name"), name, []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory}))
	}
	out, faults := readMetricTarget(name, &m.Resource.Target, at.Child("target"))
	return out, append(errs, faults...)
}

func readMetricTarget(name corev1.ResourceName, t *autoscalingv2.MetricTarget, at *field.Path) (hpa.Metric, field.ErrorList) {
	var errs field.ErrorList
	out := hpa.Metric{Source: hpa.OfResource(hpa.Resource(name)), Type: hpa.TargetType(t.Type)}
	if t.Value != nil {
		errs = append(errs, field.Forbidden(at.Child("value"), "use averageUtilization or averageValue"))
	}
	percent, value := at.Child("averageUtilization"), at.Child("averageValue")
	switch t.Type { //nolint:exhaustive // the others are refused
	case autoscalingv2.UtilizationMetricType:
		if t.AverageValue != nil {
			errs = append(errs, field.Forbidden(value, "a target of type Utilization has averageUtilization only"))
		}
		switch {
		case t.AverageUtilization == nil:
			errs = append(errs, field.Required(percent, "a target of type Utilization needs it, in percent of the requests"))
		case *t.AverageUtilization < 1:
			errs = append(errs, field.Invalid(percent, *t.AverageUtilization, "must be at least 1 (percent)"))
		default:
			out.Target = int64(*t.AverageUtilization)
		}
	case autoscalingv2.AverageValueMetricType:
		if t.AverageUtilization != nil {
			errs = append(errs, field.Forbidden(percent, "a target of type AverageValue has averageValue only"))
		}
		switch {
		case t.AverageValue == nil:
			errs = append(errs, field.Required(value, "a target of type AverageValue needs it, such as 500m or 256Mi"))
		case t.AverageValue.Sign() <= 0:
			errs = append(errs, field.Invalid(value, t.AverageValue.String(), "must be greater than 0"))
		case name == corev1.ResourceCPU:
			out.Target = t.AverageValue.MilliValue()
		default:
			out.Target = t.AverageValue.Value()
		}
	default:
		errs = append(errs, field.NotSupported(at.Child("type"), t.Type,
			[]autoscalingv2.MetricTargetType{autoscalingv2.UtilizationMetricType, autoscalingv2.AverageValueMetricType}))
	}
	return out, errs
}

func readBehavior(b *autoscalingv2.HorizontalPodAutoscalerBehavior, at *field.Path) (*hpa.Behavior, field.ErrorList) {
	up, errs := readRules(b.ScaleUp, at.Child("scaleUp"))
	down, more := readRules(b.ScaleDown, at.Child("scaleDown"))
	return &hpa.Behavior{ScaleUp: up, ScaleDown: down}, append(errs, more...)
}

func readRules(r *autoscalingv2.HPAScalingRules, at *field.Path) (*hpa.Rules, field.ErrorList) {
	if r == nil {
		return nil, nil
	}
	var errs field.ErrorList
	out := &hpa.Rules{}
	if s := r.StabilizationWindowSeconds; s != nil {
		if *s < 0 || *s > maxWindowSeconds {
			errs = append(errs, field.Invalid(at.Child("stabilizationWindowSeconds"), *s, fmt.Sprintf("must be 0 to %d", maxWindowSeconds)))
		}
		window := time.Duration(*s) * time.Second
		out.StabilizationWindow = &window
	}
	if s := r.SelectPolicy; s != nil {
		allowed := []autoscalingv2.ScalingPolicySelect{
			autoscalingv2.MaxChangePolicySelect, autoscalingv2.MinChangePolicySelect, autoscalingv2.DisabledPolicySelect,
		}
		if !slices.Contains(allowed, *s) {
			errs = append(errs, field.NotSupported(at.Child("selectPolicy"), *s, allowed))
		}
		out.Select = hpa.Select(*s)
	}
	if r.Tolerance != nil {
		if r.Tolerance.Sign() < 0 {
			errs = append(errs, field.Invalid(at.Child("tolerance"), r.Tolerance.String(), "must be 0 or more, such as 50m (5 %)"))
		}
		tolerance := r.Tolerance.AsApproximateFloat64()
		out.Tolerance = &tolerance
	}
	if r.Policies != nil {
		limits, faults := readLimits(r.Policies, at.Child("policies"))
		out.Limits = limits
		errs = append(errs, faults...)
	}
	return out, errs
}

func readLimits(policies []autoscalingv2.HPAScalingPolicy, at *field.Path) ([]hpa.RateLimit, field.ErrorList) {
	switch n := len(policies); {
	case n == 0:
		return nil, field.ErrorList{field.Required(at, fmt.Sprintf("must have 1 to %d items, or not be given", MaxScalingPolicies))}
	case n > MaxScalingPolicies:
		return nil, field.ErrorList{field.TooMany(at, n, MaxScalingPolicies)}
	}
	var errs field.ErrorList
	limits := make([]hpa.RateLimit, 0, len(policies))
	for i, p := range policies {
		item := at.Index(i)
		if p.Type != autoscalingv2.PodsScalingPolicy && p.Type != autoscalingv2.PercentScalingPolicy {
			errs = append(errs, field.NotSupported(item.Child("type"), p.Type,
				[]autoscalingv2.HPAScalingPolicyType{autoscalingv2.PodsScalingPolicy, autoscalingv2.PercentScalingPolicy}))
		}
		if p.Value < 1 {
			errs = append(errs, field.Invalid(item.Child("value"), p.Value, "must be at least 1"))
		}
		if p.PeriodSeconds < 1 || p.PeriodSeconds > maxPeriodSeconds {
			errs = append(errs, field.Invalid(item.Child("periodSeconds"), p.PeriodSeconds, fmt.Sprintf("must be 1 to %d", maxPeriodSeconds)))
		}
		limits = append(limits, hpa.RateLimit{
			Type: hpa.RateLimitType(p.Type), Value: p.Value, Period: time.Duration(p.PeriodSeconds) * time.Second,
		})
	}
	return limits, errs
}

// setDuration sets *to where the field was given, and returns the fault where it is out of bounds.
func setDuration(to *time.Duration, given *metav1.Duration, smallest, largest time.Duration, at *field.Path) field.ErrorList {
	if given == nil {
		return nil
	}
	*to = given.Duration
	if *to < smallest || *to > largest {
		return field.ErrorList{field.Invalid(at, given.Duration.String(), fmt.Sprintf("must be a duration of %s to %s", span(smallest), span(largest)))}
	}
	return nil
}

// span writes a bound as people do: 168h rather than 168h0m0s.
func span(d time.Duration) string {
	if d > 0 && d%time.Hour == 0 {
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return d.String()
}
