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
	return control.Autoscaler{
		Ref: cluster.Ref{Kind: "Autoscaler", Namespace: "demo", Name: "web"}, Mode: control.Active, Policy: hpa.Policy{Min: 2, Max: 4},
	}
}

func decision(desired int32) hpa.Recommendation {
	return hpa.Recommendation{
		At: t0, Current: 2, Proposed: 5, Desired: desired, Reason: hpa.ReasonTooManyReplicas,
		Metrics: []hpa.MetricProposal{
			{Oldest: t0.Add(-3 * time.Second)},
			{Oldest: t0.Add(-9 * time.Second), Err: "no sample", Fallback: hpa.FallbackLastGood},
			{Err: "no request"},
		},
		Steps: []hpa.Step{
			{Name: hpa.StepMetrics, Before: 2, After: 5}, {Name: hpa.StepBounds, Before: 5, After: 4}, {Name: hpa.StepHealth, Before: 4, After: desired},
		},
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
