package survey

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

const home = "homeostat-system"

// city is a cluster with a small store of incidents: what a survey wants saved is in it for the next one.
type city struct {
	t       *testing.T
	snap    *cluster.Snapshot
	stored  []incident.Incident
	now     time.Time
	breaker Breaker
	said    string
}

func newCity(t *testing.T, workloads int) *city {
	t.Helper()
	c := &city{t: t, now: time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC), breaker: DefaultBreaker(), snap: &cluster.Snapshot{
		Synced: true, Services: map[string]cluster.Service{},
		Nodes: map[string]cluster.Node{"n1": {Name: "n1", Ready: "True"}, "n2": {Name: "n2", Ready: "True"}, "n3": {Name: "n3", Ready: "True"}},
	}}
	for i := range workloads {
		c.add("w" + strconv.Itoa(i))
	}
	return c
}

func ref(name string) cluster.Ref {
	return cluster.Ref{Kind: cluster.KindDeployment, Namespace: "demo", Name: name}
}

// add puts a workload with a replica on each of n1 and n2 into the city.
func (c *city) add(name string) {
	w := &cluster.Workload{Ref: ref(name), Desired: 2}
	for i, node := range []string{"n1", "n2"} {
		w.Replicas = append(w.Replicas, cluster.Replica{Name: fmt.Sprintf("%s-%d", name, i), Node: node, Phase: cluster.PhaseRunning, Ready: true})
	}
	c.snap.Workloads = append(c.snap.Workloads, w)
}

func (c *city) node(name, ready string) {
	c.snap.Nodes[name] = cluster.Node{Name: name, Ready: ready, Reason: "NodeStatusUnknown", Message: "Kubelet stopped posting node status.", Since: c.now}
}

// fails opens an incident about the workload.
func (c *city) fails(name string, k incident.Kind, nodes ...string) *incident.Incident {
	in := incident.Incident{
		Namespace: "demo", Name: name + "-" + strings.ToLower(string(k)), Version: "1", Workload: ref(name), Kind: k, State: incident.Open,
		OpenedAt: c.now, StartedAt: c.now,
	}
	for _, n := range nodes {
		in.Concern(incident.Subject{Replica: name + "-" + n, Node: n})
	}
	c.stored = append(c.stored, in)
	return &c.stored[len(c.stored)-1]
}

func (c *city) survey() *Survey {
	s := Make(Input{
		Snapshot: c.snap, Watched: c.snap.Workloads, Incidents: c.stored, Home: home, Breaker: c.breaker, Trouble: c.said,
	}, c.now)
	for _, save := range s.Save {
		in := save.Incident
		in.Version += "x"
		i := slices.IndexFunc(c.stored, func(o incident.Incident) bool { return o.Namespace == in.Namespace && o.Name == in.Name })
		if i < 0 {
			c.stored = append(c.stored, in)
			continue
		}
		c.stored[i] = in
	}
	return s
}

func (c *city) wait(d time.Duration) { c.now = c.now.Add(d) }

// active returns the active incidents about nodes and the cluster, as "Kind on name: n members".
func (c *city) active() []string {
	var out []string
	for i := range c.stored {
		if in := &c.stored[i]; in.State.Active() && in.Namespace == home {
			out = append(out, fmt.Sprintf("%s on %s: %d members", in.Kind, in.Workload.Name, len(in.Members)))
		}
	}
	return out
}

func (c *city) want(lines ...string) {
	c.t.Helper()
	if diff := cmp.Diff(lines, c.active()); diff != "" {
		c.t.Errorf("at %s (-want +got):\n%s", c.now.Format(time.TimeOnly), diff)
	}
}

func TestALostNodeIsOneIncidentWithItsWorkloads(t *testing.T) {
	c := newCity(t, 5)
	if s := c.survey(); len(s.Save) != 0 || s.breaker != "" {
		t.Fatalf("a healthy cluster gives %v", s.Save)
	}
	c.node("n1", "Unknown")
	s := c.survey()
	c.want("NodeNotReady on n1: 5 members")
	climate := s.Climate(c.snap.Workloads[0])
	if root := climate.Nodes["n1"]; !strings.HasPrefix(root, home+"/n1-nodenotready-") {
		t.Errorf("the root of what fails on n1 is %q", root)
	}
	if climate.Breaker != "" {
		t.Errorf("one node of three opens the breaker: %s", climate.Breaker)
	}
	c.wait(10 * time.Second)
	if s := c.survey(); len(s.Save) != 0 {
		t.Errorf("the same look again is worth a write: %v", s.Save)
	}
	c.add("late")
	c.survey()
	c.want("NodeNotReady on n1: 6 members")

	c.node("n1", "True")
	c.survey()
	c.wait(time.Minute)
	c.node("n1", "Unknown") // it flaps
	c.survey()
	c.want("NodeNotReady on n1: 6 members")
	c.node("n1", "True")
	c.survey()
	c.wait(resolveAfter - time.Second)
	c.survey()
	c.want("NodeNotReady on n1: 6 members")
	c.wait(time.Second)
	c.survey()
	c.want()
	c.wait(time.Hour)
	if s := c.survey(); len(s.Save) != 0 {
		t.Errorf("what is resolved is touched again: %v", s.Save)
	}
}

