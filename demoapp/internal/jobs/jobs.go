// Package jobs keeps track of work that goes on after the request that started it was answered: how much
// of each kind there is, how to stop it, and that nothing is left when the program ends.
package jobs

import (
	"context"
	"fmt"
	"sync"
)

// Jobs is a set of running jobs. The zero value is ready; it is safe for concurrent use.
type Jobs struct {
	mu      sync.Mutex
	running map[*job]struct{}
	closed  bool
}

type job struct {
	kind   string
	weight int
	cancel context.CancelFunc
	done   chan struct{}
}

// FullError says that a kind of job has no room for what was asked.
type FullError struct {
	// Kind is the kind of job.
	Kind string
	// Asked, Running and Limit are weights.
	Asked, Running, Limit int
}

// Error implements the error interface.
func (e *FullError) Error() string {
	return fmt.Sprintf("%d of at most %d are running, no room for %d more: wait, or stop them with stop=1", e.Running, e.Limit, e.Asked)
}

// Start runs work in a goroutine of its own, if the weights of its kind stay within the limit; otherwise
// it fails with a *FullError. Work gets the values of ctx but not its end: it ends by itself, by Stop or
// by Close. After Close nothing starts, and no error is given, since the program is about to end.
func (j *Jobs) Start(ctx context.Context, kind string, weight, limit int, work func(context.Context)) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil
	}
	running := j.weight(kind)
	if running+weight > limit {
		return &FullError{Kind: kind, Asked: weight, Running: running, Limit: limit}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	started := &job{kind: kind, weight: weight, cancel: cancel, done: make(chan struct{})}
	if j.running == nil {
		j.running = map[*job]struct{}{}
	}
	j.running[started] = struct{}{}
	go func() {
		defer close(started.done)
		defer j.forget(started)
		work(ctx)
	}()
	return nil
}

func (j *Jobs) forget(ended *job) {
	ended.cancel()
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.running, ended)
}

// Weight returns the sum of the weights of the running jobs of a kind.
func (j *Jobs) Weight(kind string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.weight(kind)
}

func (j *Jobs) weight(kind string) int {
	sum := 0
	for running := range j.running {
		if running.kind == kind {
			sum += running.weight
		}
	}
	return sum
}

// Stop ends the jobs of a kind, waits for them, and returns how many there were.
func (j *Jobs) Stop(kind string) int {
	return j.stop(func(running *job) bool { return running.kind == kind })
}

// Close ends all jobs, waits for them, and lets nothing start any more.
func (j *Jobs) Close() {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.stop(func(*job) bool { return true })
}

func (j *Jobs) stop(wanted func(*job) bool) int {
	j.mu.Lock()
	var stopping []*job
	for running := range j.running {
		if wanted(running) {
			stopping = append(stopping, running)
		}
	}
	j.mu.Unlock()
	for _, running := range stopping {
		running.cancel()
	}
	for _, running := range stopping {
		<-running.done
	}
	return len(stopping)
}
