package hpa_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/homeostat/homeostat/hpa"
)

// BenchmarkDecide10 is one decision with its words about ten ready replicas in steady state.
func BenchmarkDecide10(b *testing.B) { benchmarkDecide(b, 10) }

// BenchmarkDecide100 is one decision with its words about a hundred.
func BenchmarkDecide100(b *testing.B) { benchmarkDecide(b, 100) }

func benchmarkDecide(b *testing.B, replicas int32) {
	b.Helper()
	p, o, now := steadyTarget(replicas)
	_, h := hpa.Decide(p, o, hpa.History{}, now)
	b.ReportAllocs()
	for b.Loop() {
		rec, next := hpa.Decide(p, o, h, now)
		if rec.Desired != replicas {
			b.Fatal(rec.Message)
		}
		h = next
	}
}

// BenchmarkDecider is one decision in memory that is kept, as the loop makes it.
func BenchmarkDecider(b *testing.B) {
	for _, replicas := range []int32{3, 10, 100} {
		b.Run(fmt.Sprintf("replicas=%d", replicas), func(b *testing.B) {
			p, o, now := steadyTarget(replicas)
			benchmarkDecider(b, &p, &o, now)
		})
	}
	b.Run("replicas=10/metrics=4/behavior", func(b *testing.B) {
		p, o, now := busyTarget(10)
		benchmarkDecider(b, &p, &o, now)
	})
}

func benchmarkDecider(b *testing.B, p *hpa.Policy, o *hpa.Observation, now time.Time) {
	b.Helper()
	var d hpa.Decider
	var h hpa.History
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second)
		var rec *hpa.Recommendation
		if rec, h = d.Decide(p, o, h, now); rec.Desired != o.Current {
			b.Fatal(d.Explain().Message)
		}
	}
}

// BenchmarkExplain adds the words to a decision about ten replicas.
func BenchmarkExplain(b *testing.B) {
	p, o, now := busyTarget(10)
	var d hpa.Decider
	d.Decide(&p, &o, hpa.History{}, now)
	b.ReportAllocs()
	for b.Loop() {
		if d.Explain().Message == "" {
			b.Fatal("no words")
		}
	}
}

// steadyTarget has replicas whose cpu is at the target.
func steadyTarget(replicas int32) (hpa.Policy, hpa.Observation, time.Time) {
	p, now := forty(), clock(0)
	p.Max = 200
	o := hpa.Observation{Current: replicas, StatusReplicas: replicas}
	for i := range replicas {
		r := readyReplica(fmt.Sprintf("web-%d", i), now)
		r.CPU = hpa.Usage{Known: true, Value: 81, Request: 200, At: now}
		r.Memory = hpa.Usage{Known: true, Value: 50 << 20, Request: 200 << 20, At: now}
		o.Replicas = append(o.Replicas, r)
	}
	return p, o, now
}

// busyTarget has four metrics of every kind, a behavior, fallbacks, a schedule, and one replica in each kind of trouble.
func busyTarget(replicas int32) (hpa.Policy, hpa.Observation, time.Time) {
	p, o, now := steadyTarget(replicas)
	container := hpa.Source{Type: hpa.FromContainerResource, Resource: hpa.Memory, Container: "app"}
	requests := hpa.Source{Type: hpa.FromPods, Name: "http_requests"}
	queue := hpa.Source{Type: hpa.FromExternal, Name: "queue_length"}
	lastGood := &hpa.Fallback{Type: hpa.FallbackLastGood, For: time.Hour}
	p.Metrics = append(p.Metrics,
		hpa.Metric{Source: container, Type: hpa.Utilization, Target: 60, Fallback: lastGood},
		hpa.Metric{Source: requests, Type: hpa.AverageValue, Target: 10_000, Fallback: lastGood},
		hpa.Metric{Source: queue, Type: hpa.AverageValue, Target: 40_000, Fallback: lastGood})
	p.Behavior = &hpa.Behavior{ScaleUp: &hpa.Rules{}, ScaleDown: &hpa.Rules{Select: hpa.SelectMin}}
	o.Floor = &hpa.Floor{Replicas: 3, By: "schedule office-hours"}
	for _, s := range []hpa.Source{container, requests} {
		r := hpa.Reading{Source: s, Known: true, At: now}
		for i := range o.Replicas {
			u := o.Replicas[i].Memory
			if s == requests {
				u = hpa.Usage{Known: i != 1, Value: 10_000, At: now}
			}
			r.Replicas = append(r.Replicas, u)
		}
		o.Readings = append(o.Readings, r)
	}
	o.Readings = append(o.Readings, hpa.Reading{Source: queue, Why: "the queue does not answer"})
	o.Replicas[0].CrashLooping = true
	o.Replicas[2].OOMKilledAt = now.Add(-time.Minute)
	return p, o, now
}

// TestSteadyStateAllocatesNothing is what lets one loop decide thousands of targets a second without garbage.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	for name, target := range map[string]func(int32) (hpa.Policy, hpa.Observation, time.Time){"steady": steadyTarget, "busy": busyTarget} {
		t.Run(name, func(t *testing.T) {
			p, o, now := target(10)
			var d hpa.Decider
			var h hpa.History
			decide := func() {
				now = now.Add(time.Second)
				_, h = d.Decide(&p, &o, h, now)
			}
			for range 5 {
				decide()
			}
			if n := testing.AllocsPerRun(100, decide); n != 0 {
				t.Errorf("%g allocations per decision", n)
			}
		})
	}
}
