package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/decisions"
)

// Source says where the last decision was read.
type Source string

// The sources.
const (
	FromController Source = "controller" // the memory of the controller that acts
	FromStatus     Source = "status"     // the status of the object
	FromState      Source = "state"      // the state folder of a local run
)

// Autoscaler is one autoscaler as `homeostat explain` shows it, on every platform.
type Autoscaler struct {
	Ref    cluster.Ref `json:"ref"`
	Target cluster.Ref `json:"target"`
	Mode   string      `json:"mode"`
	Min    int32       `json:"minReplicas"`
	Max    int32       `json:"maxReplicas"`
	// Source of the decision, and Note why it is not the controller; empty: it is, or there is none to ask.
	Source Source `json:"source"`
	Note   string `json:"note,omitempty"`
	// Decision is the last one, nil where none was made yet.
	Decision *hpa.Recommendation `json:"lastDecision,omitempty"`
	// Error of the write or the observation that the decision had.
	Error string `json:"error,omitempty"`
	// Changes are the last ones, newest first.
	Changes []Change `json:"lastChanges,omitempty"`
	// Conditions as the status has them.
	Conditions []hpa.Condition `json:"conditions,omitempty"`
	// What follows is in the controller's memory only.
	Reasons     []decisions.Reason `json:"reasons,omitempty"`
	Policy      *hpa.Policy        `json:"policy,omitempty"`
	Observation *hpa.Observation   `json:"observation,omitempty"`
	History     *hpa.History       `json:"historyBefore,omitempty"`
	Health      *decisions.Health  `json:"health,omitempty"`
}

// Change is one change of the number of replicas.
type Change struct {
	At      time.Time `json:"at"`
	From    int32     `json:"from"`
	To      int32     `json:"to"`
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
	// Written is false for a change of mind of an autoscaler that only records.
	Written bool `json:"written"`
	// ID of the decision; empty where it is not known.
	ID string `json:"id,omitempty"`
}

// Of returns what the controller's memory has about one autoscaler.
func Of(e *decisions.Entry) Autoscaler {
	a := Autoscaler{Ref: e.Ref, Conditions: slices.Clone(e.Decision.Conditions)}
	a.Take(e)
	return a
}

// Take takes over what the controller's memory has, which is newer than any status. Changes that it does not remember any more stay.
func (a *Autoscaler) Take(e *decisions.Entry) {
	a.Target, a.Mode, a.Min, a.Max, a.Source = e.Target, string(e.Mode), e.Min, e.Max, FromController
	a.Decision, a.Error = &e.Decision, e.Error
	a.Reasons, a.Policy, a.Observation, a.History, a.Health = e.Reasons, &e.Policy, &e.Observation, &e.History, e.Health
	var changes []Change
	for _, c := range e.Changes {
		changes = append(changes, Change{At: c.At, From: c.From, To: c.To, Reason: string(c.Reason), Message: c.Message, Written: c.Written, ID: c.ID})
	}
	for _, c := range a.Changes {
		// A status has times in microseconds.
		if n := len(e.Changes); n == 0 || c.At.Before(e.Changes[n-1].At.Add(-time.Millisecond)) {
			changes = append(changes, c)
		}
	}
	a.Changes = changes
}

// decided reports whether the last decision came to a number.
func (a *Autoscaler) decided() bool { return a.Decision != nil && len(a.Decision.Steps) > 0 }

// Explain prints one autoscaler: the sentence of its last decision, what it does now, and every step of why.
func Explain(w io.Writer, a Autoscaler, now time.Time) error {
	p := &printer{w: w, loc: now.Location()}
	p.paragraph("", a.sentence())
	p.line("")
	p.autoscaler(&a, now)
	p.note(a.Note, "the status of the object")
	return p.err
}

// sentence is the first that somebody who was woken up reads.
func (a *Autoscaler) sentence() string {
	d := a.Decision
	switch {
	case d == nil:
		return a.Ref.Name + ": no decision yet."
	case !a.decided():
		return fmt.Sprintf("%s is not scaled: %s", a.Ref.Name, d.Message)
	case d.Change():
		return fmt.Sprintf("%s %d → %d: %s", a.Ref.Name, d.Current, d.Desired, d.Message)
	}
	return fmt.Sprintf("%s stays at %d: %s", a.Ref.Name, d.Current, d.Message)
}

