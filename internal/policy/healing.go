package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
)

// Bounds of a HealingPolicy's spec beside those of the engine. A budget of no action is spelled mode: Observe.
const (
	MinBudgetActions = 1
	// MinGrowthPercent and MaxGrowthPercent bound maxMemoryPercent and maxScaleOutPercent: 100 allows no growth.
	MinGrowthPercent = 100
	MaxGrowthPercent = 1000
	// MaxRungs of one ladder.
	MaxRungs = 8
	// MaxForecastSpan bounds forecast.warmUp and forecast.minSpan; MinForecastSpan forecast.minSpan and forecast.horizon.
	MaxForecastSpan = 24 * time.Hour
	MinForecastSpan = time.Minute

	maxExpressions = 16
)

// Healing returns the healing policy that the spec means, with the engine's defaults for what it leaves out; namespace
// and name are the object's. An error is an aggregate of field.Errors, one for each fault; the policy is then not to be
// used.
func Healing(namespace, name string, spec *v1alpha1.HealingPolicySpec) (healing.Policy, error) {
	at := field.NewPath("spec")
	p := healing.DefaultPolicy()
	p.Namespace, p.Name = namespace, name

	errs := checkSelector(&spec.Selector, at.Child("selector"))
	switch spec.Mode {
	case "", v1alpha1.HealingObserve:
		p.Mode = healing.Observe
	case v1alpha1.HealingAct:
		p.Mode = healing.Act
	default:
		errs = append(errs, field.NotSupported(at.Child("mode"), spec.Mode,
			[]v1alpha1.HealingMode{v1alpha1.HealingObserve, v1alpha1.HealingAct}))
	}
	remedies, faults := readRemedies(spec.Remedies, at.Child("remedies"))
	p.Remedies = remedies
	errs = append(errs, faults...)
	errs = append(errs, setBudget(&p, &spec.Budget, at.Child("budget"))...)
	errs = append(errs, setPercent(&p.MinHealthyPercent, spec.MinHealthyPercent, 0, 100, at.Child("minHealthyPercent"))...)
	errs = append(errs, setPercent(&p.MaxMemoryPercent, spec.MaxMemoryPercent, MinGrowthPercent, MaxGrowthPercent, at.Child("maxMemoryPercent"))...)
	errs = append(errs, setPercent(&p.MaxScaleOutPercent, spec.MaxScaleOutPercent, MinGrowthPercent, MaxGrowthPercent, at.Child("maxScaleOutPercent"))...)
	p.PatchTemplate = spec.PatchTemplate
	errs = append(errs, setForecast(&p.Forecast, &spec.Forecast, at.Child("forecast"))...)
	errs = append(errs, setDuration(&p.Cooldown, spec.Cooldown, 0, healing.MaxDuration, at.Child("cooldown"))...)
	errs = append(errs, setDuration(&p.VerifyWithin, spec.VerifyWithin, healing.MinBudgetPeriod, healing.MaxDuration, at.Child("verifyWithin"))...)
	errs = append(errs, setDuration(&p.ResolveAfter, spec.ResolveAfter, healing.MinBudgetPeriod, healing.MaxDuration, at.Child("resolveAfter"))...)
	errs = append(errs, setDuration(&p.NotReadyAfter, spec.NotReadyAfter, healing.MinBudgetPeriod, healing.MaxDuration, at.Child("notReadyAfter"))...)
	errs = append(errs, setDuration(&p.PendingAfter, spec.PendingAfter, 0, healing.MaxDuration, at.Child("pendingAfter"))...)
	if err := errs.ToAggregate(); err != nil {
		return healing.Policy{}, err
	}
	if err := p.Validate(); err != nil {
		return healing.Policy{}, fmt.Errorf("spec: %w", err)
	}
	return p, nil
}

// Selector returns which pods' labels the spec selects. An empty or invalid selector selects nothing and is an error.
func Selector(spec *v1alpha1.HealingPolicySpec) (labels.Selector, error) {
	if err := checkSelector(&spec.Selector, field.NewPath("spec", "selector")).ToAggregate(); err != nil {
		return labels.Nothing(), err
	}
	s, err := metav1.LabelSelectorAsSelector(&spec.Selector)
	if err != nil {
		return labels.Nothing(), fmt.Errorf("spec.selector: %w", err)
	}
	return s, nil
}

func checkSelector(s *metav1.LabelSelector, at *field.Path) field.ErrorList {
	if len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0 {
		return field.ErrorList{field.Required(at, "an empty selector selects nothing: give matchLabels or matchExpressions")}
	}
	if n := len(s.MatchExpressions); n > maxExpressions {
		return field.ErrorList{field.TooMany(at.Child("matchExpressions"), n, maxExpressions)}
	}
	return metavalidation.ValidateLabelSelector(s, metavalidation.LabelSelectorValidationOptions{}, at)
}

