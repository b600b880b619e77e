package healing

import (
	"fmt"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
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
	p.forecast(t)
	p.members(t)
	if p.stale() {
		return // an old view can add to an incident, and say nothing about its end
	}
	p.root(t)
	if t.failing() {
		p.seen(t)
	}
	healthy := !t.failing() && (p.allReady() || t.byItself() || p.aboutTool(t))
	p.health(t, healthy)
	if t.inc.State == incident.Open && awaiting(&t.inc) != nil {
		t.inc.State, t.dirty = incident.Verifying, true
	}
	if t.inc.State == incident.Verifying && p.in.Workload != nil { // of one that is gone nothing can be judged
		p.verify(t, healthy)
	}
	if healthy && p.mayResolve(t) {
		p.resolve(t)
	}
}

// byItself reports whether the incident ends when it is not seen any more, whether the workload is healthy or not: it tells what
// happened, or what would happen.
func (t *tracked) byItself() bool { return !t.inc.Kind.Failure() }

// record takes the fresh findings into the incident: kind, cause, evidence, timeline.
func (p *pass) record(t *tracked) {
	raised := p.raiseKind(t)
	p.diagnose(t, raised)
	if len(t.fresh) == 0 {
		return
	}
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
	if t.inc.State == incident.Verifying && awaiting(&t.inc) == nil {
		t.inc.State = incident.Open
		t.say(ReasonSeenAgain, message)
	}
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
	if inFlight(&t.inc) {
		return false
	}
	return p.now.Sub(t.inc.HealthySince) >= p.calm(&t.inc)
}

// calm is how long the workload has to be healthy until the incident is resolved.
func (p *pass) calm(inc *incident.Incident) time.Duration {
	n := 0
	if inc.Kind.Notice() {
		return p.in.Policy.ResolveAfter
	}
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
	calm := phrase.Span(p.now.Sub(t.inc.HealthySince))
	var message string
	r := lastRemediation(&t.inc)
	switch {
	case p.in.Workload == nil:
		for i := range t.inc.Remediations {
			if o := &t.inc.Remediations[i]; o.Outcome == incident.Pending || o.Outcome == incident.Done {
				o.Outcome, o.Reason, o.Message = incident.Failed, string(ReasonWorkloadGone), "the workload is gone"
			}
		}
		t.inc.Note(p.now, string(ReasonWorkloadGone), "the workload is gone")
		message = "resolved: the workload is gone"
	case r != nil && r.Outcome == incident.Succeeded && r.Remedy != incident.RemedyCapture:
		message = "resolved: healthy for " + calm + " after " + words(leading(&t.inc, r)).noun
	case t.inc.Kind.Notice():
		message = "resolved: not seen again for " + calm
	case p.aboutTool(t):
		message = "resolved: it was told, and the workload does not depend on it"
	case t.inc.Kind.Forecast():
		message = "resolved: it has not held for " + calm
	case t.inc.Kind == incident.JobFailed && p.jobFailed():
		message = "resolved: it was told; the job has failed for good, and stays so until it is run again or deleted"
	case p.in.Workload.Ref.Kind == cluster.KindJob: // it is never ready, so nothing says that it got well
		message = "resolved: not seen again for " + calm
	case r != nil && r.Outcome == incident.Failed && r.Reason == string(ReasonNotHelped):
		late := words(leading(&t.inc, r)).noun + " had not shown its effect in time"
		t.inc.Note(p.now, string(ReasonRecovered), "the workload got healthy, though "+late)
		message = "resolved: healthy for " + calm + ", though " + late
	default:
		t.inc.Note(p.now, string(ReasonRecovered), "the workload got healthy without an action")
		message = "resolved: healthy for " + calm + " without an action"
	}
	if root := followed(&t.inc); root != "" {
		message += "; it followed from " + root
	}
	t.step(p.now, ReasonResolved, message)
	t.announce(ReasonResolved)
}

// jobFailed reports whether the job is still one that has failed for good.
func (p *pass) jobFailed() bool {
	c := p.in.Workload.Condition("Failed")
	return c != nil && c.Status == "True"
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

// awaiting returns the newest remediation whose effect is watched, nil for none.
func awaiting(inc *incident.Incident) *incident.Remediation {
	for i := len(inc.Remediations) - 1; i >= 0; i-- {
		if r := &inc.Remediations[i]; r.Outcome == incident.Done {
			return r
		}
	}
	return nil
}

// inFlight reports whether an action of the incident is under way or its effect is not known yet.
func inFlight(inc *incident.Incident) bool {
	r := lastRemediation(inc)
	return r != nil && r.Outcome == incident.Pending || awaiting(inc) != nil
}
