package lokipush

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/grafana/loki-client-go/loki"
	"github.com/grafana/loki/pkg/push"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"

	"github.com/homeostat/homeostat/internal/journal"
)

// client is loki-client-go's, as far as it is used.
type client interface {
	HandleWithMetadata(labels model.LabelSet, at time.Time, text string, metadata push.LabelsAdapter) error
	Stop()
}

// Pusher queues records and sends them. Make it with New; nothing is sent before Run.
type Pusher struct {
	options Options
	queue   chan journal.Record
	backlog *backlog
	dropped atomic.Int64
	open    func() (client, error)
	// refused counts the lines that the client gave up, since the process began and of all clients of the same host.
	refused func() float64
	before  float64
}

// New returns a Pusher; every error names what is wrong with the options.
func New(o Options) (*Pusher, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	o.Labels = maps.Clone(o.Labels)
	cfg, err := loki.NewDefaultConfig(o.URL)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	cfg.BatchWait, cfg.BatchSize, cfg.Timeout, cfg.TenantID, cfg.Client = o.Wait, batchBytes, o.Timeout, o.Tenant, *o.HTTP
	cfg.BackoffConfig.MinBackoff, cfg.BackoffConfig.MaxBackoff, cfg.BackoffConfig.MaxRetries = o.MinBackoff, o.MaxBackoff, tries
	p := &Pusher{options: o, queue: make(chan journal.Record, Queue), backlog: newBacklog(o.Backlog)}
	p.open = func() (client, error) { return loki.NewWithLogger(cfg, &clientLog{log: o.Log, now: o.Now}) }
	gaveUp, err := givenUp(cfg.URL.Host)
	if err != nil {
		return nil, err
	}
	p.refused, p.before = gaveUp, gaveUp()
	return p, nil
}

// givenUp returns how to read the client's own counter of lines that it gave up; it has no other way to tell.
func givenUp(host string) (func() float64, error) {
	same := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "promtail", Name: "dropped_entries_total",
		Help: "Number of log entries dropped because failed to be sent to the ingester after all retries.",
	}, []string{loki.HostLabel})
	registered, ok := errors.AsType[prometheus.AlreadyRegisteredError](prometheus.Register(same))
	if !ok {
		return nil, errors.New("read counter promtail_dropped_entries_total: the client has not registered it")
	}
	vec, ok := registered.ExistingCollector.(*prometheus.CounterVec)
	if !ok {
		return nil, fmt.Errorf("read counter promtail_dropped_entries_total: it is a %T", registered.ExistingCollector)
	}
	counter := vec.WithLabelValues(host)
	return func() float64 {
		var m dto.Metric
		if err := counter.Write(&m); err != nil {
			return math.NaN() // a counter that was made can be written
		}
		return m.GetCounter().GetValue()
	}, nil
}

// Write queues the record, or drops and counts it where the queue is full. It never blocks; the record must not be changed any more.
func (p *Pusher) Write(r journal.Record) {
	select {
	case p.queue <- r:
	default:
		p.dropped.Add(1)
	}
}

// Length returns how many records wait, without those of the request that is under way, which are at most 1 MiB.
func (p *Pusher) Length() int { return len(p.queue) + p.backlog.length() }

// Dropped returns how many records were not sent and will not be: they did not fit, have no JSON, or Loki refused them.
func (p *Pusher) Dropped() int64 { return p.dropped.Load() + int64(p.refused()-p.before) }

// Run sends until ctx is done, and then what waits, for Options.Grace at most; what is left is dropped and counted. Where Loki is away at that time, the
// client's goroutine tries on until the process ends. Call it once.
func (p *Pusher) Run(ctx context.Context) error {
	c, err := p.open()
	if err != nil {
		return fmt.Errorf("open loki client: %w", err)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		p.send(c)
	}()
	for ctx.Err() == nil {
		select {
		case r := <-p.queue:
			p.encode(&r)
		case <-ctx.Done():
		}
	}
	for len(p.queue) > 0 {
		r := <-p.queue
		p.encode(&r)
	}
	p.backlog.close()
	grace := time.NewTimer(p.options.Grace)
	defer grace.Stop()
	select {
	case <-sent:
	case <-grace.C:
		n := p.backlog.abandon()
		p.dropped.Add(int64(n))
		p.options.Log.WarnContext(ctx, "loki did not take the last lines", "lines", n)
	}
	return nil
}

// send hands lines to the client until the backlog is closed and empty. It is the only one that calls the client, so that nothing is handed to one
// that was stopped.
func (p *Pusher) send(c client) {
	defer c.Stop() // sends what was handed over
	for {
		l, ok := p.backlog.take()
		if !ok {
			return
		}
		if err := c.HandleWithMetadata(l.labels, l.at, l.text, l.metadata); err != nil {
			p.dropped.Add(1)
		}
	}
}

func (p *Pusher) encode(r *journal.Record) {
	l, err := encode(r, p.options.Labels)
	if err != nil || !p.backlog.put(l) {
		p.dropped.Add(1)
	}
}

// sayEvery is how often the log says that Loki does not take lines.
const sayEvery = time.Minute

// clientLog takes what the client logs, in the form of go-kit/log: pairs of key and value.
type clientLog struct {
	log  *slog.Logger
	now  func() time.Time
	mu   sync.Mutex
	said time.Time
}

// Log passes the client's words on, at most once every sayEvery.
func (l *clientLog) Log(pairs ...any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if now.Sub(l.said) < sayEvery {
		return nil
	}
	l.said = now
	var attrs []any
	for i := 0; i+1 < len(pairs); i += 2 {
		switch key := fmt.Sprint(pairs[i]); key {
		case "msg":
			attrs = append(attrs, slog.String("client", fmt.Sprint(pairs[i+1])))
		case "host", "status", "error":
			attrs = append(attrs, slog.String(key, fmt.Sprint(pairs[i+1])))
		}
	}
	l.log.Warn("loki does not take lines", attrs...)
	return nil
}
