package detect

import (
	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
)

// oomKilled knows a death at the container's own limit by the reason that the runtime gives. The reason is missing now and
// then (probableOOM), and it is given too where the node ran out of memory (nodeOOM).
func oomKilled(s *subject, d *death) (explanation, bool) {
	if d.Reason != cluster.ReasonOOMKilled {
		return explanation{}, false
	}
	if _, node := nodeOOM(s, d); node {
		return explanation{}, false
	}
	limit := s.container.MemoryLimit
	if s.container.Kind == cluster.ContainerEphemeral {
		return toolOOM(s, d), true
	}
	e := explanation{confidence: 95, pro: []string{"the runtime gives the reason OOMKilled", exitPhrase(d.Termination)}}
	if limit <= 0 {
		// Not sure enough to change the workload: a parent's limit or the node may have run out.
		e.confidence = 60
		e.against = []string{"it has no limit of its own"}
		e.message = s.who() + " was killed by the kernel for memory, though it has no limit of its own: the node or a parent's limit ran out"
		s.excuse(&e, d.FinishedAt)
		return e, true
	}
	e.message = s.who() + " was killed at its memory limit of " + phrase.Bytes(limit)
	used, known := memoryBefore(s.points(), d.Termination)
	full := known && float64(used) >= nearLimit*float64(limit)
	switch {
	case !known:
		e.against = []string{"no memory sample of that life"}
	case full:
		e.confidence = 99
		e.pro = append(e.pro, lastSample(used, limit))
	case float64(used) < farFromLimit*float64(limit):
		e.confidence = 85
		e.against = []string{lastSample(used, limit)}
	}
	if d.ExitCode != exitKill && d.Signal != sigKill {
		// containerd gives the reason for any kill in the container's cgroup, so the main process may have ended by itself long
		// after a child was killed.
		e.confidence = 60
		e.pro = e.pro[:1]
		e.against = append(e.against, exitPhrase(d.Termination)+" is not that of a kill: the kill may have been a child's")
	}
	if !full && toolBeside(s.replica, s.container, d.FinishedAt) != "" {
		e.message = s.who() + " was killed for memory, with a limit of " + phrase.Bytes(limit)
		s.excuse(&e, d.FinishedAt)
	}
	return e, true
}