func TestANodeThatIsGoneIsDown(t *testing.T) {
	c := newCity(t, 1)
	delete(c.snap.Nodes, "n2")
	c.survey()
	c.want("NodeNotReady on n2: 1 members")
	c.snap.Workloads[0].Replicas = c.snap.Workloads[0].Replicas[:1]
	c.survey()
	c.wait(resolveAfter)
	c.survey()
	c.want()
}

// A node that joins is not ready for a while, and the pods of a DaemonSet are on it at once.
func TestANodeThatJoinsIsNotDown(t *testing.T) {
	c := newCity(t, 1)
	n := c.snap.Nodes["n1"]
	n.Ready, n.CreatedAt, n.Since = "False", c.now, c.now
	c.snap.Nodes["n1"] = n
	c.survey()
	c.want()
	c.wait(joinWithin)
	c.survey()
	c.want("NodeNotReady on n1: 1 members")
}

// A young node that has not reported yet is no lost one, and one that reported and stopped is.
func TestAYoungNodeThatStopsIsDown(t *testing.T) {
	c := newCity(t, 1)
	n := c.snap.Nodes["n1"]
	n.Ready, n.Reason, n.CreatedAt, n.Since = "Unknown", neverReported, c.now, c.now
	c.snap.Nodes["n1"] = n
	c.wait(time.Minute)
	c.survey()
	c.want()
	n.Reason = "NodeStatusUnknown"
	c.snap.Nodes["n1"] = n
	c.survey()
	c.want("NodeNotReady on n1: 1 members")
}

// A metrics server that is away makes every autoscaler blind at once, and takes nothing down.
func TestBlindAutoscalersAreNoStorm(t *testing.T) {
	c := newCity(t, 5)
	for i := range 5 {
		c.fails("w"+strconv.Itoa(i), incident.AutoscalerBlind)
	}
	if s := c.survey(); s.breaker != "" {
		t.Errorf("the breaker says %q", s.breaker)
	}
}

func TestAnEmptyNodeOrAnOldViewOpensNothing(t *testing.T) {
	c := newCity(t, 1)
	c.node("n3", "False") // nothing is on it
	c.survey()
	c.want()
	c.node("n3", "True")
	c.snap.Stale = healing.MaxStale + time.Second
	c.node("n1", "Unknown")
	c.survey()
	c.want()
}

func TestTheBreakerOpensOnAStormAndHolds(t *testing.T) {
	c := newCity(t, 10)
	c.fails("w0", incident.CrashLoop)
	c.fails("w1", incident.NotReady)
	c.fails("w2", incident.Disrupted)  // a notice
	c.fails("w3", incident.MemoryLeak) // a forecast
	c.fails("w4", incident.CrashLoop).Root = "demo/w0-crashloop"
	c.fails("elsewhere", incident.CrashLoop) // not watched
	if s := c.survey(); s.breaker != "" {
		t.Fatalf("two of ten open the breaker: %s", s.breaker)
	}
	c.fails("w5", incident.OOMKilled)
	s := c.survey()
	if want := "3 of 10 watched workloads began to fail within 5m0s"; s.breaker != want {
		t.Fatalf("the breaker says %q, want %q", s.breaker, want)
	}
	c.want() // it may still turn out to have one root
	c.wait(rooted)
	c.survey()
	c.want("Storm on cluster: 3 members")
	c.wait(6 * time.Minute) // no new failure
	if s := c.survey(); s.breaker == "" {
		t.Error("the breaker closes as soon as the cause is away")
	}
	c.wait(9 * time.Minute)
	if s := c.survey(); s.breaker == "" {
		t.Error("the breaker closes within its hold")
	}
	c.fails("w6", incident.CrashLoop)
	c.fails("w7", incident.CrashLoop)
	c.fails("w8", incident.CrashLoop)
	c.survey() // the storm goes on, so the hold begins anew
	c.want("Storm on cluster: 6 members")
	c.wait(5*time.Minute + time.Second)
	c.survey()
	c.wait(10*time.Minute - time.Second)
	if s := c.survey(); s.breaker == "" {
		t.Error("the breaker closes a second early")
	}
	c.wait(time.Second)
	if s := c.survey(); s.breaker != "" {
		t.Errorf("the breaker is still open: %s", s.breaker)
	}
	c.want()
}

