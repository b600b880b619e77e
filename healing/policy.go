package healing

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/incident"
)

// Mode says whether a policy's remedies are carried out.
type Mode string

// The modes. Observe writes the same records and acts on nothing.
const (
	Observe Mode = "Observe"
	Act     Mode = "Act"
)

// Limits of a policy's fields, with the same values in the API's validation rules. The spent actions of each workload
// are kept in the policy's status, which has to stay small.
const (
	MaxBudgetActions = 100
	MinBudgetPeriod  = time.Second
	MaxDuration      = 7 * 24 * time.Hour
)

// Policy is what the user allows. The zero Mode is Observe; DefaultPolicy gives the defaults.
type Policy struct {
	// Namespace and Name of the HealingPolicy; empty for the cluster's default.
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	Mode      Mode   `json:"mode"`
	// Remedies per kind: the rungs of a ladder, in the order in which they are tried; a kind that is not named has
	// DefaultLadder, an empty ladder is None.
	Remedies map[incident.Kind][]incident.Remedy `json:"remedies,omitempty"`
	// MaxMemoryPercent bounds ResizeMemory: of the limit in the template, as it was before Homeostat patched it. Default 200.
	MaxMemoryPercent int32 `json:"maxMemoryPercent"`
	// PatchTemplate makes ResizeMemory patch the template too, which starts a rollout. Default false: the patch is proposed.
	PatchTemplate bool `json:"patchTemplate,omitempty"`
	// MaxScaleOutPercent bounds ScaleOut: of the desired replicas before the incident's first one, and without an autoscaler before
	// those of the incidents before it that nobody took back. Default 200. An autoscaler's maximum holds too.
	MaxScaleOutPercent int32 `json:"maxScaleOutPercent"`
	// Forecast says when growth of memory is a finding.
	Forecast ForecastPolicy `json:"forecast"`
	// BudgetActions in BudgetPeriod per workload. Default 3 in 1 h.
	BudgetActions int32         `json:"budgetActions"`
	BudgetPeriod  time.Duration `json:"budgetPeriod"`
	// MinHealthyPercent of the desired replicas that must be ready after the action. Default 51 (medik8s and the node
	// controller stop at about half). With 0 a workload's only replica may be restarted too.
	MinHealthyPercent int32 `json:"minHealthyPercent"`
	// Cooldown between two actions on one workload, and the wait before a refused one is tried again the first time.
	// Default 1 m.
	Cooldown time.Duration `json:"cooldown"`
	// VerifyWithin is how long an action has to show its effect. Default 2 m.
	VerifyWithin time.Duration `json:"verifyWithin"`
	// ResolveAfter is how long the workload has to be healthy until its incident is resolved. Default 2 m.
	ResolveAfter time.Duration `json:"resolveAfter"`
	// NotReadyAfter is how long a running replica may be not ready before that is a finding. Default 3 m.
	NotReadyAfter time.Duration `json:"notReadyAfter"`
	// PendingAfter is how long an image pull, a missing config or an unschedulable pod may last before that is a
	// finding. Default 30 s.
	PendingAfter time.Duration `json:"pendingAfter"`
}

// ForecastPolicy says when growth of memory is a finding: after WarmUp of the container's life, over at least MinSpan, where the
// memory is above MinPercent of the limit and the limit will be reached within Horizon.
type ForecastPolicy struct {
	WarmUp     time.Duration `json:"warmUp"`     // Default 10 m.
	MinSpan    time.Duration `json:"minSpan"`    // Default 30 m.
	MinPercent int32         `json:"minPercent"` // Default 70.
	Horizon    time.Duration `json:"horizon"`    // Default 2 h.
}

// DefaultPolicy returns the policy of a workload whose policy says nothing: observe, three actions an hour, at least
// 51 % of the replicas ready after each.
func DefaultPolicy() Policy {
	return Policy{
		Mode:              Observe,
		BudgetActions:     3,
		BudgetPeriod:      time.Hour,
		MinHealthyPercent: 51,
		Cooldown:          time.Minute,
		VerifyWithin:      2 * time.Minute,
		ResolveAfter:      2 * time.Minute,
		NotReadyAfter:     3 * time.Minute,
		PendingAfter:      30 * time.Second,

		MaxMemoryPercent: 200, MaxScaleOutPercent: 200,
		Forecast: ForecastPolicy{WarmUp: 10 * time.Minute, MinSpan: 30 * time.Minute, MinPercent: 70, Horizon: 2 * time.Hour},
	}
}

// Validate returns an error that names the first field with a value that is not allowed, the value, and what is
// allowed; nil if there is none.
func (p *Policy) Validate() error {
	if p.Mode != "" && p.Mode != Observe && p.Mode != Act {
		return fmt.Errorf("mode: %q is not allowed: must be Observe or Act", p.Mode)
	}
	if err := p.validateRemedies(); err != nil {
		return err
	}
	if p.BudgetActions < 0 || p.BudgetActions > MaxBudgetActions {
		return fmt.Errorf("budgetActions: %d is not allowed: must be from 0 to %d", p.BudgetActions, MaxBudgetActions)
	}
	if p.MinHealthyPercent < 0 || p.MinHealthyPercent > 100 {
		return fmt.Errorf("minHealthyPercent: %d is not allowed: must be from 0 to 100", p.MinHealthyPercent)
	}
	for _, d := range []struct {
		field    string
		value    time.Duration
		smallest time.Duration
	}{
		{"budgetPeriod", p.BudgetPeriod, MinBudgetPeriod},
		{"cooldown", p.Cooldown, 0},
		{"verifyWithin", p.VerifyWithin, time.Second},
		{"resolveAfter", p.ResolveAfter, time.Second},
		{"notReadyAfter", p.NotReadyAfter, time.Second},
		{"pendingAfter", p.PendingAfter, 0},
	} {
		if d.value < d.smallest || d.value > MaxDuration {
			return fmt.Errorf("%s: %s is not allowed: must be from %s to %s", d.field, d.value, d.smallest, MaxDuration)
		}
	}
	return nil
}

func (p *Policy) validateRemedies() error {
	kinds := make([]string, 0, len(p.Remedies))
	for k := range p.Remedies {
		kinds = append(kinds, string(k))
	}
	slices.Sort(kinds) // so that the same policy gives the same error
	for _, name := range kinds {
		k := incident.Kind(name)
		if !slices.Contains(incident.Kinds(), k) {
			return fmt.Errorf("remedies: kind %q is not known: must be one of %s", k, join(incident.Kinds()))
		}
		for i, r := range p.Remedies[k] {
			if !slices.Contains(Allowed(k), r) {
				return fmt.Errorf("remedies[%s]: %q is not allowed: must be one of %s", k, r, join(Allowed(k)))
			}
			if slices.Contains(p.Remedies[k][:i], r) {
				return fmt.Errorf("remedies[%s]: %s is there twice: each rung once", k, r)
			}
			if r == incident.RemedyNone && len(p.Remedies[k]) > 1 {
				return fmt.Errorf("remedies[%s]: None is not allowed beside other remedies", k)
			}
		}
	}
	return nil
}

func join[T ~string](words []T) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(w))
	}
	return b.String()
}
