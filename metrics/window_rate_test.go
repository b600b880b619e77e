package metrics

import (
	"math/rand/v2"
	"testing"
	"time"
)

// fine is what a page read once a second is judged with.
func fine() Reach { return Reach{Span: 3 * time.Second, Longest: 15 * time.Second, Growth: 0.2} }

// each adds one sample a second with the given counters.
func each(w *Window, cpu ...float64) {
	for i, c := range cpu {
		w.Add(sample(float64(i), c, 1))
	}
}

func TestUsageWithin(t *testing.T) {
	steady := func(rate float64, n int) []float64 {
		cpu := make([]float64, n)
		for i := range cpu {
			cpu[i] = rate * float64(i)
		}
		return cpu
	}
	tests := []struct {
		name       string
		cpu        []float64
		want       Reason
		wantMilli  int64
		wantWindow time.Duration
	}{
		{"none", nil, ReasonMissing, 0, 0},
		{"one", steady(1, 1), ReasonTooFewSamples, 0, 0},
		{"less than the span", steady(1, 3), ReasonTooFewSamples, 0, 0},
		{"a busy one is judged over the span", steady(0.5, 30), ReasonOK, 500, 3 * time.Second},
		{"40m is judged until it has used 200 ms", steady(0.0401, 30), ReasonOK, 40, 5 * time.Second},
		{"an idle one is judged over the longest interval", steady(0, 30), ReasonOK, 0, 15 * time.Second},
		{"and what there is, where that is shorter", steady(0, 6), ReasonOK, 0, 5 * time.Second},
		{"load is seen at once", append(steady(0, 20), 0.9, 1.8, 2.7), ReasonOK, 900, 3 * time.Second},
		{"the life before does not count", append(steady(9, 20), 0, 0.1, 0.2), ReasonTooFewSamples, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := NewWindow(64)
			each(w, tt.cpu...)
			u := w.UsageWithin(sec(float64(len(tt.cpu))), fine(), 10*time.Second)
			if u.Reason != tt.want || u.CPUMilli != tt.wantMilli || u.Window != tt.wantWindow {
				t.Errorf("usage is %s, %dm over %v, want %s, %dm over %v", u.Reason, u.CPUMilli, u.Window, tt.want, tt.wantMilli, tt.wantWindow)
			}
		})
	}
}

func TestUsageWithinHasNoRateAcrossAGap(t *testing.T) {
	w := NewWindow(64)
	w.Add(sample(0, 0, 1))
	w.Add(sample(20, 5, 1))
	if u := w.UsageWithin(sec(20), fine(), 10*time.Second); u.Reason != ReasonTooFewSamples {
		t.Errorf("usage is %+v, want no rate over 20 s", u)
	}
	if u := w.UsageWithin(sec(31), fine(), 10*time.Second); u.Reason != ReasonStale {
		t.Errorf("usage is %+v, want it stale", u)
	}
}

// The bound that the package of the apps' pages states: two counters with steps of 10 ms each, read about once a second,
// give a rate that is off by a tenth at most down to 14 thousandths of a core, and by 1.5 thousandths below that.
func TestUsageWithinErrsWithinItsBound(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 7))
	steps := func(seconds float64) float64 { return float64(int64(seconds*100+1e-9)) / 100 }
	for range 3000 {
		rate := rng.Float64() * 0.3
		user := rng.Float64()
		offset := rng.Float64()
		w := NewWindow(64)
		at := 0.0
		for range 40 {
			w.Add(sample(at, steps(offset+rate*user*at)+steps(offset/2+rate*(1-user)*at), 1))
			at += 0.9 + 0.2*rng.Float64()
		}
		u := w.UsageWithin(sec(at), fine(), 10*time.Second)
		if !u.OK() {
			t.Fatalf("rate %v: %+v", rate, u)
		}
		off := float64(u.CPUMilli) - rate*1000
		bound := max(rate*1000/10*1.12, 1.55) + 0.5 // the error is of what was shown; and it is rounded
		if off > bound || off < -bound {
			t.Errorf("%.2fm was judged as %dm over %v, allowed is %.2fm off", rate*1000, u.CPUMilli, u.Window, bound)
		}
	}
}

func TestCPUBetween(t *testing.T) {
	w := NewWindow(64)
	each(w, 0, 1, 2, 2, 2, 6)
	tests := []struct {
		name     string
		from, to float64
		want     int64
		wantOK   bool
	}{
		{"two readings", 0, 2, 1000, true},
		{"between readings", 0.5, 4.5, 875, true},
		{"all", 0, 5, 1200, true},
		{"nothing was used", 2, 4, 0, true},
		{"before the first", -1, 2, 0, false},
		{"after the last", 0, 5.1, 0, false},
		{"backwards", 3, 2, 0, false},
		{"no time", 2, 2, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := w.CPUBetween(sec(tt.from), sec(tt.to)); got != tt.want || ok != tt.wantOK {
				t.Errorf("rate is %d, %v, want %d, %v", got, ok, tt.want, tt.wantOK)
			}
		})
	}
	w.Add(started(sample(6, 0, 1), 5.5))
	if got, ok := w.CPUBetween(sec(0), sec(2)); ok {
		t.Errorf("rate is %d in a life that has ended", got)
	}
}
