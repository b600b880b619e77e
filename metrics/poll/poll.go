package poll

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Config says how to poll. A zero field takes its default.
type Config struct {
	// Period between the beginnings of two fetches of a key, give or take a tenth; from 10ms to 1h. Default 10s. After
	// errors in a row it is doubled up to four times itself, but not beyond a minute where the period is shorter.
	Period time.Duration
	// Timeout of one fetch; from 1ms to 10m. Default 5s.
	Timeout time.Duration
	// Idle is how long a key is fetched after it was asked for last; from Period to 24h. Default 2m, or four periods if
	// that is longer.
	Idle time.Duration
	// Concurrent is how many fetches run at once; from 1 to 4096. Default 32. Slow ones have as many places again.
	Concurrent int
}

func (c Config) withDefaults() Config {
	if c.Period == 0 {
		c.Period = 10 * time.Second
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Idle == 0 {
		c.Idle = max(2*time.Minute, 4*c.Period)
	}
	if c.Concurrent == 0 {
		c.Concurrent = 32
	}
	return c
}

// Validate returns an error that names the first field that is not allowed, its value and what is allowed. Zero fields
// are checked as their defaults.
func (c Config) Validate() error {
	c = c.withDefaults()
	durations := []struct {
		field         string
		value, lo, hi time.Duration
	}{
		{"period", c.Period, 10 * time.Millisecond, time.Hour},
		{"timeout", c.Timeout, time.Millisecond, 10 * time.Minute},
		{"idle", c.Idle, c.Period, 24 * time.Hour},
	}
	for _, d := range durations {
		if d.value < d.lo || d.value > d.hi {
			return fmt.Errorf("poll: %s is %v, allowed is %v to %v", d.field, d.value, d.lo, d.hi)
		}
	}
	if c.Concurrent < 1 || c.Concurrent > 4096 {
		return fmt.Errorf("poll: concurrent is %d, allowed is 1 to 4096", c.Concurrent)
	}
	return nil
}

// Result is what is known of a key.
type Result[V any] struct {
	// Value is the newest value that a fetch returned without an error, and At when that fetch began, so that the age of
	// the value is never understated; zero: there was none yet.
	Value V
	At    time.Time
	// Err is the error of the last attempt; nil if it succeeded or there was none. A value from before it stays.
	Err error
	// Tried is true once an attempt has ended.
	Tried bool
}

// TimeoutError is the error of a fetch that did not end within Config.Timeout.
type TimeoutError struct {
	// After is the timeout.
	After time.Duration
	// Err is what the fetch returned.
	Err error
}

// Error says after which time the fetch was given up.
func (e *TimeoutError) Error() string { return fmt.Sprintf("there was no answer within %v", e.After) }

// Unwrap returns what the fetch returned.
func (e *TimeoutError) Unwrap() error { return e.Err }

// Poller fetches the values of the keys that are asked for. Make one with New and run it once. It is safe for concurrent
// use.
type Poller[K comparable, V any] struct {
	config Config
	fetch  func(ctx context.Context, k K) (V, error)
	wake   chan struct{} // something was added

	mu    sync.Mutex
	keys  map[K]*entry[K, V]
	added []*entry[K, V] // not yet in the schedule
}

// entry is one key. The poller's lock guards the first group.
type entry[K comparable, V any] struct {
	key    K
	wanted time.Time
	result Result[V]

	visit
}

// New returns a poller of what fetch returns, or an error if the configuration is not valid. fetch is called from many
// goroutines, for one key from one at a time, with a context that ends with the timeout; it must heed that.
func New[K comparable, V any](fetch func(ctx context.Context, k K) (V, error), c Config) (*Poller[K, V], error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Poller[K, V]{
		config: c.withDefaults(), fetch: fetch, wake: make(chan struct{}, 1), keys: map[K]*entry[K, V]{},
	}, nil
}

// Config returns the configuration with its defaults filled in.
func (p *Poller[K, V]) Config() Config { return p.config }

// Get returns what is known of the key and marks it as wanted at now. It does not wait for a fetch, so the first answer
// for a key has neither a value nor an error.
func (p *Poller[K, V]) Get(k K, now time.Time) Result[V] {
	p.mu.Lock()
	e := p.keys[k]
	fresh := e == nil
	if fresh {
		e = &entry[K, V]{key: k, wanted: now}
		p.keys[k] = e
		p.added = append(p.added, e)
	}
	if now.After(e.wanted) {
		e.wanted = now
	}
	r := e.result
	p.mu.Unlock()
	if fresh {
		select {
		case p.wake <- struct{}{}:
		default: // it is awake already
		}
	}
	return r
}

// Len returns how many keys are wanted.
func (p *Poller[K, V]) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.keys)
}

// take returns the keys that were added since the last call.
func (p *Poller[K, V]) take() []*entry[K, V] {
	p.mu.Lock()
	defer p.mu.Unlock()
	added := p.added
	p.added = nil
	return added
}

// dropIdle forgets the key if nobody has asked for it during Config.Idle, and reports that.
func (p *Poller[K, V]) dropIdle(e *entry[K, V], now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(e.wanted) <= p.config.Idle {
		return false
	}
	delete(p.keys, e.key)
	return true
}

// keep takes the outcome of a fetch that began at the given time.
func (p *Poller[K, V]) keep(e *entry[K, V], v V, begun time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.result.Tried, e.result.Err = true, err
	if err == nil {
		e.result.Value, e.result.At = v, begun
	}
}
