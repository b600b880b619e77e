package healing

import (
	"fmt"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/incident"
)

// TestACrashLoopThatFollowsIsRestartedOnce verifies that a crash loop that goes on after its replica was moved is none of a node: the
// replica that took its place is not restarted too, though it was ready for a moment, and a person is asked.
func TestACrashLoopThatFollowsIsRestartedOnce(t *testing.T) {
	w := newWorld()
	w.workload.Desired, w.workload.Revision = 4, "r1"
	w.nodes["n2"], w.nodes["n3"] = w.nodes["n1"], w.nodes["n1"]
	for i, node := range []string{"n1", "n2", "n2", "n2"} {
		w.add(fmt.Sprintf("web-%d", i), node, time.Hour)
	}
	l := &leader{name: "a"}
	loop := func(name string) {
		r := w.find(name)
		c := &r.Containers[0]
		for range 3 {
			w.now = w.now.Add(5 * time.Second)
			w.die(r, c, 1, "Error")
			w.restart(r, c)
		}
		w.now = w.now.Add(time.Second)
		w.die(r, c, 1, "Error")
		w.wait(r, c, "CrashLoopBackOff", "back-off 40s restarting failed container")
	}
	name := "web-0"
	for round := range 4 {
		loop(name)
		evicted := len(w.effects)
		for range 8 {
			w.now = w.now.Add(15 * time.Second)
			if w.pass(l); len(w.effects) > evicted {
				break
			}
		}
		if len(w.effects) == evicted {
			break
		}
		name += "x"
		next := w.find(name)
		next.Node, next.Revision = []string{"n3", "n1"}[round%2], "r1"
		w.now = w.now.Add(2 * time.Second)
		w.setReady(next, true) // without a readiness probe it is, until it dies
		w.pass(l)
	}
	if len(w.effects) != 1 {
		t.Errorf("%d replicas were evicted for one crash loop, want 1", len(w.effects))
	}
	var one incident.Incident
	for _, i := range w.incidents() {
		if i.Kind == incident.NodeCrashLoop || i.Kind == incident.CrashLoop {
			one = i
		}
	}
	if one.State != incident.Abandoned {
		t.Errorf("the incident is %s, want Abandoned: a person is needed", one.State)
	}
}