// autoscaler prints all but the sentence.
func (p *printer) autoscaler(a *Autoscaler, now time.Time) {
	mode := a.Mode
	if mode == "DryRun" {
		mode += ", nothing is written"
	}
	p.paragraph("", fmt.Sprintf("%s scales %s (%s)", called(a.Ref), a.Target, mode))
	if d := a.Decision; d != nil {
		number := ""
		if a.decided() {
			number = fmt.Sprintf("replicas %d → %d, ", d.Current, d.Desired)
		}
		p.paragraph("  ", fmt.Sprintf("%smin %d, max %d; %s, decided %s ago", number, a.Min, a.Max, d.Reason, ago(now, d.At)))
		if a.Error != "" {
			p.paragraph("  ", "not carried out: "+a.Error)
		}
		p.metrics(d)
		p.noCapacity(d.Metrics)
		p.steps(d.Steps)
	}
	p.health(a)
	p.conditions(a.Conditions)
	p.changes(a.Changes, now)
}

func (p *printer) note(note, instead string) {
	if note != "" {
		p.line("")
		p.paragraph("", fmt.Sprintf("The controller could not be asked, so this is from %s: %s", instead, note))
	}
}

// called is the name of an autoscaler as it is given to explain.
func called(r cluster.Ref) string {
	if r.Kind == decisions.KindHPA {
		r.Kind = "hpa"
	}
	return r.String()
}

// longName is the longest name of a metric that has its figures beside it.
const longName = 12

func (p *printer) metrics(d *hpa.Recommendation) {
	if len(d.Metrics) == 0 {
		return
	}
	p.line("\nMetrics")
	rows := [][]string{{"METRIC", "NOW", "TARGET", "RATIO", "READY", "UNREADY", "MISSING", "IGNORED", "WANTS"}}
	for i := range d.Metrics {
		m := &d.Metrics[i]
		name := m.Metric.Source.String()
		if utf8.RuneCountInString(name) > longName {
			name = fmt.Sprintf("(%d)", i+1)
		}
		now, ratio, wants := "?", "?", "-"
		if m.Err == "" {
			now, ratio = value(m), fmt.Sprintf("%.2f", m.Ratio)
		}
		if m.Err == "" || m.Fallback != "" {
			wants = count(m.Replicas)
		}
		rows = append(rows, []string{
			name, now, Quantity(m.Metric, m.Metric.Target), ratio, count(m.Ready),
			count(m.Unready.Count), count(m.Missing.Count), count(m.Ignored.Count), wants,
		})
	}
	p.columns(rows)
	for i := range d.Metrics {
		m := &d.Metrics[i]
		name := m.Metric.Source.String()
		if utf8.RuneCountInString(name) > longName {
			p.paragraph("  ", fmt.Sprintf("(%d) is %s", i+1, name))
			name = fmt.Sprintf("(%d)", i+1)
		}
		for _, s := range remarks(m, d.At) {
			p.paragraph("  ", name+" "+s)
		}
	}
}

// oldSample is the age from which on the age of a sample is worth a line.
const oldSample = 30 * time.Second

// remarks are what there is to say of a metric beside its figures.
func remarks(m *hpa.MetricProposal, at time.Time) []string {
	var all []string
	if m.From != "" {
		all = append(all, "is read from "+m.From)
	}
	if m.AdjustedRatio != 0 {
		all = append(all, fmt.Sprintf("has a ratio of %.2f once replicas without a sample or not ready are counted in", m.AdjustedRatio))
	}
	if m.CPUPressure >= 1 {
		all = append(all, fmt.Sprintf("had a replica that waited for a CPU in %.0f %% of 10 s: there is more load than its usage shows", m.CPUPressure))
	}
	if m.Err != "" {
		all = append(all, "cannot be computed: "+m.Err)
	}
	switch m.Fallback {
	case "":
	case hpa.FallbackLastGood:
		all = append(all, fmt.Sprintf("falls back to the last good proposal, of %s ago (LastGood)", ago(at, m.LastGood)))
	case hpa.FallbackHold:
		all = append(all, "falls back to the present number (Hold)")
	case hpa.FallbackReplicas:
		all = append(all, fmt.Sprintf("falls back to %d (Replicas)", m.Replicas))
	}
	if !m.Oldest.IsZero() && at.Sub(m.Oldest) >= oldSample {
		all = append(all, fmt.Sprintf("used a sample that was %s old", ago(at, m.Oldest)))
	}
	return all
}

func value(m *hpa.MetricProposal) string {
	if m.Metric.Type == hpa.Utilization {
		return fmt.Sprintf("%d%%", m.Utilization)
	}
	return Quantity(m.Metric, m.Value)
}

