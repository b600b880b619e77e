package healing

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/incident"
)

const (
	// answerWithin is how long the controller that wrote an intent has to answer it before it is carried on: far above
	// the deadline of one eviction.
	answerWithin = 10 * time.Second
	// maxFailedAttempts of one remediation whose call fails; a blocked one is tried on.
	maxFailedAttempts = 3
	// minRetry and retryDoublings bound the wait before a retry: Cooldown, doubled up to 2⁴ times, at least 5 s.
	minRetry       = 5 * time.Second
	retryDoublings = 4
)

// act decides on at most one action: it carries on an intent that was left, or proposes a remedy for each open incident
// and records why it is refused.
func (p *pass) act() {
	for _, t := range p.tracked {
		if r := lastRemediation(&t.inc); r != nil && r.Outcome == incident.Pending {
			p.carryOn(t, r)
			return
		}
	}
	for _, t := range p.tracked {
		switch t.inc.State {
		case incident.Open:
			p.propose(t)
		case incident.Acting: // the intent is lost (cut from the list): nothing is under way
			t.inc.State = incident.Open
			t.dirty = true
		case incident.Verifying, incident.Resolved, incident.Abandoned:
		}
	}
}

// propose asks the guards about the remedy for the incident and writes the intent if none refuses.
func (p *pass) propose(t *tracked) {
	q := &proposal{pass: p, t: t}
	q.remedy, q.named = p.in.Policy.RemedyFor(t.inc.Kind)
	q.choose()
	if q.victim != nil && !p.mayTry(q) {
		return
	}
	reason, message, refused := q.refusal()
	switch {
	case refused:
		p.refuse(q, reason, message)
	case q.victim != nil:
		p.intend(q)
	}
}

// choose picks the replica to act on: one that still fails, those that are not ready first, then the longest failing.
func (q *proposal) choose() {
	for i := range q.t.findings {
		f := &q.t.findings[i]
		r := q.pass.replica(f.ReplicaUID, f.Replica)
		if r == nil || r.Deleting() || !q.needs(f, r.Ready) {
			continue
		}
		if q.victim == nil || q.replica.Ready && !r.Ready || q.replica.Ready == r.Ready && f.Since.Before(q.victim.Since) {
			q.victim, q.replica = f, r
		}
	}
}

// needs reports whether the finding leaves anything to be done. What died and is ready again was restarted by the
// platform. A child that was killed leaves no such sign, so it is the policy's choice (stillServing).
func (q *proposal) needs(f *incident.Finding, ready bool) bool {
	return f.Active || !ready || f.Kind == incident.ChildOOM && !q.tried(f)
}

// tried reports whether the occurrence was acted on.
func (q *proposal) tried(f *incident.Finding) bool {
	prefix := remediationPrefix(f, q.remedy)
	return slices.ContainsFunc(q.t.inc.Remediations, func(r incident.Remediation) bool {
		return strings.HasPrefix(r.ID, prefix) && (r.Outcome == incident.Done || r.Outcome == incident.Succeeded)
	})
}

// mayTry finds the remediation of this occurrence that was tried before, and reports whether its wait is over. One whose
// charge has run out is left as it is, so that the next try is a new one and charged anew.
func (p *pass) mayTry(q *proposal) bool {
	prefix := remediationPrefix(q.victim, q.remedy)
	for i := range q.t.inc.Remediations {
		r := &q.t.inc.Remediations[i]
		if !strings.HasPrefix(r.ID, prefix) || r.Outcome != incident.Blocked && r.Outcome != incident.Failed {
			continue
		}
		if r.Reason == string(ReasonNotHelped) || r.Reason == string(ReasonBudgetExhausted) {
			continue
		}
		if p.now.Sub(r.IntendedAt) < p.in.Policy.BudgetPeriod {
			q.retry = r
		}
	}
	if q.retry == nil || q.retry.Attempts == 0 {
		return true
	}
	wait := max(p.in.Policy.Cooldown, minRetry) << min(q.retry.Attempts-1, retryDoublings)
	return p.now.Sub(q.retry.FinishedAt) >= wait
}

// remediationPrefix is the part of the ID that the cause and the replica decide; a number of the charge follows.
func remediationPrefix(f *incident.Finding, r incident.Remedy) string {
	return strings.ToLower(string(r)) + "-" + shortHash(f.ReplicaUID+"/"+f.Replica+"/"+f.Fingerprint) + "-"
}

// quiet reports whether the reason is recorded in the incident and announced to nobody: it is the policy's own wish, or
// passes by itself.
func quiet(r Reason) bool {
	return r == ReasonNoRemedy || r == ReasonObserveOnly || r == ReasonStillServing || r == ReasonReplicaGone ||
		r == ReasonAwaitingOtherWork || r == ReasonCooldown || r == ReasonNoEvidence
}

