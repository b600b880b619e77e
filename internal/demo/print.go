package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// The columns of a line: time, subject, text. Text is wrapped at width.
const (
	timeWidth    = 7
	subjectWidth = 25
	width        = 120
	textColumn   = timeWidth + 3 + subjectWidth + 2
)

// tone is what a line is about, shown as its colour.
type tone int

const (
	plain tone = iota
	good       // something works again
	bad        // something broke
	noted      // an incident, a refusal
	acted      // the demo or Homeostat did something
)

// turn orders the lines that one look gives: what broke, what was decided, what came of it, what that meant.
type turn int

const (
	broke turn = iota
	decided
	followed
	meant
)

// line is one event for people. Details follow below it.
type line struct {
	subject, text string
	tone          tone
	turn          turn
	details       []string
}

// printer writes the story. It writes until the first error, which it keeps.
type printer struct {
	w      io.Writer
	colour bool
	err    error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// The codes are those of ECMA-48; 2 is faint, 1 bold.
func (p *printer) paint(code, s string) string {
	if !p.colour || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p *printer) toned(t tone, s string) string {
	switch t {
	case good:
		return p.paint("32", s)
	case bad:
		return p.paint("31", s)
	case noted:
		return p.paint("33", s)
	case acted:
		return p.paint("36", s)
	case plain:
	}
	return s
}

// title begins a chapter.
func (p *printer) title(n int, title, about string) {
	p.printf("\n%s\n", p.paint("1", fmt.Sprintf("%d  %s", n, title)))
	for _, s := range wrap(about, width-3) {
		p.printf("   %s\n", p.paint("2", s))
	}
}

// event writes one line with the time since the start.
func (p *printer) event(at time.Duration, l line) {
	texts := wrap(l.text, width-textColumn)
	if len(texts) == 0 {
		texts = []string{""}
	}
	head := p.paint("2", fmt.Sprintf("%*.1fs", timeWidth, at.Seconds())) + "  " + pad(l.subject, subjectWidth)
	for _, s := range texts {
		p.printf("%s  %s\n", head, p.toned(l.tone, s))
		head = strings.Repeat(" ", textColumn-2)
	}
	for _, s := range l.details {
		p.printf("%s%s\n", strings.Repeat(" ", textColumn), p.paint("2", cut(s, width-textColumn)))
	}
}

// outcome ends a chapter.
func (p *printer) outcome(at time.Duration, ok bool, text string) {
	mark, t := "✓", good
	if !ok {
		mark, t = "✗", bad
	}
	head := p.paint("2", fmt.Sprintf("%*.1fs", timeWidth, at.Seconds()))
	for i, s := range wrap(text, width-timeWidth-5) {
		if i == 0 {
			p.printf("%s  %s %s\n", head, p.toned(t, mark), p.paint("1", s))
			continue
		}
		p.printf("%s%s\n", strings.Repeat(" ", timeWidth+5), s)
	}
}

// row of the table in the end.
type row struct {
	what         string
	seconds      float64
	sent, failed int64
	failure      string // empty: it happened
}

func (p *printer) table(rows []row) {
	const what = 58
	p.printf("\n%s\n", p.paint("1", fmt.Sprintf("%-*s %9s %15s %17s", what, "what", "seconds", "requests sent", "requests failed")))
	var sent, failed int64
	for _, r := range rows {
		sent, failed = sent+r.sent, failed+r.failed
		text := fmt.Sprintf("%s %9.1f %15d %17d", pad(r.what, what), r.seconds, r.sent, r.failed)
		if r.failure != "" {
			text = p.toned(bad, text+"  "+r.failure)
		}
		p.printf("%s\n", text)
	}
	p.printf("%s\n", p.paint("2", fmt.Sprintf("%s %9s %15d %17d", pad("in all", what), "", sent, failed)))
}

// pad fills s up to n characters; a longer one is left as it is.
func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-utf8.RuneCountInString(s)))
}

// cut shortens s to n characters and marks the cut.
func cut(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// wrap breaks s between words into lines of at most n characters; a longer word is left whole.
func wrap(s string, n int) []string {
	var lines []string
	length := 0
	for word := range strings.FieldsSeq(s) {
		size := utf8.RuneCountInString(word)
		if len(lines) == 0 || length+1+size > n {
			lines = append(lines, word)
			length = size
			continue
		}
		lines[len(lines)-1] += " " + word
		length += 1 + size
	}
	return lines
}
