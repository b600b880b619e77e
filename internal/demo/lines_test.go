package demo

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/demoapp/load"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/report"
	"github.com/homeostat/homeostat/metrics"
)

func replica(change func(r *cluster.Replica, c *cluster.Container)) cluster.Replica {
	r := cluster.Replica{
		Name: "web-1", UID: "u1", Ready: true,
		Containers: []cluster.Container{{Name: "web", Kind: cluster.ContainerMain, State: cluster.StateRunning, MemoryLimit: 128 << 20}},
	}
	if change != nil {
		change(&r, &r.Containers[0])
	}
	return r
}

func texts(lines []line) []string {
	var out []string
	for _, l := range lines {
		out = append(out, l.subject+": "+l.text)
	}
	return out
}

func TestWatcherTellsWhatChanged(t *testing.T) {
	t.Parallel()
	died := func(death cluster.Termination) cluster.Replica {
		death.ContainerID = "life-1"
		return replica(func(r *cluster.Replica, c *cluster.Container) {
			r.Ready, c.State, c.Terminated = false, cluster.StateTerminated, &death
		})
	}
	waiting := replica(func(r *cluster.Replica, c *cluster.Container) {
		r.Ready, c.State, c.WaitingReason = false, cluster.StateWaiting, cluster.ReasonCrashLoopBackOff
		c.Last = &cluster.Termination{ContainerID: "life-1", ExitCode: 1, Reason: cluster.ReasonError}
	})
	again := replica(func(_ *cluster.Replica, c *cluster.Container) {
		c.Restarts = 1
		c.Last = &cluster.Termination{ContainerID: "life-1", ExitCode: 137, Reason: cluster.ReasonOOMKilled}
	})
	notReady := replica(func(r *cluster.Replica, _ *cluster.Container) { r.Ready, r.ReadyMessage = false, "probe failed" })
	ending := replica(func(r *cluster.Replica, _ *cluster.Container) { r.Ready, r.DeletedAt = false, time.Unix(1, 0) })
	evicted := ending
	evicted.Disruption = "EvictionByEvictionAPI"
	tests := []struct {
		name     string
		from, to []cluster.Replica
		want     []string
	}{
		{"nothing", []cluster.Replica{replica(nil)}, []cluster.Replica{replica(nil)}, nil},
		{"a new one", nil, []cluster.Replica{notReady}, []string{"web-1: starts"}},
		{"a new one that is ready", nil, []cluster.Replica{replica(nil)}, []string{"web-1: starts", "web-1: ready"}},
		{"gone", []cluster.Replica{replica(nil)}, nil, []string{"web-1: gone"}},
		{"not ready", []cluster.Replica{replica(nil)}, []cluster.Replica{notReady}, []string{"web-1: not ready: probe failed"}},
		{"ready", []cluster.Replica{notReady}, []cluster.Replica{replica(nil)}, []string{"web-1: ready"}},
		{
			"killed for memory",
			[]cluster.Replica{replica(nil)},
			[]cluster.Replica{died(cluster.Termination{ExitCode: 137, Reason: cluster.ReasonOOMKilled})},
			[]string{"web-1: killed at its memory limit of 128Mi (exit 137, OOMKilled)"},
		},
		{
			"killed",
			[]cluster.Replica{replica(nil)},
			[]cluster.Replica{died(cluster.Termination{ExitCode: 137, Reason: cluster.ReasonError})},
			[]string{"web-1: killed (exit 137, SIGKILL)"},
		},
		{
			"crashed, and in back-off",
			[]cluster.Replica{replica(nil)},
			[]cluster.Replica{waiting},
			[]string{"web-1: ended with exit code 1 (Error)", "web-1: waits before it is started again (back-off)"},
		},
		{
			"a whole restart between two looks",
			[]cluster.Replica{replica(nil)},
			[]cluster.Replica{again},
			[]string{
				"web-1: killed at its memory limit of 128Mi (exit 137, OOMKilled)",
				"web-1: started again by the platform (restart 1)", "web-1: ready",
			},
		},
		{"ending", []cluster.Replica{replica(nil)}, []cluster.Replica{ending}, []string{"web-1: drains and ends"}},
		{"evicted", []cluster.Replica{replica(nil)}, []cluster.Replica{evicted}, []string{"web-1: drains and ends: it is replaced by a fresh one"}},
		{"a death that was asked for", []cluster.Replica{ending}, []cluster.Replica{func() cluster.Replica {
			r := died(cluster.Termination{ExitCode: 0})
			r.DeletedAt = time.Unix(1, 0)
			return r
		}()}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWatcher()
			w.see(View{Replicas: tt.from})
			if diff := cmp.Diff(tt.want, texts(w.see(View{Replicas: tt.to}))); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

// What happened before the story belongs to somebody else; what goes on in an old incident is told.
func TestWatcherLeavesThePastOut(t *testing.T) {
	t.Parallel()
	old := incident.Incident{Name: "old", Kind: incident.OOMKilled, Timeline: []incident.Entry{{At: time.Unix(1, 0), Reason: "IncidentOpened", Message: "long ago"}}}
	a := report.Autoscaler{Ref: cluster.Ref{Name: "web"}, Changes: []report.Change{{At: time.Unix(1, 0), From: 1, To: 2, Message: "then"}}}
	w := newWatcher()
	if lines := w.see(View{Incidents: []incident.Incident{old}, Autoscaler: a}); len(lines) > 0 {
		t.Errorf("told %v", texts(lines))
	}
	old.Timeline = append(old.Timeline, incident.Entry{At: time.Unix(2, 0), Reason: "IncidentResolved", Message: "resolved"})
	a.Changes = append([]report.Change{{At: time.Unix(2, 0), From: 2, To: 3, Message: "now"}}, a.Changes...)
	v := View{Incidents: []incident.Incident{old}, Autoscaler: a}
	want := []string{"autoscaler/web: 2 → 3 replicas: now", "old: resolved"}
	if diff := cmp.Diff(want, texts(w.see(v))); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if lines := w.see(v); len(lines) > 0 {
		t.Errorf("told twice: %v", texts(lines))
	}
}

func TestLogLinesAreShortened(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"panic: oh no", "panic: oh no"},
		{`{"time":"t","level":"WARN","msg":"leaking","app":"a","hostname":"h","leaked_mib":96.8,"limit_mib":128,"correlation_id":"c"}`, "WARN leaking leaked_mib=96.8 limit_mib=128"},
		{`{"msg":"cut`, `{"msg":"cut`},
		{`["a"]`, `["a"]`},
		{"", ""},
	}
	for _, tt := range tests {
		if got := logLine(tt.in); got != tt.want {
			t.Errorf("logLine(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func FuzzLogLine(f *testing.F) {
	f.Add(`{"time":"t","level":"WARN","msg":"m","n":1e400,"o":{"a":[1]}}`)
	f.Add(`{"a":`)
	f.Fuzz(func(t *testing.T, in string) {
		if got := logLine(in); in != "" && !strings.HasPrefix(strings.TrimSpace(in), "{") && got != in {
			t.Errorf("logLine(%q) = %q: what is no object stays as it is", in, got)
		}
	})
}

func TestMemoryIsDrawnAgainstTheLimit(t *testing.T) {
	t.Parallel()
	points := func(mib ...int64) []metrics.Point {
		var out []metrics.Point
		for _, m := range mib {
			if m != metrics.NotKnown {
				m <<= 20
			}
			out = append(out, metrics.Point{MemoryBytes: m})
		}
		return out
	}
	tests := []struct {
		name   string
		points []metrics.Point
		limit  int64
		want   string
	}{
		{"a leak", points(0, 32, 64, 96, 128), 128 << 20, "0 → 128Mi, limit 128Mi  ▁▃▅▇█"},
		{"above the limit", points(64, 130), 128 << 20, "64Mi → 130Mi, limit 128Mi  ▄█"},
		{"no limit", points(64, 64), 0, "64Mi → 64Mi  ██"},
		{"gaps", points(metrics.NotKnown, 64), 128 << 20, "64Mi → 64Mi, limit 128Mi  ▅"},
		{"nothing known", points(metrics.NotKnown), 128 << 20, ""},
	}
	for _, tt := range tests {
		if got := memory(tt.points, tt.limit); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestColoursAreOnlyWhereTheyAreWanted(t *testing.T) {
	t.Parallel()
	var plainly, colourfully bytes.Buffer
	for out, colour := range map[*bytes.Buffer]bool{&plainly: false, &colourfully: true} {
		p := &printer{w: out, colour: colour}
		p.title(1, "Title", "about")
		p.event(time.Second, line{subject: "web-1", text: "ready", tone: good, details: []string{"detail"}})
		p.outcome(time.Second, false, "it failed")
		p.table([]row{{what: "it", failure: "did not happen"}})
	}
	if strings.Contains(plainly.String(), "\x1b") {
		t.Errorf("codes where none are wanted: %q", plainly.String())
	}
	if !strings.Contains(colourfully.String(), "\x1b[32mready\x1b[0m") {
		t.Errorf("no green: %q", colourfully.String())
	}
}

// A line fits the width, whatever the words.
func TestLinesAreWrapped(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := &printer{w: &out}
	p.event(0, line{subject: "web-oomkilled-2a6dfadd0d", text: strings.Repeat("wörds and more ", 30), details: []string{strings.Repeat("x", 500)}})
	for s := range strings.SplitSeq(out.String(), "\n") {
		if n := len([]rune(s)); n > width {
			t.Errorf("%d characters: %s", n, s)
		}
	}
}

func TestTrafficNamesFailuresAndReplicas(t *testing.T) {
	t.Parallel()
	got := traffic(load.Summary{
		Sent: 10, Failed: 3, Errors: map[string]int64{"status 502": 2, "reset": 1},
		Hostnames: map[string]int64{"web-2": 3, "web-1": 4, "(no X-Hostname)": 2},
	})
	if want := "10 requests, 3 failed (reset ×1, status 502 ×2); answers from web-1 4, web-2 3"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
