package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

// Incidents prints one line per incident: active ones first, then the newest.
func Incidents(w io.Writer, list []incident.Incident, now time.Time) error {
	p := &printer{w: w, loc: now.Location()}
	if len(list) == 0 {
		p.line("No incidents.")
		return p.err
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b incident.Incident) int {
		if a.State.Active() != b.State.Active() {
			if a.State.Active() {
				return -1
			}
			return 1
		}
		return b.OpenedAt.Compare(a.OpenedAt)
	})
	rows := [][]string{{"NAMESPACE", "NAME", "STATE", "FINDING", "COUNT", "AGE", "CAUSE"}}
	for _, in := range list {
		rows = append(rows, []string{
			in.Namespace, in.Name, string(in.State), string(in.Kind), count(in.Occurrences), ago(now, in.OpenedAt), shorten(in.Cause, 100),
		})
	}
	p.table(rows)
	return p.err
}

// Incident prints one incident: cause, what was done, evidence, timeline.
func Incident(w io.Writer, in incident.Incident, now time.Time) error {
	p := &printer{w: w, loc: now.Location()}
	p.line("%s/%s  %s on %s", in.Namespace, in.Name, in.Kind, in.Workload)
	state := fmt.Sprintf("%s, opened %s ago", in.State, ago(now, in.OpenedAt))
	if !in.ResolvedAt.IsZero() {
		state += ", resolved after " + ago(in.ResolvedAt, in.OpenedAt)
	}
	p.line("%s, seen %s", state, times(in.Occurrences))
	p.line("\nCause (%d %% sure)", in.Confidence)
	p.line("  %s", in.Cause)
	for _, s := range in.For {
		p.line("  + %s", s)
	}
	for _, s := range in.Against {
		p.line("  - %s", s)
	}
	p.line("\nDone about it")
	p.remediations(in)
	p.evidence(in)
	p.timeline(in)
	return p.err
}

func (p *printer) remediations(in incident.Incident) {
	if len(in.Remediations) == 0 {
		p.line("  nothing (%s): %s", in.Reason, whyNothing(in))
		return
	}
	rows := make([][]string, 0, len(in.Remediations))
	for _, r := range in.Remediations {
		rows = append(rows, []string{
			"  " + p.clock(r.IntendedAt), string(r.Remedy), r.Replica, string(r.Outcome), r.Reason, r.Message,
		})
	}
	p.table(rows)
}

func times(n int32) string {
	if n == 1 {
		return "once"
	}
	return count(n) + " times"
}

// whyNothing is the sentence of the step that decided it; the incident's own message begins with the cause, which was just read.
func whyNothing(in incident.Incident) string {
	for _, e := range slices.Backward(in.Timeline) {
		if e.Reason == in.Reason {
			return e.Message
		}
	}
	return in.Message
}

func (p *printer) evidence(in incident.Incident) {
	if len(in.Evidence) == 0 {
		return
	}
	p.line("\nEvidence")
	for _, e := range in.Evidence {
		where := strings.Trim(e.Replica+"/"+e.Container, "/")
		if where != "" {
			where += ": "
		}
		p.line("  %s  %s  %s%s", p.clock(e.At), e.Kind, where, e.Message)
		for _, l := range e.Lines {
			p.line("      | %s", l)
		}
		p.usage(e.Points, e.MemoryLimit)
	}
}

// usage prints the memory as a bar chart of one line per point, so that a leak can be seen.
func (p *printer) usage(points []metrics.Point, limit int64) {
	const width, most = 40, 12
	if len(points) > most {
		points = points[len(points)-most:]
	}
	top := limit
	for _, pt := range points {
		top = max(top, pt.MemoryBytes)
	}
	if top <= 0 {
		return
	}
	for _, pt := range points {
		cpu := "cpu not known"
		if pt.CPUMilli != metrics.NotKnown {
			cpu = fmt.Sprintf("%dm cpu", pt.CPUMilli)
		}
		if pt.MemoryBytes == metrics.NotKnown {
			p.line("      %s %9s %-*s %s", p.clock(pt.At), "?", width, "", cpu)
			continue
		}
		p.line("      %s %9s %-*s %s", p.clock(pt.At), Bytes(pt.MemoryBytes), width, strings.Repeat("█", int(pt.MemoryBytes*width/top)), cpu)
	}
	if limit > 0 {
		p.line("      limit    %9s %s", Bytes(limit), strings.Repeat("─", int(limit*width/top)))
	}
}

func (p *printer) timeline(in incident.Incident) {
	if len(in.Timeline) == 0 {
		return
	}
	p.line("\nTimeline")
	rows := make([][]string, 0, len(in.Timeline))
	for _, e := range in.Timeline {
		rows = append(rows, []string{"  " + p.clock(e.At), e.Reason, e.Message})
	}
	p.table(rows)
}

// clock prints the time of day in the reader's zone, which is that of now.
func (p *printer) clock(t time.Time) string { return t.In(p.loc).Format("15:04:05") }

// shorten cuts s after n runes and marks the cut.
func shorten(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
