package corpus

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func at(seconds float64) time.Time {
	return time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
}

func lines() []Line {
	return []Line{
		{At: at(0), Type: Added, Kind: "Pod", Object: json.RawMessage(`{"kind":"Pod","metadata":{"name":"a<b>"}}`)},
		{At: at(1), Kind: KindUsage, Usage: &Usage{Namespace: "demo", Pod: "a", Container: "app", RSS: 1 << 20}},
		{At: at(2), Kind: KindLabel, Label: &Label{Want: []Want{{Kind: "OOMKilled", Workload: "Deployment/web"}}, Why: "it leaks"}},
	}
}

func write(t *testing.T, path string, list []Line) {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, list); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestARecordingIsReadAsItWasWritten(t *testing.T) {
	folder := t.TempDir()
	write(t, filepath.Join(folder, "OOMKilled", "leak.jsonl.gz"), lines())
	got, err := ReadAll(folder)
	if err != nil {
		t.Fatal(err)
	}
	want := []*Recording{{Kind: "OOMKilled", Name: "leak", Lines: lines(), Label: *lines()[2].Label}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestTheSameLinesGiveTheSameBytes(t *testing.T) {
	var a, b bytes.Buffer
	if err := Write(&a, lines()); err != nil {
		t.Fatal(err)
	}
	if err := Write(&b, lines()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("they differ")
	}
}

func TestABadRecordingIsRefused(t *testing.T) {
	back := lines()
	back[1].At = at(-1)
	for name, c := range map[string]struct {
		lines []Line
		want  string
	}{
		"no label":        {lines()[:2], "its last line is a Usage"},
		"time goes back":  {back, "is before that of the line before"},
		"nothing in it":   {nil, "it has no line"},
		"label not there": {lines()[:1], "its last line is a Pod"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "Kind", "x.jsonl.gz")
			write(t, path, c.lines)
			_, err := Read(path)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want it to contain %q", err, c.want)
			}
		})
	}
}

// Every recording belongs to a variant that says how it was made, and the label in it is the variant's.
func TestEveryRecordingHasItsVariant(t *testing.T) {
	variants, err := ReadVariants("testdata/variants")
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*Variant{}
	for _, v := range variants {
		byName[v.Kind+"/"+v.Name] = v
	}
	recordings, err := ReadAll("testdata/recordings")
	if err != nil {
		t.Fatal(err)
	}
	recorded := map[string]bool{}
	for _, rec := range recordings {
		name := rec.Kind + "/" + rec.Name
		recorded[name] = true
		v := byName[name]
		if v == nil {
			t.Errorf("%s has no variant", name)
			continue
		}
		want := v.Label(time.Time{})
		want.Began = rec.Label.Began
		if d := cmp.Diff(want, rec.Label); d != "" {
			t.Errorf("%s: label of the variant and of the recording: %s", name, d)
		}
	}
	for name := range byName {
		if !recorded[name] {
			t.Errorf("%s was never recorded", name)
		}
	}
}

func TestABadVariantIsRefused(t *testing.T) {
	const good = "why: it leaks\nwant: []\nseconds: 60\nnodes: [node1]\n---\nkind: Pod\n"
	for name, c := range map[string]struct{ text, want string }{
		"unknown field": {strings.Replace(good, "why", "wy", 1), "wy"},
		"no sentence":   {strings.Replace(good, "it leaks", `""`, 1), "why:"},
		"too long":      {strings.Replace(good, "60", "6000", 1), "seconds: 6000 is not allowed: must be from 10 to 900"},
		"no node":       {strings.Replace(good, "[node1]", "[]", 1), "nodes:"},
		"no manifest":   {strings.Replace(good, "kind: Pod", "", 1), "manifests:"},
		"step too late": {strings.Replace(good, "---", "steps: [{after: 61, run: x}]\n---", 1), "steps[0].after: 61 is not allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.yaml")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := ReadVariant(path)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want it to contain %q", err, c.want)
			}
		})
	}
}

// Whatever is in a file, reading it ends with lines in the order of their times or with an error.
func FuzzDecode(f *testing.F) {
	var out bytes.Buffer
	if err := Write(&out, lines()); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	f.Add([]byte("no gzip"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := decode(bytes.NewReader(text))
		if err == nil && len(got) == 0 {
			t.Error("no line and no error")
		}
		for i := 1; i < len(got); i++ {
			if got[i].At.Before(got[i-1].At) {
				t.Errorf("line %d is before the one before it", i+1)
			}
		}
	})
}
