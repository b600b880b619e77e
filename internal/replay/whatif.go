package replay

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/journal"
)

// Policy is a policy for the recorded autoscalers of a name, whatever their kind.
type Policy struct {
	Namespace string // empty: any
	Name      string
	Policy    hpa.Policy
}

// Outlook is the report of WhatIf.
type Outlook struct {
	Tally
	// Courses of the autoscalers that a policy was given for, sorted by namespace, kind and name.
	Courses []Course `json:"autoscalers"`
	// LeftOut are the recorded autoscalers that no policy was given for.
	LeftOut []cluster.Ref `json:"leftOut,omitempty"`
}

// Course is what one autoscaler did, and what it would have decided.
type Course struct {
	Autoscaler cluster.Ref `json:"autoscaler"`
	Decisions  int         `json:"decisions"`
	First      time.Time   `json:"first"`
	Last       time.Time   `json:"last"`
	// LongestGap between two recorded decisions, in nanoseconds. In between nothing is known.
	LongestGap time.Duration `json:"longestGap"`
	Recorded   Summary       `json:"recorded"`
	WouldBe    Summary       `json:"wouldBe"`
	// Differing is how many decisions have another desired number. Moments are those, neighbours that say the same as one; at most the first
	// MaxDifferences.
	Differing int      `json:"differing"`
	Moments   []Moment `json:"moments,omitempty"`
}

// Summary is a course in figures. Means and times count each decision until the next one.
type Summary struct {
	Min int32 `json:"minReplicas"`
	Max int32 `json:"maxReplicas"`
	// Ups and Downs are how often the desired number rose and fell.
	Ups   int `json:"ups"`
	Downs int `json:"downs"`
	// LowestDesired, HighestDesired and MeanDesired number.
	LowestDesired  int32   `json:"lowestDesired"`
	HighestDesired int32   `json:"highestDesired"`
	MeanDesired    float64 `json:"meanDesired"`
	// AtMax is how long the desired number was Max, in nanoseconds.
	AtMax time.Duration `json:"atMax"`
	// Failing is in how many decisions a metric could not be computed.
	Failing int `json:"failing"`
}

// Moment is a stretch of decisions in which both come to other numbers than each other.
type Moment struct {
	// From and To are the first and the last of its decisions.
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	Decisions int       `json:"decisions"`
	// Recorded and WouldBe of the first of them.
	Recorded Verdict `json:"recorded"`
	WouldBe  Verdict `json:"wouldBe"`

	next int // the index of the decision after it
}

// WhatIf runs the recorded observations of each autoscaler that a policy is given for through it, in the order of their times, and carries
// the history forward from that of the first line. The observations stay as they were recorded, with their number of replicas, schedules
// and readings; for the rate limits, the changes that were really made count. It holds the decisions of those autoscalers in memory. An error means that the
// records ended early, or that no policy is for any of them.
func WhatIf(records iter.Seq2[journal.Record, error], policies []Policy) (*Outlook, error) {
	out := &Outlook{}
	lines := map[cluster.Ref][]*journal.DecisionRecord{}
	err := out.read(records, func(r *journal.Record) {
		ref := r.Subject
		ref.UID = ""
		if indexFor(policies, ref) < 0 {
			lines[ref] = nil // only that it is there
			return
		}
		lines[ref] = append(lines[ref], r.Decision)
	})
	if err != nil {
		return nil, err
	}
	var all []string
	for _, ref := range sorted(lines) {
		all = append(all, ref.String())
		i := indexFor(policies, ref)
		if i < 0 {
			out.LeftOut = append(out.LeftOut, ref)
			continue
		}
		out.Courses = append(out.Courses, run(ref, lines[ref], &policies[i].Policy))
	}
	if len(out.Courses) == 0 {
		return nil, noneFor(policies, all)
	}
	return out, nil
}

// indexFor returns the index of the first policy for an autoscaler; -1: there is none.
func indexFor(policies []Policy, ref cluster.Ref) int {
	return slices.IndexFunc(policies, func(p Policy) bool {
		return p.Name == ref.Name && (p.Namespace == "" || p.Namespace == ref.Namespace)
	})
}

func noneFor(policies []Policy, recorded []string) error {
	if len(recorded) == 0 {
		return errors.New("replay journal: it has no decision")
	}
	names := make([]string, 0, len(policies))
	for _, p := range policies {
		names = append(names, fmt.Sprintf("%q", p.Name))
	}
	return fmt.Errorf("replay journal: no recorded autoscaler has the name %s; there are %s", strings.Join(names, " or "), strings.Join(recorded, ", "))
}

