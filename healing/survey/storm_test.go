package survey

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// Nodes that join, and nodes that are drained and taken away, hold only what is on every node.
func TestNodesThatComeAndGoAreNoStorm(t *testing.T) {
	c := newCity(t, 1)
	agent := &cluster.Workload{Ref: cluster.Ref{Kind: cluster.KindDaemonSet, Namespace: "demo", Name: "agent"}, Desired: 4}
	proxy := &cluster.Workload{Ref: cluster.Ref{Kind: cluster.KindPod, Namespace: "kube-system", Name: "proxy"}, System: true, Desired: 1}
	for _, node := range []string{"n4", "n5", "gone"} {
		one := cluster.Replica{Name: "agent-" + node, Node: node, Phase: cluster.PhasePending}
		agent.Replicas, proxy.Replicas = append(agent.Replicas, one), append(proxy.Replicas, one)
	}
	c.snap.Workloads = append(c.snap.Workloads, agent, proxy)
	c.node("n4", "False")
	c.node("n5", "False")
	if s := c.survey(); s.breaker != "" {
		t.Errorf("the breaker says %q", s.breaker)
	}
	web := c.snap.Workloads[0]
	web.Replicas[0].Node, web.Replicas[1].Node = "n4", "n5"
	if s := c.survey(); s.breaker != "2 nodes are not ready at once" {
		t.Errorf("with replicas of a Deployment on them the breaker says %q", s.breaker)
	}
}

// Two leaders can each store a storm; both end with it, and the hold is kept once.
func TestTwoIncidentsOfOneStormEndTogether(t *testing.T) {
	c := newCity(t, 1)
	c.said = "5 of 6 lists fail"
	c.survey()
	second := c.stored[0].Clone()
	second.Name, second.OpenedAt = "cluster-storm-second", c.now.Add(time.Second)
	c.stored = append(c.stored, second)
	c.want("Storm on cluster: 0 members", "Storm on cluster: 0 members")
	c.wait(time.Minute)
	c.said = ""
	if s := c.survey(); s.breaker == "" {
		t.Error("the breaker closes without its hold")
	}
	c.wait(DefaultBreaker().Hold)
	if s := c.survey(); s.breaker != "" {
		t.Errorf("the breaker is still open: %s", s.breaker)
	}
	c.want()
	for i := range c.stored {
		if in := &c.stored[i]; in.Kind == incident.Storm && in.ResolvedAt.IsZero() {
			t.Errorf("%s has no end", in.Name)
		}
	}
}
