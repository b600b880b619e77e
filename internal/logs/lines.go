package logs

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLine bounds one line, in bytes: a stack trace line fits, a dumped request body does not push out its neighbours.
const maxLine = 2 << 10

// cutMark ends a line that was cut.
const cutMark = "…"

var ansiCode = regexp.MustCompile(`\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])`)

// Tail returns the last lines of raw, oldest first: at most maxLines, together at most maxBytes (newlines not counted),
// each at most 2 KiB, as valid UTF-8 without terminal codes and control characters, secrets masked. Empty lines at the
// end are dropped. nil when nothing is left.
func Tail(raw []byte, maxLines, maxBytes int) []string {
	if maxLines <= 0 || maxBytes <= 0 {
		return nil
	}
	text := strings.TrimRight(string(raw), "\r\n\t ")
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = clean(l)
	}
	maskKeys(lines)
	if len(lines) > maxLines {
		lines = lines[len(lines)-maxLines:]
	}
	size, first := 0, len(lines)
	for i := len(lines) - 1; i >= 0; i-- {
		lines[i] = cut(Mask(lines[i]), maxLine)
		if size += len(lines[i]); size > maxBytes {
			break
		}
		first = i
	}
	if first == len(lines) { // not even the last line fits
		return []string{cut(lines[len(lines)-1], maxBytes)}
	}
	out := make([]string, len(lines)-first)
	copy(out, lines[first:])
	return out
}

// maxWhole bounds one line of Clean, in bytes: a structured line that is cut cannot be read any more.
const maxWhole = 16 << 10

// Clean returns the lines as Tail would, but all of them and none cut below 16 KiB: for looking at, not for keeping.
func Clean(lines []Line) []Line {
	texts := make([]string, len(lines))
	for i, l := range lines {
		texts[i] = clean(l.Text)
	}
	maskKeys(texts)
	out := make([]Line, len(lines))
	for i, l := range lines {
		out[i] = Line{At: l.At, Text: cut(Mask(texts[i]), maxWhole)}
	}
	return out
}

// MaskText is Mask for a text of several lines, whose private keys are masked too. What it does not mask stays as it is.
func MaskText(text string) string {
	if text == "" {
		return ""
	}
	lines := strings.Split(text, "\n")
	maskKeys(lines)
	for i, l := range lines {
		lines[i] = Mask(l)
	}
	return strings.Join(lines, "\n")
}

// clean makes one line safe to keep and to print.
func clean(line string) string {
	line = strings.ToValidUTF8(strings.TrimRight(line, "\r"), "\uFFFD")
	if strings.IndexByte(line, '\x1b') >= 0 {
		line = ansiCode.ReplaceAllString(line, "")
	}
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, line)
}

// cut shortens s to at most n bytes at the border of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	mark := cutMark
	if n < len(mark) {
		mark = ""
	}
	end := n - len(mark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}
