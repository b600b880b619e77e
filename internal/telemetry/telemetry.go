// Package telemetry declares every metric that Homeostat exposes about itself, once, on a registry that is given to it.
//
// Names are homeostat_<subsystem>_<thing>_<unit>[_total] with base units; labels are namespace, kind, name, reason,
// result and a few bounded words. No replica, no UID, no message is ever a label; docs/metrics.md lists them all. It is the control
// loops' Recorder and the scraper's observer: what it is told goes to the metrics, to the journal, and to the store of the last
// decisions. It measures nothing on its own.
package telemetry

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

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

	mu     sync.Mutex
	turned map[string]time.Time
	states map[string]incident.Incident // active incidents by namespace/name, for the gauge

	build        *prometheus.GaugeVec
	leader       prometheus.Gauge
	loops        *prometheus.HistogramVec
	loopErrors   *prometheus.CounterVec
	decisions    *prometheus.CounterVec
	scaleErrors  *prometheus.CounterVec
	incidents    *prometheus.GaugeVec
	opened       *prometheus.CounterVec
	remediations *prometheus.CounterVec
	scrapes      *prometheus.CounterVec
	scrapeTime   prometheus.Histogram
	samples      prometheus.Counter
}

var _ control.Recorder = (*Telemetry)(nil)

// New registers every metric with reg. Each n-th decision without news, n being every, goes to the journal; changes, and what differs from
// the line before, always do.
func New(reg prometheus.Registerer, j *journal.Writer, every int, version string) *Telemetry {
	f := promauto.With(reg)
	who := []string{"namespace", "kind", "name"}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return f.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	t := &Telemetry{
		journal: j, every: int64(max(every, 1)), last: decisions.New(), autoscalers: newAutoscalers(time.Now),
		turned: map[string]time.Time{}, states: map[string]incident.Incident{},

		build:  gauge("homeostat_build_info", "The version that runs, as a label; always 1.", "version"),
		leader: f.NewGauge(prometheus.GaugeOpts{Name: "homeostat_platform_leader", Help: "1 while this process is the one that acts."}),
		loops: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "homeostat_platform_pass_duration_seconds", Help: "Duration of one pass of a loop.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 8),
		}, []string{"loop"}),
		loopErrors:  counter("homeostat_platform_pass_errors_total", "Passes of a loop that ended early.", "loop"),
		decisions:   counter("homeostat_autoscaler_decisions_total", "Decisions by reason.", append(who, "reason")...),
		scaleErrors: counter("homeostat_autoscaler_scale_errors_total", "Decisions whose target could not be observed or written.", who...),
		incidents:   gauge("homeostat_healing_incidents", "Active incidents by kind and state.", "namespace", "kind", "result"),
		opened:      counter("homeostat_healing_incidents_opened_total", "Incidents opened by kind.", "namespace", "kind"),
		remediations: counter("homeostat_healing_remediations_total",
			"Remediations by what became of them.", "kind", "result", "reason"),
		scrapes: counter("homeostat_metrics_scrapes_total", "Scrapes of nodes by result.", "result"),
		scrapeTime: f.NewHistogram(prometheus.HistogramOpts{
			Name: "homeostat_metrics_scrape_duration_seconds", Help: "Duration of one scrape of one node.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2.5, 9),
		}),
		samples: f.NewCounter(prometheus.CounterOpts{Name: "homeostat_metrics_samples_total", Help: "Container samples read from nodes."}),
	}
	f.NewCounterFunc(prometheus.CounterOpts{Name: "homeostat_platform_journal_dropped_total", Help: "Journal records that did not fit into the queue."},
		func() float64 { return float64(j.Dropped()) })
	reg.MustRegister(t.autoscalers)
	t.build.WithLabelValues(version).Set(1)
	return t
}

// Decisions returns the store of the last decisions.
func (t *Telemetry) Decisions() *decisions.Store { return t.last }

// Decided counts a decision, keeps it, and journals it: the first of an autoscaler, each change, each that has another reason, another number
// or another success than the line before, and each n-th of the others. It holds on to what it is given, which must not be changed any more.
func (t *Telemetry) Decided(a control.Autoscaler, obs hpa.Observation, before hpa.History, rec hpa.Recommendation, err error) {
	t.decisions.WithLabelValues(a.Ref.Namespace, a.Ref.Kind, a.Ref.Name, string(rec.Reason)).Inc()
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

// Incident counts and journals a stored change of an incident.
func (t *Telemetry) Incident(in incident.Incident) {
	t.track(in)
	at := in.LastSeenAt
	if n := len(in.Timeline); n > 0 {
		at = in.Timeline[n-1].At
	}
	t.journal.Write(journal.Record{
		Time: at, Kind: journal.Incident, Subject: cluster.Ref{Kind: "Incident", Namespace: in.Namespace, Name: in.Name},
		Reason: in.Reason, Message: in.Message, Incident: &in,
	})
}

func (t *Telemetry) track(in incident.Incident) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := in.Namespace + "/" + in.Name
	before, known := t.states[key]
	if known {
		t.incidents.WithLabelValues(before.Namespace, string(before.Kind), string(before.State)).Dec()
	} else if in.State == incident.Open && len(in.Timeline) <= 1 {
		t.opened.WithLabelValues(in.Namespace, string(in.Kind)).Inc()
	}
	if !in.State.Active() {
		delete(t.states, key)
		return
	}
	t.states[key] = incident.Incident{Namespace: in.Namespace, Kind: in.Kind, State: in.State}
	t.incidents.WithLabelValues(in.Namespace, string(in.Kind), string(in.State)).Inc()
}

// Acted counts and journals an action.
func (t *Telemetry) Acted(a healing.Action, r healing.Result, at time.Time) {
	t.remediations.WithLabelValues(string(a.Remedy), string(r.Outcome), string(r.Reason)).Inc()
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

// Healed takes what a healing pass knows.
func (t *Telemetry) Healed(control.HealingView) {}

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
