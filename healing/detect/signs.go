package detect

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/metrics"
)

// What several checks read: exit codes, events near a death, memory before it.

const (
	// nearLimit is the share of the limit at which a kill by the kernel is plausible at the next allocation.
	nearLimit = 0.9
	// farFromLimit is the share below which the samples speak against a kill at the limit. A fast leak can still fill
	// the rest between two samples, so it lowers the confidence and no more.
	farFromLimit = 0.5
	// shortLife is the life that fits between two scrapes of the slowest usual source (metrics-server: 15 s).
	shortLife = 15 * time.Second
	// skew is how much later than a death an event or a condition may seem that caused it: whole seconds, two clocks.
	skew     = 5 * time.Second
	exitKill = 137 // 128 + SIGKILL
	exitTerm = 143 // 128 + SIGTERM
	sigKill  = 9
)

// Reasons by which the runtime says that a process never ran: containerd's and Docker's of a termination, and the kubelet's
// of the waiting that follows.
const (
	reasonStartError = "StartError"
	reasonCannotRun  = "ContainerCannotRun"
	waitingRunError  = "RunContainerError"

	waitingCreateError = "CreateContainerError"
)

// quoted is how much of a platform's message goes into a sentence.
const quoted = 240

// eventNear reports whether the event's first or last time is near the death. Repeated events are kept as one with both
// times, and what lies between is not known.
func eventNear(ev *cluster.Event, at time.Time) bool {
	return ev.Last.Sub(at).Abs() <= near || ev.First.Sub(at).Abs() <= near
}

// unclaimedKill reports whether the death is a SIGKILL that the runtime gives no telling reason for, and that neither a
// probe, nor a deletion, nor a disruption explains.
func unclaimedKill(s *subject, d *death) bool {
	switch d.Reason {
	case cluster.ReasonOOMKilled, cluster.ReasonStatusUnknown, cluster.ReasonCompleted, ReasonLivenessProbe, ReasonStartupProbe,
		reasonStartError, reasonCannotRun, "DeadlineExceeded":
		return false
	}
	return d.ExitCode == exitKill && !s.endedBefore(d) && killerEvent(s, d) == nil
}

// endedBefore reports whether the whole replica was being ended (Evicted, Shutdown, DeletionByTaintManager) when the container
// died. A disruption that came later explains nothing.
func (s *subject) endedBefore(d *death) bool {
	if r := s.replica; r.Disruption != "" {
		return r.DisruptionSince.IsZero() || d.FinishedAt.IsZero() || !r.DisruptionSince.After(d.FinishedAt.Add(skew))
	}
	return s.replica.Reason != ""
}

// killerEvent returns an event about the replica that says who else may have killed the container in that life, nil for none.
// A readiness probe kills nobody, and what is said of another container does not count.
func killerEvent(s *subject, d *death) *cluster.Event {
	for i := range s.replica.Events {
		ev := &s.replica.Events[i]
		switch ev.Reason {
		case "Killing":
			if name := killedContainer(ev.Message); (name == "" || name == s.container.Name) && inLife(ev, d) {
				return ev
			}
		case "Unhealthy":
			if _, kills := failedProbe(ev.Message); kills && eventNear(ev, d.FinishedAt) {
				return ev
			}
		case "Preempting", "Evicted":
			if inLife(ev, d) {
				return ev
			}
		}
	}
	return nil
}

// inLife reports whether the event of a decision to kill is shortly before the end of the life, or within it: between that
// decision and the end there may be a long grace period, and nothing lives on after it. One that came later is about the next
// life.
func inLife(ev *cluster.Event, d *death) bool {
	for _, at := range [2]time.Time{ev.Last, ev.First} {
		if at.After(d.FinishedAt.Add(skew)) {
			continue
		}
		if d.FinishedAt.Sub(at) <= near || lived(d.Termination) && !at.Before(d.StartedAt) {
			return true
		}
	}
	return false
}

// killedContainer reads which container "Container app failed liveness probe, will be restarted" or "Stopping container app"
// names, empty for another message.
func killedContainer(message string) string {
	if name, _, found := killedForProbe(message); found {
		return name
	}
	if rest, found := strings.CutPrefix(message, "Stopping container "); found {
		return firstWord(rest)
	}
	return ""
}

// lived reports whether the platform knows when the life began. For a process that never ran containerd says in 1970.
func lived(t *cluster.Termination) bool { return t.StartedAt.Unix() > 0 && !t.FinishedAt.IsZero() }

// lifeOf returns how long the life was, and whether that is known.
func lifeOf(t *cluster.Termination) (time.Duration, bool) {
	if !lived(t) {
		return 0, false
	}
	return between(t.StartedAt, t.FinishedAt), true
}

// memoryBefore returns the last known memory of the life that ended.
func memoryBefore(points []metrics.Point, t *cluster.Termination) (used int64, known bool) {
	last, known := sampleBefore(points, t)
	return last.MemoryBytes, known
}

// sampleBefore returns the last sample of the life that ended in which its memory is known.
func sampleBefore(points []metrics.Point, t *cluster.Termination) (last metrics.Point, known bool) {
	for _, p := range slices.Backward(points) {
		if p.At.After(t.FinishedAt) {
			continue
		}
		if t.StartedAt.Unix() <= 0 || p.At.Before(t.StartedAt) {
			return metrics.Point{}, false
		}
		if p.MemoryBytes >= 0 {
			return p, true
		}
	}
	return metrics.Point{}, false
}

// memoryAtDeath carries the growth between the last two samples of the life on to its end: memory in bytes and bytes per
// second. It is not known where the memory did not grow, or the last sample is older than near.
func memoryAtDeath(points []metrics.Point, t *cluster.Termination) (expected, perSecond float64, known bool) {
	var last *metrics.Point
	for i := len(points) - 1; i >= 0; i-- {
		p := &points[i]
		if p.At.After(t.FinishedAt) || p.MemoryBytes < 0 {
			continue
		}
		if !lived(t) || p.At.Before(t.StartedAt) || t.FinishedAt.Sub(p.At) > 2*near {
			break
		}
		if last == nil {
			last = p
			continue
		}
		span := last.At.Sub(p.At).Seconds()
		ahead := t.FinishedAt.Sub(last.At)
		if span <= 0 || last.MemoryBytes <= p.MemoryBytes || ahead > near {
			return 0, 0, false
		}
		perSecond = float64(last.MemoryBytes-p.MemoryBytes) / span
		return float64(last.MemoryBytes) + perSecond*ahead.Seconds(), perSecond, true
	}
	return 0, 0, false
}

func lastSample(used, limit int64) string {
	return fmt.Sprintf("the last sample before it showed %s, %.0f %% of the limit", phrase.Bytes(used),
		100*float64(used)/float64(limit))
}

// lower changes ASCII letters only, so that an index into the result is one into the text.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func firstWord(s string) string {
	words := strings.Fields(s)
	if len(words) == 0 {
		return "(not named)"
	}
	return phrase.Cut(strings.Trim(words[0], `",:;`), 253)
}
