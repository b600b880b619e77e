package telemetry

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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

// full returns a Telemetry that was told of everything, so that each metric has a series, and its registry.
func full(t *testing.T) (*Telemetry, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	tel := New(reg, journal.New(), 60, "v1")
	tel.Leading(true)
	tel.Decided(autoscaler(), hpa.Observation{}, hpa.History{}, decision(4), errors.New("conflict"))
	leak := leaking("web", time.Now())
	leak.Members, leak.MemberCount = make([]incident.Member, 1), 1
	tel.Incident(leak)
	tel.Incident(dying("api", time.Now()))
	left := int32(7)
	tel.Healed(control.HealingView{
		Incidents: []incident.Incident{leak}, Cluster: &left, Breaker: "2 nodes are not ready at once",
		Budgets: []control.BudgetLeft{{Workload: leak.Workload, Policy: "web", Left: 2}},
	})
	tel.Acted(healing.Action{Remedy: incident.RemedyRestart, Workload: leak.Workload, Incident: "api-oomkilled-1"}, healing.Result{Outcome: incident.Done}, t0)
	tel.Turned("scaling", time.Millisecond, errors.New("no list"))
	tel.ScrapeDone("node1", time.Millisecond, 7, nil)
	tel.Receiver("slack")
	if resp, err := tel.CountCalls(answers{}).RoundTrip(httptest.NewRequest(http.MethodGet, "/api/v1/pods", http.NoBody)); err == nil {
		_ = resp.Body.Close()
	}
	return tel, reg
}

// The table is what there is: names, types, help and labels, and it keeps the rules of Prometheus.
func TestTheRegistryIsTheTable(t *testing.T) {
	t.Parallel()
	_, reg := full(t)
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
	there := map[string]Metric{}
	for _, f := range families {
		m := Metric{Name: f.GetName(), Type: Type(strings.ToLower(f.GetType().String())), Help: f.GetHelp()}
		for _, l := range f.GetMetric()[0].GetLabel() {
			m.Labels = append(m.Labels, Label{Name: l.GetName()})
		}
		there[m.Name] = m
	}
	declared := map[string]Metric{}
	for _, m := range Metrics() {
		bare := Metric{Name: m.Name, Type: m.Type, Help: m.Help}
		for _, l := range m.Labels {
			bare.Labels = append(bare.Labels, Label{Name: l.Name})
		}
		slices.SortFunc(bare.Labels, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
		declared[m.Name] = bare
	}
	if diff := cmp.Diff(declared, there); diff != "" {
		t.Errorf("(-table +registry):\n%s", diff)
	}
}

func TestEveryMetricOfTheTableSaysWhatItIs(t *testing.T) {
	t.Parallel()
	allowed := strings.Fields("namespace kind name reason result loop version workload_kind workload state container policy verb code queue receiver role root")
	names := map[string]bool{}
	for _, m := range Metrics() {
		if names[m.Name] {
			t.Errorf("%s is declared twice", m.Name)
		}
		names[m.Name] = true
		if !strings.HasPrefix(m.Name, "homeostat_") || !strings.HasSuffix(m.Help, ".") || m.Part == "" {
			t.Errorf("%+v has no prefix, no sentence or no part", m)
		}
		if strings.HasSuffix(m.Name, "_total") != (m.Type == Counter) {
			t.Errorf("%s is a %s", m.Name, m.Type)
		}
		for _, unit := range []string{"seconds", "ratio"} {
			if strings.Contains(m.Name, "_"+unit) != (m.Unit == unit) {
				t.Errorf("%s has the unit %q", m.Name, m.Unit)
			}
		}
		if (m.Type == Histogram) != (len(m.Buckets) > 0) {
			t.Errorf("%s is a %s with the buckets %v", m.Name, m.Type, m.Buckets)
		}
		for _, l := range m.Labels {
			if !slices.Contains(allowed, l.Name) || l.Bound == "" {
				t.Errorf("%s has the label %+v; allowed are %s, each with its bound", m.Name, l, allowed)
			}
		}
	}
}

// Rules and dashboards of others are made from names and labels: none may go.
func TestNoNameOrLabelOfTheContractIsGone(t *testing.T) {
	t.Parallel()
	var got []string
	for _, m := range Metrics() {
		got = append(got, m.Name+"{"+strings.Join(m.labelNames(), ",")+"}")
	}
	text, err := os.ReadFile(filepath.Join("testdata", "contract.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for want := range strings.FieldsSeq(string(text)) {
		if !slices.Contains(got, want) {
			t.Errorf("%s is gone", want)
		}
	}
}

func TestANameThatIsNotInTheTablePanics(t *testing.T) {
	t.Parallel()
	i := &instruments{reg: prometheus.NewRegistry(), table: Metrics()}
	for what, make := range map[string]func(){
		"an unknown name":        func() { i.counter("homeostat_unknown_total") },
		"a name of another type": func() { i.gauge(nameDecisions) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s does not panic", what)
				}
			}()
			make()
		}()
	}
}
