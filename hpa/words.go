package hpa

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Explain adds the words to the last decision: who was counted and who was not, what each metric says, what each step
// did and why, the conditions' messages, and the one sentence that sums it up. It may be called again.
func (d *Decider) Explain() *Recommendation {
	if d.policy == nil {
		return &d.rec
	}
	for i := range d.metrics {
		d.explainMetric(i)
	}
	for i := range d.steps {
		s := &d.steps[i]
		s.Message, s.Cause = d.explainStep(s)
		switch {
		case i == 0:
			d.rec.Message = s.Message
		case s.Before != s.After:
			d.rec.Message += "; " + s.Message
		}
	}
	for i := range d.conditions {
		d.conditions[i].Message = d.explainCondition(&d.conditions[i])
	}
	return &d.rec
}

func (d *Decider) explainMetric(i int) {
	p, n := &d.metrics[i], &d.notes[i]
	p.ReadyFirst = d.readyNames(&n.readyList)
	p.Unready.First = d.names(p, n, &n.unreadyList)
	p.Missing.First = d.names(p, n, &n.missingList)
	p.Ignored.First = d.names(p, n, &n.ignoredList)
	name := p.Metric.Source.String()
	if n.fail != failNone {
		p.Err = d.explainFailure(p, n)
		p.Message = name + " could not be computed: " + p.Err + d.standIn(p, n)
		return
	}
	p.Message = p.level(n) + d.verdict(p, n)
	if p.CPUPressure >= pressureWorthAWord {
		p.Message += fmt.Sprintf("; %s waited for a CPU in %.0f %% of the last 10 s, so there is more load than usage shows",
			d.obs.Replicas[n.pressed].Name, p.CPUPressure)
	}
}

// pressureWorthAWord is where CPU pressure is named: a task that waits a tenth of its time is slowed down noticeably.
const pressureWorthAWord = 10

// readyNames names the replicas of a list whose class needs no reason.
func (d *Decider) readyNames(l *list) []string {
	if l.n == 0 {
		return nil
	}
	all := make([]string, l.n)
	for k := range all {
		all[k] = d.obs.Replicas[l.index[k]].Name
	}
	return all
}

// names names the replicas of a list.
func (d *Decider) names(p *MetricProposal, n *note, l *list) []string {
	if l.n == 0 {
		return nil
	}
	all := make([]string, l.n)
	var none Usage
	for k := range all {
		i, u := int(l.index[k]), &none
		r := &d.obs.Replicas[i]
		switch {
		case p.Metric.Source.Type == FromResource:
			u = r.usage(p.Metric.Source.Resource)
		case n.reading != nil && i < len(n.reading.Replicas):
			u = &n.reading.Replicas[i]
		}
		all[k] = r.Name + ": " + l.why[k].words(r, u, d.now)
	}
	return all
}

func (d *Decider) explainFailure(p *MetricProposal, n *note) string {
	m := &p.Metric
	switch n.fail {
	case failNone:
		return ""
	case failTarget:
		return fmt.Sprintf("the target %d is not greater than 0", m.Target)
	case failType:
		return fmt.Sprintf("a %s metric has no target of type %q", m.Source.Type, m.Type)
	case failSource:
		return fmt.Sprintf("the source type %q is not known", m.Source.Type)
	case failResource:
		return fmt.Sprintf("the resource %q is not known", m.Source.Resource)
	case failUnavailable:
		return "no usage is available: " + d.obs.Unavailable
	case failNoReading:
		return "nothing was read"
	case failReading:
		if n.reading.Why == "" {
			return "nothing usable was read"
		}
		return n.reading.Why
	case failNoReplicas:
		return "no replica matches the target's selector"
	case failNoneReady:
		return "no ready replica has a usable sample (" + p.others() + ")"
	case failRequest:
		r := &d.obs.Replicas[n.replica]
		u := r.usage(m.Source.Resource)
		if n.reading != nil {
			u = &n.reading.Replicas[n.replica]
		}
		return fmt.Sprintf("container %s of replica %s has no %s request", u.RequestMissing, r.Name, m.Source.Resource)
	case failNoRequests:
		return "the ready replicas request no " + string(m.Source.Resource) + " at all"
	case failNoRequestsAtAll:
		return "the replicas request no " + string(m.Source.Resource) + " at all"
	}
	return ""
}

