package differential

import (
	"slices"
	"testing"
	"time"

	"github.com/homeostat/homeostat/hpa"
)

// mutants are broken in one thing each, as an engine might be.
func mutants() map[string]decide {
	observing := func(change func(*hpa.Policy, *hpa.Observation)) decide {
		return func(p hpa.Policy, o hpa.Observation, h hpa.History, now time.Time) (hpa.Recommendation, hpa.History) {
			change(&p, &o)
			return hpa.Decide(p, o, h, now)
		}
	}
	saying := func(change func(*hpa.Recommendation)) decide {
		return func(p hpa.Policy, o hpa.Observation, h hpa.History, now time.Time) (hpa.Recommendation, hpa.History) {
			rec, next := hpa.Decide(p, o, h, now)
			change(&rec)
			return rec, next
		}
	}
	return map[string]decide{
		"rounds down":                saying(roundDown),
		"forgets what it changed":    saying(func(r *hpa.Recommendation) { r.RatePeriod = 0 }),
		"gives one reason for all":   saying(sameReason),
		"ignores missing replicas":   observing(func(_ *hpa.Policy, o *hpa.Observation) { o.Replicas = sampled(o.Replicas) }),
		"counts every start as load": observing(func(p *hpa.Policy, _ *hpa.Observation) { p.CPUInitializationPeriod = 0 }),
		"takes unready for ready":    observing(func(_ *hpa.Policy, o *hpa.Observation) { o.Replicas = allReady(o.Replicas) }),
		"knows one tolerance":        observing(func(p *hpa.Policy, _ *hpa.Observation) { p.Tolerance += 0.01 }),
		"believes the spec":          observing(func(_ *hpa.Policy, o *hpa.Observation) { o.StatusReplicas = o.Current }),
		"wakes whatever sleeps":      observing(func(_ *hpa.Policy, o *hpa.Observation) { o.ScaledToZero = o.Current == 0 }),
		"looks back a second more":   observing(func(p *hpa.Policy, _ *hpa.Observation) { p.DownscaleStabilization += time.Second }),
		"forgets everything": func(p hpa.Policy, o hpa.Observation, _ hpa.History, now time.Time) (hpa.Recommendation, hpa.History) {
			return hpa.Decide(p, o, hpa.History{}, now)
		},
	}
}

func roundDown(r *hpa.Recommendation) {
	for i := range r.Metrics {
		m := &r.Metrics[i]
		down := int32(m.Ratio * float64(m.Ready))
		if !m.WithinTolerance && m.AdjustedRatio == 0 && m.Ready > 0 && r.Desired == m.Replicas && down < r.Desired && r.Desired > r.Current {
			r.Desired = down
		}
	}
}

func sameReason(r *hpa.Recommendation) {
	for i := range r.Conditions {
		if r.Conditions[i].Type == hpa.ScalingLimited {
			r.Conditions[i].Reason = string(hpa.ReasonDesiredWithinRange)
		}
	}
}

func sampled(all []hpa.Replica) (some []hpa.Replica) {
	for i := range all {
		if all[i].CPU.Known || all[i].Memory.Known {
			some = append(some, all[i])
		}
	}
	return some
}

func allReady(all []hpa.Replica) []hpa.Replica {
	all = slices.Clone(all)
	for i := range all {
		all[i].Ready, all[i].ReadyKnown, all[i].StartedAt = true, true, time.Unix(0, 0)
	}
	return all
}

// mutantSyncs is within how many syncs a mutant has to be caught.
const mutantSyncs = 20_000

// TestBrokenEnginesAreCaught shows that the comparison can fail: each of the mutants must differ, and in no known way.
func TestBrokenEnginesAreCaught(t *testing.T) {
	setGates(t, gateSets[0].gates)
	for name, broken := range mutants() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			syncs := 0
			for at := uint64(1); syncs < mutantSyncs; at++ {
				c, steps := generateUnhealthy(at, gateSets[0].gates)
				o := run(t, c, steps, broken)
				syncs += o.syncs
				if o.mismatch != nil {
					t.Logf("caught after %d syncs: %s", syncs, o.mismatch.What)
					return
				}
			}
			t.Errorf("not caught within %d syncs", syncs)
		})
	}
}

// TestFailuresAreMadeSmall shows that whoever has to read a failure gets little to read, and that the file runs again.
func TestFailuresAreMadeSmall(t *testing.T) {
	setGates(t, gateSets[0].gates)
	for name, most := range map[string]struct{ steps, pods int }{
		"rounds down":              {1, 4},
		"ignores missing replicas": {2, 5},
		"forgets everything":       {3, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken := mutants()[name]
			c, o := firstMismatch(t, broken)
			small, m := shrink(t, c, o, broken, "")
			pods := 0
			for i := range small.Steps {
				pods = max(pods, len(small.Steps[i].Pods))
			}
			if len(small.Steps) > most.steps || pods > most.pods || len(small.Targets) != 1 || len(small.Targets[0].Policy.Metrics) != 1 {
				t.Errorf("%d steps with up to %d pods, want at most %d and %d:\n%s\n%s", len(small.Steps), pods, most.steps, most.pods, small.describe(), m.describe())
			}
			again := clone(small)
			if o := run(t, again, again.recorded(), broken); o.mismatch == nil || o.mismatch.What != m.What {
				t.Errorf("read from a file, the case shows %v, not %q", o.mismatch, m.What)
			}
			if o := run(t, again, again.recorded(), hpa.Decide); o.mismatch != nil {
				t.Errorf("the case is to be the mutant's alone, but: %s", o.mismatch.What)
			}
		})
	}
}

func firstMismatch(t *testing.T, broken decide) (*Case, *outcome) {
	t.Helper()
	for at := uint64(1); at < 2000; at++ {
		c, steps := generateUnhealthy(at, gateSets[0].gates)
		if o := run(t, c, steps, broken); o.mismatch != nil {
			return c, &o
		}
	}
	t.Fatal("nothing differs")
	return nil, nil
}
