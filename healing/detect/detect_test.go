package detect

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

const mib = 1 << 20

// pod is a ready replica with one container; a test changes what it is about.
func pod(change ...func(r *cluster.Replica, c *cluster.Container)) cluster.Replica {
	r := cluster.Replica{
		Name: "web-7c9", UID: "u1", Node: "n1", Phase: cluster.PhaseRunning, CreatedAt: ago(time.Hour), StartedAt: ago(time.Hour),
		Ready: true, ReadySince: ago(time.Hour),
		Containers: []cluster.Container{{
			Name: "app", Kind: cluster.ContainerMain, Image: "web:1.5", State: cluster.StateRunning, StartedAt: ago(time.Hour),
			Ready: true, Started: true, MemoryLimit: 128 * mib,
		}},
	}
	for _, f := range change {
		f(&r, &r.Containers[0])
	}
	return r
}

// dead is a death two seconds ago after a life of a minute.
func dead(code int32, reason string) *cluster.Termination {
	return &cluster.Termination{ContainerID: "c1", ExitCode: code, Reason: reason, StartedAt: ago(62 * time.Second), FinishedAt: ago(2 * time.Second)}
}

// terminated leaves the container in the state of the death; restarted shows it as the last one of a running container;
// looping as that of one in back-off.
func terminated(t *cluster.Termination) func(*cluster.Replica, *cluster.Container) {
	return func(r *cluster.Replica, c *cluster.Container) {
		c.State, c.Terminated, c.StartedAt, c.Ready, r.Ready, r.ReadySince = cluster.StateTerminated, t, time.Time{}, false, false, t.FinishedAt
	}
}

func restarted(t *cluster.Termination, n int32) func(*cluster.Replica, *cluster.Container) {
	return func(_ *cluster.Replica, c *cluster.Container) {
		c.Last, c.Restarts, c.StartedAt = t, n, t.FinishedAt.Add(time.Second)
	}
}

func looping(t *cluster.Termination, n int32) func(*cluster.Replica, *cluster.Container) {
	return func(r *cluster.Replica, c *cluster.Container) {
		waiting(cluster.ReasonCrashLoopBackOff, "back-off 40s restarting failed container")(r, c)
		c.Last, c.Restarts = t, n
	}
}

func waiting(reason, message string) func(*cluster.Replica, *cluster.Container) {
	return func(r *cluster.Replica, c *cluster.Container) {
		c.State, c.WaitingReason, c.WaitingMessage, c.StartedAt, c.Ready, r.Ready = cluster.StateWaiting, reason, message, time.Time{}, false, false
	}
}

func event(reason, message string, at time.Time) func(*cluster.Replica, *cluster.Container) {
	return func(r *cluster.Replica, _ *cluster.Container) {
		r.Events = append(r.Events, cluster.Event{Reason: reason, Message: message, Count: 1, First: at, Last: at})
	}
}

func kind(k cluster.ContainerKind) func(*cluster.Replica, *cluster.Container) {
	return func(_ *cluster.Replica, c *cluster.Container) { c.Kind = k }
}

// memory gives samples every ten seconds that end ten seconds before now.
func memory(values ...int64) []metrics.Point {
	var out []metrics.Point
	for i, v := range values {
		out = append(out, metrics.Point{At: ago(time.Duration(len(values)-i) * 10 * time.Second), CPUMilli: metrics.NotKnown, MemoryBytes: v})
	}
	return out
}

type row struct {
	name    string
	replica cluster.Replica
	memory  []metrics.Point
	trend   []metrics.TrendPoint
	nodes   map[string]cluster.Node
	// want is "Kind", "Kind active", or empty for no finding; says are parts of the message.
	want []string
	says []string
	// confidence is not checked where it is 0.
	confidence int32
}

