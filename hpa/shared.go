package hpa

import (
	"math"

	"github.com/homeostat/homeostat/internal/cluster"
)

// whole decides a metric that has one value for all: Object, External and Prometheus.
func (d *Decider) whole(m *Metric, p *MetricProposal, n *note) {
	n.reading = d.obs.reading(&m.Source)
	switch {
	case n.reading == nil:
		d.fail(p, n, failNoReading)
		return
	case !n.reading.Known:
		d.fail(p, n, failReading)
		return
	}
	p.From, p.Oldest, p.Value = n.reading.From, n.reading.At, n.reading.Value
	if m.Type == AverageValue {
		d.perStatusReplica(m, p, n)
		return
	}
	p.Ratio = float64(p.Value) / float64(m.Target)
	if d.obs.Current == 0 { // there is no number that the ratio could be of, and no tolerance
		d.ask(p, n, ceil32(p.Ratio))
		return
	}
	d.ofReady(p, n)
}

// perStatusReplica shares the value out. Kubernetes divides by the replicas that exist here, not by those that are
// asked for, and stays at the former where that is within the tolerance.
func (d *Decider) perStatusReplica(m *Metric, p *MetricProposal, n *note) {
	usage, existing := float64(p.Value), d.obs.StatusReplicas
	ratio := usage / (float64(m.Target) * float64(existing))
	p.Ratio, n.counted = finite(ratio), int64(existing)
	if d.tolerates(ratio) {
		d.ask(p, n, existing)
		n.verdict, p.WithinTolerance = verdictTolerated, existing == d.obs.Current
	} else {
		d.ask(p, n, ceil32(usage/float64(m.Target)))
	}
	switch {
	case existing == 0: // nobody to share it with: the value stays the whole
	case usage >= math.MaxInt64 && m.Source.Type != FromObject: // more than there is: Kubernetes shares no overflow
		p.Value = math.MaxInt64
	default:
		p.Value = ceil64(usage / float64(existing))
	}
}

// ofReady proposes the ratio's share of the ready replicas, as Kubernetes counts them: also those that are going.
//
// Where the ratio asks for less, replicas that a health rule sets aside keep their place, and where it asks for more
// than there are, replicas that are not ready yet do not turn it into a scale-down.
func (d *Decider) ofReady(p *MetricProposal, n *note) {
	var ready, aside, fresh int64
	for i := range d.obs.Replicas {
		r := &d.obs.Replicas[i]
		if r.isReady() && r.Phase == cluster.PhaseRunning {
			ready++
			n.readyList.keep(i, whyNone)
			continue
		}
		if r.Deleting || r.Phase == cluster.PhaseFailed {
			continue
		}
		switch w := d.lens.broken(r); {
		case w != whyNone && r.Phase != cluster.PhasePending:
			aside++
			n.unreadyList.add(&p.Unready, i, w)
		case r.NeverReady && d.lens.rules.NeverReadyIsNoCapacity:
			fresh++
			n.unreadyList.add(&p.Unready, i, whyNeverReady)
		}
	}
	current := d.obs.Current
	p.Ready, n.counted = clamp32(ready), ready
	replicas := ceil32(p.Ratio * float64(ready))
	switch {
	case d.tolerates(p.Ratio):
		d.hold(p, n, verdictTolerated)
	case len(d.obs.Replicas) == 0:
		d.fail(p, n, failNoReplicas)
	case p.Ratio > 1 && replicas < current && aside+fresh > 0:
		d.hold(p, n, verdictAside)
	case p.Ratio < 1 && replicas < current && aside > 0:
		n.unready = aside
		d.ask(p, n, min(current, ceil32(p.Ratio*float64(ready+aside))))
	default:
		d.ask(p, n, replicas)
	}
}
