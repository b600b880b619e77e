package detect

import (
	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
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
