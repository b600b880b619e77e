package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/decisions"
)

// HPA is one HorizontalPodAutoscaler as `homeostat explain hpa/NAME` shows it.
type HPA struct {
	Ref    cluster.Ref `json:"ref"`
	Target cluster.Ref `json:"target"`
	Min    int32       `json:"minReplicas"`
	Max    int32       `json:"maxReplicas"`
	// Did is what its controller did, from its status and its events.
	Did HPAState `json:"did"`
	// Would is what Homeostat decided about it; nil where that is not known, and Note says why.
	Would *Autoscaler `json:"would,omitempty"`
	Note  string      `json:"note,omitempty"`
	// CannotSee are the health rules that changed Homeostat's decision: what the HPA knows nothing of.
	CannotSee []decisions.Rule `json:"cannotSee"`
}

// HPAState is the status of an HPA and its last events.
type HPAState struct {
	Current    int32           `json:"currentReplicas"`
	Desired    int32           `json:"desiredReplicas"`
	LastScale  time.Time       `json:"lastScaleTime,omitzero"`
	Metrics    []HPAMetric     `json:"metrics,omitempty"`
	Conditions []hpa.Condition `json:"conditions,omitempty"`
	// Events, newest first, at most ten.
	Events []cluster.Event `json:"events,omitempty"`
}

// HPAMetric is one metric as the HPA's controller last saw it, in Kubernetes' quantities; Now is empty where it could not compute it.
type HPAMetric struct {
	Name   string `json:"name"`
	Now    string `json:"now,omitempty"`
	Target string `json:"target"`
}

// Consider adds what Homeostat decided about the HPA, and what of it the HPA cannot see.
func (h *HPA) Consider(e *decisions.Entry) {
	a := Of(e)
	h.Would = &a
	if e.Health != nil {
		h.CannotSee = slices.DeleteFunc(slices.Clone(e.Health.Rules), func(r decisions.Rule) bool { return !r.Changed })
	}
}

// ExplainHPA prints one HPA: what it did, what Homeostat would do, and what the HPA cannot see.
func ExplainHPA(w io.Writer, h HPA, now time.Time) error {
	p := &printer{w: w, loc: now.Location()}
	p.paragraph("", h.sentence())
	p.line("")
	p.paragraph("", fmt.Sprintf("%s scales %s, min %d, max %d", called(h.Ref), h.Target, h.Min, h.Max))
	p.line("\nWhat it did")
	p.did(&h.Did, now)
	if h.Would == nil {
		p.note(h.Note, "the HPA alone")
		return p.err
	}
	if h.Would.Mode == "Active" {
		p.line("\n──── What Homeostat does, which runs it")
	} else {
		p.line("\n──── What Homeostat would do")
	}
	shown := *h.Would
	shown.Health = nil // it follows
	p.autoscaler(&shown, now)
	p.line("\n──── What the HPA cannot see")
	if len(h.CannotSee) == 0 {
		p.paragraph("  ", "Nothing that matters now: no health rule changed the decision.")
		return p.err
	}
	p.paragraph("  ", fmt.Sprintf("From the same samples, without health rules, it would be %d: %s", h.Would.Health.Kubernetes, h.Would.Health.Message))
	p.rules(h.CannotSee)
	return p.err
}

func (h *HPA) sentence() string {
	s := fmt.Sprintf("%s: the HPA wants %d", h.Ref.Name, h.Did.Desired)
	if len(h.Did.Conditions) == 0 {
		s = h.Ref.Name + ": the HPA has no status yet"
	}
	switch {
	case h.Would == nil:
		return s + "; what Homeostat would do is not known."
	case !h.Would.decided():
		return fmt.Sprintf("%s; Homeostat cannot say: %s", s, h.Would.Decision.Message)
	case h.Would.Decision.Desired == h.Did.Desired && len(h.Did.Conditions) > 0:
		return fmt.Sprintf("%s, and so does Homeostat: %s", s, h.Would.Decision.Message)
	}
	return fmt.Sprintf("%s, Homeostat %d: %s", s, h.Would.Decision.Desired, h.Would.Decision.Message)
}

func (p *printer) did(d *HPAState, now time.Time) {
	last := "never scaled"
	if !d.LastScale.IsZero() {
		last = "last scaled " + ago(now, d.LastScale) + " ago"
	}
	p.line("  replicas %d → %d, %s", d.Current, d.Desired, last)
	if len(d.Metrics) > 0 {
		p.line("\nIts metrics")
		rows := make([][]string, 0, len(d.Metrics))
		for _, m := range d.Metrics {
			seen := m.Now
			if seen == "" {
				seen = "<unknown>"
			}
			rows = append(rows, []string{seen, "target " + m.Target, m.Name})
		}
		p.columns(rows)
	}
	p.conditions(d.Conditions)
	if len(d.Events) == 0 {
		return
	}
	p.line("\nIts events")
	rows := make([][]string, 0, len(d.Events))
	for _, e := range d.Events {
		reason := e.Reason
		if e.Count > 1 {
			reason += fmt.Sprintf(" ×%d", e.Count)
		}
		rows = append(rows, []string{ago(now, e.Last) + " ago", reason + ": " + strings.TrimSpace(e.Message)})
	}
	p.columns(rows)
}
