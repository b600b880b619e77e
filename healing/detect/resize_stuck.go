package detect

import (
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// deferredFor is how long an in-place resize may wait for room on the node. The kubelet tries it again by itself, and
// room comes when another replica ends.
const deferredFor = 5 * time.Minute

// resizeStuck finds an in-place resize that does not happen: the node cannot do it (Infeasible), has no room for it now
// (Deferred), or tried and failed (Error). The replica runs on with what it had.
func resizeStuck(s *subject) (incident.Finding, bool) {
	r := s.replica
	if s.over() {
		return incident.Finding{}, false
	}
	pending, running := trueCondition(r, "PodResizePending"), trueCondition(r, "PodResizeInProgress")
	var (
		c    *cluster.Condition
		what string
		wait = s.PendingAfter
	)
	switch {
	case pending != nil && pending.Reason == "Infeasible":
		c, what = pending, "can never be done on node "+r.Node
	case running != nil && running.Reason == "Error":
		c, what = running, "fails"
	case pending != nil && pending.Reason == "Deferred":
		c, what, wait = pending, "waits for room on node "+r.Node, deferredFor
	default:
		return incident.Finding{}, false
	}
	if c.Since.IsZero() || s.Now.Sub(c.Since) <= wait {
		return incident.Finding{}, false
	}
	f := incident.Finding{
		Since: c.Since, Active: true, Confidence: 95, Fingerprint: s.print("ResizeStuck", c.Reason, stamp(c.Since)),
		Message: "the in-place resize of " + r.Name + " " + what,
		For:     []string{"its condition " + c.Type + " has the reason " + c.Reason},
	}
	if c.Message != "" {
		f.Message += ": " + phrase.Cut(c.Message, quoted)
	}
	return f, true
}

// trueCondition returns the replica's condition of that type where it is True, else nil.
func trueCondition(r *cluster.Replica, kind string) *cluster.Condition {
	if c := r.Condition(kind); c != nil && c.Status == "True" {
		return c
	}
	return nil
}
