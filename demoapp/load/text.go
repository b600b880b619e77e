package load

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Text shows a run to people: a line for each second, and a summary. It ignores write errors, since a
// closed terminal is no reason to stop a measurement.
type Text struct {
	out   io.Writer
	lines int
}

// NewText returns a Text that writes to out.
func NewText(out io.Writer) *Text { return &Text{out: out} }

func (t *Text) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(t.out, format, args...)
}

// repeatHeading is after how many lines the heading comes again: about a screen.
const repeatHeading = 30

// Start says what is going to be sent.
func (t *Text) Start(opts Options) {
	target, err := opts.target()
	if err != nil {
		return
	}
	length := "until interrupted"
	if opts.Duration > 0 {
		length = "for " + opts.Duration.String()
	}
	connections := "a new connection each"
	if opts.KeepAlive {
		connections = "connections reused"
	}
	t.printf("GET %s at %s/s %s, timeout %s, %s\n", target, trim(opts.Rate), length, opts.Timeout, connections)
}

// Second writes one line, with a heading before the first.
func (t *Text) Second(s Second) {
	if t.lines%repeatHeading == 0 {
		t.printf("\n%6s %8s %8s %7s %7s %7s %7s %7s %8s  %s\n", "time", "sent/s", "answ/s", "failed", "p50", "p90", "p99", "max", "waiting", "answers per replica")
	}
	t.lines++
	perSecond := func(n int64) string {
		if s.Length <= 0 {
			return "-"
		}
		return fmt.Sprintf("%.1f", float64(n)/s.Length.Seconds())
	}
	elapsed := fmt.Sprintf("%.0fs", s.Elapsed.Seconds())
	if s.Length < 900*time.Millisecond {
		elapsed = fmt.Sprintf("%.1fs", s.Elapsed.Seconds())
	}
	line := fmt.Sprintf("%6s %8s %8s %7d %7s %7s %7s %7s %8d  %s", elapsed, perSecond(s.Sent), perSecond(s.Answered), s.Failed,
		short(s.Latency.P50), short(s.Latency.P90), short(s.Latency.P99), short(s.Latency.Max), s.InFlight, counts(s.Hostnames, 6))
	if len(s.Errors) > 0 {
		line += "  failed: " + counts(s.Errors, 6)
	}
	t.printf("%s\n", strings.TrimRight(line, " "))
}

// Summary writes the result of a run.
func (t *Text) Summary(s Summary) {
	t.printf("\nsent      %d in %.1f s (%.1f/s)", s.Sent, s.Seconds, s.SentRate)
	if s.NotSent > 0 {
		t.printf(", and %d due but not sent: too many were waiting for an answer", s.NotSent)
	}
	t.printf("\nanswered  %d (%.1f/s)\nfailed    %d (%.2f %%)", s.Answered, s.AnsweredRate, s.Failed, 100*s.ErrorShare)
	if len(s.Errors) > 0 {
		t.printf(": %s", counts(s.Errors, 20))
	}
	t.printf("\nlatency   p50 %s, p90 %s, p99 %s, max %s, mean %s; counted from when each request was due\n",
		short(s.Latency.P50), short(s.Latency.P90), short(s.Latency.P99), short(s.Latency.Max), short(s.Latency.Mean))
	label := "replicas "
	for _, name := range byCount(s.Hostnames) {
		t.printf("%s %-32s %8d  %5.1f %%\n", label, name, s.Hostnames[name], 100*float64(s.Hostnames[name])/float64(s.Answered))
		label = "         "
	}
	label = "examples "
	for _, kind := range slices.Sorted(maps.Keys(s.Examples)) {
		t.printf("%s %s: %s\n", label, kind, s.Examples[kind])
		label = "         "
	}
}

func byCount(of map[string]int64) []string {
	return slices.SortedFunc(maps.Keys(of), func(a, b string) int {
		return cmp.Or(cmp.Compare(of[b], of[a]), strings.Compare(a, b))
	})
}

// counts lists names and their counts, names in order so that lines below each other compare.
func counts(of map[string]int64, most int) string {
	var parts []string
	names := slices.Sorted(maps.Keys(of))
	for _, name := range names[:min(most, len(names))] {
		parts = append(parts, fmt.Sprintf("%s %d", name, of[name]))
	}
	if more := len(names) - most; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, ", ")
}

// short writes a latency in at most seven characters. Zero means that none was measured.
func short(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case d == 0:
		return "-"
	case ms < 10:
		return fmt.Sprintf("%.1fms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0fms", ms)
	default:
		return fmt.Sprintf("%.2fs", d.Seconds())
	}
}

func trim(v float64) string {
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.3f", v), "0"), ".")
}
