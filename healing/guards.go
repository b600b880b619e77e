package healing

import (
	"fmt"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// proposal is one remedy for one incident, before the guards.
type proposal struct {
	*pass
	t      *tracked
	remedy incident.Remedy
	named  bool // the policy names the remedy for this kind
	// victim is the finding to be acted on and replica its replica; both nil where nothing is left to act on.
	victim  *incident.Finding
	replica *cluster.Replica
	// retry is the remediation that is tried again, nil for a new one.
	retry *incident.Remediation
}

// guard is one reason not to act.
type guard struct {
	reason  Reason
	refuses func(q *proposal) (message string, refused bool)
}

// guards returns all of them in the order in which they are asked; the package comment explains them.
func guards() [15]guard {
	return [15]guard{
		{ReasonObserveOnly, observeOnly},
		{ReasonNoRemedy, noRemedy},
		{ReasonProtected, protected},
		{ReasonNotOwned, notOwned},
		{ReasonStaleSnapshot, staleSnapshot},
		{ReasonNoEvidence, noEvidence},
		{ReasonStillServing, stillServing},
		{ReasonReplicaGone, replicaGone},
		{ReasonNodeNotReady, nodeNotReady},
		{ReasonAwaitingOtherWork, otherAction},
		{ReasonAlreadyTried, alreadyTried},
		{ReasonRollingOut, rollingOut},
		{ReasonMinHealthy, minHealthy},
		{ReasonCooldown, cooldown},
		{ReasonBudgetExhausted, budgetExhausted},
	}
}

// refusal returns the first guard that refuses among those whose reason is not in except.
func (q *proposal) refusal(except ...Reason) (reason Reason, message string, refused bool) {
next:
	for _, g := range guards() {
		for _, e := range except {
			if g.reason == e {
				continue next
			}
		}
		if message, refused := g.refuses(q); refused {
			return g.reason, message, true
		}
	}
	return "", "", false
}

func observeOnly(q *proposal) (string, bool) {
	return "observe mode: nothing is done", q.in.Policy.Mode != Act
}

func noRemedy(q *proposal) (string, bool) {
	if q.remedy != incident.RemedyNone {
		return "", false
	}
	if !Allows(q.t.inc.Kind, incident.RemedyRestart) {
		return fmt.Sprintf("nothing is done: a restart does not mend %s", q.t.inc.Kind), true
	}
	return fmt.Sprintf("nothing is done: the remedy for %s is None", q.t.inc.Kind), true
}

func protected(q *proposal) (string, bool) {
	w := q.in.Workload
	switch {
	case w.Self:
		return "refused: Homeostat does not act on itself", true
	case w.System:
		return "refused: it belongs to the cluster itself", true
	case w.Ref.Kind == cluster.KindDaemonSet, w.Ref.Kind == cluster.KindJob:
		return "refused: a " + w.Ref.Kind + " is never acted on", true
	default:
		return "", false
	}
}

func notOwned(q *proposal) (string, bool) {
	return "refused: a bare pod has no owner that would make it again", q.in.Workload.Ref.Kind == cluster.KindPod
}

func staleSnapshot(q *proposal) (string, bool) {
	return "refused: the view is older than " + phrase.Span(MaxStale), q.stale()
}

func noEvidence(q *proposal) (string, bool) {
	if q.t.isNew() {
		return "refused: the evidence is not stored yet", true
	}
	if q.victim == nil || q.retry != nil {
		return "", false
	}
	c, wanted := q.captureOf(q.victim)
	return "refused: the log of " + c.Replica + " is not captured yet", wanted && !q.t.inc.HasLog(c.Replica, c.Container)
}

// stillServing lets the default remedy for ChildOOM through only where the application suffers visibly. A policy that
// names the remedy has decided that it always does.
func stillServing(q *proposal) (string, bool) {
	serves := q.victim != nil && q.t.inc.Kind == incident.ChildOOM && !q.named && q.replica != nil && q.replica.Ready
	return "nothing is done: the replica is ready, and the policy does not name a remedy for ChildOOM", serves
}

func replicaGone(q *proposal) (string, bool) {
	return "nothing is left to do: the replica is gone", q.victim != nil && (q.replica == nil || q.replica.Deleting())
}

func nodeNotReady(q *proposal) (string, bool) {
	if q.replica == nil || q.replica.Node == "" || len(q.in.Nodes) == 0 {
		return "", false
	}
	n, found := q.in.Nodes[q.replica.Node]
	return "refused: node " + q.replica.Node + " is not ready, the control plane deals with it", !found || n.Ready != "True"
}

func otherAction(q *proposal) (string, bool) {
	if q.action != nil {
		return "waits: another action on the workload is under way", true
	}
	for _, t := range q.tracked {
		if t == q.t {
			continue
		}
		if r := lastRemediation(&t.inc); r != nil && (r.Outcome == incident.Pending || r.Outcome == incident.Done) {
			return "waits: the action of " + t.inc.Name + " on the workload is not verified yet", true
		}
	}
	return "", false
}

func alreadyTried(q *proposal) (string, bool) {
	for i := range q.t.inc.Remediations {
		if r := &q.t.inc.Remediations[i]; r.Reason == string(ReasonNotHelped) {
			return "a restart of " + r.Replica + " did not help and there is no other remedy: a person is needed", true
		}
	}
	if r := q.retry; r != nil && r.Outcome == incident.Failed && r.Attempts >= maxFailedAttempts {
		return fmt.Sprintf("restarting %s failed %d times (%s): a person is needed", r.Replica, r.Attempts, r.Message), true
	}
	return "", false
}

func rollingOut(q *proposal) (string, bool) {
	return "waits: a rollout is under way", q.in.Workload.RollingOut
}

// minHealthy asks for enough ready replicas beside the victim. A victim that is not ready serves nobody, so restarting it
// lowers nothing: its own place is not held against it.
func minHealthy(q *proposal) (string, bool) {
	w, percent := q.in.Workload, int64(q.in.Policy.MinHealthyPercent)
	if percent <= 0 {
		return "", false
	}
	if w.Desired <= 1 {
		return "refused: it is the workload's only replica", true
	}
	others := int64(w.ReadyReplicas())
	need := (percent*int64(w.Desired) + 99) / 100
	if q.replica != nil && q.replica.Ready {
		others--
	} else {
		need = min(need, int64(w.Desired)-1)
	}
	return fmt.Sprintf("refused: %d other replicas of %d are ready, %d must be (%d %%)", others, w.Desired, need, percent),
		others < need
}

func cooldown(q *proposal) (string, bool) {
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
		if r.Attempts > 0 && (q.retry == nil || r.ID != q.retry.ID) {
			note(r.FinishedAt)
		}
	})
	wait := q.in.Policy.Cooldown
	return "waits: the last action on the workload was less than " + phrase.Span(wait) + " ago",
		!last.IsZero() && q.now.Sub(last) < wait
}

func budgetExhausted(q *proposal) (string, bool) {
	used, limit := q.used(q.retry), q.in.Policy.BudgetActions
	return fmt.Sprintf("stopped: %s in %s, and the budget is %d: a person is needed", phrase.Count(int64(used), "action"),
		phrase.Span(q.in.Policy.BudgetPeriod), limit), used >= limit
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
		if done && r.Attempts > 0 && within(r.FinishedAt) && (without == nil || r.ID != without.ID) {
			carried++
		}
	})
	return max(charged, carried)
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
