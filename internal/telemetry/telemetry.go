// Package telemetry declares every metric that Homeostat exposes about itself, once, in a table with unit, help and the bound of each label. The
// registry that is given to it is built from the table, and docs/metrics.md is generated from it.
//
// Names are homeostat_<subsystem>_<thing>_<unit>[_total] with base units. No replica, no UID, no message is ever a label; a workload is one only
// while it has an incident, a forecast or a spent budget. It is the control loops' Recorder and the scraper's observer: what it is told goes to
// the metrics, to the journal, and to the store of the last decisions. It measures nothing on its own.
package telemetry

//go:generate go run ./generate -root ../..

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/decisions"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/journal"
)

// Telemetry counts, and passes records on to a journal. Safe for concurrent use.
type Telemetry struct {
	journal     *journal.Writer
	every       int64 // each n-th decision without news goes to the journal
	last        *decisions.Store
	autoscalers *autoscalers

	wards  *wards
	queues *queues

	mu     sync.Mutex
	turned map[string]time.Time
	since  time.Time // when this process began to act; zero: it does not

	leader                 prometheus.Gauge
	loops                  *prometheus.HistogramVec
	loopErrors             *prometheus.CounterVec
	decisions, scaleErrors *prometheus.CounterVec
	remediations           *prometheus.CounterVec
	calls, notifications   *prometheus.CounterVec
	scrapes                *prometheus.CounterVec
	scrapeTime             prometheus.Observer
	samples                prometheus.Counter
}

var _ control.Recorder = (*Telemetry)(nil)

// New registers every metric with reg. Each n-th decision without news, n being every, goes to the journal; changes, and what differs from
// the line before, always do.
func New(reg prometheus.Registerer, j *journal.Writer, every int, version string) *Telemetry {
	i := &instruments{reg: reg, table: Metrics()}
	t := &Telemetry{
		journal: j, every: int64(max(every, 1)), last: decisions.New(), autoscalers: newAutoscalers(i, time.Now),
		wards:  newWards(i, time.Now),
		queues: newQueues(i, func() float64 { return float64(j.Dropped()) }),
		turned: map[string]time.Time{},

		leader:        i.gauge("homeostat_platform_leader").WithLabelValues(),
		loops:         i.histogram("homeostat_platform_pass_duration_seconds"),
		loopErrors:    i.counter("homeostat_platform_pass_errors_total"),
		decisions:     i.counter(nameDecisions),
		scaleErrors:   i.counter(nameScaleErrors),
		remediations:  i.counter("homeostat_healing_remediations_total"),
		calls:         i.counter("homeostat_platform_api_requests_total"),
		notifications: i.counter("homeostat_notifications_total"),
		scrapes:       i.counter("homeostat_metrics_scrapes_total"),
		scrapeTime:    i.histogram("homeostat_metrics_scrape_duration_seconds").WithLabelValues(),
		samples:       i.counter("homeostat_metrics_samples_total").WithLabelValues(),
	}
	lag := i.momentary("homeostat_platform_pass_lag_seconds", Gauge)
	reg.MustRegister(moment{of: []series{lag}, collect: func(ch chan<- prometheus.Metric) { t.collectLag(lag, ch) }})
	i.gauge("homeostat_build_info").WithLabelValues(version).Set(1)
	for _, loop := range loopNames() {
		t.loopErrors.WithLabelValues(loop) // from 0, so that the first one is an increase
	}
	t.Queue("journal", func() float64 { return float64(j.Length()) }, func() float64 { return float64(j.Dropped()) })
	return t
}

// loopNames returns the loops that Turned is told of.
func loopNames() []string { return []string{"scaling", "healing"} }

// collectLag sends how long ago each loop turned; a process that does not act has no loops.
func (t *Telemetry) collectLag(lag series, ch chan<- prometheus.Metric) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since.IsZero() {
		return
	}
	for _, loop := range loopNames() {
		last := t.turned[loop]
		if last.Before(t.since) {
			last = t.since
		}
		lag.send(ch, max(now.Sub(last), 0).Seconds(), loop)
	}
}

// Decisions returns the store of the last decisions.
func (t *Telemetry) Decisions() *decisions.Store { return t.last }

