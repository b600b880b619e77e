package poll

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// patienceShare of the timeout (one quarter) is what a fetch may take before it is slow.
	patienceShare = 4
	// jitterShare of a delay (one tenth) is how far it is moved at random, so that keys that began together spread out.
	jitterShare = 10
	// longestBackOff, in periods, is the delay after errors in a row.
	longestBackOff = 4
	// backOffEnd is a delay that errors alone do not exceed.
	backOffEnd = time.Minute
	// firstWithin is the span over which the first fetches of keys that are wanted at once are spread, or half a period
	// if that is shorter.
	firstWithin = time.Second
)

// visit is the place of a key in the schedule; it belongs to Run's own goroutine.
type visit struct {
	due    time.Time // of the next fetch
	begun  time.Time // of the fetch under way
	slow   bool      // in the slow lane: the fetch under way, or the next one
	failed int       // attempts in a row
}

// round is the state of Run.
type round[K comparable, V any] struct {
	*Poller[K, V]

	waiting dueHeap[K, V]
	// Those whose time has come and who wait for a place, in order, by lane.
	fast, slow []*entry[K, V]
	// young are the fetches under way that are not known to be slow, in the order they began in.
	young     []*entry[K, V]
	slowCount int // slow fetches under way
	done      chan outcome[K, V]
	fetches   sync.WaitGroup
}

// outcome is the end of a fetch.
type outcome[K comparable, V any] struct {
	entry *entry[K, V]
	err   error
}

// Run polls until ctx ends, and returns after the last fetch has.
func (p *Poller[K, V]) Run(ctx context.Context) {
	r := &round[K, V]{Poller: p, done: make(chan outcome[K, V])}
	ctx, cancel := context.WithCancel(ctx)
	defer r.fetches.Wait()
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := time.Now()
		r.add(now)
		r.markSlow(now)
		r.advance(now)
		r.begin(ctx, now)
		timer.Reset(r.next(now).Sub(now))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-p.wake:
		case o := <-r.done:
			r.finished(o, time.Now())
		}
	}
}

// add takes the keys that are new into the schedule.
func (r *round[K, V]) add(now time.Time) {
	spread := min(firstWithin, r.config.Period/2)
	for _, e := range r.take() {
		e.due = now.Add(rand.N(spread))
		heap.Push(&r.waiting, e)
	}
}

// markSlow moves the fetches that take long out of the way of others.
func (r *round[K, V]) markSlow(now time.Time) {
	for len(r.young) > 0 && now.Sub(r.young[0].begun) >= r.patience() {
		r.young[0].slow = true
		r.slowCount++
		r.young[0] = nil
		r.young = r.young[1:]
	}
}

func (r *round[K, V]) patience() time.Duration { return r.config.Timeout / patienceShare }

// advance puts the keys that are due into their lanes, but for those that nobody wants any more.
func (r *round[K, V]) advance(now time.Time) {
	for len(r.waiting) > 0 && !r.waiting[0].due.After(now) {
		e, _ := heap.Pop(&r.waiting).(*entry[K, V])
		switch {
		case r.dropIdle(e, now):
		case e.slow:
			r.slow = append(r.slow, e)
		default:
			r.fast = append(r.fast, e)
		}
	}
}

// begin starts as many fetches as there are places for.
func (r *round[K, V]) begin(ctx context.Context, now time.Time) {
	for len(r.fast) > 0 && len(r.young) < r.config.Concurrent {
		r.young = append(r.young, r.fast[0])
		r.start(ctx, &r.fast, now)
	}
	for len(r.slow) > 0 && r.slowCount < r.config.Concurrent {
		r.slowCount++
		r.start(ctx, &r.slow, now)
	}
}

// start fetches the key at the head of the lane.
func (r *round[K, V]) start(ctx context.Context, lane *[]*entry[K, V], now time.Time) {
	e := (*lane)[0]
	(*lane)[0] = nil
	*lane = (*lane)[1:]
	e.begun = now
	r.fetches.Go(func() {
		err := r.fetchOne(ctx, e, now)
		select {
		case r.done <- outcome[K, V]{e, err}:
		case <-ctx.Done(): // nobody listens any more
		}
	})
}

// fetchOne fetches the key and keeps what came of it. Being stopped says nothing about the key.
func (r *round[K, V]) fetchOne(ctx context.Context, e *entry[K, V], begun time.Time) error {
	limited, cancel := context.WithTimeout(ctx, r.config.Timeout)
	defer cancel()
	v, err := r.fetch(limited, e.key)
	if ctx.Err() != nil {
		return err
	}
	if err != nil && limited.Err() != nil {
		err = &TimeoutError{After: r.config.Timeout, Err: err}
	}
	r.keep(e, v, begun, err)
	return err
}

// finished takes the key back into the schedule.
func (r *round[K, V]) finished(o outcome[K, V], now time.Time) {
	e := o.entry
	// It may have passed the line between two turns of the loop.
	if e.slow {
		r.slowCount--
	} else {
		r.remove(e)
	}
	e.slow = now.Sub(e.begun) >= r.patience()
	if o.err == nil {
		e.failed = 0
	} else {
		e.failed++
	}
	e.due = e.begun.Add(jittered(backOff(r.config.Period, e.failed)))
	heap.Push(&r.waiting, e)
}

// remove takes the fetch out of the young ones.
func (r *round[K, V]) remove(e *entry[K, V]) {
	for i, y := range r.young {
		if y == e {
			r.young = append(r.young[:i], r.young[i+1:]...)
			return
		}
	}
}

// backOff returns the delay to the next fetch after so many errors in a row.
func backOff(period time.Duration, failed int) time.Duration {
	longest := max(period, min(longestBackOff*period, backOffEnd))
	delay := period
	for range failed - 1 {
		if delay *= 2; delay >= longest {
			return longest
		}
	}
	return delay
}

func jittered(d time.Duration) time.Duration {
	most := d / jitterShare
	return d - most + rand.N(2*most+1)
}

// next returns when there is something to do at the latest.
func (r *round[K, V]) next(now time.Time) time.Time {
	at := now.Add(r.config.Idle)
	if len(r.waiting) > 0 && r.waiting[0].due.Before(at) {
		at = r.waiting[0].due
	}
	if len(r.young) > 0 {
		if slow := r.young[0].begun.Add(r.patience()); slow.Before(at) {
			at = slow
		}
	}
	return at
}

// dueHeap orders keys by when they are due.
type dueHeap[K comparable, V any] []*entry[K, V]

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (h dueHeap[K, V]) Len() int           { return len(h) }
func (h dueHeap[K, V]) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap[K, V]) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is used by package heap only.
func (h *dueHeap[K, V]) Push(x any) {
	e, _ := x.(*entry[K, V])
	*h = append(*h, e)
}

// Pop is used by package heap only.
func (h *dueHeap[K, V]) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return e
}
