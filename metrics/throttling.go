package metrics

import (
	"hash/maphash"
	"math"
	"time"
)

const (
	// throttledSpan is what Throttled looks back on, as the alert CPUThrottlingHigh of kubernetes-mixin does.
	throttledSpan = 5 * time.Minute
	// throttledLeast is the shortest span that it says anything of: a start alone is not judged.
	throttledLeast = time.Minute
	// throttledStep is how far apart the kept readings are, and throttledKeep how many there are of them: the span and one step,
	// and as much again for readings that come a little early.
	throttledStep = 30 * time.Second
	throttledKeep = 13
)

// throttling is the CFS counters of one container, summed over its lives.
type throttling struct {
	lives lives
	// periods and throttled are the newest reading of the present life's counters.
	periods, throttled float64
	newest             throttlingSlot
	ring               [throttledKeep]throttlingSlot
	next               int
}

// throttlingSlot is both counters, summed over the lives.
type throttlingSlot struct {
	at                 int64 // nanoseconds since the epoch; 0: there is none
	periods, throttled float64
}

// AddThrottling keeps a reading of how many CFS periods the container had with something to run, and in how many of these its
// CPU limit held it back; both are counters of the life that instance names (its cgroup). A counter that starts anew counts from
// its first reading. A container without a CPU limit has no such counters.
func (s *Store) AddThrottling(key Key, instance string, at time.Time, periods, throttled float64) {
	nanos, ok := toNanos(at)
	if !ok || !(periods >= 0 && throttled >= 0 && throttled <= periods) || math.IsInf(periods, 0) {
		return
	}
	sh := s.shard(key.Pod)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	_, c := sh.entry(key)
	if c.throttling == nil {
		c.throttling = &throttling{}
	}
	c.throttling.add(maphash.String(s.seed, instance)|1, nanos, periods, throttled)
}

func (t *throttling) add(id uint64, at int64, periods, throttled float64) {
	counts, first := t.lives.take(id, at)
	if !counts || at <= t.newest.at {
		return
	}
	if grown, held := periods-t.periods, throttled-t.throttled; !first && grown >= 0 && held >= 0 {
		t.newest.periods += grown
		t.newest.throttled += held
	}
	t.newest.at, t.periods, t.throttled = at, periods, throttled
	last := &t.ring[(t.next+throttledKeep-1)%throttledKeep]
	if last.at == 0 || at-last.at >= int64(throttledStep) {
		t.ring[t.next] = t.newest
		t.next = (t.next + 1) % throttledKeep
	}
}

// Throttled returns the share of the container's CFS periods in the last five minutes, in percent, in which its CPU limit held
// it back; 0 where it had nothing to run. It is not known where the counters were not read, for less than a minute, or not
// within Config.StaleAfter of now.
func (s *Store) Throttled(key Key, now time.Time) (percent float64, known bool) {
	sh := s.shard(key.Pod)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	_, c := sh.find(key)
	if c == nil || c.throttling == nil {
		return 0, false
	}
	t := c.throttling
	if t.newest.at == 0 || now.Sub(fromNanos(t.newest.at)).Abs() > s.config.StaleAfter {
		return 0, false
	}
	base := &t.newest
	for i := range t.ring {
		r := &t.ring[i]
		if r.at != 0 && r.at < base.at && t.newest.at-r.at <= int64(throttledSpan+throttledStep/2) {
			base = r
		}
	}
	if t.newest.at-base.at < int64(throttledLeast) {
		return 0, false
	}
	grown := t.newest.periods - base.periods
	if grown <= 0 {
		return 0, true
	}
	return 100 * (t.newest.throttled - base.throttled) / grown, true
}
