package survey

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/healing/detect"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// maxNodeEvents of a node are evidence.
const maxNodeEvents = 3

// findDownNodes returns the nodes that are not ready, and those that watched replicas are on and that do not exist, by name. A
// platform without nodes has none.
func (l *look) findDownNodes() []cluster.Node {
	if len(l.Snapshot.Nodes) == 0 || !l.Snapshot.Synced {
		return nil
	}
	var out []cluster.Node
	for _, n := range l.Snapshot.Nodes {
		if n.Ready != "True" && !l.joining(&n) {
			out = append(out, n)
		}
	}
	gone := map[string]bool{}
	for _, w := range l.Watched {
		for i := range w.Replicas {
			node := w.Replicas[i].Node
			if _, exists := l.Snapshot.Nodes[node]; node != "" && !exists && !gone[node] && holds(&w.Replicas[i]) {
				gone[node] = true
				out = append(out, cluster.Node{Name: node, Ready: "Unknown", Reason: "NodeGone", Message: "the node does not exist any more"})
			}
		}
	}
	slices.SortFunc(out, func(a, b cluster.Node) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// joinWithin is how long a node that joins may take until it is ready; the kubelet needs its network and its first status.
const joinWithin = 2 * time.Minute

// neverReported is the reason of a node that is Unknown because its kubelet has not reported once; one that has, and stopped, has
// another (pkg/controller/nodelifecycle of Kubernetes 1.36).
const neverReported = "NodeStatusNeverUpdated"

// joining reports whether the node is so young that it need not be ready yet. One that reported and stopped is lost, however young.
func (l *look) joining(n *cluster.Node) bool {
	lost := n.Ready == "Unknown" && n.Reason != neverReported
	return !lost && !n.CreatedAt.IsZero() && l.now.Sub(n.CreatedAt) < joinWithin
}

// holds reports whether the replica still counts on its node: one that has ended does not.
func holds(r *cluster.Replica) bool {
	return r.Phase != cluster.PhaseSucceeded && r.Phase != cluster.PhaseFailed
}

// nodeIncidents opens, keeps and resolves the incidents about nodes, and returns those of nodes that are down, by node.
func (l *look) nodeIncidents() map[string]string {
	out := make(map[string]string, len(l.downNodes))
	for i := range l.downNodes {
		n := &l.downNodes[i]
		members := l.onNode(n.Name)
		stored := l.about(nodeRef(n.Name), incident.NodeNotReady)
		switch {
		case stored != nil:
			out[n.Name] = fullName(stored)
			l.keepNode(stored, n, members)
		case len(members) > 0 && !l.stale():
			in := l.openNode(n, members)
			out[n.Name] = fullName(&in)
			l.put(in, healing.ReasonOpened)
		}
	}
	for i := range l.Incidents {
		one := &l.Incidents[i]
		if !one.State.Active() || one.Workload.Kind != KindNode || one.Kind != incident.NodeNotReady {
			continue
		}
		if _, down := out[one.Workload.Name]; !down && !l.stale() {
			l.recovering(one, "node "+one.Workload.Name+" is ready")
		}
	}
	return out
}

func nodeRef(name string) cluster.Ref { return cluster.Ref{Kind: KindNode, Name: name} }

// onNode returns the watched workloads with replicas on the node. Where no other node fits what takes their place, the member says so.
func (l *look) onNode(node string) []incident.Member {
	var out []incident.Member
	for _, w := range sortedWorkloads(l.Watched) {
		if !slices.ContainsFunc(w.Replicas, func(r cluster.Replica) bool { return r.Node == node && holds(&r) }) {
			continue
		}
		m := incident.Member{Workload: w.Ref, Since: l.now}
		if slices.ContainsFunc(w.Replicas, func(r cluster.Replica) bool { return detect.Displaced(w, l.Snapshot.Nodes, &r) == node }) {
			m.Kind = incident.Unschedulable
		}
		out = append(out, m)
	}
	return out
}

func (l *look) openNode(n *cluster.Node, members []incident.Member) incident.Incident {
	since := n.Since
	if since.IsZero() || since.After(l.now) {
		since = l.now
	}
	in := incident.Incident{
		Namespace: l.Home, Name: healing.IncidentName(nodeRef(n.Name), incident.NodeNotReady, n.Name+"/"+since.UTC().String()),
		Workload: nodeRef(n.Name), Kind: incident.NodeNotReady, State: incident.Open,
		OpenedAt: l.now, StartedAt: since, LastSeenAt: l.now,
	}
	in.Count(n.Name+"/"+since.UTC().String(), since, 1)
	for _, m := range members {
		in.Join(m)
	}
	countMembers(&in, len(members))
	condition := fmt.Sprintf("its condition Ready is %s (%s)", n.Ready, orNone(n.Reason))
	cause := fmt.Sprintf("node %s is not ready: %s; %s there", n.Name, orNone(n.Message), workloads(len(members)))
	pro, against := []string{condition}, []string(nil)
	if len(n.Pressures) > 0 {
		pro = append(pro, "it was under "+strings.Join(n.Pressures, ", "))
	}
	if n.Cordoned {
		against = append(against, "it is cordoned: somebody may be working on it")
	}
	in.Explain(cause, 95, pro, against)
	in.Attach(incident.Evidence{Kind: incident.EvidenceStatus, At: since, Message: "node " + n.Name + ": " + condition + ": " + orNone(n.Message)})
	for i := range n.Events[:min(len(n.Events), maxNodeEvents)] {
		ev := &n.Events[i]
		in.Attach(incident.Evidence{Kind: incident.EvidenceEvent, At: ev.Last, Message: ev.Reason + ": " + ev.Message})
	}
	in.Note(l.now, string(healing.ReasonOpened), in.Cause)
	in.Note(l.now, string(healing.ReasonNodeNotReady), "nothing is done on the node: the control plane moves its replicas")
	in.Say(string(healing.ReasonNodeNotReady), in.Cause+"; nothing is done on it: the control plane moves its replicas")
	return in
}

// countMembers keeps the highest number of members that were seen at once: only the first incident.MaxMembers are named. True if that
// changed anything.
func countMembers(in *incident.Incident, n int) bool {
	if int(in.MemberCount) >= n {
		return false
	}
	in.MemberCount = int32(n) //nolint:gosec // workloads are no billions
	return true
}

// keepNode brings the incident of a node that is still down up to date.
func (l *look) keepNode(stored *incident.Incident, n *cluster.Node, members []incident.Member) {
	in := stored.Clone()
	before, displaced, changed := int(in.MemberCount), 0, false
	for _, m := range members {
		if !in.Join(m) {
			continue
		}
		changed = true
		if m.Kind == incident.Unschedulable {
			displaced++
		}
	}
	changed = countMembers(&in, len(members)) || changed
	if joined := int(in.MemberCount) - before; joined > 0 {
		in.Note(l.now, string(healing.ReasonMemberJoined), workloads(joined)+" more")
	}
	if displaced > 0 {
		in.Note(l.now, string(healing.ReasonMemberJoined), "no other node fits replicas of "+workloads(displaced))
	}
	if !in.HealthySince.IsZero() {
		in.HealthySince, in.LastSeenAt, changed = time.Time{}, l.now, true
		in.Count(n.Name+"/"+n.Since.UTC().String(), n.Since, 1)
		in.Note(l.now, string(healing.ReasonSeenAgain), "node "+n.Name+" is not ready again: "+orNone(n.Message))
	}
	if l.now.Sub(in.LastSeenAt) >= seenEvery {
		in.LastSeenAt, changed = l.now, true
	}
	if changed {
		l.put(in, "")
	}
}

// recovering resolves the incident once its cause has been away for a while.
func (l *look) recovering(stored *incident.Incident, message string) {
	in := stored.Clone()
	switch {
	case in.HealthySince.IsZero():
		in.HealthySince = l.now
		in.Note(l.now, string(healing.ReasonRecovered), message)
		l.put(in, "")
	case l.now.Sub(in.HealthySince) >= resolveAfter:
		in.State, in.ResolvedAt = incident.Resolved, l.now
		in.Note(l.now, string(healing.ReasonResolved), "resolved: "+message)
		in.Say(string(healing.ReasonResolved), "resolved: "+message)
		l.put(in, healing.ReasonResolved)
	}
}

// shared are the kinds that, seen in several workloads on one node alone, are the node's.
func shared(k incident.Kind) bool {
	return k == incident.NodeCrashLoop || k == incident.SandboxFailed || k == incident.NodeOOM
}

// sharedNodes opens one incident for a node on which several workloads show what only a node can cause, and returns the roots
// of theirs.
func (l *look) sharedNodes() map[string]map[string]string {
	type trouble struct {
		node string
		kind incident.Kind
	}
	theirs := map[trouble][]*incident.Incident{}
	for i := range l.Incidents {
		one := &l.Incidents[i]
		if !one.State.Active() || !shared(one.Kind) || one.Workload.Kind == KindNode {
			continue
		}
		if node := onlyNode(one); node != "" {
			theirs[trouble{node, one.Kind}] = append(theirs[trouble{node, one.Kind}], one)
		}
	}
	var found []trouble
	for t := range theirs {
		found = append(found, t)
	}
	slices.SortFunc(found, func(a, b trouble) int { return cmp.Or(cmp.Compare(a.node, b.node), cmp.Compare(a.kind, b.kind)) })
	roots := map[string]map[string]string{}
	named := map[string]bool{}
	for _, t := range found {
		list := theirs[t]
		stored := l.about(nodeRef(t.node), t.kind)
		if stored == nil && differentWorkloads(list) < 2 {
			continue
		}
		name := l.keepShared(stored, t.node, t.kind, list)
		named[name] = true
		for _, one := range list {
			key := one.Workload.String()
			if roots[key] == nil {
				roots[key] = map[string]string{}
			}
			roots[key][one.Name] = name
		}
	}
	for i := range l.Incidents {
		one := &l.Incidents[i]
		if one.State.Active() && one.Workload.Kind == KindNode && shared(one.Kind) && !named[fullName(one)] && !l.stale() {
			l.recovering(one, "no workload shows it on node "+one.Workload.Name+" any more")
		}
	}
	return roots
}

// keepShared opens or updates the incident of a node that several workloads' incidents point at, and returns its name.
func (l *look) keepShared(stored *incident.Incident, node string, k incident.Kind, list []*incident.Incident) string {
	in := incident.Incident{
		Namespace: l.Home, Name: l.sharedName(node, k, list[0].OpenedAt), Workload: nodeRef(node), Kind: k, State: incident.Open,
		OpenedAt: l.now, StartedAt: list[0].StartedAt, LastSeenAt: l.now,
	}
	if stored != nil {
		in = stored.Clone()
	}
	joined := 0
	for _, one := range list {
		if in.Join(incident.Member{Workload: one.Workload, Incident: fullName(one), Kind: one.Kind, Since: one.StartedAt}) {
			joined++
			in.Count(fullName(one), one.StartedAt, 1)
		}
	}
	if stored == nil {
		in.Explain(fmt.Sprintf("%s on node %s alone: the node is the likely cause", workloads(differentWorkloads(list))+" show "+string(k), node), 75,
			[]string{"several workloads, one node", "their replicas elsewhere are healthy"}, nil)
		in.Note(l.now, string(healing.ReasonOpened), in.Cause)
		in.Say(string(healing.ReasonOpened), in.Cause+"; cordoning it (kubectl cordon "+node+") keeps new replicas away: a person decides")
		l.put(in, healing.ReasonOpened)
		return fullName(&in)
	}
	healed := !in.HealthySince.IsZero()
	in.HealthySince = time.Time{}
	if late := l.now.Sub(in.LastSeenAt) >= seenEvery; joined > 0 || healed || late {
		in.LastSeenAt = l.now
		l.put(in, "")
	}
	return fullName(&in)
}

// sharedName returns a name that no stored incident has: the same workloads' incidents may point at the node again after that of the
// node was resolved.
func (l *look) sharedName(node string, k incident.Kind, began time.Time) string {
	for n := 0; ; n++ {
		seed := node + "/" + began.UTC().String()
		if n > 0 {
			seed += "/" + strconv.Itoa(n)
		}
		name := healing.IncidentName(nodeRef(node), k, seed)
		if !slices.ContainsFunc(l.Incidents, func(in incident.Incident) bool { return in.Namespace == l.Home && in.Name == name }) {
			return name
		}
	}
}

// onlyNode returns the node that all subjects of the incident are on, empty where there are several or none.
func onlyNode(in *incident.Incident) string {
	node := ""
	for i := range in.Subjects {
		switch s := &in.Subjects[i]; {
		case s.Node == "" || node != "" && s.Node != node:
			return ""
		default:
			node = s.Node
		}
	}
	return node
}

func differentWorkloads(list []*incident.Incident) int {
	seen := map[string]bool{}
	for _, one := range list {
		seen[one.Workload.String()] = true
	}
	return len(seen)
}

func workloads(n int) string {
	if n == 1 {
		return "1 workload"
	}
	return fmt.Sprintf("%d workloads", n)
}

func orNone(s string) string {
	if s == "" {
		return "no reason given"
	}
	return s
}
