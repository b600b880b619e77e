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
	// Remedies per kind; a kind that is not named has the default of DefaultRemedy.
	Remedies map[incident.Kind]incident.Remedy `json:"remedies,omitempty"`
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
	}
}

// DefaultRemedy returns what is done about a kind that a policy does not name: Restart where a restart is known to
// help (a replica that hangs, a container that lives on after one of its processes was killed), None for all others.
func DefaultRemedy(k incident.Kind) incident.Remedy {
	if k == incident.NotReady || k == incident.ChildOOM {
		return incident.RemedyRestart
	}
	return incident.RemedyNone
}

// Allows reports whether the remedy may be chosen for that kind at all: for a failure that a restart cannot mend and
// whose evidence it would destroy, only None may.
func Allows(k incident.Kind, r incident.Remedy) bool {
	if r == incident.RemedyNone {
		return true
	}
	switch k {
	case incident.OOMKilled, incident.ProbableOOM, incident.ChildOOM, incident.LivenessKill, incident.NotReady:
		return r == incident.RemedyRestart
	case incident.CrashLoop, incident.ImagePull, incident.ConfigMissing, incident.Unschedulable, incident.NodeNotReady:
		return false
	default:
		return false
	}
}

// RemedyFor returns the remedy for a kind, and whether the policy itself names it. A remedy that may not be chosen for
// the kind is None, whatever the policy says: Validate refuses it, and a policy that was not validated does no harm.
func (p *Policy) RemedyFor(k incident.Kind) (r incident.Remedy, named bool) {
	r, named = p.Remedies[k]
	if !named {
		r = DefaultRemedy(k)
	}
	if !Allows(k, r) {
		return incident.RemedyNone, named
	}
	return r, named
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
			return fmt.Errorf("remedies: kind %q is not known: must be one of %s", k, joinKinds(incident.Kinds()))
		}
		r := p.Remedies[k]
		if r != incident.RemedyNone && r != incident.RemedyRestart {
			return fmt.Errorf("remedies[%s]: %q is not allowed: must be None or Restart", k, r)
		}
		if !Allows(k, r) {
			return fmt.Errorf("remedies[%s]: %s is not allowed: must be None, because it cannot mend this and would destroy "+
				"the evidence", k, r)
		}
	}
	return nil
}

func joinKinds(kinds []incident.Kind) string {
	var b strings.Builder
	for i, k := range kinds {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(k))
	}
	return b.String()
}
