package kube

import (
	"sync"
	"time"
)

// signalEvery bounds how often a signal is passed on.
const signalEvery = 200 * time.Millisecond

// signal turns a stream of changes into a few wake-ups. It never blocks its sender.
type signal struct {
	out   chan struct{}
	mu    sync.Mutex
	timer *time.Timer
	last  time.Time
	ended bool
}

func newSignal() *signal { return &signal{out: make(chan struct{}, 1)} }

// send passes the signal on, at once or when signalEvery is over.
func (s *signal) send() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.timer != nil {
		return
	}
	wait := signalEvery - time.Since(s.last)
	if wait <= 0 {
		s.pass()
		return
	}
	s.timer = time.AfterFunc(wait, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.timer = nil
		s.pass()
	})
}

// pass must be called with the lock held.
func (s *signal) pass() {
	s.last = time.Now()
	select {
	case s.out <- struct{}{}:
	default: // one is waiting already
	}
}

func (s *signal) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	if s.timer != nil {
		s.timer.Stop()
	}
}