// refuse records why nothing is done: once, until something is done.
func (p *pass) refuse(q *proposal, reason Reason, message string) {
	t, again := q.t, false
	if reason == ReasonObserveOnly {
		message, again = p.dryRun(q)
	} else if q.victim == nil && !final(reason) {
		return // nothing is left that could be acted on, so nothing is refused
	}
	if reason == ReasonNoEvidence {
		if t.isNew() {
			return // the plan stores it
		}
		c, _ := p.captureOf(q.victim)
		if slices.Contains(t.capture, c) {
			return // the plan captures it
		}
		t.capture, t.dirty = append(t.capture, c), true
	}
	if reason == ReasonAlreadyTried || reason == ReasonBudgetExhausted {
		p.abandon(t, reason, message)
		return
	}
	progress := []string{
		string(ReasonRemediationStart), string(ReasonFailed), string(ReasonSucceeded), string(ReasonReclassified),
	}
	if !again && t.inc.Noted(string(reason), progress...) {
		return
	}
	t.step(p.now, reason, message)
	if !quiet(reason) {
		t.announce(reason)
	}
}

// final reports whether the reason is worth a line though nothing fails any more: it says that nothing ever will be
// done.
func final(r Reason) bool {
	return r == ReasonNoRemedy || r == ReasonProtected || r == ReasonNotOwned
}

// dryRun records what would have been done in observe mode, once per incident, and words it; again is true when that
// is new.
func (p *pass) dryRun(q *proposal) (message string, again bool) {
	if q.remedy == incident.RemedyNone {
		return "observe mode: nothing is done, and nothing would be: the remedy for " + string(q.t.inc.Kind) + " is None", false
	}
	if q.victim == nil {
		return "observe mode: nothing is done, and nothing would be: no replica fails any more", false
	}
	reason, why, refused := q.refusal(ReasonObserveOnly, ReasonNoEvidence)
	if refused {
		return "observe mode: nothing is done, and acting would not be allowed now (" + string(reason) + "): " + why, false
	}
	call := "restart replica " + q.victim.Replica + " of " + p.in.Workload.Ref.String() + ", on condition that its UID is " +
		orNone(q.victim.ReplicaUID)
	message = "observe mode: would " + call
	isDryRun := func(r incident.Remediation) bool { return r.Outcome == incident.DryRun }
	if slices.ContainsFunc(q.t.inc.Remediations, isDryRun) {
		return message, false
	}
	q.t.inc.Intend(incident.Remediation{
		ID: "dry-" + remediationPrefix(q.victim, q.remedy) + "1", Remedy: q.remedy, Replica: q.victim.Replica,
		ReplicaUID: q.victim.ReplicaUID, IntendedAt: p.now, FinishedAt: p.now, By: p.in.Identity, Outcome: incident.DryRun,
		Reason: string(ReasonObserveOnly), Message: "would " + call,
	})
	return message, true
}

// intend writes the intent and plans the action.
func (p *pass) intend(q *proposal) {
	t, f := q.t, q.victim
	message := "restart " + f.Replica + ": " + f.Message
	r := q.retry
	if r == nil {
		prefix, n := remediationPrefix(f, q.remedy), 1
		for t.inc.Remediation(prefix+strconv.Itoa(n)) != nil {
			n++
		}
		r = t.inc.Intend(incident.Remediation{
			ID: prefix + strconv.Itoa(n), Remedy: q.remedy, Replica: f.Replica, ReplicaUID: f.ReplicaUID, IntendedAt: p.now,
		})
	}
	if r.Attempts == 0 { // an intent that was dropped may not have been charged, so it is a new one
		r.IntendedAt = p.now
	}
	r.By, r.AttemptedAt, r.Outcome = p.in.Identity, p.now, incident.Pending
	r.Reason, r.Message = string(ReasonRemediationStart), phrase.Cut(message, incident.MaxMessage)
	t.inc.State = incident.Acting
	if r.Attempts == 0 {
		t.step(p.now, ReasonRemediationStart, message)
		t.announce(ReasonRemediationStart)
	} else { // the first attempt was noted; a line for each would push everything else out
		t.say(ReasonRemediationStart, fmt.Sprintf("attempt %d: %s", r.Attempts+1, message))
	}
	p.plans(t, r, false)
}

// plans makes the intent the action of this pass. It is charged unless it was before: the platform answered it, which
// comes after the charge, or its charge is among those that were made.
func (p *pass) plans(t *tracked, r *incident.Remediation, takenOver bool) {
	charged := r.Attempts > 0
	if takenOver && !charged {
		_, charged = p.ownCharge(r)
	}
	p.action = &Action{
		Incident: t.inc.Name, RemediationID: r.ID, Remedy: r.Remedy, Workload: p.in.Workload.Ref, Replica: r.Replica,
		ReplicaUID: r.ReplicaUID, Charge: !charged, TakenOver: takenOver, Reason: Reason(t.inc.Reason),
		Message: t.inc.Message,
	}
}

