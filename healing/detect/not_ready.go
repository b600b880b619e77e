package detect

import (
	"strings"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// notReady finds a replica that runs, does not restart, and has not been ready for a while. A replica that only waits
// for a readiness gate is none, and one that its startup probe still gives time is none either.
func notReady(s *subject) (incident.Finding, bool) {
	r := s.replica
	if r.Ready || r.Phase != cluster.PhaseRunning || s.gated() {
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
		if c.StartupProbe && !c.Started {
			return incident.Finding{}, false // it is still starting, and is killed if that takes too long
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
	} else {
		f.Confidence = 60
		f.Against = []string{"every container of it is ready"}
	}
	if said := lastReadiness(r); said != "" {
		f.For = append(f.For, phrase.Cut(said, quoted))
	}
	return f, true
}

// lastReadiness returns what the newest event about the readiness probe says, empty for none.
func lastReadiness(r *cluster.Replica) string {
	for i := range r.Events {
		if ev := &r.Events[i]; ev.Reason == "Unhealthy" && strings.HasPrefix(ev.Message, "Readiness probe") {
			return ev.Message
		}
	}
	return ""
}
