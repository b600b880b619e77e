package hpa

// fallBack lets the metric's fallback stand in for it. It reports false where there is none, and where zero replicas are
// allowed and there for a metric that is read from replicas: nothing is wrong with it then, and what stands in for it
// would bring back at once what the other metrics let go. Where health rules have left nothing to compute, it never asks
// for fewer replicas than there are.
func (d *Decider) fallBack(i int) bool {
	m, p, n := &d.policy.Metrics[i], &d.metrics[i], &d.notes[i]
	f := m.Fallback
	if f == nil || (d.obs.Current == 0 && d.min == 0 && m.Source.perReplica()) {
		return false
	}
	p.Fallback = FallbackHold
	n.raw = d.obs.Current
	switch f.Type {
	case FallbackHold:
	case FallbackReplicas:
		p.Fallback, n.raw = FallbackReplicas, max(f.Replicas, 0)
	case FallbackLastGood:
		if g := d.next.lastGood(&m.Source); g != nil && !g.At.Before(d.now.Add(-f.For)) {
			p.Fallback, p.LastGood, n.raw = FallbackLastGood, g.At, g.Replicas
		}
	default:
		p.Fallback = ""
		return false
	}
	n.asked = n.raw
	if n.taken { // it is not the metric that is missing: a workload that fails must not shrink for it
		n.raw = max(n.raw, d.obs.Current)
	}
	p.Replicas = n.raw
	return true
}

// keepGood remembers what the metrics that fall back to it have proposed, and forgets metrics that are no more.
func (d *Decider) keepGood() {
	h := &d.next
	kept := h.LastGood[:0]
	for i := range h.LastGood {
		if d.policy.fallsBackTo(&h.LastGood[i].Source) {
			kept = append(kept, h.LastGood[i])
		}
	}
	h.LastGood = kept
	for i := range d.metrics {
		if p := &d.metrics[i]; p.ErrReason == "" && p.Metric.fallsBackToLastGood() {
			h.good(Good{Source: p.Metric.Source, At: d.now, Replicas: p.Replicas}, d.metrics[:i])
		}
	}
}

// good remembers a proposal. Where a metric before has the same source, with another target, the higher one is kept:
// it is the one that counted.
func (h *History) good(g Good, before []MetricProposal) {
	kept := h.lastGood(&g.Source)
	if kept == nil {
		h.LastGood = append(h.LastGood, g)
		return
	}
	for i := range before {
		if p := &before[i]; p.ErrReason == "" && p.Metric.Source == g.Source && p.Metric.fallsBackToLastGood() {
			g.Replicas = max(g.Replicas, kept.Replicas)
		}
	}
	*kept = g
}

// lastGood returns the last good proposal of a source; nil: there is none.
func (h *History) lastGood(s *Source) *Good {
	for i := range h.LastGood {
		if h.LastGood[i].Source == *s {
			return &h.LastGood[i]
		}
	}
	return nil
}

// fallsBackTo reports whether a metric of the source falls back to its last good proposal.
func (p *Policy) fallsBackTo(s *Source) bool {
	for i := range p.Metrics {
		if p.Metrics[i].fallsBackToLastGood() && p.Metrics[i].Source == *s {
			return true
		}
	}
	return false
}

func (m *Metric) fallsBackToLastGood() bool {
	return m.Fallback != nil && m.Fallback.Type == FallbackLastGood
}
