package differential

import (
	"math"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/homeostat/homeostat/hpa"
)

// known is a difference that is by construction. docs/hpa-differences.md has the same names, with the reasons.
//
// It explains a mismatch only where its cause was met and the case shows no difference any more once the cause, and
// nothing else, was taken away. The case ends there: what follows from a difference is no second one.
type known struct {
	name string
	met  func(*Case, *outcome) bool
	undo func(*Case)
}

func knownDifferences() []known {
	return []known{
		{name: "saturation", met: func(c *Case, _ *outcome) bool { return c.saturates() }, undo: (*Case).withoutSaturation},
		{name: "sample-without-replica", met: func(c *Case, _ *outcome) bool { return c.anyPod(func(p *Pod) bool { return p.Gone }) }, undo: (*Case).withoutGone},
		{name: "longer-window", met: func(_ *Case, o *outcome) bool { return o.causes.again }, undo: (*Case).withoutLongerWindows},
		{name: "fraction-of-a-byte", met: func(c *Case, _ *outcome) bool { return c.anyPod(hasFraction) }, undo: (*Case).withoutFractions},
		{name: "external-sum-below-zero", met: func(c *Case, _ *outcome) bool { return c.dips() }, undo: (*Case).withoutDips},
	}
}

// explain returns the name of the known difference that a mismatch is, empty where it is none.
func explain(t *testing.T, c *Case, o *outcome, decide decide) string {
	t.Helper()
	cut := clone(c)
	cut.Steps = cut.Steps[:o.mismatch.Step+1]
	var all []known
	for _, k := range knownDifferences() {
		if k.met(cut, o) {
			all = append(all, k)
		}
	}
	for _, k := range all {
		if agrees(t, cut, decide, k) {
			return k.name
		}
	}
	if len(all) > 1 && agrees(t, cut, decide, all...) {
		return all[0].name
	}
	return ""
}

// agrees reports whether nothing differs once the causes were taken away.
func agrees(t *testing.T, c *Case, decide decide, causes ...known) bool {
	t.Helper()
	d := clone(c)
	for _, k := range causes {
		k.undo(d)
	}
	o := run(t, d, d.recorded(), decide)
	return o.mismatch == nil
}

// causes are those that depend on what both have decided.
type causes struct {
	again bool
}

func (c *causes) see(s *state) { c.again = c.again || s.windows.again }

// windows follows which recommendations the controller of Kubernetes keeps: it overwrites one that has passed with each
// new one, so that others which have passed too stay, and count again once a window is longer.
type windows struct {
	kept  []recommended
	again bool // one counts again
}

type recommended struct {
	at     time.Time
	passed bool // both windows had passed at some time
}

func (w *windows) decided(p *hpa.Policy, rec *hpa.Recommendation, now time.Time) {
	if w.kept == nil {
		w.kept = []recommended{{at: now}}
	}
	if !slices.ContainsFunc(rec.Steps, func(s hpa.Step) bool { return s.Name == hpa.StepStabilization }) {
		return
	}
	cutoff, old := now.Add(-longestWindow(p)), -1
	for i := range w.kept {
		r := &w.kept[i]
		if r.at.Before(cutoff) {
			r.passed, old = true, i
		} else if r.passed {
			w.again = true
		}
	}
	if old < 0 {
		w.kept = append(w.kept, recommended{at: now})
		return
	}
	w.kept[old] = recommended{at: now}
}

// longestWindow of both directions.
func longestWindow(p *hpa.Policy) time.Duration {
	if p.Behavior == nil {
		return p.DownscaleStabilization
	}
	var up time.Duration
	down := p.DownscaleStabilization.Truncate(time.Second)
	if r := p.Behavior.ScaleUp; r != nil && r.StabilizationWindow != nil {
		up = *r.StabilizationWindow
	}
	if r := p.Behavior.ScaleDown; r != nil && r.StabilizationWindow != nil {
		down = *r.StabilizationWindow
	}
	return max(up, down)
}

// withoutLongerWindows leaves out every edit that makes a window longer.
func (c *Case) withoutLongerWindows() {
	for j := range c.Targets {
		last := c.policy(c.Targets[j].Policy)
		for i := range c.Steps {
			t := &c.Steps[i].Targets[j]
			if t.Policy == nil {
				continue
			}
			if next := c.policy(*t.Policy); longestWindow(&next) > longestWindow(&last) {
				t.Policy = nil
			} else {
				last = next
			}
		}
	}
}

func (c *Case) anyPod(is func(*Pod) bool) bool {
	for i := range c.Steps {
		for j := range c.Steps[i].Pods {
			if is(&c.Steps[i].Pods[j]) {
				return true
			}
		}
	}
	return false
}

func (c *Case) withoutGone() {
	for i := range c.Steps {
		c.Steps[i].Pods = slices.DeleteFunc(c.Steps[i].Pods, func(p Pod) bool { return p.Gone })
	}
}

// eachAmount visits what a pod requests and uses.
func (p *Pod) eachAmount(visit func(*Amounts)) {
	for i := range p.Containers {
		visit(&p.Containers[i].Requests)
		if p.Containers[i].Usage != nil {
			visit(p.Containers[i].Usage)
		}
	}
	if p.Requests != nil {
		visit(p.Requests)
	}
}

func hasFraction(p *Pod) (has bool) {
	p.eachAmount(func(a *Amounts) { has = has || (a.Memory != nil && a.Memory.MilliValue()%1000 != 0) })
	return has
}