func check(t *testing.T, rows []row) {
	t.Helper()
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			l := &Look{
				Workload: &cluster.Workload{Replicas: []cluster.Replica{tt.replica}}, Nodes: tt.nodes,
				Memory:        func(string, string) []metrics.Point { return tt.memory },
				Trend:         func(string, string) []metrics.TrendPoint { return tt.trend },
				NotReadyAfter: 3 * time.Minute, PendingAfter: 30 * time.Second, Now: now,
			}
			found := Findings(l)
			var got []string
			for i := range found {
				s := string(found[i].Kind)
				if found[i].Active {
					s += " active"
				}
				got = append(got, s)
				checkFinding(t, &found[i])
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Fatalf("findings (-want +got):\n%s", d)
			}
			for _, part := range tt.says {
				if len(found) == 0 || !strings.Contains(found[0].Message, part) {
					t.Errorf("message %q does not say %q", found[0].Message, part)
				}
			}
			if tt.confidence != 0 && found[0].Confidence != tt.confidence {
				t.Errorf("confidence %d, want %d", found[0].Confidence, tt.confidence)
			}
			if d := cmp.Diff(found, Findings(l)); d != "" {
				t.Errorf("the same look gives other findings:\n%s", d)
			}
		})
	}
}

func checkFinding(t *testing.T, f *incident.Finding) {
	t.Helper()
	if f.Message == "" || f.Fingerprint == "" || f.Since.IsZero() || f.Confidence < 1 || f.Confidence > 100 || f.Replica == "" {
		t.Errorf("finding is not complete: %+v", f)
	}
}

// TestFingerprints verifies what an incident relies on: one occurrence keeps its fingerprint through the states that the
// kubelet shows it in, and the next one has another.
func TestFingerprints(t *testing.T) {
	for _, id := range []string{"c1", ""} {
		d := dead(137, "OOMKilled")
		d.ContainerID = id
		at := func(n int32) func(*cluster.Replica, *cluster.Container) {
			return func(_ *cluster.Replica, c *cluster.Container) { c.Restarts = n }
		}
		var prints []string
		for _, r := range []cluster.Replica{pod(terminated(d), at(2)), pod(looping(d, 2)), pod(restarted(d, 3))} {
			for _, f := range Findings(&Look{Workload: &cluster.Workload{Replicas: []cluster.Replica{r}}, Now: now}) {
				prints = append(prints, f.Fingerprint)
				if f.Deaths != 3 {
					t.Errorf("id %q: it is death %d, want 3", id, f.Deaths)
				}
			}
		}
		if len(prints) != 3 || prints[0] != prints[1] || prints[1] != prints[2] {
			t.Errorf("id %q: one death has the fingerprints %q", id, prints)
		}
		next := *d
		if id != "" {
			next.ContainerID = "c2"
		}
		f := Findings(&Look{Workload: &cluster.Workload{Replicas: []cluster.Replica{pod(restarted(&next, 4))}}, Now: now})
		if len(f) != 1 || f[0].Fingerprint == prints[0] {
			t.Errorf("id %q: the next death has the fingerprint of the one before", id)
		}
	}
}

// TestChainOrder verifies that every list of the chain has known kinds, each once, in the order of incident.Kinds.
func TestChainOrder(t *testing.T) {
	lists := map[string][]incident.Kind{}
	seen := map[incident.Kind]string{incident.NodeNotReady: "Findings", incident.CrashLoop: "Findings", incident.NodeCrashLoop: "Findings"}
	add := func(list string, k incident.Kind) {
		lists[list] = append(lists[list], k)
		if other := seen[k]; other != "" && k != incident.BadCommand { // by a death, or by what it waits for
			t.Errorf("%s is in %s and %s", k, other, list)
		}
		seen[k] = list
	}
	for _, c := range deathChecks() {
		add("deathChecks", c.kind)
	}
	container, forecast, ended, replica := containerChecks(), forecastChecks(), endedChecks(), replicaChecks()
	for name, list := range map[string][]stateCheck{
		"containerChecks": container[:], "forecastChecks": forecast[:], "endedChecks": ended[:], "replicaChecks": replica[:],
	} {
		for _, c := range list {
			add(name, c.kind)
		}
	}
	for _, c := range workloadChecks() {
		add("workloadChecks", c.kind)
	}
	for name, list := range lists {
		last := -1
		for _, k := range list {
			at := slices.Index(incident.Kinds(), k)
			if at <= last {
				t.Errorf("%s: %s is no kind, or not in the order of incident.Kinds", name, k)
			}
			last = at
		}
	}
}
