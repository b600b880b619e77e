package healing

import (
	"fmt"
	"slices"

	"github.com/homeostat/homeostat/healing/detect"
	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// guard is one reason not to act.
type guard struct {
	reason  Reason
	refuses func(q *proposal) (message string, refused bool)
	// skips is true where the next rung is asked instead: the reason is in the remedy, not in the moment.
	skips bool
	// always is true where it is asked, and recorded, though nothing is left to act on: nothing ever will be done.
	always bool
}

// guards returns all of them in the order in which they are asked; the package comment explains them.
func guards() [25]guard {
	return [25]guard{
		{reason: ReasonObserveOnly, refuses: observeOnly},
		{reason: ReasonNoRemedy, refuses: noRemedy, always: true},
		{reason: ReasonProtected, refuses: protected, always: true},
		{reason: ReasonNotOwned, refuses: notOwned, always: true},
		{reason: ReasonNoEvidence, refuses: noEvidence},
		{reason: ReasonStaleSnapshot, refuses: staleSnapshot},
		{reason: ReasonDependencyDown, refuses: dependencyDown},
		{reason: ReasonAlreadyTried, refuses: alreadyTried, skips: true},
		{reason: ReasonNotApplicable, refuses: notApplicable, skips: true},
		{reason: ReasonNotSupported, refuses: notSupported, skips: true},
		{reason: ReasonLowConfidence, refuses: lowConfidence, skips: true},
		{reason: ReasonBreakerOpen, refuses: breakerOpen},
		{reason: ReasonStillServing, refuses: stillServing},
		{reason: ReasonReplicaGone, refuses: replicaGone},
		{reason: ReasonNodeNotReady, refuses: nodeNotReady},
		{reason: ReasonAwaitingOtherWork, refuses: otherAction},
		{reason: ReasonManagedElsewhere, refuses: managedElsewhere, skips: true},
		{reason: ReasonScaledElsewhere, refuses: scaledElsewhere, skips: true},
		{reason: ReasonSizedElsewhere, refuses: sizedElsewhere, skips: true},
		{reason: ReasonRollingOut, refuses: rollingOut},
		{reason: ReasonMinHealthy, refuses: minHealthy},
		{reason: ReasonBlockedByBudget, refuses: wouldBreakPDB},
		{reason: ReasonCooldown, refuses: cooldown},
		{reason: ReasonBudgetExhausted, refuses: budgetExhausted},
		{reason: ReasonClusterBudget, refuses: clusterBudgetExhausted},
	}
}

// IsGuard reports whether the reason is one of a guard: why something was not done.
func IsGuard(r Reason) bool {
	list := guards()
	return slices.ContainsFunc(list[:], func(g guard) bool { return g.reason == r })
}

// refusal returns the first guard that refuses among those whose reason is not in except.
func (q *proposal) refusal(except ...Reason) (g guard, message string, refused bool) {
	for _, g := range guards() {
		if slices.Contains(except, g.reason) {
			continue
		}
		if message, refused := g.refuses(q); refused {
			return g, message, true
		}
	}
	return guard{}, "", false
}

// forbidden returns the first guard that refuses whatever is found: nothing ever will be done about the incident.
func (q *proposal) forbidden() (reason Reason, message string, refused bool) {
	for _, g := range guards() {
		if !g.always {
			continue
		}
		if message, refused := g.refuses(q); refused {
			return g.reason, message, true
		}
	}
	return "", "", false
}

func observeOnly(q *proposal) (string, bool) {
	return "observe mode: nothing is done", q.in.Policy.Mode != Act
}

func noRemedy(q *proposal) (string, bool) {
	if q.aboutTool(q.t) {
		return "nothing is done: container " + q.t.inc.Container() + " is a person's tool, which no replica is touched for", true
	}
	if q.remedy != incident.RemedyNone {
		return "", false
	}
	if len(Allowed(q.t.inc.Kind)) == 1 {
		return fmt.Sprintf("nothing is done: no remedy mends %s", q.t.inc.Kind), true
	}
	return fmt.Sprintf("nothing is done: the remedy for %s is None", q.t.inc.Kind), true
}

func protected(q *proposal) (string, bool) {
	w := q.in.Workload
	switch {
	case w.Self:
		return "refused: Homeostat does not act on itself", true
	case w.System:
		return "refused: it belongs to the cluster itself", true
	case w.Ref.Kind == cluster.KindDaemonSet, w.Ref.Kind == cluster.KindJob:
		return "refused: a " + w.Ref.Kind + " is never acted on", true
	case runsToItsEnd(w):
		return "refused: what belongs to " + w.Ref.Kind + " " + w.Ref.Name + " runs to its end once, as a Job does", true
	default:
		return "", false
	}
}

// runsToItsEnd reports whether the replicas belong to a kind that Kubernetes itself has not, such as a Workflow or a TaskRun, and none
// of them is started again when it ends: who made it may not make it again.
func runsToItsEnd(w *cluster.Workload) bool {
	switch w.Ref.Kind {
	case cluster.KindDeployment, cluster.KindStatefulSet, cluster.KindDaemonSet, cluster.KindReplicaSet, cluster.KindJob, cluster.KindPod, cluster.KindService:
		return false
	}
	return len(w.Replicas) > 0 && !slices.ContainsFunc(w.Replicas, func(r cluster.Replica) bool { return r.RestartsAlways })
}

func notOwned(q *proposal) (string, bool) {
	return "refused: a bare pod has no owner that would make it again", q.in.Workload.Ref.Kind == cluster.KindPod
}

func noEvidence(q *proposal) (string, bool) {
	if q.t.isNew() {
		return "refused: the evidence is not stored yet", true
	}
	if q.victim == nil {
		return "", false
	}
	if (q.follows || q.victim.Kind != q.t.inc.Kind) && len(q.t.capture) > 0 {
		return "refused: the log of what was seen now is not stored yet", true
	}
	if q.follows {
		return "", false
	}
	c, wanted := q.captureOf(q.victim)
	return "refused: the log of " + c.Replica + " is not captured yet", wanted && !q.t.inc.HasLog(c.Replica, c.Container)
}

func staleSnapshot(q *proposal) (string, bool) {
	return "refused: the view is older than " + phrase.Span(MaxStale), q.stale()
}

func notApplicable(q *proposal) (string, bool) { return q.misfit, q.misfit != "" }

// notSupported knows what Kubernetes cannot do for a kind of workload: only an owner of interchangeable replicas makes a fresh
// one beside a quarantined one, and only what keeps revisions rolls.
func notSupported(q *proposal) (string, bool) {
	kind := q.in.Workload.Ref.Kind
	switch q.remedy {
	case incident.RemedyResizeMemory:
		return "the platform cannot change the memory of a running replica", !q.in.Workload.Resizable
	case incident.RemedyQuarantine:
		return "the owner of a quarantined replica must be a Deployment or a ReplicaSet, it is a " + kind,
			kind != cluster.KindDeployment && kind != cluster.KindReplicaSet
	case incident.RemedyRollback, incident.RemedyRestartWorkload:
		return "only a Deployment or a StatefulSet rolls, it is a " + kind,
			kind != cluster.KindDeployment && kind != cluster.KindStatefulSet
	case incident.RemedyNone, incident.RemedyCapture, incident.RemedyRestart, incident.RemedyScaleOut, incident.RemedyAbortCanary:
		return "", false
	default:
		return "this remedy is not known", true
	}
}

// The diagnosis has to be this sure, in percent, before anything is changed: a workload, or one of its replicas.
const (
	sureOfWorkload int32 = 70
	sureOfReplica  int32 = 50
)

func lowConfidence(q *proposal) (string, bool) {
	need := sureOfReplica
	if !q.remedy.OnReplica() || q.change.Template {
		need = sureOfWorkload
	}
	sure := min(q.t.inc.Confidence, q.sureOfMemory())
	if q.replica != nil && detect.SharedMemory(q.replica, q.victim) { // the memory may have been used up by a person's tool
		sure = min(sure, q.victim.Confidence)
	}
	return fmt.Sprintf("the cause is sure to %d %%, %d %% are needed", sure, need),
		q.remedy != incident.RemedyCapture && sure < need
}

// sureOfMemory is how sure it is that memory is or was short, in percent, where the incident is about that and shows it now; else 100. That it
// began with the newest revision, or follows load, makes the sentence surer and not that.
func (q *proposal) sureOfMemory() int32 {
	if q.follows || !oneOf(q.t.inc.Kind, incident.OOMKilled, incident.ProbableOOM, incident.MemoryLeak) {
		return 100
	}
	var sure int32
	for _, f := range q.t.ownFindings() {
		sure = max(sure, f.Confidence)
	}
	if sure == 0 {
		return 100 // only what followed from it is seen
	}
	return sure
}

// dependencyDown waits for the root of the incident, and a while after it was mended: what depends on it recovers then.
func dependencyDown(q *proposal) (string, bool) {
	if root := q.t.inc.Root; root != "" {
		return "waits: it follows from " + root + ", which has to be mended first", true
	}
	if d, name := q.dependency(q.t); d != nil {
		return "waits: its log names the service " + name + ", which has no ready endpoint", true
	}
	back := lastNoted(&q.t.inc, ReasonRootFound)
	if at := lastNoted(&q.t.inc, ReasonDependencyDown); at.After(back) {
		back = at
	}
	return "waits: what it followed from was mended less than " + phrase.Span(q.in.Policy.VerifyWithin) + " ago",
		!back.IsZero() && q.now.Sub(back) < q.in.Policy.VerifyWithin
}

func breakerOpen(q *proposal) (string, bool) {
	return "waits: nothing is done in the whole cluster: " + q.in.Climate.Breaker, q.in.Climate.Breaker != ""
}

// stillServing lets the default remedy for ChildOOM through only where the application suffers visibly. A policy that
// names the remedy has decided that it always does.
func stillServing(q *proposal) (string, bool) {
	serves := q.victim != nil && q.t.inc.Kind == incident.ChildOOM && !q.named && q.replica != nil && q.replica.Ready
	return "nothing is done: the replica is ready, and the policy does not name a remedy for ChildOOM", serves
}

func replicaGone(q *proposal) (string, bool) {
	return "nothing is left to do: the replica is gone",
		q.remedy.OnReplica() && q.victim != nil && (q.replica == nil || q.replica.Deleting())
}

func nodeNotReady(q *proposal) (string, bool) {
	if !q.remedy.OnReplica() || q.replica == nil || q.replica.Node == "" || len(q.in.Nodes) == 0 {
		return "", false
	}
	n, found := q.in.Nodes[q.replica.Node]
	return "refused: node " + q.replica.Node + " is not ready, the control plane deals with it", !found || n.Ready != "True"
}

func otherAction(q *proposal) (string, bool) {
	if q.action != nil {
		return "waits: another action on the workload is under way", true
	}
	for _, t := range q.tracked {
		if t != q.t && inFlight(&t.inc) {
			return "waits: the action of " + t.inc.Name + " on the workload is not verified yet", true
		}
	}
	return "", false
}

// alreadyTried refuses a rung that was tried for this cause and did not help.
func alreadyTried(q *proposal) (string, bool) {
	for i := range q.t.inc.Remediations {
		r := &q.t.inc.Remediations[i]
		if r.Remedy != q.remedy || r.Outcome == incident.DryRun {
			continue
		}
		if q.remedy == incident.RemedyCapture && r.Outcome != incident.Pending {
			return "it was done: " + r.Message, true
		}
		if why := q.unhelpful(q.t, r); why != "" {
			return outcomeOf(r, why), true
		}
	}
	return "", false
}

// outcomeOf words a remediation that did not help, with what is known of why.
func outcomeOf(r *incident.Remediation, why string) string {
	doing := words(r).doing
	switch {
	case r.Outcome == incident.Failed && r.Attempts >= maxFailedAttempts && !ended(r):
		return fmt.Sprintf("%s failed %d times (%s)", doing, r.Attempts, why)
	case r.Reason == string(ReasonNotSupported):
		return doing + " is not supported: " + why
	case r.Reason == string(ReasonForbidden):
		return doing + " is forbidden: " + why
	default:
		return doing + " did not help: " + why
	}
}
