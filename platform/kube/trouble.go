package kube

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

const (
	// troubleFor is how long a failure of the API server counts.
	troubleFor = 30 * time.Second
	// sameFailure is within which a watch's failure is the one that was told already: a reflector waits longer before it tries
	// again (800 ms, reflector.go of client-go).
	sameFailure = 500 * time.Millisecond
	// awayFor is how long the API server must have been silent: more than one question was not answered.
	awayFor = 2 * probePeriod
	// troubledWatches and troubledRequests are how many failures are no coincidence. Of the requests at least half must have
	// failed: a webhook that is away fails only what it is asked about.
	troubledWatches  = 3
	troubledRequests = 5
)

// Trouble says what is wrong with the API at the moment: a server that does not answer, watches that fail again and again, or
// requests that are answered with errors. What it refuses for good reasons (no permission, a conflict) is no trouble.
func (p *Platform) Trouble(now time.Time) string { return p.contact.trouble(now) }

func (c *contact) trouble(now time.Time) string {
	c.mu.Lock()
	away, why := c.away, c.why
	links := c.links
	c.mu.Unlock()
	if !away.IsZero() && now.Sub(away) >= awayFor {
		return fmt.Sprintf("the API server has not answered since %s: %s", away.UTC().Format(time.RFC3339), why)
	}
	failing, first := 0, ""
	for _, l := range links {
		if text := l.trouble(now); text != "" {
			if failing++; first == "" {
				first = text
			}
		}
	}
	if failing >= troubledWatches {
		return fmt.Sprintf("%d of %d watches on the API server failed in the last %.0f s, such as %s",
			failing, len(links), troubleFor.Seconds(), first)
	}
	return c.requests.trouble(now)
}

// ofServer reports whether an error is one of the server, or of the way to it: not an answer that something is not allowed, not
// supported or too old.
func ofServer(err error) bool {
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		code := status.Status().Code
		return code < http.StatusBadRequest || code >= http.StatusInternalServerError || code == http.StatusTooManyRequests
	}
	return true
}

// answered notes whether a question was answered.
func (c *contact) answered(asked time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		c.away, c.why = time.Time{}, nil
	case c.away.IsZero():
		c.away, c.why = asked, err
	default:
		c.why = err
	}
}

// trouble says how the watch fails, empty where it does not: it failed lately and is not open again, or it failed more than
// once. A watch that ended and was opened again is none.
func (l *link) trouble(now time.Time) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.excused || l.failures[0].IsZero() || now.Sub(l.failures[0]) > troubleFor {
		return ""
	}
	again := !l.failures[1].IsZero() && now.Sub(l.failures[1]) <= troubleFor
	switch {
	case l.open && !again:
		return ""
	case l.err != nil:
		return fmt.Sprintf("%s: %s", l.name, l.err)
	}
	return l.name
}

// requestSlots divide the time that requests are counted over.
const requestSlots = 6

// requests counts the answers of the API server. Its zero value is ready for use; it is safe for concurrent use.
type requests struct {
	mu    sync.Mutex
	slots [requestSlots]requestSlot
}

// requestSlot counts over a part of troubleFor.
type requestSlot struct {
	since         int64 // number of the part since the epoch
	total, failed int
	last          string
}

func slotOf(now time.Time) int64 { return now.UnixNano() / int64(troubleFor/requestSlots) }

func (r *requests) note(now time.Time, failure string) {
	number := slotOf(now)
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.slots[number%requestSlots]
	if s.since != number {
		*s = requestSlot{since: number}
	}
	s.total++
	if failure != "" {
		s.failed++
		s.last = failure
	}
}

func (r *requests) trouble(now time.Time) string {
	number := slotOf(now)
	r.mu.Lock()
	defer r.mu.Unlock()
	var sum requestSlot
	for _, s := range r.slots {
		if s.since <= number-requestSlots || s.since > number {
			continue
		}
		sum.total += s.total
		sum.failed += s.failed
		if s.last != "" && s.since >= sum.since {
			sum.since, sum.last = s.since, s.last
		}
	}
	if sum.failed < troubledRequests || 2*sum.failed < sum.total {
		return ""
	}
	return fmt.Sprintf("%d of %d requests to the API server failed in the last %.0f s, the last with %s",
		sum.failed, sum.total, troubleFor.Seconds(), sum.last)
}

// wrap counts what goes through the transport.
func (r *requests) wrap(next http.RoundTripper) http.RoundTripper {
	return &counted{next: next, requests: r}
}

// counted is a transport whose answers are counted.
type counted struct {
	next     http.RoundTripper
	requests *requests
}

// RoundTrip sends the request.
func (c *counted) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(req)
	if !ofOthers(req.URL.Path) && req.Context().Err() == nil {
		failure := ""
		switch {
		case err != nil:
			failure = err.Error()
		case resp.StatusCode >= http.StatusInternalServerError || resp.StatusCode == http.StatusTooManyRequests:
			failure = strconv.Itoa(resp.StatusCode)
		}
		c.requests.note(time.Now(), failure)
	}
	return resp, err //nolint:wrapcheck // a transport hands errors on
}

// WrappedRoundTripper returns the transport below.
func (c *counted) WrappedRoundTripper() http.RoundTripper { return c.next }

// CloseIdleConnections closes those of the transport below.
func (c *counted) CloseIdleConnections() { utilnet.CloseIdleConnectionsFor(c.next) }

// ofOthers reports whether somebody behind the API server answers: a kubelet, a pod, a server of metrics, or, for an eviction,
// a PodDisruptionBudget. The question whether the server is ready is counted by itself.
func ofOthers(path string) bool {
	for _, end := range []string{"/log", "/eviction", "/readyz"} {
		if strings.HasSuffix(path, end) {
			return true
		}
	}
	return strings.Contains(path, "/proxy") || strings.Contains(path, "metrics.k8s.io/")
}
