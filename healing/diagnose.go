package healing

import (
	"fmt"
	"slices"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

const (
	// changeBefore is how long before a failure a change is still worth naming.
	changeBefore = 15 * time.Minute
	// skew is how much a change may seem to be later than what it caused: times of different machines, whole seconds.
	skew = 2 * time.Second
	// growth of memory within one life that is worth saying.
	growthShare = 1.2
	growthBytes = 1 << 20
)

// diagnose words the cause: what was seen, how memory went before, how many replicas and nodes, what was changed before.
func (p *pass) diagnose(t *tracked) {
	lead := t.lead()
	if lead == nil || lead.Kind != t.inc.Kind {
		return // a death of a related kind joins the incident, and is not its cause
	}
	cause, pro, against := lead.Message, lead.For, lead.Against
	if s := p.memoryGrowth(lead); s != "" {
		cause += "; " + s
	}
	if s := p.scope(t); s != "" {
		cause += "; " + s
	}
	if c := p.changeBefore(t.inc.StartedAt); c != nil {
		after := "right"
		if d := t.inc.StartedAt.Sub(c.At); d >= time.Second {
			after = phrase.Span(d)
		}
		cause += "; it began " + after + " after a change: " + phrase.Cut(c.Message, 160)
		pro = append(slices.Clip(pro), "it began "+after+" after a change")
	}
	if s := p.onlyNewest(t); s != "" {
		pro = append(slices.Clip(pro), s)
	}
	t.inc.Explain(cause, lead.Confidence, pro, against)
	t.dirty = true
}

// lead returns the finding that stands for the incident: of its own kind before a related one, then the surest, then the
// newest.
func (t *tracked) lead() *incident.Finding {
	from := t.fresh
	if len(from) == 0 {
		from = t.findings
	}
	var best *incident.Finding
	for i := range from {
		f := &from[i]
		if best == nil {
			best = f
			continue
		}
		own, bestOwn := f.Kind == t.inc.Kind, best.Kind == t.inc.Kind
		if own != bestOwn {
			if own {
				best = f
			}
			continue
		}
		if f.Confidence > best.Confidence || f.Confidence == best.Confidence && f.Since.After(best.Since) {
			best = f
		}
	}
	return best
}

// memoryGrowth says how memory went in the life that ended, if it grew.
func (p *pass) memoryGrowth(f *incident.Finding) string {
	if f.Kind != incident.OOMKilled && f.Kind != incident.ProbableOOM || f.Death == nil || p.in.Memory == nil {
		return ""
	}
	var first, last *metrics.Point
	points := p.in.Memory(f.Replica, f.Container)
	for i := range points {
		pt := &points[i]
		if pt.MemoryBytes < 0 || pt.At.Before(f.Death.StartedAt) || pt.At.After(f.Death.FinishedAt) {
			continue
		}
		if first == nil {
			first = pt
		}
		last = pt
	}
	if first == nil || float64(last.MemoryBytes) < growthShare*float64(first.MemoryBytes) ||
		last.MemoryBytes-first.MemoryBytes < growthBytes {
		return ""
	}
	return fmt.Sprintf("memory grew from %s to %s in %s before", phrase.Bytes(first.MemoryBytes),
		phrase.Bytes(last.MemoryBytes), phrase.Span(last.At.Sub(first.At)))
}

// scope says how many replicas and nodes are concerned, where there is more than one.
func (p *pass) scope(t *tracked) string {
	w := p.in.Workload
	concerned := make(map[string]string, len(t.findings)) // replica → node
	for i := range t.findings {
		concerned[t.findings[i].Replica] = t.findings[i].Node
	}
	all, nodes := 0, make(map[string]bool)
	for i := range w.Replicas {
		if r := &w.Replicas[i]; !r.Deleting() {
			all++
			nodes[r.Node] = true
		}
	}
	if all < 2 {
		return ""
	}
	var s string
	switch n := len(concerned); {
	case n >= all:
		s = fmt.Sprintf("all %d replicas show it", all)
	case n == 1:
		return fmt.Sprintf("1 of %d replicas shows it", all)
	default:
		s = fmt.Sprintf("%d of %d replicas show it", n, all)
	}
	var node string
	for _, n := range concerned {
		if node != "" && n != node {
			return s
		}
		node = n
	}
	if len(nodes) > 1 && node != "" {
		s += ", all on node " + node
	}
	return s
}

// onlyNewest says that only replicas of the newest revision fail while older ones are ready.
func (p *pass) onlyNewest(t *tracked) string {
	w := p.in.Workload
	if w.Revision == "" {
		return ""
	}
	oldReady := false
	for i := range w.Replicas {
		r := &w.Replicas[i]
		oldReady = oldReady || r.Revision != "" && r.Revision != w.Revision && r.Ready
	}
	if !oldReady {
		return ""
	}
	for i := range t.findings {
		r := p.replica(t.findings[i].ReplicaUID, t.findings[i].Replica)
		if r == nil || r.Revision != w.Revision {
			return ""
		}
	}
	return "only replicas of the newest revision " + w.Revision + " show it, older ones are ready"
}

// changeBefore returns the newest change shortly before the failure, nil for none.
func (p *pass) changeBefore(at time.Time) *cluster.Change {
	var best *cluster.Change
	for i := range p.in.Workload.Changes {
		c := &p.in.Workload.Changes[i]
		before := at.Sub(c.At)
		if before < -skew || before > changeBefore {
			continue
		}
		if best == nil || c.At.After(best.At) {
			best = c
		}
	}
	return best
}
