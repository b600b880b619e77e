package survey

import (
	"slices"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/incident"
)

// TestANodesIncidentThatComesBackIsANewOne verifies that what workloads show on one node again, after the node's incident was resolved,
// gets an incident that can be stored, and that nobody waits for the one that is over.
func TestANodesIncidentThatComesBackIsANewOne(t *testing.T) {
	c := newCity(t, 3)
	c.fails("w0", incident.NodeCrashLoop, "n1")
	c.fails("w1", incident.NodeCrashLoop, "n1")
	c.now = c.now.Add(time.Second)
	c.survey()
	kinds := func(k incident.Kind) {
		for i := range c.stored {
			if c.stored[i].Workload.Kind != KindNode {
				c.stored[i].Kind = k
			}
		}
	}
	kinds(incident.CrashLoop) // no sibling is well for a while, so that it looks like the revision's
	for range 4 {
		c.now = c.now.Add(time.Minute)
		c.survey()
	}
	kinds(incident.NodeCrashLoop)
	c.now = c.now.Add(time.Second)
	s := Make(Input{Snapshot: c.snap, Watched: c.snap.Workloads, Incidents: c.stored, Home: home, Breaker: c.breaker}, c.now)
	for _, root := range []string{s.Climate(c.snap.Workloads[0]).Roots["w0-nodecrashloop"], s.Climate(c.snap.Workloads[1]).Roots["w1-nodecrashloop"]} {
		if i := slices.IndexFunc(c.stored, func(in incident.Incident) bool { return fullName(&in) == root }); root == "" || i >= 0 && !c.stored[i].State.Active() {
			t.Errorf("it waits for %q, which is over", root)
		}
	}
	for _, save := range s.Save {
		in := save.Incident
		taken := slices.ContainsFunc(c.stored, func(o incident.Incident) bool { return fullName(&o) == fullName(&in) })
		if in.Version == "" && taken {
			t.Errorf("%s is to be created, and there is one of that name", in.Name)
		}
	}
}
