package hpa

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// tally is what one walk over the replicas finds for one metric. Amounts are in thousandths of the resource's base unit
// (a core, a byte), in which Kubernetes calculates too: the rounding depends on it.
type tally struct {
	ready, unready, missing int64
	// usage and request of the ready replicas, request of the others.
	usage, request                 int64
	unreadyRequest, missingRequest int64
	// missingBusy is what the missing replicas are taken to use when the others ask for less.
	missingBusy int64
}

// propose says what one metric alone asks for.
func (d *decision) propose(m Metric) MetricProposal {
	p := MetricProposal{Metric: m}
	t, reason, err := d.count(m, &p)
	if err != "" {
		return failed(p, reason, err)
	}
	ratio, ok := m.ratio(t.usage, t.request, t.ready, &p)
	if !ok {
		return failed(p, CondFailedGetResourceMetric, "the ready replicas request no "+string(m.Source.Resource)+" at all")
	}
	p.Ratio = ratio
	idle := t.unready > 0 && ratio > 1
	if !idle && t.missing == 0 {
		if d.tolerates(ratio) {
			return d.stay(p, &t, "within the tolerance")
		}
		return d.ask(p, &t, ceil32(ratio*float64(t.ready)))
	}
	return d.secondLook(p, t, idle)
}

// secondLook counts replicas that are missing, and with idle those that are not ready, in the way that moves the number
// least, and keeps the number where they could turn the decision around.
func (d *decision) secondLook(p MetricProposal, t tally, idle bool) MetricProposal {
	usage, request, counted := t.usage, t.request, t.ready
	if p.Ratio != 1 {
		request, counted = add(request, t.missingRequest), counted+t.missing
	}
	if p.Ratio < 1 {
		usage = add(usage, t.missingBusy)
	}
	if idle {
		request, counted = add(request, t.unreadyRequest), counted+t.unready
	}
	ratio, ok := p.Metric.ratio(usage, request, counted, nil)
	if !ok {
		return failed(p, CondFailedGetResourceMetric, "the replicas request no "+string(p.Metric.Source.Resource)+" at all")
	}
	p.AdjustedRatio = ratio
	if d.tolerates(ratio) {
		return d.stay(p, &t, "within the tolerance")
	}
	if (p.Ratio < 1 && ratio > 1) || (p.Ratio > 1 && ratio < 1) {
		return d.hold(p, &t, "the direction would turn")
	}
	replicas := ceil32(ratio * float64(counted))
	if (ratio < 1 && replicas > d.obs.Current) || (ratio > 1 && replicas < d.obs.Current) {
		return d.hold(p, &t, "the number of replicas that are there would turn the direction")
	}
	return d.ask(p, &t, replicas)
}

// count walks over the replicas. It returns what keeps the metric from being computed, if anything, and the reason that
// the condition gives.
func (d *decision) count(m Metric, p *MetricProposal) (t tally, reason, err string) {
	scale, reason, err := m.scale()
	switch {
	case err != "":
		return t, reason, err
	case d.obs.Unavailable != "":
		return t, CondFailedGetResourceMetric, "no usage is available: " + d.obs.Unavailable
	case len(d.obs.Replicas) == 0:
		return t, CondFailedGetResourceMetric, "no replica matches the target's selector"
	}
	requestless := ""
	for i := range d.obs.Replicas {
		r := &d.obs.Replicas[i]
		u := r.usage(m.Source.Resource)
		if u.RequestMissing != "" && requestless == "" {
			requestless = fmt.Sprintf("container %s of replica %s has no %s request", u.RequestMissing, r.Name, m.Source.Resource)
		}
		request := mul(u.Request, scale)
		kind, why := r.capacity(m.Source.Resource, d.policy, d.now)
		switch kind {
		case capacityIgnored:
			p.Ignored.add(r.Name, why)
		case capacityUnready:
			t.unready, t.unreadyRequest = t.unready+1, add(t.unreadyRequest, request)
			p.Unready.add(r.Name, why)
		case capacityMissing:
			t.missing, t.missingRequest = t.missing+1, add(t.missingRequest, request)
			t.missingBusy = add(t.missingBusy, m.busy(request, scale))
			p.Missing.add(r.Name, why)
		case capacityReady:
			t.ready, t.usage, t.request = t.ready+1, add(t.usage, mul(u.Value, scale)), add(t.request, request)
			if p.Oldest.IsZero() || u.At.Before(p.Oldest) {
				p.Oldest = u.At
			}
		}
	}
	p.Ready = clamp32(t.ready)
	switch {
	case t.ready == 0:
		return t, CondFailedGetResourceMetric, "no ready replica has a usable sample (" + p.others() + ")"
	case m.Type == Utilization && requestless != "":
		// One replica is enough, even one that is ignored: a utilization of all of them does not exist then.
		return t, CondFailedGetResourceMetric, requestless
	}
	return t, "", ""
}

// scale gives the factor from the resource's unit to thousandths, or what is wrong with the metric.
func (m *Metric) scale() (factor int64, reason, err string) {
	switch {
	case m.Target <= 0:
		return 0, CondFailedGetResourceMetric, fmt.Sprintf("the target %d is not greater than 0", m.Target)
	case m.Type != Utilization && m.Type != AverageValue:
		return 0, CondInvalidMetricSourceType, fmt.Sprintf("the target type %q is not known", m.Type)
	case m.Source.Resource == CPU:
		return 1, "", ""
	case m.Source.Resource == Memory:
		return 1000, "", ""
	}
	return 0, CondInvalidMetricSourceType, fmt.Sprintf("the resource %q is not known", m.Source.Resource)
}

