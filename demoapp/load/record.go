package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// Latency is a distribution of latencies, each counted from the time the request was due. Requests that
// timed out count with the time they were waited for; requests that got no connection do not count.
type Latency struct {
	P50, P90, P99, Max, Mean time.Duration
}

// MarshalJSON writes milliseconds: p50_ms, p90_ms, p99_ms, max_ms and mean_ms.
func (l Latency) MarshalJSON() ([]byte, error) {
	ms := func(d time.Duration) float64 { return math.Round(float64(d)/float64(time.Microsecond)) / 1000 }
	return json.Marshal(struct {
		P50  float64 `json:"p50_ms"`
		P90  float64 `json:"p90_ms"`
		P99  float64 `json:"p99_ms"`
		Max  float64 `json:"max_ms"`
		Mean float64 `json:"mean_ms"`
	}{ms(l.P50), ms(l.P90), ms(l.P99), ms(l.Max), ms(l.Mean)})
}

// Second is what happened in one second. An answer counts in the second it came.
type Second struct {
	// Elapsed is the time since the start of the run.
	Elapsed time.Duration
	// Length is the length of this second; the last one of a run may be shorter.
	Length time.Duration
	// Sent, Answered and Failed are requests. An answer with status 400 or above is both answered and failed.
	Sent, Answered, Failed int64
	// InFlight is how many requests wait for an answer at its end.
	InFlight int64
	// Latency is that of the requests that ended in this second.
	Latency Latency
	// Errors counts failures by kind.
	Errors map[string]int64
	// Hostnames counts answers by the replica that gave them.
	Hostnames map[string]int64
}

// Summary is the result of a run. Its JSON form is a contract: fields are only ever added.
type Summary struct {
	// URL is what was requested.
	URL string `json:"url"`
	// Seconds is how long requests were sent.
	Seconds float64 `json:"seconds"`
	// Sent is how many requests were sent.
	Sent int64 `json:"sent"`
	// NotSent is how many were due and not sent, because too many were waiting for an answer.
	NotSent int64 `json:"not_sent"`
	// Answered is how many were answered completely, with whatever status.
	Answered int64 `json:"answered"`
	// Failed is how many were not answered, were answered with status 400 or above, or were not sent.
	Failed int64 `json:"failed"`
	// ErrorShare is Failed as a share of Sent and NotSent, 0 to 1.
	ErrorShare float64 `json:"error_share"`
	// SentRate and AnsweredRate are per second of sending.
	SentRate     float64 `json:"sent_per_second"`
	AnsweredRate float64 `json:"answered_per_second"`
	// Latency is that of the whole run.
	Latency Latency `json:"latency"`
	// Errors counts failures by kind: "status 503", "timeout", "refused", "reset", "closed", "dns",
	// "no route", "not sent" or "other".
	Errors map[string]int64 `json:"errors"`
	// Examples has the first error message of each kind that has one.
	Examples map[string]string `json:"examples,omitempty"`
	// Hostnames counts answers by replica. Beyond 256 replicas the rest count as "(others)".
	Hostnames map[string]int64 `json:"hostnames"`
}

const (
	mostHostnames = 256
	others        = "(others)"
	kindNotSent   = "not sent"
)

// tally is what is counted, both for a second and for the run.
type tally struct {
	sent, answered, failed int64
	latency                Histogram
	errors                 map[string]int64
	hostnames              map[string]int64
}

func newTally() *tally {
	return &tally{errors: map[string]int64{}, hostnames: map[string]int64{}}
}

// recorder counts requests. It is safe for concurrent use.
type recorder struct {
	mu          sync.Mutex
	now, total  *tally
	unsent      int64
	outstanding int64
	examples    map[string]string
}

func newRecorder() *recorder {
	return &recorder{now: newTally(), total: newTally(), examples: map[string]string{}}
}

func (r *recorder) sent() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now.sent++
	r.outstanding++
}

func (r *recorder) notSent(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unsent += n
	r.now.failed += n
	r.now.errors[kindNotSent] += n
}

func (r *recorder) done(latency time.Duration, hostname string, status int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outstanding--
	if err != nil {
		kind := errorKind(err)
		r.now.failed++
		r.now.errors[kind]++
		if _, seen := r.examples[kind]; !seen {
			r.examples[kind] = err.Error()
		}
		if kind == kindTimeout {
			r.now.latency.Record(latency)
		}
		return
	}
	r.now.answered++
	r.now.latency.Record(latency)
	r.count(hostname)
	if status >= http.StatusBadRequest {
		r.now.failed++
		r.now.errors[fmt.Sprintf("status %d", status)]++
	}
}

func (r *recorder) count(hostname string) {
	if hostname == "" {
		hostname = "(no " + hostnameHeader + ")"
	}
	_, known := r.total.hostnames[hostname]
	_, recent := r.now.hostnames[hostname]
	if !known && !recent && len(r.total.hostnames)+len(r.now.hostnames) >= mostHostnames {
		hostname = others
	}
	r.now.hostnames[hostname]++
}

// second returns what was counted since the last call, and adds it to the total.
func (r *recorder) second(elapsed, length time.Duration) Second {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.now
	r.fold()
	return Second{
		Elapsed: elapsed, Length: length, Sent: t.sent, Answered: t.answered, Failed: t.failed,
		InFlight: r.outstanding, Latency: t.latency.Latency(), Errors: t.errors, Hostnames: t.hostnames,
	}
}

func (r *recorder) fold() {
	r.total.sent += r.now.sent
	r.total.answered += r.now.answered
	r.total.failed += r.now.failed
	r.total.latency.Add(&r.now.latency)
	for kind, n := range r.now.errors {
		r.total.errors[kind] += n
	}
	for hostname, n := range r.now.hostnames {
		r.total.hostnames[hostname] += n
	}
	r.now = newTally()
}

func (r *recorder) summary(url string, sending time.Duration) Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fold()
	t := r.total
	s := Summary{
		URL: url, Seconds: math.Round(sending.Seconds()*1000) / 1000, Sent: t.sent, NotSent: r.unsent, Answered: t.answered, Failed: t.failed,
		Latency: t.latency.Latency(), Errors: maps.Clone(t.errors), Examples: maps.Clone(r.examples), Hostnames: maps.Clone(t.hostnames),
	}
	if due := s.Sent + s.NotSent; due > 0 {
		s.ErrorShare = float64(s.Failed) / float64(due)
	}
	if s.Seconds > 0 {
		s.SentRate = math.Round(float64(s.Sent)/s.Seconds*10) / 10
		s.AnsweredRate = math.Round(float64(s.Answered)/s.Seconds*10) / 10
	}
	return s
}

const kindTimeout = "timeout"

// errorKind names a failure. The set is bounded, so that counting by it is too.
func errorKind(err error) string {
	var dns *net.DNSError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return kindTimeout
	case errors.As(err, &dns):
		return "dns"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route"
	default:
		return "other"
	}
}
