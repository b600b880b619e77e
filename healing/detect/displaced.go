package detect

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

// Displaced returns the node that is not ready and whose place a replica misses that no other node fits; empty where its trouble is
// its own. It takes the place of one that was on the node: it was made after the node was lost, a replica of the same revision, which
// did fit there, is being deleted on it, as many others have not taken that place before it, and the scheduler says that a node is
// closed. A pod that asks for what no node has was unschedulable before, or is of another revision, or one too many.
func Displaced(w *cluster.Workload, nodes map[string]cluster.Node, r *cluster.Replica) string {
	if !r.Unschedulable || r.Node != "" || r.Deleting() || !closed(r.UnschedulableMessage) {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(nodes)) {
		if n := nodes[name]; n.Ready != "True" && !n.Since.IsZero() && takesPlace(w, &n, r) {
			return name
		}
	}
	return ""
}

// takesPlace reports whether the replica is one of those that the owner made for the ones on the lost node.
func takesPlace(w *cluster.Workload, n *cluster.Node, r *cluster.Replica) bool {
	lostAt := n.Since.Truncate(time.Second)
	after := func(o *cluster.Replica) bool { return !o.CreatedAt.Before(lostAt) }
	if !after(r) {
		return false
	}
	lost, before := 0, 0
	for i := range w.Replicas {
		o := &w.Replicas[i]
		switch {
		case o.Revision != r.Revision:
		case o.Node == n.Name && o.Deleting() && !after(o):
			lost++
		case o.Deleting(), !after(o):
		case cmp.Or(o.CreatedAt.Compare(r.CreatedAt), cmp.Compare(o.Name, r.Name)) < 0:
			before++
		}
	}
	return before < lost
}

// closed reports whether the scheduler's message says that a node is closed to the replica by a taint or by hand: one that is lost
// always is.
func closed(message string) bool {
	m := lower(message)
	return strings.Contains(m, "taint") || strings.Contains(m, "were unschedulable")
}

// reopened reports whether a node came back after the replica was made, and so lately that the scheduler need not have looked at
// it again, or that what the replica takes the place of need not have ended there yet.
func (s *subject) reopened() bool {
	made := s.replica.CreatedAt
	for _, n := range s.Nodes {
		if n.Ready == "True" && n.Since.After(made) && n.CreatedAt.Before(made) && s.Now.Sub(n.Since) < s.PendingAfter {
			return true
		}
	}
	return false
}
