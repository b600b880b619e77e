package balancer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// errNoReplica is returned where no replica is ready, or none is left to try.
var errNoReplica = errors.New("no replica is ready")

// attempt is the way of one request to a replica: the transport of one ReverseProxy call.
type attempt struct {
	balancer *Balancer
	held     *backend
}

func (a *attempt) release() {
	if a.held != nil {
		a.balancer.release(a.held)
		a.held = nil
	}
}

// RoundTrip sends the request to the next replica, and to another one where the connection could not be made.
func (a *attempt) RoundTrip(r *http.Request) (*http.Response, error) {
	var tried []*backend
	var last error
	for {
		a.release()
		one := a.balancer.acquire(tried)
		if one == nil {
			if last == nil {
				last = errNoReplica
			}
			return nil, last
		}
		a.held = one
		if len(tried) == 1 {
			a.balancer.count(func(c *Counts) { c.Retried++ })
		}
		// The transport itself sends a request again whose connection broke; what counts is whether any of it was ever sent.
		var sent atomic.Bool
		ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
		out := r.Clone(ctx)
		out.URL.Host = one.address
		resp, err := one.transport.RoundTrip(out)
		if err == nil {
			return resp, nil
		}
		last = fmt.Errorf("replica %s: %w", one.name, err)
		if sent.Load() || !repeatable(r) || r.Context().Err() != nil {
			return nil, last
		}
		tried = append(tried, one)
	}
}

// repeatable reports whether the request may be sent to another replica after it could not be sent to the first.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return r.Body == nil || r.Body == http.NoBody
	default:
		return false
	}
}

// fail answers where no replica did.
func (a *attempt) fail(w http.ResponseWriter, r *http.Request, err error) {
	b := a.balancer
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return // the client went away; nobody reads an answer
	}
	status := http.StatusBadGateway
	if errors.Is(err, errNoReplica) {
		status = http.StatusServiceUnavailable
		b.count(func(c *Counts) { c.Unavailable++ })
	} else {
		b.count(func(c *Counts) { c.Failed++ })
		b.log.DebugContext(r.Context(), "request failed", "service", b.name, "path", r.URL.Path, "error", err)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "service %s: %v\n", b.name, err)
}
