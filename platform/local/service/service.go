package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/metrics"
	"github.com/homeostat/homeostat/platform/local/balancer"
	"github.com/homeostat/homeostat/platform/local/process"
	"github.com/homeostat/homeostat/platform/local/spec"
)

// Errors that callers look at.
var (
	// ErrChanged is returned by Scale when the service does not ask for the number that was to be changed.
	ErrChanged = errors.New("number of replicas changed in between")
	// ErrStopped is returned once Stop was called.
	ErrStopped = errors.New("service is stopping")
	// ErrGone is returned where a replica of that name and UID does not exist, or not any more.
	ErrGone = errors.New("replica is gone")
	// ErrBlocked is returned by Evict where minAvailable does not allow it now.
	ErrBlocked = errors.New("blocked by minAvailable")
)

const (
	// DefaultSampleEvery is how often usage goes to the store: twice a second.
	DefaultSampleEvery = 500 * time.Millisecond
	// keepEnded is of how many ended replicas the output is kept.
	keepEnded  = 10
	sweepEvery = time.Minute
)

// Options of a Service. Spec, Starter and Store are required.
type Options struct {
	Spec spec.Service
	// Namespace that the samples are stored under, and the workload is in.
	Namespace string
	// Starter starts the processes; it must not be closed before Stop has returned.
	Starter *process.Starter
	// Store gets a sample of each replica every SampleEvery (default DefaultSampleEvery).
	Store       *metrics.Store
	SampleEvery time.Duration
	Log         *slog.Logger
	// OnEvent is called for each event, OnLine for each line of output, from many goroutines; they must not block. May be
	// nil. An Unhealthy event that repeats is only counted.
	OnEvent func(Event)
	OnLine  func(replica, line string)
}

// Service runs the replicas of one spec. Safe for concurrent use. Make one with New, call Start once, and Stop in the
// end.
type Service struct {
	opts     Options
	spec     spec.Service
	log      *slog.Logger
	balancer *balancer.Balancer
	probes   *http.Client
	force    chan struct{} // closed: do not wait for anything any more
	quit     chan struct{} // closed: the sampler ends
	sampler  sync.WaitGroup

	mu       sync.Mutex
	desired  int32
	replicas []*replica // in the order in which they were made
	ended    []*replica // newest last, for their output
	changes  []cluster.Change
	events   eventLog
	stopping bool
}

// New returns a service that does not run yet.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.SampleEvery <= 0 {
		o.SampleEvery = DefaultSampleEvery
	}
	return &Service{
		opts: o, spec: o.Spec, log: o.Log, desired: o.Spec.Replicas,
		balancer: balancer.New(o.Spec.Name, o.Log),
		// A probe is a connection of its own, as the kubelet's: a kept one would say nothing about accepting new ones.
		probes: &http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		force: make(chan struct{}), quit: make(chan struct{}),
	}
}

// Start listens and starts the replicas; it does not wait until they are ready. The end of ctx does not stop them: Stop
// does. It returns the address of the load balancer.
func (s *Service) Start(ctx context.Context) (string, error) {
	address, err := s.balancer.Start(ctx, s.spec.Listen)
	if err != nil {
		return "", err
	}
	s.sampler.Go(s.sample)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reconcile(ctx)
	return address, nil
}

// Stop ends everything that was started: no new requests, those under way, then the replicas. When ctx is done first,
// the rest is killed. It returns once no process is left.
func (s *Service) Stop(ctx context.Context) {
	s.mu.Lock()
	first := !s.stopping
	s.stopping = true
	s.mu.Unlock()
	if first {
		requests, cancel := context.WithTimeout(ctx, s.spec.TerminationGracePeriod/2)
		s.balancer.Stop(requests)
		cancel()
	}
	s.mu.Lock()
	running := slices.Clone(s.replicas)
	for _, r := range running {
		s.retire(r, "")
	}
	s.mu.Unlock()
	for _, r := range running {
		select {
		case <-r.done:
		case <-ctx.Done():
			s.abandonGrace()
			<-r.done
		}
	}
	if first {
		close(s.quit)
	}
	s.sampler.Wait()
}

// abandonGrace makes everything that waits for a replica to end kill it.
func (s *Service) abandonGrace() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.force:
	default:
		close(s.force)
	}
}

// Counts are what the load balancer answered so far.
func (s *Service) Counts() balancer.Counts { return s.balancer.Counts() }

// Scale asks for another number of replicas than from, and says why. ErrChanged if from is not what is asked for now.
func (s *Service) Scale(ctx context.Context, from, to int32, why string) error {
	message := fmt.Sprintf("scaled from %d to %d replicas", from, to)
	if why != "" {
		message += ": " + why
	}
	s.mu.Lock()
	switch {
	case s.stopping:
		s.mu.Unlock()
		return fmt.Errorf("scale service %s: %w", s.spec.Name, ErrStopped)
	case s.desired != from:
		now := s.desired
		s.mu.Unlock()
		return fmt.Errorf("scale service %s from %d: it asks for %d: %w", s.spec.Name, from, now, ErrChanged)
	case to < 0 || to > spec.MaxReplicas:
		s.mu.Unlock()
		return fmt.Errorf("scale service %s: replicas is %d, allowed is 0 to %d", s.spec.Name, to, spec.MaxReplicas)
	}
	s.desired = to
	change := cluster.Change{At: time.Now(), Kind: cluster.ChangeScaling, Message: message}
	s.changes = slices.Insert(s.changes, 0, change)
	s.changes = s.changes[:min(len(s.changes), maxChanges)]
	s.reconcile(ctx)
	s.mu.Unlock()
	s.emit(nil, Normal, "Scaled", message)
	return nil
}

