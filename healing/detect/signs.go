package detect

import (
	"fmt"
	"strings"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
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

// quoted is how much of a platform's message goes into a sentence.
const quoted = 240

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
