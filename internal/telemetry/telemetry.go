// Package telemetry declares every metric that Homeostat exposes about itself, once, on a registry that is given to it.
//
// Names are homeostat_<subsystem>_<thing>_<unit>[_total] with base units; labels are namespace, kind, name, reason,
// result and a few bounded words. No replica, no UID, no message is ever a label. It is the control loops' Recorder and the
// scraper's observer, and it measures nothing on its own.
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
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/journal"
)

// Telemetry counts, and passes records on to a journal. Safe for concurrent use.
type Telemetry struct {
	journal *journal.Writer
	every   int64 // each n-th decision without a change goes to the journal

	mu     sync.Mutex
	seen   map[cluster.Ref]int64 // decisions without a change since the last line
	passed map[cluster.Ref]bool  // autoscalers of the present pass of the scaling loop
	turned map[string]time.Time
	states map[string]incident.Incident // active incidents by namespace/name, for the gauge

	build        *prometheus.GaugeVec
	leader       prometheus.Gauge
	loops        *prometheus.HistogramVec
	loopErrors   *prometheus.CounterVec
	decisions    *prometheus.CounterVec
	writeErrors  *prometheus.CounterVec
	proposed     *prometheus.GaugeVec
	desired      *prometheus.GaugeVec
	current      *prometheus.GaugeVec
	metricAge    *prometheus.GaugeVec
	incidents    *prometheus.GaugeVec
	opened       *prometheus.CounterVec
	remediations *prometheus.CounterVec
	scrapes      *prometheus.CounterVec
	scrapeTime   prometheus.Histogram
	samples      prometheus.Counter
}

var _ control.Recorder = (*Telemetry)(nil)

// New registers every metric with reg. Each n-th decision without a change, n being every, goes to the journal; a
// change always does.
func New(reg prometheus.Registerer, j *journal.Writer, every int, version string) *Telemetry {
	f := promauto.With(reg)
	who := []string{"namespace", "name"}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return f.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	t := &Telemetry{
		journal: j, every: int64(max(every, 1)),
		seen: map[cluster.Ref]int64{}, passed: map[cluster.Ref]bool{}, turned: map[string]time.Time{}, states: map[string]incident.Incident{},

		build:  gauge("homeostat_build_info", "The version that runs, as a label; always 1.", "version"),
		leader: f.NewGauge(prometheus.GaugeOpts{Name: "homeostat_platform_leader", Help: "1 while this process is the one that acts."}),
		loops: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "homeostat_platform_pass_duration_seconds", Help: "Duration of one pass of a loop.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 8),
		}, []string{"loop"}),
		loopErrors:  counter("homeostat_platform_pass_errors_total", "Passes of a loop that ended early.", "loop"),
		decisions:   counter("homeostat_hpa_decisions_total", "Decisions by reason.", append(who, "reason")...),
		writeErrors: counter("homeostat_hpa_errors_total", "Decisions whose target could not be observed or written.", who...),
		proposed:    gauge("homeostat_hpa_proposed_replicas", "Replicas that the metrics alone ask for.", who...),
		desired:     gauge("homeostat_hpa_desired_replicas", "Replicas after every limit.", who...),
		current:     gauge("homeostat_hpa_current_replicas", "Replicas that the target asks for now.", who...),
		metricAge:   gauge("homeostat_hpa_metric_age_seconds", "Age of the oldest sample of the last decision.", who...),
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
	t.build.WithLabelValues(version).Set(1)
	return t
}

// Decided counts a decision and journals it: each change, each error, and each n-th of the others.
func (t *Telemetry) Decided(a control.Autoscaler, obs hpa.Observation, before hpa.History, rec hpa.Recommendation, err error) {
	ns, name := a.Ref.Namespace, a.Ref.Name
	t.decisions.WithLabelValues(ns, name, string(rec.Reason)).Inc()
	t.proposed.WithLabelValues(ns, name).Set(float64(rec.Proposed))
	t.desired.WithLabelValues(ns, name).Set(float64(rec.Desired))
	t.current.WithLabelValues(ns, name).Set(float64(rec.Current))
	if oldest := oldestSample(rec); !oldest.IsZero() {
		t.metricAge.WithLabelValues(ns, name).Set(rec.At.Sub(oldest).Seconds())
	}
	if err != nil {
		t.writeErrors.WithLabelValues(ns, name).Inc()
	}
	if !t.wanted(a.Ref, rec.Change() || err != nil) {
		return
	}
	d := &journal.DecisionRecord{Target: a.Target, Policy: a.Policy, Observation: obs, History: before, Recommendation: rec}
	if err != nil {
		d.Error = err.Error()
	}
	t.journal.Write(journal.Record{Time: rec.At, Kind: journal.Decision, Subject: a.Ref, Reason: string(rec.Reason), Message: rec.Message, Decision: d})
}

func oldestSample(rec hpa.Recommendation) time.Time {
	var oldest time.Time
	for _, m := range rec.Metrics {
		if !m.Oldest.IsZero() && (oldest.IsZero() || m.Oldest.Before(oldest)) {
			oldest = m.Oldest
		}
	}
	return oldest
}

// wanted reports whether the decision goes to the journal.
func (t *Telemetry) wanted(ref cluster.Ref, change bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.passed[ref] = true
	n := t.seen[ref]
	t.seen[ref] = n + 1
	if change {
		t.seen[ref] = 1
		return true
	}
	return n%t.every == 0
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
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turned[loop] = time.Now()
	if loop == "scaling" && err == nil {
		t.forget()
	}
}

// forget drops the series of the autoscalers that the pass did not have any more: a number that nobody decides is worse than none.
// It must be called with the lock held.
func (t *Telemetry) forget() {
	for ref := range t.seen {
		if t.passed[ref] {
			continue
		}
		delete(t.seen, ref)
		of := prometheus.Labels{"namespace": ref.Namespace, "name": ref.Name}
		t.decisions.DeletePartialMatch(of)
		t.writeErrors.DeletePartialMatch(of)
		for _, g := range []*prometheus.GaugeVec{t.proposed, t.desired, t.current, t.metricAge} {
			g.DeletePartialMatch(of)
		}
	}
	clear(t.passed)
}

// LastTurn returns when a pass of the loop last ended; zero: never.
func (t *Telemetry) LastTurn(loop string) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.turned[loop]
}

// Leading records whether this process acts.
func (t *Telemetry) Leading(yes bool) {
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
