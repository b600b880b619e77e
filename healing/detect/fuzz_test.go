package detect

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

// FuzzFindings verifies that any status is survived, that a death has at most one kind, and that a death whose reason is
// not known is never explained.
func FuzzFindings(f *testing.F) {
	f.Add(uint8(3), uint8(0), "CrashLoopBackOff", "back-off", int32(137), int32(9), "OOMKilled", int32(3), int64(60), int64(60), "Killing", "Container app failed liveness probe, will be restarted", uint8(1), int64(1<<20))
	f.Add(uint8(1), uint8(1), "", "", int32(137), int32(0), "ContainerStatusUnknown", int32(-1), int64(0), int64(0), "Unhealthy", "Liveness probe failed: x", uint8(0), int64(0))
	f.Add(uint8(1), uint8(2), "CreateContainerConfigError", `couldn't find key a in ConfigMap b/c`, int32(-5), int32(64), "Error", int32(1<<30), int64(-60), int64(1<<40), "FailedMount", `secret "x" not found`, uint8(7), int64(-1))
	f.Fuzz(func(t *testing.T, state, role uint8, waitReason, waitMessage string, code, signal int32, reason string, restarts int32,
		startedAgo, finishedAgo int64, evReason, evMessage string, flags uint8, used int64,
	) {
		term := &cluster.Termination{
			ContainerID: "c1", ExitCode: code, Signal: signal, Reason: reason,
			StartedAt: ago(time.Duration(startedAgo) * time.Second), FinishedAt: ago(time.Duration(finishedAgo) * time.Second),
		}
		other := &cluster.Termination{ContainerID: "c2", ExitCode: signal, Reason: waitReason, FinishedAt: ago(time.Second)}
		states := []cluster.ContainerState{cluster.StateUnknown, cluster.StateRunning, cluster.StateTerminated, cluster.StateWaiting}
		roles := []cluster.ContainerKind{cluster.ContainerMain, cluster.ContainerInit, cluster.ContainerSidecar, cluster.ContainerEphemeral, ""}
		r := pod(event(evReason, evMessage, ago(time.Second)), func(r *cluster.Replica, c *cluster.Container) {
			c.State, c.Kind, c.WaitingReason, c.WaitingMessage = states[int(state)%4], roles[int(role)%5], waitReason, waitMessage
			c.Restarts, c.OOMEvents, c.OOMEventsKnown, c.LastOOMEvent = restarts, used, flags&1 != 0, ago(time.Duration(startedAgo)*time.Second)
			if flags&2 != 0 {
				c.Terminated = term
			}
			if flags&4 != 0 {
				c.Last = other
			} else {
				c.Last = term
			}
			if flags&8 != 0 {
				r.DeletedAt = ago(time.Duration(finishedAgo) * time.Second)
			}
			r.Ready, r.Unschedulable, r.UnschedulableMessage = flags&16 != 0, flags&32 != 0, waitMessage
			if flags&64 != 0 {
				r.Node, r.UID, r.CreatedAt, r.StartedAt, r.ReadySince = "", "", time.Time{}, time.Time{}, time.Time{}
			}
		})
		kinds := map[string]incident.Kind{}
		for _, found := range Findings(&Look{
			Workload: &cluster.Workload{Replicas: []cluster.Replica{r}}, Now: now, NotReadyAfter: time.Minute, PendingAfter: time.Second,
			Memory: func(string, string) []metrics.Point { return memory(used, used) },
		}) {
			checkFinding(t, &found)
			if found.Death == nil {
				continue
			}
			if k, twice := kinds[found.Fingerprint]; twice {
				t.Errorf("the death %s is %s and %s", found.Fingerprint, k, found.Kind)
			}
			kinds[found.Fingerprint] = found.Kind
			if found.Death.Reason == cluster.ReasonStatusUnknown {
				t.Errorf("a death that nobody knows is explained as %s", found.Kind)
			}
		}
	})
}

// FuzzMessages verifies that the parsers of platform messages survive any of them and stay short.
func FuzzMessages(f *testing.F) {
	f.Add("0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient memory. preemption: none")
	f.Add(`couldn't find key url in ConfigMap demo/app`)
	f.Add("references non-existent secret key: ")
	f.Add("İ configmap \"a\" not found")
	f.Fuzz(func(t *testing.T, message string) {
		for _, c := range Constraints(message) {
			if len(c) > 200 {
				t.Errorf("constraint of %d bytes", len(c))
			}
		}
		if m := MissingConfig(message); len(m) > 700 {
			t.Errorf("missing config of %d bytes", len(m))
		}
		if PullError("ErrImagePull", message) == "" {
			t.Errorf("no class")
		}
	})
}
