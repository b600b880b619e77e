package healing

import (
	"fmt"
	"math"
	"slices"

	"github.com/homeostat/homeostat/healing/detect"
	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

const (
	mebibyte = 1 << 20
	// raiseShare and raiseBytes are the step of ResizeMemory: a fifth more, and at least 100 MiB, the bump-up after an OOM kill of
	// the VerticalPodAutoscaler's recommender.
	raiseShare = 1.2
	raiseBytes = 100 * mebibyte
	// roomShare is how full the memory of the replicas should be after a ScaleOut: as of a horizontal autoscaler with a usual
	// target.
	roomShare = 0.7
)

// fit asks whether the remedy fits what is known, and fills in what it would change.
func (q *proposal) fit() {
	switch q.remedy {
	case incident.RemedyCapture:
		q.fitCapture()
	case incident.RemedyQuarantine:
		q.fitQuarantine()
	case incident.RemedyResizeMemory:
		q.fitResize()
	case incident.RemedyRestartWorkload:
		q.fitRestartWorkload()
	case incident.RemedyScaleOut:
		q.fitScaleOut()
	case incident.RemedyRollback:
		q.fitRollback()
	case incident.RemedyAbortCanary:
		q.fitAbortCanary()
	case incident.RemedyRestart:
		q.fitRestart()
	case incident.RemedyNone:
	}
	if r := q.retry; r != nil && r.Attempts > 0 && q.misfit == "" { // the same remediation goes to the same place
		q.change.ToReplicas, q.change.ToRevision, q.change.ToMemory = r.Change.ToReplicas, r.Change.ToRevision, r.Change.ToMemory
	}
}

// fitRestart wants that a new replica has what this one waits for in vain: a resize that its node can never do, or a volume that a
// lost node holds. A resize that waits for room is done by itself, and any other volume fails the next replica as well.
func (q *proposal) fitRestart() {
	switch q.t.inc.Kind { //nolint:exhaustive // the others are about the replica as it is
	case incident.ResizeStuck:
		if c := q.replica.Condition("PodResizePending"); c == nil || c.Status != "True" || c.Reason != "Infeasible" {
			q.misfit = "the resize is tried again as it is"
		}
	case incident.VolumeStuck:
		if detect.HeldByLostNode(q.in.Workload, q.in.Nodes, q.replica) == "" {
			q.misfit = "nothing shows that a lost node holds its volume"
		}
	}
}

func (q *proposal) fitCapture() {
	c := q.replica.Container(q.victim.Container)
	switch {
	case q.in.Workload.ProfilePort == 0:
		q.misfit = "the replicas offer no profile"
	case c != nil && c.State != cluster.StateRunning:
		q.misfit = "the container does not run"
	}
}

func (q *proposal) fitQuarantine() {
	if q.in.Workload.Desired <= 1 {
		q.misfit = "there is no other replica"
	}
}

func (q *proposal) fitRestartWorkload() {
	switch w := q.in.Workload; {
	case w.Desired <= 1 && !w.SurgesFirst:
		q.misfit = "it has one replica, which would be away meanwhile"
	case w.Desired > 1 && w.RolloutTakes >= w.Desired:
		q.misfit = fmt.Sprintf("its rollout takes all %d replicas away at once", w.Desired)
	case w.Paused:
		q.misfit = "its rollout is paused"
	}
}

// fitResize raises the limit of one replica. What was decided for the first one holds for the others of the incident.
func (q *proposal) fitResize() {
	name := q.victim.Container
	if name == "" {
		name = mainContainer(q.replica)
	}
	c := q.replica.Container(name)
	if c == nil || c.MemoryLimit <= 0 {
		q.misfit = "the container has no memory limit"
		return
	}
	q.change = incident.Change{Container: name, FromMemory: c.MemoryLimit, Template: q.in.Policy.PatchTemplate && !q.ownedElsewhere()}
	if c.Kind == cluster.ContainerInit && !q.change.Template {
		q.misfit = "the limit of an init container can be raised in the template alone"
		return
	}
	if done := q.raised(name); done != nil && c.MemoryLimit < done.Change.ToMemory {
		q.change.ToMemory = done.Change.ToMemory
		return
	}
	most := q.templateLimit(name, c.MemoryLimit) * int64(q.in.Policy.MaxMemoryPercent) / 100 / mebibyte * mebibyte
	to := max(int64(math.Ceil(raiseShare*float64(c.MemoryLimit))), c.MemoryLimit+raiseBytes)
	to = (to + mebibyte - 1) / mebibyte * mebibyte
	if q.change.ToMemory = min(to, most); q.change.ToMemory <= c.MemoryLimit {
		q.misfit = fmt.Sprintf("the limit of %s is the most that is allowed, %d %% of the template's", phrase.Bytes(c.MemoryLimit),
			q.in.Policy.MaxMemoryPercent)
	}
}

// raised returns the newest raise of the container's limit in this incident that was carried out, nil for none.
func (q *proposal) raised(container string) *incident.Remediation {
	for i := range slices.Backward(q.t.inc.Remediations) {
		r := &q.t.inc.Remediations[i]
		if r.Remedy == incident.RemedyResizeMemory && r.Change.Container == container &&
			(r.Outcome == incident.Done || r.Outcome == incident.Succeeded) {
			return r
		}
	}
	return nil
}

// templateLimit returns the container's memory limit in the template. Where the platform does not tell it, it is the smallest
// limit that is known: what a resize began from, or that of another replica.
func (q *proposal) templateLimit(container string, present int64) int64 {
	w := q.in.Workload
	for i := range w.Revisions {
		if l := w.Revisions[i].MemoryLimits[container]; w.Revisions[i].Name == w.Revision && l > 0 {
			return q.origin(l, func(r *incident.Remediation) (from, to int64) {
				if !r.Change.Template || r.Change.Container != container {
					return 0, 0
				}
				return r.Change.FromMemory, r.Change.ToMemory
			})
		}
	}
	least := present
	for i := range w.Replicas {
		if c := w.Replicas[i].Container(container); c != nil && c.MemoryLimit > 0 {
			least = min(least, c.MemoryLimit)
		}
	}
	q.eachRemediation(func(r *incident.Remediation) {
		if r.Remedy == incident.RemedyResizeMemory && r.Change.Container == container && r.Change.FromMemory > 0 {
			least = min(least, r.Change.FromMemory)
		}
	})
	return least
}

// origin follows what the remedy has made of a number, in this incident and in those before it that are stored, back to what it was
// before the first of them. Without it a bound that is a share of the present number would grow with every incident.
func (q *proposal) origin(number int64, change func(r *incident.Remediation) (from, to int64)) int64 {
	for {
		from := number
		q.eachRemediation(func(r *incident.Remediation) {
			if r.Remedy != q.remedy || !oneOf(r.Outcome, incident.Done, incident.Succeeded, incident.Failed) {
				return
			}
			if was, became := change(r); became == number && was > 0 {
				from = min(from, was)
			}
		})
		if from == number {
			return number
		}
		number = from
	}
}

// fitScaleOut asks for as many replicas as share the memory that is used now at 70 % of their limits, one more at least.
func (q *proposal) fitScaleOut() {
	w := q.in.Workload
	if !q.blame().FollowsLoad {
		q.misfit = "nothing shows that it follows load"
		return
	}
	from, limit := w.Desired, w.Desired
	for i := range q.t.inc.Remediations {
		if r := &q.t.inc.Remediations[i]; r.Remedy == q.remedy && r.Outcome != incident.DryRun {
			limit = r.Change.FromReplicas
			break
		}
	}
	base := int64(limit)
	if w.Scaler == nil { // nobody takes back what was scaled out
		base = q.origin(base, func(r *incident.Remediation) (from, to int64) {
			return int64(r.Change.FromReplicas), int64(r.Change.ToReplicas)
		})
	}
	limit = int32(min(base*int64(q.in.Policy.MaxScaleOutPercent)/100, math.MaxInt32))
	if s := w.Scaler; s != nil {
		limit = min(limit, s.Max)
		if s.Ref.Kind == kindAutoscaler {
			q.change.Target = s.Ref
		}
	}
	to := min(max(from+1, q.replicasForMemory()), limit)
	if to <= from {
		q.misfit = fmt.Sprintf("%d replicas are the most that is allowed", from)
		return
	}
	q.change.FromReplicas, q.change.ToReplicas = from, to
}

// kindAutoscaler is the kind of Homeostat's own scaling object, whose minimum a ScaleOut raises for a while.
const kindAutoscaler = "Autoscaler"

// replicasForMemory returns how many replicas the memory in use asks for, 0 where it is not known.
func (q *proposal) replicasForMemory() int32 {
	if q.in.Memory == nil {
		return 0
	}
	var sum float64
	var known int
	w := q.in.Workload
	for i := range w.Replicas {
		r := &w.Replicas[i]
		name := q.victim.Container
		if name == "" {
			name = mainContainer(r)
		}
		c := r.Container(name)
		if c == nil || c.MemoryLimit <= 0 || !r.Ready || r.Deleting() {
			continue
		}
		points := q.in.Memory(r.Name, name)
		if len(points) == 0 || points[len(points)-1].MemoryBytes < 0 {
			continue
		}
		sum += float64(points[len(points)-1].MemoryBytes) / float64(c.MemoryLimit)
		known++
	}
	if known == 0 {
		return 0
	}
	return int32(math.Ceil(float64(w.Desired) * sum / float64(known) / roomShare))
}

// fitRollback wants failures of the newest revision only, that began with it, and an older revision that was healthy. A revision
// that was rolled away from is not gone back to.
func (q *proposal) fitRollback() {
	w := q.in.Workload
	switch {
	case w.Paused:
		q.misfit = "its rollout is paused"
		return
	case w.Revision == "" || len(w.Revisions) == 0:
		q.misfit = "its revisions are not known"
		return
	case !q.onlyNewestFails():
		q.misfit = "it is not the newest revision alone that fails"
		return
	case !q.blame().NewRevision:
		q.misfit = "it did not begin with the newest revision"
		return
	}
	left := map[string]bool{w.Revision: true}
	q.eachRemediation(func(r *incident.Remediation) {
		if r.Remedy == incident.RemedyRollback && r.Outcome != incident.DryRun {
			left[r.Change.FromRevision] = true
		}
	})
	for i := range w.Revisions {
		r := &w.Revisions[i]
		if !left[r.Name] && (!r.HealthyAt.IsZero() || r.Ready > 0) {
			q.change = incident.Change{FromRevision: w.Revision, ToRevision: r.Name}
			return
		}
	}
	q.misfit = "no older revision is known to have been healthy"
}

// onlyNewestFails reports whether every replica that shows the failure is of the newest revision.
func (q *proposal) onlyNewestFails() bool {
	for i := range q.t.findings {
		f := &q.t.findings[i]
		if r := q.pass.replica(f.ReplicaUID, f.Replica); r != nil && r.Revision != q.in.Workload.Revision && f.Active {
			return false
		}
	}
	return q.replica == nil || q.replica.Revision == q.in.Workload.Revision
}

// fitAbortCanary wants a track that fails beside one that is healthy. A canary is there to fail early; a Service goes back only
// where its present track does not serve as it must, and the other one has more replicas that do.
func (q *proposal) fitAbortCanary() {
	w := q.in.Workload
	t := w.Track
	switch {
	case t == nil:
		q.misfit = "it is no canary, and no Service could go back to another track"
		return
	case t.OtherDesired <= 0 || t.OtherReady < t.OtherDesired:
		q.misfit = fmt.Sprintf("the other track %s is not healthy: %d of %d replicas are ready", t.Other.Name, t.OtherReady, t.OtherDesired)
		return
	}
	if t.Kind == cluster.TrackCanary {
		if w.Desired == 0 {
			q.misfit = "the canary has no replicas"
			return
		}
		q.change = incident.Change{FromReplicas: w.Desired}
		return
	}
	if ready, need := w.ReadyReplicas(), share(w.Desired, q.in.Policy.MinHealthyPercent); ready >= need {
		q.misfit = fmt.Sprintf("%d of %d replicas of this track are ready", ready, w.Desired)
		return
	} else if t.OtherReady <= ready {
		q.misfit = fmt.Sprintf("%s of this track %s still, and the other track %s has %d", phrase.Count(int64(ready), "replica"), serves(ready),
			t.Other.Name, t.OtherReady)
		return
	}
	q.change = incident.Change{
		Target: cluster.Ref{Kind: cluster.KindService, Namespace: w.Ref.Namespace, Name: t.Service},
		Key:    t.Key, FromRevision: t.Value, ToRevision: t.OtherValue,
	}
}

func serves(n int32) string {
	if n == 1 {
		return "serves"
	}
	return "serve"
}

// share returns that percentage of n, rounded up.
func share(n, percent int32) int32 { return int32((int64(percent)*int64(n) + 99) / 100) }
