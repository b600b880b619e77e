package incident

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/metrics"
)

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestBounded verifies that whatever is put into an incident, and however often, it stays within its limits.
func TestBounded(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	text := func() string { return strings.Repeat("é\x00\xffx", rnd.IntN(400)) }
	var i Incident
	for n := range 500 {
		now := at.Add(time.Duration(n) * time.Second)
		i.Note(now, "Reason", text())
		i.Count(fmt.Sprint("f", n), now, 1)
		i.Concern(Subject{Replica: fmt.Sprint("r", rnd.IntN(50)), UID: fmt.Sprint("u", rnd.IntN(50)), At: now})
		i.Intend(Remediation{ID: fmt.Sprint("m", n), Message: text()})
		i.Explain(text()+"a", int32(n), []string{text(), text(), "a", "a", "b", "c", "d", "e", "f", "g", "h"}, nil)
		i.Say("Reason", text())
		lines := make([]string, rnd.IntN(100))
		for j := range lines {
			lines[j] = strings.Repeat("l", rnd.IntN(500))
		}
		i.Attach(Evidence{
			Kind: EvidenceLog, Message: text(), Lines: lines, Points: make([]metrics.Point, rnd.IntN(200)),
			Termination: &cluster.Termination{Message: text()},
		})
	}
	for _, b := range []struct {
		what   string
		n, max int
	}{
		{"timeline", len(i.Timeline), MaxTimeline},
		{"fingerprints", len(i.Fingerprints), MaxFingerprints},
		{"subjects", len(i.Subjects), MaxSubjects},
		{"remediations", len(i.Remediations), MaxRemediations},
		{"evidence", len(i.Evidence), MaxEvidence},
		{"for", len(i.For), MaxPhrases},
	} {
		if b.n > b.max || b.n < b.max/2 {
			t.Errorf("%s: %d entries, the limit is %d", b.what, b.n, b.max)
		}
	}
	for _, e := range i.Evidence {
		size := 0
		for _, l := range e.Lines {
			size += len(l)
		}
		if len(e.Lines) > MaxLogLines || size > MaxLogBytes || len(e.Points) > MaxPoints || len(e.Message) > MaxMessage ||
			len(e.Termination.Message) > MaxMessage || !utf8.ValidString(e.Message) {
			t.Errorf("evidence of %d lines, %d bytes, %d points", len(e.Lines), size, len(e.Points))
		}
	}
	if len(i.Cause) > MaxMessage || len(i.Message) > MaxMessage || !utf8.ValidString(i.Cause) || i.Confidence > 100 {
		t.Errorf("cause of %d bytes, confidence %d", len(i.Cause), i.Confidence)
	}
	if i.Occurrences != 500 {
		t.Errorf("%d occurrences", i.Occurrences)
	}
	if want := at.Add(499 * time.Second); !i.ForgottenUntil.Equal(want) {
		t.Errorf("forgotten until %s, want %s", i.ForgottenUntil, want)
	}
}

// TestFirstAndNewestSurvive verifies what is kept of a long story: how it began and what came last.
func TestFirstAndNewestSurvive(t *testing.T) {
	var i Incident
	for n := range 100 {
		i.Note(at, "R", fmt.Sprint(n))
		i.Attach(Evidence{Kind: EvidenceTermination, Message: fmt.Sprint(n)})
	}
	if i.Timeline[0].Message != "0" || i.Timeline[keepTimeline-1].Message != fmt.Sprint(keepTimeline-1) || i.Timeline[MaxTimeline-1].Message != "99" {
		t.Errorf("timeline: %v", i.Timeline)
	}
	if i.Evidence[0].Message != "0" || i.Evidence[keepEvidence-1].Message != fmt.Sprint(keepEvidence-1) || i.Evidence[MaxEvidence-1].Message != "99" {
		t.Errorf("evidence: %v", i.Evidence)
	}
}

func TestNoted(t *testing.T) {
	var i Incident
	i.Note(at, "Cooldown", "")
	i.Note(at, "SeenAgain", "")
	if !i.Noted("Cooldown", "RemediationStarted") {
		t.Error("a reason that was noted is not found")
	}
	i.Note(at, "RemediationStarted", "")
	if i.Noted("Cooldown", "RemediationStarted") {
		t.Error("a reason from before the action is found")
	}
}

func TestLogsKeepTheirNewestLines(t *testing.T) {
	var i Incident
	lines := []string{strings.Repeat("a", MaxLogBytes), strings.Repeat("b", MaxLogBytes-1), "c"}
	i.Attach(Evidence{Kind: EvidenceLog, Replica: "web-1", Container: "app", Lines: lines})
	if got := i.Evidence[0].Lines; len(got) != 2 || got[1] != "c" {
		t.Errorf("%d lines kept", len(got))
	}
	if !i.HasLog("web-1", "app") || i.HasLog("web-1", "sidecar") || i.HasLog("web-2", "app") {
		t.Error("the log is not found where it is, or where it is not")
	}
}

func TestCloneSharesNothing(t *testing.T) {
	i := Incident{Name: "a", Remediations: []Remediation{{ID: "1"}}, Timeline: make([]Entry, 1, 8)}
	c := i.Clone()
	c.Remediation("1").Outcome = Done
	c.Note(at, "R", "")
	c.Concern(Subject{Replica: "r", Container: "app"})
	if i.Remediations[0].Outcome != "" || len(i.Timeline) != 1 || i.Container() != "" || c.Container() != "app" {
		t.Errorf("the original changed: %+v", i)
	}
	if i.Remediation("2") != nil {
		t.Error("a remediation that is not there is found")
	}
}

// TestPropose verifies that a proposal has one document for each remedy, in the order in which they came, that a cause in new words
// is no change, and that what finds no room is left out whole.
func TestPropose(t *testing.T) {
	var i Incident
	for _, step := range []struct {
		remedy, patch string
		changed       bool
	}{
		{"Rollback", "# because of a\nkind: Deployment\n", true},
		{"ScaleOut", "kind: HorizontalPodAutoscaler\n", true},
		{"Rollback", "# because of b\nkind: Deployment\n", false},
		{"Rollback", "# because of b\nkind: StatefulSet\n", true},
		{"ScaleOut", "kind: HorizontalPodAutoscaler\n", false},
		{"ResizeMemory", "", false},
		{"ResizeMemory", strings.Repeat("a: b\n", MaxProposal), false},
	} {
		if got := i.Propose(step.remedy, step.patch); got != step.changed {
			t.Errorf("%s: changed %t, want %t:\n%s", step.remedy, got, step.changed, i.Proposal)
		}
	}
	want := "--- # Rollback\n# because of b\nkind: StatefulSet\n--- # ScaleOut\nkind: HorizontalPodAutoscaler\n"
	if i.Proposal != want {
		t.Errorf("proposal:\n%s", i.Proposal)
	}
}
