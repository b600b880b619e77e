package control

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// charges remembers what was charged for a remediation whose intent was not stored then, because somebody else had changed the
// incident in between or the platform did not answer. The charge stays, and the same remediation is not charged again; but it must
// not count against that remediation itself, or a budget of one action would be spent on nothing. Only the decision leaves it out:
// what may be charged is for the stored budgets to say. Another leader does not know of it, and counts it. Safe for concurrent use.
type charges struct {
	mu      sync.Mutex
	pending map[cluster.Ref]charge
}

// charge is when a remediation was charged; zero: it was not.
type charge struct {
	id           string
	own, cluster time.Time
}

// begin returns what is known of the remediation's charge. The lock must be held.
func (c *charges) begin(w cluster.Ref, id string) charge {
	if one := c.pending[w]; one.id == id {
		return one
	}
	return charge{id: id}
}

// made notes the result of charging the remediation: to the budget of the cluster, or else to the workload's own. A refusal by a
// stored budget ends the exception, so that the next decision sees the budget as it is and says why it does nothing.
func (c *charges) made(w cluster.Ref, id string, toCluster bool, at time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(err, ErrBudget) {
		delete(c.pending, w)
		return
	}
	if err != nil {
		return
	}
	one := c.begin(w, id)
	switch {
	case toCluster && one.cluster.IsZero():
		one.cluster = at
	case !toCluster && one.own.IsZero():
		one.own = at
	}
	c.pending[w] = one
}

// without returns what the next decision about the workload has to count: both lists without the charges whose remediation is in
// none of its stored incidents. The lists that are given are not changed.
func (c *charges) without(w cluster.Ref, stored []incident.Incident, own, ofCluster []time.Time) (ownLeft, clusterLeft []time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	one, is := c.pending[w]
	if !is {
		return own, ofCluster
	}
	for i := range stored {
		if stored[i].Remediation(one.id) != nil {
			delete(c.pending, w)
			return own, ofCluster
		}
	}
	return leaveOut(own, one.own), leaveOut(ofCluster, one.cluster)
}

// leaveOut returns the list without one entry of that time. Platforms keep microseconds.
func leaveOut(list []time.Time, at time.Time) []time.Time {
	i := slices.IndexFunc(list, func(t time.Time) bool { return t.Truncate(time.Microsecond).Equal(at.Truncate(time.Microsecond)) })
	if at.IsZero() || i < 0 {
		return list
	}
	return slices.Delete(slices.Clone(list), i, i+1)
}

// keep forgets the workloads that are not among those watched.
func (c *charges) keep(watched []governed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	keepWatched(c.pending, watched)
}

// keepWatched forgets the workloads that are not among those watched.
func keepWatched[T any](by map[cluster.Ref]T, watched []governed) {
	if len(by) == 0 {
		return
	}
	refs := make(map[cluster.Ref]struct{}, len(watched))
	for _, g := range watched {
		refs[g.workload.Ref] = struct{}{}
	}
	maps.DeleteFunc(by, func(w cluster.Ref, _ T) bool {
		_, is := refs[w]
		return !is
	})
}
