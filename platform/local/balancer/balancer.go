// Package balancer is the load balancer in front of the replicas of one local service: each HTTP request goes to the
// next ready replica in turn.
//
// A request is tried on another replica only where that is safe: its method is idempotent, it has no body, and no
// connection to the first replica could be made, so that nothing of it was ever sent. A request that was sent is never
// repeated; otherwise one that kills its replica would kill them all, one after the other.
//
// A replica that is drained gets no new requests, and Drain waits for those under way. Without a ready replica the
// answer is 503, and 502 where the replica died over the request. It listens on TCP, speaks HTTP/1.1 without TLS, and
// knows no sticky sessions and no health checks: who is ready is told from outside.
package balancer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"time"
)

const (
	dialTimeout       = 2 * time.Second
	idlePerReplica    = 64
	readHeaderTimeout = 10 * time.Second
)

// Balancer spreads requests. It is an http.Handler, safe for concurrent use. Make one with New.
type Balancer struct {
	name string
	log  *slog.Logger

	mu       sync.Mutex
	backends []*backend // those that get requests, in the order in which they became ready
	next     int
	draining map[*backend]struct{}
	counts   Counts

	server *http.Server
	served chan struct{}
}

// Counts are what was answered so far.
type Counts struct {
	// Requests is all of them; Unavailable those that found no ready replica (503), Failed those whose replica gave no
	// answer (502), Retried those that needed more than one replica.
	Requests, Unavailable, Failed, Retried int64
}

// backend is one replica.
type backend struct {
	name      string
	address   string
	transport *http.Transport
	inFlight  int
	idle      chan struct{} // closed when it is drained and nothing is in flight
	drained   bool
}

// New returns a balancer for the service of that name, without replicas. Failures of replicas are logged.
func New(name string, log *slog.Logger) *Balancer {
	return &Balancer{name: name, log: log, draining: map[*backend]struct{}{}}
}

// Add gives the replica requests at the address, host:port. A replica that has another address gets requests there from
// now on.
func (b *Balancer) Add(replica, address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, old := range b.backends {
		if old.name == replica && old.address == address {
			return
		}
	}
	b.remove(replica)
	dialer := &net.Dialer{Timeout: dialTimeout}
	b.backends = append(b.backends, &backend{
		name: replica, address: address, idle: make(chan struct{}),
		transport: &http.Transport{
			DialContext: dialer.DialContext, MaxIdleConnsPerHost: idlePerReplica, DisableCompression: true,
			ForceAttemptHTTP2: false,
		},
	})
}

// Remove takes the replica out. What is under way goes on.
func (b *Balancer) Remove(replica string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.remove(replica)
}

// remove takes the replica out if it is there. The lock must be held.
func (b *Balancer) remove(replica string) {
	for i, old := range b.backends {
		if old.name != replica {
			continue
		}
		// The others keep their turn: b.next is the position that was served last.
		b.backends = append(b.backends[:i:i], b.backends[i+1:]...)
		if b.next >= i {
			b.next--
		}
		b.draining[old] = struct{}{}
		old.drained = true
		b.settle(old)
		return
	}
}

// settle ends a backend that is drained and has nothing in flight. The lock must be held.
func (b *Balancer) settle(old *backend) {
	if old.drained && old.inFlight == 0 {
		delete(b.draining, old)
		close(old.idle)
		old.transport.CloseIdleConnections()
	}
}

// Drain takes the replica out and waits until its requests are done or ctx is. It returns ctx's error if some were
// still under way.
func (b *Balancer) Drain(ctx context.Context, replica string) error {
	b.mu.Lock()
	b.remove(replica)
	var waits []chan struct{}
	for old := range b.draining {
		if old.name == replica {
			waits = append(waits, old.idle)
		}
	}
	b.mu.Unlock()
	for _, idle := range waits {
		select {
		case <-idle:
		case <-ctx.Done():
			return fmt.Errorf("drain replica %s: %w", replica, ctx.Err())
		}
	}
	return nil
}

// Counts returns what was answered so far.
func (b *Balancer) Counts() Counts {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.counts
}

// acquire returns the next replica that is not in tried, nil if there is none. It has one more request in flight.
func (b *Balancer) acquire(tried []*backend) *backend {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range b.backends {
		b.next = (b.next + 1) % len(b.backends)
		if one := b.backends[b.next]; !slices.Contains(tried, one) {
			one.inFlight++
			return one
		}
	}
	return nil
}

func (b *Balancer) release(one *backend) {
	b.mu.Lock()
	defer b.mu.Unlock()
	one.inFlight--
	b.settle(one)
}

func (b *Balancer) count(f func(c *Counts)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(&b.counts)
}

// ServeHTTP hands the request to a replica.
func (b *Balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.count(func(c *Counts) { c.Requests++ })
	try := &attempt{balancer: b}
	// The replica stays busy until the whole answer has gone out.
	defer try.release()
	proxy := httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "http", Host: "replica"}) // attempt puts the address of the replica there
			p.Out.Host = p.In.Host
			p.SetXForwarded()
		},
		Transport:    try,
		ErrorHandler: try.fail,
		ErrorLog:     slog.NewLogLogger(b.log.Handler(), slog.LevelDebug),
	}
	proxy.ServeHTTP(w, r)
}

// Start listens on the address, host:port, and serves until Stop. It returns the address that it got, which matters for
// port 0.
func (b *Balancer) Start(ctx context.Context, address string) (string, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return "", fmt.Errorf("listen for service %s: %w", b.name, err)
	}
	b.server = &http.Server{
		Handler: b, ReadHeaderTimeout: readHeaderTimeout,
		ErrorLog: slog.NewLogLogger(b.log.Handler(), slog.LevelDebug),
	}
	b.served = make(chan struct{})
	go func() {
		defer close(b.served)
		if err := b.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			b.log.Error("load balancer ended", "service", b.name, "error", err)
		}
	}()
	return listener.Addr().String(), nil
}

// Stop takes no new connections, waits for the requests under way until ctx is done, and then cuts them off. It may be
// called without Start.
func (b *Balancer) Stop(ctx context.Context) {
	if b.server != nil {
		if err := b.server.Shutdown(ctx); err != nil {
			_ = b.server.Close()
		}
		<-b.served
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, one := range b.backends {
		one.transport.CloseIdleConnections()
	}
}