// busy is what a missing replica is taken to use when the others ask for less: all of its request, or the target
// where that is more.
func (m *Metric) busy(request, scale int64) int64 {
	if m.Type == AverageValue {
		return mul(m.Target, scale)
	}
	return quotient(request, max(100, m.Target), 100)
}

// ratio returns usage over target for n replicas, and false where they request nothing. It notes the average and the
// utilization in the proposal, if there is one.
func (m *Metric) ratio(usage, request, n int64, p *MetricProposal) (float64, bool) {
	average, scale := usage/n, int64(1)
	if m.Source.Resource == Memory {
		scale = 1000
	}
	if p != nil {
		p.Value = average / scale
	}
	if m.Type == AverageValue {
		return float64(average) / float64(mul(m.Target, scale)), true
	}
	if request <= 0 {
		return 0, false
	}
	percent := quotient(usage, 100, request)
	if p != nil {
		p.Utilization = percent
	}
	return float64(percent) / float64(m.Target), true
}

// tolerates reports whether a ratio is near enough to 1 to change nothing.
func (d *decision) tolerates(ratio float64) bool {
	return 1-d.policy.tolerance(down) <= ratio && ratio <= 1+d.policy.tolerance(up)
}

func failed(p MetricProposal, reason, err string) MetricProposal {
	p.Err, p.ErrReason = err, reason
	p.Message = string(p.Metric.Source.Resource) + " could not be computed: " + err
	return p
}

// stay proposes the current number because the ratio asks for no change.
func (d *decision) stay(p MetricProposal, t *tally, why string) MetricProposal {
	p.WithinTolerance = true
	return d.hold(p, t, why)
}

// hold proposes the current number.
func (d *decision) hold(p MetricProposal, t *tally, why string) MetricProposal {
	p.Replicas = d.obs.Current
	p.Message = p.level() + p.assumed(t, ", with ") + ": " + why + ", " + strconv.Itoa(int(p.Replicas)) + " stay"
	return p
}

// ask proposes what the metric asks for.
func (d *decision) ask(p MetricProposal, t *tally, replicas int32) MetricProposal {
	p.Replicas = max(replicas, 0)
	assumed, verb := p.assumed(t, " and "), "need"
	if assumed == "" && t.ready == 1 {
		verb = "needs"
	}
	switch {
	case p.Ratio < 1 && p.Replicas < d.obs.Current:
		verb = "could be"
	case p.Ratio < 1:
		verb = "still " + verb
	}
	p.Message = fmt.Sprintf("%s: %s%s %s %d", p.level(), plural(t.ready, "ready replica"), assumed, verb, p.Replicas)
	return p
}

// level says where the metric is, as in "cpu is at 83 % of requests, target 40 %".
func (p *MetricProposal) level() string {
	m := &p.Metric
	if m.Type == Utilization {
		return fmt.Sprintf("%s is at %d %% of requests, target %d %%", m.Source.Resource, p.Utilization, m.Target)
	}
	return fmt.Sprintf("%s is at %s per replica, target %s", m.Source.Resource, amount(m.Source.Resource, p.Value), amount(m.Source.Resource, m.Target))
}

// assumed says what was taken for granted of replicas that are missing or not ready. Empty: nothing.
func (p *MetricProposal) assumed(t *tally, joint string) string {
	var parts []string
	if t.missing > 0 && p.Ratio != 1 {
		parts = append(parts, strconv.FormatInt(t.missing, 10)+" missing")
	}
	if t.unready > 0 && p.Ratio > 1 {
		parts = append(parts, strconv.FormatInt(t.unready, 10)+" not ready")
	}
	if len(parts) == 0 {
		return ""
	}
	taken := " counted as idle"
	if p.Ratio < 1 {
		taken = " counted as busy"
	}
	return joint + strings.Join(parts, " and ") + taken
}

// others counts the replicas that are not ready capacity.
func (p *MetricProposal) others() string {
	var parts []string
	for _, n := range []struct {
		count int32
		what  string
	}{{p.Unready.Count, "not ready"}, {p.Missing.Count, "missing"}, {p.Ignored.Count, "ignored"}} {
		if n.count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n.count, n.what))
		}
	}
	return strings.Join(parts, ", ")
}

// amount formats a usage for people.
func amount(of Resource, v int64) string {
	if of == CPU {
		return strconv.FormatInt(v, 10) + "m"
	}
	for _, u := range []struct {
		shift uint
		name  string
	}{{40, "Ti"}, {30, "Gi"}, {20, "Mi"}, {10, "Ki"}} {
		if unit := int64(1) << u.shift; v >= unit {
			return strings.TrimSuffix(strconv.FormatFloat(float64(v)/float64(unit), 'f', 1, 64), ".0") + u.name
		}
	}
	return strconv.FormatInt(v, 10)
}

func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.FormatInt(n, 10) + " " + noun + "s"
}

// span formats a duration without the zeros at its end.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// add and mul saturate.
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

func mul(a, b int64) int64 { return quotient(a, b, 1) }

// quotient returns a*b/c cut towards zero without overflow on the way; it saturates. c is greater than zero.
func quotient(a, b, c int64) int64 {
	negative := (a < 0) != (b < 0)
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	q := uint64(math.MaxInt64)
	if hi < uint64(c) {
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
