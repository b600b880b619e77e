package policy

import (
	"fmt"
	"slices"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/homeostat/homeostat/hpa"
)

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
