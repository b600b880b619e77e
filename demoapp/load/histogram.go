package load

import (
	"math/bits"
	"time"
)

// Histogram counts durations in buckets whose width grows with the value, as HDR histograms do: exact
// below 128 µs, and from there each power of two is cut into 64 buckets, so that a quantile is at
// most 1/64 (1.6 %) too high, and never too low. It takes 15 KiB however many values it counts. Values above about
// 9 hours count in the last bucket. The zero value is empty and ready; it is not safe for concurrent use.
type Histogram struct {
	counts [buckets]uint64
	count  uint64
	sum    time.Duration
	max    time.Duration
}

const (
	unit     = time.Microsecond
	subBits  = 6
	linear   = 1 << (subBits + 1)
	topBits  = 35
	buckets  = linear + (topBits-subBits-1)<<subBits
	topValue = 1<<topBits - 1
)

// bucket returns the bucket of a value in units.
func bucket(value uint64) int {
	value = min(value, topValue)
	if value < linear {
		return int(value)
	}
	shift := bits.Len64(value) - (subBits + 1)
	return shift<<subBits + int(value>>shift)
}

// highest returns the highest value in units that falls into a bucket.
func highest(index int) uint64 {
	if index < linear {
		return uint64(index)
	}
	shift := index>>subBits - 1
	return uint64(index-shift<<subBits+1)<<shift - 1
}

// Record counts one duration. A negative one counts as zero.
func (h *Histogram) Record(d time.Duration) {
	d = max(0, d)
	// Rounded up, so that a quantile is never below the value.
	h.counts[bucket(uint64((d+unit-1)/unit))]++
	h.count++
	h.sum += d
	h.max = max(h.max, d)
}

// Count returns how many durations were counted.
func (h *Histogram) Count() uint64 { return h.count }

// Max returns the longest duration, exactly, or 0 without any.
func (h *Histogram) Max() time.Duration { return h.max }

// Mean returns the exact mean, or 0 without any.
func (h *Histogram) Mean() time.Duration {
	if h.count == 0 {
		return 0
	}
	return h.sum / time.Duration(h.count)
}

// Quantile returns the duration below or at which a share q of the counted ones lies, by the nearest-rank
// method, or 0 without any. q is taken as between 0 and 1.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := uint64(1)
	if exact := q * float64(h.count); exact > 1 {
		rank = uint64(exact)
		if float64(rank) < exact {
			rank++
		}
	}
	rank = min(rank, h.count)
	var seen uint64
	for i, n := range h.counts {
		seen += n
		if seen >= rank {
			if i == buckets-1 {
				break
			}
			return min(time.Duration(highest(i))*unit, h.max)
		}
	}
	return h.max
}

// Add counts everything that other counted.
func (h *Histogram) Add(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.count += other.count
	h.sum += other.sum
	h.max = max(h.max, other.max)
}

// Latency returns the summary of the histogram.
func (h *Histogram) Latency() Latency {
	return Latency{P50: h.Quantile(0.5), P90: h.Quantile(0.9), P99: h.Quantile(0.99), Max: h.max, Mean: h.Mean()}
}
