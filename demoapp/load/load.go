// Package load sends requests to a service on a fixed schedule and tells how they were answered. The
// schedule does not wait for answers (an open loop), and latency counts from the time a request was due,
// so a server that stalls shows its stall in every request it delayed. Memory stays the same however long it
// runs. It speaks HTTP/1.1, sends GET requests without a body, and follows no redirects.
package load

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// hostnameHeader is the response header that names the replica.
const hostnameHeader = "X-Hostname"

// Run sends the requests and blocks until the last one was answered or given up. It ends early, and
// without an error, when ctx is done: no further request is sent, and those on their way may still finish.
// The only errors are those of the options. Several runs may go on at once.
func Run(ctx context.Context, opts Options) (Summary, error) {
	if err := opts.Validate(); err != nil {
		return Summary{}, fmt.Errorf("read options: %w", err)
	}
	target, err := opts.target()
	if err != nil {
		return Summary{}, fmt.Errorf("read options: %w", err)
	}
	transport := opts.Transport
	if transport == nil {
		own := newTransport(opts)
		defer own.CloseIdleConnections()
		transport = own
	}
	s := &sender{
		opts: opts, target: target, record: newRecorder(), slots: make(chan struct{}, opts.inFlight()),
		client: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	start := time.Now()
	reported := s.report(ctx, start)
	s.send(ctx, start)
	sending := time.Since(start)
	s.waiting.Wait()
	reported()
	return s.record.summary(target, sending), nil
}

func newTransport(opts Options) *http.Transport {
	dialer := &net.Dialer{Timeout: opts.Timeout}
	return &http.Transport{
		DialContext:         dialer.DialContext,
		DisableKeepAlives:   !opts.KeepAlive,
		DisableCompression:  true,
		MaxIdleConns:        opts.inFlight(),
		MaxIdleConnsPerHost: opts.inFlight(),
		IdleConnTimeout:     time.Minute,
		TLSHandshakeTimeout: opts.Timeout,
	}
}

type sender struct {
	opts    Options
	target  string
	client  *http.Client
	record  *recorder
	slots   chan struct{}
	waiting sync.WaitGroup
}

// send keeps the schedule. Requests that are still due when the duration is over, because all slots were
// taken, are counted as not sent.
func (s *sender) send(ctx context.Context, start time.Time) {
	total := s.opts.scheduled()
	var over <-chan time.Time
	if total >= 0 {
		timer := time.NewTimer(time.Until(start.Add(s.opts.Duration)))
		defer timer.Stop()
		over = timer.C
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := int64(0); total < 0 || n < total; n++ {
		due := start.Add(s.opts.due(n))
		if !sleepUntil(ctx, timer, due) {
			return
		}
		select {
		case s.slots <- struct{}{}:
		default:
			select {
			case s.slots <- struct{}{}:
			case <-over:
				s.record.notSent(total - n)
				return
			case <-ctx.Done():
				return
			}
		}
		s.record.sent()
		s.waiting.Go(func() {
			s.request(context.WithoutCancel(ctx), due)
			<-s.slots
		})
	}
	// The last interval belongs to the run: n requests at a rate take n intervals.
	if total >= 0 {
		sleepUntil(ctx, timer, start.Add(s.opts.Duration))
	}
}

// sleepUntil reports whether the time came before the context was done. A time that has passed already
// costs nothing, so that a late schedule catches up.
func sleepUntil(ctx context.Context, timer *time.Timer, due time.Time) bool {
	left := time.Until(due)
	if left <= 0 {
		return ctx.Err() == nil
	}
	timer.Reset(left)
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *sender) request(ctx context.Context, due time.Time) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	hostname, status, err := s.get(ctx)
	s.record.done(time.Since(due), hostname, status, err)
}

// get reads the whole answer: one that breaks off is a failure.
func (s *sender) get(ctx context.Context) (hostname string, status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.target, nil)
	if err != nil {
		return "", 0, err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return "", 0, err
	}
	return response.Header.Get(hostnameHeader), response.StatusCode, nil
}

// report calls OnSecond each second until the returned function is called, which also reports the rest.
func (s *sender) report(ctx context.Context, start time.Time) (stop func()) {
	if s.opts.OnSecond == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		timer := time.NewTimer(0)
		defer timer.Stop()
		last := start
		for second := 1; sleepUntil(ctx, timer, start.Add(time.Duration(second)*time.Second)); second++ {
			now := time.Now()
			s.opts.OnSecond(s.record.second(now.Sub(start), now.Sub(last)))
			last = now
		}
		now := time.Now()
		if rest := s.record.second(now.Sub(start), now.Sub(last)); rest.Sent+rest.Answered+rest.Failed > 0 {
			s.opts.OnSecond(rest)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
