// Package report prints autoscalers, incidents and replays for people, and as the documented machine output.
//
// It writes to a given io.Writer, takes the time as an argument and fetches nothing. The text is made to be read by somebody who was
// just woken up: first what is the matter, then why, then the details. It fits 80 columns
// where the names do, has no colour, and may change from one version to the next; the JSON is the contract.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"sigs.k8s.io/yaml"

	"github.com/homeostat/homeostat/hpa"
)

// JSON writes v as indented JSON with a newline at the end.
func JSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write json: %w", err)
	}
	return nil
}

// YAML writes v as YAML, with the field names of its JSON.
func YAML(w io.Writer, v any) error {
	out, err := yaml.Marshal(v)
	if err == nil {
		_, err = w.Write(out)
	}
	if err != nil {
		return fmt.Errorf("write yaml: %w", err)
	}
	return nil
}

// printer writes lines until the first error.
type printer struct {
	w   io.Writer
	loc *time.Location
	// now is when it is read, where times of other days are shown without a heading that says the day; zero: there is one.
	now time.Time
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.w, harmless(fmt.Sprintf(format, args...)))
	}
}

// harmless replaces what a terminal may take for a command: log lines and messages are written by whoever wrote the workload.
func harmless(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return '?'
		}
		return r
	}, s)
}

// table prints rows of equally many cells, aligned.
func (p *printer) table(rows [][]string) {
	if p.err != nil {
		return
	}
	tw := tabwriter.NewWriter(p.w, 0, 4, 2, ' ', 0)
	for _, r := range rows {
		if _, p.err = fmt.Fprintln(tw, strings.TrimRight(harmless(strings.Join(r, "\t")), "\t")); p.err != nil {
			return
		}
	}
	p.err = tw.Flush()
}

// paragraph prints a sentence, wrapped at width, each line behind the indentation.
func (p *printer) paragraph(indent, sentence string) {
	for _, l := range wrap(sentence, width-utf8.RuneCountInString(indent)) {
		p.line("%s%s", indent, l)
	}
}

// columns prints rows of equally many cells, aligned behind an indentation of two. The last cell is a sentence: where it does not fit
// beside the others it is wrapped, and where there is no room to speak of, or another cell is longer than its column, it goes on lines of
// its own.
func (p *printer) columns(rows [][]string) {
	if len(rows) == 0 {
		return
	}
	last := len(rows[0]) - 1
	widths := make([]int, last)
	for _, r := range rows {
		for i := range widths {
			if n := utf8.RuneCountInString(r[i]); n <= widest {
				widths[i] = max(widths[i], n)
			}
		}
	}
	offset := 2
	for _, w := range widths {
		offset += w + 2
	}
	for _, r := range rows {
		var b strings.Builder
		b.WriteString("  ")
		for i, w := range widths {
			b.WriteString(r[i] + strings.Repeat(" ", max(w-utf8.RuneCountInString(r[i]), 0)+2))
		}
		room := width - offset
		long := utf8.RuneCountInString(b.String()) > offset
		if long || room < narrowest && utf8.RuneCountInString(r[last]) > room {
			p.line("%s", strings.TrimRight(b.String(), " "))
			p.paragraph("      ", r[last])
			continue
		}
		lines := wrap(r[last], room)
		p.line("%s", strings.TrimRight(b.String()+lines[0], " "))
		for _, l := range lines[1:] {
			p.line("%s%s", strings.Repeat(" ", offset), l)
		}
	}
}

const (
	width     = 80 // of a terminal
	narrowest = 24 // column that a sentence is wrapped in
	widest    = 36 // cell that its column is made wide enough for
)

// wrap breaks s between words into lines of at most n runes; a longer word has a line of its own. There is at least one line.
func wrap(s string, n int) []string {
	lines, length := []string{""}, 0
	for word := range strings.FieldsSeq(s) {
		l, last := utf8.RuneCountInString(word), len(lines)-1
		switch {
		case length == 0:
			lines[last], length = word, l
		case length+1+l <= n:
			lines[last] += " " + word
			length += 1 + l
		default:
			lines, length = append(lines, word), l
		}
	}
	return lines
}

// Quantity prints a value of the metric as Kubernetes writes it: 40%, 250m, 96Mi.
func Quantity(m hpa.Metric, v int64) string {
	memory := m.Source.Resource == hpa.Memory && (m.Source.Type == hpa.FromResource || m.Source.Type == hpa.FromContainerResource)
	switch {
	case m.Type == hpa.Utilization:
		return fmt.Sprintf("%d%%", v)
	case memory:
		return Bytes(v)
	case v%1000 == 0:
		return strconv.FormatInt(v/1000, 10)
	default:
		return fmt.Sprintf("%dm", v)
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

func count(n int32) string { return strconv.Itoa(int(n)) }

// ago prints the time between at and now, as span does.
func ago(now, at time.Time) string { return span(max(now.Sub(at), 0)) }

// span prints a duration in two units at most: 45s, 3m12s, 2h5m, 3d4h.
func span(d time.Duration) string {
	d = d.Round(time.Second)
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
