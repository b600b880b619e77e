package metrics

import (
	"math"
	"time"
)

const (
	// startJitter is how far two readings of the same start time may lie apart: a start computed from the machine's boot
	// time moves by up to a second.
	startJitter = time.Second
	// shortestShare of the span is the shortest interval a rate is taken over (one twentieth): below it the coarseness
	// of CPU accounting is as large as the rate.
	shortestShare = 20
)

// Flags in slot.memory. Memory takes the bits below, which is 2^61 bytes.
const (
	flagNewLife uint64 = 1 << (63 - iota)
	flagNoCPU
	flagNoMemory
	memoryMask uint64 = flagNoMemory - 1
)

// slot is a sample in 24 bytes; a ring of them is most of what a container costs.
type slot struct {
	at     int64 // nanoseconds since the epoch
	cpu    float64
	memory uint64 // bytes and flags
}

func (s *slot) has(flag uint64) bool { return s.memory&flag != 0 }

// Window holds the newest samples of one container in a ring of fixed size. Nothing but NewWindow allocates, except
// Points where the caller's slice is too small. It is not safe for concurrent use.
type Window struct {
	ring []slot
	next int // where the next sample goes
	n    int // how many slots are used
	life int // how many of them, the newest, belong to the present life
	// start of the present life, in nanoseconds since the epoch; 0 is not known.
	start int64
	// cpu is the newest CPU reading of the present life; NaN if it has none.
	cpu float64
}

// NewWindow returns a window that keeps the given number of samples, at least two.
func NewWindow(keep int) *Window {
	return &Window{ring: make([]slot, max(keep, 2)), cpu: math.NaN()}
}

// Len returns how many samples are kept at present.
func (w *Window) Len() int { return w.n }

// Newest returns the time of the newest sample, zero if there is none.
func (w *Window) Newest() time.Time {
	if w.n == 0 {
		return time.Time{}
	}
	return fromNanos(w.slot(0).at)
}

// Add keeps the sample and reports whether it is a new one. It is not if it is not newer than the newest (the same
// reading again, or one that came late), has a time before 1970, or has neither CPU nor memory. Values that cannot be,
// such as a negative counter, count as absent.
//
// A new life of the container begins where the CPU counter is lower than before, or where the start time differs by
// more than a second, or lies after the newest sample of a life whose start was not known.
func (w *Window) Add(s Sample) bool {
	at, ok := toNanos(s.At)
	if !ok || w.n > 0 && at <= w.slot(0).at {
		return false
	}
	noCPU := s.NoCPU || !(s.CPUSeconds >= 0) || math.IsInf(s.CPUSeconds, 0) // a NaN is not >= 0 either
	noMemory := s.NoMemory || s.MemoryBytes < 0 || uint64(s.MemoryBytes) > memoryMask
	if noCPU && noMemory {
		return false
	}
	start, _ := toNanos(s.Start)
	fresh := slot{at: at}
	if w.n == 0 || w.newLife(start, s.CPUSeconds, noCPU) {
		fresh.memory |= flagNewLife
		w.start, w.cpu, w.life = 0, math.NaN(), 0
	}
	if start != 0 && w.start == 0 {
		w.start = start
	}
	if noCPU {
		fresh.memory |= flagNoCPU
	} else {
		fresh.cpu, w.cpu = s.CPUSeconds, s.CPUSeconds
	}
	if noMemory {
		fresh.memory |= flagNoMemory
	} else {
		fresh.memory |= uint64(s.MemoryBytes)
	}
	w.ring[w.next] = fresh
	w.next = (w.next + 1) % len(w.ring)
	w.n, w.life = min(w.n+1, len(w.ring)), min(w.life+1, len(w.ring))
	return true
}

// newLife reports whether a sample newer than all kept ones belongs to another life than the newest of them.
func (w *Window) newLife(start int64, cpu float64, noCPU bool) bool {
	if !noCPU && cpu < w.cpu { // never true while w.cpu is NaN
		return true
	}
	if start == 0 {
		return false
	}
	if w.start == 0 {
		return start-w.slot(0).at > int64(startJitter)
	}
	return max(start-w.start, w.start-start) > int64(startJitter)
}

// slot returns the i-th newest slot; 0 is the newest.
func (w *Window) slot(i int) *slot {
	at := w.next - 1 - i
	if at < 0 {
		at += len(w.ring)
	}
	return &w.ring[at]
}

