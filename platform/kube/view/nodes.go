package view

import (
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

// kindNode is the kind of the objects that events about nodes are about.
const kindNode = "Node"

// Snapshot returns what the records say at now. Synced and Stale are the caller's to say.
func Snapshot(s Sources, now time.Time) *cluster.Snapshot {
	out := &cluster.Snapshot{At: now, Nodes: Nodes(s, now), Workloads: Workloads(s, now)}
	out.Services = Services(s, out.Workloads, now)
	s.Notes.prune(&s)
	return out
}

// Nodes completes the records of the nodes, by name.
func Nodes(s Sources, now time.Time) map[string]cluster.Node {
	out := make(map[string]cluster.Node, len(s.Nodes))
	for _, n := range s.Nodes {
		node := n.Node
		// Whatever UID they name: the kubelet puts the node's name there, the controllers its real one.
		node.Events = s.Events.About(kindNode, NodeEventNamespace, n.Name, "", now)
		out[n.Name] = node
	}
	return out
}
