package detect

import (
	"fmt"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

const (
	// nearLimit is the share of the limit at which a kill by the kernel is plausible at the next allocation.
	nearLimit = 0.9
	// farFromLimit is the share below which the samples speak against a kill by the kernel. A fast leak can still fill
	// the rest between two samples, so it lowers the confidence and no more.
	farFromLimit = 0.5
	// shortLife is the life that fits between two scrapes of the slowest usual source (metrics-server: 15 s).
	shortLife = 15 * time.Second
	exitKill  = 137 // 128 + SIGKILL
	exitTerm  = 143 // 128 + SIGTERM
	sigKill   = 9
)

// oomKilled knows a death by the reason that the runtime gives. The reason alone is reliable where it is given; it is
// missing now and then (probableOOM).
func oomKilled(s *subject, d *death) (explanation, bool) {
	if d.Reason != cluster.ReasonOOMKilled {
		return explanation{}, false
	}
	limit := s.container.MemoryLimit
	e := explanation{confidence: 95, pro: []string{"the runtime gives the reason OOMKilled", exitPhrase(d.Termination)}}
	if limit <= 0 {
		e.confidence = 90
		e.message = s.who() + " was killed by the kernel for memory, though it has no limit of its own: the node or a parent's limit ran out"
		return e, true
	}
	e.message = s.who() + " was killed at its memory limit of " + phrase.Bytes(limit)
	used, known := memoryBefore(s.points(), d.Termination)
	switch {
	case !known:
		e.against = []string{"no memory sample of that life"}
	case float64(used) >= nearLimit*float64(limit):
		e.confidence = 99
		e.pro = append(e.pro, lastSample(used, limit))
	case float64(used) < farFromLimit*float64(limit):
		e.confidence = 85
		e.against = []string{lastSample(used, limit)}
	}
	return e, true
}

// probableOOM knows a SIGKILL that nobody else sent: the runtime loses the kernel's OOM event now and then and gives
// the reason Error instead.
func probableOOM(s *subject, d *death) (explanation, bool) {
	limit := s.container.MemoryLimit
	if limit <= 0 || d.Reason != cluster.ReasonError || d.ExitCode != exitKill || s.replica.Disruption != "" {
		return explanation{}, false
	}
	if ev := killerEvent(s.replica, d.FinishedAt); ev != nil {
		return explanation{}, false
	}
	e := explanation{
		pro:     []string{"exit code 137 (SIGKILL)", "no Killing or Unhealthy event within 60 s of it"},
		against: []string{"the runtime gives the reason Error, not OOMKilled"},
	}
	used, known := memoryBefore(s.points(), d.Termination)
	life := between(d.StartedAt, d.FinishedAt)
	switch {
	case known && float64(used) >= nearLimit*float64(limit):
		e.confidence = 75
		e.pro = append(e.pro, lastSample(used, limit))
		e.message = s.who() + " was probably killed for memory: exit code 137, and " + lastSample(used, limit)
	case !known && !d.StartedAt.IsZero() && life < shortLife:
		e.confidence = 50
		e.against = append(e.against, "it lived "+phrase.Span(life)+", too short for a memory sample")
		e.message = fmt.Sprintf("%s was probably killed for memory: exit code 137 after %s, with a limit of %s",
			s.who(), phrase.Span(life), phrase.Bytes(limit))
	default:
		return explanation{}, false
	}
	return e, true
}

// childOOM finds that the kernel killed a process in a container whose main process lives on. No status says so; the
// counter of kills does.
func childOOM(s *subject) (incident.Finding, bool) {
	c := s.container
	if !c.OOMEventsKnown || c.OOMEvents <= 0 || c.State != cluster.StateRunning || c.LastOOMEvent.IsZero() {
		return incident.Finding{}, false
	}
	if c.LastOOMEvent.Before(c.StartedAt) || s.Now.Sub(c.LastOOMEvent) > Horizon {
		return incident.Finding{}, false
	}
	// The counter is read once in a while, so it may show the death of the main process only after its restart.
	if d := c.Last; d != nil && (d.Reason == cluster.ReasonOOMKilled || d.ExitCode == exitKill) &&
		c.LastOOMEvent.Sub(d.FinishedAt) <= near {
		return incident.Finding{}, false
	}
	f := incident.Finding{
		Since: c.LastOOMEvent,
		// The count starts anew with every collector, so the minute names the occurrence.
		Fingerprint: s.print(c.Name, "ChildOOM", stamp(c.LastOOMEvent.Truncate(time.Minute))),
		Confidence:  90,
		Message: fmt.Sprintf("the kernel killed a process inside %s for memory, and the container lives on (%s counted)",
			s.who(), phrase.Count(c.OOMEvents, "kill")),
		For: []string{"the container's OOM counter grew", "its main process was not restarted"},
	}
	if c.MemoryLimit > 0 {
		f.For = append(f.For, "its memory limit is "+phrase.Bytes(c.MemoryLimit))
	}
	return f, true
}

// killerEvent returns an event about the replica that says who else may have killed it at that time, nil for none.
func killerEvent(r *cluster.Replica, at time.Time) *cluster.Event {
	for i := range r.Events {
		ev := &r.Events[i]
		switch ev.Reason {
		case "Killing", "Unhealthy", "Preempting", "Evicted":
			if eventNear(ev, at) {
				return ev
			}
		}
	}
	return nil
}

// eventNear reports whether the event's first or last time is near the death. Repeated events are kept as one with both
// times, and what lies between is not known.
func eventNear(ev *cluster.Event, at time.Time) bool {
	return ev.Last.Sub(at).Abs() <= near || ev.First.Sub(at).Abs() <= near
}

// memoryBefore returns the last known memory of the life that ended.
func memoryBefore(points []metrics.Point, t *cluster.Termination) (used int64, known bool) {
	for i := len(points) - 1; i >= 0; i-- {
		p := &points[i]
		if p.At.After(t.FinishedAt) {
			continue
		}
		if p.At.Before(t.StartedAt) {
			return 0, false
		}
		if p.MemoryBytes >= 0 {
			return p.MemoryBytes, true
		}
	}
	return 0, false
}

func lastSample(used, limit int64) string {
	return fmt.Sprintf("the last sample before it showed %s, %.0f %% of the limit", phrase.Bytes(used),
		100*float64(used)/float64(limit))
}

func exitPhrase(t *cluster.Termination) string {
	return fmt.Sprintf("exit code %d (%s)", t.ExitCode, ExitMeaning(t.ExitCode, t.Signal))
}
