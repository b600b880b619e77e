package report

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/transcript"
	"github.com/homeostat/homeostat/metrics"
)

var now = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

func golden(t *testing.T, name string, print func(w *bytes.Buffer) error) {
	t.Helper()
	var out bytes.Buffer
	if err := print(&out); err != nil {
		t.Fatal(err)
	}
	transcript.Compare(t, filepath.Join("testdata", name+".txt"), out.String())
}

func oom() incident.Incident {
	var points []metrics.Point
	for i := range 20 {
		points = append(points, metrics.Point{At: now.Add(time.Duration(i-80) * time.Second), CPUMilli: 40, MemoryBytes: int64(40+5*i) << 20})
	}
	death := &cluster.Termination{ExitCode: 137, Reason: "OOMKilled", FinishedAt: now.Add(-time.Minute)}
	return incident.Incident{
		Namespace: "demo", Name: "web-oomkilled-1a2b", State: incident.Resolved, Kind: incident.OOMKilled,
		Workload: cluster.Ref{Kind: "Deployment", Namespace: "demo", Name: "web"},
		Cause:    "container app of web-1 was killed at its memory limit of 128Mi", Confidence: 97,
		For: []string{"reason OOMKilled, exit code 137"}, Against: []string{"the last sample is 3 s older than the death"},
		OpenedAt: now.Add(-time.Minute), StartedAt: now.Add(-61 * time.Second), ResolvedAt: now.Add(-10 * time.Second), Occurrences: 2,
		Evidence: []incident.Evidence{
			{Kind: incident.EvidenceTermination, At: now.Add(-61 * time.Second), Replica: "web-1", Container: "app", Message: "exit code 137, OOMKilled", Termination: death},
			{Kind: incident.EvidenceLog, At: now.Add(-60 * time.Second), Replica: "web-1", Container: "app", Message: "last 2 lines", Lines: []string{`{"msg":"leaking memory","leaked_mib":96}`, `{"msg":"leaking memory","leaked_mib":104}`}},
			{Kind: incident.EvidenceUsage, At: now.Add(-60 * time.Second), Replica: "web-1", Container: "app", Message: "memory grew from 40Mi to 127Mi in 19s", Points: points, MemoryLimit: 128 << 20},
		},
		Timeline: []incident.Entry{{At: now.Add(-time.Minute), Reason: "IncidentOpened", Message: "opened"}, {At: now.Add(-10 * time.Second), Reason: "IncidentResolved", Message: "healthy for 30s"}},
		Reason:   "NoRemedy", Message: "the kubelet restarts the container itself",
	}
}

func TestIncidentsPutsWhatIsOpenFirst(t *testing.T) {
	t.Parallel()
	resolved, open := oom(), oom()
	open.Name, open.State, open.Kind, open.OpenedAt = "api-crashloop-9f", incident.Open, incident.CrashLoop, now.Add(-50*time.Hour)
	golden(t, "incidents", func(w *bytes.Buffer) error {
		return Incidents(w, []incident.Incident{resolved, open}, now)
	})
}

func TestThatThereAreNoIncidentsIsSaidOfTheNamespaceThatWasRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		namespace string
		resolved  int
		want      string
	}{
		{"", 0, "No incidents.\n"},
		{"", 2, "No active incidents. 2 resolved: without --active they are listed.\n"},
		{"demo", 0, "No incidents in namespace \"demo\". In every namespace: -A.\n"},
		{"demo", 2, "No active incidents in namespace \"demo\". 2 resolved: without --active they are listed. In every namespace: -A.\n"},
	} {
		var out bytes.Buffer
		if err := NoIncidents(&out, tt.namespace, tt.resolved); err != nil || out.String() != tt.want {
			t.Errorf("of %q without %d resolved: %q, %v, want %q", tt.namespace, tt.resolved, out.String(), err, tt.want)
		}
	}
}

func TestIncidentShowsCauseDeedsAndEvidence(t *testing.T) {
	t.Parallel()
	in := oom()
	golden(t, "incident", func(w *bytes.Buffer) error { return Incident(w, in, now) })
	in.Remediations = []incident.Remediation{{
		Remedy: incident.RemedyRestart, Replica: "web-1", IntendedAt: now.Add(-50 * time.Second),
		Outcome: incident.Blocked, Reason: "BlockedByPDB", Message: "the disruption budget web allows 0 disruptions",
	}}
	golden(t, "incident_with_remediation", func(w *bytes.Buffer) error { return Incident(w, in, now) })
}

// A workload writes its log lines and its termination messages itself, and an operator's terminal must not obey them.
func TestControlCharactersOfAWorkloadDoNotReachTheTerminal(t *testing.T) {
	t.Parallel()
	const evil = "\x1b]0;owned\x07\x1b[2J\r\u009b1A"
	in := oom()
	in.Cause, in.Timeline[0].Message, in.Evidence[1].Lines[0] = "cause "+evil, "step "+evil, "line "+evil
	a := Autoscaler{Decision: &hpa.Recommendation{Message: "message " + evil, Steps: []hpa.Step{{Message: "step " + evil}}}}
	for name, print := range map[string]func(w *bytes.Buffer) error{
		"incident":  func(w *bytes.Buffer) error { return Incident(w, in, now) },
		"incidents": func(w *bytes.Buffer) error { return Incidents(w, []incident.Incident{in}, now) },
		"explain":   func(w *bytes.Buffer) error { return Explain(w, a, now) },
	} {
		var out bytes.Buffer
		if err := print(&out); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(out.String(), "\x1b\x07\r\u009b") || !strings.Contains(out.String(), "owned") {
			t.Errorf("%s prints %q", name, out.String())
		}
	}
}

func TestBytes(t *testing.T) {
	t.Parallel()
	for v, want := range map[int64]string{0: "0", 1000: "1000", 1024: "1Ki", 96 << 20: "96Mi", 3 << 29: "1.5Gi", 100663297: "96Mi"} {
		if got := Bytes(v); got != want {
			t.Errorf("Bytes(%d) = %s, want %s", v, got, want)
		}
	}
}
