package survey

import (
	"cmp"
	"slices"
	"time"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/healing/detect"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

const (
	// resolveAfter is how long a node has to be ready until its incident is resolved, as of a workload by default.
	resolveAfter = 2 * time.Minute
	// seenEvery is how often LastSeenAt alone is worth a write.
	seenEvery = 30 * time.Second
)

// Kinds of the things that the incidents of a survey are about.
const (
	KindNode    = "Node"
	KindCluster = "Cluster"
)

// Input is all that one survey is made from. Nothing in it is changed.
type Input struct {
	Snapshot *cluster.Snapshot
	// Watched are the workloads of the snapshot that some policy or the default watches.
	Watched []*cluster.Workload
	// Incidents are all that are active, and those that were resolved in the last hour at least.
	Incidents []incident.Incident
	// Home is the namespace of the incidents about nodes and the cluster; empty: there are none, and each workload tells of its
	// own nodes.
	Home    string
	Breaker Breaker
	// Trouble says what is wrong with the platform's API, empty for nothing.
	Trouble string
	// Spent and Budget of the cluster are passed on to every workload.
	Spent  []time.Time
	Budget healing.ClusterBudget
}

// Survey is what one look at the cluster found.
type Survey struct {
	// Save are incidents about nodes and the cluster to create or update, as in healing.Plan. They capture nothing.
	Save []healing.Save

	breaker    string
	spent      []time.Time
	budget     healing.ClusterBudget
	nodes      map[string]string
	down       []dependency
	dependents map[string]map[string][]incident.Member // by workload, then by the incident's name
	roots      map[string]map[string]string            // by workload, the root of its incidents by name
}

// Make surveys the cluster. A view that is older than healing.MaxStale closes or opens nothing about nodes.
func Make(in Input, now time.Time) *Survey {
	s := &Survey{spent: in.Spent, budget: in.Budget}
	in.Incidents = withoutTools(in.Snapshot, in.Incidents)
	l := &look{Input: &in, now: now, byName: make(map[string]*incident.Incident, len(in.Incidents))}
	for i := range in.Incidents {
		if one := &in.Incidents[i]; one.State.Active() {
			l.byName[fullName(one)] = one
		}
	}
	l.downNodes = l.findDownNodes()
	if in.Home != "" {
		s.nodes = l.nodeIncidents()
		s.roots = l.sharedNodes()
		s.breaker = l.storm()
	} else if cause := l.stormCause(0); cause != "" {
		s.breaker = cause
	}
	s.down = l.findDown()
	s.dependents = l.findDependents()
	s.Save = l.save
	return s
}

// Breaker says why no remedy may be carried out anywhere, a sentence; empty: none forbids it.
func (s *Survey) Breaker() string { return s.breaker }

// Climate returns what a pass over the workload has to know of the rest of the cluster.
func (s *Survey) Climate(w *cluster.Workload) healing.Climate {
	key := w.Ref.String()
	out := healing.Climate{
		Breaker: s.breaker, Spent: s.spent, Budget: s.budget, Nodes: s.nodes, Dependents: s.dependents[key], Roots: s.roots[key],
	}
	for i := range s.down {
		d := &s.down[i]
		if slices.Contains(d.chain, key) { // the workload's own, or one that itself waits for the workload
			continue
		}
		if out.Down == nil {
			out.Down = make(map[string]healing.Dependency, len(s.down))
		}
		out.Down[d.Service.Namespace+"/"+d.Service.Name] = d.Dependency
	}
	return out
}

// withoutTools leaves out the incidents about ephemeral containers: what becomes of a person's tool is no failure of the workload.
func withoutTools(snapshot *cluster.Snapshot, list []incident.Incident) []incident.Incident {
	if len(list) == 0 {
		return list
	}
	byRef := make(map[cluster.Ref]*cluster.Workload, len(snapshot.Workloads))
	for _, w := range snapshot.Workloads {
		byRef[anonymous(w.Ref)] = w
	}
	return slices.DeleteFunc(slices.Clone(list), func(in incident.Incident) bool {
		return detect.AboutTool(byRef[anonymous(in.Workload)], &in)
	})
}

// anonymous is the reference without its UID, which a stored one may lack.
func anonymous(r cluster.Ref) cluster.Ref {
	r.UID = ""
	return r
}

// look is one survey while it is made.
type look struct {
	*Input
	now       time.Time
	byName    map[string]*incident.Incident // active ones, by "namespace/name"
	downNodes []cluster.Node
	save      []healing.Save
}

func (l *look) stale() bool { return l.Snapshot.Stale > healing.MaxStale }

func fullName(i *incident.Incident) string { return i.Namespace + "/" + i.Name }

// about returns the active incident about that thing with that kind, the oldest; nil for none.
func (l *look) about(ref cluster.Ref, k incident.Kind) *incident.Incident {
	var found *incident.Incident
	for i := range l.Incidents {
		one := &l.Incidents[i]
		if one.State.Active() && one.Kind == k && one.Workload.Same(ref) && (found == nil || one.OpenedAt.Before(found.OpenedAt)) {
			found = one
		}
	}
	return found
}

// put plans to store the incident.
func (l *look) put(in incident.Incident, event healing.Reason) {
	l.save = append(l.save, healing.Save{Incident: in, Event: event})
}

// sortedWorkloads returns them in the order of their names, so that the members of an incident do not depend on chance.
func sortedWorkloads(list []*cluster.Workload) []*cluster.Workload {
	out := slices.Clone(list)
	slices.SortFunc(out, func(a, b *cluster.Workload) int { return cmp.Compare(a.Ref.String(), b.Ref.String()) })
	return out
}
