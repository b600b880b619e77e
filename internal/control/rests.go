package control

import (
	"errors"
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

// The pauses after a plan whose incident the platform did not take. A platform that is away, or that refuses every record of a
// namespace (a quota, or one that is being deleted), is not asked again in every pass, and the log is not captured again for each.
// The first failures cost nothing: the next pass, a second later, tries again.
const (
	firstRest   = 200 * time.Millisecond
	longestRest = 15 * time.Second
)

// rests remembers the workloads whose plans failed like that. Its zero value is ready for use; it is safe for concurrent use.
type rests struct {
	mu sync.Mutex
	by map[cluster.Ref]rest
}

// rest is how long a workload is left alone, and until when.
type rest struct {
	pause time.Duration
	until time.Time
}

// stored notes what became of a write for the workload at that time. A conflict is an answer like any other.
func (r *rests) stored(w cluster.Ref, at time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil || errors.Is(err, ErrConflict) {
		delete(r.by, w)
		return
	}
	if r.by == nil {
		r.by = map[cluster.Ref]rest{}
	}
	pause := min(max(2*r.by[w].pause, firstRest), longestRest)
	r.by[w] = rest{pause: pause, until: at.Add(pause)}
}

// resting reports whether the workload is still left alone.
func (r *rests) resting(w cluster.Ref, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	one, is := r.by[w]
	return is && now.Before(one.until)
}

// keep forgets the workloads that are not among those watched.
func (r *rests) keep(watched []governed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	keepWatched(r.by, watched)
}
