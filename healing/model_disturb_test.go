package healing

import (
	"fmt"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

// disturb changes one thing in the world.
func (h *history) disturb() {
	switch h.rnd.IntN(24) {
	case 0:
		n := pick(h, "n1", "n2")
		h.nodes[n] = cluster.Node{Name: n, Ready: pick(h, "True", "True", "True", "False", "Unknown"), Since: h.now}
	case 1:
		h.disturbRollout()
	case 2:
		h.policy.Mode = pick(h, Act, Act, Act, Act, Act, Act, Observe, "")
	case 3:
		h.answer = pick(h, incident.Done, incident.Done, incident.Done, incident.Blocked, incident.Failed)
		h.reason = map[incident.Outcome]Reason{incident.Blocked: ReasonBlockedByPDB, incident.Failed: pick(h, ReasonFailed, ReasonFailed, ReasonNotSupported, ReasonForbidden)}[h.answer]
	case 4:
		h.answerLost, h.chargeFails = h.chance(30), h.chance(15)
	case 5:
		h.disturbClimate()
	case 6, 8:
		h.disturbFindings()
	case 7:
		h.workload.Budgets = nil
		for range max(h.rnd.IntN(5)-2, 0) {
			h.workload.Budgets = append(h.workload.Budgets, cluster.DisruptionBudget{Name: "b", Allowed: int32(h.rnd.IntN(2)), Healthy: int32(h.rnd.IntN(4)), Desired: 2})
		}
	default:
		if len(h.workload.Replicas) > 0 {
			r := &h.workload.Replicas[h.rnd.IntN(len(h.workload.Replicas))]
			h.disturbReplica(r, &r.Containers[0])
		}
	}
}

// recover lets some replicas get ready again, so that not all is broken for ever.
func (h *history) recover() {
	for i := range h.workload.Replicas {
		r := &h.workload.Replicas[i]
		c := &r.Containers[0]
		if r.Ready || !h.chance(12) || c.State == cluster.StateWaiting && h.chance(70) {
			continue
		}
		if c.State != cluster.StateRunning {
			h.restart(r, c)
		}
		h.setReady(r, true)
	}
}

func (h *history) disturbRollout() {
	w := h.workload
	switch {
	case w.RollingOut:
		h.rolled(h.chance(70))
	case h.chance(50): // a person rolls out
		h.roll(fmt.Sprintf("r%d", 3+h.rnd.IntN(9)))
		if h.chance(60) { // and the release before it was good
			w.Revisions[1].HealthyAt = h.now
		}
		n := len(w.Replicas)
		for i := range w.Replicas[:n/2] {
			w.Replicas[i].Revision, w.Replicas[i].CreatedAt = w.Revision, h.now
		}
	case h.chance(20):
		w.Paused = !w.Paused
	}
}

func (h *history) disturbClimate() {
	c := &h.climate
	switch h.rnd.IntN(5) {
	case 0:
		c.Breaker = pick(h, "", "", "", "a storm")
	case 1:
		c.Down = nil
		if h.chance(60) {
			c.Down = map[string]Dependency{"demo/db": {
				Service: cluster.Service{Namespace: "demo", Name: "db", Selects: true, DownSince: h.now}, Root: pick(h, "", "demo/db-1"), Since: h.now,
			}}
		}
	case 2:
		c.Nodes = nil
		if h.chance(50) && h.nodes["n2"].Ready != "True" {
			c.Nodes = map[string]string{"n2": "home/n2-1"}
		}
	case 3:
		c.Roots = nil
		for name := range h.stored {
			if h.chance(20) {
				c.Roots = map[string]string{name: "home/storm-1"}
				break
			}
		}
	case 4:
		c.Dependents = nil
		for name := range h.stored {
			c.Dependents = map[string][]incident.Member{name: {{Workload: cluster.Ref{Kind: "Deployment", Namespace: "demo", Name: fmt.Sprintf("m%d", h.rnd.IntN(50))}}}}
			break
		}
	}
}

// disturbFindings adds findings of any kind that the world does not make by itself, or takes them away.
func (h *history) disturbFindings() {
	if len(h.extra) > 0 && h.chance(40) || len(h.workload.Replicas) == 0 {
		h.extra = nil
		return
	}
	kinds := incident.Kinds()
	f := incident.Finding{
		Kind: kinds[h.rnd.IntN(len(kinds)-1)], Since: h.now, Active: h.chance(70), Confidence: int32(30 + h.rnd.IntN(70)),
		Fingerprint: fmt.Sprintf("extra-%d", h.rnd.IntN(1000)), Message: "something is seen",
	}
	if h.chance(50) {
		f.Kind, f.Confidence = pick(h, incident.MemoryLeak, incident.MemoryLeak, incident.RolloutStuck, incident.CPUThrottled), 90
	}
	r := &h.workload.Replicas[h.rnd.IntN(len(h.workload.Replicas))]
	switch {
	case oneOf(f.Kind, incident.RolloutStuck, incident.CreateRefused, incident.JobFailed, incident.AutoscalerBlind):
	default:
		f.Replica, f.ReplicaUID, f.Node, f.Container = r.Name, r.UID, r.Node, "app"
	}
	if f.Kind == incident.MemoryLeak {
		f.Forecast = &incident.Forecast{At: h.now, OOMAt: h.now.Add(time.Duration(h.rnd.IntN(7200)) * time.Second), Limit: 128 << 20}
	}
	h.extra = append(h.extra, f)
}

func (h *history) disturbReplica(r *cluster.Replica, c *cluster.Container) {
	switch h.rnd.IntN(12) {
	case 0, 1, 2:
		for range 1 + h.rnd.IntN(3) { // some die more than once between two looks
			h.die(r, c, pick[int32](h, 0, 1, 127, 137, 137, 137, 137, 137, 137, 137, 137, 143), pick(h, "Error", "OOMKilled", "OOMKilled", "OOMKilled", "Completed", "ContainerStatusUnknown"))
			h.now = h.now.Add(time.Duration(h.rnd.IntN(3)) * time.Second)
		}
	case 3:
		if c.State == cluster.StateTerminated {
			h.wait(r, c, cluster.ReasonCrashLoopBackOff, "back-off 10s")
		}
	case 4, 5:
		if c.State != cluster.StateRunning {
			h.restart(r, c)
		}
	case 6:
		if c.State == cluster.StateRunning {
			h.setReady(r, true)
		}
	case 7:
		h.setReady(r, false)
	case 8:
		ev := cluster.Event{Reason: "Killing", Message: "Container app failed liveness probe, will be restarted", First: h.now, Last: h.now}
		r.Events = append([]cluster.Event{ev}, r.Events[:min(len(r.Events), 3)]...)
	case 9:
		h.wait(r, c, pick(h, "ImagePullBackOff", "CreateContainerConfigError", "ContainerCreating"), `secret "x" not found`)
	case 10:
		c.OOMEvents++
		c.OOMEventsKnown, c.LastOOMEvent = true, h.now
	case 11:
		if h.chance(30) {
			r.DeletedAt = h.now
			return
		}
		if h.chance(30) {
			h.lines[r.Name] = []string{"dial tcp: connect to db:5432: connection refused"}
		}
		key := r.Name + "/app"
		h.memory[key] = append(h.memory[key], metrics.Point{At: h.now, MemoryBytes: int64(h.rnd.IntN(128)) << 20})
	}
}
