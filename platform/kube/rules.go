package kube

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/policy"
	"github.com/homeostat/homeostat/internal/schedule"
)

// rules remembers what the specs mean, so that a pass over many workloads reads each spec once. Entries of objects that
// are gone are dropped when there are many.
type rules struct {
	mu      sync.Mutex
	healing map[ruleKey]healingRule
	scaling map[ruleKey]scalingRule
}

// ruleKey names one version of a spec.
type ruleKey struct {
	uid        string
	generation int64
}

type healingRule struct {
	policy   healing.Policy
	selector labels.Selector
	invalid  string
}

type scalingRule struct {
	policy    hpa.Policy
	mode      control.Mode
	period    time.Duration
	schedules schedule.Set
	page      *policy.AppPage // nil: the pods' annotations say where their pages are
	invalid   string
}

// maxRules bounds the memory; beyond it everything is read anew.
const maxRules = 20_000

func newRules() *rules {
	return &rules{healing: map[ruleKey]healingRule{}, scaling: map[ruleKey]scalingRule{}}
}

// ofHealing returns what the HealingPolicy means. An invalid one keeps its selector where that can be read.
func (r *rules) ofHealing(o *v1alpha1.HealingPolicy) healingRule {
	key := ruleKey{string(o.UID), o.Generation}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.healing[key]; ok {
		return known
	}
	var rule healingRule
	var err error
	if rule.policy, err = policy.Healing(o.Namespace, o.Name, &o.Spec); err != nil {
		rule.invalid = err.Error()
	}
	if rule.selector, err = policy.Selector(&o.Spec); err != nil {
		rule.selector = labels.Nothing()
	}
	if len(r.healing) >= maxRules {
		r.healing = map[ruleKey]healingRule{}
	}
	r.healing[key] = rule
	return rule
}

// ofScaling returns what the Autoscaler means.
func (r *rules) ofScaling(o *v1alpha1.Autoscaler) scalingRule {
	key := ruleKey{string(o.UID), o.Generation}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.scaling[key]; ok {
		return known
	}
	var rule scalingRule
	var err error
	if rule.policy, err = policy.Autoscaling(&o.Spec); err != nil {
		rule.invalid = err.Error()
	}
	if rule.mode, err = policy.Mode(&o.Spec); err != nil && rule.invalid == "" {
		rule.invalid = err.Error()
	}
	rule.period = policy.Period(&o.Spec)
	if rule.invalid == "" { // Autoscaling has found every fault of these too
		rule.schedules, _ = policy.Schedules(&o.Spec)
		if page, given, err := policy.App(&o.Spec); given && err == nil {
			rule.page = &page
		}
	}
	if len(r.scaling) >= maxRules {
		r.scaling = map[ruleKey]scalingRule{}
	}
	r.scaling[key] = rule
	return rule
}

// byAge sorts objects so that the oldest comes first; of two of the same second the one with the smaller name does.
func byAge[T interface {
	GetName() string
	GetNamespace() string
}](list []T, created func(T) int64) {
	slices.SortFunc(list, func(a, b T) int {
		return cmp.Or(cmp.Compare(created(a), created(b)), cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
}
