package healing

import (
	"github.com/homeostat/homeostat/internal/incident"
)

// testingT is what the checks of invariants need.
type testingT interface {
	Helper()
	Errorf(format string, args ...any)
}

// checkIncident verifies what every incident must keep to, whatever happened.
func checkIncident(t testingT, i *incident.Incident) {
	t.Helper()
	for _, b := range []struct {
		what   string
		n, max int
	}{
		{"subjects", len(i.Subjects), incident.MaxSubjects},
		{"fingerprints", len(i.Fingerprints), incident.MaxFingerprints},
		{"timeline", len(i.Timeline), incident.MaxTimeline},
		{"evidence", len(i.Evidence), incident.MaxEvidence},
		{"remediations", len(i.Remediations), incident.MaxRemediations},
		{"for", len(i.For), incident.MaxPhrases},
		{"against", len(i.Against), incident.MaxPhrases},
		{"cause", len(i.Cause), incident.MaxMessage},
		{"message", len(i.Message), incident.MaxMessage},
		{"name", len(i.Name), 63},
	} {
		if b.n > b.max {
			t.Errorf("incident %s has %s of size %d, more than %d", i.Name, b.what, b.n, b.max)
		}
	}
	for _, e := range i.Evidence {
		if len(e.Message) > incident.MaxMessage || len(e.Points) > incident.MaxPoints || len(e.Lines) > incident.MaxLogLines {
			t.Errorf("incident %s has evidence that is too large: %s", i.Name, e.Kind)
		}
	}
	ids := map[string]bool{}
	for _, r := range i.Remediations {
		if ids[r.ID] {
			t.Errorf("incident %s has the remediation %s twice", i.Name, r.ID)
		}
		ids[r.ID] = true
	}
	if i.State == incident.Resolved && i.ResolvedAt.IsZero() {
		t.Errorf("incident %s is resolved at no time", i.Name)
	}
	if i.Cause == "" || i.Confidence < 1 || i.Confidence > 100 {
		t.Errorf("incident %s has cause %q with confidence %d", i.Name, i.Cause, i.Confidence)
	}
}
