package metrics

import (
	"math"
	"time"
)

// Reach says what interval a CPU rate covers, for a counter that is read more often than its steps are fine.
type Reach struct {
	// Span is the shortest interval; a tenth less will do, as readings are not evenly spaced.
	Span time.Duration
	// Longest is the longest interval.
	Longest time.Duration
	// Growth in core-seconds is by how much the counter shall have grown: the interval is the shortest from Span on in
	// which it did, or the longest there is where it did in none.
	Growth float64
}

// spanSlack of the span (one tenth) may be missing.
const spanSlack = 10

// UsageWithin is Usage with another choice of the interval: see Reach. A counter's coarseness over its growth is the
// relative error of the rate, so that Growth bounds it. Without an interval that is long enough the reason is
// ReasonTooFewSamples.
func (w *Window) UsageWithin(now time.Time, r Reach, staleAfter time.Duration) Usage {
	u, head := w.newestUsage(now, staleAfter)
	if head < 0 {
		return u
	}
	shortest := r.Span - r.Span/spanSlack
	h, best := w.slot(head), head
	for i := head + 1; i < w.life; i++ {
		s := w.slot(i)
		d := time.Duration(h.at - s.at)
		if d > r.Longest {
			break
		}
		if s.has(flagNoCPU) || d < shortest {
			continue
		}
		if best = i; h.cpu-s.cpu >= r.Growth {
			break
		}
	}
	w.rate(&u, head, best)
	return u
}

// CPUBetween returns the average CPU rate between two times, in thousandths of a core, between whose neighboring
// readings it takes the counter to have grown evenly. It is false where the readings of the present life do not reach
// that far, or where from is not before to.
func (w *Window) CPUBetween(from, to time.Time) (int64, bool) {
	a, okA := w.cpuAt(from)
	b, okB := w.cpuAt(to)
	if !okA || !okB || !from.Before(to) {
		return 0, false
	}
	return milli(b-a, to.Sub(from)), true
}

// cpuAt returns the counter at a time within the present life.
func (w *Window) cpuAt(t time.Time) (float64, bool) {
	at := t.UnixNano()
	after := -1 // the oldest slot with CPU that is not before t
	for i := range w.life {
		s := w.slot(i)
		if s.has(flagNoCPU) {
			continue
		}
		if s.at >= at {
			after = i
			continue
		}
		if after < 0 {
			return math.NaN(), false
		}
		n := w.slot(after)
		return s.cpu + (n.cpu-s.cpu)*float64(at-s.at)/float64(n.at-s.at), true
	}
	if after >= 0 && w.slot(after).at == at {
		return w.slot(after).cpu, true
	}
	return math.NaN(), false
}
