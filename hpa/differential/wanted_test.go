package differential

import (
	"slices"
	"testing"
	"time"

	"github.com/homeostat/homeostat/hpa"
)

// wanted is a difference that is on purpose. Each has a switch of its own; docs/hpa-differences.md has the same names.
type wanted struct {
	name string
	// on switches it on.
	on func(*hpa.Policy, *hpa.Observation)
	// undo takes away what it acts on; without that it must make no difference. Nil: it is only compared with itself off.
	undo func(*Case)
	// capacity is true of the rules about what a replica is to a metric: they may keep one that Kubernetes takes away, and
	// never take away one that Kubernetes keeps.
	capacity bool
}

func wantedDifferences() []wanted {
	rule := func(name string, on func(*hpa.HealthPolicy), undo func(*Case)) wanted {
		return wanted{name: name, on: func(p *hpa.Policy, _ *hpa.Observation) { on(&p.Health) }, undo: undo}
	}
	capacity := func(name string, on func(*hpa.HealthPolicy), change func(*Pod)) wanted {
		w := rule(name, on, func(c *Case) { c.anyPod(func(p *Pod) bool { change(p); return false }) })
		w.capacity = true
		return w
	}
	health := func(change func(*Health)) func(*Case) {
		return func(c *Case) {
			for i := range c.Steps {
				for j := range c.Steps[i].Targets {
					change(&c.Steps[i].Targets[j].Health)
				}
			}
		}
	}
	return []wanted{
		capacity("crashLoopIsNotCapacity", func(h *hpa.HealthPolicy) { h.CrashLoopIsNoCapacity = true }, func(p *Pod) { p.CrashLooping = false }),
		capacity("oomKilledIsNotCapacity", func(h *hpa.HealthPolicy) { h.OOMKilledIsNoCapacity, h.OOMWindow = true, 5*time.Minute }, func(p *Pod) { p.OOMKilled = nil }),
		capacity("failingIsNotCapacity", func(h *hpa.HealthPolicy) { h.FailingIsNoCapacity = true }, func(p *Pod) { p.Failing = "" }),
		capacity("neverReadyIsNotCapacity", func(h *hpa.HealthPolicy) { h.NeverReadyIsNoCapacity = true }, func(p *Pod) { p.NeverReady = false }),
		capacity("partialIsMissing", func(h *hpa.HealthPolicy) { h.PartialIsMissing = true }, withoutPartial),
		capacity("memorySettle", func(h *hpa.HealthPolicy) { h.MemorySettle = 2 * time.Minute }, func(p *Pod) { p.Restarted = nil }),
		rule("holdScaleDownOnIncident", func(h *hpa.HealthPolicy) { h.HoldOnIncident = true }, health(func(h *Health) { h.Incident = "" })),
		rule("holdOnFailingRollout", func(h *hpa.HealthPolicy) { h.HoldOnFailingRollout = true }, health(func(h *Health) { h.Rollout = nil })),
		rule("holdScaleUpOnShortage", func(h *hpa.HealthPolicy) { h.HoldOnShortage = true }, health(func(h *Health) { h.Shortage = "" })),
		{name: "pause.scaleUp", on: func(p *hpa.Policy, _ *hpa.Observation) { p.Pause.ScaleUp = true }},
		{name: "pause.scaleDown", on: func(p *hpa.Policy, _ *hpa.Observation) { p.Pause.ScaleDown = true }},
		{name: "schedules", on: func(p *hpa.Policy, o *hpa.Observation) {
			o.Floor = &hpa.Floor{Replicas: p.Min + 2, By: "schedule busy"}
		}},
		{name: "fallback: Hold", on: fallback(hpa.Fallback{Type: hpa.FallbackHold})},
		{name: "fallback: LastGood", on: fallback(hpa.Fallback{Type: hpa.FallbackLastGood, For: time.Hour})},
		{name: "fallback: Replicas", on: fallback(hpa.Fallback{Type: hpa.FallbackReplicas, Replicas: 7})},
	}
}

func fallback(f hpa.Fallback) func(*hpa.Policy, *hpa.Observation) {
	return func(p *hpa.Policy, _ *hpa.Observation) {
		p.Metrics = slices.Clone(p.Metrics)
		for i := range p.Metrics {
			p.Metrics[i].Fallback = &f
		}
	}
}

// withoutPartial takes away samples that lack a container.
func withoutPartial(p *Pod) {
	for i := range p.Containers {
		if c := &p.Containers[i]; c.Usage == nil && (!c.Init || c.Restarts) {
			p.Sample = nil
		}
	}
}

// TestWantedDifferencesHaveASwitch shows that every rule of ours that Kubernetes has not makes a difference where it is
// switched on, and none where there is nothing for it to act on. That it makes none where it is switched off is shown by
// TestEverySyncIsThatOfKubernetes, which meets all that it acts on.
func TestWantedDifferencesHaveASwitch(t *testing.T) {
	setGates(t, gateSets[0].gates)
	for _, w := range wantedDifferences() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			differs := 0
			for at := uint64(1); at < 2000 && differs < 15; at++ {
				c, steps := generateUnhealthy(at, gateSets[0].gates)
				with := func(p hpa.Policy, o hpa.Observation, h hpa.History, now time.Time) (hpa.Recommendation, hpa.History) {
					w.on(&p, &o)
					return hpa.Decide(p, o, h, now)
				}
				o := run(t, c, steps, with)
				if o.mismatch == nil {
					continue
				}
				differs++
				if m := o.mismatch; w.capacity && m.Rec.Desired < min(m.Rec.Current, m.Their) {
					t.Errorf("seed %d takes away replicas that Kubernetes keeps: %s", at, m.What)
				}
				cut, without := clone(c), with
				if w.undo == nil {
					without = hpa.Decide
				} else {
					w.undo(cut)
				}
				if again := run(t, cut, cut.recorded(), without); again.mismatch != nil {
					t.Errorf("seed %d differs with nothing to act on: %s", at, again.mismatch.What)
				}
			}
			if differs < 15 {
				t.Errorf("only %d cases differ", differs)
			}
		})
	}
}
