package hpa_test

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/homeostat/homeostat/hpa"
)

// twin states the rules once more, slowly: it keeps everything that ever happened, walks over it again for each
// question, and calculates in integers without bound. Only what Kubernetes calculates in 64-bit floating point is.
type twin struct {
	policy      hpa.Policy
	recommended []hpa.Recommended
	ups, downs  []twinChange
	good        map[hpa.Source]hpa.Good
	taken       bool // health rules left the last metric nothing to count
}

type twinChange struct {
	at   time.Time
	size int32
	gone bool // its place was taken
	next int  // index of the change that took it
}

type twinAnswer struct {
	desired         int32
	able, active    string
	limited, zero   string
	limitedIs, acts bool
}

func (w *twin) decide(o hpa.Observation, now time.Time) twinAnswer {
	a := w.unpaused(o, now)
	switch p := w.policy.Pause; {
	case a.desired > o.Current && p.ScaleUp:
		a.desired, a.limited, a.limitedIs = o.Current, "ScaleUpPaused", true
	case a.desired < o.Current && p.ScaleDown:
		a.desired, a.limited, a.limitedIs = o.Current, "ScaleDownPaused", true
	}
	switch zero := a.desired == 0 && w.policy.Min == 0 && w.beyond(); {
	case a.desired == o.Current:
	case zero:
		a.zero = "ScaledToZero"
	default:
		a.zero = "NotScaledToZero"
	}
	return a
}

// beyond reports whether a metric has a value without replicas.
func (w *twin) beyond() bool {
	return slices.ContainsFunc(w.policy.Metrics, func(m hpa.Metric) bool {
		return slices.Contains([]hpa.SourceType{hpa.FromObject, hpa.FromExternal, hpa.FromPrometheus}, m.Source.Type)
	})
}

// least is the minimum, and the reason of being raised to it.
func (w *twin) least(o hpa.Observation) (int32, string) {
	if o.Floor != nil {
		if floor := min(o.Floor.Replicas, w.policy.Max); floor > w.policy.Min {
			return floor, "ScheduledMinimum"
		}
	}
	return w.policy.Min, "TooFewReplicas"
}

func (w *twin) unpaused(o hpa.Observation, now time.Time) twinAnswer {
	p := &w.policy
	if len(w.recommended) == 0 {
		w.recommended = append(w.recommended, hpa.Recommended{At: now, Replicas: o.Current})
	}
	a := twinAnswer{desired: o.Current, able: "SucceededGetScale"}
	least, _ := w.least(o)
	if o.Current == 0 {
		if !o.ScaledToZero || (least == 0 && !w.beyond()) {
			a.active = "ScalingDisabled"
			return a
		}
		if least > p.Min {
			a.desired = least
			return a
		}
	} else if o.Current > p.Max {
		a.desired = p.Max
		return a
	} else if o.Current < least {
		a.desired = least
		return a
	}
	if o.Selector != nil {
		a.active = o.Selector.Reason
		return a
	}
	proposal, ok := w.propose(o, now, &a)
	if !ok {
		return a
	}
	stable := w.stabilize(proposal, o.Current, now, &a)
	w.recommended = append(w.recommended, hpa.Recommended{At: now, Replicas: proposal})
	a.desired, a.limited = w.limit(stable, o, now)
	a.limitedIs = a.limited != ""
	if !a.limitedIs {
		a.limited = "DesiredWithinRange"
	}
	if o.Current == 0 {
		a.desired = max(a.desired, least)
		return a
	}
	hold := ""
	if o.Shortage != nil && p.Health.HoldOnShortage && a.desired > o.Current {
		hold = "ShortageHold"
	}
	if o.Incident != "" && p.Health.HoldOnIncident && a.desired < o.Current {
		hold = "IncidentHold"
	}
	if o.Rollout != nil && o.Rollout.Failing != "" && p.Health.HoldOnFailingRollout && a.desired != o.Current {
		hold = "RolloutHold"
	}
	if hold != "" {
		a.desired, a.limited, a.limitedIs = o.Current, hold, true
	}
	return a
}

