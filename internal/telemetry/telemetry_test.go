package telemetry

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/journal"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func autoscaler() control.Autoscaler {
	return control.Autoscaler{Ref: cluster.Ref{Kind: "Autoscaler", Namespace: "demo", Name: "web"}}
}

func decision(desired int32) hpa.Recommendation {
	return hpa.Recommendation{
		At: t0, Current: 2, Proposed: 5, Desired: desired, Reason: hpa.ReasonTooManyReplicas,
		Metrics: []hpa.MetricProposal{{Oldest: t0.Add(-3 * time.Second)}, {}},
	}
}

func TestEveryMetricKeepsTheNamingRules(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	tel := New(reg, journal.New(), 60, "v1")
	tel.Decided(autoscaler(), hpa.Observation{}, hpa.History{}, decision(4), errors.New("conflict"))
	tel.Incident(incident.Incident{Namespace: "demo", Name: "a", Kind: incident.OOMKilled, State: incident.Open})
	tel.Acted(healing.Action{Remedy: incident.RemedyRestart}, healing.Result{Outcome: incident.Done}, t0)
	tel.Turned("scaling", time.Millisecond, errors.New("no list"))
	tel.ScrapeDone("node1", time.Millisecond, 7, nil)
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	allowed := " namespace kind name reason result loop version "
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "homeostat_") {
			t.Errorf("%s does not start with homeostat_", f.GetName())
		}
		for _, l := range f.GetMetric()[0].GetLabel() {
			if !strings.Contains(allowed, " "+l.GetName()+" ") {
				t.Errorf("%s has the label %s, allowed are%s", f.GetName(), l.GetName(), allowed)
			}
		}
	}
}

func TestADecisionIsCountedAndShowsItsNumbers(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	New(reg, journal.New(), 60, "v1").Decided(autoscaler(), hpa.Observation{}, hpa.History{}, decision(4), nil)
	want := `
# HELP homeostat_hpa_decisions_total Decisions by reason.
# TYPE homeostat_hpa_decisions_total counter
homeostat_hpa_decisions_total{name="web",namespace="demo",reason="TooManyReplicas"} 1
# HELP homeostat_hpa_desired_replicas Replicas after every limit.
# TYPE homeostat_hpa_desired_replicas gauge
homeostat_hpa_desired_replicas{name="web",namespace="demo"} 4
# HELP homeostat_hpa_metric_age_seconds Age of the oldest sample of the last decision.
# TYPE homeostat_hpa_metric_age_seconds gauge
homeostat_hpa_metric_age_seconds{name="web",namespace="demo"} 3
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want),
		"homeostat_hpa_decisions_total", "homeostat_hpa_desired_replicas", "homeostat_hpa_metric_age_seconds"); err != nil {
		t.Error(err)
	}
}

func TestTheJournalGetsChangesErrorsAndEachNthOfTheRest(t *testing.T) {
	t.Parallel()
	tel := New(prometheus.NewRegistry(), nil, 10, "v1")
	lines := 0
	for i := range 40 {
		rec := decision(2)
		if i == 5 {
			rec = decision(4)
		}
		var err error
		if i == 7 {
			err = errors.New("conflict")
		}
		if tel.wanted(autoscaler().Ref, rec.Change() || err != nil) {
			lines++
		}
	}
	// The first, the change, the error, and after the error each tenth of 32.
	if lines != 6 {
		t.Errorf("%d lines of 40 decisions, want 6", lines)
	}
}

func TestIncidentsAreGaugedWhileActive(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	tel := New(reg, journal.New(), 60, "v1")
	in := incident.Incident{Namespace: "demo", Name: "a", Kind: incident.OOMKilled, State: incident.Open, Timeline: make([]incident.Entry, 1)}
	gauge := func(state incident.State) float64 {
		return testutil.ToFloat64(tel.incidents.WithLabelValues("demo", "OOMKilled", string(state)))
	}
	tel.Incident(in)
	tel.Incident(in)
	if got := gauge(incident.Open); got != 1 {
		t.Errorf("%v open, want 1: a second store of the same incident is not a second incident", got)
	}
	in.State = incident.Acting
	tel.Incident(in)
	if gauge(incident.Open) != 0 || gauge(incident.Acting) != 1 {
		t.Errorf("open %v and acting %v, want 0 and 1", gauge(incident.Open), gauge(incident.Acting))
	}
	in.State = incident.Resolved
	tel.Incident(in)
	if gauge(incident.Acting) != 0 || len(tel.states) != 0 {
		t.Errorf("acting %v and %d remembered, want 0 and 0", gauge(incident.Acting), len(tel.states))
	}
	if got := testutil.ToFloat64(tel.opened.WithLabelValues("demo", "OOMKilled")); got != 1 {
		t.Errorf("%v opened, want 1", got)
	}
}

func TestTheSeriesOfAnAutoscalerThatIsGoneEnd(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	tel := New(reg, journal.New(), 60, "v1")
	other := autoscaler()
	other.Ref.Name = "api"
	tel.Decided(autoscaler(), hpa.Observation{}, hpa.History{}, decision(4), nil)
	tel.Decided(other, hpa.Observation{}, hpa.History{}, decision(4), nil)
	tel.Turned("scaling", time.Millisecond, nil)
	tel.Decided(other, hpa.Observation{}, hpa.History{}, decision(4), nil)
	tel.Turned("healing", time.Millisecond, nil)
	if n := testutil.CollectAndCount(tel.desired); n != 2 {
		t.Errorf("%d series while the pass is under way, want 2", n)
	}
	tel.Turned("scaling", time.Millisecond, errors.New("no list"))
	if n := testutil.CollectAndCount(tel.desired); n != 2 {
		t.Errorf("%d series after a pass that ended early, want 2: it says nothing about who is gone", n)
	}
	tel.Decided(other, hpa.Observation{}, hpa.History{}, decision(4), nil)
	tel.Turned("scaling", time.Millisecond, nil)
	if n := testutil.CollectAndCount(tel.desired) + testutil.CollectAndCount(tel.decisions); n != 2 {
		t.Errorf("%d series, want those of api only", n)
	}
}
