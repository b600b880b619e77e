package hpa_test

import (
	"math"
	"math/big"
	"slices"
	"time"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
)

// twin states the rules once more, slowly: it keeps everything that ever happened, walks over it again for each
// question, and calculates in integers without bound. Only what Kubernetes calculates in 64-bit floating point is.
type twin struct {
	policy      hpa.Policy
	recommended []hpa.Recommended
	ups, downs  []twinChange
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
	limited         string
	limitedIs, acts bool
}

func (w *twin) decide(o hpa.Observation, now time.Time) twinAnswer {
	p := &w.policy
	if len(w.recommended) == 0 {
		w.recommended = append(w.recommended, hpa.Recommended{At: now, Replicas: o.Current})
	}
	a := twinAnswer{desired: o.Current, able: "SucceededGetScale"}
	if o.Current == 0 {
		a.active = "ScalingDisabled"
		return a
	}
	if o.Current > p.Max {
		a.desired = p.Max
		return a
	}
	if o.Current < p.Min {
		a.desired = p.Min
		return a
	}
	proposals, failures := []int32{}, 0
	for _, m := range p.Metrics {
		if n, ok := w.metric(m, o, now); ok {
			proposals = append(proposals, n)
		} else {
			failures++
		}
	}
	if len(proposals) == 0 || (failures > 0 && slices.Max(proposals) < o.Current) {
		a.active = "FailedGetResourceMetric"
		return a
	}
	a.active, a.acts = "ValidMetricFound", true
	proposal := slices.Max(proposals)
	stable := w.stabilize(proposal, o.Current, now, &a)
	w.recommended = append(w.recommended, hpa.Recommended{At: now, Replicas: proposal})
	a.desired, a.limited = w.limit(stable, o.Current, now)
	a.limitedIs = a.desired != stable
	if !a.limitedIs {
		a.limited = "DesiredWithinRange"
	}
	if p.Health.HoldOnIncident && o.Incident != "" && a.desired < o.Current {
		a.desired, a.limited, a.limitedIs = o.Current, "IncidentHold", true
	}
	return a
}

// metric returns what a metric asks for, and false where it cannot be computed.
func (w *twin) metric(m hpa.Metric, o hpa.Observation, now time.Time) (int32, bool) {
	sample, request := map[string]*big.Int{}, map[string]*big.Int{}
	unready, missing, aside := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, r := range o.Replicas {
		u := r.CPU
		if m.Source.Resource == hpa.Memory {
			u = r.Memory
		}
		if u.RequestMissing != "" && m.Type == hpa.Utilization {
			return 0, false
		}
		request[r.Name] = thousandths(m, u.Request)
		if r.Deleting || r.Phase == cluster.PhaseFailed {
			continue
		}
		crashing := r.CrashLooping && w.policy.Health.CrashLoopIsNoCapacity
		switch {
		case r.Phase == cluster.PhasePending:
			unready[r.Name] = true
		case crashing:
			unready[r.Name], aside[r.Name] = true, true
		case !u.Known:
			missing[r.Name] = true
		case m.Source.Resource == hpa.CPU && w.young(r, now):
			unready[r.Name] = true
		default:
			sample[r.Name] = thousandths(m, u.Value)
		}
	}
	if o.Unavailable != "" || len(sample) == 0 {
		return 0, false
	}
	ready := len(sample)
	ratio, ok := twinRatio(m, sample, request)
	if !ok {
		return 0, false
	}
	if len(missing) == 0 && (len(unready) == 0 || ratio <= 1) {
		if w.near(ratio) {
			return o.Current, true
		}
	}
	if len(missing) == 0 && (len(unready) == 0 || ratio == 1 || ratio < 1 && len(aside) == 0) {
		return twinCeil(ratio, ready), true
	}
	for name := range missing {
		switch {
		case ratio > 1:
			sample[name] = new(big.Int)
		case ratio < 1 && m.Type == hpa.AverageValue:
			sample[name] = thousandths(m, m.Target)
		case ratio < 1:
			full := new(big.Int).Mul(request[name], big.NewInt(max(100, m.Target)))
			sample[name] = full.Quo(full, big.NewInt(100))
		}
	}
	for name := range unready {
		if ratio > 1 {
			sample[name] = new(big.Int)
		}
	}
	for _, r := range o.Replicas {
		if !aside[r.Name] || ratio >= 1 {
			continue
		}
		u := r.CPU
		if m.Source.Resource == hpa.Memory {
			u = r.Memory
		}
		full := thousandths(m, m.Target)
		if m.Type == hpa.Utilization {
			full = new(big.Int).Mul(request[r.Name], big.NewInt(max(100, m.Target)))
			full.Quo(full, big.NewInt(100))
		}
		if used := thousandths(m, u.Value); u.Known && used.Cmp(full) > 0 {
			full = used
		}
		sample[r.Name] = full
	}
	again, ok := twinRatio(m, sample, request)
	if !ok {
		return 0, false
	}
	n := twinCeil(again, len(sample))
	turned := (ratio < 1) != (again < 1) || (again < 1 && n > o.Current) || (again > 1 && n < o.Current)
	if w.near(again) || turned {
		return o.Current, true
	}
	return n, true
}

