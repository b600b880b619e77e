package telemetry

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// queues exposes the queues that are registered. Safe for concurrent use.
type queues struct {
	journalDropped  func() float64
	length, dropped series
	journal         series

	mu  sync.Mutex
	all map[string]queue
}

type queue struct{ length, dropped func() float64 }

func newQueues(i *instruments, journalDropped func() float64) *queues {
	q := &queues{
		journalDropped: journalDropped, all: map[string]queue{},
		length: i.momentary("homeostat_queue_length", Gauge), dropped: i.momentary(nameQueueDropped, Counter),
		journal: i.momentary("homeostat_platform_journal_dropped_total", Counter),
	}
	i.reg.MustRegister(moment{of: []series{q.length, q.dropped, q.journal}, collect: q.collect})
	return q
}

func (q *queues) collect(ch chan<- prometheus.Metric) {
	q.mu.Lock()
	all := maps.Clone(q.all)
	q.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		q.length.send(ch, all[name].length(), name)
		q.dropped.send(ch, all[name].dropped(), name)
	}
	q.journal.send(ch, q.journalDropped())
}

// Queue exposes how many records wait in the queue of that name, and how many it has dropped since the process began. Both functions are called
// at every scrape and must not block. A queue that is registered again replaces the one before.
func (t *Telemetry) Queue(name string, length, dropped func() float64) {
	t.queues.mu.Lock()
	defer t.queues.mu.Unlock()
	t.queues.all[name] = queue{length, dropped}
}

// What became of a notification.
const (
	NotificationSent   = "sent"
	NotificationFailed = "failed"
)

// Receiver makes the counters of a receiver of notifications begin at 0, so that its first failure is an increase. Call it for each of the
// configuration.
func (t *Telemetry) Receiver(name string) {
	for _, result := range []string{NotificationSent, NotificationFailed} {
		t.notifications.WithLabelValues(name, result)
	}
}

// Notified counts one notification to the receiver; result is one of the constants.
func (t *Telemetry) Notified(receiver, result string) {
	t.notifications.WithLabelValues(receiver, result).Inc()
}

// CountCalls returns a transport that counts the requests which it passes on to next, by verb and status.
func (t *Telemetry) CountCalls(next http.RoundTripper) http.RoundTripper {
	return &countedCalls{next: next, of: t.calls}
}

type countedCalls struct {
	next http.RoundTripper
	of   *prometheus.CounterVec
}

// RoundTrip sends the request.
func (c *countedCalls) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(req)
	code := "error"
	if err == nil {
		code = strconv.Itoa(resp.StatusCode)
	}
	c.of.WithLabelValues(verb(req), code).Inc()
	return resp, err //nolint:wrapcheck // a transport hands errors on
}

// WrappedRoundTripper returns the transport below.
func (c *countedCalls) WrappedRoundTripper() http.RoundTripper { return c.next }

// CloseIdleConnections closes those of the transport below.
func (c *countedCalls) CloseIdleConnections() {
	if below, ok := c.next.(interface{ CloseIdleConnections() }); ok {
		below.CloseIdleConnections()
	}
}

// verb returns what the request asks of the API server, in the words of its roles. A list is a get: the path alone does not tell them apart.
func verb(req *http.Request) string {
	if strings.Contains(req.URL.Path, "/proxy") {
		return "proxy"
	}
	switch req.Method {
	case http.MethodGet, http.MethodHead:
		if watch := req.URL.Query().Get("watch"); watch == "true" || watch == "1" {
			return "watch"
		}
		return "get"
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		return "patch"
	case http.MethodDelete:
		return "delete"
	default:
		return "other"
	}
}
