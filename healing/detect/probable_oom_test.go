package detect

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/metrics"
)

func TestProbableOOM(t *testing.T) {
	short := &cluster.Termination{ContainerID: "c1", ExitCode: 137, Reason: "Error", StartedAt: ago(5 * time.Second), FinishedAt: ago(2 * time.Second)}
	high := memory(100*mib, 126*mib)
	check(t, []row{
		{name: "memory at the limit", replica: pod(terminated(dead(137, "Error"))), memory: high, want: []string{"ProbableOOM active"}, confidence: 75},
		{
			name: "memory at the limit, most of it a cache of files", replica: pod(terminated(dead(137, "Error"))), memory: high,
			trend: []metrics.TrendPoint{{At: ago(20 * time.Second), ResidentBytes: 40 * mib, MemoryBytes: 125 * mib, CPUMilli: 10}},
		},
		{
			name: "memory at the limit, all of it resident", replica: pod(terminated(dead(137, "Error"))), memory: high, want: []string{"ProbableOOM active"},
			trend: []metrics.TrendPoint{{At: ago(20 * time.Second), ResidentBytes: 99 * mib, MemoryBytes: 100 * mib, CPUMilli: 10}}, confidence: 75,
		},
		{
			name:    "memory at the limit long before",
			replica: pod(terminated(&cluster.Termination{ContainerID: "c1", ExitCode: 137, Reason: "Error", StartedAt: ago(time.Hour), FinishedAt: ago(2 * time.Second)})),
			memory:  []metrics.Point{{At: ago(8 * time.Minute), CPUMilli: metrics.NotKnown, MemoryBytes: 126 * mib}},
		},
		{name: "memory low", replica: pod(terminated(dead(137, "Error"))), memory: memory(30 * mib)},
		{name: "no samples of a long life", replica: pod(terminated(dead(137, "Error")))},
		{name: "too short for a sample", replica: pod(terminated(short))},
		{
			name: "too short for a sample, and killed at its limit before", want: []string{"OOMKilled", "ProbableOOM active"},
			replica: pod(terminated(short), func(_ *cluster.Replica, c *cluster.Container) {
				c.Restarts = 1
				c.Last = &cluster.Termination{ContainerID: "c0", ExitCode: 137, Reason: "OOMKilled", StartedAt: ago(15 * time.Second), FinishedAt: ago(10 * time.Second)}
			}),
		},
		{name: "too short for a sample, again and again", replica: pod(looping(short, 4)), want: []string{"CrashLoop active"}, confidence: 80},
		{
			name: "disrupted after its death", want: []string{"ProbableOOM active", "Disrupted"}, memory: high, confidence: 75,
			replica: pod(terminated(dead(137, "Error")), event("Killing", "Stopping container app", ago(-20*time.Second)), func(r *cluster.Replica, _ *cluster.Container) {
				r.Disruption, r.DisruptionSince = "DeletionByTaintManager", ago(-18*time.Second)
			}),
		},
		{
			name: "it grew so fast that the samples end far below", replica: pod(terminated(dead(137, "Error"))), memory: memory(10*mib, 60*mib, 110*mib),
			want: []string{"ProbableOOM active"}, confidence: 60, says: []string{"at its pace of growth"},
		},
		{name: "it grew, and not fast enough", replica: pod(terminated(dead(137, "Error"))), memory: memory(10*mib, 30*mib, 50*mib)},
		{
			name: "its OOM counter grew", want: []string{"ProbableOOM active"}, confidence: 90,
			replica: pod(terminated(dead(137, "Error")), func(_ *cluster.Replica, c *cluster.Container) {
				c.OOMEvents, c.OOMEventsKnown, c.LastOOMEvent = 1, true, ago(3*time.Second)
			}),
		},
		{
			name: "it counted long before", replica: pod(terminated(dead(137, "Error")), func(_ *cluster.Replica, c *cluster.Container) {
				c.OOMEvents, c.OOMEventsKnown, c.LastOOMEvent = 1, true, ago(3*time.Minute)
			}),
		},
		{name: "no reason at all", replica: pod(terminated(dead(137, ""))), memory: high, want: []string{"ProbableOOM active"}, confidence: 75},
		{name: "another reason", replica: pod(terminated(dead(137, "Unknown"))), memory: high, want: []string{"ProbableOOM active"}, confidence: 75},
		{
			name: "the limit is too low for the runtime itself", want: []string{"ProbableOOM active"}, confidence: 90, says: []string{"before its command ran"},
			replica: pod(terminated(startError("OCI runtime create failed: container init was OOM-killed (memory limit too low?): unknown"))),
		},
		{name: "another exit code", replica: pod(terminated(dead(1, "Error"))), memory: high},
		{name: "a probe killed it", replica: pod(terminated(dead(137, "Error")), event("Killing", "Stopping container app", ago(10*time.Second))), memory: high},
		{
			name:    "asked to stop at the beginning of a long grace period",
			replica: pod(terminated(&cluster.Termination{ContainerID: "c1", ExitCode: 137, Reason: "Error", StartedAt: ago(time.Hour), FinishedAt: ago(2 * time.Second)}), event("Killing", "Stopping container app", ago(5*time.Minute))),
			memory:  high,
		},
		{
			name: "another container was stopped, and a readiness probe failed", want: []string{"ProbableOOM active"}, memory: high,
			replica: pod(terminated(dead(137, "Error")), event("Killing", "Stopping container proxy", ago(10*time.Second)), event("Unhealthy", "Readiness probe failed: timeout", ago(5*time.Second))),
		},
		{
			name: "an old event explains nothing", want: []string{"ProbableOOM active"}, memory: high,
			replica: pod(terminated(dead(137, "Error")), event("Killing", "Stopping container app", ago(10*time.Minute))),
		},
		{
			name: "evicted", memory: high,
			replica: pod(terminated(dead(137, "Error")), func(r *cluster.Replica, _ *cluster.Container) { r.Disruption = "TerminationByKubelet" }),
		},
		{
			name: "ended with its replica, which lost the condition", memory: high,
			replica: pod(terminated(dead(137, "Error")), func(r *cluster.Replica, _ *cluster.Container) { r.Reason, r.Phase = "Shutdown", cluster.PhaseFailed }),
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
