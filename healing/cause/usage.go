package cause

import (
	"fmt"
	"slices"
	"time"

	"github.com/homeostat/homeostat/healing/forecast"
	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

const (
	// explains is the share of the memory's variance from which on load, or time, explains it.
	explains = 0.7
	// leastLeak is the shortest growth that is called a leak: a start that needs more memory than there is, is none.
	leastLeak = 10 * time.Minute
	// growsBy is the share of the highest memory by which it has to have risen: less is not worth an explanation.
	growsBy = 0.2
	// shares is the part of the failing replica's memory that each sibling must have for it to be demand on all of them.
	shares = 0.5
	// throttledFrom is the share of CPU periods, in percent, from which on a container is throttled (kubernetes-mixin,
	// CPUThrottlingHigh).
	throttledFrom = 25
	// growth of memory within one life that is worth saying.
	growthShare = 1.2
	growthBytes = 1 << 20
)

// aboutMemory reports whether memory is what failed.
func aboutMemory(k incident.Kind) bool {
	return slices.Contains([]incident.Kind{
		incident.OOMKilled, incident.ProbableOOM, incident.ChildOOM, incident.MemoryLeak,
	}, k)
}

// memory concludes that memory leaks, or that it follows load.
func (s *scene) memory(b *Blame) conclusion {
	var c conclusion
	if !aboutMemory(s.lead.Kind) {
		return c
	}
	if s.lead.Kind == incident.MemoryLeak {
		b.Leak = true
		c.confidence = s.lead.Confidence // its message says it all
		return c
	}
	if s.in.Trend == nil {
		return c
	}
	from, to := s.life()
	f, ok := forecast.Regress(s.in.Trend(s.lead.Replica, s.lead.Container), from, to)
	switch {
	case !ok || f.Highest-f.Lowest < growsBy*f.Highest:
		return c
	case f.Both < explains:
		c.against = append(c.against, "memory follows neither load nor time")
		return c
	case f.LoadRises && f.LoadByTime > explains:
		c.against = append(c.against, "load and memory grew at the same time, so that demand and a leak cannot be told apart")
		return c
	}
	byLoad, byTime := percent(f.ByLoad), percent(f.ByTime)
	if f.ByLoad > f.ByTime && f.ByLoad >= explains {
		return s.demand(b, byLoad)
	}
	if f.ByTime < explains || f.PerSecond <= 0 || f.Span < leastLeak {
		return c
	}
	b.Leak = true
	c.confidence = 80
	c.pro = append(c.pro, fmt.Sprintf("time explains %s of its memory, load %s", byTime, byLoad))
	c.clause = "memory grew by " + phrase.Bytes(int64(f.PerSecond*60)) + " a minute whatever the load, as a leak does"
	return c
}

// demand concludes that memory follows load, where that is so of all replicas.
func (s *scene) demand(b *Blame, byLoad string) conclusion {
	c := conclusion{pro: []string{"load explains " + byLoad + " of its memory"}}
	most, _ := s.level(s.lead.Replica)
	others, low := 0, 0
	for i := range s.in.Workload.Replicas {
		r := &s.in.Workload.Replicas[i]
		if r.Name == s.lead.Replica || !r.Ready || r.Deleting() {
			continue
		}
		if level, ok := s.level(r.Name); ok {
			if others++; float64(level) < shares*float64(most) {
				low++
			}
		}
	}
	if low > 0 {
		return conclusion{against: []string{
			fmt.Sprintf("memory follows load, but %d of %s less than half of it", low, phrase.Count(int64(others), "sibling")+" has"),
		}}
	}
	b.FollowsLoad = true
	c.confidence = 75
	if others > 0 {
		c.confidence = 80
		c.pro = append(c.pro, phrase.Count(int64(others), "other replica")+" with as much of it")
	}
	c.clause = "its memory follows its load, so it is demand and no leak"
	return c
}

// level returns the highest memory of the replica in its trend.
func (s *scene) level(replica string) (highest int64, ok bool) {
	for _, p := range s.in.Trend(replica, s.lead.Container) {
		if v := max(p.ResidentBytes, p.MemoryBytes); v >= 0 {
			highest, ok = max(highest, v), true
		}
	}
	return highest, ok
}

// life returns the life that the lead finding is about.
func (s *scene) life() (from, to time.Time) {
	if d := s.lead.Death; d != nil && !d.StartedAt.IsZero() {
		return d.StartedAt, d.FinishedAt
	}
	to = s.in.Now
	for _, r := range s.failing {
		if r.Name != s.lead.Replica {
			continue
		}
		if c := r.Container(s.lead.Container); c != nil {
			return c.StartedAt, to
		}
	}
	return to, to
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }

// throttling concludes that the CPU limit is too low for the demand on all replicas.
func (s *scene) throttling(b *Blame) conclusion {
	var c conclusion
	if s.lead.Kind != incident.CPUThrottled {
		return c
	}
	known, held := 0, 0
	for i := range s.in.Workload.Replicas {
		r := &s.in.Workload.Replicas[i]
		if r.Deleting() {
			continue
		}
		if one := r.Container(s.lead.Container); one != nil && one.ThrottledKnown {
			if known++; one.ThrottledPercent > throttledFrom {
				held++
			}
		}
	}
	if 2*held <= known || held < 2 {
		if known > 1 {
			c.against = append(c.against, fmt.Sprintf("only %d of %d replicas are throttled", held, known))
		}
		return c
	}
	b.FollowsLoad = true
	c.confidence = 80
	c.pro = append(c.pro, fmt.Sprintf("%d of %d replicas are throttled", held, known))
	c.clause = fmt.Sprintf("%d of %d replicas are held back by their CPU limit, so it is demand", held, known)
	return c
}

// growth says how memory went in the life that ended, if it grew.
func (s *scene) growth() string {
	f := s.lead
	if f.Kind != incident.OOMKilled && f.Kind != incident.ProbableOOM || f.Death == nil || s.in.Memory == nil {
		return ""
	}
	first, last := int64(-1), int64(-1)
	var from, to time.Time
	for _, p := range s.in.Memory(f.Replica, f.Container) {
		if p.MemoryBytes < 0 || p.At.Before(f.Death.StartedAt) || p.At.After(f.Death.FinishedAt) {
			continue
		}
		if first < 0 {
			first, from = p.MemoryBytes, p.At
		}
		last, to = p.MemoryBytes, p.At
	}
	if first < 0 || float64(last) < growthShare*float64(first) || last-first < growthBytes {
		return ""
	}
	return fmt.Sprintf("memory grew from %s to %s in %s before", phrase.Bytes(first), phrase.Bytes(last), phrase.Span(to.Sub(from)))
}

// scope says how many replicas are concerned, where there is more than one.
func (s *scene) scope(b *Blame) string {
	all, nodes := 0, make(map[string]bool)
	for i := range s.in.Workload.Replicas {
		if r := &s.in.Workload.Replicas[i]; !r.Deleting() {
			all++
			nodes[r.Node] = true
		}
	}
	concerned := make(map[string]string, len(s.in.Findings)) // replica → node
	for i := range s.in.Findings {
		if f := &s.in.Findings[i]; f.Replica != "" {
			concerned[f.Replica] = f.Node
		}
	}
	n := len(concerned)
	switch {
	case all < 2 || n == 0:
		return ""
	case n >= all:
		return fmt.Sprintf("all %d replicas show it", all)
	case n == 1:
		return fmt.Sprintf("1 of %d replicas shows it", all)
	}
	said := fmt.Sprintf("%d of %d replicas show it", n, all)
	node := s.lead.Node
	for _, other := range concerned {
		if other != node {
			node = ""
		}
	}
	if node != "" && len(nodes) > 1 && b.Node == "" {
		said += ", all on node " + node
	}
	return said
}

// change says what was changed shortly before it began.
func (s *scene) change(c *Cause) string {
	var best *cluster.Change
	for i := range s.in.Workload.Changes {
		one := &s.in.Workload.Changes[i]
		if !s.in.Acted.IsZero() && !one.At.Before(s.in.Acted.Truncate(time.Second)) { // a platform may keep whole seconds
			continue
		}
		if before := s.began.Sub(one.At); before >= -skew && before <= soonAfter && (best == nil || one.At.After(best.At)) {
			best = one
		}
	}
	if best == nil {
		return ""
	}
	after := "right"
	if d := s.began.Sub(best.At); d >= time.Second {
		after = phrase.Span(d)
	}
	c.For = append(c.For, "it began "+after+" after a change")
	return "it began " + after + " after a change: " + phrase.Cut(best.Message, 160)
}