func sorted(lines map[cluster.Ref][]*journal.DecisionRecord) []cluster.Ref {
	refs := make([]cluster.Ref, 0, len(lines))
	for ref := range lines {
		refs = append(refs, ref)
	}
	slices.SortFunc(refs, func(a, b cluster.Ref) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name))
	})
	return refs
}

// run takes one autoscaler through its lines.
func run(ref cluster.Ref, lines []*journal.DecisionRecord, p *hpa.Policy) Course {
	slices.SortStableFunc(lines, func(a, b *journal.DecisionRecord) int { return a.Recommendation.At.Compare(b.Recommendation.At) })
	c := Course{
		Autoscaler: ref, Decisions: len(lines),
		First: lines[0].Recommendation.At, Last: lines[len(lines)-1].Recommendation.At,
	}
	history := lines[0].History
	var recorded, wouldBe figures
	for i, d := range lines {
		at := d.Recommendation.At
		var gap time.Duration
		if i+1 < len(lines) {
			gap = lines[i+1].Recommendation.At.Sub(at)
		}
		c.LongestGap = max(c.LongestGap, gap)
		var rec hpa.Recommendation
		rec, history = hpa.Decide(*p, d.Observation, history, at)
		if d.Written() {
			made := d.Recommendation
			made.RatePeriod = ratePeriod(p, made.Desired > made.Current)
			history = history.Applied(made, at)
		}
		recorded.add(&d.Recommendation, &d.Policy, gap)
		wouldBe.add(&rec, p, gap)
		c.compare(&d.Recommendation, &rec, i)
	}
	c.Recorded, c.WouldBe = recorded.sum(), wouldBe.sum()
	return c
}

// compare notes where the i-th decision differs; it follows on the last moment where that ended with the decision before.
func (c *Course) compare(recorded, wouldBe *hpa.Recommendation, i int) {
	if recorded.Desired == wouldBe.Desired {
		return
	}
	c.Differing++
	if n := len(c.Moments); n > 0 {
		m := &c.Moments[n-1]
		same := m.Recorded.Desired == recorded.Desired && m.WouldBe.Desired == wouldBe.Desired &&
			m.Recorded.Reason == recorded.Reason && m.WouldBe.Reason == wouldBe.Reason
		if same && m.next == i {
			m.To, m.next = recorded.At, i+1
			m.Decisions++
			return
		}
	}
	if len(c.Moments) < MaxDifferences {
		c.Moments = append(c.Moments, Moment{
			From: recorded.At, To: recorded.At, Decisions: 1, Recorded: verdict(recorded), WouldBe: verdict(wouldBe), next: i + 1,
		})
	}
}

// ratePeriod is how long a change counts for the rate limits of its direction (hpa.Recommendation.RatePeriod), which the policy has to say:
// the changes were made by another one.
func ratePeriod(p *hpa.Policy, up bool) time.Duration {
	if p.Behavior == nil {
		return 0
	}
	rules := p.Behavior.ScaleDown
	if up {
		rules = p.Behavior.ScaleUp
	}
	if rules == nil || len(rules.Limits) == 0 {
		return 15 * time.Second // that of the default limits of Kubernetes
	}
	var longest time.Duration
	for _, l := range rules.Limits {
		longest = max(longest, l.Period)
	}
	return longest
}

// figures collects a Summary.
type figures struct {
	s        Summary
	last     int32
	count    int
	weight   time.Duration
	weighted float64 // replicas × seconds
}

func (f *figures) add(rec *hpa.Recommendation, p *hpa.Policy, until time.Duration) {
	n := rec.Desired
	switch {
	case f.count == 0:
		f.s.LowestDesired, f.s.HighestDesired = n, n
	case n > f.last:
		f.s.Ups++
	case n < f.last:
		f.s.Downs++
	}
	f.s.Min, f.s.Max = p.Min, p.Max
	f.s.LowestDesired, f.s.HighestDesired = min(f.s.LowestDesired, n), max(f.s.HighestDesired, n)
	if n == p.Max {
		f.s.AtMax += until
	}
	if slices.ContainsFunc(rec.Metrics, func(m hpa.MetricProposal) bool { return m.Err != "" }) {
		f.s.Failing++
	}
	f.count, f.last = f.count+1, n
	f.weight += until
	f.weighted += float64(n) * until.Seconds()
}

func (f *figures) sum() Summary {
	f.s.MeanDesired = float64(f.last)
	if f.weight > 0 {
		f.s.MeanDesired = f.weighted / f.weight.Seconds()
	}
	return f.s
}
