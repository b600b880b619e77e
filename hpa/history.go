package hpa

import (
	"slices"
	"time"
)

// History is what the decisions before have left for the next: the recommendations within the stabilization windows
// and the changes within the rate limits' periods. The zero value is the first sight of a target. It is JSON so that it
// can outlive a process.
//
// A History is a value: Decide and Applied return the next one and never write to a slice of the one they were given,
// so an old one can be kept, compared or decided from again. The slices are shared between copies and are to be read
// only. Only Decider.Decide takes the slices over.
//
// It is bounded by the policy: a recommendation goes when its windows have passed, or as soon as no window could tell
// any more that it was there (a steady target has one); there are never more changes than were made within the longest
// period of their direction at some time.
type History struct {
	// Recommendations before stabilization, oldest first.
	Recommendations []Recommended `json:"recommendations,omitempty"`
	// Ups and Downs are the changes made. Their order says only which one makes room for the next.
	Ups   []Change `json:"ups,omitempty"`
	Downs []Change `json:"downs,omitempty"`
	// LastGood are the last proposals of the metrics that fall back to them, at most one for each.
	LastGood []Good `json:"lastGood,omitempty"`
}

// Good is what a metric proposed when it could last be computed.
type Good struct {
	Source   Source    `json:"source"`
	At       time.Time `json:"at"`
	Replicas int32     `json:"replicas"`
}

// Recommended is a recommendation at a time.
type Recommended struct {
	At       time.Time `json:"at"`
	Replicas int32     `json:"replicas"`
}

// Change is a change of the number of replicas that was carried out; Replicas is its size and always positive.
type Change struct {
	At       time.Time `json:"at"`
	Replicas int32     `json:"replicas"`
	// Outdated is set once the change was older than every period of its own direction: the next change takes its
	// place. Until then the periods of the other direction still count it, as in Kubernetes.
	Outdated bool `json:"outdated,omitempty"`
}

// Applied returns the history after the recommendation was carried out at the given time. It is called once after each
// successful write, and changes nothing where the number did not change or the policy had no rate limits of its own.
func (h History) Applied(rec Recommendation, now time.Time) History {
	switch {
	case rec.RatePeriod <= 0 || rec.Desired == rec.Current:
	case rec.Desired > rec.Current:
		h.Ups = stored(h.Ups, rec.Desired-rec.Current, now, rec.RatePeriod)
	default:
		h.Downs = stored(h.Downs, rec.Current-rec.Desired, now, rec.RatePeriod)
	}
	return h
}

// stored returns the changes with one more. It takes the place of the last outdated one if there is any: which one it is
// matters, because limits of the other direction may have longer periods and still count the rest.
func stored(changes []Change, size int32, now time.Time, period time.Duration) []Change {
	next := make([]Change, len(changes), len(changes)+1)
	copy(next, changes)
	cutoff, place := now.Add(-period), -1
	for i := range next {
		if next[i].At.Before(cutoff) {
			next[i].Outdated = true
		}
		if next[i].Outdated {
			place = i
		}
	}
	change := Change{At: now, Replicas: size}
	if place < 0 {
		return append(next, change)
	}
	next[place] = change
	return next
}

// Clone returns a copy that shares nothing with the history.
func (h History) Clone() History {
	return History{
		Recommendations: slices.Clone(h.Recommendations), Ups: slices.Clone(h.Ups), Downs: slices.Clone(h.Downs),
		LastGood: slices.Clone(h.LastGood),
	}
}

// open starts a decision. At first sight the current number is a recommendation, or a restart would scale down at once;
// times in the future are brought back to now.
func (h *History) open(current int32, now time.Time) {
	if len(h.Recommendations) == 0 {
		h.Recommendations = append(h.Recommendations, Recommended{At: now, Replicas: current})
	}
	for i := range h.Recommendations {
		notAfter(&h.Recommendations[i].At, now)
	}
	for i := range h.Ups {
		notAfter(&h.Ups[i].At, now)
	}
	for i := range h.Downs {
		notAfter(&h.Downs[i].At, now)
	}
	for i := range h.LastGood {
		notAfter(&h.LastGood[i].At, now)
	}
}

func notAfter(at *time.Time, now time.Time) {
	if at.After(now) {
		*at = now
	}
}

// record adds a recommendation and leaves out those before the cutoff. It also leaves out what no minimum or maximum over
// a window that ends now or later can depend on: a recommendation for which there is one at least as high and one at
// least as low, both not older.
func (h *History) record(replicas int32, now, cutoff time.Time) {
	all := append(h.Recommendations, Recommended{At: now, Replicas: replicas})
	last := len(all) - 1
	kept, highest, lowest := last, replicas, replicas
	for i := last - 1; i >= 0; i-- {
		r := all[i]
		if r.At.Before(cutoff) || (r.Replicas <= highest && r.Replicas >= lowest) {
			continue
		}
		highest, lowest = max(highest, r.Replicas), min(lowest, r.Replicas)
		kept--
		all[kept] = r
	}
	h.Recommendations = append(all[:0], all[kept:]...)
}

// changed sums the changes made after now - period.
func changed(changes []Change, period time.Duration, now time.Time) int64 {
	cutoff := now.Add(-period)
	var sum int64
	for i := range changes {
		if changes[i].At.After(cutoff) {
			sum += int64(changes[i].Replicas)
		}
	}
	return sum
}
