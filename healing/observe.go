package healing

import (
	"fmt"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/incident"
)

const (
	// seenEvery is how often LastSeenAt alone is worth a write.
	seenEvery = 30 * time.Second
	// flapMemory is how long a resolved incident makes the next one of the same cause stay open longer, and
	// flapDoublings the most that it does: 2³ times ResolveAfter.
	flapMemory    = time.Hour
	flapDoublings = 3
)

// observe brings the incident up to date with what was found, and moves it through the states that need no action.
func (p *pass) observe(t *tracked) {
	p.record(t)
	if p.stale() {
		return // an old view can add to an incident, and say nothing about its end
	}
	if t.failing() {
		p.seen(t)
	}
	healthy := !t.failing() && p.allReady()
	p.health(t, healthy)
	if t.inc.State == incident.Verifying {
		p.verify(t, healthy)
	}
	if healthy && p.mayResolve(t) {
		p.resolve(t)
	}
}

// record takes the fresh findings into the incident: kind, cause, evidence, timeline.
func (p *pass) record(t *tracked) {
	raised := p.raiseKind(t)
	if len(t.fresh) == 0 {
		if raised {
			p.diagnose(t)
		}
		return
	}
	p.diagnose(t)
	p.gather(t)
	t.inc.LastSeenAt = p.now
	if t.isNew() {
		t.step(p.now, ReasonOpened, t.inc.Cause)
		t.announce(ReasonOpened)
		return
	}
	newest := t.fresh[len(t.fresh)-1]
	message := newest.Message
	if n := len(t.fresh); n > 1 {
		message += fmt.Sprintf(" (and %d more)", n-1)
	}
	t.inc.Note(p.now, string(ReasonSeenAgain), message)
	t.dirty = true
	if r := lastRemediation(&t.inc); t.inc.State == incident.Verifying && (r == nil || r.Outcome == incident.Succeeded) {
		t.inc.State = incident.Open
		t.say(ReasonSeenAgain, message)
	}
}

// raiseKind corrects the kind when a later look or death knows better what an earlier one could only guess.
func (p *pass) raiseKind(t *tracked) bool {
	if t.inc.Kind != incident.ProbableOOM {
		return false
	}
	for i := range t.findings {
		k := t.findings[i].Kind
		if k == incident.OOMKilled || k == incident.LivenessKill && t.inc.Occurrences == 1 {
			t.inc.Kind = k
			message := "the kind is " + string(k) + ": " + t.findings[i].Message
			if t.isNew() { // two deaths at once
				return true
			}
			t.step(p.now, ReasonReclassified, message)
			return true
		}
	}
	return false
}

// seen keeps LastSeenAt, at most every 30 s.
func (p *pass) seen(t *tracked) {
	if p.now.Sub(t.inc.LastSeenAt) >= seenEvery {
		t.inc.LastSeenAt = p.now
		t.dirty = true
	}
}

// health keeps since when the workload has been healthy.
func (p *pass) health(t *tracked, healthy bool) {
	switch {
	case healthy && t.inc.HealthySince.IsZero():
		t.inc.HealthySince = p.now
		t.dirty = true
	case !healthy && !t.inc.HealthySince.IsZero():
		t.inc.HealthySince = time.Time{}
		t.dirty = true
	}
}

// verify judges the action that was carried out.
func (p *pass) verify(t *tracked, healthy bool) {
	r := lastRemediation(&t.inc)
	if r == nil || r.Outcome != incident.Done {
		if r == nil || r.Outcome != incident.Succeeded || t.failing() {
			t.inc.State = incident.Open
			t.dirty = true
		}
		return
	}
	gone := p.gone(r.ReplicaUID, r.Replica)
	switch {
	case gone && healthy:
		p.succeeded(t, r, "the workload was healthy within "+phrase.Span(max(p.now.Sub(r.FinishedAt), time.Second)))
	case gone && p.replaced(t, r):
		p.succeeded(t, r, "the replica that took its place is ready, and other replicas are not yet")
		if t.failing() {
			t.inc.State = incident.Open // the next one
		}
	case p.now.Sub(r.FinishedAt) >= p.in.Policy.VerifyWithin:
		p.notHelped(t, r, gone, healthy)
	}
}

