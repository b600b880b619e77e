package metrics

import (
	"hash/maphash"
	"math"
	"time"
)

// oomInstances is how many lives of a container can be counted side by side: for a while the page shows the dead one
// beside the new one.
const oomInstances = 3

// oomCount is the number of OOM kills in one container, over its lives.
type oomCount struct {
	first, seen int64 // nanoseconds since the epoch
	grew        int64 // the same; 0 is never
	total       float64
	instances   [oomInstances]oomInstance
}

// oomInstance is the counter of one life.
type oomInstance struct {
	id   uint64 // hash of the instance's name; 0 is a free place
	last float64
	seen int64 // nanoseconds since the epoch
}

// AddOOMEvents keeps a reading, taken at the given time, of the counter of kills by the kernel inside a container.
// instance names the life that the counter belongs to (its cgroup); all readings of one page must have the same time.
// What the counters show when a container is seen first is where counting starts, so a kill between the container's
// start and the first reading is not counted. A counter that starts anew counts from zero.
func (s *Store) AddOOMEvents(key Key, instance string, at time.Time, count float64) {
	nanos, ok := toNanos(at)
	if !ok || !(count >= 0) || math.IsInf(count, 0) {
		return
	}
	sh := s.shard(key.Pod)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	_, c := sh.entry(key)
	if c.oom == nil {
		c.oom = &oomCount{first: nanos}
	}
	c.oom.add(maphash.String(s.seed, instance)|1, nanos, count)
}

func (o *oomCount) add(id uint64, at int64, count float64) {
	if at < o.seen {
		return
	}
	o.seen = at
	in := o.instance(id)
	grown := count - in.last
	switch {
	case in.id == 0 && at == o.first:
		grown = 0
	case grown < 0:
		grown = count
	}
	in.id, in.last, in.seen = id, count, at
	if grown > 0 {
		o.total += grown
		o.grew = at
	}
}

// instance returns the place of the instance: its own, or that of the one that was not seen for the longest, emptied.
func (o *oomCount) instance(id uint64) *oomInstance {
	oldest := &o.instances[0]
	for i := range o.instances {
		in := &o.instances[i]
		if in.id == id {
			return in
		}
		if in.seen < oldest.seen {
			oldest = in
		}
	}
	*oldest = oomInstance{}
	return oldest
}

// OOMEvents returns how many kills by the kernel were counted inside the container since it was seen first, over all its
// lives, and when the count last grew (zero if it never did). The count never falls. known is false if the container's
// counter was never read.
func (s *Store) OOMEvents(key Key) (count float64, at time.Time, known bool) {
	sh := s.shard(key.Pod)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	_, c := sh.find(key)
	if c == nil || c.oom == nil {
		return 0, time.Time{}, false
	}
	if c.oom.grew != 0 {
		at = fromNanos(c.oom.grew)
	}
	return c.oom.total, at, true
}