// noCapacity names the replicas that a metric did not count in full, each once with all metrics that it is so for.
func (p *printer) noCapacity(list []hpa.MetricProposal) {
	var rows [][]string
	more := int32(0)
	add := func(metric, class string, n hpa.Names) {
		more = max(more, n.Count-int32(min(len(n.First), hpa.MaxNames))) //nolint:gosec // a few names
		for _, f := range n.First {
			name, why, _ := strings.Cut(f, ": ")
			row := []string{name, class, why}
			i := slices.IndexFunc(rows, func(r []string) bool { return slices.Equal(r[:3], row) })
			if i < 0 {
				rows = append(rows, append(row, metric))
			} else {
				rows[i][3] += ", " + metric
			}
		}
	}
	for i := range list {
		name := list[i].Metric.Source.String()
		if utf8.RuneCountInString(name) > longName {
			name = fmt.Sprintf("(%d)", i+1)
		}
		add(name, "unready", list[i].Unready)
		add(name, "missing", list[i].Missing)
		add(name, "ignored", list[i].Ignored)
	}
	if len(rows) == 0 {
		return
	}
	p.line("\nNo capacity")
	for i, r := range rows {
		rows[i] = []string{r[0], r[1], fmt.Sprintf("%s (%s)", r[2], r[3])}
	}
	p.columns(rows)
	if more > 0 {
		p.line("  and %d more", more)
	}
}

func (p *printer) steps(list []hpa.Step) {
	if len(list) == 0 {
		return
	}
	p.line("\nSteps")
	p.columns(stepRows(list))
}

func stepRows(list []hpa.Step) [][]string {
	rows := make([][]string, 0, len(list))
	for _, s := range list {
		move := fmt.Sprintf("%d → %d", s.Before, s.After)
		if s.Before == s.After {
			move = count(s.After)
		}
		said := s.Message
		if s.Reason != hpa.ReasonDesiredWithinRange && s.Reason != "" {
			reason := string(s.Reason)
			if s.Cause != "" {
				reason += " (" + s.Cause + ")"
			}
			said = reason + ": " + said
		}
		rows = append(rows, []string{string(s.Name), move, said})
	}
	return rows
}

// health says what the health rules changed.
func (p *printer) health(a *Autoscaler) {
	if a.Health == nil || !a.decided() {
		return
	}
	changed := slices.DeleteFunc(slices.Clone(a.Health.Rules), func(r decisions.Rule) bool { return !r.Changed })
	if len(changed) == 0 {
		return
	}
	p.line("\nHealth rules")
	p.paragraph("  ", fmt.Sprintf("Without them it would be %d: %s", a.Health.Kubernetes, a.Health.Message))
	p.rules(changed)
}

func (p *printer) rules(list []decisions.Rule) {
	rows := make([][]string, 0, len(list))
	for _, r := range list {
		saw := r.Saw
		if len(r.Replicas.First) > 0 {
			saw += " (" + strings.Join(r.Replicas.First, ", ")
			if rest := int(r.Replicas.Count) - len(r.Replicas.First); rest > 0 {
				saw += fmt.Sprintf(" and %d more", rest)
			}
			saw += ")"
		}
		rows = append(rows, []string{r.Name, saw})
	}
	p.columns(rows)
}

func (p *printer) changes(list []Change, now time.Time) {
	if len(list) == 0 {
		return
	}
	p.line("\nLast changes")
	rows := make([][]string, 0, len(list))
	for _, c := range list {
		said := c.Reason + ": " + c.Message
		if !c.Written {
			said = "(not written) " + said
		}
		rows = append(rows, []string{ago(now, c.At) + " ago", fmt.Sprintf("%d → %d", c.From, c.To), said})
	}
	p.columns(rows)
}

// conditions prints those that are not as they are while all is well.
func (p *printer) conditions(list []hpa.Condition) {
	rows := make([][]string, 0, len(list))
	for _, c := range list {
		if c.Status != wantedFalse(c.Type) {
			continue
		}
		status := "False"
		if c.Status {
			status = "True"
		}
		rows = append(rows, []string{c.Type, status, c.Reason + ": " + c.Message})
	}
	if len(rows) > 0 {
		p.line("\nConditions that are not normal")
		p.columns(rows)
	}
}

// conflict is the type of the condition that says who else writes the number of replicas; False once that is over.
const conflict = "Conflict"

// wantedFalse reports whether the condition is False while all is well; most are True then.
func wantedFalse(kind string) bool {
	return kind == hpa.ScalingLimited || kind == hpa.ScaledToZero || kind == conflict
}