// young says whether a replica's CPU does not count.
func (w *twin) young(r hpa.Replica, now time.Time) bool {
	if !r.ReadyKnown || r.StartedAt.IsZero() {
		return true
	}
	isFalse := !r.Ready && !r.ReadyUnknown
	if now.Sub(r.StartedAt) < w.policy.CPUInitializationPeriod {
		return isFalse || r.CPU.At.Sub(r.ReadySince) < r.CPU.Window
	}
	return isFalse && r.ReadySince.Sub(r.StartedAt) < w.policy.InitialReadinessDelay
}

func (w *twin) near(ratio float64) bool {
	below, above := w.policy.Tolerance, w.policy.Tolerance
	if b := w.policy.Behavior; b != nil {
		if b.ScaleDown != nil && b.ScaleDown.Tolerance != nil {
			below = *b.ScaleDown.Tolerance
		}
		if b.ScaleUp != nil && b.ScaleUp.Tolerance != nil {
			above = *b.ScaleUp.Tolerance
		}
	}
	return ratio >= 1-below && ratio <= 1+above
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

func (w *twin) limit(n, current int32, now time.Time) (int32, string) {
	p := &w.policy
	lowest, highest := int64(p.Min), int64(p.Max)
	under, over := "TooFewReplicas", "TooManyReplicas"
	tighten := func(rate int64, upwards bool) {
		switch {
		case upwards && rate < highest:
			highest, over = max(rate, int64(current)), "ScaleUpLimit"
		case !upwards && rate > lowest:
			lowest, under = min(rate, int64(current)), "ScaleDownLimit"
		}
		if highest == int64(p.Max) {
			over = "TooManyReplicas"
		}
		if lowest == int64(p.Min) {
			under = "TooFewReplicas"
		}
	}
	switch {
	case p.Behavior == nil:
		tighten(max(2*int64(current), 4), true)
	case n > current:
		tighten(w.rate(p.Behavior.ScaleUp, true, current, now), true)
	case n < current:
		tighten(w.rate(p.Behavior.ScaleDown, false, current, now), false)
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

func thousandths(m hpa.Metric, v int64) *big.Int {
	if m.Source.Resource == hpa.Memory {
		return new(big.Int).Mul(big.NewInt(v), big.NewInt(1000))
	}
	return big.NewInt(v)
}

func twinRatio(m hpa.Metric, sample, request map[string]*big.Int) (float64, bool) {
	usage, requests := new(big.Int), new(big.Int)
	for name, v := range sample {
		usage.Add(usage, v)
		requests.Add(requests, request[name])
	}
	if m.Type == hpa.AverageValue {
		average := usage.Quo(usage, big.NewInt(int64(len(sample))))
		return float64(average.Int64()) / float64(thousandths(m, m.Target).Int64()), true
	}
	if requests.Sign() == 0 {
		return 0, false
	}
	usage.Mul(usage, big.NewInt(100))
	return float64(usage.Quo(usage, requests).Int64()) / float64(m.Target), true
}

func twinCeil(ratio float64, n int) int32 {
	return int32(min(math.Ceil(ratio*float64(n)), math.MaxInt32))
}
