package detect

import (
	"fmt"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
)

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