// Usage returns the usage at now. The CPU rate covers the interval between the newest sample and that earlier sample of
// the same life whose distance is nearest to span (the nearer one of two), but not less than a twentieth of span, and
// never more than span+staleAfter: what lies beyond such a gap says nothing about now. The nearest rather than the next
// one beyond span, because the kubelet's readings are 10 to 15 s apart and a rate over two of them lags twice as long.
// ReasonStale if the newest sample is further from now than staleAfter.
func (w *Window) Usage(now time.Time, span, staleAfter time.Duration) Usage {
	u, head := w.newestUsage(now, staleAfter)
	if head >= 0 {
		w.rate(&u, head, w.base(head, span, span+staleAfter))
	}
	return u
}

// newestUsage returns the usage without a rate, and the slot that a rate would end at; -1 if there is none.
func (w *Window) newestUsage(now time.Time, staleAfter time.Duration) (u Usage, head int) {
	if w.n == 0 {
		return Usage{Reason: ReasonMissing}, -1
	}
	newest := w.slot(0)
	u = Usage{Reason: ReasonTooFewSamples, At: fromNanos(newest.at)}
	if w.start != 0 {
		u.Start = fromNanos(w.start)
	}
	if age := now.Sub(u.At).Abs(); age > staleAfter {
		u.Reason = ReasonStale
		return u, -1
	}
	oldest := now.Add(-staleAfter).UnixNano()
	if i := w.newestWithout(flagNoMemory, oldest); i >= 0 {
		u.MemoryBytes, u.MemoryKnown = int64(w.slot(i).memory&memoryMask), true
	}
	return u, w.newestWithout(flagNoCPU, oldest)
}

// rate fills in the rate between two slots; base is head where there is no interval.
func (w *Window) rate(u *Usage, head, base int) {
	if base <= head {
		return
	}
	h, b := w.slot(head), w.slot(base)
	u.Reason, u.Window = ReasonOK, time.Duration(h.at-b.at)
	u.CPUMilli = milli(h.cpu-b.cpu, u.Window)
}

// newestWithout returns the newest slot of the present life that lacks the flag; -1 if there is none since oldest.
func (w *Window) newestWithout(flag uint64, oldest int64) int {
	for i := range w.life {
		s := w.slot(i)
		if s.at < oldest {
			break
		}
		if !s.has(flag) {
			return i
		}
	}
	return -1
}

// base returns the slot with CPU whose distance from head is nearest to span; head if there is none within reach.
func (w *Window) base(head int, span, reach time.Duration) int {
	best, bestOff := head, time.Duration(math.MaxInt64)
	for i := head + 1; i < w.life; i++ {
		s := w.slot(i)
		d := time.Duration(w.slot(head).at - s.at)
		if d > reach {
			break
		}
		if s.has(flagNoCPU) || d < span/shortestShare {
			continue
		}
		if off := (d - span).Abs(); off < bestOff {
			best, bestOff = i, off
		}
		if d >= span {
			break
		}
	}
	return best
}

// Points appends what is kept to dst, oldest first, across all lives of the container: the memory before a kill can be
// seen after the restart.
func (w *Window) Points(dst []Point) []Point {
	before := -1 // the slot with CPU before, in the same life
	for i := w.n - 1; i >= 0; i-- {
		s := w.slot(i)
		if s.has(flagNewLife) {
			before = -1
		}
		p := Point{At: fromNanos(s.at), CPUMilli: NotKnown, MemoryBytes: NotKnown}
		if !s.has(flagNoMemory) {
			p.MemoryBytes = int64(s.memory & memoryMask)
		}
		if !s.has(flagNoCPU) {
			if before >= 0 {
				b := w.slot(before)
				p.CPUMilli = milli(s.cpu-b.cpu, time.Duration(s.at-b.at))
			}
			before = i
		}
		dst = append(dst, p)
	}
	return dst
}

// milli is a rate in thousandths of a core: core-seconds over an interval.
func milli(coreSeconds float64, over time.Duration) int64 {
	rate := math.Round(coreSeconds / over.Seconds() * 1000)
	if rate >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(rate)
}

// toNanos is false for times that do not fit in nanoseconds since 1970, the zero time among them.
func toNanos(t time.Time) (int64, bool) {
	const last = math.MaxInt64 / int64(time.Second)
	if s := t.Unix(); s < 0 || s >= last {
		return 0, false
	}
	return t.UnixNano(), true
}

func fromNanos(n int64) time.Time { return time.Unix(0, n).UTC() }