func readRemedies(list []v1alpha1.FindingRemedy, at *field.Path) (map[incident.Kind][]incident.Remedy, field.ErrorList) {
	if len(list) == 0 {
		return nil, nil
	}
	var errs field.ErrorList
	remedies := make(map[incident.Kind][]incident.Remedy, len(list))
	for i := range list {
		item, kind := at.Index(i), incident.Kind(list[i].Finding)
		_, twice := remedies[kind]
		switch {
		case !slices.Contains(incident.Kinds(), kind):
			errs = append(errs, field.NotSupported(item.Child("finding"), kind, incident.Kinds()))
		case twice:
			errs = append(errs, field.Duplicate(item.Child("finding"), kind))
		default:
			rungs, faults := readRungs(&list[i], kind, item)
			remedies[kind], errs = rungs, append(errs, faults...)
		}
	}
	return remedies, errs
}

// readRungs returns the rungs for one kind: the remedy, or the ladder.
func readRungs(r *v1alpha1.FindingRemedy, kind incident.Kind, at *field.Path) ([]incident.Remedy, field.ErrorList) {
	switch {
	case r.Remedy != "" && r.Ladder != nil:
		return nil, field.ErrorList{field.Forbidden(at.Child("ladder"), "give either remedy or ladder")}
	case r.Remedy != "":
		remedy := incident.Remedy(r.Remedy)
		return []incident.Remedy{remedy}, checkRung(kind, remedy, at.Child("remedy"))
	case r.Ladder == nil:
		return nil, field.ErrorList{field.Required(at.Child("remedy"), "give either remedy or ladder")}
	}
	at = at.Child("ladder")
	var errs field.ErrorList
	if n := len(r.Ladder); n < 1 || n > MaxRungs {
		errs = append(errs, field.Invalid(at, n, fmt.Sprintf("must have 1 to %d rungs", MaxRungs)))
	}
	var rungs []incident.Remedy
	for i, one := range r.Ladder {
		remedy, item := incident.Remedy(one), at.Index(i)
		faults := checkRung(kind, remedy, item)
		if slices.Contains(rungs, remedy) {
			faults = append(faults, field.Duplicate(item, remedy))
		}
		if remedy == incident.RemedyNone && len(r.Ladder) > 1 {
			faults = append(faults, field.Invalid(item, remedy, "None is not allowed beside other remedies"))
		}
		rungs, errs = append(rungs, remedy), append(errs, faults...)
	}
	return rungs, errs
}

func checkRung(kind incident.Kind, remedy incident.Remedy, at *field.Path) field.ErrorList {
	switch {
	case !slices.Contains(incident.Remedies(), remedy):
		return field.ErrorList{field.NotSupported(at, remedy, incident.Remedies())}
	case !healing.Allows(kind, remedy):
		allowed := make([]string, 0, len(incident.Remedies()))
		for _, r := range healing.Allowed(kind) {
			allowed = append(allowed, string(r))
		}
		return field.ErrorList{field.Invalid(at, remedy, fmt.Sprintf("allowed for %s is %s", kind, strings.Join(allowed, ", ")))}
	default:
		return nil
	}
}

func setPercent(to, given *int32, lo, hi int32, at *field.Path) field.ErrorList {
	if given == nil {
		return nil
	}
	*to = *given
	if *given < lo || *given > hi {
		return field.ErrorList{field.Invalid(at, *given, fmt.Sprintf("must be %d to %d (percent)", lo, hi))}
	}
	return nil
}

func setForecast(to *healing.ForecastPolicy, f *v1alpha1.ForecastRules, at *field.Path) field.ErrorList {
	errs := setDuration(&to.WarmUp, f.WarmUp, 0, MaxForecastSpan, at.Child("warmUp"))
	errs = append(errs, setDuration(&to.MinSpan, f.MinSpan, MinForecastSpan, MaxForecastSpan, at.Child("minSpan"))...)
	errs = append(errs, setDuration(&to.Horizon, f.Horizon, MinForecastSpan, healing.MaxDuration, at.Child("horizon"))...)
	return append(errs, setPercent(&to.MinPercent, f.MinPercent, 1, 100, at.Child("minPercent"))...)
}

func setBudget(p *healing.Policy, b *v1alpha1.Budget, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if v := b.Actions; v != nil {
		if *v < MinBudgetActions || *v > healing.MaxBudgetActions {
			errs = append(errs, field.Invalid(at.Child("actions"), *v, fmt.Sprintf("must be %d to %d", MinBudgetActions, healing.MaxBudgetActions)))
		}
		p.BudgetActions = *v
	}
	return append(errs, setDuration(&p.BudgetPeriod, b.Period, healing.MinBudgetPeriod, healing.MaxDuration, at.Child("period"))...)
}
