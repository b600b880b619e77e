package policy

import (
	"fmt"
	"slices"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/control"
)

// Bounds of an Autoscaler's spec. Those of windows and periods are Kubernetes' (pkg/apis/autoscaling/validation).
const (
	MaxMetrics         = v1alpha1.MaxMetrics
	MaxSchedules       = 16
	MaxScalingPolicies = 16
	MaxTiming          = 24 * time.Hour
	MinPeriod          = time.Second
	MaxPeriod          = time.Hour

	maxOOMWindow     = time.Hour
	maxMemorySettle  = time.Hour
	maxFallback      = 24 * time.Hour
	maxQuery         = 4096 // characters
	maxName          = 1024 // of a metric or an object
	maxSelector      = 4096 // of a metric, as text
	maxWindowSeconds = 3600
	maxPeriodSeconds = 1800
)

// Autoscaling returns the scaling policy that the spec means, with the defaults of Kubernetes for what it leaves out. An
// error is an aggregate of field.Errors, one for each fault of the whole spec, those of what Schedules, App, Period and
// Mode read included; the policy is then not to be used.
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
	p.Pause = hpa.Pause{ScaleUp: spec.Pause.ScaleUp, ScaleDown: spec.Pause.ScaleDown}
	errs = append(errs, setTiming(&p, &spec.Timing, at.Child("timing"))...)
	errs = append(errs, setHealth(&p.Health, &spec.Health, at.Child("health"))...)
	_, faults := readSchedules(spec, at.Child("schedules"))
	errs = append(errs, faults...)
	if spec.AppMetrics != nil {
		_, faults := readApp(spec.AppMetrics, at.Child("appMetrics"))
		errs = append(errs, faults...)
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
	switch {
	case p.Min < 0:
		errs = append(errs, field.Invalid(at.Child("minReplicas"), p.Min, "must be at least 0"))
	case p.Min == 0 && !slices.ContainsFunc(spec.Metrics, fromZero):
		errs = append(errs, field.Invalid(at.Child("minReplicas"), p.Min,
			"must be at least 1 unless there is a metric of type Object, External or Prometheus"))
	}
	switch {
	case p.Max < 1:
		errs = append(errs, field.Invalid(at.Child("maxReplicas"), p.Max, "is required and must be at least 1"))
	case p.Max < p.Min:
		errs = append(errs, field.Invalid(at.Child("maxReplicas"), p.Max, fmt.Sprintf("must be at least minReplicas, which is %d", p.Min)))
	}
	return errs
}

// fromZero reports whether the metric has a value while there is no replica.
func fromZero(m v1alpha1.MetricSpec) bool {
	switch m.Type { //nolint:exhaustive // the others have none
	case autoscalingv2.ObjectMetricSourceType, autoscalingv2.ExternalMetricSourceType, v1alpha1.MetricPrometheus:
		return true
	}
	return false
}

func setTiming(p *hpa.Policy, t *v1alpha1.AutoscalerTiming, at *field.Path) field.ErrorList {
	errs := setDuration(&p.CPUInitializationPeriod, t.CPUInitializationPeriod, 0, MaxTiming, at.Child("cpuInitializationPeriod"))
	errs = append(errs, setDuration(&p.InitialReadinessDelay, t.InitialReadinessDelay, 0, MaxTiming, at.Child("initialReadinessDelay"))...)
	var period time.Duration // Period reads it
	return append(errs, setDuration(&period, t.SyncPeriod, MinPeriod, MaxPeriod, at.Child("syncPeriod"))...)
}

func setHealth(p *hpa.HealthPolicy, h *v1alpha1.AutoscalerHealth, at *field.Path) field.ErrorList {
	for _, rule := range []struct {
		to    *bool
		given *bool
	}{
		{&p.HoldOnIncident, h.HoldScaleDownOnIncident},
		{&p.CrashLoopIsNoCapacity, h.CrashLoopIsNotCapacity},
		{&p.OOMKilledIsNoCapacity, h.OOMKilledIsNotCapacity},
		{&p.FailingIsNoCapacity, h.FailingIsNotCapacity},
		{&p.NeverReadyIsNoCapacity, h.NeverReadyIsNotCapacity},
		{&p.PartialIsMissing, h.PartialIsMissing},
		{&p.HoldOnFailingRollout, h.HoldOnFailingRollout},
		{&p.HoldOnShortage, h.HoldScaleUpOnShortage},
	} {
		if rule.given != nil {
			*rule.to = *rule.given
		}
	}
	errs := setDuration(&p.OOMWindow, h.OOMWindow, time.Nanosecond, maxOOMWindow, at.Child("oomWindow"))
	return append(errs, setDuration(&p.MemorySettle, h.MemorySettle, 0, maxMemorySettle, at.Child("memorySettle"))...)
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
