package detect

import (
	"fmt"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

// emptied is the memory below which nothing runs in a container any more: what the kernel keeps for an empty cgroup is about
// half of it.
const emptied = 512 << 10

// childOOM finds that the kernel killed a process in a container whose main process lives on. No status says so; the
// counter of kills does, and the memory after the kill: where the main process was killed the counter shows it some seconds before
// the status, and none is left.
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
	since, alive := s.memorySince(c.LastOOMEvent)
	switch {
	case since != nil && !alive:
		return incident.Finding{}, false // the status does not show the end of the main process yet
	case since == nil && s.Now.Sub(c.LastOOMEvent) < shortLife:
		return incident.Finding{}, false // the next sample tells
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
	if since == nil {
		f.Confidence = 75
		f.Against = []string{"no memory sample since"}
	} else {
		f.For = append(f.For, "it uses "+phrase.Bytes(since.MemoryBytes)+" since")
	}
	if c.MemoryLimit > 0 {
		f.For = append(f.For, "its memory limit is "+phrase.Bytes(c.MemoryLimit))
	}
	e := explanation{confidence: f.Confidence, message: f.Message, against: f.Against}
	s.excuse(&e, c.LastOOMEvent)
	f.Confidence, f.Message, f.Against = e.confidence, e.message, e.against
	return f, true
}

// memorySince returns the newest sample of the container's memory after that time, nil for none, and whether something still
// runs in it.
func (s *subject) memorySince(at time.Time) (p *metrics.Point, alive bool) {
	points := s.points()
	for i := len(points) - 1; i >= 0 && points[i].At.After(at); i-- {
		if points[i].MemoryBytes >= 0 {
			return &points[i], points[i].MemoryBytes >= emptied
		}
	}
	return nil, false
}
