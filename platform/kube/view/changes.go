package view

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/internal/cluster"
)

// Bounds of what a workload's Changes hold.
const (
	MaxChanges  = 10
	maxRollouts = 5
)

// Notes remembers what only the moment of a change tells: when a number of replicas was changed, when an old revision was
// made the newest again, when each was last healthy, and when a Service lost its last endpoint. It holds at most a line for
// every owner, revision and Service that exists. Safe for concurrent use; make one with NewNotes.
//
// It knows what happened while it was fed, so after a start the scalings before are only in the events.
type Notes struct {
	mu        sync.Mutex
	scalings  map[string][]cluster.Change // by the owner's UID, newest first
	revised   map[string]time.Time        // by the UID of the ReplicaSet or the ControllerRevision
	healthyAt map[string]time.Time        // by the same
	served    map[string]*serving         // by the Service's UID
}

// NewNotes returns an empty memory.
func NewNotes() *Notes {
	return &Notes{
		scalings: map[string][]cluster.Change{}, revised: map[string]time.Time{}, healthyAt: map[string]time.Time{},
		served: map[string]*serving{},
	}
}

// Updated notes the change from one record of an owner to the next.
func (n *Notes) Updated(old, now *Owner, at time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now.Kind == cluster.KindReplicaSet && now.Number > old.Number && old.Number > 0 {
		n.revised[now.UID] = at
	}
	scalable := now.Kind == cluster.KindDeployment || now.Kind == cluster.KindStatefulSet ||
		now.Kind == cluster.KindReplicaSet && now.Controller.Kind == ""
	if !scalable || old.Desired == now.Desired || old.UID != now.UID {
		return
	}
	list := slices.Insert(n.scalings[now.UID], 0, cluster.Change{
		At: at, Kind: cluster.ChangeScaling, Message: fmt.Sprintf("scaled from %d to %d", old.Desired, now.Desired),
	})
	n.scalings[now.UID] = list[:min(len(list), MaxChanges)]
}

// Renumbered notes the change from one record of a ControllerRevision to the next.
func (n *Notes) Renumbered(old, now *History, at time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now.Number > old.Number && old.UID == now.UID {
		n.revised[now.UID] = at
	}
}

// Deleted forgets an owner, a revision or a Service by its UID.
func (n *Notes) Deleted(uid string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.scalings, uid)
	delete(n.revised, uid)
	delete(n.healthyAt, uid)
	delete(n.served, uid)
}

// prune forgets what is not among the records any more. A look that began before a deletion was told notes what it saw after it,
// so that now and then something is left that nobody will delete again.
func (n *Notes) prune(s *Sources) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.served) > len(s.Services) {
		there := uids(s.Services)
		maps.DeleteFunc(n.served, func(uid string, _ *serving) bool { return !there[uid] })
	}
	if len(n.healthyAt) > len(s.Owners)+len(s.History) {
		there := uids(s.Owners)
		maps.Copy(there, uids(s.History))
		maps.DeleteFunc(n.healthyAt, func(uid string, _ time.Time) bool { return !there[uid] })
	}
}

func uids[T metav1.ObjectMetaAccessor](list []T) map[string]bool {
	out := make(map[string]bool, len(list))
	for _, o := range list {
		out[string(o.GetObjectMeta().GetUID())] = true
	}
	return out
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

// rollouts tells the newest rollouts of an owner from what it keeps, newest first.
func (n *Notes) rollouts(top *Owner, list []kept) []cluster.Change {
	var out []cluster.Change
	for i := 0; i+1 < len(list) && i < maxRollouts; i++ {
		k, before := &list[i], &list[i+1]
		if k.number == 0 || before.number == 0 {
			break
		}
		word, at := "rollout", k.createdAt
		if !at.After(before.createdAt) { // an old one was made the newest again
			word, at = "rollback", n.revisedAt(k.uid)
			if at.IsZero() && i == 0 {
				at = top.ProgressedAt
			}
		}
		if at.IsZero() {
			continue
		}
		what := k.template.diff(before.template)
		if what == "" {
			what = "pod template changed"
		}
		out = append(out, cluster.Change{
			At: at, Kind: cluster.ChangeRollout, Message: fmt.Sprintf("%s to revision %s: %s", word, k.name, what),
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

// Changed notes what only the moment of a change tells, of the records of one object before and after it.
func (n *Notes) Changed(before, after any, at time.Time) {
	switch is := after.(type) {
	case *Owner:
		if was, ok := before.(*Owner); ok {
			n.Updated(was, is, at)
		}
	case *Service:
		if was, ok := before.(*Service); ok {
			n.Reselected(was, is, at)
		}
	case *History:
		if was, ok := before.(*History); ok {
			n.Renumbered(was, is, at)
		}
	}
}