func (c *Case) withoutFractions() {
	c.anyPod(func(p *Pod) bool {
		p.eachAmount(func(a *Amounts) {
			if a.Memory != nil {
				a.Memory = resource.NewQuantity(a.Memory.Value(), resource.BinarySI)
			}
		})
		return false
	})
}

// dips reports whether a sum of External values is below zero, at its end or on its way there.
func (c *Case) dips() bool {
	for i := range c.Steps {
		for _, v := range c.Steps[i].Values {
			sum := int64(0)
			for _, q := range v.Items {
				if sum = plus(sum, q.MilliValue()); sum < 0 {
					return true
				}
			}
		}
	}
	return false
}

func (c *Case) withoutDips() {
	for i := range c.Steps {
		for _, v := range c.Steps[i].Values {
			for j := range v.Items {
				if v.Items[j].Sign() < 0 {
					v.Items[j].Neg()
				}
			}
		}
	}
}

// saturates reports whether any sum, product or result may leave its range: 63 bits for what is measured in thousandths
// and for that times 100, 31 bits for percentages and numbers of replicas.
func (c *Case) saturates() bool {
	for j := range c.Targets {
		p := &c.Targets[j].Policy
		for i := range c.Steps {
			if edited := c.Steps[i].Targets[j].Policy; edited != nil {
				p = edited
			}
			if p.Max > 1<<29 || c.Steps[i].Targets[j].StatusReplicas > 1<<29 || hasHugeLimit(p) {
				return true
			}
			for k := range p.Metrics {
				if c.Steps[i].saturates(&p.Metrics[k]) {
					return true
				}
			}
		}
	}
	return false
}

// hugeLimit is a rate limit that no number of replicas of an int32 may be multiplied by.
const hugeLimit = 1 << 20

func hasHugeLimit(p *hpa.Policy) (has bool) {
	eachLimit(p, func(l *hpa.RateLimit) { has = has || l.Value > hugeLimit })
	return has
}

func eachLimit(p *hpa.Policy, visit func(*hpa.RateLimit)) {
	if p.Behavior == nil {
		return
	}
	for _, r := range []*hpa.Rules{p.Behavior.ScaleUp, p.Behavior.ScaleDown} {
		for i := 0; r != nil && i < len(r.Limits); i++ {
			visit(&r.Limits[i])
		}
	}
}

func (s *Step) saturates(m *hpa.Metric) bool {
	target := float64(m.Target)
	if m.Source.Resource == hpa.Memory && m.Type != hpa.Utilization {
		target *= 1000
	}
	if m.Source.Name != "" {
		total := 0.0
		for _, q := range s.Values[m.Source.Name].Items {
			total += math.Abs(thousandths(&q))
		}
		for i := range s.Pods {
			if v, ok := s.Pods[i].Values[m.Source.Name]; ok {
				total += math.Abs(thousandths(&v.Value))
			}
		}
		return total >= math.MaxInt64 || total/target >= math.MaxInt32
	}
	used, requested, least := 0.0, 0.0, math.Inf(1)
	for i := range s.Pods {
		s.Pods[i].eachAmount(func(a *Amounts) {
			q := a.CPU
			if m.Source.Resource == hpa.Memory {
				q = a.Memory
			}
			if q != nil {
				used += math.Abs(thousandths(q)) // requests too: what is missing is taken to use its own
				requested += math.Abs(thousandths(q))
				if f := math.Abs(thousandths(q)); f > 0 {
					least = min(least, f)
				}
			}
		})
	}
	if m.Type == hpa.Utilization {
		return used*100 >= math.MaxInt64 || requested*max(100, target) >= math.MaxInt64 || used*100/least*float64(len(s.Pods)) >= math.MaxInt32
	}
	return used >= math.MaxInt64 || used/target >= math.MaxInt32 || target*float64(len(s.Pods)) >= math.MaxInt64
}

func thousandths(q *resource.Quantity) float64 { return q.AsApproximateFloat64() * 1000 }

// withoutSaturation brings everything into ranges in which nothing saturates.
func (c *Case) withoutSaturation() {
	smaller := func(q *resource.Quantity) {
		if q != nil && math.Abs(q.AsApproximateFloat64()) > 1e4 {
			*q = *resource.NewMilliQuantity(int64(math.Mod(q.AsApproximateFloat64(), 1e4)*1000), resource.DecimalSI)
		}
	}
	lower := func(p *hpa.Policy) {
		p.Max = min(p.Max, 1000)
		eachLimit(p, func(l *hpa.RateLimit) { l.Value = min(l.Value, 1000) })
	}
	for j := range c.Targets {
		lower(&c.Targets[j].Policy)
		c.Targets[j].Replicas = min(c.Targets[j].Replicas, 1000)
	}
	for i := range c.Steps {
		for _, v := range c.Steps[i].Values {
			for k := range v.Items {
				smaller(&v.Items[k])
			}
		}
		for j := range c.Steps[i].Targets {
			t := &c.Steps[i].Targets[j]
			t.StatusReplicas = min(t.StatusReplicas, 1000)
			if t.Policy != nil {
				lower(t.Policy)
			}
		}
	}
	c.anyPod(func(p *Pod) bool {
		p.eachAmount(func(a *Amounts) {
			smaller(a.CPU)
			if m := a.Memory; m != nil && math.Abs(m.AsApproximateFloat64()) > 1e11 {
				a.Memory = resource.NewQuantity(100<<20, resource.BinarySI)
			}
		})
		for name, v := range p.Values {
			smaller(&v.Value)
			p.Values[name] = v
		}
		return false
	})
}