func TestWhatTurnsOutToHaveOneRootIsNoStorm(t *testing.T) {
	c := newCity(t, 6)
	c.fails("w0", incident.CrashLoop)
	for _, n := range []string{"w1", "w2", "w3"} {
		c.fails(n, incident.NotReady)
	}
	if s := c.survey(); s.breaker == "" {
		t.Fatal("four of six are no storm")
	}
	c.want()
	c.wait(3 * time.Second)
	for i := range c.stored {
		if in := &c.stored[i]; in.Kind == incident.NotReady {
			in.Root = "demo/w0-crashloop"
		}
	}
	if s := c.survey(); s.breaker != "" {
		t.Errorf("one root with members holds the breaker open: %s", s.breaker)
	}
	c.want()
}

func TestTheBreakerOpensOnNodesAndOnTrouble(t *testing.T) {
	c := newCity(t, 1)
	c.node("n1", "False")
	c.node("n2", "Unknown")
	if s := c.survey(); s.breaker != "2 nodes are not ready at once" {
		t.Errorf("the breaker says %q", s.breaker)
	}
	c = newCity(t, 1)
	c.said = "5 of 6 lists fail: connection refused"
	if s := c.survey(); !strings.Contains(s.breaker, "connection refused") {
		t.Errorf("the breaker says %q", s.breaker)
	}
}

// A new leader has nothing but what is stored.
func TestANewLeaderFindsTheBreakerAsItWas(t *testing.T) {
	c := newCity(t, 5)
	for i := range 3 {
		c.fails("w"+strconv.Itoa(i), incident.CrashLoop)
	}
	c.wait(rooted)
	c.survey()
	for i := range c.stored { // all of them are over
		if in := &c.stored[i]; in.Namespace == "demo" {
			in.State, in.OpenedAt = incident.Resolved, c.now.Add(-time.Hour)
		}
	}
	c.wait(settle)
	if s := c.survey(); s.breaker == "" {
		t.Error("what is stored is forgotten")
	}
}

func TestWorkloadsBehindOneNodeAreOneIncident(t *testing.T) {
	c := newCity(t, 30)
	c.fails("w0", incident.SandboxFailed, "n2")
	c.survey()
	c.want()
	c.fails("w1", incident.SandboxFailed, "n2", "n2")
	c.fails("w2", incident.SandboxFailed, "n1", "n2") // on two nodes: not the node's
	s := c.survey()
	c.want("SandboxFailed on n2: 2 members")
	if root := s.Climate(c.snap.Workloads[1]).Roots["w1-sandboxfailed"]; !strings.HasPrefix(root, home+"/n2-sandboxfailed-") {
		t.Errorf("the root is %q", root)
	}
	if roots := s.Climate(c.snap.Workloads[2]).Roots; len(roots) != 0 {
		t.Errorf("a failure on two nodes has the root %v", roots)
	}
	c.stored[0].State = incident.Resolved // one is left: the node's incident stays while it does
	c.survey()
	c.want("SandboxFailed on n2: 2 members")
	c.stored[1].State = incident.Resolved
	c.survey()
	c.wait(resolveAfter)
	c.survey()
	c.want()
}

// serve puts a service in front of the workload.
func (c *city) serve(name string, ready int32, workloads ...string) {
	s := cluster.Service{Namespace: "demo", Name: name, Ready: ready, Selects: true}
	for _, w := range workloads {
		s.Workloads = append(s.Workloads, ref(w))
	}
	c.snap.Services["demo/"+name] = s
}

func TestAServiceThatIsDownHasItsWorkloadsIncidentAsRoot(t *testing.T) {
	c := newCity(t, 3)
	c.serve("db", 0, "w0")
	c.serve("web", 2, "w1")
	c.serve("ghost", 0) // nothing is behind it, and it never had an endpoint
	c.fails("w0", incident.ImagePull)
	c.wait(time.Minute)
	front := c.fails("w1", incident.CrashLoop)
	s := c.survey()
	down := s.Climate(c.snap.Workloads[1]).Down
	if len(down) != 1 || down["demo/db"].Root != "demo/w0-imagepull" {
		t.Errorf("down is %v, want demo/db with the root demo/w0-imagepull", down)
	}
	if own := s.Climate(c.snap.Workloads[0]).Down; len(own) != 0 {
		t.Errorf("a workload waits for its own service: %v", own)
	}
	front.Root = "demo/w0-imagepull"
	members := c.survey().Climate(c.snap.Workloads[0]).Dependents["w0-imagepull"]
	if len(members) != 1 || members[0].Incident != "demo/w1-crashloop" || members[0].Kind != incident.CrashLoop {
		t.Errorf("the members of the root are %v", members)
	}
}

