package report

import (
	"io"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/incident"
)

// Postmortem writes an incident as a Markdown document to go on from: what happened, why, what was done, what is left to a person.
// moments are those of the workload around the incident, its own among them.
func Postmortem(w io.Writer, in *incident.Incident, moments []Moment, notes []string, now time.Time) error {
	p := &printer{w: w, loc: now.Location()}
	p.line("# %s: %s on %s", day(p, in.StartedAt), in.Kind, in.Workload)
	p.line("")
	p.line("| | |")
	p.line("|---|---|")
	p.line("| Incident | %s/%s |", in.Namespace, in.Name)
	p.line("| State | %s |", in.State)
	p.line("| Began | %s |", p.stamp(in.StartedAt))
	p.line("| Detected | %s, %s after it began |", p.stamp(in.OpenedAt), span(max(in.OpenedAt.Sub(in.StartedAt), 0)))
	if in.ResolvedAt.IsZero() {
		p.line("| Ended | not yet: it lasts for %s |", ago(now, in.StartedAt))
	} else {
		p.line("| Ended | %s, after %s |", p.stamp(in.ResolvedAt), span(in.ResolvedAt.Sub(in.StartedAt)))
	}
	p.line("| Seen | %s |", times(in.Occurrences))
	if in.Root != "" {
		p.line("| Follows from | %s |", in.Root)
	}
	for _, n := range notes {
		p.line("\n> %s", n)
	}
	p.line("\n## What happened\n\n%s", cell(in.Cause))
	if len(in.Members) > 0 {
		p.line("\nWith it failed (%d):\n", in.MemberCount)
		for _, m := range in.Members {
			p.line("- %s %s", m.Workload, m.Incident)
		}
	}
	p.line("\n## Why we think so (%d %% sure)\n", in.Confidence)
	for _, s := range in.For {
		p.line("- for: %s", cell(s))
	}
	for _, s := range in.Against {
		p.line("- against: %s", cell(s))
	}
	p.lessons(in)
	p.logs(in)
	p.line("\n## Timeline\n\n| time | what | reason | |\n|---|---|---|---|")
	for _, m := range Order(moments) {
		message := m.Message
		if m.Object != "" {
			message = m.Object + ": " + message
		}
		p.line("| %s | %s | %s | %s |", p.stamp(m.At), m.Kind, m.Reason, cell(message))
	}
	p.line("\n## To be filled in by people\n\n- Impact on users:\n- Root cause behind the cause above:\n- What went well, what did not:\n- Follow-ups, with owner and date:")
	return p.err
}

// lessons prints what was done and what a person is asked to do.
func (p *printer) lessons(in *incident.Incident) {
	p.line("\n## What was done\n")
	if len(in.Remediations) == 0 {
		p.line("Nothing (%s): %s", in.Reason, cell(whyNothing(*in)))
	} else {
		p.line("| time | remedy | on | outcome | |\n|---|---|---|---|---|")
	}
	for i := range in.Remediations {
		r := &in.Remediations[i]
		on := r.Replica
		if on == "" {
			on = in.Workload.Name
		}
		p.line("| %s | %s | %s | %s (%s) | %s |", p.stamp(r.IntendedAt), r.Remedy, on, r.Outcome, r.Reason, cell(r.Message))
	}
	if in.Proposal != "" {
		p.line("\nProposed, and not carried out by Homeostat:\n\n```yaml\n%s\n```", strings.TrimRight(strings.ReplaceAll(in.Proposal, "```", "'''"), "\n"))
	}
}

func (p *printer) logs(in *incident.Incident) {
	shown := false
	for i := range in.Evidence {
		e := &in.Evidence[i]
		if e.Kind != incident.EvidenceLog || len(e.Lines) == 0 {
			continue
		}
		if !shown {
			p.line("\n## Logs")
			shown = true
		}
		p.line("\n%s, %s:\n", strings.Trim(e.Replica+"/"+e.Container, "/"), cell(e.Message))
		p.line("```text")
		for _, l := range e.Lines {
			p.line("%s", strings.ReplaceAll(l, "```", "'''"))
		}
		p.line("```")
		for _, t := range e.Templates {
			p.line("- novelty %d: %s (%s here, %s in the hour before, %s in healthy replicas)", t.Novelty, cell(t.Template), count(t.Count), known(t.Before), known(t.Siblings))
		}
	}
}

func known(n int32) string {
	if n < 0 {
		return "not known how often"
	}
	return count(n)
}

func day(p *printer, t time.Time) string { return t.In(p.loc).Format(time.DateOnly) }

func (p *printer) stamp(t time.Time) string { return t.In(p.loc).Format("2006-01-02 15:04:05 MST") }

// cell makes a text that others wrote safe inside a Markdown table or line.
func cell(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "`", "'").Replace(s)
}
