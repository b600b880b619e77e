package hpa_test

import (
	"math"
	"math/big"
	"slices"
	"time"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
)

// part is what one replica is to a metric: what it counts for at first, where the metric asks for more, and where it
// asks for less; nil: it does not count.
type part struct {
	request           *big.Int
	first, more, less *big.Int
	missing, doubted  bool
}

// metric returns what a metric asks for, or the reason of the condition where it cannot be computed.
func (w *twin) metric(m hpa.Metric, o hpa.Observation, now time.Time) (int32, string) {
	w.taken = false
	reason := "FailedGet" + string(m.Source.Type) + "Metric"
	if m.Source.Type == hpa.FromPrometheus {
		reason = "FailedGetExternalMetric"
	}
	var reading hpa.Reading
	if m.Source.Type != hpa.FromResource {
		at := slices.IndexFunc(o.Readings, func(r hpa.Reading) bool { return r.Source == m.Source })
		if at < 0 || !o.Readings[at].Known {
			return 0, reason
		}
		reading = o.Readings[at]
	}
	dark := o.Unavailable != "" && (m.Source.Type == hpa.FromResource || m.Source.Type == hpa.FromContainerResource)
	if dark {
		return 0, reason
	}
	if slices.Contains([]hpa.SourceType{hpa.FromResource, hpa.FromContainerResource, hpa.FromPods}, m.Source.Type) {
		if n, ok := w.perReplica(m, o, reading, now); ok {
			return n, ""
		}
		return 0, reason
	}
	if n, ok := w.whole(m, o, reading, now); ok {
		return n, ""
	}
	return 0, reason
}

func (w *twin) perReplica(m hpa.Metric, o hpa.Observation, reading hpa.Reading, now time.Time) (int32, bool) {
	var parts []part
	requestless := false
	for i, r := range o.Replicas {
		var u hpa.Usage
		switch {
		case m.Source.Type != hpa.FromResource:
			u = reading.Replicas[i]
		case m.Source.Resource == hpa.Memory:
			u = r.Memory
		default:
			u = r.CPU
		}
		requestless = requestless || u.RequestMissing != "" && m.Type == hpa.Utilization
		parts = append(parts, w.part(m, r, u, now))
	}
	w.taken = slices.ContainsFunc(parts, func(p part) bool { return p.first == nil && p.less != nil && !p.missing }) &&
		!slices.ContainsFunc(parts, func(p part) bool { return p.first != nil })
	if requestless {
		return 0, false
	}
	ratio, ready, ok := twinRatio(m, parts, func(p part) *big.Int { return p.first })
	if !ok {
		return 0, false
	}
	look := func(p part) *big.Int { return p.first }
	again, missing, newcomers := false, false, false
	for _, p := range parts {
		missing = missing || p.missing
		switch {
		case ratio > 1:
			look = func(p part) *big.Int { return p.more }
			newcomers = newcomers || p.more != nil && p.first == nil
		case ratio < 1:
			look = func(p part) *big.Int { return p.less }
			again = again || p.less != nil && p.first == nil || p.doubted
		}
	}
	if w.near(ratio) && !missing && !newcomers {
		return o.Current, true
	}
	if !missing && !newcomers && !again {
		return twinCeil(ratio, ready), true
	}
	second, counted, ok := twinRatio(m, parts, look)
	if !ok {
		return 0, false
	}
	n := twinCeil(second, counted)
	turned := (ratio < 1) != (second < 1) || (second < 1 && n > o.Current) || (second > 1 && n < o.Current)
	if w.near(second) || turned {
		return o.Current, true
	}
	return n, true
}

