package template

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/homeostat/homeostat/internal/incident"
)

// maxLines of each log are looked at, the last ones.
const maxLines = 5000

// What adds to the novelty (0 to 100) when templates are put in order. A fatal line that is always there (70) stands behind a
// plain line that is new (100), and before a failure of which there is nothing new; what the container said last
// comes before its like, and not before what is worse.
const (
	addWarning = 10
	addFailure = 40
	addFatal   = 70
	addTrace   = 20
	addLast    = 25
)

// unknown is the count in a baseline that is not known, and noveltyUnknown the novelty where none is known.
const (
	unknown        = -1
	noveltyUnknown = 50
)

// The logs, as indexes.
const (
	dead = iota
	before
	siblings
	sources
)

// Logs are the lines to compare, oldest first, clean and masked.
type Logs struct {
	// Dead is the log of the container that died, up to its last line.
	Dead []string
	// Before is the same container's log of the hour before that, Siblings the logs of healthy replicas over the same time. An
	// empty one is not known: nothing can be said to be absent from it.
	Before, Siblings []string
}

// group is equal lines: the same severity and masked tokens.
type group struct {
	key      string
	severity severity
	trace    bool
	tokens   []string
	counts   [sources]int
	// last is the index of its last event in the dead container's log, -1 for none, and example what that event was.
	last    int
	example string
}

// Rank returns the templates of the dead container's log, the most telling first, at most incident.MaxTemplates; nil for an
// empty log. The events of a stack trace count as one line.
//
// Novelty is, over the baselines that are known, the mean of 100 × (1 − rate there / rate here), at least 0, where a rate
// is lines of the template per line of the log: 100 in none of them, 50 half as often as here, 0 at least as often as
// here; and 50 where no baseline is known. The order is that of the novelty, plus something for warnings (10), failures
// (40), fatal ones (70), stack traces (20) and the last line of all (25); then the later one comes first.
func Rank(l Logs) []incident.LogTemplate {
	groups, totals := sift(l)
	t := newTree()
	for _, g := range groups {
		t.add(g)
	}
	var found []*cluster
	for _, root := range t.roots {
		found = root.walk(found)
	}
	var list []scored
	for _, c := range found {
		if s := c.score(totals); s.Count > 0 {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b scored) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(b.last, a.last), strings.Compare(a.Template, b.Template))
	})
	var out []incident.LogTemplate
	for _, s := range list[:min(len(list), incident.MaxTemplates)] {
		out = append(out, s.LogTemplate)
	}
	return out
}

// scored is a template and what it is put in order by.
type scored struct {
	incident.LogTemplate
	score, last int
}

func (c *cluster) score(totals [sources]int) scored {
	s := scored{LogTemplate: c.summary(totals), last: unknown}
	trace := false
	for _, g := range c.groups {
		if g.last > s.last {
			s.last, s.Example, trace = g.last, g.example, g.trace
		}
	}
	s.score = int(s.Novelty) + c.severity.weight()
	if trace {
		s.score += addTrace
	}
	if s.last == totals[dead]-1 {
		s.score += addLast
	}
	return s
}

// sift returns the distinct lines in an order that does not depend on that of the logs, and how many events each log has.
// The dead container's lines come first, so that they have their templates whatever the bounds.
func sift(l Logs) (groups []*group, totals [sources]int) {
	known := map[string]*group{}
	for source, lines := range [sources][]string{dead: l.Dead, before: l.Before, siblings: l.Siblings} {
		list := events(lines[max(len(lines)-maxLines, 0):])
		totals[source] = len(list)
		for i, e := range list {
			text, s := message(e)
			toks := tokens(text)
			if len(toks) == 0 {
				continue
			}
			key := string(rune('0'+s)) + strings.Join(toks, " ")
			g := known[key]
			if g == nil {
				g = &group{key: key, severity: s, trace: e.trace, tokens: toks, last: unknown}
				known[key] = g
				groups = append(groups, g)
			}
			g.counts[source]++
			if source == dead {
				g.last, g.example = i, e.example
			}
		}
	}
	slices.SortFunc(groups, func(a, b *group) int {
		return cmp.Or(cmp.Compare(min(b.counts[dead], 1), min(a.counts[dead], 1)), strings.Compare(a.key, b.key))
	})
	return groups, totals
}

// walk appends the clusters below the node.
func (n *node) walk(list []*cluster) []*cluster {
	list = append(list, n.clusters...)
	for _, child := range n.children {
		list = child.walk(list)
	}
	return list
}

// summary counts the lines of the template in each log and judges its novelty.
func (c *cluster) summary(totals [sources]int) incident.LogTemplate {
	var counts [sources]int
	for _, g := range c.groups {
		for i, n := range g.counts {
			counts[i] += n
		}
	}
	out := incident.LogTemplate{
		Template: c.String(), Count: int32(counts[dead]), Before: unknown, Siblings: unknown, Novelty: noveltyUnknown,
	}
	var sum, baselines float64
	for source, count := range [sources]*int32{before: &out.Before, siblings: &out.Siblings} {
		if count == nil || totals[source] == 0 {
			continue
		}
		*count = int32(counts[source])
		here := float64(counts[dead]) / float64(totals[dead])
		there := float64(counts[source]) / float64(totals[source])
		baselines++
		if counts[dead] > 0 {
			sum += 100 * (1 - min(there/here, 1))
		}
	}
	if baselines > 0 {
		out.Novelty = int32(math.Round(sum / baselines))
	}
	return out
}

func (s severity) weight() int {
	switch s {
	case plain:
		return 0
	case warning:
		return addWarning
	case failure:
		return addFailure
	case fatal:
		return addFatal
	}
	return 0
}
