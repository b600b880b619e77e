package detect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
)

// probableOOM knows a SIGKILL that nobody else sent: the runtime loses the kernel's OOM event now and then and gives another
// reason, mostly Error. Some limits are too low for the runtime's own first process, which it says in a message.
func probableOOM(s *subject, d *death) (explanation, bool) {
	limit := s.container.MemoryLimit
	if strings.Contains(d.Message, "OOM-killed") && (d.Reason == reasonStartError || d.Reason == reasonCannotRun) {
		e := explanation{
			confidence: 90, message: s.who() + " was killed for memory before its command ran",
			pro: []string{"the runtime's message says OOM-killed", exitPhrase(d.Termination)},
		}
		if limit > 0 {
			e.message += ", with a limit of " + phrase.Bytes(limit)
		}
		return e, true
	}
	if limit <= 0 || !unclaimedKill(s, d) {
		return explanation{}, false
	}
	e := explanation{
		pro:     []string{"exit code 137 (SIGKILL)", "no event of a probe or a deletion within 60 s of it"},
		against: []string{reasonPhrase(d.Termination)},
	}
	c, points := s.container, s.points()
	last, known := sampleBefore(points, d.Termination)
	known = known && d.FinishedAt.Sub(last.At) <= 2*near
	used := last.MemoryBytes
	expected, perSecond, grew := memoryAtDeath(points, d.Termination)
	if cache := s.cacheBefore(d); cache > 0 { // the kernel takes that back before it kills
		used, expected = used-cache, expected-float64(cache)
	}
	life, timed := lifeOf(d.Termination)
	switch {
	case c.OOMEventsKnown && c.OOMEvents > 0 && !d.FinishedAt.IsZero() && c.LastOOMEvent.Sub(d.FinishedAt).Abs() <= near:
		e.confidence = 90
		e.pro = append(e.pro, "the container's OOM counter grew near it")
		e.message = s.who() + " was killed for memory: exit code 137, and its OOM counter grew"
		if !known || float64(used) < nearLimit*float64(limit) {
			s.excuse(&e, d.FinishedAt)
		}
	case known && float64(used) >= nearLimit*float64(limit):
		e.confidence = 75
		e.pro = append(e.pro, lastSample(used, limit))
		e.message = s.who() + " was probably killed for memory: exit code 137, and " + lastSample(used, limit)
	case grew && expected >= nearLimit*float64(limit):
		e.confidence = 60
		e.pro = append(e.pro, "memory grew by "+phrase.Bytes(int64(perSecond))+" a second")
		e.against = append(e.against, lastSample(used, limit))
		e.message = s.who() + " was probably killed for memory: exit code 137, and at its pace of growth it was at its limit of " +
			phrase.Bytes(limit)
	case !known && timed && life < shortLife && s.oomElsewhere(d):
		e.confidence = 60
		e.pro = append(e.pro, "another death of this container was an OOM kill")
		e.against = append(e.against, "it lived "+phrase.Span(life)+", too short for a memory sample")
		e.message = fmt.Sprintf("%s was probably killed for memory: exit code 137 after %s, with a limit of %s",
			s.who(), phrase.Span(life), phrase.Bytes(limit))
		s.excuse(&e, d.FinishedAt)
	default:
		return explanation{}, false
	}
	return e, true
}

// cacheBefore returns how much of the last working set of the life was no resident memory, 0 where that is not known. The working set
// has the active part of the cache of files in it.
func (s *subject) cacheBefore(d *death) int64 {
	if s.Trend == nil || !lived(d.Termination) {
		return 0
	}
	for _, p := range slices.Backward(s.Trend(s.replica.Name, s.container.Name)) {
		switch {
		case p.At.After(d.FinishedAt) || p.ResidentBytes < 0 || p.MemoryBytes < 0:
		case p.At.Before(d.StartedAt) || d.FinishedAt.Sub(p.At) > 2*near:
			return 0
		default:
			return max(p.MemoryBytes-p.ResidentBytes, 0)
		}
	}
	return 0
}

// oomElsewhere reports whether another death of this container, in this replica or in another one, is known to be an OOM kill. A
// short life alone proves nothing: a program may end with 137 by itself, and the runtime sees one kill where it misses another.
func (s *subject) oomElsewhere(d *death) bool {
	for i := range s.Workload.Replicas {
		c := s.Workload.Replicas[i].Container(s.container.Name)
		if c == nil {
			continue
		}
		for _, t := range [2]*cluster.Termination{c.Terminated, c.Last} {
			if t != nil && t != d.Termination && t.Reason == cluster.ReasonOOMKilled {
				return true
			}
		}
	}
	return false
}

// reasonPhrase says that the runtime itself speaks of no OOM kill.
func reasonPhrase(t *cluster.Termination) string {
	if t.Reason == "" {
		return "the runtime gives no reason"
	}
	return "the runtime gives the reason " + phrase.Cut(t.Reason, 60) + ", not OOMKilled"
}
