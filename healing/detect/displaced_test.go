package detect

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// TestDisplaced verifies what is the trouble of a lost node and what is a replica's own.
func TestDisplaced(t *testing.T) {
	const taint = "0/2 nodes are available: 1 Insufficient memory, 1 node(s) had untolerated taint(s). preemption: 0/2 nodes are available"
	nodes := func(ready string, since time.Duration) map[string]cluster.Node {
		return map[string]cluster.Node{"n1": {Name: "n1", Ready: "True", Since: ago(time.Hour)}, "n2": {Name: "n2", Ready: ready, Since: ago(since)}}
	}
	lost := nodes("Unknown", 5*time.Minute)
	was := func(change ...func(*cluster.Replica)) cluster.Replica {
		r := cluster.Replica{Name: "was", UID: "was", Node: "n2", Revision: "r1", Phase: cluster.PhaseRunning, CreatedAt: ago(time.Hour), DeletedAt: ago(4 * time.Minute), GraceSeconds: 600}
		for _, f := range change {
			f(&r)
		}
		return r
	}
	waits := func(name string, age time.Duration, change ...func(*cluster.Replica)) cluster.Replica {
		r := cluster.Replica{
			Name: name, UID: name, Revision: "r1", Phase: cluster.PhasePending, CreatedAt: ago(age), Unschedulable: true,
			UnschedulableSince: ago(age), UnschedulableMessage: taint,
		}
		for _, f := range change {
			f(&r)
		}
		return r
	}
	says := func(message string) func(*cluster.Replica) {
		return func(r *cluster.Replica) { r.UnschedulableMessage = message }
	}
	for _, tt := range []struct {
		name     string
		replicas []cluster.Replica // the last is asked about
		nodes    map[string]cluster.Node
		want     string
	}{
		{"it takes the place of one on the lost node", []cluster.Replica{was(), waits("new", 4*time.Minute)}, lost, "n2"},
		{"the kubelet itself says that the node is not ready", []cluster.Replica{was(), waits("new", 4*time.Minute)}, nodes("False", 5*time.Minute), "n2"},
		{"the lost node was cordoned", []cluster.Replica{was(), waits("new", 4*time.Minute, says("0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable."))}, lost, "n2"},
		{"in the second in which the node was lost", []cluster.Replica{was(), waits("new", 5*time.Minute)}, lost, "n2"},
		{"it waited before", []cluster.Replica{was(), waits("huge", 6*time.Minute)}, lost, ""},
		{"another revision", []cluster.Replica{was(), waits("new", 4*time.Minute, func(r *cluster.Replica) { r.Revision = "r2" })}, lost, ""},
		{"nothing of it was there", []cluster.Replica{was(func(r *cluster.Replica) { r.Node = "n1" }), waits("new", 4*time.Minute)}, lost, ""},
		{"what was there stays", []cluster.Replica{was(func(r *cluster.Replica) { r.DeletedAt = time.Time{} }), waits("new", 4*time.Minute)}, lost, ""},
		{"one too many", []cluster.Replica{was(), waits("a", 4*time.Minute), waits("b", 4*time.Minute)}, lost, ""},
		{"two of two", []cluster.Replica{was(), was(func(r *cluster.Replica) { r.UID = "was2" }), waits("a", 4*time.Minute), waits("b", 4*time.Minute)}, lost, "n2"},
		{"the place was taken on another node", []cluster.Replica{was(), waits("a", 4*time.Minute, func(r *cluster.Replica) {
			r.Node, r.Unschedulable = "n1", false
		}), waits("b", 3*time.Minute)}, lost, ""},
		{"its claim is missing", []cluster.Replica{was(), waits("new", 4*time.Minute, says(`0/2 nodes are available: persistentvolumeclaim "data" not found.`))}, lost, ""},
		{"no node is lost", []cluster.Replica{was(), waits("new", 4*time.Minute)}, nodes("True", 5*time.Minute), ""},
		{"since when the node is lost is not known", []cluster.Replica{was(), waits("new", 4*time.Minute)}, map[string]cluster.Node{"n2": {Name: "n2", Ready: "Unknown"}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := owner(withReplicas(tt.replicas...))
			last := &w.Replicas[len(w.Replicas)-1]
			if got := Displaced(w, tt.nodes, last); got != tt.want {
				t.Errorf("displaced from %q, want %q", got, tt.want)
			}
			for _, f := range Findings(lookAt(w, tt.nodes)) {
				if f.Kind == incident.Unschedulable && f.Replica == last.Name && f.Node != tt.want {
					t.Errorf("the finding is of node %q, want %q", f.Node, tt.want)
				}
			}
		})
	}
}

// TestReopened verifies that the scheduler is given a moment after a node came back, and no more.
func TestReopened(t *testing.T) {
	for _, tt := range []struct {
		name           string
		made, back, up time.Duration // ages of the replica, of the node's being ready, of the node; 0: not known
		want           int
	}{
		{"a node came back just now", time.Hour, 20 * time.Second, 2 * time.Hour, 0},
		{"since when there is a node is not known", time.Hour, 20 * time.Second, 0, 0},
		{"a node came back long ago", time.Hour, 30 * time.Second, 2 * time.Hour, 1},
		{"it came back before", 40 * time.Second, 50 * time.Second, 2 * time.Hour, 1},
		{"it is a new one", time.Hour, 20 * time.Second, time.Minute, 1},
	} {
		n := cluster.Node{Name: "n2", Ready: "True", Since: ago(tt.back)}
		if tt.up > 0 {
			n.CreatedAt = ago(tt.up)
		}
		l := lookAt(owner(withReplicas(cluster.Replica{
			Name: "new", Phase: cluster.PhasePending, CreatedAt: ago(tt.made), Unschedulable: true, UnschedulableSince: ago(tt.made),
			UnschedulableMessage: "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules.",
		})), map[string]cluster.Node{"n2": n})
		if found := Findings(l); len(found) != tt.want {
			t.Errorf("%s: %d findings, want %d", tt.name, len(found), tt.want)
		}
	}
}
