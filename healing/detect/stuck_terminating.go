package detect

import (
	"strings"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// terminationMargin is how long after its grace period a replica may still be there: what the kubelet needs to unmount
// volumes and to report, and the delay of a busy API server.
const terminationMargin = 60 * time.Second

// stuckTerminating finds a replica that was to be deleted and is still there long after its grace period. Nobody may force
// that: whoever does can make two of what a StatefulSet promises to be one.
func stuckTerminating(s *subject) (incident.Finding, bool) {
	r := s.replica
	if !r.Deleting() {
		return incident.Finding{}, false
	}
	due := r.DeletedAt.Add(time.Duration(max(r.GraceSeconds, 0)) * time.Second)
	node, known := s.Nodes[r.Node]
	able := due
	if node.Ready == "True" { // a kubelet that was away hears of the deletion when it is back
		able = latest(due, node.Since)
	}
	if s.Now.Sub(able) <= terminationMargin {
		return incident.Finding{}, false
	}
	f := incident.Finding{
		Since: due, Active: true, Confidence: 95, Fingerprint: s.print("StuckTerminating", stamp(r.DeletedAt)),
		Message: r.Name + " should have been gone for more than " + phrase.Span(terminationMargin),
		For: []string{
			"its deletion was asked for " + phrase.Span(between(r.DeletedAt, s.Now)) + " ago when it was found, with " +
				phrase.Span(time.Duration(max(r.GraceSeconds, 0))*time.Second) + " of grace",
		},
	}
	running := stillRunning(r)
	switch {
	case len(s.Nodes) > 0 && r.Node != "" && !known:
		f.Message += ": its node " + r.Node + " does not exist any more"
	case known && node.Ready != "True":
		f.Message += ": its node " + r.Node + " is not ready, so nobody can say that its containers have ended"
	case len(running) > 0:
		f.Message += ": still running on node " + r.Node + ": " + phrase.Cut(strings.Join(running, ", "), 120)
	case len(r.Finalizers) > 0:
		f.Message += ": held by the finalizers " + phrase.Cut(strings.Join(r.Finalizers, ", "), quoted)
	default:
		f.Message += ", and what holds it is not known"
		f.Against = []string{"no finalizer, no running container, and its node is ready"}
	}
	if len(r.Finalizers) > 0 {
		f.For = append(f.For, "finalizers: "+phrase.Cut(strings.Join(r.Finalizers, ", "), quoted))
	}
	for i := range r.Events {
		if ev := &r.Events[i]; ev.Reason == "FailedKillPod" || ev.Reason == "ExceededGracePeriod" || ev.Reason == "FailedPreStopHook" {
			f.For = append(f.For, ev.Reason+": "+phrase.Cut(ev.Message, quoted))
			break
		}
	}
	return f, true
}

func stillRunning(r *cluster.Replica) []string {
	var out []string
	for i := range r.Containers {
		if r.Containers[i].State == cluster.StateRunning {
			out = append(out, r.Containers[i].Name)
		}
	}
	return out
}
