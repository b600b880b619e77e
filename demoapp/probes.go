package demoapp

import (
	"net/http"
	"sync"
	"time"

	"github.com/homeostat/homeostat/demoapp/internal/param"
)

const (
	liveness  = "liveness"
	readiness = "readiness"
)

// probes answers the kubelet, or lets it wait.
type probes struct {
	mu       sync.Mutex
	state    string
	hungTill map[string]time.Time
	// changed is closed, and replaced, whenever something above changes, so that hung answers look again.
	changed chan struct{}
}

func newProbes(starting bool) *probes {
	p := &probes{state: "ok", hungTill: map[string]time.Time{}, changed: make(chan struct{})}
	if starting {
		p.state = "starting"
	}
	return p
}

func (p *probes) change(apply func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	apply()
	close(p.changed)
	p.changed = make(chan struct{})
}

// ready ends the start; a drain that began meanwhile goes on.
func (p *probes) ready() {
	p.change(func() {
		if p.state == "starting" {
			p.state = "ok"
		}
	})
}

// drain turns readiness off for good, and lets hung answers go so that they do not hold up the end.
func (p *probes) drain() {
	p.change(func() {
		p.state = "draining"
		clear(p.hungTill)
	})
}

func (p *probes) draining() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state == "draining"
}

func (p *probes) hang(names []string, till time.Time) {
	p.change(func() {
		for _, name := range names {
			p.hungTill[name] = till
		}
	})
}

// await blocks while the probe hangs. It returns the state, and false if the caller gave up first.
func (p *probes) await(name string, gone <-chan struct{}) (string, bool) {
	for {
		p.mu.Lock()
		state, left, changed := p.state, time.Until(p.hungTill[name]), p.changed
		p.mu.Unlock()
		if left <= 0 {
			return state, true
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-changed:
		case <-gone:
			timer.Stop()
			return state, false
		}
		timer.Stop()
	}
}

func (a *app) probeRoutes() []route {
	return []route{
		{path: "/healthz", doc: "liveness: 200 while the process serves", serve: func(w http.ResponseWriter, r *http.Request, _ param.Values) error {
			if _, answered := a.probes.await(liveness, r.Context().Done()); answered {
				writeText(w, http.StatusOK, "ok\n")
			}
			return nil
		}},
		{path: "/readyz", doc: "readiness: 200, or 503 while starting or draining", serve: func(w http.ResponseWriter, r *http.Request, _ param.Values) error {
			state, answered := a.probes.await(readiness, r.Context().Done())
			switch {
			case !answered:
			case state == "ok":
				writeText(w, http.StatusOK, "ok\n")
			default:
				writeText(w, http.StatusServiceUnavailable, state+"\n")
			}
			return nil
		}},
	}
}