// part says what one replica counts for.
func (w *twin) part(m hpa.Metric, r hpa.Replica, u hpa.Usage, now time.Time) part {
	rules := w.policy.Health
	p := part{request: thousandths(m, u.Request)}
	idle, used := new(big.Int), thousandths(m, u.Value)
	busy := thousandths(m, m.Target)
	if m.Type == hpa.Utilization {
		busy = new(big.Int).Mul(p.request, big.NewInt(max(100, m.Target)))
		busy.Quo(busy, big.NewInt(100))
	}
	busier := busy
	if u.Known && used.Cmp(busy) > 0 {
		busier = used
	}
	broken := r.CrashLooping && rules.CrashLoopIsNoCapacity || r.Failing != "" && rules.FailingIsNoCapacity
	killed := rules.OOMKilledIsNoCapacity && !r.OOMKilledAt.IsZero() && now.Sub(r.OOMKilledAt) < rules.OOMWindow
	settling := m.Source.Resource == hpa.Memory && !r.RestartedAt.IsZero() && now.Sub(r.RestartedAt) < rules.MemorySettle
	switch {
	case r.Deleting || r.Phase == cluster.PhaseFailed:
	case r.Phase == cluster.PhasePending:
		p.more = idle
	case broken, killed && (!r.Ready || !r.ReadyKnown || !u.Known):
		p.more, p.less = idle, busier
	case !u.Known:
		p.more, p.less, p.missing = idle, busy, true
	case m.Source.Resource == hpa.CPU && w.young(r, u, now):
		p.more = idle
	case r.NeverReady && rules.NeverReadyIsNoCapacity:
		p.more, p.less = idle, used
	case killed, u.Partial != "" && rules.PartialIsMissing, settling:
		p.first, p.more, p.less, p.doubted = used, used, busier, true
	default:
		p.first, p.more, p.less = used, used, used
	}
	return p
}

// young says whether a replica's CPU does not count.
func (w *twin) young(r hpa.Replica, u hpa.Usage, now time.Time) bool {
	if !r.ReadyKnown || r.StartedAt.IsZero() {
		return true
	}
	isFalse := !r.Ready && !r.ReadyUnknown
	if now.Sub(r.StartedAt) < w.policy.CPUInitializationPeriod {
		return isFalse || u.At.Sub(r.ReadySince) < u.Window
	}
	return isFalse && r.ReadySince.Sub(r.StartedAt) < w.policy.InitialReadinessDelay
}

// whole is what one value for all asks for.
func (w *twin) whole(m hpa.Metric, o hpa.Observation, reading hpa.Reading, now time.Time) (int32, bool) {
	value, target := float64(reading.Value), float64(m.Target)
	if m.Type == hpa.AverageValue {
		if w.near(value / (target * float64(o.StatusReplicas))) {
			return o.StatusReplicas, true
		}
		return twinCeil(value/target, 1), true
	}
	ratio := value / target
	if o.Current == 0 {
		return twinCeil(ratio, 1), true
	}
	if w.near(ratio) {
		return o.Current, true
	}
	if len(o.Replicas) == 0 {
		return 0, false
	}
	ready, aside, fresh := 0, 0, 0
	rules := w.policy.Health
	for _, r := range o.Replicas {
		killed := rules.OOMKilledIsNoCapacity && !r.OOMKilledAt.IsZero() && now.Sub(r.OOMKilledAt) < rules.OOMWindow
		broken := killed || r.CrashLooping && rules.CrashLoopIsNoCapacity || r.Failing != "" && rules.FailingIsNoCapacity
		switch {
		case r.Phase == cluster.PhaseRunning && r.Ready && r.ReadyKnown:
			ready++
		case r.Deleting || r.Phase == cluster.PhaseFailed:
		case broken && r.Phase != cluster.PhasePending:
			aside++
		case r.NeverReady && rules.NeverReadyIsNoCapacity:
			fresh++
		}
	}
	n := twinCeil(ratio, ready)
	if ratio > 1 && aside+fresh > 0 {
		return max(n, o.Current), true
	}
	if ratio < 1 && aside > 0 && n < o.Current {
		return min(twinCeil(ratio, ready+aside), o.Current), true
	}
	return n, true
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

func thousandths(m hpa.Metric, v int64) *big.Int {
	if m.Source.Resource == hpa.Memory {
		return new(big.Int).Mul(big.NewInt(v), big.NewInt(1000))
	}
	return big.NewInt(v)
}

// twinRatio is usage over target of those that count for something, with their number.
func twinRatio(m hpa.Metric, parts []part, counts func(part) *big.Int) (float64, int, bool) {
	usage, requests, n := new(big.Int), new(big.Int), 0
	for _, p := range parts {
		if v := counts(p); v != nil {
			usage.Add(usage, v)
			requests.Add(requests, p.request)
			n++
		}
	}
	switch {
	case n == 0:
		return 0, 0, false
	case m.Type == hpa.AverageValue:
		average := usage.Quo(usage, big.NewInt(int64(n)))
		return float64(average.Int64()) / float64(thousandths(m, m.Target).Int64()), n, true
	case requests.Sign() == 0:
		return 0, 0, false
	}
	usage.Mul(usage, big.NewInt(100))
	return float64(usage.Quo(usage, requests).Int64()) / float64(m.Target), n, true
}

func twinCeil(ratio float64, n int) int32 {
	return int32(min(math.Ceil(ratio*float64(n)), math.MaxInt32))
}
