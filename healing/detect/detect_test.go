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

func TestOOMKilled(t *testing.T) {
	check(t, []row{
		{
			name: "just killed, memory at the limit", replica: pod(terminated(dead(137, "OOMKilled"))), memory: memory(40*mib, 127*mib),
			want: []string{"OOMKilled active"}, confidence: 99,
			says: []string{"container app of web-7c9 was killed at its memory limit of 128 MiB"},
		},
		{name: "restarted already", replica: pod(restarted(dead(137, "OOMKilled"), 1)), want: []string{"OOMKilled"}, confidence: 95},
		{
			name: "in back-off: it owns the crash loop", replica: pod(looping(dead(137, "OOMKilled"), 4)),
			want: []string{"OOMKilled active"}, says: []string{"back-off of a crash loop after 4 restarts"},
		},
		{
			name: "samples speak against it", replica: pod(terminated(dead(137, "OOMKilled"))), memory: memory(20*mib, 21*mib),
			want: []string{"OOMKilled active"}, confidence: 85,
		},
		{
			name: "no limit of its own", want: []string{"OOMKilled active"}, says: []string{"no limit of its own"},
			replica: pod(terminated(dead(137, "OOMKilled")), func(_ *cluster.Replica, c *cluster.Container) { c.MemoryLimit = 0 }),
		},
		{
			name: "an init container", replica: pod(terminated(dead(137, "OOMKilled")), kind(cluster.ContainerInit)),
			want: []string{"OOMKilled active"}, says: []string{"init container app"},
		},
		{
			name: "a sidecar", replica: pod(terminated(dead(137, "OOMKilled")), kind(cluster.ContainerSidecar)),
			want: []string{"OOMKilled active"}, says: []string{"sidecar app"},
		},
		{name: "an ephemeral container is not looked at", replica: pod(terminated(dead(137, "OOMKilled")), kind(cluster.ContainerEphemeral))},
		{
			name: "before its deletion", want: []string{"OOMKilled"},
			replica: pod(terminated(dead(137, "OOMKilled")), func(r *cluster.Replica, _ *cluster.Container) { r.DeletedAt = now }),
		},
		{
			name: "of a job that is over", want: []string{"OOMKilled"},
			replica: pod(terminated(dead(137, "OOMKilled")), func(r *cluster.Replica, _ *cluster.Container) { r.Phase = cluster.PhaseFailed }),
		},
	})
}

func TestProbableOOM(t *testing.T) {
	high := memory(100*mib, 126*mib)
	check(t, []row{
		{name: "memory at the limit", replica: pod(terminated(dead(137, "Error"))), memory: high, want: []string{"ProbableOOM active"}, confidence: 75},
		{name: "memory low", replica: pod(terminated(dead(137, "Error"))), memory: memory(30 * mib)},
		{name: "no samples of a long life", replica: pod(terminated(dead(137, "Error")))},
		{
			name: "too short for a sample", want: []string{"ProbableOOM active"}, confidence: 50,
			replica: pod(terminated(&cluster.Termination{ExitCode: 137, Reason: "Error", StartedAt: ago(5 * time.Second), FinishedAt: ago(2 * time.Second)})),
		},
		{name: "another exit code", replica: pod(terminated(dead(1, "Error"))), memory: high},
		{name: "a probe killed it", replica: pod(terminated(dead(137, "Error")), event("Killing", "Stopping container app", ago(10*time.Second))), memory: high},
		{
			name: "an old event explains nothing", want: []string{"ProbableOOM active"}, memory: high,
			replica: pod(terminated(dead(137, "Error")), event("Killing", "Stopping container app", ago(10*time.Minute))),
		},
		{
			name: "evicted", memory: high,
			replica: pod(terminated(dead(137, "Error")), func(r *cluster.Replica, _ *cluster.Container) { r.Disruption = "TerminationByKubelet" }),
		},
		{
			name: "deleted", memory: high,
			replica: pod(terminated(dead(137, "Error")), func(r *cluster.Replica, _ *cluster.Container) { r.DeletedAt = ago(time.Minute) }),
		},
		{
			name: "no limit", memory: high,
			replica: pod(terminated(dead(137, "Error")), func(_ *cluster.Replica, c *cluster.Container) { c.MemoryLimit = 0 }),
		},
		{
			name: "samples of the life before do not count", memory: memory(126*mib, metrics.NotKnown),
			replica: pod(terminated(&cluster.Termination{ExitCode: 137, Reason: "Error", StartedAt: ago(19 * time.Second), FinishedAt: ago(2 * time.Second)})),
		},
	})
}

func TestUnknownDeathIsNoFinding(t *testing.T) {
	check(t, []row{
		{name: "terminated", replica: pod(terminated(dead(137, cluster.ReasonStatusUnknown))), memory: memory(127 * mib)},
		{name: "restarted", replica: pod(restarted(dead(137, cluster.ReasonStatusUnknown), 1)), memory: memory(127 * mib)},
		{
			name: "in back-off nobody knows why", replica: pod(looping(dead(137, cluster.ReasonStatusUnknown), 5)),
			want: []string{"CrashLoop active"}, says: []string{"not known"}, confidence: 70,
		},
	})
}

