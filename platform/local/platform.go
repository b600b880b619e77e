package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/metrics"
	"github.com/homeostat/homeostat/platform/local/balancer"
	"github.com/homeostat/homeostat/platform/local/process"
	"github.com/homeostat/homeostat/platform/local/service"
)

// Namespace that everything on this platform is in.
const Namespace = "local"

// Defaults of Options.
const (
	DefaultKeepIncidents = 24 * time.Hour
	DefaultMaxIncidents  = 50
)

// Event is one thing that happened to the service or a replica, for people who watch.
type Event = service.Event

// Options of a Platform. Config, StateDir and Store are required.
type Options struct {
	Config Config
	// StateDir is the folder for incidents, budgets and decisions; it is made if need be. See DefaultStateDir.
	StateDir string
	// Store gets the samples of the replicas.
	Store *metrics.Store
	// SampleEvery is how often; 0 means service.DefaultSampleEvery.
	SampleEvery time.Duration
	Logger      *slog.Logger
	// WatchSelected limits incidents to a service that a HealingPolicy selects. Otherwise one that none selects is
	// observed with healing.DefaultPolicy.
	WatchSelected bool
	// KeepIncidents is how long a resolved incident is kept, MaxIncidents how many. Zero means the default.
	KeepIncidents time.Duration
	MaxIncidents  int
	// OnEvent is called for each event, OnLine for each line that a replica prints, from many goroutines; they must not
	// block. May be nil.
	OnEvent func(Event)
	OnLine  func(replica, line string)
}

// Platform runs one service on this machine and implements control's ScalingSource, ScalingWriter, HealingSource,
// IncidentStore and Surgeon for it. Safe for concurrent use. Make one with New, call Start once, and Stop in the end.
type Platform struct {
	opts    Options
	log     *slog.Logger
	store   *store
	starter *process.Starter
	service *service.Service
	changed chan struct{}

	mu      sync.Mutex
	address string // of the load balancer; empty before Start
	stopped bool
	// healed is the minimum that a ScaleOut raised until healedUntil.
	healed      hpa.Floor
	healedUntil time.Time
}

// New takes the state folder; nothing runs yet. Stop gives the folder back, also without Start.
func New(o Options) (*Platform, error) {
	if o.Store == nil || o.StateDir == "" {
		return nil, errors.New("platform local: a metrics store and a state folder are required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.KeepIncidents <= 0 {
		o.KeepIncidents = DefaultKeepIncidents
	}
	if o.MaxIncidents <= 0 {
		o.MaxIncidents = DefaultMaxIncidents
	}
	st, err := openStore(o.StateDir)
	if err != nil {
		return nil, err
	}
	p := &Platform{opts: o, log: o.Logger, store: st, starter: process.NewStarter(), changed: make(chan struct{}, 1)}
	p.service = service.New(service.Options{
		Spec: o.Config.Service, Namespace: Namespace, Starter: p.starter, Store: o.Store, SampleEvery: o.SampleEvery,
		Log: o.Logger, OnEvent: p.happened, OnLine: o.OnLine,
	})
	return p, nil
}

// happened wakes the loops and passes the event on.
func (p *Platform) happened(e Event) {
	p.log.Debug("event", "replica", e.Replica, "type", e.Type, "reason", e.Reason, "message", e.Message)
	select {
	case p.changed <- struct{}{}:
	default: // they are being woken already
	}
	if p.opts.OnEvent != nil {
		p.opts.OnEvent(e)
	}
}

// Start opens the load balancer's address and starts the replicas, without waiting for them. They run until Stop, not
// until ctx is done.
func (p *Platform) Start(ctx context.Context) error {
	address, err := p.service.Start(ctx)
	if err != nil {
		return fmt.Errorf("platform local: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.address = address
	return nil
}

// Stop ends the service gracefully, until ctx is done the hard way, and gives the state folder back. No process is left
// when it returns. Calling it again does nothing.
func (p *Platform) Stop(ctx context.Context) error {
	p.mu.Lock()
	first := !p.stopped
	p.stopped = true
	p.mu.Unlock()
	if !first {
		return nil
	}
	p.service.Stop(ctx)
	p.starter.Close()
	return p.store.close()
}

// Addr is the address of the load balancer, host:port; empty before Start.
func (p *Platform) Addr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.address
}

// Changed delivers soon after something happened to a replica; several happenings may be one delivery.
func (p *Platform) Changed() <-chan struct{} { return p.changed }

// Replicas returns the replicas that there are now, those that are being ended included.
func (p *Platform) Replicas() []cluster.Replica { return p.service.Workload().Replicas }

// Requests are what the load balancer answered so far.
func (p *Platform) Requests() balancer.Counts { return p.service.Counts() }

// Kill sends SIGKILL to the main process of the replica of that name.
func (p *Platform) Kill(replica string) error {
	return p.service.Kill(replica)
}
