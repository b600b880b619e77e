package healing

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// findings are those of the checks and those that the story adds.
func (w *world) findings(in *Input) []incident.Finding {
	return append(Detect(*in, w.now), slices.Clone(w.extra)...)
}

// climateNow is the climate with what the whole cluster has spent.
func (w *world) climateNow() Climate {
	c := w.climate
	if c.Budget.Actions > 0 {
		c.Spent = slices.Clone(c.Spent)
		for _, at := range w.charges {
			c.Spent = append(c.Spent, at)
		}
		c.Spent = slices.DeleteFunc(c.Spent, func(at time.Time) bool { return w.now.Sub(at) >= c.Budget.Period })
	}
	return c
}

// targetOf words what an action is for, and what it changes.
func targetOf(a *Action) string {
	c := a.Change
	s := a.Workload.String()
	if a.Remedy.OnReplica() {
		s = a.Replica + " uid " + a.ReplicaUID
	}
	if c.Target.Name != "" {
		s += " target=" + c.Target.String()
	}
	if c.ToMemory > 0 {
		s += fmt.Sprintf(" container=%s memory=%d->%d MiB template=%t", c.Container, c.FromMemory>>20, c.ToMemory>>20, c.Template)
	}
	if c.FromReplicas > 0 {
		s += fmt.Sprintf(" replicas=%d->%d", c.FromReplicas, c.ToReplicas)
	}
	if c.ToRevision != "" {
		s += " " + c.Key + " " + c.FromRevision + "->" + c.ToRevision
	}
	if a.DryRun {
		s += " dry run"
	}
	return s
}

// carry is the platform: it does what it is asked for, on its preconditions.
func (w *world) carry(a Action) Result {
	call := string(a.Remedy) + " of " + a.Workload.String()
	if a.DryRun {
		if w.answer != incident.Done {
			return Result{Outcome: incident.Failed, Reason: w.reason, Message: or(w.says, "the platform says no"), Call: call}
		}
		return Result{Outcome: incident.DryRun, Message: "it is valid", Call: call}
	}
	r := w.find(a.Replica)
	if a.Remedy.OnReplica() && (r == nil || r.UID != a.ReplicaUID || r.Deleting()) {
		return Result{Outcome: incident.Done, Reason: ReasonReplicaGone, Message: "the replica is gone"}
	}
	if w.answer != incident.Done {
		return Result{Outcome: w.answer, Reason: w.reason, Message: or(w.says, "the platform says no"), Call: call}
	}
	if w.lingers {
		return Result{Outcome: incident.Done, Message: "evicted"}
	}
	if !a.Remedy.OnReplica() && w.by == a.RemediationID {
		return Result{Outcome: incident.Done, Message: "it was done already", Call: call}
	}
	e := effect{at: w.now, id: a.RemediationID, uid: a.ReplicaUID, remedy: a.Remedy}
	res := Result{Outcome: incident.Done, Message: "accepted", Call: call}
	if a.Remedy.OnReplica() {
		if e.what = w.carryReplica(&a, r, &res); e.what == "" {
			return res
		}
	} else if e.what = w.carryWorkload(&a); e.what == "" {
		return Result{Outcome: incident.Failed, Reason: ReasonFailed, Message: "changed in between", Call: call}
	} else {
		w.by = a.RemediationID
	}
	w.effects = append(w.effects, e)
	if w.answerLost {
		return Result{Outcome: incident.Failed, Reason: ReasonFailed, Message: "no answer in time", Call: call}
	}
	return res
}

// carryReplica acts on one replica and words it.
func (w *world) carryReplica(a *Action, r *cluster.Replica, res *Result) string {
	uid := r.UID
	if a.Remedy == incident.RemedyCapture {
		res.Evidence = []incident.Evidence{{
			Kind: incident.EvidenceProfile, At: w.now, Replica: a.Replica, Message: fmt.Sprintf("profile of port %d", a.ProfilePort),
		}}
		return "captured " + uid
	}
	if a.Remedy == incident.RemedyResizeMemory {
		return w.resize(a, r, res)
	}
	res.Message = "evicted"
	node := r.Node
	w.remove(a.Replica)
	if !w.noReplace {
		w.setReady(w.add(a.Replica+"x", node, 0), false)
	}
	if a.Remedy == incident.RemedyQuarantine {
		res.Message = "it is out of its Services"
		return "quarantined " + uid
	}
	return "restarted " + uid
}

// resize raises the memory limit of one replica, on its precondition.
func (w *world) resize(a *Action, r *cluster.Replica, res *Result) string {
	c := r.Container(a.Change.Container)
	if c.MemoryLimit != a.Change.FromMemory {
		*res = Result{Outcome: incident.Failed, Reason: ReasonFailed, Message: "changed in between"}
		return ""
	}
	c.MemoryLimit = a.Change.ToMemory
	if a.Change.Template {
		w.roll("resized")
	}
	return fmt.Sprintf("resized %s to %d MiB", r.UID, a.Change.ToMemory>>20)
}

// carryWorkload acts on the workload and words it; empty where the precondition does not hold.
func (w *world) carryWorkload(a *Action) string {
	o, c := w.workload, &a.Change
	if a.Remedy == incident.RemedyRollback {
		if o.Revision != c.FromRevision {
			return ""
		}
		w.roll(c.ToRevision)
		return "rolled back to " + c.ToRevision
	}
	if a.Remedy == incident.RemedyRestartWorkload {
		w.roll(o.Revision + "'")
		return "restarted all"
	}
	if a.Remedy == incident.RemedyScaleOut {
		if o.Desired != c.FromReplicas {
			return ""
		}
		o.Desired = c.ToReplicas
		for n := int32(len(o.Replicas)); n < o.Desired; n++ {
			w.setReady(w.add(o.Ref.Name+"-new"+strconv.Itoa(w.births), "n1", 0), false)
		}
		return fmt.Sprintf("scaled to %d", o.Desired)
	}
	if c.Target.Kind == cluster.KindService {
		o.Track = nil
		return "switched " + c.Target.Name + " back to " + c.ToRevision
	}
	o.Desired, o.Replicas, o.RollingOut = c.ToReplicas, nil, false
	return "scaled the canary to 0"
}

// roll begins a rollout to the revision. It ends with rolled.
func (w *world) roll(revision string) {
	o := w.workload
	o.Revision, o.RollingOut = revision, true
	for i := range o.Revisions {
		if o.Revisions[i].Name == revision {
			o.Revisions[i].Number = o.Revisions[0].Number + 1
			return
		}
	}
	next := cluster.Revision{Name: revision, CreatedAt: w.now}
	if len(o.Revisions) > 0 {
		next.MemoryLimits = o.Revisions[0].MemoryLimits
	}
	o.Revisions = slices.Insert(o.Revisions, 0, next)
}

// rolled ends the rollout: replicas of other revisions are replaced.
func (w *world) rolled(ready bool) {
	o := w.workload
	o.RollingOut = false
	o.Replicas = slices.DeleteFunc(o.Replicas, func(r cluster.Replica) bool { return r.Revision != o.Revision })
	for n := int32(len(o.Replicas)); n < o.Desired; n++ {
		w.setReady(w.add(o.Ref.Name+"-"+strconv.Itoa(w.births), "n1", 0), ready)
	}
}
