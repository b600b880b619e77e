package report

import (
	"io"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// The kinds of moment in a timeline.
const (
	MomentIncident = "incident"
	MomentRemedy   = "remedy"
	MomentScaling  = "scaling"
	MomentRollout  = "rollout"
	MomentEvent    = "event"
	MomentJournal  = "journal" // a line of it, in a chain
	MomentLoki     = "loki"    // a line in it, in a chain
	MomentSample   = "sample"  // the oldest one that a metric of the decision was computed from, in a chain
)

// Moment is one line of a timeline.
type Moment struct {
	At time.Time `json:"at"`
	// Kind is incident, remedy, scaling, rollout or event; in a chain also journal, loki or sample.
	Kind string `json:"kind"`
	// Reason in one word; Message one sentence.
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// Object that it is about, where that is not the workload itself: a pod, a node.
	Object string `json:"object,omitempty"`
	// Incident names the incident that the moment belongs to.
	Incident string `json:"incident,omitempty"`
}

// MomentsOf returns the moments of an incident: its own timeline, with what was done told from what was seen.
func MomentsOf(in *incident.Incident) []Moment {
	deeds := []healing.Reason{
		healing.ReasonRemediationStart, healing.ReasonSucceeded, healing.ReasonFailed, healing.ReasonCarriedOut, healing.ReasonNotHelped,
		healing.ReasonNextRung, healing.ReasonBlockedByPDB, healing.ReasonTakenOver,
	}
	out := make([]Moment, 0, len(in.Timeline))
	for _, e := range in.Timeline {
		m := Moment{At: e.At, Kind: MomentIncident, Reason: e.Reason, Message: e.Message, Incident: in.Name}
		if slices.Contains(deeds, healing.Reason(e.Reason)) {
			m.Kind = MomentRemedy
		}
		out = append(out, m)
	}
	return out
}

// MomentsOfChanges returns the moments of an autoscaler's changes.
func MomentsOfChanges(list []Change) []Moment {
	out := make([]Moment, 0, len(list))
	for _, c := range list {
		out = append(out, Moment{
			At: c.At, Kind: MomentScaling, Reason: c.Reason, Message: count(c.From) + " → " + count(c.To) + " replicas: " + c.Message,
		})
	}
	return out
}

// Order sorts moments by time. An event that says what an incident's own line says already stays: they have different sources.
func Order(list []Moment) []Moment {
	out := slices.Clone(list)
	slices.SortStableFunc(out, func(a, b Moment) int {
		if c := a.At.Compare(b.At); c != 0 {
			return c
		}
		return strings.Compare(a.Kind, b.Kind)
	})
	return out
}

// Timeline prints scalings, rollouts, incidents and events of one workload in one list, the oldest first.
func Timeline(w io.Writer, of cluster.Ref, list []Moment, notes []string, now time.Time) error {
	p := &printer{w: w, loc: now.Location()}
	p.line("Timeline of %s", of)
	p.moments(list, notes, "is known: no scaling, no rollout, no incident, no event.")
	return p.err
}

// Chain prints what tells of one decision or incident, the oldest first.
func Chain(w io.Writer, id string, list []Moment, notes []string, now time.Time) error {
	p := &printer{w: w, loc: now.Location()}
	p.line("Chain of %s", id)
	p.moments(list, notes, "is known of it: a status keeps ten changes, events are kept for an hour, incidents as the configuration says.")
	return p.err
}

// moments prints notes and the list, day by day; of nothing, or nothing else than the notes say, none is said.
func (p *printer) moments(list []Moment, notes []string, none string) {
	for _, n := range notes {
		p.paragraph("  note: ", n)
	}
	if len(list) == 0 {
		nothing := "Nothing"
		if len(notes) > 0 {
			nothing = "Nothing else"
		}
		p.line("\n%s %s", nothing, none)
		return
	}
	day := ""
	rows := [][]string{}
	flush := func() {
		p.columns(rows)
		rows = nil
	}
	for _, m := range Order(list) {
		if d := m.At.In(p.loc).Format("Mon 2006-01-02"); d != day {
			flush()
			day = d
			p.line("\n%s", d)
		}
		message := m.Message
		if m.Object != "" {
			message = m.Object + ": " + message
		}
		rows = append(rows, []string{p.clock(m.At), m.Kind, m.Reason, message})
	}
	flush()
}
