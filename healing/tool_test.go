package healing

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// debug puts an ephemeral container into the replica, in the state of what becomes of it.
func (w *world) debug(replica string, change func(*cluster.Container)) {
	r := w.find(replica)
	c := cluster.Container{Name: "debugger", Kind: cluster.ContainerEphemeral, Image: "tool:1", State: cluster.StateRunning, StartedAt: w.now}
	change(&c)
	r.Containers = append(r.Containers, c)
	w.lives[r.Name+"/"+c.Name] = 1
}

func killed(w *world, code int32, reason string) func(*cluster.Container) {
	return func(c *cluster.Container) {
		c.State, c.StartedAt = cluster.StateTerminated, time.Time{}
		c.Terminated = &cluster.Termination{ContainerID: "tool-1", ExitCode: code, Reason: reason, StartedAt: w.now.Add(-time.Minute), FinishedAt: w.now}
	}
}

// everything is a policy that would do whatever can be chosen at all, at once.
func everything(w *world) {
	w.policy.Remedies = map[incident.Kind][]incident.Remedy{}
	for _, k := range incident.Kinds() {
		if rungs := Allowed(k)[1:]; len(rungs) > 0 {
			w.policy.Remedies[k] = rungs
		}
	}
	w.policy.MinHealthyPercent, w.policy.Cooldown = 0, 0
}

// TestAPersonsToolIsToldAndNoReplicaIsTouchedForIt verifies that an ephemeral container's trouble is one incident that ends by itself, whatever
// a policy allows, beside a rollout of the same minute too.
func TestAPersonsToolIsToldAndNoReplicaIsTouchedForIt(t *testing.T) {
	for name, tt := range map[string]struct {
		kind  incident.Kind
		state func(w *world) func(*cluster.Container)
	}{
		"its image does not come": {incident.ImagePull, func(*world) func(*cluster.Container) {
			return func(c *cluster.Container) {
				c.State, c.StartedAt, c.WaitingReason, c.WaitingMessage = cluster.StateWaiting, time.Time{}, "ImagePullBackOff", "not found"
			}
		}},
		"its configuration is missing": {incident.ConfigMissing, func(*world) func(*cluster.Container) {
			return func(c *cluster.Container) {
				c.State, c.StartedAt, c.WaitingReason, c.WaitingMessage = cluster.StateWaiting, time.Time{}, "CreateContainerConfigError", `secret "a" not found`
			}
		}},
		"it is killed for memory": {incident.OOMKilled, func(w *world) func(*cluster.Container) { return killed(w, 137, "OOMKilled") }},
		"it ends with an error":   {incident.JobFailed, func(w *world) func(*cluster.Container) { return killed(w, 3, "Error") }},
		"a process in it is killed": {incident.ChildOOM, func(w *world) func(*cluster.Container) {
			return func(c *cluster.Container) {
				c.OOMEvents, c.OOMEventsKnown, c.LastOOMEvent = 1, true, w.now.Add(time.Second)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			everything(w)
			w.workload.Desired, w.workload.Revision = 3, "r2" // one is missing, which does not keep it open
			w.workload.Revisions = []cluster.Revision{
				{Name: "r2", Number: 2, CreatedAt: w.now.Add(-2 * time.Minute), Desired: 2, Ready: 2},
				{Name: "r1", Number: 1, CreatedAt: w.now.Add(-time.Hour), HealthyAt: w.now.Add(-3 * time.Minute)},
			}
			w.workload.Changes = []cluster.Change{{At: w.now.Add(-2 * time.Minute), Kind: cluster.ChangeRollout, Message: "rollout to revision r2"}}
			w.add("web-1", "n1", time.Minute)
			w.add("web-2", "n1", time.Minute)
			w.debug("web-1", tt.state(w))
			for range 60 {
				w.pass(&leader{name: "a"})
				w.now = w.now.Add(10 * time.Second)
			}
			if len(w.effects) > 0 {
				t.Errorf("something was done: %v", w.effects)
			}
			list := w.incidents()
			if len(list) != 1 {
				t.Fatalf("%d incidents: %v", len(list), list)
			}
			in := &list[0]
			if in.Kind != tt.kind || in.Container() != "debugger" || in.State != incident.Resolved || len(in.Remediations) > 0 {
				t.Errorf("it is %s of %q, %s, with %v", in.Kind, in.Container(), in.State, in.Remediations)
			}
			if !strings.Contains(in.Cause, "a person's tool") || strings.Contains(in.Cause, "r2") {
				t.Errorf("its cause is %q", in.Cause)
			}
			if !slices.ContainsFunc(in.Timeline, func(e incident.Entry) bool { return e.Reason == string(ReasonNoRemedy) }) {
				t.Errorf("it does not say that nothing is done: %v", in.Timeline)
			}
		})
	}
}

// TestAKillBesideAPersonsToolIsNotActedOn verifies that the workload is not changed for memory that somebody's tool may have used up,
// even where a release seems to be to blame, and that it is without one.
func TestAKillBesideAPersonsToolIsNotActedOn(t *testing.T) {
	for name, tt := range map[string]struct{ tool, acts bool }{"with a tool": {true, false}, "without one": {false, true}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.workload.Desired, w.workload.Revision = 3, "r2"
			w.workload.Revisions = []cluster.Revision{
				{Name: "r2", Number: 2, CreatedAt: w.now.Add(-2 * time.Minute), Desired: 3, Ready: 3},
				{Name: "r1", Number: 1, CreatedAt: w.now.Add(-time.Hour), HealthyAt: w.now.Add(-3 * time.Minute)},
			}
			w.workload.Changes = []cluster.Change{{At: w.now.Add(-2 * time.Minute), Kind: cluster.ChangeRollout, Message: "rollout to revision r2"}}
			for _, name := range []string{"web-1", "web-2", "web-3"} {
				w.add(name, "n1", time.Minute)
			}
			for _, name := range []string{"web-1", "web-2", "web-3"} {
				if tt.tool {
					w.debug(name, func(*cluster.Container) {})
				}
			}
			w.now = w.now.Add(10 * time.Second)
			for _, name := range []string{"web-1", "web-2", "web-3"} {
				r := w.find(name)
				w.die(r, &r.Containers[0], 137, "OOMKilled")
			}
			for range 12 {
				w.pass(&leader{name: "a"})
				w.now = w.now.Add(10 * time.Second)
			}
			if acted := len(w.effects) > 0; acted != tt.acts {
				t.Errorf("acted %t, want %t: %v, %+v", acted, tt.acts, w.effects, w.incidents())
			}
		})
	}
}

