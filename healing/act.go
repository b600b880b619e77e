package healing

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

const (
	// answerWithin is how long the controller that wrote an intent has to answer it before it is carried on: far above
	// the deadline of one call.
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
		case incident.Verifying:
			p.follow(t)
		case incident.Resolved, incident.Abandoned:
		}
	}
}

// propose climbs the ladder of the incident and writes the intent for the rung that nothing refuses.
func (p *pass) propose(t *tracked) {
	if t.inc.Kind.Notice() {
		return
	}
	rungs, named := p.in.Policy.LadderFor(t.inc.Kind)
	first := incident.RemedyNone
	if len(rungs) > 0 {
		first = rungs[0]
	}
	if q := p.proposal(t, first, named); p.forbid(q) || t.isNew() || p.served(t) {
		return
	}
	c := p.climb(t, rungs, named)
	p.offerElsewhere(t, &c, named)
	switch {
	case c.answered != nil:
		p.answered(t, c.answered, ReasonCarriedOut, words(c.answered).done+": an attempt whose answer was lost had its effect")
	case c.next != nil && p.in.Policy.Mode != Act:
		p.rehearse(c.next)
	case c.next != nil:
		p.noteSkips(t, &c)
		p.noteNext(t, c.next)
		p.intend(c.next)
	case c.held != nil && c.reason != "":
		if c.reason != ReasonNoEvidence && c.reason != ReasonStaleSnapshot {
			p.noteSkips(t, &c)
		}
		if c.held.stopped() != "" {
			p.offer(c.held, &incident.Remediation{Remedy: c.held.remedy, Change: c.held.change})
		}
		p.refuse(c.held, c.reason, c.message)
	case c.held == nil:
		p.ladderEnd(t, &c)
	}
}

// served reports whether a canary or a Service was taken back from what fails: nobody is served by it any more, so nothing more is
// done about it.
func (p *pass) served(t *tracked) bool {
	r := lastMended(&t.inc)
	return r != nil && r.Remedy == incident.RemedyAbortCanary && p.carriedOut(r)
}

// ladderEnd gives the incident to a person where something was tried and nothing is left to try, and says why nothing is done
// where nothing was.
func (p *pass) ladderEnd(t *tracked, c *climbed) {
	tried := p.triedSoFar(t)
	switch {
	case len(tried) > 0 && (len(c.skipped) > 0 || !p.allReady()):
		message := "stopped: " + strings.Join(tried, "; ")
		if rest := c.untried(incident.RemedyCapture); len(rest) > 0 {
			message += "; nothing else fits: " + skips(rest)
		}
		p.abandon(t, ReasonLadderEnd, message+": a person is needed")
	case len(c.skipped) > 0:
		reason := ReasonNotApplicable
		if i := slices.IndexFunc(c.skipped, func(s skip) bool { return s.reason != ReasonNotApplicable && s.reason != ReasonAlreadyTried }); i >= 0 {
			reason = c.skipped[i].reason
		}
		q := p.proposal(t, c.skipped[0].remedy, false)
		p.refuse(q, reason, "nothing is done: "+skips(c.skipped))
	}
}

// untried returns the rungs that were passed over for another reason than that they were tried, without that one.
func (c *climbed) untried(but incident.Remedy) []skip {
	return slices.DeleteFunc(slices.Clone(c.skipped), func(s skip) bool { return s.reason == ReasonAlreadyTried || s.remedy == but })
}

// triedSoFar words what was tried for the incident and did not help.
func (p *pass) triedSoFar(t *tracked) []string {
	var out []string
	for i := range t.inc.Remediations {
		r := &t.inc.Remediations[i]
		if why := p.unhelpful(t, r); why != "" && !followerID(r.ID) {
			out = append(out, outcomeOf(r, why))
		}
	}
	return out
}

// noteSkips records which rungs were passed over on the way, once for each step up the ladder.
func (p *pass) noteSkips(t *tracked, c *climbed) {
	rest := c.untried(incident.RemedyNone)
	if len(rest) == 0 || t.inc.Noted(string(ReasonNotApplicable), string(ReasonNextRung)) {
		return
	}
	t.inc.Note(p.now, string(ReasonNotApplicable), "passed over: "+skips(rest))
	t.dirty = true
}

// noteNext records the step to the next rung after one that did not help.
func (p *pass) noteNext(t *tracked, q *proposal) {
	tried := p.triedSoFar(t)
	if len(tried) == 0 || q.retry != nil || t.inc.Noted(string(ReasonNextRung), string(ReasonFailed), string(ReasonSucceeded)) {
		return
	}
	t.step(p.now, ReasonNextRung, tried[len(tried)-1]+"; the next remedy is "+string(q.remedy))
	t.announce(ReasonNextRung)
}

