package healing

import (
	"time"

	"github.com/homeostat/homeostat/healing/cause"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

const (
	// changeBefore is how long before a failure a change is still worth naming.
	changeBefore = 15 * time.Minute
	// skew is how much a change may seem to be later than what it caused: times of different machines, whole seconds.
	skew = 2 * time.Second
	// surer and lessSure are by how many percent the diagnosis has to change while nothing new fails, so that it is worded anew:
	// a log that was captured may name who is to blame, and it must not be stored on every look.
	surer, lessSure = 5, 20
	// moment is how long after the first remedy what fails still fails of what the remedy was chosen for.
	moment = 5 * time.Second
)

// diagnose words the cause when something new was seen, or when what is known by now says more than what is stored.
func (p *pass) diagnose(t *tracked, anew bool) {
	c := p.cause(t)
	if c == nil {
		return
	}
	if len(t.fresh) > 0 {
		lead := cause.Lead(t.fresh)
		if !anew && t.sameMoment(lead) {
			return
		}
		anew = anew || lead.Kind == t.inc.Kind // a death of a related kind joins the incident, and is not its cause
	}
	if !anew && (inFlight(&t.inc) || c.Confidence < t.inc.Confidence+surer && c.Confidence > t.inc.Confidence-lessSure) {
		return // while a remedy is at work, what is seen is its doing
	}
	t.inc.Explain(c.Sentence, c.Confidence, c.For, c.Against)
	t.dirty = true
}

// cause explains what the incident shows now; nil where it shows nothing of its own kind.
func (p *pass) cause(t *tracked) *cause.Cause {
	if t.cause != nil || p.in.Workload == nil {
		return t.cause
	}
	own := t.ownFindings()
	if len(own) == 0 {
		return nil
	}
	if p.aboutTool(t) { // neither a release nor a node nor the load is why
		lead := cause.Lead(own)
		t.cause = &cause.Cause{Sentence: lead.Message, Confidence: lead.Confidence, For: lead.For, Against: lead.Against}
		return t.cause
	}
	services := make(map[string]cluster.Service, len(p.in.Climate.Down))
	for name, d := range p.in.Climate.Down {
		services[name] = d.Service
	}
	c := cause.Explain(cause.Input{
		Workload: p.in.Workload, Nodes: p.in.Nodes, Findings: own, Evidence: t.inc.Evidence, Services: services,
		Trend: p.in.Trend, Memory: p.in.Memory, Acted: acted(&t.inc), Now: p.now,
	})
	t.cause = &c
	return t.cause
}

// sameMoment reports whether a container died at most a moment after the first remedy: a sibling that failed of the same before
// the remedy could help. What the remedy was chosen for stays the cause.
func (t *tracked) sameMoment(f *incident.Finding) bool {
	at := acted(&t.inc)
	return !at.IsZero() && f.Death != nil && f.Since.Before(at.Add(moment))
}

// acted returns when the first remedy was begun, zero where none was.
func acted(inc *incident.Incident) time.Time {
	for i := range inc.Remediations {
		if r := &inc.Remediations[i]; r.Outcome != incident.DryRun {
			return r.IntendedAt
		}
	}
	return time.Time{}
}

// ownFindings returns those of the incident's kind.
func (t *tracked) ownFindings() []incident.Finding {
	var own []incident.Finding
	for i := range t.findings {
		if t.findings[i].Kind == t.inc.Kind {
			own = append(own, t.findings[i])
		}
	}
	return own
}

// blame returns who is to blame for what the incident shows now; the zero value where nobody is.
func (q *proposal) blame() cause.Blame {
	if c := q.cause(q.t); c != nil {
		return c.Blame
	}
	return cause.Blame{}
}

// changeBefore returns the newest change shortly before the failure, nil for none.
func (p *pass) changeBefore(at time.Time) *cluster.Change {
	var best *cluster.Change
	for i := range p.in.Workload.Changes {
		c := &p.in.Workload.Changes[i]
		before := at.Sub(c.At)
		if before < -skew || before > changeBefore {
			continue
		}
		if best == nil || c.At.After(best.At) {
			best = c
		}
	}
	return best
}
