package differential

import (
	"slices"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/homeostat/homeostat/hpa"
)

// mostRuns bounds how often a case is run to make it smaller.
const mostRuns = 3000

// shrinker makes a case smaller while it still differs, and that for the same known reason, if any.
type shrinker struct {
	t      *testing.T
	decide decide
	known  string // the known difference that it is to stay; empty: none
	best   *Case
	found  *mismatch
	runs   int
}

// shrink returns the smallest case that it found, and its mismatch. Where the case does not differ once it was written
// down and read again, it is returned as it is.
func shrink(t *testing.T, c *Case, o *outcome, decide decide, known string) (*Case, *mismatch) {
	t.Helper()
	s := &shrinker{t: t, decide: decide, known: known, best: clone(c), found: o.mismatch}
	s.best.Steps = s.best.Steps[:o.mismatch.Step+1]
	if !s.differs(s.best) {
		return s.best, s.found
	}
	for before := -1; before != s.size() && s.runs < mostRuns; {
		before = s.size()
		s.fewerSteps()
		s.fewerTargets()
		s.fewerMetrics()
		s.fewerPods()
		s.simpler()
	}
	return s.best, s.found
}

// size of the case as text: what gets smaller in every way that counts.
func (s *shrinker) size() int { return len(text(s.best)) }

func (s *shrinker) differs(c *Case) bool {
	s.runs++
	o := run(s.t, c, c.recorded(), s.decide)
	if o.mismatch == nil || explain(s.t, c, &o, s.decide) != s.known {
		return false
	}
	c.Steps = c.Steps[:o.mismatch.Step+1]
	s.best, s.found = c, o.mismatch
	return true
}

// try keeps a change to the case if it still differs.
func (s *shrinker) try(change func(*Case)) bool {
	if s.runs >= mostRuns {
		return false
	}
	c := clone(s.best)
	change(c)
	return text(c) != text(s.best) && s.differs(c)
}

// fewer takes out runs of n things, half of them at first, one at a time at last.
func (s *shrinker) fewer(length func() int, drop func(c *Case, from, to int)) {
	for chunk := max(1, length()/2); ; chunk /= 2 {
		for from := 0; from < length(); {
			to := min(from+chunk, length())
			if !s.try(func(c *Case) { drop(c, from, to) }) {
				from = to
			}
		}
		if chunk <= 1 {
			return
		}
	}
}

func (s *shrinker) fewerSteps() {
	s.fewer(s.steps, func(c *Case, from, to int) {
		// An edit in a step that is taken out is made at the next, so that what follows stays what it was.
		for j := range c.Targets {
			var edit *hpa.Policy
			for i := from; i < to; i++ {
				if p := c.Steps[i].Targets[j].Policy; p != nil {
					edit = p
				}
			}
			if edit != nil && to < len(c.Steps) && c.Steps[to].Targets[j].Policy == nil {
				c.Steps[to].Targets[j].Policy = edit
			}
		}
		c.Steps = slices.Delete(c.Steps, from, to)
	})
}

func (s *shrinker) fewerTargets() {
	for j := len(s.best.Targets) - 1; j >= 0 && len(s.best.Targets) > 1; j-- {
		s.try(func(c *Case) {
			c.Targets = slices.Delete(c.Targets, j, j+1)
			for i := range c.Steps {
				c.Steps[i].Targets = slices.Delete(c.Steps[i].Targets, j, j+1)
			}
		})
	}
}

// eachPolicy visits those at the start and those that are edited in.
func (c *Case) eachPolicy(visit func(*hpa.Policy)) {
	for j := range c.Targets {
		visit(&c.Targets[j].Policy)
	}
	for i := range c.Steps {
		for j := range c.Steps[i].Targets {
			if p := c.Steps[i].Targets[j].Policy; p != nil {
				visit(p)
			}
		}
	}
}

// everyPolicy tries a change to each of the policies, and then to all at once.
func (s *shrinker) everyPolicy(change func(*hpa.Policy)) {
	n := 0
	s.best.eachPolicy(func(*hpa.Policy) { n++ })
	s.try(func(c *Case) { c.eachPolicy(change) })
	for i := range n {
		s.try(func(c *Case) {
			at := 0
			c.eachPolicy(func(p *hpa.Policy) {
				if at++; at-1 == i {
					change(p)
				}
			})
		})
	}
}

func (s *shrinker) fewerMetrics() {
	for i := 3; i >= 0; i-- {
		s.everyPolicy(func(p *hpa.Policy) {
			if i < len(p.Metrics) && len(p.Metrics) > 1 {
				p.Metrics = slices.Delete(p.Metrics, i, i+1)
			}
		})
	}
}

func (s *shrinker) fewerPods() {
	names := func() (all []string) {
		s.best.anyPod(func(p *Pod) bool {
			if !slices.Contains(all, p.Name) {
				all = append(all, p.Name)
			}
			return false
		})
		return all
	}
	s.fewer(func() int { return len(names()) }, func(c *Case, from, to int) {
		gone := names()[from:to]
		for i := range c.Steps {
			c.Steps[i].Pods = slices.DeleteFunc(c.Steps[i].Pods, func(p Pod) bool { return slices.Contains(gone, p.Name) })
		}
	})
	for i := range s.best.Steps {
		s.fewer(func() int { return len(s.pods(i)) }, func(c *Case, from, to int) {
			c.Steps[i].Pods = slices.Delete(c.Steps[i].Pods, from, to)
		})
	}
}