// follow goes on with a change that is made to every replica, one at a time: the next replica follows once the one before it has
// its new limit, and nothing is wrong but with those that have the old one. These come first where they run. A resize of a running
// replica takes nothing away, so it waits for no cooldown and is charged once for all of them.
func (p *pass) follow(t *tracked) {
	r := awaiting(&t.inc)
	if r == nil || r.Remedy != incident.RemedyResizeMemory || r.Change.Template || p.in.Policy.Mode != Act || !p.raisedHelped(t, &r.Change) {
		return
	}
	if !p.carriedOut(r) && !p.gone(r.ReplicaUID, r.Replica) {
		return
	}
	one := p.nextToRaise(t, r)
	if one == nil {
		return
	}
	q := &proposal{pass: p, t: t, remedy: r.Remedy, follows: true, change: r.Change, replica: one}
	q.change.FromMemory = one.Container(r.Change.Container).MemoryLimit
	q.victim = &incident.Finding{
		Kind: t.inc.Kind, Replica: one.Name, ReplicaUID: one.UID, Node: one.Node, Container: r.Change.Container,
		Message: "as of " + r.Replica + ", whose limit was too small",
	}
	if _, _, refused := q.refusal(); !refused {
		p.intend(q)
	}
}

// raisedHelped reports whether every replica that has its new limit is ready and fails no more.
func (p *pass) raisedHelped(t *tracked, c *incident.Change) bool {
	var there int32
	for i := range p.in.Workload.Replicas {
		one := &p.in.Workload.Replicas[i]
		if one.Deleting() {
			continue
		}
		if there++; raisable(one, c) {
			continue
		}
		if !one.Ready || slices.ContainsFunc(t.findings, func(f incident.Finding) bool {
			return f.Active && f.ReplicaUID == one.UID && f.Replica == one.Name
		}) {
			return false
		}
	}
	return there >= p.in.Workload.Desired
}

// nextToRaise returns the replica that follows: one that runs, has the old limit and was not tried yet, and of these one that is
// not ready first; nil for none.
func (p *pass) nextToRaise(t *tracked, r *incident.Remediation) *cluster.Replica {
	var next *cluster.Replica
	for i := range p.in.Workload.Replicas {
		one := &p.in.Workload.Replicas[i]
		did := slices.ContainsFunc(t.inc.Remediations, func(o incident.Remediation) bool {
			return o.Remedy == r.Remedy && o.Outcome != incident.DryRun && o.ReplicaUID == one.UID && o.Replica == one.Name
		})
		if did || one.Deleting() || !raisable(one, &r.Change) || !p.raisableNow(one, r.Change.Container) {
			continue
		}
		if next == nil || next.Ready && !one.Ready {
			next = one
		}
	}
	return next
}

// followerID reports whether the ID is of one more replica of a change that was charged for another.
func followerID(id string) bool {
	return strings.HasPrefix(id[strings.LastIndexByte(id, '-')+1:], "f")
}

// intend writes the intent and plans the action.
func (p *pass) intend(q *proposal) {
	t, f := q.t, q.victim
	r := q.retry
	if r == nil {
		prefix, n := q.prefix(f), 1
		if q.follows {
			prefix += "f"
		}
		for t.inc.Remediation(prefix+strconv.Itoa(n)) != nil {
			n++
		}
		r = t.inc.Intend(incident.Remediation{ID: prefix + strconv.Itoa(n), Remedy: q.remedy, IntendedAt: p.now})
		if q.remedy.OnReplica() {
			r.Replica, r.ReplicaUID = f.Replica, f.ReplicaUID
		}
	}
	r.Change = q.change
	if r.Attempts == 0 { // an intent that was dropped may not have been charged, so it is a new one
		r.IntendedAt = p.now
	}
	message := words(r).do + ": " + f.Message
	r.By, r.AttemptedAt, r.Outcome = p.in.Identity, p.now, incident.Pending
	r.Reason, r.Message = string(ReasonRemediationStart), phrase.Cut(message, incident.MaxMessage)
	t.inc.State = incident.Acting
	switch {
	case r.Attempts > 0: // the first attempt was noted; a line for each would push everything else out
		t.say(ReasonRemediationStart, fmt.Sprintf("attempt %d: %s", r.Attempts+1, message))
	case q.follows:
		t.say(ReasonRemediationStart, message)
	default:
		t.step(p.now, ReasonRemediationStart, message)
		t.announce(ReasonRemediationStart)
	}
	p.offer(q, r)
	p.plans(t, r, false)
}

