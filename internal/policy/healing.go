package policy

import (
	"fmt"
	"slices"

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
	if v := spec.MinHealthyPercent; v != nil {
		if *v < 0 || *v > 100 {
			errs = append(errs, field.Invalid(at.Child("minHealthyPercent"), *v, "must be 0 to 100 (percent)"))
		}
		p.MinHealthyPercent = *v
	}
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
	for i, r := range list {
		item := at.Index(i)
		kind, remedy := incident.Kind(r.Finding), incident.Remedy(r.Remedy)
		_, twice := remedies[kind]
		switch {
		case !slices.Contains(incident.Kinds(), kind):
			errs = append(errs, field.NotSupported(item.Child("finding"), kind, incident.Kinds()))
		case twice:
			errs = append(errs, field.Duplicate(item.Child("finding"), kind))
		case !slices.Contains(incident.Remedies(), remedy):
			errs = append(errs, field.NotSupported(item.Child("remedy"), remedy, incident.Remedies()))
		case !healing.Allows(kind, remedy):
			errs = append(errs, field.Invalid(item.Child("remedy"), remedy,
				fmt.Sprintf("only None is allowed for %s: a restart cannot mend it and loses the evidence", kind)))
		}
		remedies[kind] = []incident.Remedy{remedy}
	}
	return remedies, errs
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
