// Package record writes what the engines decided and keep into the API's types, and reads it back: incidents both ways,
// recommendations as the status of an Autoscaler.
//
// Times are kept to the microsecond, which is what the API's MicroTime has; a zero time is an absent field. It stores
// nothing and decides nothing.
package record

import (
	"math"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func micro(t time.Time) metav1.MicroTime {
	return metav1.NewMicroTime(t.UTC().Truncate(time.Microsecond))
}

func microOrNone(t time.Time) *metav1.MicroTime {
	if t.IsZero() {
		return nil
	}
	m := micro(t)
	return &m
}

func timeOf(m *metav1.MicroTime) time.Time {
	if m == nil || m.IsZero() {
		return time.Time{}
	}
	return m.UTC()
}

// decimal writes a ratio with at most four decimals; 0 is the empty string.
func decimal(f float64) string {
	if f == 0 {
		return ""
	}
	return strconv.FormatFloat(math.Round(f*1e4)/1e4, 'f', -1, 64)
}

// ratio reads what decimal wrote. What is no number counts as not known.
func ratio(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0
	}
	return f
}

// each converts a slice, keeping nil as nil.
func each[A, B any](list []A, convert func(*A) B) []B {
	if len(list) == 0 {
		return nil
	}
	out := make([]B, len(list))
	for i := range list {
		out[i] = convert(&list[i])
	}
	return out
}