// Three services in a row are one root; two that wait for each other have no root but themselves.
func TestRootsOfRootsAndCircles(t *testing.T) {
	c := newCity(t, 3)
	c.serve("db", 0, "w0")
	c.serve("api", 0, "w1")
	c.fails("w0", incident.ImagePull)
	c.fails("w1", incident.CrashLoop).Root = "demo/w0-imagepull"
	down := c.survey().Climate(c.snap.Workloads[2]).Down
	if down["demo/api"].Root != "demo/w0-imagepull" {
		t.Errorf("the root of api is %q", down["demo/api"].Root)
	}
	c.stored[0].Root = "demo/w1-crashloop" // a circle: neither may wait for the other
	s := c.survey()
	for i := range 2 {
		if d := s.Climate(c.snap.Workloads[i]).Down; len(d) != 0 {
			t.Errorf("w%d waits in a circle: %v", i, d)
		}
	}
}

func TestWithoutAHomeNothingIsStoredAndTheBreakerStillOpens(t *testing.T) {
	c := newCity(t, 3)
	for i := range 3 {
		c.fails("w"+strconv.Itoa(i), incident.CrashLoop)
	}
	c.node("n1", "False")
	s := Make(Input{Snapshot: c.snap, Watched: c.snap.Workloads, Incidents: c.stored, Breaker: DefaultBreaker()}, c.now)
	if len(s.Save) != 0 || s.breaker == "" || s.nodes != nil {
		t.Errorf("saves %d incidents, breaker %q, nodes %v", len(s.Save), s.breaker, s.nodes)
	}
}

// What a lost node's replicas are replaced by may fit nowhere else. That is said of the member, once, and gone when it is over.
func TestWhatFitsNowhereElseIsSaidOfTheMember(t *testing.T) {
	c := newCity(t, 2)
	c.node("n1", "Unknown")
	c.survey()
	c.wait(10 * time.Second)
	w := c.snap.Workloads[0]
	w.Replicas[0].CreatedAt, w.Replicas[0].DeletedAt = c.now.Add(-time.Hour), c.now
	w.Replicas = append(w.Replicas, cluster.Replica{
		Name: "w0-2", Phase: cluster.PhasePending, CreatedAt: c.now, Unschedulable: true,
		UnschedulableMessage: "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient memory.",
	})
	says := func(want incident.Kind, notes int) {
		t.Helper()
		in := &c.stored[0]
		if in.Members[0].Kind != want || in.Members[1].Kind != "" || in.MemberCount != 2 {
			t.Errorf("the members are %+v, %d of them, want the first to be %q", in.Members, in.MemberCount, want)
		}
		n := 0
		for _, e := range in.Timeline {
			if e.Message == "no other node fits replicas of 1 workload" {
				n++
			}
		}
		if n != notes {
			t.Errorf("it is noted %d times, want %d: %v", n, notes, in.Timeline)
		}
	}
	c.survey()
	says(incident.Unschedulable, 1)
	c.wait(10 * time.Second)
	if s := c.survey(); len(s.Save) != 0 {
		t.Errorf("the same look again is worth a write: %v", s.Save)
	}
	w.Replicas[2].Unschedulable, w.Replicas[2].Node = false, "n3"
	c.survey()
	says("", 1)
	c.want("NodeNotReady on n1: 2 members")
}

// What becomes of a person's tool in a replica is neither a storm nor the root of what depends on the workload.
func TestPersonsToolsAreNoFailures(t *testing.T) {
	c := newCity(t, 4)
	c.serve("db", 0, "w0")
	for i := range 3 {
		w := c.snap.Workloads[i]
		w.Replicas[0].Containers = []cluster.Container{{Name: "app", Kind: cluster.ContainerMain}, {Name: "debugger", Kind: cluster.ContainerEphemeral}}
		in := c.fails(w.Ref.Name, incident.ImagePull)
		in.Concern(incident.Subject{Replica: w.Replicas[0].Name, Container: "debugger"})
	}
	s := c.survey()
	if s.breaker != "" {
		t.Errorf("the breaker says %q", s.breaker)
	}
	if root := s.Climate(c.snap.Workloads[3]).Down["demo/db"].Root; root != "" {
		t.Errorf("a person's tool is the root %q", root)
	}
	for i := range c.stored {
		c.stored[i].Subjects[0].Container = "app"
	}
	if s := c.survey(); s.breaker == "" || s.Climate(c.snap.Workloads[3]).Down["demo/db"].Root == "" {
		t.Error("the same of the main containers is neither a storm nor a root")
	}
}
