package view

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

// Bounds of what a workload's Changes hold.
const (
	MaxChanges  = 10
	maxRollouts = 5
)

// Notes remembers what only the moment of a change tells: when a number of replicas was changed, and when an old
// ReplicaSet was made the newest again. Safe for concurrent use; make one with NewNotes.
//
// It knows what happened while it was fed, so after a start the scalings before are only in the events.
type Notes struct {
	mu       sync.Mutex
	scalings map[string][]cluster.Change // by the owner's UID, newest first
	revised  map[string]time.Time        // by the ReplicaSet's UID
}

// NewNotes returns an empty memory.
func NewNotes() *Notes {
	return &Notes{scalings: map[string][]cluster.Change{}, revised: map[string]time.Time{}}
}

// Updated notes the change from one record of an owner to the next.
func (n *Notes) Updated(old, now *Owner, at time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now.Kind == cluster.KindReplicaSet && now.Number > old.Number && old.Number > 0 {
		n.revised[now.UID] = at
	}
	scalable := now.Kind == cluster.KindDeployment || now.Kind == cluster.KindStatefulSet || now.Kind == cluster.KindReplicaSet
	if !scalable || now.Controller.Kind != "" || old.Desired == now.Desired || old.UID != now.UID {
		return
	}
	list := slices.Insert(n.scalings[now.UID], 0, cluster.Change{
		At: at, Kind: cluster.ChangeScaling, Message: fmt.Sprintf("scaled from %d to %d", old.Desired, now.Desired),
	})
	n.scalings[now.UID] = list[:min(len(list), MaxChanges)]
}

// Deleted forgets an owner.
func (n *Notes) Deleted(o *Owner) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.scalings, o.UID)
	delete(n.revised, o.UID)
}

// Scalings returns the noted changes of the owner's number of replicas, newest first.
func (n *Notes) Scalings(uid string) []cluster.Change {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.scalings[uid])
}

func (n *Notes) revisedAt(uid string) time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.revised[uid]
}

// rollouts tells the newest rollouts of a Deployment from its ReplicaSets, which must be sorted by number, newest first.
func (n *Notes) rollouts(top *Owner, sets []*Owner) []cluster.Change {
	var out []cluster.Change
	for i := 0; i+1 < len(sets) && i < maxRollouts; i++ {
		set, before := sets[i], sets[i+1]
		if set.Number == 0 || before.Number == 0 {
			break
		}
		word, at := "rollout", set.CreatedAt
		if !at.After(before.CreatedAt) { // an old ReplicaSet was made the newest again
			word, at = "rollback", n.revisedAt(set.UID)
			if at.IsZero() && i == 0 {
				at = top.ProgressedAt
			}
		}
		if at.IsZero() {
			continue
		}
		what := set.Template.diff(before.Template)
		if what == "" {
			what = "pod template changed"
		}
		out = append(out, cluster.Change{
			At: at, Kind: cluster.ChangeRollout, Message: fmt.Sprintf("%s to revision %s: %s", word, set.Revision, what),
		})
	}
	return out
}

// byNumber sorts ReplicaSets newest first.
func byNumber(a, b *Owner) int {
	if c := cmp.Compare(b.Number, a.Number); c != 0 {
		return c
	}
	if c := b.CreatedAt.Compare(a.CreatedAt); c != 0 {
		return c
	}
	return cmp.Compare(a.Name, b.Name)
}
