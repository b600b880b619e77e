package detect_test

import (
	"os"
	"strings"
	"testing"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
)

// TestEveryKindIsDocumented verifies that the table of docs/healing.md has a row for each kind, in the order of the chain, with the
// remedies and the ladder that the engine has.
func TestEveryKindIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/healing.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	in := false
	for line := range strings.Lines(string(page)) {
		switch {
		case strings.HasPrefix(line, "| kind |"):
			in = true
		case in && strings.HasPrefix(line, "| `"):
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows = append(rows, cells)
		case in && !strings.HasPrefix(line, "|"):
			in = false
		}
	}
	kinds := incident.Kinds()
	if len(rows) != len(kinds) {
		t.Fatalf("%d rows, and there are %d kinds", len(rows), len(kinds))
	}
	for i, k := range kinds {
		r := rows[i]
		if len(r) != 5 || r[0] != "`"+string(k)+"`" {
			t.Errorf("row %d is %q, want the five cells of %s", i+1, r, k)
			continue
		}
		if len(r[1]) < 20 || r[2] == "" {
			t.Errorf("%s has no signal or no rule of confidence", k)
		}
		if want := names(healing.Allowed(k)[1:]); r[3] != want {
			t.Errorf("%s: remedies %q, want %q", k, r[3], want)
		}
		if want := names(healing.DefaultLadder(k)); r[4] != want {
			t.Errorf("%s: ladder %q, want %q", k, r[4], want)
		}
	}
}

func names(remedies []incident.Remedy) string {
	if len(remedies) == 0 {
		return string(incident.RemedyNone)
	}
	out := make([]string, len(remedies))
	for i, r := range remedies {
		out[i] = string(r)
	}
	return strings.Join(out, ", ")
}
