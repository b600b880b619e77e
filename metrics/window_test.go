package metrics

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func sec(n float64) time.Time { return t0.Add(time.Duration(n * float64(time.Second))) }

func sample(at, cpu float64, mib int64) Sample {
	return Sample{At: sec(at), CPUSeconds: cpu, MemoryBytes: mib << 20, Start: sec(-60)}
}

func started(s Sample, at float64) Sample { s.Start = sec(at); return s }

func noCPU(s Sample) Sample    { s.NoCPU = true; return s }
func noMemory(s Sample) Sample { s.NoMemory = true; return s }
func noStart(s Sample) Sample  { s.Start = time.Time{}; return s }

func TestWindowUsage(t *testing.T) {
	const mib = 1 << 20
	tests := []struct {
		name    string
		samples []Sample
		now     float64
		want    Usage
	}{
		{name: "never seen", want: Usage{Reason: ReasonMissing}},
		{
			name:    "one sample gives memory but no rate",
			samples: []Sample{sample(0, 5, 10)},
			now:     1,
			want:    Usage{Reason: ReasonTooFewSamples, At: sec(0), Start: sec(-60), MemoryBytes: 10 * mib, MemoryKnown: true},
		},
		{
			name:    "half a core",
			samples: []Sample{sample(0, 5, 10), sample(10, 10, 11)},
			now:     12,
			want: Usage{
				Reason: ReasonOK, At: sec(10), Start: sec(-60), Window: 10 * time.Second,
				CPUMilli: 500, MemoryBytes: 11 * mib, MemoryKnown: true,
			},
		},
		{
			name:    "an idle container uses zero, with reason OK",
			samples: []Sample{sample(0, 5, 10), sample(10, 5, 10)},
			now:     12,
			want: Usage{
				Reason: ReasonOK, At: sec(10), Start: sec(-60), Window: 10 * time.Second,
				MemoryBytes: 10 * mib, MemoryKnown: true,
			},
		},
		{
			name:    "the interval nearest to the span is taken, not the next beyond it",
			samples: []Sample{sample(0, 0, 10), sample(13, 13, 10), sample(26, 13, 10)},
			now:     26,
			want: Usage{
				Reason: ReasonOK, At: sec(26), Start: sec(-60), Window: 13 * time.Second,
				MemoryBytes: 10 * mib, MemoryKnown: true,
			},
		},
		{
			name:    "of two intervals as near, the shorter",
			samples: []Sample{sample(0, 0, 10), sample(10, 10, 10), sample(20, 10, 10)},
			now:     20,
			want: Usage{
				Reason: ReasonOK, At: sec(20), Start: sec(-60), Window: 10 * time.Second,
				MemoryBytes: 10 * mib, MemoryKnown: true,
			},
		},
		{
			name:    "the same reading twice is one sample",
			samples: []Sample{sample(0, 5, 10), sample(0, 5, 10)},
			now:     1,
			want:    Usage{Reason: ReasonTooFewSamples, At: sec(0), Start: sec(-60), MemoryBytes: 10 * mib, MemoryKnown: true},
		},
		{
			name:    "two readings within a blink give no rate",
			samples: []Sample{sample(0, 5, 10), sample(0.5, 10, 10)},
			now:     1,
			want:    Usage{Reason: ReasonTooFewSamples, At: sec(0.5), Start: sec(-60), MemoryBytes: 10 * mib, MemoryKnown: true},
		},
		{
			name:    "stale",
			samples: []Sample{sample(0, 5, 10), sample(10, 6, 10)},
			now:     71,
			want:    Usage{Reason: ReasonStale, At: sec(10), Start: sec(-60)},
		},
		{
			name:    "just not stale",
			samples: []Sample{sample(0, 5, 10), sample(10, 6, 10)},
			now:     70,
			want: Usage{
				Reason: ReasonOK, At: sec(10), Start: sec(-60), Window: 10 * time.Second, CPUMilli: 100,
				MemoryBytes: 10 * mib, MemoryKnown: true,
			},
		},
		{
			name:    "a sample from the far future is not fresh",
			samples: []Sample{sample(600, 5, 10), sample(610, 6, 10)},
			now:     10,
			want:    Usage{Reason: ReasonStale, At: sec(610), Start: sec(-60)},
		},
		{
			name:    "after a counter reset there is no rate until the second sample",
			samples: []Sample{noStart(sample(0, 50, 10)), noStart(sample(10, 60, 90)), noStart(sample(20, 1, 5))},
			now:     21,
			want:    Usage{Reason: ReasonTooFewSamples, At: sec(20), MemoryBytes: 5 * mib, MemoryKnown: true},
		},
		{
			name:    "after a counter reset the rate is that of the new life",
			samples: []Sample{noStart(sample(0, 50, 10)), noStart(sample(10, 1, 5)), noStart(sample(20, 3, 6))},
			now:     21,
			want: Usage{
				Reason: ReasonOK, At: sec(20), Window: 10 * time.Second, CPUMilli: 200, MemoryBytes: 6 * mib, MemoryKnown: true,
			},
		},
		{
			name:    "another start is a new life even where the counter went on",
			samples: []Sample{sample(0, 1, 10), sample(10, 2, 10), started(sample(20, 9, 3), 12)},
			now:     21,
			want:    Usage{Reason: ReasonTooFewSamples, At: sec(20), Start: sec(12), MemoryBytes: 3 * mib, MemoryKnown: true},
		},
		{
			name:    "a start that moves by less than a second is the same",
			samples: []Sample{sample(0, 1, 10), started(sample(10, 2, 10), -59.2)},
			now:     11,
			want: Usage{
				Reason: ReasonOK, At: sec(10), Start: sec(-60), Window: 10 * time.Second, CPUMilli: 100,
				MemoryBytes: 10 * mib, MemoryKnown: true,
			},
		},
		{
			name:    "a start that becomes known later is not a restart",
			samples: []Sample{noStart(sample(0, 1, 10)), sample(10, 2, 10)},
			now:     11,
			want: Usage{
				Reason: ReasonOK, At: sec(10), Start: sec(-60), Window: 10 * time.Second, CPUMilli: 100,
				MemoryBytes: 10 * mib, MemoryKnown: true,
			},
		},
		{
			name:    "a start after the newest sample is a restart even if the start before was not known",
			samples: []Sample{noStart(sample(0, 1, 10)), started(sample(10, 2, 10), 5)},
			now:     11,
			want:    Usage{Reason: ReasonTooFewSamples, At: sec(10), Start: sec(5), MemoryBytes: 10 * mib, MemoryKnown: true},
		},
		{
			name:    "a gap that ended before anything of use is not bridged",
			samples: []Sample{sample(0, 1, 10), sample(76, 2, 20)},
			now:     77,
			want:    Usage{Reason: ReasonTooFewSamples, At: sec(76), Start: sec(-60), MemoryBytes: 20 * mib, MemoryKnown: true},
		},
		{
			name:    "a smaller gap is bridged and the window says so",
			samples: []Sample{sample(0, 0, 10), sample(50, 5, 20)},
			now:     51,
			want: Usage{
				Reason: ReasonOK, At: sec(50), Start: sec(-60), Window: 50 * time.Second, CPUMilli: 100,
				MemoryBytes: 20 * mib, MemoryKnown: true,
			},
		},
		{
			name:    "a sample without CPU does not hide the rate before it",
			samples: []Sample{sample(0, 0, 10), sample(10, 1, 10), noCPU(sample(20, 0, 30))},
			now:     21,
			want: Usage{
				Reason: ReasonOK, At: sec(20), Start: sec(-60), Window: 10 * time.Second, CPUMilli: 100,
				MemoryBytes: 30 * mib, MemoryKnown: true,
			},
		},
		{
			name:    "memory that was never read is not known, not zero",
			samples: []Sample{noMemory(sample(0, 0, 0)), noMemory(sample(10, 1, 0))},
			now:     11,
			want:    Usage{Reason: ReasonOK, At: sec(10), Start: sec(-60), Window: 10 * time.Second, CPUMilli: 100},
		},
		{
			name:    "a sample that came late is ignored",
			samples: []Sample{sample(0, 0, 10), sample(10, 1, 10), sample(5, 9, 99)},
			now:     11,
			want: Usage{
				Reason: ReasonOK, At: sec(10), Start: sec(-60), Window: 10 * time.Second, CPUMilli: 100,
				MemoryBytes: 10 * mib, MemoryKnown: true,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := NewWindow(8)
			for _, s := range tt.samples {
				w.Add(s)
			}
			got := w.Usage(sec(tt.now), 15*time.Second, time.Minute)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("usage (-want +got):\n%s", diff)
			}
			if got.OK() != (got.Reason == ReasonOK) || got.HasMemory() != got.MemoryKnown {
				t.Errorf("OK %v, HasMemory %v do not fit %+v", got.OK(), got.HasMemory(), got)
			}
		})
	}
}

