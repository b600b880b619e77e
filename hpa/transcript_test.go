package hpa_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write what the transcripts in testdata now give into them")

// TestTranscripts plays the stories of testdata and compares every output. With -rewrite it writes them down instead;
// read the difference before you commit it.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := parseScript(string(text))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			played, wrong, err := play(s)
			if err != nil {
				t.Fatalf("%s:%v", file, err)
			}
			if *rewrite {
				if err := os.WriteFile(file, []byte(played.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			for _, w := range wrong {
				t.Errorf("%s:%s", file, w)
			}
		})
	}
}

// play runs a script and returns it with the outputs that it gave, and those that are not the ones that it wants.
func play(s script) (played script, wrong []string, err error) {
	commands := map[string]sceneCommand{}
	for _, c := range sceneCommands() {
		commands[c.name] = c
	}
	now, story := newScene(), ""
	for _, item := range s {
		if item.name != "" {
			c, ok := commands[item.name]
			if !ok {
				return nil, nil, fmt.Errorf("%d: unknown command %q", item.line, item.name)
			}
			if item.name == "case" {
				story = one(item.args)
			}
			out, err := c.run(&now, item.args)
			if err != nil {
				return nil, nil, fmt.Errorf("%d: %s: %w", item.line, item.text, err)
			}
			var got []string
			if out != "" {
				got = strings.Split(out, "\n")
			}
			if diff := cmp.Diff(item.want, got); diff != "" {
				wrong = append(wrong, fmt.Sprintf("%d: %s: %s (-want +got):\n%s", item.line, story, item.text, diff))
			}
			item.want = got
		}
		played = append(played, item)
	}
	return played, wrong, nil
}

func TestEveryCommandHasAnExample(t *testing.T) {
	for _, c := range sceneCommands() {
		t.Run(c.name, func(t *testing.T) {
			s, err := parseScript(c.example)
			if err != nil {
				t.Fatal(err)
			}
			if len(s) != 1 || s[0].name != c.name {
				t.Fatalf("the example %q is not one %s", c.example, c.name)
			}
			now := newScene()
			if _, err := c.run(&now, s[0].args); err != nil {
				t.Errorf("%q: %v", c.example, err)
			}
		})
	}
}

// TestTranscriptsFail shows that a wrong output in a transcript is found.
func TestTranscriptsFail(t *testing.T) {
	s, err := parseScript("case a\npolicy cpu=40%\ncurrent 2\nreplica web-1..2 cpu=166m/200m\nsync\n----\nsomething else\n\nhistory")
	if err != nil {
		t.Fatal(err)
	}
	played, wrong, err := play(s)
	if err != nil || len(wrong) != 2 || !strings.HasPrefix(wrong[0], "5: a: sync") || !strings.HasPrefix(wrong[1], "9: a: history") {
		t.Errorf("wrong outputs at 5 and 9 are wanted, got %q, %v", wrong, err)
	}
	if _, wrong, err = play(played); err != nil || len(wrong) != 0 {
		t.Errorf("played again: %q, %v", wrong, err)
	}
	if _, _, err = play(script{{line: 7, name: "dance"}}); err == nil || err.Error() != `7: unknown command "dance"` {
		t.Errorf("unknown command: %v", err)
	}
}
