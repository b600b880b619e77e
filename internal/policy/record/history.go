package record

import (
	"math"
	"slices"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
)

// History returns the history as an Autoscaler's status keeps it, times cut to the microsecond; nil where it is empty. It
// shares nothing with the history.
//
// A list that is longer than the API allows is cut so that whoever goes on from it is rather held back than let go:
//
//   - Of the recommendations the newest are kept, and of those before them the highest and the lowest: what the longest
//     stabilization window goes by.
//   - Of the changes the oldest are summed up in one, with the time of the newest of them: what every rate limit allows is
//     at most what it was.
//   - Of the last proposals of the metrics the newest are kept.
func History(h hpa.History) *v1alpha1.AutoscalerHistory {
	out := &v1alpha1.AutoscalerHistory{
		Recommendations: each(boundRecommendations(h.Recommendations), func(r *hpa.Recommended) v1alpha1.HistoryRecommendation {
			return v1alpha1.HistoryRecommendation{Time: micro(r.At), Replicas: r.Replicas}
		}),
		Ups:   each(boundChanges(h.Ups), fromChange),
		Downs: each(boundChanges(h.Downs), fromChange),
		LastGood: each(boundProposals(h.LastGood), func(g *hpa.Good) v1alpha1.HistoryProposal {
			return v1alpha1.HistoryProposal{Source: fromSource(g.Source), Time: micro(g.At), Replicas: g.Replicas}
		}),
	}
	if len(out.Recommendations)+len(out.Ups)+len(out.Downs)+len(out.LastGood) == 0 {
		return nil
	}
	return out
}

// ReadHistory returns the history that the status keeps; nil is the empty one.
func ReadHistory(h *v1alpha1.AutoscalerHistory) hpa.History {
	if h == nil {
		return hpa.History{}
	}
	return hpa.History{
		Recommendations: each(h.Recommendations, func(r *v1alpha1.HistoryRecommendation) hpa.Recommended {
			return hpa.Recommended{At: timeOf(&r.Time), Replicas: r.Replicas}
		}),
		Ups:   each(h.Ups, toChange),
		Downs: each(h.Downs, toChange),
		LastGood: each(h.LastGood, func(g *v1alpha1.HistoryProposal) hpa.Good {
			return hpa.Good{Source: toSource(&g.Source), At: timeOf(&g.Time), Replicas: g.Replicas}
		}),
	}
}

func fromChange(c *hpa.Change) v1alpha1.HistoryChange {
	return v1alpha1.HistoryChange{Time: micro(c.At), Replicas: c.Replicas, Outdated: c.Outdated}
}

func toChange(c *v1alpha1.HistoryChange) hpa.Change {
	return hpa.Change{At: timeOf(&c.Time), Replicas: c.Replicas, Outdated: c.Outdated}
}

// boundRecommendations leaves at most MaxRecommendations, oldest first as they are.
func boundRecommendations(all []hpa.Recommended) []hpa.Recommended {
	over := len(all) - v1alpha1.MaxRecommendations
	if over <= 0 {
		return all
	}
	old := all[:over+2] // of which two stay
	lowest, highest := 0, 0
	for i := range old {
		if old[i].Replicas <= old[lowest].Replicas { // of equals the newest, which lasts longest
			lowest = i
		}
		if old[i].Replicas >= old[highest].Replicas {
			highest = i
		}
	}
	first, second := min(lowest, highest), max(lowest, highest)
	if first == second { // all are equal
		first = second - 1
	}
	return append([]hpa.Recommended{old[first], old[second]}, all[over+2:]...)
}

// boundChanges leaves at most MaxHistoryChanges. Where that is all of them, they keep their order.
func boundChanges(all []hpa.Change) []hpa.Change {
	over := len(all) - v1alpha1.MaxHistoryChanges
	if over <= 0 {
		return all
	}
	all = slices.SortedStableFunc(slices.Values(all), func(a, b hpa.Change) int { return a.At.Compare(b.At) })
	rest := all[over:]
	sum := int64(rest[0].Replicas)
	for i := range over {
		sum += int64(all[i].Replicas)
	}
	rest[0].Replicas = int32(min(sum, math.MaxInt32))
	return rest
}

// boundProposals leaves at most MaxMetrics.
func boundProposals(all []hpa.Good) []hpa.Good {
	if len(all) <= v1alpha1.MaxMetrics {
		return all
	}
	return slices.SortedStableFunc(slices.Values(all), func(a, b hpa.Good) int { return b.At.Compare(a.At) })[:v1alpha1.MaxMetrics]
}
