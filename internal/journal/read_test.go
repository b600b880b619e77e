package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

const line = `{"time":"2026-03-01T12:00:00Z","kind":"decision","subject":{"kind":"Autoscaler","name":"NAME"},"decision":{}}` + "\n"

func named(name string) string { return strings.Replace(line, "NAME", name, 1) }

// read returns the names of the records and the texts of the errors, in order.
func read(r io.Reader) (got []string) {
	for rec, err := range Read(r) {
		if err != nil {
			got = append(got, err.Error())
			continue
		}
		got = append(got, rec.Subject.Name)
	}
	return got
}

func TestAJournalIsReadLineByLine(t *testing.T) {
	t.Parallel()
	cut := func(s string) string { return s[:len(s)-30] }
	tests := []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"lines and empty ones", named("a") + "\n  \n" + named("b"), []string{"a", "b"}},
		{"a last line that is whole but for its end", named("a") + strings.TrimSpace(named("b")), []string{"a", "b"}},
		{"a last line that is cut off", named("a") + cut(named("b")), []string{"a"}},
		{
			"a line that was cut off, and the next one behind it", cut(named("a")) + named("b") + named("c"),
			[]string{"line 1: invalid character 't' after object key:value pair", "c"},
		},
		{
			"an unknown kind", named("a") + strings.Replace(named("b"), `"kind":"decision"`, `"kind":"guess"`, 1) + named("c"),
			[]string{"a", `line 2: kind: "guess" is not allowed, it must be decision, incident or action`, "c"},
		},
		{
			"a kind without what it says", strings.Replace(line, `"kind":"decision"`, `"kind":"incident"`, 1),
			[]string{`line 1: incident: is missing, a line of kind "incident" must have it`},
		},
		{"no time", strings.Replace(line, `"time":"2026-03-01T12:00:00Z",`, "", 1), []string{"line 1: time: is missing"}},
		{
			"the log of the controller between", named("a") + `{"time":"2026-03-01T12:00:00Z","level":"INFO","msg":"scaled","from":2}` + "\n" + named("b"),
			[]string{"a", "b"},
		},
		{"a field of a later version", strings.Replace(named("a"), `"kind":"decision"`, `"kind":"decision","colour":"blue"`, 1), []string{"a"}},
		{
			"a line that is too long", named("a") + `"` + strings.Repeat("x", MaxLine) + "\"\n" + named("c"),
			[]string{"a", "line 2: longer than 33554432 bytes, which is what is allowed", "c"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, read(strings.NewReader(tt.text))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnErrorOfTheReaderEndsIt(t *testing.T) {
	t.Parallel()
	r := io.MultiReader(strings.NewReader(named("a")), iotest.ErrReader(errors.New("disk on fire")))
	if diff := cmp.Diff([]string{"a", "read journal: disk on fire"}, read(r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReadingMayStopEarly(t *testing.T) {
	t.Parallel()
	n := 0
	for range Read(strings.NewReader(named("a") + "bad\n" + named("b"))) {
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("%d records, want to stop at 2", n)
	}
}

// Whatever is in a file: reading it ends, every fault names its line, and what was read is read the same when it is written again.
func FuzzRead(f *testing.F) {
	f.Add([]byte(named("a") + "{\n" + named("b")[:40]))
	f.Add([]byte("\n\n null \n[]\n" + line))
	f.Add([]byte(`{"time":"2026-03-01T12:00:00Z","kind":"decision","decision":{"policy":{"min":1},"observation":{"replicas":[{"cpu":{"value":1e3}}]}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		lines, last := bytes.Count(text, []byte("\n"))+1, 0
		var out bytes.Buffer
		var want []Record
		for rec, err := range Read(bytes.NewReader(text)) {
			if err != nil {
				bad, ok := errors.AsType[*LineError](err)
				if !ok || bad.Line <= last || bad.Line > lines {
					t.Fatalf("error %v after line %d of %d", err, last, lines)
				}
				last = bad.Line
				continue
			}
			want = append(want, rec)
			if err := json.NewEncoder(&out).Encode(rec); err != nil {
				t.Fatalf("a record that was read cannot be written: %v", err)
			}
		}
		i := 0
		for rec, err := range Read(&out) {
			if err != nil {
				t.Fatal(err)
			}
			a, _ := json.Marshal(want[i])
			b, _ := json.Marshal(rec)
			if !bytes.Equal(a, b) {
				t.Fatalf("record %d was\n%s\nand is\n%s", i, a, b)
			}
			i++
		}
		if i != len(want) {
			t.Fatalf("%d records of %d", i, len(want))
		}
	})
}
