// Package lag bridges the time until an informer shows what was just written.
//
// resourceVersions are compared for equality only, so that "older" has to be known by other means: a write that was
// compared and swapped replaced the version that the informer showed, or one that was written here before. Whatever
// else the informer shows is newer. It holds no lock and knows no clock.
package lag

import (
	"slices"
	"time"
)

// limit is how long a write stands in for an informer; maxOlder how many versions are known to be older. Both only bound
// what a broken watch can do: every write is guarded by the API server in any case.
const (
	limit    = 30 * time.Second
	maxOlder = 32
)

// Own is the newest own write of one object. The zero value is none. It is not safe for concurrent use.
type Own[T any] struct {
	value   T
	version string
	older   []string
	at      time.Time
}

// Wrote notes that value was written as version while the informer showed the version shown; empty is "nothing".
func (o *Own[T]) Wrote(value T, version, shown string, at time.Time) {
	if shown == o.version {
		o.older = nil
	}
	o.older = append(o.older, shown)
	if o.version != shown && !o.at.IsZero() {
		o.older = append(o.older, o.version)
	}
	o.older = o.older[max(0, len(o.older)-maxOlder):]
	o.value, o.version, o.at = value, version, at
}

// Over returns the own write if the version that the informer shows is older; ok is false where the informer is right.
func (o *Own[T]) Over(shown string, now time.Time) (value T, ok bool) {
	if o.Done(now) || shown == o.version || !slices.Contains(o.older, shown) {
		return value, false
	}
	return o.value, true
}

// Done reports whether the write is too old to stand in for anything.
func (o *Own[T]) Done(now time.Time) bool { return now.Sub(o.at) >= limit }

// Value returns the own write, the zero value for none.
func (o *Own[T]) Value() T { return o.value }