func (s *shrinker) pods(step int) []Pod {
	if step >= len(s.best.Steps) {
		return nil
	}
	return s.best.Steps[step].Pods
}

// simpler tries to make everything that is left ordinary.
func (s *shrinker) simpler() {
	for _, change := range policyChanges() {
		s.everyPolicy(change)
	}
	s.try(func(c *Case) { c.Tolerance = 0.1 })
	s.try(func(c *Case) { c.DownscaleStabilization = 5 * time.Minute })
	s.try(func(c *Case) { c.CPUInitializationPeriod = 5 * time.Minute })
	s.try(func(c *Case) { c.InitialReadinessDelay = 30 * time.Second })
	s.try(func(c *Case) { c.SyncPeriod = 15 * time.Second })
	for _, change := range stepChanges() {
		s.try(func(c *Case) {
			for i := range c.Steps {
				change(&c.Steps[i])
			}
		})
		upTo(s.steps, func(i int) {
			s.try(func(c *Case) { change(&c.Steps[i]) })
		})
	}
	for _, change := range podChanges() {
		s.try(func(c *Case) { c.anyPod(func(p *Pod) bool { change(p); return false }) })
		upTo(s.steps, func(i int) {
			upTo(func() int { return len(s.pods(i)) }, func(k int) {
				s.try(func(c *Case) { change(&c.Steps[i].Pods[k]) })
			})
		})
	}
}

func (s *shrinker) steps() int { return len(s.best.Steps) }

// upTo visits the numbers below a length that may become less on the way.
func upTo(length func() int, visit func(int)) {
	i := 0
	for i < length() {
		visit(i)
		i++
	}
}

func policyChanges() []func(*hpa.Policy) {
	side := func(b *hpa.Behavior, up bool) *hpa.Rules {
		switch {
		case b == nil:
			return &hpa.Rules{}
		case up && b.ScaleUp != nil:
			return b.ScaleUp
		case !up && b.ScaleDown != nil:
			return b.ScaleDown
		}
		return &hpa.Rules{}
	}
	all := []func(*hpa.Policy){
		func(p *hpa.Policy) { p.Behavior = nil },
		func(p *hpa.Policy) { p.Behavior.ScaleUp = nil },
		func(p *hpa.Policy) { p.Behavior.ScaleDown = nil },
		func(p *hpa.Policy) { p.Min = 1 },
		func(p *hpa.Policy) { p.Max = 10 },
		func(p *hpa.Policy) { p.Max = 100 },
	}
	for i, change := range all[1:3] {
		all[i+1] = func(p *hpa.Policy) {
			if p.Behavior != nil {
				change(p)
			}
		}
	}
	for _, up := range []bool{true, false} {
		all = append(all,
			func(p *hpa.Policy) { side(p.Behavior, up).StabilizationWindow = nil },
			func(p *hpa.Policy) { side(p.Behavior, up).Tolerance = nil },
			func(p *hpa.Policy) { side(p.Behavior, up).Select = "" },
			func(p *hpa.Policy) { side(p.Behavior, up).Limits = nil })
		for i := 2; i >= 0; i-- {
			all = append(all, func(p *hpa.Policy) {
				if r := side(p.Behavior, up); i < len(r.Limits) {
					r.Limits = slices.Delete(r.Limits, i, i+1)
				}
			})
		}
	}
	return all
}

func stepChanges() []func(*Step) {
	each := func(change func(*TargetStep)) func(*Step) {
		return func(s *Step) {
			for j := range s.Targets {
				change(&s.Targets[j])
			}
		}
	}
	return []func(*Step){
		each(func(t *TargetStep) { t.Health = Health{} }),
		each(func(t *TargetStep) { t.Fault, t.HandOver = "", false }),
		each(func(t *TargetStep) { t.Policy = nil }),
		each(func(t *TargetStep) { t.Replicas = nil }),
		func(s *Step) { s.Resources = "" },
		func(s *Step) { s.Values = nil },
		func(s *Step) {
			for name, v := range s.Values {
				v.Fault = ""
				s.Values[name] = Value{Items: v.Items[:min(1, len(v.Items))]}
			}
		},
	}
}

func podChanges() []func(*Pod) {
	return []func(*Pod){
		func(p *Pod) { p.Containers = p.Containers[:1] },
		func(p *Pod) { p.Requests, p.Values, p.OOMKilled, p.Restarted = nil, nil, nil, nil },
		func(p *Pod) { p.CrashLooping, p.NeverReady, p.Failing = false, false, "" },
		func(p *Pod) { p.Deleting = false },
		func(p *Pod) {
			hour := time.Hour
			p.Phase, p.Ready, p.ReadyFor, p.Started = v1.PodRunning, v1.ConditionTrue, 50*time.Minute, &hour
		},
		func(p *Pod) { p.Sample = &Sample{Window: time.Minute} },
		func(p *Pod) { p.Sample = nil },
		func(p *Pod) {
			for i := range p.Containers {
				p.Containers[i].Requests = Amounts{CPU: resource.NewMilliQuantity(100, resource.DecimalSI), Memory: resource.NewQuantity(1000, resource.DecimalSI)}
			}
		},
		func(p *Pod) {
			for i := range p.Containers {
				p.Containers[i].Usage = nil
			}
		},
		func(p *Pod) {
			p.eachAmount(func(a *Amounts) {
				if a.CPU != nil {
					a.CPU = resource.NewMilliQuantity(a.CPU.MilliValue(), resource.DecimalSI)
				}
			})
		},
	}
}
