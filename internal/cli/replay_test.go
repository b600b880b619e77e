package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/journal"
	"github.com/homeostat/homeostat/internal/replay"
)

// recorded writes the journal of a minute in which the load of two replicas grows, and returns its path.
func recorded(t *testing.T) string {
	t.Helper()
	p := hpa.DefaultPolicy()
	p.Min, p.Max = 2, 3
	var h hpa.History
	j := journal.New()
	for i := range 60 {
		now := time.Date(2026, 3, 1, 12, 0, i, 0, time.UTC)
		o := hpa.Observation{Current: 2, StatusReplicas: 2}
		for r := range 2 {
			o.Replicas = append(o.Replicas, hpa.Replica{
				Name: fmt.Sprintf("web-%d", r), Phase: cluster.PhaseRunning, StartedAt: now.Add(-time.Hour),
				Ready: true, ReadyKnown: true, ReadySince: now.Add(-time.Hour),
				CPU: hpa.Usage{Known: true, Value: int64(40 + 5*i), Request: 100, At: now, Window: 15 * time.Second},
			})
		}
		rec, next := hpa.Decide(p, o, h, now)
		j.Write(journal.Record{
			Time: now, Kind: journal.Decision, Subject: cluster.Ref{Kind: "Autoscaler", Namespace: "demo", Name: "web"},
			Decision: &journal.DecisionRecord{Mode: "DryRun", Policy: p, Observation: o, History: h, Recommendation: rec},
		})
		h = next
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	j.Run(ctx, &out, slog.New(slog.DiscardHandler))
	return write(t, "journal.jsonl", out.String())
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const wider = `apiVersion: homeostat.dev/v1alpha1
kind: Autoscaler
metadata: {name: NAME}
spec:
  scaleTargetRef: {kind: Deployment, name: web}
  minReplicas: 2
  maxReplicas: 12
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
`

func TestReplayExitsWithOneWhereAnythingDiffers(t *testing.T) {
	path := recorded(t)
	code, stdout, stderr := call(t, "replay", path)
	if code != 0 || !strings.HasPrefix(stdout, "60 decisions come out as they were recorded.") {
		t.Errorf("exits with %d and says\n%s%s", code, stdout, stderr)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := write(t, "changed.jsonl", strings.Replace(string(text), `"desired":3,"reason"`, `"desired":4,"reason"`, 1))
	code, stdout, stderr = call(t, "replay", changed)
	if code != 1 || !strings.HasPrefix(stdout, "1 of 60 decisions come out otherwise") || stderr != "" {
		t.Errorf("exits with %d and says\n%s%s", code, stdout, stderr)
	}
	code, stdout, _ = call(t, "replay", changed, "-o", "json")
	var c replay.Comparison
	if err := json.Unmarshal([]byte(stdout), &c); err != nil || code != 1 || c.Differing != 1 || c.Differences[0].Today.Desired != 3 {
		t.Errorf("exits with %d; read %+v, %v", code, c, err)
	}
	code, stdout, _ = call(t, "replay", write(t, "bad.jsonl", "nothing\n"+string(text)))
	if code != 1 || !strings.Contains(stdout, "Line 1 cannot be read") {
		t.Errorf("exits with %d and says\n%s", code, stdout)
	}
	if code, _, stderr := call(t, "replay", path+".not"); code != 1 || !strings.Contains(stderr, "journal.jsonl.not") {
		t.Errorf("exits with %d and says %q", code, stderr)
	}
}

func TestReplayWithAnotherPolicyShowsWhatItWouldHaveDone(t *testing.T) {
	path := recorded(t)
	policy := write(t, "wider.yaml", strings.Replace(wider, "NAME", "web", 1))
	code, stdout, stderr := call(t, "replay", path, "--policy", policy)
	for _, want := range []string{
		"demo/autoscaler/web: 60 decisions in 59s, at most 1s apart", "2 to 3    2 to 12", "First difference", "Where the number differs", "Take it with care",
	} {
		if code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("exits with %d and lacks %q:\n%s%s", code, want, stdout, stderr)
		}
	}
	_, stdout, _ = call(t, "replay", path, "--policy", policy, "-o", "json")
	var o replay.Outlook
	if err := json.Unmarshal([]byte(stdout), &o); err != nil || len(o.Courses) != 1 || o.Courses[0].WouldBe.HighestDesired <= 3 {
		t.Errorf("read %+v, %v from\n%s", o, err, stdout)
	}
	other := write(t, "other.yaml", strings.Replace(wider, "NAME", "api", 1))
	if code, _, stderr := call(t, "replay", path, "--policy", other); code != 1 || !strings.Contains(stderr, `"api"; there are demo/autoscaler/web`) {
		t.Errorf("exits with %d and says %q", code, stderr)
	}
	none := write(t, "none.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n")
	if code, _, stderr := call(t, "replay", path, "--policy", none); code != 2 || !strings.Contains(stderr, "no Autoscaler") {
		t.Errorf("exits with %d and says %q", code, stderr)
	}
}
