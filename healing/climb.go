package healing

import (
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// proposal is one rung of the ladder of one incident, before the guards.
type proposal struct {
	*pass
	t      *tracked
	remedy incident.Remedy
	named  bool // the policy names the ladder for this kind
	// victim is the finding to be acted on and replica its replica. Both are nil where nothing is left to act on; replica
	// alone is for a finding about the workload itself.
	victim  *incident.Finding
	replica *cluster.Replica
	// change is what the remedy would change; misfit says why it does not fit what is known, empty where it does.
	change incident.Change
	misfit string
	// retry is the remediation that is tried again, nil for a new one; follows is true for one more replica of a change that
	// was decided on, and charged, for another.
	retry   *incident.Remediation
	follows bool
}

// skip is a rung that was passed over.
type skip struct {
	remedy  incident.Remedy
	reason  Reason
	message string
}

// climbed is where the ladder of an incident leads now: to the next rung, to one that has to wait, or to its end.
type climbed struct {
	next    *proposal // the rung that nothing refuses
	held    *proposal // the rung that has to wait
	reason  Reason    // why it has to wait; empty: its own wait between two tries is not over
	message string
	skipped []skip
	// answered is a remediation whose call failed and had its effect all the same.
	answered *incident.Remediation
}

// climb asks the guards about one rung after the other. A rung that is refused for what it is (it does not fit, was tried,
// belongs to somebody else) is passed over; one that is refused for what the moment is has to wait, and so has what is above it.
func (p *pass) climb(t *tracked, rungs []incident.Remedy, named bool) climbed {
	var out climbed
	for _, rung := range rungs {
		q := p.proposal(t, rung, named)
		if q.victim == nil {
			continue
		}
		if !p.mayTry(q) {
			out.held = q
			return out
		}
		if r := q.lost(); r != nil {
			out.held, out.answered = q, r
			return out
		}
		q.fit()
		g, message, refused := q.refusal(ReasonObserveOnly)
		switch {
		case !refused && p.in.Policy.Mode != Act && rung == incident.RemedyCapture && t.rehearsed(rung):
			continue // where nothing is done, what would follow at once is told too
		case !refused && p.in.Policy.Mode == Act && q.stopped() != "":
			out.held, out.reason, out.message = q, ReasonNotSupported, "waits: "+q.stopped()
			return out
		case !refused:
			out.next = q
			return out
		case g.skips:
			out.skipped = append(out.skipped, skip{rung, g.reason, message})
		default:
			out.held, out.reason, out.message = q, g.reason, message
			return out
		}
	}
	return out
}

// stopped says why the memory of the replica cannot be raised at this moment, empty where it can.
func (q *proposal) stopped() string {
	if q.remedy != incident.RemedyResizeMemory || q.raisableNow(q.replica, q.change.Container) {
		return ""
	}
	return "the memory limit of container " + q.change.Container + " of " + q.victim.Replica + " can be raised only while it runs, and well before it is killed again"
}

// shortLife is a life so short that the next one may well end the same way while a limit is raised.
const shortLife = time.Minute

// raisableNow reports whether the container runs and has some life before it. A kubelet raises the limit of the whole pod with that of
// a container that runs only: raised in between two of its lives, the container is killed at the old limit for as long as the pod
// exists (Kubernetes 1.36, computePodResizeAction). What lived for seconds is taken to live for as long again, so its limit is raised
// in the first half of that, or when it has lived for twice as long.
func (p *pass) raisableNow(r *cluster.Replica, container string) bool {
	if r == nil {
		return false
	}
	c := r.Container(container)
	if c == nil || c.State != cluster.StateRunning {
		return false
	}
	d := c.LatestDeath()
	if d == nil || d.StartedAt.IsZero() || c.StartedAt.IsZero() {
		return true
	}
	life, age := d.FinishedAt.Sub(d.StartedAt), p.now.Sub(c.StartedAt)
	return life <= 0 || life > shortLife || age <= life/2 || age >= 2*life
}

func (p *pass) proposal(t *tracked, rung incident.Remedy, named bool) *proposal {
	q := &proposal{pass: p, t: t, remedy: rung, named: named}
	q.choose()
	return q
}

// choose picks the finding to act on: one that still needs it, of the incident's own kind first, then of replicas that are not
// ready, then the oldest.
func (q *proposal) choose() {
	for i := range q.t.findings {
		f := &q.t.findings[i]
		r := q.pass.replica(f.ReplicaUID, f.Replica)
		if q.remedy.OnReplica() && r == nil || r != nil && r.Deleting() || !q.needs(f, r) {
			continue
		}
		if q.victim == nil || q.before(f, r) {
			q.victim, q.replica = f, r
		}
	}
}

// before reports whether the finding comes before the one that is chosen.
func (q *proposal) before(f *incident.Finding, r *cluster.Replica) bool {
	own, chosenOwn := f.Kind == q.t.inc.Kind, q.victim.Kind == q.t.inc.Kind
	if own != chosenOwn {
		return own
	}
	ready, chosenReady := r != nil && r.Ready, q.replica != nil && q.replica.Ready
	if ready != chosenReady {
		return chosenReady
	}
	return f.Since.Before(q.victim.Since)
}

// needs reports whether the finding leaves anything to be done by the remedy. What died and is ready again was restarted by the
// platform, so a restart would only cost; but too little memory kills again, which more of it prevents, in each replica or by more of
// them, and what was killed twice has a cause that the other remedies may take away. A child that was killed leaves no such sign, so it is the policy's choice
// (stillServing).
func (q *proposal) needs(f *incident.Finding, r *cluster.Replica) bool {
	if mended := lastMended(&q.t.inc); mended != nil && !f.Active && !f.Since.After(mended.FinishedAt) {
		return false
	}
	if f.Active || f.Kind.Forecast() || r == nil || !r.Ready {
		return true
	}
	if f.Kind == incident.ChildOOM && q.remedy.OnReplica() {
		return !q.tried(f)
	}
	short := f.Kind == incident.OOMKilled || f.Kind == incident.ProbableOOM
	if q.remedy == incident.RemedyResizeMemory || q.remedy == incident.RemedyScaleOut {
		return short
	}
	return short && !q.remedy.OnReplica() && q.t.inc.Occurrences > 1
}

// lastMended returns the newest remediation that helped the workload as a whole, nil for none: what was seen before it is over.
func lastMended(inc *incident.Incident) *incident.Remediation {
	for i := range slices.Backward(inc.Remediations) {
		r := &inc.Remediations[i]
		if r.Outcome == incident.Succeeded && (!r.Remedy.OnReplica() || r.Remedy == incident.RemedyResizeMemory) {
			return r
		}
	}
	return nil
}

// tried reports whether the occurrence was acted on by the remedy.
func (q *proposal) tried(f *incident.Finding) bool {
	prefix := q.prefix(f)
	return slices.ContainsFunc(q.t.inc.Remediations, func(r incident.Remediation) bool {
		return strings.HasPrefix(r.ID, prefix) && (r.Outcome == incident.Done || r.Outcome == incident.Succeeded)
	})
}

// prefix is the part of a remediation's ID that cause, target and rung decide; a number of the charge follows. The cause is the
// occurrence for a remedy that takes the replica away, and the incident for one that changes something that outlives it.
func (q *proposal) prefix(f *incident.Finding) string {
	var what string
	switch {
	case q.remedy == incident.RemedyRestart, q.remedy == incident.RemedyQuarantine:
		what = f.ReplicaUID + "/" + f.Replica + "/" + f.Fingerprint
	case q.remedy.OnReplica():
		what = q.t.inc.Name + "/" + f.ReplicaUID + "/" + f.Replica
	default:
		what = q.t.inc.Name + "/" + q.in.Workload.Ref.String() + "/" + q.in.Workload.Ref.UID
	}
	return strings.ToLower(string(q.remedy)) + "-" + shortHash(what) + "-"
}

// mayTry finds the remediation of this rung that was tried before, and reports whether its wait is over. One whose charge has
// run out is left as it is, so that the next try is a new one and charged anew.
func (p *pass) mayTry(q *proposal) bool {
	if q.remedy == incident.RemedyCapture {
		return true // it is done once, whatever comes of it
	}
	prefix := q.prefix(q.victim)
	for i := range q.t.inc.Remediations {
		r := &q.t.inc.Remediations[i]
		if !strings.HasPrefix(r.ID, prefix) || r.Outcome != incident.Blocked && r.Outcome != incident.Failed || ended(r) {
			continue
		}
		if p.now.Sub(r.IntendedAt) < p.in.Policy.BudgetPeriod {
			q.retry = r
		}
	}
	if q.retry == nil || q.retry.Attempts == 0 {
		return true
	}
	wait := max(p.in.Policy.Cooldown, minRetry) << min(q.retry.Attempts-1, retryDoublings)
	return p.now.Sub(q.retry.FinishedAt) >= wait
}

// lost returns a remediation of this rung that failed, or was dropped by a leader whose view was old, and had its effect all the
// same; nil for none.
func (q *proposal) lost() *incident.Remediation {
	prefix := q.prefix(q.victim)
	for i := range q.t.inc.Remediations {
		r := &q.t.inc.Remediations[i]
		failed := r.Outcome == incident.Failed || r.Outcome == incident.Blocked
		if failed && !ended(r) && strings.HasPrefix(r.ID, prefix) && q.carriedOut(r) {
			return r
		}
	}
	return nil
}

// ended reports whether a remediation that failed is not tried again for what it ended with.
func ended(r *incident.Remediation) bool {
	return oneOf(Reason(r.Reason), ReasonNotHelped, ReasonBudgetExhausted, ReasonNotSupported, ReasonForbidden)
}

// unhelpful says what came of a remediation after which the same cause showed again; empty where that is not so. A capture mends
// nothing, so it never is.
func (p *pass) unhelpful(t *tracked, r *incident.Remediation) string {
	switch {
	case r.Outcome == incident.DryRun, r.Remedy == incident.RemedyCapture:
		return ""
	case r.Outcome == incident.Failed && ended(r) && r.Reason != string(ReasonBudgetExhausted),
		r.Outcome == incident.Failed && r.Attempts >= maxFailedAttempts:
		return r.Message
	case r.Outcome == incident.Succeeded && p.relapsed(t, r):
		return "it was done at " + r.FinishedAt.UTC().Format("15:04:05") + " and helped, and the same was seen again after it"
	default:
		return ""
	}
}

// relapsed reports whether the same cause shows again after a remediation of the whole workload, on a replica whose limit was
// raised, or in a crash loop that goes on in what took the place of a replica: it was not that replica's, nor its node's.
func (p *pass) relapsed(t *tracked, r *incident.Remediation) bool {
	if r.Remedy == incident.RemedyRestart || r.Remedy == incident.RemedyQuarantine {
		// Else the next replica is another target.
		return oneOf(t.inc.Kind, incident.CrashLoop, incident.NodeCrashLoop) && slices.ContainsFunc(t.findings, func(f incident.Finding) bool {
			one := p.replica(f.ReplicaUID, f.Replica)
			return f.Active && one != nil && !one.CreatedAt.Before(r.AttemptedAt.Truncate(time.Second))
		})
	}
	return slices.ContainsFunc(t.findings, func(f incident.Finding) bool {
		if !f.Active && !f.Since.After(r.FinishedAt) {
			return false
		}
		if r.Remedy != incident.RemedyResizeMemory || r.Change.Template {
			return true
		}
		one := p.replica(f.ReplicaUID, f.Replica)
		own := f.ReplicaUID == r.ReplicaUID && f.Replica == r.Replica // another one was raised later, or never
		return own && one != nil && !raisable(one, &r.Change)
	})
}

// raisable reports whether the container's limit is below what the change raises it to.
func raisable(r *cluster.Replica, c *incident.Change) bool {
	one := r.Container(c.Container)
	return one != nil && one.MemoryLimit > 0 && one.MemoryLimit < c.ToMemory
}

// rehearsed reports whether the rung has its dry run.
func (t *tracked) rehearsed(rung incident.Remedy) bool {
	return slices.ContainsFunc(t.inc.Remediations, func(r incident.Remediation) bool {
		return r.Outcome == incident.DryRun && r.Remedy == rung
	})
}
