package detect

import (
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

func TestNodeNotReady(t *testing.T) {
	node := func(ready string) map[string]cluster.Node {
		return map[string]cluster.Node{"n1": {Name: "n1", Ready: ready, Since: ago(time.Minute), Message: "Kubelet stopped posting node status."}}
	}
	broken := pod(terminated(dead(137, "OOMKilled")), event("Unhealthy", "Liveness probe failed: timeout", ago(time.Second)))
	check(t, []row{
		{name: "it hides everything else", replica: broken, nodes: node("Unknown"), want: []string{"NodeNotReady active"}, says: []string{"does not report"}},
		{name: "not ready", replica: pod(), nodes: node("False"), want: []string{"NodeNotReady active"}, says: []string{"is not ready"}},
		{name: "gone", replica: pod(), nodes: map[string]cluster.Node{"n2": {Name: "n2", Ready: "True"}}, want: []string{"NodeNotReady active"}, says: []string{"does not exist"}},
		{name: "ready", replica: broken, nodes: node("True"), want: []string{"OOMKilled active"}},
		{name: "a platform without nodes", replica: broken, want: []string{"OOMKilled active"}},
		{name: "a replica that is deleted", replica: pod(func(r *cluster.Replica, _ *cluster.Container) { r.DeletedAt = ago(time.Second) }), nodes: node("False")},
		{name: "a replica that has ended", replica: pod(ended(cluster.PhaseSucceeded)), nodes: node("False")},
	})
	found := Findings(lookAt(owner(), map[string]cluster.Node{"n1": {Name: "n1", Ready: "False", Pressures: []string{"DiskPressure"}}}))
	if len(found) != 1 || !strings.Contains(strings.Join(found[0].For, "; "), "DiskPressure") {
		t.Errorf("the node's pressure is not told: %+v", found)
	}
}

// ended gives the replica a phase in which nothing goes on, and its containers a death a minute ago.
func ended(p cluster.Phase) func(*cluster.Replica, *cluster.Container) {
	return func(r *cluster.Replica, c *cluster.Container) {
		r.Phase, r.Ready, r.ReadySince = p, false, ago(time.Minute)
		c.State, c.StartedAt, c.Ready = cluster.StateTerminated, time.Time{}, false
		c.Terminated = &cluster.Termination{ContainerID: "c1", Reason: "Completed", StartedAt: ago(time.Hour), FinishedAt: ago(time.Minute)}
	}
}
