// Package transcript runs the stories that tests are told in: text files of commands with what they print below them, compared or,
// with the flag -rewrite of go test, written anew. It is for tests alone, and knows neither what a command does nor what a line means.
package transcript

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

//nolint:gochecknoglobals // a flag of go test
var rewrite = flag.Bool("rewrite", false, "write what the tests print into testdata instead of comparing it")

// Run plays each file that matches the pattern in a subtest of its name and compares it with what play returns for its text. It
// fails where fewer than least files match.
func Run(t *testing.T, pattern string, least int, play func(t *testing.T, text string) string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) < least {
		t.Fatalf("%d files match %s, at least %d must: %v", len(files), pattern, least, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			Compare(t, file, play(t, read(t, file)))
		})
	}
}

// Compare fails the test where got is not what the file holds. With -rewrite it writes the file, and its folder, instead.
func Compare(t *testing.T, file, got string) {
	t.Helper()
	if *rewrite {
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(read(t, file), got); diff != "" {
		t.Errorf("%s differs (-want +got); go test -rewrite writes it, once the new text is better:\n%s", file, diff)
	}
}

// Play runs the commands of a story and returns it with what they print now. A story is blocks with a blank line between: commands,
// one in a line, which words takes apart, then a line of four dashes and what was printed into out. Lines that begin with # tell the
// story; a block of nothing else prints nothing.
func Play(text string, out *strings.Builder, words func(line string) []string, run func(command string, words []string)) string {
	var result strings.Builder
	for i, block := range strings.Split(strings.TrimSpace(text), "\n\n") {
		commands, _, printed := strings.Cut(block, "\n----")
		out.Reset()
		if i > 0 {
			result.WriteString("\n")
		}
		ran := false
		for line := range strings.SplitSeq(commands, "\n") {
			result.WriteString(line + "\n")
			if of := words(line); len(of) > 0 && !strings.HasPrefix(line, "#") {
				run(of[0], of[1:])
				ran = true
			}
		}
		if ran || printed {
			result.WriteString("----\n" + out.String())
		}
	}
	return result.String()
}

// Words separates the words of a line; what is in double quotes, or in backquotes where the line has some, is one word.
func Words(line string) []string {
	quote := `"`
	if strings.Contains(line, "`") {
		quote = "`"
	}
	var out []string
	for i, part := range strings.Split(line, quote) {
		if i%2 == 1 {
			out = append(out, part)
			continue
		}
		out = append(out, strings.Fields(part)...)
	}
	return out
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file) //nolint:gosec // a test's own file
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