// notHelped ends an action that has not shown its effect in time. Where a failure is left, it is a person's.
func (p *pass) notHelped(t *tracked, r *incident.Remediation, gone, healthy bool) {
	r.Outcome, r.Reason = incident.Failed, string(ReasonNotHelped)
	r.Message = "the workload was not healthy " + phrase.Span(p.in.Policy.VerifyWithin) + " after it"
	if !gone {
		r.Message = "the replica was still there " + phrase.Span(p.in.Policy.VerifyWithin) + " after it"
	}
	t.inc.State = incident.Open
	t.step(p.now, ReasonFailed, "restarting "+r.Replica+" did not help: "+r.Message)
	t.announce(ReasonFailed)
	if !healthy {
		p.abandon(t, ReasonAlreadyTried, "a restart did not help and there is no other remedy: a person is needed")
	}
}

func (p *pass) succeeded(t *tracked, r *incident.Remediation, message string) {
	r.Outcome, r.Reason, r.Message = incident.Succeeded, string(ReasonSucceeded), message
	t.step(p.now, ReasonSucceeded, "restarting "+r.Replica+" helped: "+message)
	t.announce(ReasonSucceeded)
}

// replaced reports whether the action helped its replica though the workload is not healthy yet: a replica that was made
// after it is ready, and none made after it fails.
func (p *pass) replaced(t *tracked, r *incident.Remediation) bool {
	helped := false
	for i := range p.in.Workload.Replicas {
		next := &p.in.Workload.Replicas[i]
		if next.CreatedAt.Before(r.AttemptedAt.Truncate(time.Second)) || next.Deleting() {
			continue
		}
		for j := range t.findings {
			if f := &t.findings[j]; f.ReplicaUID == next.UID && f.Replica == next.Name {
				return false
			}
		}
		helped = helped || next.Ready
	}
	return helped
}

// abandon gives the incident to a person. It goes on being watched, and is resolved when the workload is healthy.
func (p *pass) abandon(t *tracked, reason Reason, message string) {
	t.inc.State = incident.Abandoned
	t.step(p.now, reason, message)
	t.announce(reason)
}

// mayResolve reports whether the incident has been healthy for long enough and no action of it is under way.
func (p *pass) mayResolve(t *tracked) bool {
	if p.in.Workload == nil {
		return true
	}
	if r := lastRemediation(&t.inc); r != nil && (r.Outcome == incident.Pending || r.Outcome == incident.Done) {
		return false
	}
	return p.now.Sub(t.inc.HealthySince) >= p.calm(&t.inc)
}

// calm is how long the workload has to be healthy until the incident is resolved.
func (p *pass) calm(inc *incident.Incident) time.Duration {
	n := 0
	for i := range p.in.Incidents {
		r := &p.in.Incidents[i]
		if !r.State.Active() && r.Kind == inc.Kind && r.Container() == inc.Container() && p.now.Sub(r.ResolvedAt) < flapMemory {
			n++
		}
	}
	return p.in.Policy.ResolveAfter << min(n, flapDoublings)
}

func (p *pass) resolve(t *tracked) {
	t.inc.State, t.inc.ResolvedAt = incident.Resolved, p.now
	var message string
	r := lastRemediation(&t.inc)
	switch {
	case p.in.Workload == nil:
		if r != nil && (r.Outcome == incident.Pending || r.Outcome == incident.Done) {
			r.Outcome, r.Reason, r.Message = incident.Failed, string(ReasonWorkloadGone), "the workload is gone"
		}
		t.inc.Note(p.now, string(ReasonWorkloadGone), "the workload is gone")
		message = "resolved: the workload is gone"
	case r != nil && r.Outcome == incident.Succeeded:
		message = "resolved: healthy for " + phrase.Span(p.now.Sub(t.inc.HealthySince)) + " after a restart of " + r.Replica
	default:
		t.inc.Note(p.now, string(ReasonRecovered), "the workload got healthy without an action")
		message = "resolved: healthy for " + phrase.Span(p.now.Sub(t.inc.HealthySince)) + " without an action"
	}
	t.step(p.now, ReasonResolved, message)
	t.announce(ReasonResolved)
}

// lastRemediation returns the newest remediation that is not a dry run, nil if there is none.
func lastRemediation(inc *incident.Incident) *incident.Remediation {
	for i := len(inc.Remediations) - 1; i >= 0; i-- {
		if r := &inc.Remediations[i]; r.Outcome != incident.DryRun {
			return r
		}
	}
	return nil
}
