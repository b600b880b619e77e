package report

import (
	"fmt"
	"io"
	"time"

	"github.com/homeostat/homeostat/internal/replay"
)

// What a replay shows to people; the JSON has all.
const (
	shownDifferences = 20
	clockLayout      = "2006-01-02 15:04:05"
)

// Comparison prints a replay with today's code, with times in the zone of loc.
func Comparison(w io.Writer, c *replay.Comparison, loc *time.Location) error {
	p := &printer{w: w, loc: loc}
	if c.Differing == 0 {
		p.paragraph("", decisionsOf(c.Decisions)+" come out as they were recorded.")
	} else {
		p.paragraph("", fmt.Sprintf("%d of %s come out otherwise than they were recorded.", c.Differing, decisionsOf(c.Decisions)))
	}
	p.tally(&c.Tally)
	for i, d := range c.Differences {
		if i == shownDifferences {
			p.line("\nand %d more; -o json has them", c.Differing-shownDifferences)
			break
		}
		p.line("")
		p.paragraph("", fmt.Sprintf("%s  %s", d.At.In(loc).Format(clockLayout), called(d.Autoscaler)))
		p.verdicts(&d.Recorded, &d.Today, "today")
		if len(d.Fields) == 1 && d.Fields[0] == "steps" {
			p.line("  steps as recorded")
			p.columns(stepRows(d.Recorded.Steps))
			p.line("  steps of today")
			p.columns(stepRows(d.Today.Steps))
		}
	}
	return p.err
}

func decisionsOf(n int) string {
	if n == 1 {
		return "1 decision"
	}
	return fmt.Sprintf("%d decisions", n)
}

func (p *printer) tally(t *replay.Tally) {
	if !t.First.IsZero() {
		p.line("From %s to %s.", t.First.In(p.loc).Format(clockLayout), t.Last.In(p.loc).Format(clockLayout))
	}
	if t.Undecided+t.Others > 0 {
		p.paragraph("", fmt.Sprintf("Left out: %d lines without a number (paused, refused, no target), %d about incidents and actions.", t.Undecided, t.Others))
	}
	for i, b := range t.Bad {
		if i == shownDifferences {
			p.line("and %d more lines that cannot be read", len(t.Bad)-shownDifferences)
			break
		}
		p.paragraph("", fmt.Sprintf("Line %d cannot be read: %s", b.Line, b.Error))
	}
}

func (p *printer) verdicts(recorded, other *replay.Verdict, name string) {
	row := func(name string, v *replay.Verdict) []string {
		return []string{name, fmt.Sprintf("%d → %d", v.Current, v.Desired), string(v.Reason) + ": " + v.Message}
	}
	p.columns([][]string{row("recorded", recorded), row(name, other)})
}

// Outlook prints a replay with another policy, with times in the zone of loc.
func Outlook(w io.Writer, o *replay.Outlook, loc *time.Location) error {
	p := &printer{w: w, loc: loc}
	for i := range o.Courses {
		if i > 0 {
			p.line("")
		}
		p.course(&o.Courses[i])
	}
	p.line("")
	p.paragraph("", "Take it with care: the load and the number of replicas are those that were recorded, whatever the other policy would have made "+
		"of them. More replicas would have had less load each, and the next decision would have been another. Schedules and metrics are as "+
		"recorded too, and between two lines of the journal nothing is known.")
	p.tally(&o.Tally)
	for _, ref := range o.LeftOut {
		p.paragraph("", fmt.Sprintf("Left out: %s, which the file has no policy for.", called(ref)))
	}
	return p.err
}

func (p *printer) course(c *replay.Course) {
	verdict := "decides as it was recorded"
	if c.Differing > 0 {
		verdict = fmt.Sprintf("comes to another number in %d of them", c.Differing)
	}
	p.paragraph("", fmt.Sprintf("%s: %s in %s, at most %s apart; the other policy %s.",
		called(c.Autoscaler), decisionsOf(c.Decisions), span(c.Last.Sub(c.First)), span(c.LongestGap), verdict))
	p.line("")
	a, b := &c.Recorded, &c.WouldBe
	p.columns([][]string{
		{"", "RECORDED", "OTHER POLICY"},
		{"min to max", fmt.Sprintf("%d to %d", a.Min, a.Max), fmt.Sprintf("%d to %d", b.Min, b.Max)},
		{"number rose", timesOf(a.Ups), timesOf(b.Ups)},
		{"number fell", timesOf(a.Downs), timesOf(b.Downs)},
		{"lowest", count(a.LowestDesired), count(b.LowestDesired)},
		{"highest", count(a.HighestDesired), count(b.HighestDesired)},
		{"mean", fmt.Sprintf("%.2f", a.MeanDesired), fmt.Sprintf("%.2f", b.MeanDesired)},
		{"time at max", span(a.AtMax), span(b.AtMax)},
		{"metric failed", timesOf(a.Failing), timesOf(b.Failing)},
	})
	if len(c.Moments) == 0 {
		return
	}
	first := &c.Moments[0]
	p.line("\nFirst difference, at %s", first.From.In(p.loc).Format(clockLayout))
	p.verdicts(&first.Recorded, &first.WouldBe, "other")
	p.line("\nWhere the number differs")
	rows := [][]string{{"FROM", "FOR", "CURRENT", "RECORDED", "OTHER", "REASON OF THE OTHER"}}
	for i, m := range c.Moments {
		if i == shownDifferences {
			break
		}
		rows = append(rows, []string{
			m.From.In(p.loc).Format(clockLayout), span(m.To.Sub(m.From)), count(m.Recorded.Current),
			count(m.Recorded.Desired), count(m.WouldBe.Desired), string(m.WouldBe.Reason),
		})
	}
	p.columns(rows)
	if n := len(c.Moments) - shownDifferences; n > 0 {
		p.line("  and %d more; -o json has them", n)
	}
}

func timesOf(n int) string { return fmt.Sprintf("%d×", n) }
