package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/journal"
)

// recording is a Telemetry with its registry and its journal, inside of a bubble, whose clock it starts at.
type recording struct {
	*Telemetry
	t   *testing.T
	reg *prometheus.Registry
	out *bytes.Buffer
	end func()
}

// recorded runs f with a Telemetry whose journal has each every-th line.
func recorded(t *testing.T, every int, f func(r *recording)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &recording{t: t, reg: prometheus.NewRegistry(), out: &bytes.Buffer{}}
		j := journal.New()
		r.Telemetry = New(r.reg, j, every, "v1")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			j.Run(ctx, r.out, slog.New(slog.DiscardHandler))
		}()
		r.end = func() {
			cancel()
			<-ended
		}
		f(r)
		r.end()
	})
}

// decide records a decision of now about the autoscaler of the given name.
func (r *recording) decide(name string, change func(rec *hpa.Recommendation), err error) {
	a, rec := autoscaler(), decision(4)
	a.Ref.Name = name
	rec.At = time.Now()
	for i := range rec.Metrics {
		if at := &rec.Metrics[i].Oldest; !at.IsZero() {
			*at = rec.At.Add(at.Sub(t0))
		}
	}
	if change != nil {
		change(&rec)
	}
	r.Decided(a, hpa.Observation{}, hpa.History{}, rec, err)
}

// series returns what is exposed under homeostat_autoscaler_, without that name, each as name{labels} value.
func (r *recording) series() []string {
	r.t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	var all []string
	for _, f := range families {
		name, ours := strings.CutPrefix(f.GetName(), "homeostat_autoscaler_")
		if !ours {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			v := m.GetGauge().GetValue() + m.GetCounter().GetValue()
			all = append(all, fmt.Sprintf("%s{%s} %v", name, strings.Join(labels, ","), v))
		}
	}
	return all
}

const who = "{kind=Autoscaler,name=web,namespace=demo}"