// plans makes the intent the action of this pass. It is charged unless it was before, or costs nothing.
func (p *pass) plans(t *tracked, r *incident.Remediation, takenOver bool) {
	charged := r.Attempts > 0 || takenOver && p.charged(r)
	free := r.Remedy == incident.RemedyCapture || followerID(r.ID)
	p.action = &Action{
		Incident: t.inc.Name, RemediationID: r.ID, Remedy: r.Remedy, Workload: p.in.Workload.Ref, Replica: r.Replica,
		ReplicaUID: r.ReplicaUID, Change: r.Change, Charge: !charged && !free, TakenOver: takenOver, Reason: Reason(t.inc.Reason),
		Message: t.inc.Message,
	}
	if r.Remedy == incident.RemedyCapture {
		p.action.ProfilePort, p.action.ProfilePath = p.in.Workload.ProfilePort, p.in.Workload.ProfilePath
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
	w := words(r)
	if p.carriedOut(r) || r.Remedy.OnReplica() && p.gone(r.ReplicaUID, r.Replica) {
		p.answered(t, r, ReasonTakenOver, "the intent to "+w.do+" was carried out already")
		return
	}
	reason, message, refused := p.mayCarryOn(t, r)
	if refused {
		r.Outcome, r.By, r.FinishedAt = incident.Failed, p.in.Identity, p.now
		r.Reason, r.Message = string(reason), "not carried on: "+message
		t.inc.State = incident.Open
		if awaiting(&t.inc) != nil {
			t.inc.State = incident.Verifying
		}
		t.step(p.now, reason, "the intent to "+w.do+" is not carried on: "+message)
		t.announce(reason)
		return
	}
	from := r.By
	r.By, r.AttemptedAt = p.in.Identity, p.now
	t.inc.State = incident.Acting
	t.step(p.now, ReasonTakenOver, "the intent of "+orNone(from)+" to "+w.do+" is carried on")
	t.announce(ReasonTakenOver)
	p.plans(t, r, true)
}

// mayCarryOn asks whether an intent that was left is still needed and allowed.
func (p *pass) mayCarryOn(t *tracked, r *incident.Remediation) (reason Reason, message string, refused bool) {
	q := &proposal{pass: p, t: t, remedy: r.Remedy, retry: r, change: r.Change, follows: followerID(r.ID)}
	rungs, named := p.in.Policy.LadderFor(t.inc.Kind)
	q.named = named
	switch {
	case !slices.Contains(rungs, r.Remedy):
		return ReasonNoRemedy, "the policy does not name it any more", true
	case q.follows:
		q.replica = p.replica(r.ReplicaUID, r.Replica)
		q.victim = &incident.Finding{Kind: t.inc.Kind, Replica: r.Replica, ReplicaUID: r.ReplicaUID, Container: r.Change.Container}
	case r.Remedy.OnReplica():
		q.chooseReplica(p.replica(r.ReplicaUID, r.Replica), r)
	default:
		q.choose()
	}
	if q.victim == nil {
		return ReasonRecovered, "what it was for does not fail any more", true
	}
	if !q.follows {
		fresh := *q
		if fresh.fit(); fresh.misfit != "" {
			q.misfit = fresh.misfit
		}
	}
	g, message, refused := q.refusal(ReasonCooldown, ReasonNoEvidence)
	return g.reason, message, refused
}

// chooseReplica picks the finding that still needs the remedy on that replica.
func (q *proposal) chooseReplica(one *cluster.Replica, r *incident.Remediation) {
	for i := range q.t.findings {
		f := &q.t.findings[i]
		if one != nil && f.ReplicaUID == r.ReplicaUID && f.Replica == r.Replica && q.needs(f, one) {
			q.victim, q.replica = f, one
		}
	}
}

// answered folds in that a remediation without an answer had its effect.
func (p *pass) answered(t *tracked, r *incident.Remediation, reason Reason, message string) {
	r.Outcome, r.By, r.FinishedAt = incident.Done, p.in.Identity, p.now
	r.Attempts++
	r.Reason, r.Message = string(ReasonCarriedOut), message
	if r.Remedy.OnReplica() && p.gone(r.ReplicaUID, r.Replica) {
		r.Reason, r.Message = string(ReasonReplicaGone), "the replica is gone: the intent was carried out"
	}
	t.inc.State = incident.Verifying
	if r.Remedy == incident.RemedyCapture {
		r.Outcome, t.inc.State = incident.Failed, incident.Open
	}
	t.step(p.now, reason, message)
	t.announce(reason)
}