// Decided counts a decision, keeps it, and journals it: the first of an autoscaler, each change, each that has another reason, another number
// or another success than the line before, and each n-th of the others. It holds on to what it is given, which must not be changed any more.
func (t *Telemetry) Decided(a control.Autoscaler, obs hpa.Observation, before hpa.History, rec hpa.Recommendation, err error) {
	count(t.decisions.WithLabelValues(a.Ref.Namespace, a.Ref.Kind, a.Ref.Name, string(rec.Reason)),
		exemplar(cluster.DecisionID(a.Ref, rec.At, rec.Current, rec.Desired)))
	failed := t.scaleErrors.WithLabelValues(a.Ref.Namespace, a.Ref.Kind, a.Ref.Name)
	if err != nil {
		failed.Inc()
	}
	t.last.Decided(a, obs, before, rec, err)
	if !t.autoscalers.decided(&a, &rec, err, t.every) {
		return
	}
	d := &journal.DecisionRecord{
		Target: a.Target, Mode: string(a.Mode), Policy: a.Policy, Observation: obs, History: before, Recommendation: rec,
	}
	if err != nil {
		d.Error = err.Error()
	}
	t.journal.Write(journal.Record{Time: rec.At, Kind: journal.Decision, Subject: a.Ref, Reason: string(rec.Reason), Message: rec.Message, Decision: d})
}

// Incident counts and journals a stored change of an incident. The line's time is that of now and none of the incident's: its newest step may be hours
// old where it was only seen again, and Loki takes no line that is an hour older than the newest one of its stream.
func (t *Telemetry) Incident(in incident.Incident) {
	t.wards.stored(&in)
	t.journal.Write(journal.Record{
		Time: t.wards.now().UTC(), Kind: journal.Incident, Subject: cluster.Ref{Kind: "Incident", Namespace: in.Namespace, Name: in.Name},
		Reason: in.Reason, Message: in.Message, Incident: &in,
	})
}

// Acted counts and journals an action.
func (t *Telemetry) Acted(a healing.Action, r healing.Result, at time.Time) {
	count(t.remediations.WithLabelValues(string(a.Remedy), string(r.Outcome), string(r.Reason)),
		exemplar(cluster.IncidentID(a.Workload.Namespace, a.Incident)))
	t.journal.Write(journal.Record{
		Time: at, Kind: journal.Action, Subject: a.Workload, Reason: string(r.Reason), Message: r.Message,
		Action: &journal.ActionRecord{
			Incident: a.Incident, RemediationID: a.RemediationID, Remedy: a.Remedy,
			Replica: a.Replica, ReplicaUID: a.ReplicaUID, Outcome: r.Outcome, Reason: r.Reason,
		},
	})
}

// Turned records the end of a pass of a loop.
func (t *Telemetry) Turned(loop string, took time.Duration, err error) {
	t.loops.WithLabelValues(loop).Observe(took.Seconds())
	if err != nil {
		t.loopErrors.WithLabelValues(loop).Inc()
	}
	now := time.Now()
	t.mu.Lock()
	t.turned[loop] = now
	t.mu.Unlock()
	if loop == "scaling" && err == nil {
		t.forget(t.autoscalers.turned())
		t.last.Sweep(now)
	}
}

// Healed takes what a healing pass knows. It holds on to it; it must not be changed any more.
func (t *Telemetry) Healed(v control.HealingView) { t.wards.view(&v) }

// forget ends the counters of autoscalers that are gone; their gauges have ended with them.
func (t *Telemetry) forget(gone []cluster.Ref) {
	for _, ref := range gone {
		of := prometheus.Labels{"namespace": ref.Namespace, "kind": ref.Kind, "name": ref.Name}
		t.decisions.DeletePartialMatch(of)
		t.scaleErrors.DeletePartialMatch(of)
	}
}

// LastTurn returns when a pass of the loop last ended; zero: never.
func (t *Telemetry) LastTurn(loop string) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.turned[loop]
}

// Leading records whether this process acts. One that does not has no decisions: those of its past are dropped.
func (t *Telemetry) Leading(yes bool) {
	t.last.Leading(yes)
	t.forget(t.autoscalers.clear())
	t.wards.leading(yes)
	t.mu.Lock()
	t.since = time.Time{}
	if yes {
		t.since = time.Now()
	}
	t.mu.Unlock()
	if yes {
		t.leader.Set(1)
		return
	}
	t.leader.Set(0)
}

// ScrapeDone counts one scrape of a node. The node is no label: a cluster has thousands.
func (t *Telemetry) ScrapeDone(_ string, took time.Duration, samples int, err error) {
	t.scrapeTime.Observe(took.Seconds())
	t.samples.Add(float64(samples))
	if err != nil {
		t.scrapes.WithLabelValues("error").Inc()
		return
	}
	t.scrapes.WithLabelValues("ok").Inc()
}
