package detect

import (
	"fmt"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

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