func TestADecisionShowsItsNumbersAndAges(t *testing.T) {
	t.Parallel()
	recorded(t, 60, func(r *recording) {
		r.decide("web", func(rec *hpa.Recommendation) {
			rec.Desired, rec.Reason, rec.Steps[2].After = 2, hpa.ReasonIncidentHold, 2
		}, nil)
		time.Sleep(30 * time.Second)
		want := []string{
			"current_replicas" + who + " 2",
			"decision_age_seconds" + who + " 30",
			"decisions_total{kind=Autoscaler,name=web,namespace=demo,reason=IncidentHold} 1",
			"desired_replicas" + who + " 2",
			"failing_metrics" + who + " 2",
			"fallback_metrics" + who + " 1",
			"limited_replicas" + who + " 4",
			"max_replicas" + who + " 4",
			"metric_age_seconds" + who + " 39",
			"min_replicas" + who + " 2",
			"proposed_replicas" + who + " 5",
			"reason{kind=Autoscaler,name=web,namespace=demo,reason=IncidentHold} 1",
			"scale_errors_total" + who + " 0",
		}
		if diff := cmp.Diff(want, r.series()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestThereIsOneReasonAtATimeAndNoNumberThatNobodyDecided(t *testing.T) {
	t.Parallel()
	recorded(t, 60, func(r *recording) {
		r.decide("web", nil, nil)
		time.Sleep(10 * time.Second)
		r.decide("web", func(rec *hpa.Recommendation) {
			*rec = hpa.Recommendation{At: rec.At, Reason: "FailedGetScale", Message: "the target is not there"}
		}, errors.New("not there"))
		want := []string{
			"decision_age_seconds" + who + " 10",
			"decisions_total{kind=Autoscaler,name=web,namespace=demo,reason=FailedGetScale} 1",
			"decisions_total{kind=Autoscaler,name=web,namespace=demo,reason=TooManyReplicas} 1",
			"reason{kind=Autoscaler,name=web,namespace=demo,reason=FailedGetScale} 1",
			"scale_errors_total" + who + " 1",
		}
		if diff := cmp.Diff(want, r.series()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestAnAutoscalerAndAnHPAOfOneNameHaveSeriesOfTheirOwn(t *testing.T) {
	t.Parallel()
	recorded(t, 60, func(r *recording) {
		r.decide("web", nil, nil)
		a := autoscaler()
		a.Ref.Kind = "HorizontalPodAutoscaler"
		r.Decided(a, hpa.Observation{}, hpa.History{}, decision(3), nil)
		got := slices.DeleteFunc(r.series(), func(s string) bool { return !strings.HasPrefix(s, "desired") })
		want := []string{
			"desired_replicas" + who + " 4", "desired_replicas{kind=HorizontalPodAutoscaler,name=web,namespace=demo} 3",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// names returns the names of the autoscalers that have any series, and how many of them are kept with their decision.
func (r *recording) names() string {
	all := map[string]bool{}
	for _, s := range r.series() {
		_, rest, _ := strings.Cut(s, "name=")
		name, _, _ := strings.Cut(rest, ",")
		all[name] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(all)), " ")
}

func TestTheSeriesOfAnAutoscalerThatIsGoneEnd(t *testing.T) {
	t.Parallel()
	recorded(t, 60, func(r *recording) {
		check := func(when, want string) {
			t.Helper()
			if got := r.names(); got != want {
				t.Errorf("%s there are series of %q, want %q", when, got, want)
			}
		}
		r.decide("api", nil, nil)
		r.decide("web", nil, errors.New("conflict"))
		r.Turned("scaling", time.Millisecond, nil)
		r.decide("api", nil, nil)
		r.Turned("healing", time.Millisecond, nil)
		check("while the pass is under way", "api web")
		r.Turned("scaling", time.Millisecond, errors.New("no list"))
		check("after a pass that ended early, which says nothing about who is gone,", "api web")
		r.decide("api", nil, nil)
		time.Sleep(patience)
		r.Turned("scaling", time.Millisecond, nil)
		check("after passes that left one out: it may wait for its sources", "api web")
		time.Sleep(time.Second)
		r.Turned("scaling", time.Millisecond, nil)
		check("after more of them", "")
		r.decide("api", nil, nil)
		r.Leading(false)
		check("on a standby", "")
	})
}

func TestAnAutoscalerWithAPeriodOfItsOwnIsNotGoneBetween(t *testing.T) {
	t.Parallel()
	recorded(t, 60, func(r *recording) {
		a, rec := autoscaler(), decision(4)
		a.Period, rec.At = time.Minute, time.Now()
		r.Decided(a, hpa.Observation{}, hpa.History{}, rec, nil)
		for range 100 {
			r.Turned("scaling", time.Millisecond, nil)
			time.Sleep(time.Second)
		}
		if got := r.names(); got != "web" {
			t.Errorf("series of %q, want those of web", got)
		}
		time.Sleep(2 * time.Minute)
		r.Turned("scaling", time.Millisecond, nil)
		if got := r.names(); got != "" {
			t.Errorf("series of %q after two periods without a decision", got)
		}
	})
}

func TestTheStoreForgetsWhatIsLongGone(t *testing.T) {
	t.Parallel()
	recorded(t, 60, func(r *recording) {
		r.Leading(true)
		r.decide("web", nil, nil)
		if all, ok := r.Decisions().List(); !ok || len(all) != 1 {
			t.Fatalf("%d decisions, acting %v", len(all), ok)
		}
		time.Sleep(time.Hour)
		r.Turned("scaling", time.Millisecond, nil)
		if all, ok := r.Decisions().List(); !ok || len(all) != 0 {
			t.Errorf("%d decisions an hour later, acting %v", len(all), ok)
		}
	})
}

func TestTheJournalGetsWhatIsNewAndEachNthOfTheRest(t *testing.T) {
	t.Parallel()
	steady := func(rec *hpa.Recommendation) { rec.Current, rec.Reason = rec.Desired, hpa.ReasonDesiredWithinRange }
	type pass struct {
		change func(rec *hpa.Recommendation)
		err    error
	}
	same := pass{change: steady}
	tests := []struct {
		name   string
		passes []pass
		want   []int // the passes that have a line, from 0
	}{
		{"the first, and each tenth", slices.Repeat([]pass{same}, 25), []int{0, 10, 20}},
		{"each change", slices.Repeat([]pass{{}}, 3), []int{0, 1, 2}},
		{
			"a write that fails again and again once",
			[]pass{same, {err: errors.New("a")}, {err: errors.New("b")}, {err: errors.New("c")}, same, same},
			[]int{0, 1, 4},
		},
		{"another reason with the same number", []pass{same, {change: func(rec *hpa.Recommendation) {
			steady(rec)
			rec.Reason = hpa.ReasonWithinTolerance
		}}, same, same}, []int{0, 1, 2}},
		{"each autoscaler for itself", []pass{same, {change: func(rec *hpa.Recommendation) { rec.Current, rec.Desired = 3, 3 }}, same}, []int{0, 1, 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			recorded(t, 10, func(r *recording) {
				start := time.Now()
				for _, p := range tt.passes {
					r.decide("web", p.change, p.err)
					time.Sleep(time.Second)
				}
				synctest.Wait()
				var got []int
				for rec, err := range journal.Read(r.out) {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, int(rec.Time.Sub(start)/time.Second))
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("lines of the passes (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestADryRunThatGoesOnWantingTheSameIsNoNews(t *testing.T) {
	t.Parallel()
	recorded(t, 100, func(r *recording) {
		a := autoscaler()
		a.Mode = "DryRun"
		for range 50 {
			r.Decided(a, hpa.Observation{}, hpa.History{}, decision(4), nil)
		}
		synctest.Wait()
		if n := strings.Count(r.out.String(), "\n"); n != 1 {
			t.Errorf("%d lines of 50 decisions that say the same and write nothing, want 1", n)
		}
	})
}

// The collector is what a scrape asks: it must say what it may expose, and never twice the same.
func TestTheCollectorIsConsistent(t *testing.T) {
	t.Parallel()
	a := newAutoscalers(&instruments{reg: prometheus.NewRegistry(), table: Metrics()}, func() time.Time { return t0 })
	of, rec := autoscaler(), decision(4)
	a.decided(&of, &rec, nil, 1)
	of.Ref = cluster.Ref{Kind: "Autoscaler", Namespace: "demo", Name: "api"}
	a.decided(&of, &rec, nil, 1)
	problems, err := testutil.CollectAndLint(a)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}
