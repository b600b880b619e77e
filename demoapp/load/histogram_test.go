package load

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// twin is the same thing done without cleverness: keep all values and sort them.
type twin []time.Duration

func (t twin) quantile(q float64) time.Duration {
	if len(t) == 0 {
		return 0
	}
	slices.Sort(t)
	rank := int(math.Ceil(q * float64(len(t))))
	return t[min(max(rank, 1), len(t))-1]
}

func compare(t *testing.T, values []time.Duration) {
	t.Helper()
	var h Histogram
	sorted := twin{}
	var sum time.Duration
	for _, v := range values {
		h.Record(v)
		sorted = append(sorted, max(0, v))
		sum += max(0, v)
	}
	for _, q := range []float64{0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1} {
		exact, got := sorted.quantile(q), h.Quantile(q)
		if highest := exact + exact/64 + unit; got < exact || got > highest {
			t.Errorf("quantile %v of %d values is %v, want %v to %v", q, len(values), got, exact, highest)
		}
	}
	if h.Count() != uint64(len(values)) || h.Max() != sorted.quantile(1) {
		t.Errorf("count %d and max %v, want %d and %v", h.Count(), h.Max(), len(values), sorted.quantile(1))
	}
	if n := len(values); n > 0 && h.Mean() != sum/time.Duration(n) {
		t.Errorf("mean is %v, want %v", h.Mean(), sum/time.Duration(n))
	}
}

func TestHistogramAgainstSortedValues(t *testing.T) {
	compare(t, nil)
	compare(t, []time.Duration{0})
	compare(t, []time.Duration{-time.Second, time.Nanosecond, 127 * time.Microsecond, 128 * time.Microsecond, 9 * time.Hour})
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		values := make([]time.Duration, 1+random.IntN(2000))
		for i := range values {
			values[i] = time.Duration(math.Exp(random.Float64() * math.Log(float64(9*time.Hour))))
		}
		compare(t, values)
	}
}

func TestHistogramBucketsJoinWithoutGaps(t *testing.T) {
	if bucket(topValue) != buckets-1 || bucket(math.MaxUint64) != buckets-1 {
		t.Fatal("the highest value is not in the last bucket")
	}
	for i := range buckets {
		if bucket(highest(i)) != i {
			t.Fatalf("the highest value of bucket %d falls into bucket %d", i, bucket(highest(i)))
		}
		if i+1 < buckets && bucket(highest(i)+1) != i+1 {
			t.Fatalf("the value after bucket %d falls into bucket %d", i, bucket(highest(i)+1))
		}
	}
}

func TestHistogramAboveItsRangeTellsTheMax(t *testing.T) {
	var h Histogram
	h.Record(100 * time.Hour)
	if got := h.Quantile(0.5); got != 100*time.Hour {
		t.Errorf("quantile is %v, want 100h", got)
	}
}

func TestHistogramAddEqualsRecordingBoth(t *testing.T) {
	var a, b, both Histogram
	for i := range 1000 {
		d := time.Duration(i*i) * time.Microsecond
		both.Record(d)
		if i%3 == 0 {
			a.Record(d)
		} else {
			b.Record(d)
		}
	}
	a.Add(&b)
	if a != both {
		t.Error("the sum of two histograms is not the histogram of both")
	}
}

func FuzzHistogram(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 1, 255, 255, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var values []time.Duration
		for len(raw) >= 8 && len(values) < 4096 {
			values = append(values, time.Duration(binary.LittleEndian.Uint64(raw)>>1)%(9*time.Hour))
			raw = raw[8:]
		}
		compare(t, values)
	})
}

func BenchmarkHistogramRecord(b *testing.B) {
	var h Histogram
	for i := 0; b.Loop(); i++ {
		h.Record(time.Duration(i&0xffff) * time.Microsecond)
	}
}

func BenchmarkHistogramLatency(b *testing.B) {
	var h Histogram
	for i := range 100_000 {
		h.Record(time.Duration(i) * time.Microsecond)
	}
	for b.Loop() {
		h.Latency()
	}
}
