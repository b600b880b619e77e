package survey

import (
	"fmt"
	"slices"
	"time"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// settle is how long the cause of a storm may last without its hold: what turns out within it to be one root with members is none.
const settle = 30 * time.Second

// rooted is how old the incidents of a storm have to be until it has one itself: the log that names their root is read when they are
// stored, and they get it in the pass after. Until then the breaker is open without one, so that nobody is paged for nothing.
const rooted = 10 * time.Second

// Breaker says when so much fails at once that acting is more likely to harm than to help. The model is the node controller's,
// which stops evicting where more than half of a zone is unhealthy, and medik8s' storm cooldown.
type Breaker struct {
	// SharePercent of the watched workloads that may have opened an incident Within; above it, and from AtLeast workloads on, it
	// is a storm. Default 20 % and 3 within 5 minutes.
	SharePercent int32
	AtLeast      int32
	Within       time.Duration
	// Nodes not ready at once that are a storm. Default 2.
	Nodes int32
	// Hold is how long nothing is done after the cause went away. Default 10 minutes.
	Hold time.Duration
}

// DefaultBreaker returns the defaults.
func DefaultBreaker() Breaker {
	return Breaker{SharePercent: 20, AtLeast: 3, Within: 5 * time.Minute, Nodes: 2, Hold: 10 * time.Minute}
}

// clusterRef is what an incident of kind Storm is about.
func clusterRef() cluster.Ref { return cluster.Ref{Kind: KindCluster, Name: "cluster"} }

// storm opens, keeps and resolves the incident of a storm, and returns why nothing may be done, empty where it may.
func (l *look) storm() string {
	cause := l.stormCause(0)
	stored := l.about(clusterRef(), incident.Storm)
	switch {
	case stored == nil && cause == "":
		return ""
	case stored == nil:
		if l.stormCause(rooted) != "" {
			l.put(l.openStorm(cause), healing.ReasonOpened)
		}
		return cause
	case cause != "":
		l.keepStorm(stored, cause)
		return cause
	}
	in := stored.Clone()
	if in.HealthySince.IsZero() && l.now.Sub(in.StartedAt) >= settle {
		in.HealthySince = l.now
		in.Note(l.now, string(healing.ReasonRecovered), "its cause is away; nothing is done for another "+l.Breaker.Hold.String())
		in.Say(string(healing.ReasonRecovered), "the storm is over; nothing is done for another "+l.Breaker.Hold.String())
		l.put(in, healing.ReasonRecovered)
	}
	if left := l.Breaker.Hold - l.now.Sub(in.HealthySince); !in.HealthySince.IsZero() && left > 0 {
		return fmt.Sprintf("a storm ended %s ago, and nothing is done until %s after one", l.now.Sub(in.HealthySince).Round(time.Second), l.Breaker.Hold)
	}
	l.endStorms()
	return ""
}

// endStorms resolves the incident of the storm, and any other that a second leader made of the same one.
func (l *look) endStorms() {
	for i := range l.Incidents {
		if one := &l.Incidents[i]; !one.State.Active() || one.Kind != incident.Storm {
			continue
		}
		in := l.Incidents[i].Clone()
		in.State, in.ResolvedAt = incident.Resolved, l.now
		in.Note(l.now, string(healing.ReasonResolved), "resolved: remedies are carried out again")
		in.Say(string(healing.ReasonResolved), "resolved: remedies are carried out again")
		l.put(in, healing.ReasonResolved)
	}
}

// Late returns what Survey.Breaker says when the incidents that the pass opens are counted too. Until they are stored no survey sees
// them: each is stored when its log was captured, and one that is first must not be acted on because the others are not there yet. in
// is what the survey of this pass was made from.
func Late(in Input, opened []incident.Incident, now time.Time) string {
	in.Incidents = slices.Concat(in.Incidents, opened)
	return Make(in, now).Breaker()
}

// stormCause says what makes it a storm now, empty for nothing; incidents that are younger than age do not count.
func (l *look) stormCause(age time.Duration) string {
	if l.Trouble != "" {
		return "the platform's API is in trouble: " + l.Trouble
	}
	if n := l.lostNodes(); l.Breaker.Nodes > 0 && n >= l.Breaker.Nodes {
		return fmt.Sprintf("%d nodes are not ready at once", n)
	}
	failing := int32(len(l.failing(age))) //nolint:gosec // workloads are no billions
	watched := int32(len(l.Watched))      //nolint:gosec // workloads are no billions
	if l.Breaker.SharePercent > 0 && failing >= max(l.Breaker.AtLeast, 1) && int64(failing)*100 > int64(l.Breaker.SharePercent)*int64(watched) {
		return fmt.Sprintf("%d of %d watched workloads began to fail within %s", failing, watched, l.Breaker.Within)
	}
	return ""
}

// lostNodes counts the nodes that are not ready and hold more than what every node does: one that has just joined, or was drained
// before it is taken away, has the replicas of DaemonSets and static pods only, and is no storm.
func (l *look) lostNodes() int32 {
	var n int32
	for i := range l.downNodes {
		name := l.downNodes[i].Name
		if slices.ContainsFunc(l.Snapshot.Workloads, func(w *cluster.Workload) bool {
			everywhere := w.Ref.Kind == cluster.KindDaemonSet || w.Ref.Kind == cluster.KindPod && w.System
			return !everywhere && slices.ContainsFunc(w.Replicas, func(r cluster.Replica) bool { return r.Node == name && holds(&r) })
		}) {
			n++
		}
	}
	return n
}

// failing returns the watched workloads that opened an incident within the breaker's time and at least that long ago: one with a root has its root's cause,
// and a notice or a forecast is no failure.
func (l *look) failing(atLeast time.Duration) map[string]*incident.Incident {
	out := map[string]*incident.Incident{}
	for i := range l.Incidents {
		one := &l.Incidents[i]
		age := l.now.Sub(one.OpenedAt)
		if one.Root != "" || !one.Kind.Failure() || !ownFailure(one.Kind) || one.Kind == incident.Storm || one.Workload.Kind == KindNode || age > l.Breaker.Within || age < atLeast {
			continue
		}
		out[one.Workload.String()] = one
	}
	watched := make(map[string]bool, len(l.Watched))
	for _, w := range l.Watched {
		watched[w.Ref.String()] = true
	}
	for key := range out {
		if !watched[key] {
			delete(out, key)
		}
	}
	return out
}

// ownFailure reports whether the kind says that the workload itself fails: an autoscaler without metrics and a job that gave up do
// not take anything down, and a metrics server that is away makes every autoscaler blind at once.
func ownFailure(k incident.Kind) bool {
	return k != incident.AutoscalerBlind && k != incident.JobFailed
}

func (l *look) openStorm(cause string) incident.Incident {
	in := incident.Incident{
		Namespace: l.Home, Name: healing.IncidentName(clusterRef(), incident.Storm, l.now.UTC().String()), Workload: clusterRef(),
		Kind: incident.Storm, State: incident.Open, OpenedAt: l.now, StartedAt: l.now, LastSeenAt: l.now,
	}
	in.Count(l.now.UTC().String(), l.now, 1)
	failing := l.failing(0)
	for _, w := range sortedWorkloads(l.Watched) {
		if one := failing[w.Ref.String()]; one != nil {
			in.Join(incident.Member{Workload: w.Ref, Incident: fullName(one), Kind: one.Kind, Since: one.StartedAt})
		}
	}
	countMembers(&in, len(failing))
	in.Explain(cause, 90, []string{cause}, nil)
	in.Note(l.now, string(healing.ReasonOpened), cause)
	in.Note(l.now, string(healing.ReasonBreakerOpen), "the breaker is open: nothing is done anywhere until it is over")
	in.Say(string(healing.ReasonBreakerOpen), cause+"; the breaker is open: nothing is done anywhere until it is over, a person is needed")
	return in
}

func (l *look) keepStorm(stored *incident.Incident, cause string) {
	in := stored.Clone()
	changed := false
	if !in.HealthySince.IsZero() {
		in.HealthySince, changed = time.Time{}, true
		in.Count(l.now.UTC().String(), l.now, 1)
		in.Note(l.now, string(healing.ReasonSeenAgain), cause)
	}
	failing := l.failing(0)
	for _, w := range sortedWorkloads(l.Watched) {
		if one := failing[w.Ref.String()]; one != nil && in.Join(incident.Member{Workload: w.Ref, Incident: fullName(one), Kind: one.Kind, Since: one.StartedAt}) {
			changed = true
		}
	}
	changed = countMembers(&in, len(failing)) || changed
	if l.now.Sub(in.LastSeenAt) >= seenEvery {
		in.LastSeenAt, changed = l.now, true
	}
	if changed {
		in.Say(string(healing.ReasonBreakerOpen), cause+"; the breaker is open: nothing is done anywhere until it is over, a person is needed")
		l.put(in, "")
	}
}
