package hpa_test

import (
	"fmt"
	"testing"

	"github.com/homeostat/homeostat/hpa"
)

// BenchmarkDecide10 is one decision about ten ready replicas in steady state.
func BenchmarkDecide10(b *testing.B) { benchmarkDecide(b, 10) }

// BenchmarkDecide100 is one decision about a hundred.
func BenchmarkDecide100(b *testing.B) { benchmarkDecide(b, 100) }

func benchmarkDecide(b *testing.B, replicas int32) {
	b.Helper()
	p, now := forty(), clock(0)
	p.Max = 200
	o := hpa.Observation{Current: replicas}
	for i := range replicas {
		r := readyReplica(fmt.Sprintf("web-%d", i), now)
		r.CPU = hpa.Usage{Known: true, Value: 81, Request: 200, At: now}
		o.Replicas = append(o.Replicas, r)
	}
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
