package view

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/homeostat/homeostat/internal/cluster"
)

const (
	// MaxRevisions bounds what a workload's Revisions hold: what Kubernetes keeps of a Deployment by default, and the newest.
	MaxRevisions = 11
	// healthyFor is how long all replicas of a revision must have been ready to count as healthy.
	healthyFor = time.Minute
)

// history returns the record of a ControllerRevision. One whose content is not that of a StatefulSet or a DaemonSet has no
// template.
func (r *Records) history(o *appsv1.ControllerRevision) *History {
	out := &History{
		Meta: r.meta(o), Controller: r.controller(o), CreatedAt: utc(o.CreationTimestamp), Number: o.Revision,
		Hash: o.Labels[appsv1.ControllerRevisionHashLabelKey],
	}
	if out.Hash == "" { // of a StatefulSet, whose pods are labelled with the name
		out.Hash = o.Name
	}
	out.Hash = r.intern(out.Hash)
	var patch struct {
		Spec struct {
			Template *corev1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}
	if json.Unmarshal(o.Data.Raw, &patch) == nil && patch.Spec.Template != nil {
		out.Template = r.template(patch.Spec.Template)
	}
	return out
}

// kept is one pod template that an owner keeps, of a ReplicaSet or a ControllerRevision.
type kept struct {
	uid, object, name   string
	number              int64
	createdAt, scaledAt time.Time
	desired, existing   int32
	template            *Template

	// What its pods are: all that are not at their end, those that are ready, and when the last of them became it.
	pods, ready int32
	readySince  time.Time
	// healthyAt is when it was last seen healthy.
	healthyAt time.Time
}

// revisions returns what the owner keeps, newest first, without what the pods say.
func (b *building) revisions() []kept {
	out := make([]kept, 0, len(b.sets)+len(b.past))
	for _, s := range b.sets {
		out = append(out, kept{
			uid: s.UID, object: s.Name, name: s.Revision, number: s.Number, createdAt: s.CreatedAt, scaledAt: s.ScaledAt,
			desired: s.Desired, existing: s.Existing, template: s.Template,
		})
	}
	for i, h := range b.past {
		k := kept{uid: h.UID, object: h.Name, name: h.Hash, number: h.Number, createdAt: h.CreatedAt, template: h.Template}
		head := b.top.Head
		switch {
		case i == 0:
			k.desired = max(0, b.top.Desired-head.Kept)
			if head.Current == h.Hash {
				k.desired = b.top.Desired
			}
		case head.Current == h.Hash:
			k.desired = min(head.Kept, b.top.Desired)
		}
		out = append(out, k)
	}
	return out
}

// count adds what the pods say.
func (b *building) count(list []kept) {
	for _, p := range b.pods {
		rep := &p.Replica
		if rep.Deleting() || rep.Phase == cluster.PhaseSucceeded || rep.Phase == cluster.PhaseFailed {
			continue
		}
		for i := range list {
			k := &list[i]
			if p.Controller.UID != k.uid && (p.Hash == "" || p.Hash != k.name) {
				continue
			}
			k.pods++
			if rep.Ready {
				k.ready++
				if rep.ReadySince.After(k.readySince) {
					k.readySince = rep.ReadySince
				}
			}
			break
		}
	}
}

// healthy reports whether all replicas of the revision have been ready for long enough at now.
func (k *kept) healthy(now time.Time) bool {
	return k.pods > 0 && k.ready == k.pods && k.pods >= max(k.desired, k.existing) && now.Sub(k.readySince) >= healthyFor
}

// revise fills in the revisions of the workload, and what was changed with each.
func (b *building) revise(s *Sources, now time.Time) {
	if len(b.sets)+len(b.past) == 0 {
		return
	}
	list := b.revisions()
	b.count(list)
	s.Notes.healthy(list, now)
	w := b.workload
	w.Revisions = make([]cluster.Revision, 0, min(len(list), MaxRevisions))
	for i := range list[:min(len(list), MaxRevisions)] {
		k := &list[i]
		r := cluster.Revision{
			Name: k.name, Object: k.object, Number: k.number, CreatedAt: k.createdAt, Desired: k.desired, Ready: k.ready, HealthyAt: k.healthyAt,
		}
		if r.HealthyAt.IsZero() {
			r.HealthyAt = b.completed(list, i)
		}
		if k.template != nil {
			r.Images, r.MemoryLimits = k.template.Images, k.template.MemoryLimits
		}
		w.Revisions = append(w.Revisions, r)
	}
	w.Changes = append(w.Changes, s.Notes.rollouts(b.top, list)...)
}

// completed returns when the rollout of a revision had come to its end, as far as the objects tell without anybody having
// watched; zero: they do not.
func (b *building) completed(list []kept, i int) time.Time {
	head, k := b.top.Head, &list[i]
	switch {
	case head == nil:
		return time.Time{}
	case len(b.past) > 0:
		// A StatefulSet's current revision became it when every replica had it and was ready, but for the first of all.
		// When that was is not kept: not before it was made.
		if b.top.Kind == cluster.KindStatefulSet && k.name == head.Current && k.number > 1 {
			return k.createdAt
		}
		return time.Time{}
	case i == 0: // until its controller has looked at a new one, the condition is about the one before
		rolledBack := len(list) > 1 && !k.createdAt.After(list[1].createdAt)
		if rolledBack || head.CompleteAt.Before(k.createdAt) {
			return time.Time{}
		}
		return head.CompleteAt
	}
	next := list[i-1].createdAt
	switch {
	case !head.Guarded || k.number == 0 || !next.After(k.createdAt):
		return time.Time{}
	case k.number > 1:
		return takenOver(k, list[i+1:], next)
	case head.AvailableSince.Before(next): // nothing was before it: what was available when the next one came was this one
		return head.AvailableSince
	}
	return time.Time{}
}

// takenOver returns when the last replicas of the older revisions were taken away, if that was before the next one came: then
// enough of this one were available.
func takenOver(k *kept, older []kept, next time.Time) time.Time {
	var at time.Time
	for i := range older {
		o := &older[i]
		if o.desired > 0 || o.scaledAt.IsZero() || !o.scaledAt.Before(next) {
			return time.Time{}
		}
		if o.scaledAt.After(at) {
			at = o.scaledAt
		}
	}
	if at.Before(k.createdAt) {
		return time.Time{}
	}
	return at
}

// healthy notes which revisions are healthy now, and sets for each when it last was, as far as was noted.
func (n *Notes) healthy(list []kept, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range list {
		if list[i].healthy(now) {
			n.healthyAt[list[i].uid] = now
		}
		list[i].healthyAt = n.healthyAt[list[i].uid]
	}
}

// byRevision sorts ControllerRevisions newest first.
func byRevision(a, b *History) int {
	return cmp.Or(cmp.Compare(b.Number, a.Number), b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.Name, b.Name))
}

// newestJob returns the Job that was made last, nil for none.
func newestJob(children []*Owner) *Owner {
	if len(children) == 0 {
		return nil
	}
	return slices.MaxFunc(children, func(a, b *Owner) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.Name, b.Name))
	})
}
