package survey

import (
	"cmp"
	"slices"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// maxChain bounds the way from a service that is down to its root.
const maxChain = 16

// dependency is a service that is down, and the workloads on the way from it to its root, by Ref.String.
type dependency struct {
	healing.Dependency
	chain []string
}

// findDown returns the services without a ready endpoint that had one or should have one, by name.
func (l *look) findDown() []dependency {
	var out []dependency
	for _, s := range l.Snapshot.Services {
		if !s.Selects || s.Ready > 0 {
			continue
		}
		wanted := slices.ContainsFunc(s.Workloads, func(r cluster.Ref) bool {
			w := l.workload(r)
			return w != nil && w.Desired > 0
		})
		if s.DownSince.IsZero() && !wanted {
			continue
		}
		d := dependency{Dependency: healing.Dependency{Service: s, Since: s.DownSince}}
		for _, r := range s.Workloads {
			d.chain = append(d.chain, r.String())
			if in := l.failure(r); in != nil && d.Root == "" {
				d.Root = l.rootOf(in, &d)
				if d.Since.IsZero() {
					d.Since = in.StartedAt
				}
			}
		}
		if d.Since.IsZero() {
			d.Since = l.now
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b dependency) int {
		return cmp.Or(cmp.Compare(a.Service.Namespace, b.Service.Namespace), cmp.Compare(a.Service.Name, b.Service.Name))
	})
	return out
}

func (l *look) workload(r cluster.Ref) *cluster.Workload {
	for _, w := range l.Snapshot.Workloads {
		if w.Ref.Same(r) {
			return w
		}
	}
	return nil
}

// failure returns the oldest active incident about the workload that is a failure, nil for none.
func (l *look) failure(r cluster.Ref) *incident.Incident {
	var found *incident.Incident
	for i := range l.Incidents {
		one := &l.Incidents[i]
		if !one.State.Active() || !one.Kind.Failure() || !one.Workload.Same(r) {
			continue
		}
		if found == nil || one.OpenedAt.Before(found.OpenedAt) {
			found = one
		}
	}
	return found
}

// rootOf follows the incident to its root, and notes the workloads on the way. Workloads that wait for each other have no root:
// the first one seen twice is it.
func (l *look) rootOf(in *incident.Incident, d *dependency) string {
	for range maxChain {
		next := l.byName[in.Root]
		if next == nil {
			break
		}
		key := next.Workload.String()
		if slices.Contains(d.chain, key) {
			break
		}
		d.chain = append(d.chain, key)
		in = next
	}
	return fullName(in)
}

// findDependents returns the members of each root incident, by the root's workload and name.
func (l *look) findDependents() map[string]map[string][]incident.Member {
	out := map[string]map[string][]incident.Member{}
	for i := range l.Incidents {
		one := &l.Incidents[i]
		root := l.byName[one.Root]
		if !one.State.Active() || root == nil || root.Workload.Kind == KindNode || root.Workload.Kind == KindCluster {
			continue
		}
		key := root.Workload.String()
		if out[key] == nil {
			out[key] = map[string][]incident.Member{}
		}
		out[key][root.Name] = append(out[key][root.Name], incident.Member{
			Workload: one.Workload, Incident: fullName(one), Kind: one.Kind, Since: one.StartedAt,
		})
	}
	for _, byName := range out {
		for _, list := range byName {
			slices.SortFunc(list, func(a, b incident.Member) int {
				return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Incident, b.Incident))
			})
		}
	}
	return out
}
