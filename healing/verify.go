package healing

import (
	"slices"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// rolloutWithin is how long a rollout that a remedy began may take before its effect is judged all the same: the default progress
// deadline of a Deployment.
const rolloutWithin = 10 * time.Minute

// raiseTakes is how long a node may take to raise the limit of a container: whoever is killed before is killed at the old one.
const raiseTakes = 5 * time.Second

// verify judges the action that was carried out.
func (p *pass) verify(t *tracked, healthy bool) {
	r := awaiting(&t.inc)
	if r == nil {
		if last := lastRemediation(&t.inc); last == nil || last.Outcome != incident.Succeeded || t.failing() {
			t.inc.State = incident.Open
			t.dirty = true
		}
		return
	}
	switch r.Remedy {
	case incident.RemedyRestart, incident.RemedyQuarantine:
		p.verifyReplaced(t, r, healthy)
	case incident.RemedyResizeMemory, incident.RemedyScaleOut:
		p.verifyEnough(t, r, healthy)
	case incident.RemedyRollback, incident.RemedyRestartWorkload:
		p.verifyRolled(t, r, healthy)
	case incident.RemedyAbortCanary:
		p.verifyTrack(t, r)
	case incident.RemedyNone, incident.RemedyCapture: // they mend nothing
		p.notHelped(t, r, "it mends nothing")
	}
}

// verifyReplaced wants the replica gone and its successor ready.
func (p *pass) verifyReplaced(t *tracked, r *incident.Remediation, healthy bool) {
	gone := p.gone(r.ReplicaUID, r.Replica)
	within := phrase.Span(p.in.Policy.VerifyWithin)
	switch {
	case gone && healthy:
		p.succeeded(t, r, "the workload was healthy within "+phrase.Span(max(p.now.Sub(r.FinishedAt), time.Second)))
	case gone && p.replaced(t, r):
		p.succeeded(t, r, "the replica that took its place is ready, and other replicas are not yet")
	case p.now.Sub(r.FinishedAt) < p.in.Policy.VerifyWithin:
	case !gone:
		p.notHelped(t, r, "the replica was still there "+within+" after it")
	default:
		p.notHelped(t, r, "the workload was not healthy "+within+" after it")
	}
}

// verifyEnough wants that nothing is killed any more, for as long as a remedy has to show its effect.
func (p *pass) verifyEnough(t *tracked, r *incident.Remediation, healthy bool) {
	base, first := p.settledAt(r), leading(&t.inc, r)
	again := func(f incident.Finding) bool {
		one, since := p.replica(f.ReplicaUID, f.Replica), base
		if r.Remedy == incident.RemedyResizeMemory && !r.Change.Template {
			since = raisedAt(&t.inc, f.ReplicaUID, f.Replica, first.FinishedAt).Add(raiseTakes)
		}
		return f.Death != nil && f.Since.After(since) && (r.Remedy != incident.RemedyResizeMemory || one != nil && !raisable(one, &r.Change))
	}
	killed := !base.IsZero() && slices.ContainsFunc(t.findings, again)
	over := p.judged(base, r)
	switch {
	case killed && (over || r.Remedy == incident.RemedyResizeMemory && !r.Change.Template):
		p.notHelped(t, r, "a container was killed again after it")
	case !over:
	case healthy && p.carriedOut(r):
		p.succeeded(t, r, "no container was killed in the "+phrase.Span(p.now.Sub(base))+" after it")
	default:
		p.notHelped(t, r, p.stillUnhealthy(r))
	}
}

// raisedAt returns when the limit of that replica was raised, otherwise where it was not raised by a remediation of its own.
func raisedAt(inc *incident.Incident, uid, name string, otherwise time.Time) time.Time {
	for i := range slices.Backward(inc.Remediations) {
		r := &inc.Remediations[i]
		if r.Remedy == incident.RemedyResizeMemory && r.Outcome == incident.Done && r.ReplicaUID == uid && r.Replica == name {
			return r.FinishedAt
		}
	}
	return otherwise
}

// verifyRolled wants the rollout that the remedy began to end, and all replicas to be healthy.
func (p *pass) verifyRolled(t *tracked, r *incident.Remediation, healthy bool) {
	switch {
	case healthy && !p.in.Workload.RollingOut && p.carriedOut(r):
		p.succeeded(t, r, "the workload was healthy within "+phrase.Span(max(p.now.Sub(r.FinishedAt), time.Second)))
	case p.judged(p.settledAt(r), r):
		p.notHelped(t, r, p.stillUnhealthy(r))
	}
}

// verifyTrack wants the track that fails to serve nobody any more, and the other one to be there.
func (p *pass) verifyTrack(t *tracked, r *incident.Remediation) {
	track := p.in.Workload.Track
	switch {
	case p.carriedOut(r) && (track == nil || track.OtherReady >= track.OtherDesired):
		p.succeeded(t, r, "nobody is served by it any more")
	case p.judged(r.FinishedAt, r):
		p.notHelped(t, r, "it still served, or the other track did not, "+phrase.Span(p.now.Sub(r.FinishedAt))+" after it")
	}
}

func (p *pass) stillUnhealthy(r *incident.Remediation) string {
	if !p.carriedOut(r) {
		return "nothing of it was seen " + phrase.Span(p.now.Sub(r.FinishedAt)) + " after it"
	}
	return "the workload was not healthy " + phrase.Span(p.now.Sub(r.FinishedAt)) + " after it"
}

// judged reports whether the remedy has had its time: from when its rollout ended, and at the latest from rolloutWithin.
func (p *pass) judged(base time.Time, r *incident.Remediation) bool {
	latest := r.FinishedAt.Add(rolloutWithin)
	if base.IsZero() || base.After(latest) {
		base = latest
	}
	return p.now.Sub(base) >= p.in.Policy.VerifyWithin
}

// settledAt is when what the remedy began had ended: the newest replica that it made, or the deadline that its rollout passed.
// It is zero while a rollout is under way.
func (p *pass) settledAt(r *incident.Remediation) time.Time {
	w := p.in.Workload
	if c := w.Condition("Progressing"); c != nil && c.Status == "False" && c.Since.After(r.FinishedAt) {
		return c.Since
	}
	if w.RollingOut {
		return time.Time{}
	}
	at := r.FinishedAt
	for i := range w.Replicas {
		if made := w.Replicas[i].CreatedAt; made.After(at) && !w.Replicas[i].Deleting() {
			at = made
		}
	}
	return at
}

// carriedOut reports whether the view shows what the remediation changes. For a remedy that takes a replica away it is whether
// the replica is gone.
func (p *pass) carriedOut(r *incident.Remediation) bool {
	w, c := p.in.Workload, &r.Change
	switch r.Remedy {
	case incident.RemedyRestart, incident.RemedyQuarantine:
		return p.gone(r.ReplicaUID, r.Replica)
	case incident.RemedyResizeMemory:
		if c.Template && p.allMadeAfter(r) {
			return true
		}
		one := p.replica(r.ReplicaUID, r.Replica)
		return one != nil && one.Container(c.Container) != nil && !raisable(one, c)
	case incident.RemedyScaleOut:
		return w.Desired >= c.ToReplicas
	case incident.RemedyRollback:
		return w.Revision == c.ToRevision
	case incident.RemedyRestartWorkload:
		return p.allMadeAfter(r) || p.revisedAfter(r)
	case incident.RemedyAbortCanary:
		if c.Target.Kind == cluster.KindService {
			return w.Track == nil || w.Track.Service != c.Target.Name || w.Track.Value != c.FromRevision
		}
		return w.Desired <= c.ToReplicas
	case incident.RemedyNone, incident.RemedyCapture: // they change nothing that is seen
		return false
	default:
		return false
	}
}

// allMadeAfter reports whether every replica is younger than the remediation's first attempt. Platforms may keep whole seconds.
func (p *pass) allMadeAfter(r *incident.Remediation) bool {
	made := false
	for i := range p.in.Workload.Replicas {
		one := &p.in.Workload.Replicas[i]
		if one.Deleting() {
			continue
		}
		if one.CreatedAt.Before(r.IntendedAt.Truncate(time.Second)) {
			return false
		}
		made = true
	}
	return made
}

// revisedAfter reports whether the newest revision was made after the remediation's intent.
func (p *pass) revisedAfter(r *incident.Remediation) bool {
	w := p.in.Workload
	for i := range w.Revisions {
		if v := &w.Revisions[i]; v.Name == w.Revision && !v.CreatedAt.IsZero() {
			return !v.CreatedAt.Before(r.IntendedAt.Truncate(time.Second))
		}
	}
	return false
}

// notHelped ends an action that has not shown its effect in time. What is tried next is the ladder's.
func (p *pass) notHelped(t *tracked, r *incident.Remediation, why string) {
	p.close(t, incident.Failed, ReasonNotHelped, why)
	t.inc.State = incident.Open
	t.step(p.now, ReasonFailed, words(leading(&t.inc, r)).doing+" did not help: "+why)
	t.announce(ReasonFailed)
}

func (p *pass) succeeded(t *tracked, r *incident.Remediation, message string) {
	p.close(t, incident.Succeeded, ReasonSucceeded, message)
	if n := count(&t.inc, r); n > 1 {
		message += ", as of " + phrase.Count(int64(n-1), "other replica")
	}
	t.step(p.now, ReasonSucceeded, words(leading(&t.inc, r)).doing+" helped: "+message)
	t.announce(ReasonSucceeded)
	if t.failing() {
		t.inc.State = incident.Open // the next one
	}
}

// close gives all remediations whose effect is watched their end: those of several replicas end together.
func (p *pass) close(t *tracked, outcome incident.Outcome, reason Reason, message string) {
	for i := range t.inc.Remediations {
		if r := &t.inc.Remediations[i]; r.Outcome == incident.Done {
			r.Outcome, r.Reason, r.Message = outcome, string(reason), message
		}
	}
}

// count returns how many remediations ended as this one did, for the same change.
func count(inc *incident.Incident, r *incident.Remediation) int {
	n := 0
	for i := range inc.Remediations {
		if o := &inc.Remediations[i]; o.Remedy == r.Remedy && o.Outcome == r.Outcome && o.Change.ToMemory == r.Change.ToMemory &&
			r.Remedy == incident.RemedyResizeMemory {
			n++
		}
	}
	return n
}

// leading returns the remediation that the given one follows, itself where it follows none.
func leading(inc *incident.Incident, r *incident.Remediation) *incident.Remediation {
	for i := len(inc.Remediations) - 1; i >= 0 && followerID(r.ID); i-- {
		if o := &inc.Remediations[i]; o.Remedy == r.Remedy && o.Outcome != incident.DryRun && !followerID(o.ID) {
			return o
		}
	}
	return r
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