// Evict has the replica of that name and UID replaced: a fresh one is started, and the old one is drained and ended.
// It does not wait for that. Evicting a replica that is being ended already is fine. ErrGone and ErrBlocked as named.
func (s *Service) Evict(ctx context.Context, name, uid string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.find(name)
	if r == nil || r.uid != uid {
		return fmt.Errorf("evict replica %s with UID %s: %w", name, uid, ErrGone)
	}
	if s.stopping {
		return fmt.Errorf("evict replica %s: %w", name, ErrStopped)
	}
	if !r.deletedAt.IsZero() {
		return nil
	}
	// The rule of a PodDisruptionBudget: one that is ready counts as lost, one that is not may go while the others suffice.
	stay := int32(0)
	for _, other := range s.replicas {
		if other != r && other.ready && other.deletedAt.IsZero() {
			stay++
		}
	}
	if need := s.spec.MustStay(s.desired); stay < need {
		return fmt.Errorf("evict replica %s: %d ready would stay and minAvailable needs %d: %w", name, stay, need, ErrBlocked)
	}
	s.retire(r, "EvictionByEvictionAPI")
	s.reconcile(ctx)
	return nil
}

// Kill sends SIGKILL to the main process of the replica, as somebody at a shell might.
func (s *Service) Kill(name string) error {
	s.mu.Lock()
	r := s.find(name)
	var p *process.Process
	var known []string
	for _, other := range s.replicas {
		known = append(known, other.name)
	}
	if r != nil {
		p = r.running()
	}
	s.mu.Unlock()
	switch {
	case r == nil:
		return fmt.Errorf("kill replica %s: there is none of that name; there are %s", name, cmp.Or(strings.Join(known, ", "), "none"))
	case p == nil:
		return fmt.Errorf("kill replica %s: it does not run now", name)
	}
	s.emit(r, Normal, "Killing", "Container "+s.spec.Name+" was sent SIGKILL by request")
	p.Kill()
	return nil
}

// reconcile makes as many replicas as are asked for, or ends those that are too many. The lock must be held.
func (s *Service) reconcile(ctx context.Context) {
	active := slices.DeleteFunc(slices.Clone(s.replicas), func(r *replica) bool { return !r.deletedAt.IsZero() })
	for range s.desired - int32(len(active)) {
		r := s.newReplica()
		s.replicas = append(s.replicas, r)
		go r.run(context.WithoutCancel(ctx))
	}
	// Those that are not ready go first, then the newest: it has done the least so far.
	slices.SortStableFunc(active, func(a, b *replica) int {
		if a.ready != b.ready {
			if b.ready {
				return -1
			}
			return 1
		}
		return b.createdAt.Compare(a.createdAt)
	})
	for i := range max(0, len(active)-int(s.desired)) {
		s.retire(active[i], "")
	}
}

// retire asks the replica to end. The lock must be held.
func (s *Service) retire(r *replica, disruption string) {
	if r.deletedAt.IsZero() {
		r.deletedAt, r.disruption = time.Now(), disruption
		close(r.stop)
	}
}

// find returns the replica of that name, nil if there is none. The lock must be held.
func (s *Service) find(name string) *replica {
	for _, r := range s.replicas {
		if r.name == name {
			return r
		}
	}
	return nil
}

// newReplica makes one with a name that none has had lately. The lock must be held.
func (s *Service) newReplica() *replica {
	taken := func(name string) bool {
		return slices.ContainsFunc(slices.Concat(s.replicas, s.ended), func(r *replica) bool { return r.name == name })
	}
	uid := uuid.NewString()
	for taken(s.spec.Name + "-" + uid[:4]) {
		uid = uuid.NewString()
	}
	now := time.Now()
	return &replica{
		service: s, name: s.spec.Name + "-" + uid[:4], uid: uid, createdAt: now,
		stop: make(chan struct{}), done: make(chan struct{}),
		readySince: now, readyReason: notReadyReason, readyMessage: "it was not started yet",
		container: cluster.Container{
			Name: s.spec.Name, Kind: cluster.ContainerMain, State: cluster.StateWaiting, WaitingReason: "ContainerCreating",
			CPURequestMilli: s.spec.CPURequestMilli, MemoryRequest: s.spec.MemoryRequest, MemoryLimit: s.spec.MemoryLimit,
			OOMEventsKnown: s.spec.MemoryLimit > 0,
		},
	}
}

// emit keeps an event about the replica, or about the service where it is nil, and tells it. The lock must not be held.
func (s *Service) emit(r *replica, kind, reason, message string) {
	e := Event{At: time.Now(), Type: kind, Reason: reason, Message: message}
	s.mu.Lock()
	var again bool
	if r == nil {
		again = s.events.add(e)
	} else {
		e.Replica = r.name
		again = r.events.add(e)
	}
	s.mu.Unlock()
	if s.opts.OnEvent != nil && (!again || reason != reasonUnhealthy) {
		s.opts.OnEvent(e)
	}
}

// sample hands the usage of the replicas to the store until quit is closed.
func (s *Service) sample() {
	tick := time.NewTicker(s.opts.SampleEvery)
	defer tick.Stop()
	swept := time.Now()
	for {
		select {
		case <-s.quit:
			return
		case now := <-tick.C:
			for _, r := range s.present() {
				r.sample()
			}
			if now.Sub(swept) >= sweepEvery {
				swept = now
				s.opts.Store.Sweep(now)
			}
		}
	}
}

func (s *Service) present() []*replica {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.replicas)
}

// Announce adds an event about the service.
func (s *Service) Announce(kind, reason, message string) { s.emit(nil, kind, reason, message) }
