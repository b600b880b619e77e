package healing

import (
	"fmt"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/incident"
)

// takesAway reports whether the remedy takes a replica away, and rolls whether it replaces all of them, one after the other.
func (q *proposal) takesAway() bool {
	return q.remedy == incident.RemedyRestart || q.remedy == incident.RemedyQuarantine
}

func (q *proposal) rolls() bool {
	return q.remedy == incident.RemedyRestartWorkload || q.change.Template
}

// away is how many replicas the remedy takes away at once.
func (q *proposal) away() int32 {
	if q.rolls() {
		return max(q.in.Workload.RolloutTakes, 1)
	}
	return 1
}

// minHealthy asks for enough ready replicas beside the victim. A victim that is not ready serves nobody, so restarting it
// lowers nothing: its own place is not held against it. A rolling restart takes away as many ready ones at a time as the workload's
// strategy says, or none where the rollout surges first.
func minHealthy(q *proposal) (string, bool) {
	w, percent := q.in.Workload, q.in.Policy.MinHealthyPercent
	if percent <= 0 || !q.takesAway() && (!q.rolls() || w.SurgesFirst) {
		return "", false
	}
	if w.Desired <= 1 {
		return "refused: it is the workload's only replica", true
	}
	others, need := w.ReadyReplicas(), share(w.Desired, percent)
	switch {
	case q.rolls():
		others = max(min(others-1, w.Desired-q.away()), 0)
	case q.replica != nil && q.replica.Ready:
		others--
	default:
		need = min(need, w.Desired-1)
	}
	return fmt.Sprintf("refused: %d other replicas of %d are ready, %d must be (%d %%)", others, w.Desired, need, percent),
		others < need
}

// wouldBreakPDB asks the PodDisruptionBudgets before the API server does: for an eviction because the view knows the answer, for
// a quarantine and a rolling restart because nobody else would ask. A replica that is not ready may be evicted while enough
// others are healthy. A rollout that surges first takes none away.
func wouldBreakPDB(q *proposal) (string, bool) {
	if !q.takesAway() && (!q.rolls() || q.in.Workload.SurgesFirst) {
		return "", false
	}
	budgets := q.in.Workload.Budgets
	if len(budgets) > 1 && q.takesAway() {
		return fmt.Sprintf("refused: %d PodDisruptionBudgets select it, and the eviction API allows one", len(budgets)), true
	}
	for i := range budgets {
		b := &budgets[i]
		if b.Allowed >= q.away() {
			continue
		}
		if q.takesAway() && q.replica != nil && !q.replica.Ready && b.Desired > 0 && b.Healthy >= b.Desired {
			continue
		}
		if b.Allowed > 0 {
			return fmt.Sprintf("refused: PodDisruptionBudget %s allows %s, and a rollout takes %d replicas away at once", b.Name,
				phrase.Count(int64(b.Allowed), "disruption"), q.away()), true
		}
		return fmt.Sprintf("refused: PodDisruptionBudget %s allows no disruption, %d of its replicas are healthy and %d must be", b.Name,
			b.Healthy, b.Desired), true
	}
	return "", false
}

// free reports whether the action is held against no budget: it changes nothing, or was charged for another replica.
func (q *proposal) free() bool { return q.remedy == incident.RemedyCapture || q.follows }

func cooldown(q *proposal) (string, bool) {
	if q.free() {
		return "", false
	}
	var last time.Time
	note := func(at time.Time) {
		if at.After(last) {
			last = at
		}
	}
	own, _ := q.ownCharge(q.retry)
	for i, at := range q.in.Spent {
		if i != own {
			note(at)
		}
	}
	q.eachRemediation(func(r *incident.Remediation) {
		if r.Attempts > 0 && r.Remedy != incident.RemedyCapture && r.Outcome != incident.DryRun && (q.retry == nil || r.ID != q.retry.ID) {
			note(r.FinishedAt)
		}
	})
	wait := q.in.Policy.Cooldown
	return "waits: the last action on the workload was less than " + phrase.Span(wait) + " ago",
		!last.IsZero() && q.now.Sub(last) < wait
}

func budgetExhausted(q *proposal) (string, bool) {
	if q.free() {
		return "", false
	}
	used, limit := q.used(q.retry), q.in.Policy.BudgetActions
	return fmt.Sprintf("stopped: %s in %s, and the budget is %d", phrase.Count(int64(used), "action"),
		phrase.Span(q.in.Policy.BudgetPeriod), limit), used >= limit
}

// clusterBudgetExhausted waits, because it is not this workload's doing. A retry was charged before.
func clusterBudgetExhausted(q *proposal) (string, bool) {
	b := q.in.Climate.Budget
	if q.free() || b.Actions <= 0 || q.retry != nil && q.charged(q.retry) {
		return "", false
	}
	var used int32
	for _, at := range q.in.Climate.Spent {
		if q.now.Sub(at) < b.Period {
			used++
		}
	}
	return fmt.Sprintf("waits: %s in the whole cluster in %s, and its budget is %d", phrase.Count(int64(used), "action"),
		phrase.Span(b.Period), b.Actions), used >= b.Actions
}

// used counts what is held against the budget now, without the remediation that is tried again: the charges of the
// period, or the actions that were carried out in it, whatever is more. They differ when an action was blocked for a
// while, because it was charged before it was carried out. A call that failed may have had its effect, so it counts.
func (p *pass) used(without *incident.Remediation) int32 {
	var charged, carried int32
	within := func(at time.Time) bool { return !at.IsZero() && p.now.Sub(at) < p.in.Policy.BudgetPeriod }
	own, _ := p.ownCharge(without)
	for i, at := range p.in.Spent {
		if i != own && within(at) {
			charged++
		}
	}
	p.eachRemediation(func(r *incident.Remediation) {
		done := r.Outcome == incident.Done || r.Outcome == incident.Succeeded || r.Outcome == incident.Failed
		free := r.Remedy == incident.RemedyCapture || followerID(r.ID)
		if done && !free && r.Attempts > 0 && within(r.FinishedAt) && (without == nil || r.ID != without.ID) {
			carried++
		}
	})
	return max(charged, carried)
}

// charged reports whether the remediation was charged: the platform answered it, which comes after the charge, or its charge is
// among those that were made.
func (p *pass) charged(r *incident.Remediation) bool {
	_, found := p.ownCharge(r)
	return r.Attempts > 0 || found
}

// ownCharge returns the index of the remediation's charge in Spent, or -1 and false if it was not charged. There is one
// action at a time, so the first charge after its intent is its own. Platforms may keep whole seconds only.
func (p *pass) ownCharge(r *incident.Remediation) (index int, found bool) {
	index = -1
	if r == nil {
		return index, false
	}
	for i, at := range p.in.Spent {
		if at.Unix() >= r.IntendedAt.Unix() && (index < 0 || at.Before(p.in.Spent[index])) {
			index = i
		}
	}
	return index, index >= 0
}

// eachRemediation visits the remediations of all incidents of the workload.
func (p *pass) eachRemediation(visit func(r *incident.Remediation)) {
	for _, t := range p.tracked {
		for i := range t.inc.Remediations {
			visit(&t.inc.Remediations[i])
		}
	}
	for i := range p.in.Incidents {
		if s := &p.in.Incidents[i]; !s.State.Active() {
			for j := range s.Remediations {
				visit(&s.Remediations[j])
			}
		}
	}
}
