package healing

import (
	"slices"
	"strings"

	"github.com/homeostat/homeostat/healing/internal/patch"
	"github.com/homeostat/homeostat/internal/incident"
)

// quiet reports whether the reason is recorded in the incident and announced to nobody: it is the policy's own wish, or
// passes by itself.
func quiet(r Reason) bool {
	return oneOf(r, ReasonNoRemedy, ReasonObserveOnly, ReasonStillServing, ReasonReplicaGone, ReasonAwaitingOtherWork, ReasonCooldown,
		ReasonNoEvidence, ReasonNotApplicable, ReasonNotSupported, ReasonLowConfidence)
}

// forbid records that nothing will ever be done about the incident, if that is so.
func (p *pass) forbid(q *proposal) bool {
	reason, message, refused := q.forbidden()
	if refused {
		p.refuse(q, reason, message)
	}
	return refused
}

// refuse records why nothing is done: once, until something is done.
func (p *pass) refuse(q *proposal, reason Reason, message string) {
	t := q.t
	if reason == ReasonNoEvidence {
		c, wanted := p.captureOf(q.victim)
		if !wanted || slices.Contains(t.capture, c) {
			return // the plan captures it
		}
		t.capture, t.dirty = append(t.capture, c), true
	}
	if p.in.Policy.Mode != Act {
		if reason == ReasonNoEvidence || reason == ReasonAwaitingOtherWork {
			return
		}
		message = "observe mode: nothing is done, and acting would not be allowed now (" + string(reason) + "): " + message
		if reason == ReasonNoRemedy {
			message = "observe mode: nothing is done, and nothing would be: the remedy for " + string(t.inc.Kind) + " is None"
		}
		reason = ReasonObserveOnly
	}
	if reason == ReasonBudgetExhausted {
		p.abandon(t, reason, strings.Join(append([]string{message}, p.triedSoFar(t)...), "; ")+": a person is needed")
		return
	}
	progress := []string{
		string(ReasonRemediationStart), string(ReasonFailed), string(ReasonSucceeded), string(ReasonReclassified), string(ReasonNextRung),
	}
	if t.inc.Noted(string(reason), progress...) {
		if t.inc.Reason != string(reason) && !quiet(reason) { // another guard refused meanwhile; that this one does so again is said, and is no news
			t.say(reason, message)
		}
		return
	}
	t.step(p.now, reason, message)
	if !quiet(reason) {
		t.announce(reason)
	}
}

// rehearse records what would have been done in observe mode, once per incident and rung, and asks the platform to check the call
// without making it.
func (p *pass) rehearse(q *proposal) {
	t := q.t
	if p.action != nil || t.rehearsed(q.remedy) {
		return
	}
	r := t.inc.Intend(incident.Remediation{
		ID: "dry-" + q.prefix(q.victim) + "1", Remedy: q.remedy, Change: q.change, IntendedAt: p.now, FinishedAt: p.now,
		By: p.in.Identity, Outcome: incident.DryRun, Reason: string(ReasonObserveOnly),
	})
	if q.remedy.OnReplica() {
		r.Replica, r.ReplicaUID = q.victim.Replica, q.victim.ReplicaUID
	}
	r.Message = "would " + p.wouldDo(r)
	p.offer(q, r)
	t.step(p.now, ReasonObserveOnly, "observe mode: "+r.Message)
	p.plans(t, r, false)
	p.action.DryRun, p.action.Charge = true, false
}

// offer writes the patch that would make a passing change last, for a person or a Git repository.
func (p *pass) offer(q *proposal, r *incident.Remediation) {
	if r.Remedy != incident.RemedyResizeMemory || r.Change.Template || q.follows {
		return
	}
	p.write(q, "the change of the running replicas is lost with them")
}

// offerElsewhere writes the patches for the rungs that are somebody else's to carry out.
func (p *pass) offerElsewhere(t *tracked, c *climbed, named bool) {
	for _, s := range c.skipped {
		if s.reason != ReasonManagedElsewhere && s.reason != ReasonScaledElsewhere && s.reason != ReasonSizedElsewhere {
			continue
		}
		q := p.proposal(t, s.remedy, named)
		q.fit()
		p.write(q, s.message)
	}
}

// write adds the patch of the remedy to the incident's proposal, and notes it once. The number of replicas follows the load, so it is
// brought up to date only where the incident is stored anyway.
func (p *pass) write(q *proposal, why string) {
	t := q.t
	known := q.remedy == incident.RemedyScaleOut && t.inc.Proposes(string(q.remedy))
	if known && !t.dirty {
		return
	}
	text := patch.Write(patch.Change{
		Workload: q.in.Workload, Remedy: q.remedy, Change: q.change, Why: why, Cause: t.inc.Cause, At: p.now,
	})
	if !t.inc.Propose(string(q.remedy), text) || known {
		return
	}
	t.inc.Note(p.now, string(ReasonProposed), "a patch is proposed for "+string(q.remedy)+": "+why)
	t.dirty = true
	if t.event == "" {
		t.announce(ReasonProposed)
	}
}