func TestChildOOM(t *testing.T) {
	counted := func(n int64, at time.Time) func(*cluster.Replica, *cluster.Container) {
		return func(_ *cluster.Replica, c *cluster.Container) {
			c.OOMEvents, c.OOMEventsKnown, c.LastOOMEvent = n, true, at
		}
	}
	check(t, []row{
		{name: "the container lives on", replica: pod(counted(2, ago(10*time.Second))), want: []string{"ChildOOM"}, says: []string{"lives on", "2 kills"}},
		{name: "none", replica: pod(counted(0, time.Time{}))},
		{name: "long ago", replica: pod(counted(1, ago(20*time.Minute)))},
		{name: "in the life before", replica: pod(counted(1, ago(2*time.Hour)))},
		{
			name: "not known", replica: pod(counted(1, ago(time.Second)), func(_ *cluster.Replica, c *cluster.Container) { c.OOMEventsKnown = false }),
		},
		{
			name: "the main process, counted after its restart", want: []string{"OOMKilled"},
			replica: pod(restarted(dead(137, "OOMKilled"), 1), counted(1, now)),
		},
		{name: "the container is dead", replica: pod(terminated(dead(137, "OOMKilled")), counted(1, now)), want: []string{"OOMKilled active"}},
	})
}

func TestLivenessKill(t *testing.T) {
	failed := event("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500", ago(5*time.Second))
	killing := event("Killing", "Container app failed liveness probe, will be restarted", ago(5*time.Second))
	check(t, []row{
		{
			name: "both events", replica: pod(terminated(dead(137, "Error")), failed, killing), memory: memory(127 * mib),
			want: []string{"LivenessKill active"}, confidence: 98, says: []string{"liveness probe failed"},
		},
		{name: "SIGTERM", replica: pod(terminated(dead(143, "Error")), failed), want: []string{"LivenessKill active"}, confidence: 80},
		{name: "it handles SIGTERM", replica: pod(terminated(dead(0, "Completed")), killing), want: []string{"LivenessKill active"}, confidence: 95},
		{name: "it handles SIGTERM and only the probe's event came", replica: pod(terminated(dead(0, "Completed")), failed)},
		{
			name: "startup probe", want: []string{"LivenessKill active"}, says: []string{"startup probe failed"},
			replica: pod(terminated(dead(137, "Error")), event("Unhealthy", "Startup probe failed: connection refused", ago(9*time.Second))),
		},
		{
			name:    "another container was killed for its probe",
			replica: pod(terminated(dead(1, "Error")), event("Killing", "Container sidecar failed liveness probe, will be restarted", ago(5*time.Second))),
		},
		{name: "an old event", replica: pod(terminated(dead(137, "Error")), event("Unhealthy", "Liveness probe failed: timeout", ago(10*time.Minute)))},
		{name: "a readiness probe kills nobody", replica: pod(terminated(dead(137, "Error")), event("Unhealthy", "Readiness probe failed: timeout", ago(time.Second)))},
		{
			name: "in back-off", replica: pod(looping(dead(137, "Error"), 6), killing), want: []string{"LivenessKill active"},
			says: []string{"crash loop after 6 restarts"},
		},
		{name: "an OOM kill is none", replica: pod(terminated(dead(137, "OOMKilled")), failed), want: []string{"OOMKilled active"}},
		{name: "a platform without events", replica: pod(terminated(dead(137, ReasonLivenessProbe))), want: []string{"LivenessKill active"}, confidence: 95},
		{name: "the same at startup", replica: pod(terminated(dead(137, ReasonStartupProbe))), want: []string{"LivenessKill active"}, says: []string{"startup"}},
	})
}

func TestCrashLoop(t *testing.T) {
	young := func(r *cluster.Replica, _ *cluster.Container) {
		r.CreatedAt, r.StartedAt = ago(5*time.Minute), ago(5*time.Minute)
	}
	check(t, []row{
		{
			name: "in back-off", replica: pod(looping(dead(1, "Error"), 5)), want: []string{"CrashLoop active"}, confidence: 95,
			says: []string{"exits again and again (5 restarts), last with exit code 1: the application's general error", "it lived 60 s"},
		},
		{name: "its command is missing", replica: pod(looping(dead(127, "StartError"), 2)), want: []string{"CrashLoop active"}, says: []string{"command was not found"}},
		{name: "it finishes", replica: pod(looping(dead(0, "Completed"), 2)), want: []string{"CrashLoop active"}, says: []string{"may be a job"}},
		{name: "bad memory access", replica: pod(looping(dead(139, "Error"), 2)), want: []string{"CrashLoop active"}, says: []string{"SIGSEGV"}},
		{name: "one death", replica: pod(restarted(dead(1, "Error"), 1))},
		{name: "many restarts of an old replica, when is not known", replica: pod(restarted(dead(1, "Error"), 7))},
		{name: "three restarts of a young replica", replica: pod(restarted(dead(1, "Error"), 3), young), want: []string{"CrashLoop"}},
		{
			name: "two deaths in the status and one that must lie between", want: []string{"CrashLoop active"},
			replica: pod(terminated(dead(1, "Error")), func(_ *cluster.Replica, c *cluster.Container) {
				c.Restarts = 9
				c.Last = &cluster.Termination{ContainerID: "c0", ExitCode: 1, Reason: "Error", StartedAt: ago(3 * time.Minute), FinishedAt: ago(90 * time.Second)}
			}),
		},
		{name: "an init container", replica: pod(looping(dead(1, "Error"), 2), kind(cluster.ContainerInit)), want: []string{"CrashLoop active"}, says: []string{"init container"}},
		{name: "an init container that is done", replica: pod(terminated(dead(0, "Completed")), kind(cluster.ContainerInit))},
		{
			name:    "a replica that is deleted",
			replica: pod(looping(dead(1, "Error"), 5), func(r *cluster.Replica, _ *cluster.Container) { r.DeletedAt = ago(time.Second) }),
		},
	})
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
	seen := map[incident.Kind]string{incident.NodeNotReady: "Findings", incident.CrashLoop: "Findings"}
	add := func(list string, k incident.Kind) {
		lists[list] = append(lists[list], k)
		if other := seen[k]; other != "" {
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