// TestAPersonsToolDoesNotExplainARolloutThatIsStuck verifies that the two are two incidents, whichever was seen first.
func TestAPersonsToolDoesNotExplainARolloutThatIsStuck(t *testing.T) {
	for _, toolFirst := range []bool{false, true} {
		w := newWorld()
		w.workload.Desired, w.workload.Revision = 1, "r1"
		w.add("web-1", "n1", time.Hour)
		steps := []func(){
			func() {
				w.workload.Conditions = []cluster.Condition{{Type: "Progressing", Status: "False", Reason: "ProgressDeadlineExceeded", Since: w.now}}
			},
			func() {
				w.debug("web-1", func(c *cluster.Container) {
					c.State, c.StartedAt, c.WaitingReason, c.WaitingMessage = cluster.StateWaiting, time.Time{}, "ImagePullBackOff", "not found"
				})
			},
		}
		if toolFirst {
			slices.Reverse(steps)
		}
		for _, step := range steps {
			step()
			w.pass(&leader{name: "a"})
			w.now = w.now.Add(10 * time.Second)
		}
		kinds := map[incident.Kind]string{}
		for _, in := range w.incidents() {
			kinds[in.Kind] = in.Container()
		}
		if len(kinds) != 2 || kinds[incident.ImagePull] != "debugger" || kinds[incident.RolloutStuck] != "" {
			t.Errorf("tool first %t: the incidents are %v", toolFirst, kinds)
		}
	}
}
