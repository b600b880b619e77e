package detect

import (
	"slices"
	"strconv"
	"strings"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// nodeNotReady finds a replica whose node is gone or not ready. The control plane deals with it, and nothing else that
// such a replica shows can be trusted.
func nodeNotReady(s *subject) (incident.Finding, bool) {
	r := s.replica
	if r.Node == "" || len(s.Nodes) == 0 || r.Deleting() || s.over() {
		return incident.Finding{}, false
	}
	n, found := s.Nodes[r.Node]
	if found && n.Ready == "True" {
		return incident.Finding{}, false
	}
	f := incident.Finding{Since: n.Since, Active: true, Confidence: 95}
	switch {
	case !found:
		f.Message = "node " + r.Node + " of " + r.Name + " does not exist any more"
		f.For = []string{"the node is not in the list of nodes"}
	case n.Ready == "False":
		f.Message = "node " + r.Node + " of " + r.Name + " is not ready"
		f.For = []string{"its condition Ready is False"}
	default:
		f.Message = "node " + r.Node + " of " + r.Name + " does not report any more"
		f.For = []string{"its condition Ready is Unknown"}
	}
	if n.Message != "" {
		f.For = append(f.For, phrase.Cut(n.Message, quoted))
	}
	f.Fingerprint = s.print("NodeNotReady", r.Node)
	if !f.Since.IsZero() {
		f.Fingerprint = s.print("NodeNotReady", r.Node, stamp(f.Since))
	}
	return s.finish(f, incident.NodeNotReady), true
}

// unschedulable finds a replica for which the scheduler has found no node for a while. A replica that is held back on
// purpose (SchedulingGated) is not marked Unschedulable.
func unschedulable(s *subject) (incident.Finding, bool) {
	r := s.replica
	if !r.Unschedulable || r.Node != "" || s.over() {
		return incident.Finding{}, false
	}
	since := latest(r.UnschedulableSince, r.CreatedAt)
	if since.IsZero() || s.Now.Sub(since) < s.PendingAfter {
		return incident.Finding{}, false
	}
	f := incident.Finding{
		Since: since, Active: true, Confidence: 95,
		Fingerprint: s.print("Unschedulable", stamp(since)),
		Message:     "no node fits " + r.Name,
		For:         []string{"the scheduler marks it Unschedulable"},
	}
	if c := Constraints(r.UnschedulableMessage); len(c) > 0 {
		f.Message += ": " + strings.Join(c, ", ")
	} else if r.UnschedulableMessage != "" {
		f.Message += ": " + phrase.Cut(r.UnschedulableMessage, quoted)
		f.Against = []string{"the scheduler's message could not be taken apart"}
	}
	return f, true
}

// Constraints takes a scheduler's message apart, such as "0/3 nodes are available: 1 node(s) had untolerated taint
// {dedicated: db}, 2 Insufficient memory. preemption: …", into what binds, the constraint of the most nodes first:
// "Insufficient memory (2 of 3 nodes)". It is empty for a message of another form.
func Constraints(message string) []string {
	head, rest, found := strings.Cut(message, " nodes are available: ")
	if !found {
		return nil
	}
	total := head[strings.LastIndex(head, "/")+1:]
	rest, _, _ = strings.Cut(rest, " preemption:")
	rest, _, _ = strings.Cut(rest, "no new claims to deallocate")
	type constraint struct {
		nodes int
		text  string
	}
	var all []constraint
	for part := range strings.SplitSeq(strings.TrimRight(strings.TrimSpace(rest), "."), ", ") {
		count, text, cut := strings.Cut(strings.TrimSpace(part), " ")
		n, err := strconv.Atoi(count)
		if !cut || err != nil {
			continue
		}
		text = strings.TrimPrefix(strings.TrimSpace(text), "node(s) ")
		all = append(all, constraint{n, phrase.Cut(text, 120)})
	}
	slices.SortStableFunc(all, func(a, b constraint) int { return b.nodes - a.nodes })
	out := make([]string, 0, len(all))
	for _, c := range all[:min(len(all), 5)] {
		out = append(out, c.text+" ("+strconv.Itoa(c.nodes)+" of "+phrase.Cut(total, 12)+" nodes)")
	}
	return out
}

// notReady finds a replica that runs, does not restart, and has not been ready for a while. A replica that only waits
// for a readiness gate is not one: what holds it is somebody else's, and a restart does not help.
func notReady(s *subject) (incident.Finding, bool) {
	r := s.replica
	if r.Ready || r.Phase != cluster.PhaseRunning || r.ReadyReason == "ReadinessGatesNotReady" {
		return incident.Finding{}, false
	}
	since := latest(r.ReadySince, r.StartedAt, r.CreatedAt)
	var slow []string
	running := 0
	for i := range r.Containers {
		c := &r.Containers[i]
		if c.Kind == cluster.ContainerInit || c.Kind == cluster.ContainerEphemeral {
			continue
		}
		if c.State != cluster.StateRunning {
			return incident.Finding{}, false // it waits or has died, which is something else
		}
		running++
		since = latest(since, c.StartedAt)
		if !c.Ready {
			slow = append(slow, c.Name)
		}
	}
	if running == 0 || since.IsZero() || s.Now.Sub(since) < s.NotReadyAfter {
		return incident.Finding{}, false
	}
	f := incident.Finding{
		Since: since, Active: true, Confidence: 90,
		Fingerprint: s.print("NotReady", stamp(since)),
		Message:     r.Name + " runs and has not been ready for more than " + phrase.Span(s.NotReadyAfter),
		For:         []string{"its condition Ready is False", "no container restarted in that time"},
	}
	if len(slow) > 0 {
		f.For = append(f.For, "not ready: "+phrase.Cut(strings.Join(slow, ", "), 120))
	}
	for i := range r.Events {
		if ev := &r.Events[i]; ev.Reason == "Unhealthy" && strings.HasPrefix(ev.Message, "Readiness probe") {
			f.For = append(f.For, phrase.Cut(ev.Message, quoted))
			break
		}
	}
	return f, true
}
