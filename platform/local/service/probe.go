package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/homeostat/homeostat/platform/local/spec"
)

const reasonUnhealthy = "Unhealthy"

// startupShare of the period is how often a replica that was never ready is asked: a fifth, so that a program that starts
// in no time does not wait for its first request.
const startupShare = 5

// dyingFor is how long a process may take to end after its sockets are closed: a large one on a busy machine.
const dyingFor = 2 * time.Second

// probes are the probes of one life.
type probes struct {
	running sync.WaitGroup
	notLive chan struct{} // closed when the liveness probe has failed often enough
}

func (p *probes) wait() { p.running.Wait() }

// probe starts the probes of the life; they end with ctx.
func (r *replica) probe(ctx context.Context, l *life) *probes {
	p := &probes{notLive: make(chan struct{})}
	ready, live := r.service.spec.Readiness, r.service.spec.Liveness
	if ready.Path == "" {
		r.judge(l, true, "")
	} else {
		p.running.Go(func() { r.probeReadiness(ctx, l, ready) })
	}
	if live.Path != "" {
		p.running.Go(func() {
			if r.probeLiveness(ctx, l, live) {
				close(p.notLive)
			}
		})
	}
	return p
}

// probeReadiness tells the service when the replica becomes ready and when it is not any more.
func (r *replica) probeReadiness(ctx context.Context, l *life, p spec.Probe) {
	if !pause(ctx, p.InitialDelay) {
		return
	}
	failures, wasReady := 0, false
	for {
		err := r.ask(ctx, l, p)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err == nil:
			failures, wasReady = 0, true
			r.judge(l, true, "")
		case wasReady && l.dying(ctx, err):
			return
		default:
			failures++
			// What a program needs to start is no failure.
			if time.Since(l.startedAt) > p.InitialDelay+p.Period {
				r.service.emit(r, Warning, reasonUnhealthy, "Readiness probe failed: "+err.Error())
			}
			if failures >= p.FailureThreshold {
				r.judge(l, false, "readiness probe failed: "+err.Error())
			}
		}
		period := p.Period
		if !wasReady {
			period /= startupShare
		}
		if !pause(ctx, period) {
			return
		}
	}
}

// probeLiveness returns true when the replica has to be restarted, false when ctx is done.
func (r *replica) probeLiveness(ctx context.Context, l *life, p spec.Probe) bool {
	if !pause(ctx, max(p.InitialDelay, p.Period)) {
		return false
	}
	failures := 0
	for {
		err := r.ask(ctx, l, p)
		if ctx.Err() != nil {
			return false
		}
		switch {
		case err == nil:
			failures = 0
		case l.dying(ctx, err):
			return false
		default:
			r.service.emit(r, Warning, reasonUnhealthy, "Liveness probe failed: "+err.Error())
			if failures++; failures >= p.FailureThreshold {
				return true
			}
		}
		if !pause(ctx, p.Period) {
			return false
		}
	}
}

// dying reports whether a probe met nobody because the process is ending. Its sockets are gone a moment before it is, and a
// failed probe in that moment would be taken for the cause of the death.
func (l *life) dying(ctx context.Context, err error) bool {
	if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		return false
	}
	timer := time.NewTimer(dyingFor)
	defer timer.Stop()
	select {
	case <-l.process.Done():
		return true
	case <-ctx.Done():
		return true
	case <-timer.C:
		return false
	}
}

// pause returns false when ctx is done first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// ask makes one probe. Its errors have the kubelet's words.
func (r *replica) ask(ctx context.Context, l *life, p spec.Probe) error {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.address+p.Path, http.NoBody)
	if err != nil {
		return fmt.Errorf("make probe: %w", err)
	}
	req.Header.Set("User-Agent", "homeostat-probe")
	resp, err := r.service.probes.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()                                       //nolint:errcheck // it was only read
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 10<<10)) // the status is what counts
	if resp.StatusCode < http.StatusOK || resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("HTTP probe failed with statuscode: %d", resp.StatusCode)
	}
	return nil
}

// judge keeps what the readiness probe says of the life, unless that life is over or ending.
func (r *replica) judge(l *life, ready bool, why string) {
	s := r.service
	s.mu.Lock()
	current := len(r.lives) > 0 && r.lives[len(r.lives)-1] == l && l.ended == nil && !l.ending && r.deletedAt.IsZero()
	changed := current && r.ready != ready
	if changed {
		r.setReady(ready, why)
	}
	s.mu.Unlock()
	switch {
	case !changed:
	case ready:
		s.emit(r, Normal, "Ready", "Replica "+r.name+" is ready and gets requests")
	default:
		s.emit(r, Warning, "NotReady", "Replica "+r.name+" gets no requests: "+why)
	}
}
