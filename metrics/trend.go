package metrics

import (
	"hash/maphash"
	"math"
	"time"
)

const (
	// trendAfter is how old a container has to be before a trend of it is kept for its samples alone: most of what starts ends
	// soon, in a job or a crash loop.
	trendAfter = time.Minute
	// trendSlack of the step (one tenth) may be missing between two points, as readings are not evenly spaced.
	trendSlack = 10
	// pageBytes is the unit in which a trend keeps memory: the kernel hands it out in pages.
	pageBytes = 4096
	// trendFirst is how many points a trend has room for at first.
	trendFirst = 16
	// unknown stands in a trendSlot for NotKnown.
	unknown = math.MaxUint32
)

// trendSlot is a point in 16 bytes. Times are the low half of milliseconds since the epoch, which say how far apart two slots
// are where that is less than 49 days.
type trendSlot struct {
	at, resident, memory, cpu uint32 // milliseconds, pages, pages, thousandths of a core
}

// reading is one value and its time in nanoseconds since the epoch; at 0 there is none.
type reading struct {
	at    int64
	value float64
}

// trend is the long history of one container. Its ring grows with the container's age, up to its size.
type trend struct {
	ring []trendSlot
	next int   // where the next point goes once the ring is full
	at   int64 // of the newest point; 0: there is none

	lives            lives // of the resident readings
	resident, memory reading
	// base is the CPU counter at the newest point or at the beginning of the life, cpu the newest reading of it.
	base, cpu reading
}

// AddResident keeps a reading of a container's resident (anonymous) memory, taken at the given time, in its trend. instance
// names the life that the reading belongs to (its cgroup): where a page shows a dead life beside the new one, the dead one is
// ignored. A reading that is not newer than the newest, or negative, is ignored.
func (s *Store) AddResident(key Key, instance string, at time.Time, bytes int64) {
	nanos, ok := toNanos(at)
	if !ok || bytes < 0 {
		return
	}
	sh := s.shard(key.Pod)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	_, c := sh.entry(key)
	if c.trend == nil {
		c.trend = &trend{}
	}
	t := c.trend
	counts, _ := t.lives.take(maphash.String(s.seed, instance)|1, nanos)
	if !counts || nanos <= t.resident.at {
		return
	}
	t.resident = reading{nanos, float64(bytes)}
	t.step(nanos, s.config)
}

// addTrend keeps the window's newest sample in the trend of its container.
func (s *Store) addTrend(c *container) {
	w := c.window
	newest := w.slot(0)
	if c.trend == nil {
		first := w.slot(w.n - 1).at
		if w.start != 0 {
			first = min(first, w.start)
		}
		if newest.at-first <= int64(trendAfter) {
			return
		}
		c.trend = &trend{}
	}
	t := c.trend
	if newest.has(flagNewLife) {
		t.base, t.cpu, t.memory = reading{}, reading{}, reading{}
		if t.resident.at < w.start || w.start == 0 {
			t.resident = reading{}
		}
	}
	if !newest.has(flagNoMemory) {
		t.memory = reading{newest.at, float64(newest.memory & memoryMask)}
	}
	if !newest.has(flagNoCPU) {
		if t.cpu = (reading{newest.at, newest.cpu}); t.base.at == 0 {
			t.base = t.cpu
		}
	}
	t.step(newest.at, s.config)
}

// step makes a point where one is due. What is older than a step is not of this point.
func (t *trend) step(at int64, c Config) {
	step := int64(c.TrendStep)
	if t.at != 0 && at-t.at < step-step/trendSlack {
		return
	}
	p := trendSlot{at: uint32(at / int64(time.Millisecond)), resident: unknown, memory: unknown, cpu: unknown}
	if t.resident.at != 0 && at-t.resident.at <= step {
		p.resident = packed(t.resident.value / pageBytes)
	}
	if t.memory.at != 0 && at-t.memory.at <= step {
		p.memory = packed(t.memory.value / pageBytes)
	}
	if d := t.cpu.at - t.base.at; d > 0 {
		p.cpu = packed(float64(milli(t.cpu.value-t.base.value, time.Duration(d))))
		t.base = t.cpu
	}
	if p.resident == unknown && p.memory == unknown && p.cpu == unknown {
		return
	}
	t.at = at
	if most := c.trendPoints(); len(t.ring) < most {
		if len(t.ring) == cap(t.ring) { // append would take up to twice of what is needed in the end
			t.ring = append(make([]trendSlot, 0, min(most, max(trendFirst, 2*len(t.ring)))), t.ring...)
		}
		t.ring = append(t.ring, p)
		return
	}
	t.ring[t.next] = p
	t.next = (t.next + 1) % len(t.ring)
}

// packed rounds a value up; what does not fit is the largest value there is.
func packed(v float64) uint32 {
	return uint32(min(math.Ceil(v), unknown-1))
}

// Trend returns the long history of the container, oldest first: a point each Config.TrendStep over at most Config.TrendSpan,
// with memory rounded up to 4 KiB; nil if none is kept. The points of all lives of the container are in it, in the order of
// time: whoever wants one life takes the points after its start. No CPU rate is taken across lives.
func (s *Store) Trend(key Key) []TrendPoint {
	sh := s.shard(key.Pod)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	_, c := sh.find(key)
	if c == nil || c.trend == nil || len(c.trend.ring) == 0 {
		return nil
	}
	return c.trend.points(s.config.TrendSpan)
}

func (t *trend) points(span time.Duration) []TrendPoint {
	n := len(t.ring)
	out := make([]TrendPoint, n)
	from := n
	at, last := t.at-t.at%int64(time.Millisecond), uint32(t.at/int64(time.Millisecond))
	for i := range n {
		p := &t.ring[(t.next+n-1-i)%n]
		at -= int64(last-p.at) * int64(time.Millisecond)
		if last = p.at; t.at-at > int64(span) {
			break
		}
		from--
		out[from] = TrendPoint{
			At: fromNanos(at), ResidentBytes: unpacked(p.resident, pageBytes), MemoryBytes: unpacked(p.memory, pageBytes),
			CPUMilli: unpacked(p.cpu, 1),
		}
	}
	return out[from:]
}

func unpacked(v uint32, unit int64) int64 {
	if v == unknown {
		return NotKnown
	}
	return int64(v) * unit
}

// deadFor is how long a life may be unheard of before the one before it is believed to be the present one: a page shows a dead
// cgroup for some housekeeping intervals at most.
const deadFor = time.Minute

// lives tells which of a container's lives a reading belongs to, where a page shows a dead one beside the new one: the one that
// came last counts.
type lives struct {
	present, before uint64 // hashes of the names of instances; 0: none
	seen            int64  // when the present one was read
}

// take reports whether a reading of the instance counts, and whether it is the first of its life.
func (l *lives) take(id uint64, at int64) (counts, first bool) {
	if id == l.present {
		l.seen = max(l.seen, at)
		return true, false
	}
	if id == l.before && at-l.seen < int64(deadFor) {
		return false, false
	}
	l.present, l.before, l.seen = id, l.present, at
	return true, true
}
