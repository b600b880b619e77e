package hpa

import (
	"math"
	"math/bits"
)

// clamp32 brings a number into the range of int32.
func clamp32(n int64) int32 { return int32(min(max(n, math.MinInt32), math.MaxInt32)) }

// ceil32 rounds up and brings the result into the range of int32. Not a number is 0.
func ceil32(f float64) int32 {
	f = math.Ceil(f)
	switch {
	case f >= math.MaxInt32:
		return math.MaxInt32
	case f <= math.MinInt32:
		return math.MinInt32
	case math.IsNaN(f):
		return 0
	}
	return int32(f)
}

// ceil64 rounds up and brings the result into the range of int64. Not a number is 0.
func ceil64(f float64) int64 {
	f = math.Ceil(f)
	switch {
	case f >= math.MaxInt64:
		return math.MaxInt64
	case f <= math.MinInt64:
		return math.MinInt64
	case math.IsNaN(f):
		return 0
	}
	return int64(f)
}

// finite returns the number, or 0 where it is infinite or none: such a ratio says that there was nothing to divide by.
func finite(f float64) float64 {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return 0
	}
	return f
}

// add saturates.
func add(a, b int64) int64 {
	s := a + b
	switch {
	case a > 0 && b > 0 && s < 0:
		return math.MaxInt64
	case a < 0 && b < 0 && s >= 0:
		return math.MinInt64
	}
	return s
}

// mul saturates.
func mul(a, b int64) int64 {
	if b == 1 {
		return a
	}
	return quotient(a, b, 1)
}

// quotient returns a*b/c cut towards zero without overflow on the way; it saturates. c is greater than zero.
func quotient(a, b, c int64) int64 {
	negative := (a < 0) != (b < 0)
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	q := uint64(math.MaxInt64)
	switch {
	case hi == 0 && c == 1:
		q = min(lo, math.MaxInt64)
	case hi < uint64(c):
		q, _ = bits.Div64(hi, lo, uint64(c))
		q = min(q, math.MaxInt64)
	}
	if negative {
		return -int64(q)
	}
	return int64(q)
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}
