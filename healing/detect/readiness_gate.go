package detect

import (
	"strings"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

const reasonGates = "ReadinessGatesNotReady"

// gated reports whether all that the replica waits for to be ready is a readiness gate.
func (s *subject) gated() bool {
	r := s.replica
	if r.Ready || r.Phase != cluster.PhaseRunning {
		return false
	}
	if r.ReadyReason == reasonGates {
		return true
	}
	if !containersReady(r) {
		return false
	}
	for _, g := range r.Gates {
		if c := r.Condition(g); c == nil || c.Status != "True" {
			return true
		}
	}
	return false
}

// containersReady reports whether the replica has containers that last and all of them are ready.
func containersReady(r *cluster.Replica) bool {
	n := 0
	for i := range r.Containers {
		c := &r.Containers[i]
		if c.Kind == cluster.ContainerInit || c.Kind == cluster.ContainerEphemeral {
			continue
		}
		if c.State != cluster.StateRunning || !c.Ready {
			return false
		}
		n++
	}
	return n > 0
}

// readinessGate finds a replica whose containers have been ready for a while and which a readiness gate keeps from being
// ready: the controller that sets the gate's condition does not, and a restart does not help.
func readinessGate(s *subject) (incident.Finding, bool) {
	if !s.gated() {
		return incident.Finding{}, false
	}
	r := s.replica
	since := latest(r.ReadySince, r.StartedAt, r.CreatedAt)
	if c := r.Condition("ContainersReady"); c != nil {
		since = latest(since, c.Since)
	}
	var closed []string
	for _, g := range r.Gates {
		c := r.Condition(g)
		switch {
		case c == nil:
			closed = append(closed, phrase.Cut(g, 120)+" (nobody has set it)")
			continue
		case c.Status == "True":
			continue
		case c.Reason != "":
			closed = append(closed, phrase.Cut(g, 120)+" ("+c.Status+": "+phrase.Cut(c.Reason, 60)+")")
		default:
			closed = append(closed, phrase.Cut(g, 120)+" ("+c.Status+")")
		}
		since = latest(since, c.Since)
	}
	for i := range r.Containers {
		since = latest(since, startOf(&r.Containers[i]))
	}
	if since.IsZero() || s.Now.Sub(since) < s.NotReadyAfter {
		return incident.Finding{}, false
	}
	f := incident.Finding{
		Since: since, Active: true, Confidence: 95, Fingerprint: s.print("ReadinessGate", stamp(since)),
		Message: "the containers of " + r.Name + " are ready, and a readiness gate holds it back",
		For:     []string{"its condition Ready is False with the reason " + reasonGates},
	}
	if r.ReadyReason != reasonGates {
		f.Confidence = 85
		f.For = []string{"every container is ready, and its condition Ready is False"}
	}
	switch {
	case len(closed) > 0:
		f.Message += ": " + strings.Join(closed[:min(len(closed), 5)], ", ")
	case r.ReadyMessage != "":
		f.Message += ": " + phrase.Cut(r.ReadyMessage, quoted)
	}
	if len(closed) > 0 && r.ReadyMessage != "" {
		f.For = append(f.For, phrase.Cut(r.ReadyMessage, quoted))
	}
	return f, true
}

// startOf returns when a container that lasts began its present life.
func startOf(c *cluster.Container) time.Time {
	if c.Kind == cluster.ContainerInit || c.Kind == cluster.ContainerEphemeral {
		return time.Time{}
	}
	return c.StartedAt
}
