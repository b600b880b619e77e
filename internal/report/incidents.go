package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

// NoIncidents says that there are none, and where and among which that holds: of the namespace (empty: of all of them), beside those that are
// resolved. Whoever looks into the wrong namespace must not take that for peace.
func NoIncidents(w io.Writer, namespace string, resolved int) error {
	p := &printer{w: w}
	said := "No incidents"
	if resolved > 0 {
		said = "No active incidents"
	}
	if namespace != "" {
		said += fmt.Sprintf(" in namespace %q", namespace)
	}
	said += "."
	if resolved > 0 {
		said += fmt.Sprintf(" %d resolved: without --active they are listed.", resolved)
	}
	if namespace != "" {
		said += " In every namespace: -A."
	}
	p.line("%s", said)
	return p.err
}

// Incidents prints one line per incident: active ones first, then the newest, and each below the one that it follows from.
func Incidents(w io.Writer, list []incident.Incident, now time.Time) error {
	p := &printer{w: w, loc: now.Location()}
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
	for _, in := range underRoots(list) {
		name := in.Name
		if in.Root != "" {
			name = "└ " + name
		}
		rows = append(rows, []string{
			in.Namespace, name, string(in.State), string(in.Kind), count(in.Occurrences), ago(now, in.OpenedAt), shorten(in.Cause, 100),
		})
	}
	p.table(rows)
	return p.err
}

// underRoots moves each incident right behind its root, where that is in the list. Incidents that follow from each other in a
// circle come last.
func underRoots(list []incident.Incident) []incident.Incident {
	there := make(map[string]bool, len(list))
	for i := range list {
		there[list[i].Namespace+"/"+list[i].Name] = true
	}
	out := make([]incident.Incident, 0, len(list))
	done := make(map[string]bool, len(list))
	var put func(in incident.Incident)
	put = func(in incident.Incident) {
		name := in.Namespace + "/" + in.Name
		if done[name] {
			return
		}
		done[name] = true
		out = append(out, in)
		for i := range list {
			if list[i].Root == name {
				put(list[i])
			}
		}
	}
	for _, in := range list {
		if in.Root == "" || !there[in.Root] {
			put(in)
		}
	}
	for _, in := range list {
		put(in)
	}
	return out
}

// Incident prints one incident: cause, what was done, evidence, timeline.
func Incident(w io.Writer, in incident.Incident, now time.Time) error {
	p := &printer{w: w, loc: now.Location(), now: now}
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
	p.relations(in)
	p.forecast(in.Forecast, now)
	p.line("\nDone about it")
	p.remediations(in)
	if in.Proposal != "" {
		p.line("\nProposed: for a person or the repository that owns the object")
		for l := range strings.Lines(in.Proposal) {
			p.line("  %s", strings.TrimRight(l, "\n"))
		}
	}
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
		on := r.Replica
		if on == "" {
			on = in.Workload.Name
		}
		rows = append(rows, []string{
			"  " + p.clock(r.IntendedAt), string(r.Remedy), on, string(r.Outcome), r.Reason, r.Message,
		})
	}
	p.table(rows)
	p.refusals(in)
	for _, r := range in.Remediations {
		if r.Call != "" {
			p.line("  call: %s", r.Call)
		}
	}
}

// refusals says what was not done and why: those steps of the timeline that come from a guard, the last of each reason.
func (p *printer) refusals(in incident.Incident) {
	last := map[string]incident.Entry{}
	var order []string
	for _, e := range in.Timeline {
		if r := healing.Reason(e.Reason); !healing.IsGuard(r) && r != healing.ReasonLadderEnd {
			continue
		}
		if _, seen := last[e.Reason]; !seen {
			order = append(order, e.Reason)
		}
		last[e.Reason] = e
	}
	for _, reason := range order {
		p.line("  %s  not done (%s): %s", p.clock(last[reason].At), reason, strings.TrimPrefix(last[reason].Message, "refused: "))
	}
}

// relations prints the root that the incident follows from, and those that follow from it.
func (p *printer) relations(in incident.Incident) {
	if in.Root != "" {
		p.line("\nFollows from %s: mend that one", in.Root)
	}
	if len(in.Members) == 0 {
		return
	}
	p.line("\nWith it failed (%d)", in.MemberCount)
	rows := make([][]string, 0, len(in.Members))
	for _, m := range in.Members {
		rows = append(rows, []string{"  " + p.clock(m.Since), m.Workload.String(), string(m.Kind), m.Incident})
	}
	p.table(rows)
}

// forecast prints when the memory limit will be reached.
func (p *printer) forecast(f *incident.Forecast, now time.Time) {
	if f == nil {
		return
	}
	p.line("\nForecast of %s", p.clock(f.At))
	latest := "open"
	if !f.Latest.IsZero() {
		latest = p.clock(f.Latest)
	}
	p.line("  out of memory at %s (in %s), between %s and %s with 90 %%", p.clock(f.OOMAt), span(max(f.OOMAt.Sub(now), 0)), p.clock(f.Earliest), latest)
	p.line("  %s of %s resident, growing by %s a minute; R² %.2f over %s", Bytes(f.Memory), Bytes(f.Limit), Bytes(int64(f.Slope*60)), f.Fit, span(f.Span))
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
		p.templates(e.Templates)
		for _, l := range e.Lines {
			p.line("      | %s", l)
		}
		p.usage(e.Points, e.MemoryLimit)
	}
}

// templates prints what in a log is new: kinds of line that were rare or absent before and elsewhere.
func (p *printer) templates(list []incident.LogTemplate) {
	for _, t := range list {
		if t.Novelty < tellingNovelty {
			continue
		}
		p.line("      new: %s (%s; %s in the hour before, %s in healthy replicas)", t.Template, times(t.Count), known(t.Before), known(t.Siblings))
	}
}

// tellingNovelty is the novelty from which a kind of line is worth showing beside the log itself.
const tellingNovelty = 50

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

// clock prints the time of day in the reader's zone, which is that of now, and the day where it is another one than today.
func (p *printer) clock(t time.Time) string {
	t = t.In(p.loc)
	if !p.now.IsZero() && t.Format(time.DateOnly) != p.now.In(p.loc).Format(time.DateOnly) {
		return t.Format(clockLayout)
	}
	return t.Format(time.TimeOnly)
}

// shorten cuts s after n runes and marks the cut.
func shorten(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
