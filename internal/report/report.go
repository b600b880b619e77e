// Package report prints autoscalers and incidents for people, and as the documented machine output.
//
// It writes to a given io.Writer, takes the time as an argument and fetches nothing. The text is made to be read by somebody who was
// just woken up: first what is the matter, then why, then the details. It may change from one version to the next; the JSON is the contract.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
)

// Autoscaler is one autoscaler as `homeostat explain` shows it, on every platform.
type Autoscaler struct {
	Ref    cluster.Ref `json:"ref"`
	Target cluster.Ref `json:"target"`
	Mode   string      `json:"mode"`
	Min    int32       `json:"minReplicas"`
	Max    int32       `json:"maxReplicas"`
	// Decision is the last one, nil where none was made yet.
	Decision *hpa.Recommendation `json:"lastDecision,omitempty"`
	// Changes are the last ones, newest first.
	Changes []Change `json:"lastChanges,omitempty"`
	// Conditions as the status has them.
	Conditions []hpa.Condition `json:"conditions,omitempty"`
}

// Change is one change of the number of replicas.
type Change struct {
	At      time.Time `json:"at"`
	From    int32     `json:"from"`
	To      int32     `json:"to"`
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
}

// JSON writes v as indented JSON with a newline at the end.
func JSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write json: %w", err)
	}
	return nil
}

// Explain prints one autoscaler: what it does now and every step of why.
func Explain(w io.Writer, a Autoscaler, now time.Time) error {
	p := &printer{w: w, loc: now.Location()}
	p.line("%s scales %s between %d and %d (%s)", a.Ref, a.Target, a.Min, a.Max, a.Mode)
	if a.Decision == nil {
		p.line("\nNo decision yet.")
		p.conditions(a.Conditions)
		return p.err
	}
	d := a.Decision
	verdict := fmt.Sprintf("stays at %d", d.Current)
	if d.Change() {
		verdict = fmt.Sprintf("%d → %d", d.Current, d.Desired)
	}
	p.line("\n%s  %s, decided %s ago", verdict, d.Reason, ago(now, d.At))
	p.line("  %s", d.Message)
	p.proposals(d.Metrics)
	p.steps(d.Steps)
	p.changes(a.Changes, now)
	p.conditions(a.Conditions)
	return p.err
}

// printer writes lines until the first error.
type printer struct {
	w   io.Writer
	loc *time.Location
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// table prints rows of equally many cells, aligned.
func (p *printer) table(rows [][]string) {
	if p.err != nil {
		return
	}
	tw := tabwriter.NewWriter(p.w, 0, 4, 2, ' ', 0)
	for _, r := range rows {
		if _, p.err = fmt.Fprintln(tw, strings.TrimRight(strings.Join(r, "\t"), "\t")); p.err != nil {
			return
		}
	}
	p.err = tw.Flush()
}

func (p *printer) proposals(list []hpa.MetricProposal) {
	if len(list) == 0 {
		return
	}
	p.line("\nMetrics")
	rows := [][]string{{"  METRIC", "NOW", "TARGET", "READY", "NOT READY", "MISSING", "IGNORED", "PROPOSES"}}
	for _, m := range list {
		proposes := count(m.Replicas)
		if m.Err != "" {
			proposes = "-"
		}
		rows = append(rows, []string{
			"  " + string(m.Metric.Source.Resource), nowOf(m), Quantity(m.Metric, m.Metric.Target), count(m.Ready),
			count(m.Unready.Count), count(m.Missing.Count), count(m.Ignored.Count), proposes,
		})
	}
	p.table(rows)
	for _, m := range list {
		if m.Err != "" {
			p.line("  %s cannot be computed: %s", m.Metric.Source.Resource, m.Err)
		}
		p.names(m.Metric.Source.Resource, "not ready", m.Unready)
		p.names(m.Metric.Source.Resource, "missing", m.Missing)
		p.names(m.Metric.Source.Resource, "ignored", m.Ignored)
	}
}

func (p *printer) names(r hpa.Resource, what string, n hpa.Names) {
	if n.Count == 0 {
		return
	}
	more := ""
	if rest := int(n.Count) - len(n.First); rest > 0 {
		more = fmt.Sprintf(" and %d more", rest)
	}
	p.line("  %s, %s: %s%s", r, what, strings.Join(n.First, ", "), more)
}

func nowOf(m hpa.MetricProposal) string {
	if m.Err != "" {
		return "?"
	}
	if m.Metric.Type == hpa.Utilization {
		return fmt.Sprintf("%d%%", m.Utilization)
	}
	return Quantity(m.Metric, m.Value)
}

// Quantity prints a value of the metric as Kubernetes writes it: 40%, 250m, 96Mi.
func Quantity(m hpa.Metric, v int64) string {
	switch {
	case m.Type == hpa.Utilization:
		return fmt.Sprintf("%d%%", v)
	case m.Source.Resource == hpa.CPU:
		return fmt.Sprintf("%dm", v)
	default:
		return Bytes(v)
	}
}

// Bytes prints a number of bytes in binary units with at most one digit after the point: 96Mi, 1.5Gi.
func Bytes(v int64) string {
	units := []string{"", "Ki", "Mi", "Gi", "Ti"}
	f, i := float64(v), 0
	for (f >= 1024 || f <= -1024) && i < len(units)-1 {
		f /= 1024
		i++
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0") + units[i]
}

func (p *printer) steps(list []hpa.Step) {
	if len(list) == 0 {
		return
	}
	p.line("\nSteps")
	rows := make([][]string, 0, len(list))
	for _, s := range list {
		move := fmt.Sprintf("%d → %d", s.Before, s.After)
		if s.Before == s.After {
			move = count(s.After)
		}
		rows = append(rows, []string{"  " + string(s.Name), move, string(s.Reason), s.Message})
	}
	p.table(rows)
}

func (p *printer) changes(list []Change, now time.Time) {
	if len(list) == 0 {
		return
	}
	p.line("\nLast changes")
	rows := make([][]string, 0, len(list))
	for _, c := range list {
		rows = append(rows, []string{
			"  " + ago(now, c.At) + " ago", fmt.Sprintf("%d → %d", c.From, c.To), c.Reason, c.Message,
		})
	}
	p.table(rows)
}

func (p *printer) conditions(list []hpa.Condition) {
	if len(list) == 0 {
		return
	}
	p.line("\nConditions")
	rows := make([][]string, 0, len(list))
	for _, c := range list {
		status := "False"
		if c.Status {
			status = "True"
		}
		rows = append(rows, []string{"  " + c.Type, status, c.Reason, c.Message})
	}
	p.table(rows)
}

func count(n int32) string { return strconv.Itoa(int(n)) }

// ago prints the time between at and now in two units at most: 45s, 3m12s, 2h5m, 3d4h.
func ago(now, at time.Time) string {
	d := max(now.Sub(at), 0).Round(time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
	}
}
