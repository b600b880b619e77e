package healing

import (
	"cmp"
	"slices"
	"time"

	"github.com/homeostat/homeostat/healing/cause"
	"github.com/homeostat/homeostat/healing/detect"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// Detect returns what is broken in the workload, one finding per replica, container and failure, in the order of the
// replicas. What is over and older than detect.Horizon is no news and left out, unless an open incident began before it: so an
// installation into an old cluster does not open incidents about its history.
func Detect(in Input, now time.Time) []incident.Finding {
	if in.Workload == nil {
		return nil
	}
	found := detect.Findings(&detect.Look{
		Workload: in.Workload, Nodes: in.Nodes, Memory: in.Memory, Trend: in.Trend, Services: in.services(),
		NotReadyAfter: in.Policy.NotReadyAfter, PendingAfter: in.Policy.PendingAfter,
		ForecastWarmUp: in.Policy.Forecast.WarmUp, ForecastMinSpan: in.Policy.Forecast.MinSpan,
		ForecastMinPercent: in.Policy.Forecast.MinPercent, ForecastHorizon: in.Policy.Forecast.Horizon, Now: now,
	})
	return slices.DeleteFunc(found, func(f incident.Finding) bool { return !in.isNews(&f, now) })
}

// services returns those that are down: what a finding may name.
func (in *Input) services() map[string]cluster.Service {
	out := make(map[string]cluster.Service, len(in.Climate.Down))
	for name, d := range in.Climate.Down {
		out[name] = d.Service
	}
	return out
}

func (in *Input) isNews(f *incident.Finding, now time.Time) bool {
	if !f.Kind.Notice() && (f.Active || f.Death == nil) || now.Sub(f.Since) <= detect.Horizon {
		return true
	}
	return slices.ContainsFunc(in.Incidents, func(i incident.Incident) bool {
		return i.State.Active() && sameCause(i.Kind, f.Kind) && i.Container() == f.Container && !f.Since.Before(i.StartedAt)
	})
}

// Reconcile makes the plan of one pass over one workload: it joins what Detect finds with the stored incidents, moves
// each through its states, and decides on at most one action. An incident is in the plan only if something about it
// changed; LastSeenAt alone is brought up to date every 30 s.
func Reconcile(in Input, now time.Time) Plan { return reconcile(&in, Detect(in, now), now) }

// Withhold returns the plan of a pass once what the pass found in all workloads is counted: the plan itself where that is no storm
// (breaker is empty) or where it acts on nothing, and else one that is made anew with the breaker open. in is what the plan was made
// from.
func Withhold(in Input, plan Plan, breaker string, now time.Time) Plan {
	return withhold(&in, Detect(in, now), plan, breaker, now)
}

func withhold(in *Input, found []incident.Finding, plan Plan, breaker string, now time.Time) Plan {
	if breaker == "" || plan.Action == nil {
		return plan
	}
	anew := *in
	anew.Climate.Breaker = breaker
	return reconcile(&anew, found, now)
}

func reconcile(in *Input, found []incident.Finding, now time.Time) Plan {
	if len(found) == 0 && !slices.ContainsFunc(in.Incidents, isActive) {
		return Plan{}
	}
	p := &pass{in: in, now: now}
	p.match(found)
	for _, t := range p.tracked {
		p.observe(t)
	}
	if in.Workload != nil {
		p.act()
	}
	return p.plan()
}

func isActive(i incident.Incident) bool { return i.State.Active() }

// pass is one call of Reconcile.
type pass struct {
	in      *Input
	now     time.Time
	tracked []*tracked
	action  *Action
}

// tracked is one active incident, stored or new, during a pass.
type tracked struct {
	inc incident.Incident
	// forgotten is the stored incident's ForgottenUntil: what this pass counts is not forgotten before its end.
	forgotten time.Time
	// findings that belong to it now, and those of them that were not counted before.
	findings []incident.Finding
	fresh    []incident.Finding
	// cause is why it fails, once it was asked for.
	cause *cause.Cause
	// dirty is true once something changed that has to be stored.
	dirty   bool
	event   Reason
	capture []Capture
}

func (t *tracked) isNew() bool { return t.inc.Version == "" }

// failing reports whether a failure of the incident lasts or is new. What only happened does not last, though it can be seen for
// long.
func (t *tracked) failing() bool {
	if t.inc.Kind.Notice() {
		return len(t.fresh) > 0
	}
	if t.inc.Kind.Forecast() && len(t.findings) > 0 {
		return true
	}
	return len(t.fresh) > 0 || slices.ContainsFunc(t.findings, func(f incident.Finding) bool { return f.Active })
}

// step records what happened to the incident: in its timeline, as its last reason, and as an event if one is given.
func (t *tracked) step(now time.Time, reason Reason, message string) {
	t.inc.Note(now, string(reason), message)
	t.say(reason, message)
}

// say sets the incident's last reason. A new incident's message goes on saying what happened.
func (t *tracked) say(reason Reason, message string) {
	if t.isNew() && reason != ReasonOpened {
		message = t.inc.Cause + "; " + message
	}
	t.inc.Say(string(reason), message)
	t.dirty = true
}

// announce sets the event of this pass. That an incident was opened is worth more than what follows from it.
func (t *tracked) announce(r Reason) {
	if t.event != ReasonOpened {
		t.event = r
	}
}

// plan returns what changed. The incident with the intent comes last: its charge may fail, and must hold up no other.
func (p *pass) plan() Plan {
	out := Plan{Action: p.action}
	for _, intended := range []bool{false, true} {
		for _, t := range p.tracked {
			holds := p.action != nil && p.action.Incident == t.inc.Name
			if t.dirty && holds == intended {
				out.Save = append(out.Save, Save{Incident: t.inc, Capture: t.capture, Event: t.event})
			}
		}
	}
	return out
}

// stale reports whether the view is too old to act on or to judge by.
func (p *pass) stale() bool { return p.in.Stale > MaxStale }

// replica returns the replica with that UID, or of that name where the platform has no UIDs; nil if it is gone.
func (p *pass) replica(uid, name string) *cluster.Replica {
	if p.in.Workload == nil {
		return nil
	}
	for i := range p.in.Workload.Replicas {
		r := &p.in.Workload.Replicas[i]
		if r.UID == uid && (uid != "" || r.Name == name) {
			return r
		}
	}
	return nil
}

// gone reports whether the replica is not there any more, or on its way out.
func (p *pass) gone(uid, name string) bool {
	r := p.replica(uid, name)
	return r == nil || r.Deleting()
}

// allReady reports whether the workload has the replicas that it should have. A job is never ready, it is done.
func (p *pass) allReady() bool {
	w := p.in.Workload
	if w == nil || w.Ref.Kind == cluster.KindJob {
		return true
	}
	ready := w.ReadyReplicas()
	if w.Ref.Kind == cluster.KindPod {
		for i := range w.Replicas {
			if w.Replicas[i].Phase == cluster.PhaseSucceeded {
				ready++
			}
		}
	}
	return ready >= w.Desired
}

// sorted returns the findings in the order in which they are matched: kinds that own an incident before those that
// join one, then the oldest first. The order decides the name of a new incident, so it must not depend on chance.
func sorted(found []incident.Finding) []incident.Finding {
	kinds := incident.Kinds()
	slices.SortStableFunc(found, func(a, b incident.Finding) int {
		return cmp.Or(
			cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind)),
			a.Since.Compare(b.Since),
			cmp.Compare(a.Fingerprint, b.Fingerprint),
		)
	})
	return found
}
