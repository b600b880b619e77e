package kube

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/homeostat/homeostat/platform/kube/write"
)

const (
	// scaleFor is how long a scale that was read from the API server is used before it is read again, also one that could not
	// be read: as often as Kubernetes' own controller looks at it, three times over. scaleStale is how old it may be all the
	// same, while it is being read.
	scaleFor   = 5 * time.Second
	scaleStale = time.Minute
	// scaleWait is how long all decisions of one pass together wait for scales that were never read, and scaleReads how many
	// are read at once, each for scaleTimeout at most.
	scaleWait    = time.Second
	scaleReads   = 8
	scaleTimeout = 10 * time.Second
)

// scaleEntry is one scale. The cache's lock guards it.
type scaleEntry struct {
	read    scaled
	err     error
	at      time.Time // when it was asked for; zero: there was no answer yet
	used    time.Time
	reading bool
	first   chan struct{} // closed by the first answer
}

// scaleCache keeps scales that are not in the view. They are read in the background, so that a slow or a long list of them
// delays no other target.
type scaleCache struct {
	places chan struct{}

	mu      sync.Mutex
	entries map[string]*scaleEntry
	pass    time.Time // the time of the last pass, and how long its decisions have waited
	waited  time.Duration
}

func newScaleCache() *scaleCache {
	return &scaleCache{places: make(chan struct{}, scaleReads), entries: map[string]*scaleEntry{}}
}

func scaleKey(t write.Target) string { return t.APIVersion + "/" + workloadKey(t.Ref) }

// get returns the newest scale that was read. start runs a function beside the caller.
func (c *scaleCache) get(
	ctx context.Context, t write.Target, now time.Time, start func(func()), read func(context.Context) (scaled, error),
) (scaled, error) {
	c.mu.Lock()
	e := c.entry(scaleKey(t), now)
	if !e.reading && now.Sub(e.at) >= scaleFor {
		e.reading = true
		start(func() { c.fill(ctx, e, now, read) })
	}
	if !c.pass.Equal(now) {
		c.pass, c.waited = now, 0
	}
	wait := scaleWait - c.waited
	c.mu.Unlock()
	began := time.Now()
	select {
	case <-e.first:
	case <-ctx.Done():
	case <-time.After(wait):
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waited += time.Since(began)
	switch age := now.Sub(e.at); {
	case e.at.IsZero():
		return scaled{}, fmt.Errorf("read the scale of %s: the API server has not answered yet", t.Ref)
	case age > scaleStale:
		return scaled{}, fmt.Errorf("read the scale of %s: the last answer is %s old", t.Ref, age.Round(time.Second))
	}
	return e.read, e.err
}

// entry returns the entry of the key. One that nobody has asked for so long that it is too old now is as if it had never been read:
// it is waited for again, because the next decision may come as late as this one. The lock must be held.
func (c *scaleCache) entry(key string, now time.Time) *scaleEntry {
	e := c.entries[key]
	if e == nil || !e.reading && !e.at.IsZero() && now.Sub(e.at) > scaleStale {
		for k, old := range c.entries { // of targets that nobody asks for any more
			if now.Sub(old.used) > scaleStale {
				delete(c.entries, k)
			}
		}
		e = &scaleEntry{first: make(chan struct{})}
		c.entries[key] = e
	}
	e.used = now
	return e
}

// fill reads a scale.
func (c *scaleCache) fill(ctx context.Context, e *scaleEntry, asked time.Time, read func(context.Context) (scaled, error)) {
	select {
	case c.places <- struct{}{}:
		defer func() { <-c.places }()
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(ctx, scaleTimeout)
	defer cancel()
	got, err := read(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	e.reading = false
	if errors.Is(context.Cause(ctx), context.Canceled) { // nobody asks any more
		return
	}
	if e.at.IsZero() {
		close(e.first)
	}
	e.read, e.err, e.at = got, err, asked
}

// selector returns the selector that was read last, nil where none was.
func (c *scaleCache) selector(t write.Target, now time.Time) labels.Selector {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[scaleKey(t)]; e != nil && !e.at.IsZero() && e.err == nil && now.Sub(e.at) < scaleStale {
		return e.read.selector
	}
	return nil
}

// forget has the scale read anew. What is being read now does not count.
func (c *scaleCache) forget(t write.Target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.entries, scaleKey(t))
}