// propose asks every metric, and takes the highest proposal. It remembers the good ones.
func (w *twin) propose(o hpa.Observation, now time.Time, a *twinAnswer) (int32, bool) {
	lowest, _ := w.least(o)
	asleep := o.Current == 0 && lowest == 0 // then a metric of the replicas has nothing to fall back from
	var all []int32
	var firstGap, firstStandIn string
	computed := false
	good := map[hpa.Source]hpa.Good{}
	for _, m := range w.policy.Metrics {
		n, failed := w.metric(m, o, now)
		f := m.Fallback
		if failed == "" {
			computed = true
			all = append(all, n)
			if f != nil && f.Type == hpa.FallbackLastGood {
				good[m.Source] = hpa.Good{At: now, Replicas: max(n, good[m.Source].Replicas, 0)}
			}
			continue
		}
		if f == nil || (asleep && (m.Source.Type == hpa.FromPods || m.Source.Resource != "")) {
			firstGap = first(firstGap, failed)
			continue
		}
		firstStandIn = first(firstStandIn, failed)
		least := int32(0)
		if w.taken {
			least = o.Current
		}
		last, known := w.good[m.Source]
		switch {
		case f.Type == hpa.FallbackReplicas:
			all = append(all, max(f.Replicas, least))
		case f.Type == hpa.FallbackLastGood && known && now.Sub(last.At) <= f.For:
			all = append(all, max(last.Replicas, least))
		default:
			all = append(all, o.Current)
		}
	}
	maps.Copy(w.good, good)
	// Behind a proposal of 0 the next one takes its place, even a lower one.
	highest := int32(0)
	for _, n := range all {
		if highest == 0 || n > highest {
			highest = n
		}
	}
	a.active, a.acts = "ValidMetricFound", computed
	if !computed || (firstGap != "" && highest < o.Current) {
		a.active, a.acts = first(firstGap, firstStandIn), false
	}
	return max(highest, 0), len(all) > 0 && (firstGap == "" || highest >= o.Current)
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (w *twin) stabilize(proposal, current int32, now time.Time, a *twinAnswer) int32 {
	p := &w.policy
	a.able = "ReadyForNewScale"
	low, high := proposal, proposal
	if p.Behavior == nil {
		for _, r := range w.recommended {
			if now.Sub(r.At) <= p.DownscaleStabilization {
				high = max(high, r.Replicas)
			}
		}
		if high != proposal {
			a.able = "ScaleDownStabilized"
		}
		return high
	}
	upWindow, downWindow := time.Duration(0), time.Duration(int64(p.DownscaleStabilization.Seconds()))*time.Second
	if r := p.Behavior.ScaleUp; r != nil && r.StabilizationWindow != nil {
		upWindow = *r.StabilizationWindow
	}
	if r := p.Behavior.ScaleDown; r != nil && r.StabilizationWindow != nil {
		downWindow = *r.StabilizationWindow
	}
	for _, r := range w.recommended {
		if now.Sub(r.At) < upWindow {
			low = min(low, r.Replicas)
		}
		if now.Sub(r.At) < downWindow {
			high = max(high, r.Replicas)
		}
	}
	stable := min(max(current, low), high)
	switch {
	case stable == proposal:
	case proposal < current:
		a.able = "ScaleDownStabilized"
	default:
		a.able = "ScaleUpStabilized"
	}
	return stable
}

// limit applies the rate limits and the bounds. The reason is empty where none of them had to.
func (w *twin) limit(n int32, o hpa.Observation, now time.Time) (int32, string) {
	p, current := &w.policy, o.Current
	least, under := w.least(o)
	lowest, highest, over := int64(least), int64(p.Max), "TooManyReplicas"
	switch {
	case p.Behavior == nil:
		if double := max(2*int64(current), 4); double < highest {
			highest, over = double, "ScaleUpLimit"
		}
	case n > current:
		if current == 0 {
			lowest = 0 // nothing looks at the minimum on the way up
		}
		if rate := max(w.rate(p.Behavior.ScaleUp, true, current, now), int64(current)); rate < highest {
			highest, over = rate, "ScaleUpLimit"
		}
	case n < current:
		if rate := min(w.rate(p.Behavior.ScaleDown, false, current, now), int64(current)); rate > lowest {
			lowest, under = rate, "ScaleDownLimit"
		}
	case current == 0:
		return n, ""
	}
	switch {
	case int64(n) < lowest:
		return int32(lowest), under
	case int64(n) > highest:
		return int32(highest), over
	}
	return n, ""
}

func (w *twin) rate(r *hpa.Rules, upwards bool, current int32, now time.Time) int64 {
	limits := []hpa.RateLimit{{Type: "Percent", Value: 100, Period: 15 * time.Second}}
	if upwards {
		limits = append(limits, hpa.RateLimit{Type: "Pods", Value: 4, Period: 15 * time.Second})
	}
	choice := hpa.SelectMax
	if r != nil && len(r.Limits) > 0 {
		limits = r.Limits
	}
	if r != nil && r.Select != "" {
		choice = r.Select
	}
	if choice == hpa.SelectDisabled {
		return int64(current)
	}
	var reach []int64
	for _, l := range limits {
		start := int64(current)
		for _, c := range w.ups {
			if !c.gone && now.Sub(c.at) < l.Period {
				start -= int64(c.size)
			}
		}
		for _, c := range w.downs {
			if !c.gone && now.Sub(c.at) < l.Period {
				start += int64(c.size)
			}
		}
		switch {
		case l.Type == "Pods" && upwards:
			start += int64(l.Value)
		case l.Type == "Pods":
			start -= int64(l.Value)
		case upwards:
			start = int64(math.Ceil(float64(start) * (1 + float64(l.Value)/100)))
		default:
			start = int64(float64(start) * (1 - float64(l.Value)/100))
		}
		reach = append(reach, start)
	}
	if (choice == hpa.SelectMax) == upwards {
		return slices.Max(reach)
	}
	return slices.Min(reach)
}

// applied remembers a change. The places of changes are kept as a chain through all that ever were.
func (w *twin) applied(from, to int32, now time.Time) {
	b := w.policy.Behavior
	if b == nil || from == to {
		return
	}
	list, rules, size := &w.downs, b.ScaleDown, from-to
	if to > from {
		list, rules, size = &w.ups, b.ScaleUp, to-from
	}
	longest := 15 * time.Second
	if rules != nil && len(rules.Limits) > 0 {
		longest = 0
		for _, l := range rules.Limits {
			longest = max(longest, l.Period)
		}
	}
	// place i is where the i-th change without a predecessor was put; its holder is the end of the chain.
	taken := map[int]bool{}
	for _, c := range *list {
		if c.gone {
			taken[c.next] = true
		}
	}
	victim := -1
	for i := range *list {
		if taken[i] {
			continue
		}
		holder := i
		for (*list)[holder].gone {
			holder = (*list)[holder].next
		}
		if now.Sub((*list)[holder].at) > longest {
			victim = holder
		}
	}
	*list = append(*list, twinChange{at: now, size: size})
	if victim >= 0 {
		(*list)[victim].gone, (*list)[victim].next = true, len(*list)-1
	}
}
