package kube

import (
	"time"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/policy/record"
)

// resumed returns the history that a status keeps, as the next decision goes on from it. As long as nothing but the time of
// the newest recommendation moves the status is not written, so that it counts as made now: it held until whoever wrote
// it ended, and when that was nobody knows.
func resumed(s *v1alpha1.AutoscalerStatus, now time.Time) hpa.History {
	h := record.ReadHistory(s.History)
	if n := len(h.Recommendations); n > 0 && now.After(h.Recommendations[n-1].At) {
		h.Recommendations[n-1].At = now
	}
	return h
}