// standIn says what stands in for a metric that could not be computed.
func (d *Decider) standIn(p *MetricProposal, n *note) string {
	switch p.Fallback {
	case FallbackHold:
		if p.Metric.fallsBackToLastGood() {
			return fmt.Sprintf("; without a good proposal of the last %s its fallback keeps %d", span(p.Metric.Fallback.For), n.raw)
		}
		return fmt.Sprintf("; its fallback keeps %d", n.raw)
	case FallbackReplicas:
		return fmt.Sprintf("; its fallback asks for %d", n.asked) + n.kept()
	case FallbackLastGood:
		return fmt.Sprintf("; its last good proposal, %s old, asks for %d", since(p.LastGood, d.now), n.asked) + n.kept()
	}
	return ""
}

// kept says that a fallback was not followed downwards.
func (n *note) kept() string {
	if n.raw == n.asked {
		return ""
	}
	return fmt.Sprintf(", but %d stay while no replica can be counted", n.raw)
}

// level says where the metric is, as in "cpu is at 83 % of requests, target 40 %".
func (p *MetricProposal) level(n *note) string {
	m := &p.Metric
	name, now, target := m.Source.String(), m.amount(p.Value), m.amount(m.Target)
	switch {
	case m.Type == Utilization:
		return fmt.Sprintf("%s is at %d %% of requests, target %d %%", name, p.Utilization, m.Target)
	case m.Type == Value:
		return fmt.Sprintf("%s is at %s, target %s", name, now, target)
	case m.Source.beyondReplicas() && n.counted == 0:
		return fmt.Sprintf("%s is at %s and there is no replica, target %s per replica", name, now, target)
	}
	return fmt.Sprintf("%s is at %s per replica, target %s", name, now, target)
}

// verdict says what follows from the level.
func (d *Decider) verdict(p *MetricProposal, n *note) string {
	stay := ", " + strconv.Itoa(int(p.Replicas)) + " stay"
	switch n.verdict {
	case verdictNone:
		return ""
	case verdictTolerated:
		if !p.WithinTolerance {
			return fmt.Sprintf(": within the tolerance for %d, which is what there is", p.Replicas)
		}
		return p.assumed(n, ", with ") + ": within the tolerance" + stay
	case verdictTurned:
		return p.assumed(n, ", with ") + ": the direction would turn" + stay
	case verdictCrowd:
		return p.assumed(n, ", with ") + ": the number of replicas that are there would turn the direction" + stay
	case verdictAside:
		return fmt.Sprintf(": %s need fewer than there are, but others are not ready yet%s", plural(n.counted, "ready replica"), stay)
	case verdictAsks:
	}
	if whole := p.Metric.Source.beyondReplicas(); whole && n.counted == 0 && p.Ready == 0 {
		return fmt.Sprintf(": it asks for %d", p.Replicas)
	}
	assumed, verb := p.assumed(n, " and "), "need"
	if assumed == "" && n.counted == 1 {
		verb = "needs"
	}
	switch down := p.Replicas < d.obs.Current; {
	case p.Ratio < 1 && down:
		verb = "could be"
	case p.Ratio < 1:
		verb = "still " + verb
	}
	return fmt.Sprintf(": %s%s %s %d", p.subject(n), assumed, verb, p.Replicas)
}

// subject says whom the ratio is about.
func (p *MetricProposal) subject(n *note) string {
	if p.Metric.Source.beyondReplicas() && p.Metric.Type == AverageValue {
		return plural(n.counted, "replica")
	}
	switch n.doubted {
	case 0:
		return plural(n.counted, "ready replica")
	case n.counted:
		return plural(n.doubted, "replica") + " in doubt"
	}
	return plural(n.counted-n.doubted, "ready replica") + " and " + strconv.FormatInt(n.doubted, 10) + " in doubt"
}

// assumed says what was taken for granted of replicas whose usage says nothing. Empty: nothing.
func (p *MetricProposal) assumed(n *note, joint string) string {
	var parts []string
	if n.missing > 0 {
		parts = append(parts, strconv.FormatInt(n.missing, 10)+" missing")
	}
	if n.unready > 0 {
		parts = append(parts, strconv.FormatInt(n.unready, 10)+" not ready")
	}
	text := ""
	if n.fresh > 0 {
		text = joint + strconv.FormatInt(n.fresh, 10) + " never ready"
	}
	if len(parts) == 0 {
		return text
	}
	taken := " counted as idle"
	if p.Ratio < 1 {
		taken = " counted as busy"
	}
	return text + joint + strings.Join(parts, " and ") + taken
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

// amount formats a value of the metric for people.
func (m *Metric) amount(v int64) string {
	if m.Source.Resource == "" {
		return strconv.FormatFloat(float64(v)/1000, 'f', -1, 64)
	}
	if m.Source.Resource == CPU {
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

// since formats how long ago something was, in whole seconds.
func since(t, now time.Time) string { return span(now.Sub(t).Truncate(time.Second)) }