func TestWindowAddSaysWhatIsNew(t *testing.T) {
	w := NewWindow(4)
	steps := []struct {
		name string
		s    Sample
		want bool
	}{
		{"the first", sample(0, 1, 1), true},
		{"the same again", sample(0, 1, 1), false},
		{"the same time with other values", sample(0, 2, 2), false},
		{"an older one", sample(-1, 1, 1), false},
		{"a newer one with the same values", sample(1, 1, 1), true},
		{"no time", Sample{CPUSeconds: 1, MemoryBytes: 1}, false},
		{"a time before 1970", Sample{At: time.Unix(-5, 0), CPUSeconds: 1}, false},
		{"neither value", noCPU(noMemory(sample(2, 0, 0))), false},
		{"a negative counter and no memory", noMemory(sample(2, -1, 0)), false},
		{"not a number and no memory", noMemory(sample(2, math.NaN(), 0)), false},
		{"an infinite counter, but memory", sample(2, math.Inf(1), 1), true},
		{"a negative memory, but CPU", sample(3, 1, -1), true},
	}
	for _, st := range steps {
		if got := w.Add(st.s); got != st.want {
			t.Errorf("%s: Add is %v, want %v", st.name, got, st.want)
		}
	}
}

func TestWindowKeepsThePointsBeforeAKill(t *testing.T) {
	w := NewWindow(4)
	w.Add(sample(0, 1, 20))  // falls out of the ring
	w.Add(sample(10, 2, 40)) // its predecessor is gone: no rate
	w.Add(sample(20, 4, 63)) // at the limit, then killed
	w.Add(noMemory(started(sample(32, 0.5, 0), 25)))
	w.Add(started(sample(42, 1.5, 6), 25))
	want := []Point{
		{At: sec(10), CPUMilli: NotKnown, MemoryBytes: 40 << 20},
		{At: sec(20), CPUMilli: 200, MemoryBytes: 63 << 20},
		{At: sec(32), CPUMilli: NotKnown, MemoryBytes: NotKnown},
		{At: sec(42), CPUMilli: 100, MemoryBytes: 6 << 20},
	}
	if diff := cmp.Diff(want, w.Points(nil)); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
	if w.Len() != 4 {
		t.Errorf("window keeps %d samples, want 4", w.Len())
	}
}

func TestWindowAddDoesNotAllocate(t *testing.T) {
	w := NewWindow(16)
	i := 0.0
	if n := testing.AllocsPerRun(200, func() {
		i++
		w.Add(sample(i, i, 1))
	}); n != 0 {
		t.Errorf("Add allocates %v times, want 0", n)
	}
}
