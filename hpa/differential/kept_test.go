package differential

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// knownPrefix begins the names of kept cases that are a known difference; its name follows.
const knownPrefix = "known-"

// TestKeptCases runs the cases of testdata, or that of -replay. Those that once differed may never again; those of known
// differences must, in the way that they are known for.
func TestKeptCases(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if *replay != "" {
		files = []string{*replay}
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c := &Case{}
			if err := json.Unmarshal(b, c); err != nil {
				t.Fatalf("read %s: %v", file, err)
			}
			setGates(t, c.Gates)
			found, what, decide := "", "nothing differs", inLoop()
			o := run(t, c, c.recorded(), decide)
			if o.mismatch != nil {
				found, what = explain(t, c, &o, decide), c.describe()+"\n"+o.mismatch.describe()
			}
			want, known := strings.CutPrefix(name, knownPrefix)
			if known && found != want {
				t.Errorf("explained by %q, want %q:\n%s", found, want, what)
			}
			if !known && o.mismatch != nil {
				t.Errorf("known as %q:\n%s", found, what)
			}
		})
	}
}

// TestEveryKnownDifferenceIsKept shows that each is met at all, and is in the documentation.
func TestEveryKnownDifferenceIsKept(t *testing.T) {
	const page = "../../docs/hpa-differences.md"
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, k := range knownDifferences() {
		names = append(names, k.name)
		if _, err := os.Stat("testdata/" + knownPrefix + k.name + ".json"); err != nil {
			t.Errorf("no case of %s is kept: %v", k.name, err)
		}
	}
	for _, w := range wantedDifferences() {
		names = append(names, w.name)
	}
	for _, name := range names {
		if !strings.Contains(string(b), "`"+name+"`") {
			t.Errorf("%s has no `%s`", page, name)
		}
	}
}

// keep writes a case that is known down, the smallest that is, unless one of its kind is kept.
func keep(t *testing.T, name string, c *Case, o *outcome, decide decide) {
	t.Helper()
	file := "testdata/" + knownPrefix + name + ".json"
	if _, err := os.Stat(file); err == nil {
		return
	}
	small, _ := shrink(t, c, o, decide, name)
	if err := os.WriteFile(file, []byte(text(small)+"\n"), 0o600); err != nil {
		t.Error(err)
	}
}
