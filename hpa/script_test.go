package hpa_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// script is a parsed transcript: what stands in a file of testdata, in order and without loss.
type script []scriptItem

// scriptItem is a command with the output that is expected of it, or, with an empty name, a comment or an empty line.
type scriptItem struct {
	line int
	text string // as written
	name string
	args []scriptArg
	want []string
}

// scriptArg is one word after a command: key=value, or a value alone.
type scriptArg struct{ key, value string }

const scriptRule = "----"

// parseScript reads a transcript. A line is empty, a comment that starts with #, or a command: a name and words, which
// are key=value or a value alone; a value with spaces stands in double quotes. A line of four dashes after a
// command starts its output, which ends at an empty line.
func parseScript(text string) (script, error) {
	var s script
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		item := scriptItem{line: i + 1, text: strings.TrimSpace(lines[i])}
		switch {
		case item.text == "" || strings.HasPrefix(item.text, "#"):
			s = append(s, item)
			continue
		case item.text == scriptRule:
			return nil, fmt.Errorf("line %d: output without a command", i+1)
		}
		words, err := splitWords(item.text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		item.name = words[0].value
		if words[0].key != "" {
			return nil, fmt.Errorf("line %d: %q is not the name of a command", i+1, item.text)
		}
		item.args = words[1:]
		if i+1 < len(lines) && strings.TrimSpace(lines[i+1]) == scriptRule {
			for i += 2; i < len(lines) && strings.TrimSpace(lines[i]) != ""; i++ {
				item.want = append(item.want, strings.TrimRight(lines[i], " \t\r"))
			}
			i--
		}
		s = append(s, item)
	}
	return s, nil
}

// splitWords splits a command line into its words. It never returns none without an error.
func splitWords(line string) ([]scriptArg, error) {
	var words []scriptArg
	for rest := strings.TrimSpace(line); rest != ""; rest = strings.TrimLeft(rest, " \t") {
		var w scriptArg
		if end := strings.IndexAny(rest, "= \t\""); end > 0 && rest[end] == '=' {
			w.key, rest = rest[:end], rest[end+1:]
		}
		if strings.HasPrefix(rest, `"`) {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return nil, fmt.Errorf("%q: a quote is not closed", line)
			}
			if w.value, err = strconv.Unquote(quoted); err != nil {
				return nil, fmt.Errorf("%q: %w", quoted, err)
			}
			rest = rest[len(quoted):]
			if rest != "" && !strings.ContainsAny(rest[:1], " \t") {
				return nil, fmt.Errorf("%q: no space after the closing quote", line)
			}
		} else {
			end := strings.IndexAny(rest, " \t")
			if end < 0 {
				end = len(rest)
			}
			w.value, rest = rest[:end], rest[end:]
		}
		if w.key == "" && w.value == "" {
			return nil, fmt.Errorf("%q: an empty word", line)
		}
		words = append(words, w)
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("%q: no command", line)
	}
	return words, nil
}

// String writes the transcript so that parsing it gives the same again.
func (s script) String() string {
	var b strings.Builder
	for i, item := range s {
		b.WriteString(item.text + "\n")
		if item.want != nil {
			b.WriteString(scriptRule + "\n")
			for _, line := range item.want {
				b.WriteString(line + "\n")
			}
			if i+1 < len(s) && s[i+1].text != "" {
				b.WriteString("\n")
			}
		}
	}
	return b.String()
}

func TestParseScript(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"words", `replica web-1 cpu=1m/2m note="a b"`, `replica[web-1 cpu:1m/2m note:a b] => `},
		{"output", "sync\n----\none\n two\n\n# end", "sync[] => one| two"},
		{"output to the end", "sync\n----\none", "sync[] => one"},
		{"empty output", "sync\n----\n\nsync", "sync[] => ;sync[] => "},
		{"open quote", `incident "a`, `line 1: "incident \"a": a quote is not closed`},
		{"quote runs on", `incident "a"b`, `line 1: "incident \"a\"b": no space after the closing quote`},
		{"output first", "\n----\nx", "line 2: output without a command"},
		{"no name", "a=b", `line 1: "a=b" is not the name of a command`},
		{"key only", "policy behavior=", "policy[behavior:] => "},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := parseScript(test.text)
			if got := sketch(s, err); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// sketch shows what was parsed in one line.
func sketch(s script, err error) string {
	if err != nil {
		return err.Error()
	}
	var commands []string
	for _, item := range s {
		if item.name == "" {
			continue
		}
		var args []string
		for _, a := range item.args {
			args = append(args, strings.TrimPrefix(a.key+":"+a.value, ":"))
		}
		commands = append(commands, fmt.Sprintf("%s%v => %s", item.name, args, strings.Join(item.want, "|")))
	}
	return strings.Join(commands, ";")
}

func FuzzParseScript(f *testing.F) {
	for _, text := range []string{"", "# a\n\nsync\n----\nb\n\n", `incident "a b" k="c\n"`, "a=b", "x\n----\n----\n", "\"\"", "wait 15s\r\n----\r\nx\r\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseScript(text)
		if err != nil {
			return
		}
		again, err := parseScript(s.String())
		if err != nil {
			t.Fatalf("%q was written as %q: %v", text, s.String(), err)
		}
		if sketch(s, nil) != sketch(again, nil) {
			t.Errorf("%q was written as %q:\nfirst  %s\nsecond %s", text, s.String(), sketch(s, nil), sketch(again, nil))
		}
	})
}
