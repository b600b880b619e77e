package kube

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

const (
	// probePeriod and probeTimeout bound how long it takes to notice that the API server is away: their sum.
	probePeriod  = 2 * time.Second
	probeTimeout = 2 * time.Second
	// initialEventsEnd is the annotation of the bookmark that ends the list at the beginning of a watch.
	initialEventsEnd = "k8s.io/initial-events-end"
)

// contact knows how old the view on the cluster can be. Two things must hold for a fresh view: every watch is open, so
// that a change would have been delivered, and the API server answered lately, so that an open watch is not merely a dead
// connection. An open watch alone is silent in a quiet cluster; an answer alone says nothing about a watch that waits in
// its back-off.
type contact struct {
	last atomic.Int64 // nanoseconds since the epoch

	mu    sync.Mutex
	links []*link
	// away is since when the API server does not answer, zero while it does, and why.
	away time.Time
	why  error

	requests requests
}

// link is one watch.
type link struct {
	contact *contact
	name    string

	mu      sync.Mutex
	current *followed // the newest watch
	open    bool
	since   time.Time // when open last changed
	err     error     // why it is not open
	// failures are the last times that it failed, the newest first.
	failures [2]time.Time
	// excused is true where it is not open because the API server refuses it and the view does without.
	excused bool
}

func newContact(now time.Time) *contact {
	c := &contact{}
	c.last.Store(now.UnixNano())
	return c
}

// heard notes that the API server delivered something.
func (c *contact) heard(now time.Time) {
	n := now.UnixNano()
	for {
		last := c.last.Load()
		if n <= last || c.last.CompareAndSwap(last, n) {
			return
		}
	}
}

// link returns a new watch that is not open yet.
func (c *contact) link(name string, now time.Time) *link {
	l := &link{contact: c, name: name, since: now}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.links = append(c.links, l)
	return l
}

// stale returns how old the view can be at now.
func (c *contact) stale(now time.Time) time.Duration {
	worst := now.Sub(time.Unix(0, c.last.Load()))
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.links {
		l.mu.Lock()
		if !l.open && !l.excused {
			worst = max(worst, now.Sub(l.since))
		}
		l.mu.Unlock()
	}
	return max(worst, 0)
}

// probe asks the API server every probePeriod until ctx is done. An answer counts from when it was asked for. turned is
// told when the answers begin to fail (with the error) and when they succeed again (nil).
func (c *contact) probe(ctx context.Context, ask func(context.Context) error, turned func(error)) {
	tick := time.NewTicker(probePeriod)
	defer tick.Stop()
	away := false
	for {
		asked := time.Now()
		probeCtx, cancel := context.WithTimeout(ctx, probeTimeout)
		err := ask(probeCtx)
		cancel()
		if err == nil {
			c.heard(asked)
		}
		if ctx.Err() == nil {
			c.answered(asked, err)
		}
		if (err != nil) != away && ctx.Err() == nil {
			away = err != nil
			turned(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// failed notes that no watch could be opened, or why one ended.
func (l *link) failed(err error) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.set(false)
	l.err = err
	if ofServer(err) && now.Sub(l.failures[0]) > sameFailure { // one failure can be told twice
		l.failures[1], l.failures[0] = l.failures[0], now
	}
}

// excuse notes that the view does without.
func (l *link) excuse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.excused = !l.open
}

func (l *link) isExcused() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.excused
}

// turned notes that a watch is open or has ended. The end of one that was replaced meanwhile says nothing.
func (l *link) turned(f *followed, open bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current != f {
		return
	}
	l.set(open)
	if open {
		l.err, l.excused = nil, false
	}
}

// set must be called with the lock held.
func (l *link) set(open bool) {
	if l.open != open {
		l.open, l.since = open, time.Now()
	}
}

// failure says why the watch is not open, nil if nothing is known.
func (l *link) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		return nil
	}
	return fmt.Errorf("watch %s: %w", l.name, l.err)
}

// follow wraps a watch that was just opened. One that begins with a list counts as open when the list is complete.
func (l *link) follow(w watch.Interface, opts metav1.ListOptions) watch.Interface {
	f := &followed{link: l, inner: w, out: make(chan watch.Event), done: make(chan struct{})}
	l.mu.Lock()
	l.current = f
	l.mu.Unlock()
	l.turned(f, opts.SendInitialEvents == nil || !*opts.SendInitialEvents)
	go f.run()
	return f
}

// followed passes the events of a watch on and notes that they come.
type followed struct {
	link  *link
	inner watch.Interface
	out   chan watch.Event
	stop  sync.Once
	done  chan struct{}
}

// ResultChan returns the events; it is closed at the end of the watch.
func (f *followed) ResultChan() <-chan watch.Event { return f.out }

// Stop ends the watch.
func (f *followed) Stop() {
	f.stop.Do(func() {
		close(f.done)
		f.inner.Stop()
	})
}

func (f *followed) run() {
	defer close(f.out)
	defer f.link.turned(f, false)
	for e := range f.inner.ResultChan() {
		if e.Type != watch.Error {
			f.link.contact.heard(time.Now())
		}
		if e.Type == watch.Bookmark && endsList(e) {
			f.link.turned(f, true)
		}
		select {
		case f.out <- e:
		case <-f.done:
			return
		}
	}
}

func endsList(e watch.Event) bool {
	o, err := meta.Accessor(e.Object)
	return err == nil && o.GetAnnotations()[initialEventsEnd] == "true"
}
