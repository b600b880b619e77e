package telemetry

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/incident"
)

func TestEveryReasonIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range hpa.Reasons() {
		if !regexp.MustCompile("(?m)^\\| .*`" + string(r) + "`.*$").Match(text) {
			t.Errorf("the reason %s is not documented", r)
		}
	}
}

// The bounds that the table speaks of are numbers of other packages.
func TestTheNumbersInBoundsAreTrue(t *testing.T) {
	t.Parallel()
	for _, b := range []struct {
		bound string
		want  int
	}{
		{boundFindings, len(incident.Kinds())},
		{"the remedies: 9", len(incident.Remedies())},
		{"the reasons of guards: 27", len(Refusals())},
	} {
		if got := regexp.MustCompile(`: (\d+)$`).FindStringSubmatch(b.bound); got == nil || got[1] != itoa(b.want) {
			t.Errorf("%q, but there are %d", b.bound, b.want)
		}
	}
}