// carryOn looks after an intent that has no answer. Within ten seconds it is its writer's own; after that, or at once if
// another controller wrote it, it is carried on under the same ID, if it is still needed and allowed.
func (p *pass) carryOn(t *tracked, r *incident.Remediation) {
	begun := r.IntendedAt
	if r.AttemptedAt.After(begun) {
		begun = r.AttemptedAt
	}
	if r.By == p.in.Identity && p.now.Sub(begun) < answerWithin || p.stale() {
		return
	}
	if p.gone(r.ReplicaUID, r.Replica) {
		r.Outcome, r.By, r.FinishedAt = incident.Done, p.in.Identity, p.now
		r.Attempts++
		r.Reason, r.Message = string(ReasonReplicaGone), "the replica is gone: the intent was carried out"
		t.inc.State = incident.Verifying
		t.step(p.now, ReasonTakenOver, "the intent to restart "+r.Replica+" was carried out already")
		t.announce(ReasonTakenOver)
		return
	}
	q := &proposal{pass: p, t: t, retry: r}
	q.remedy, q.named = p.in.Policy.RemedyFor(t.inc.Kind)
	q.replica = p.replica(r.ReplicaUID, r.Replica)
	for i := range t.findings {
		f := &t.findings[i]
		if f.ReplicaUID == r.ReplicaUID && f.Replica == r.Replica && q.needs(f, q.replica.Ready) {
			q.victim = f
		}
	}
	reason, message, refused := ReasonRecovered, "the replica does not fail any more", q.victim == nil
	if !refused {
		reason, message, refused = q.refusal(ReasonCooldown)
	}
	if refused {
		r.Outcome, r.By, r.FinishedAt = incident.Failed, p.in.Identity, p.now
		r.Reason, r.Message = string(reason), "not carried on: "+message
		t.inc.State = incident.Open
		t.step(p.now, reason, "the intent to restart "+r.Replica+" is not carried on: "+message)
		t.announce(reason)
		return
	}
	from := r.By
	r.By, r.AttemptedAt = p.in.Identity, p.now
	t.inc.State = incident.Acting
	t.step(p.now, ReasonTakenOver, "the intent of "+orNone(from)+" to restart "+r.Replica+" is carried on")
	t.announce(ReasonTakenOver)
	p.plans(t, r, true)
}

// Complete returns the incident with the result of the action folded in: carried out (its effect is verified from now
// on), blocked, or failed (it is tried again after a while). An error of the budget's charge is a result with
// ReasonBudgetExhausted: nothing was carried out, and the incident is abandoned. An ID that is not known, or has its
// result already, changes nothing.
func Complete(inc incident.Incident, id string, res Result, now time.Time) incident.Incident {
	out := inc.Clone()
	r := out.Remediation(id)
	if r == nil || r.Outcome != incident.Pending {
		return inc
	}
	first := r.Attempts == 0
	r.FinishedAt, r.Reason, r.Message = now, string(res.Reason), phrase.Cut(res.Message, incident.MaxMessage)
	note := func(reason Reason, message string) {
		if first {
			out.Note(now, string(reason), message)
		}
		out.Say(string(reason), message)
	}
	switch {
	case res.Reason == ReasonBudgetExhausted:
		r.Outcome, out.State = incident.Failed, incident.Abandoned
		r.Message = "not carried out: the budget is spent"
		note(ReasonBudgetExhausted, "stopped: the budget of the workload is spent: a person is needed")
		return out
	case res.Outcome == incident.Done, res.Outcome == incident.Succeeded, res.Reason == ReasonReplicaGone:
		r.Outcome, out.State = incident.Done, incident.Verifying
		first = true // that it was done at last is noted even if it was the tenth attempt
		if r.Reason == "" {
			r.Reason = string(ReasonCarriedOut)
		}
		note(ReasonCarriedOut, "restarted "+r.Replica+suffix(r.Message))
	case res.Outcome == incident.Blocked:
		r.Outcome, out.State = incident.Blocked, incident.Open
		if r.Reason == "" {
			r.Reason = string(ReasonBlockedByPDB)
		}
		note(Reason(r.Reason), "restarting "+r.Replica+" was blocked and is tried again"+suffix(r.Message))
	default:
		r.Outcome, out.State = incident.Failed, incident.Open
		if r.Reason == "" {
			r.Reason = string(ReasonFailed)
		}
		note(ReasonFailed, "restarting "+r.Replica+" failed"+suffix(r.Message))
	}
	r.Attempts++
	return out
}
