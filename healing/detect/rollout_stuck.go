package detect

import (
	"fmt"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// rolloutDeadline is how long a rollout of a StatefulSet or a DaemonSet, which have no progress deadline of their own, may
// stand still: a Deployment's default progressDeadlineSeconds.
const rolloutDeadline = 10 * time.Minute

// rolloutStuck finds a rollout that has passed its progress deadline, where nothing that was found in the replicas says
// why: what is deeper owns the incident.
func rolloutStuck(l *Look, found []incident.Finding) (incident.Finding, bool) {
	w := l.Workload
	if !l.owned() || w.Paused {
		return incident.Finding{}, false
	}
	f, stuck := l.pastDeadline()
	if !stuck {
		f, stuck = l.standsStill()
	}
	if !stuck || l.explained(found) {
		return incident.Finding{}, false
	}
	if _, refused := createRefused(l, found); refused {
		return incident.Finding{}, false
	}
	f.Active = true
	f.Fingerprint = l.workloadPrint("RolloutStuck", w.Revision, stamp(f.Since))
	made, ready := l.newest()
	f.For = append(f.For, fmt.Sprintf("%d of %d replicas are of the newest revision, %d of them ready", made, w.Desired, ready))
	return f, true
}

// pastDeadline reads a Deployment's own word that its rollout is late.
func (l *Look) pastDeadline() (incident.Finding, bool) {
	w := l.Workload
	c := w.Condition("Progressing")
	if c == nil || c.Status != "False" || c.Reason != "ProgressDeadlineExceeded" {
		return incident.Finding{}, false
	}
	f := incident.Finding{
		Since: c.Since, Confidence: 95, Message: "the rollout of " + w.Ref.Name + l.toRevision() + " has passed its progress deadline",
		For: []string{"its condition Progressing is False with the reason ProgressDeadlineExceeded"},
	}
	if c.Message != "" {
		f.For = append(f.For, phrase.Cut(c.Message, quoted))
	}
	return f, true
}

// standsStill infers from the replicas of a StatefulSet or a DaemonSet that its rollout does not go on: nothing was made,
// deleted or got ready for as long as a Deployment would wait.
func (l *Look) standsStill() (incident.Finding, bool) {
	w := l.Workload
	if !w.RollingOut || w.Ref.Kind != cluster.KindStatefulSet && w.Ref.Kind != cluster.KindDaemonSet {
		return incident.Finding{}, false
	}
	var moved time.Time
	for i := range w.Changes {
		if w.Changes[i].Kind == cluster.ChangeRollout {
			moved = latest(moved, w.Changes[i].At)
		}
	}
	if moved.IsZero() { // when the rollout began is not known
		return incident.Finding{}, false
	}
	for i := range w.Replicas {
		r := &w.Replicas[i]
		moved = latest(moved, r.CreatedAt, r.DeletedAt)
		if r.Ready {
			moved = latest(moved, r.ReadySince)
		}
	}
	if l.Now.Sub(moved) <= rolloutDeadline {
		return incident.Finding{}, false
	}
	return incident.Finding{
		Since: moved, Confidence: 70,
		Message: "the rollout of " + w.Ref.Name + l.toRevision() + " stands still for more than " + phrase.Span(rolloutDeadline),
		For:     []string{"no replica was made, deleted or got ready in that time"},
		Against: []string{"a " + w.Ref.Kind + " has no progress deadline"},
	}, true
}

func (l *Look) toRevision() string {
	if l.Workload.Revision == "" {
		return ""
	}
	return " to revision " + phrase.Cut(l.Workload.Revision, 63)
}

// newest counts the replicas of the newest revision, and how many of them are ready.
func (l *Look) newest() (made, ready int32) {
	for i := range l.Workload.Replicas {
		r := &l.Workload.Replicas[i]
		if r.Deleting() || !l.isNewest(r) {
			continue
		}
		made++
		if r.Ready {
			ready++
		}
	}
	return made, ready
}

// isNewest reports whether the replica is of the newest revision; where that is not known, every one is.
func (l *Look) isNewest(r *cluster.Replica) bool {
	return l.Workload.Revision == "" || r.Revision == l.Workload.Revision
}

// explained reports whether a finding says why the rollout does not end: one that lasts or is news, about a replica of
// the newest revision. StatefulSets and DaemonSets replace one by one and wait for replicas of any revision.
func (l *Look) explained(found []incident.Finding) bool {
	anyRevision := l.Workload.Ref.Kind == cluster.KindStatefulSet || l.Workload.Ref.Kind == cluster.KindDaemonSet
	for i := range found {
		f := &found[i]
		if f.Replica == "" || !f.Kind.Failure() || f.Kind == incident.ChildOOM || f.Kind == incident.ResizeStuck || OfTool(l.Workload, f) {
			continue
		}
		if !f.Active && l.Now.Sub(f.Since) > Horizon {
			continue
		}
		if anyRevision || l.ofNewest(f) {
			return true
		}
	}
	return false
}

func (l *Look) ofNewest(f *incident.Finding) bool {
	for i := range l.Workload.Replicas {
		if r := &l.Workload.Replicas[i]; r.Name == f.Replica && r.UID == f.ReplicaUID {
			return l.isNewest(r)
		}
	}
	return false
}
