package decisions

import (
	"fmt"
	"time"

	"github.com/homeostat/homeostat/hpa"
)

// Health says what the health rules did to one decision. It is found by deciding again with rules switched off, so it holds for any
// rule, and for several that stand behind each other.
type Health struct {
	// Kubernetes is the number that the same observation gives with every rule off, which is what Kubernetes would decide, with the reason
	// and the sentence of that decision.
	Kubernetes int32      `json:"kubernetes"`
	Reason     hpa.Reason `json:"reason"`
	Message    string     `json:"message"`
	// Rules that are on and saw something, in a fixed order.
	Rules []Rule `json:"rules,omitempty"`
}

// Changed reports whether the rules together changed the number.
func (h *Health) Changed(desired int32) bool { return h.Kubernetes != desired }

// Rule is one health rule that saw something.
type Rule struct {
	// Name of its field in spec.health, which switches it off, such as oomKilledIsNotCapacity.
	Name string `json:"rule"`
	// Saw says what, in a few words.
	Saw string `json:"saw"`
	// Replicas that it is about, each with what happened to it; none where it is about the workload.
	Replicas hpa.Names `json:"replicas,omitzero"`
	// Without is the number with this rule off and the others on, Alone with this rule on and the others off.
	Without int32 `json:"without"`
	Alone   int32 `json:"alone"`
	// Changed is true where the rule changed the number, by itself or beside others.
	Changed bool `json:"changed"`
}

// check is one rule: how it is switched, and what it sees.
type check struct {
	name string
	on   func(p *hpa.HealthPolicy) bool
	// set switches the rule as it is in from.
	set func(p *hpa.HealthPolicy, from hpa.HealthPolicy)
	saw func(p *hpa.Policy, o *hpa.Observation, now time.Time) (string, hpa.Names)
}

// checks returns every rule of hpa.HealthPolicy.
func checks() []check {
	return []check{
		{
			"crashLoopIsNotCapacity", func(p *hpa.HealthPolicy) bool { return p.CrashLoopIsNoCapacity },
			func(p *hpa.HealthPolicy, f hpa.HealthPolicy) { p.CrashLoopIsNoCapacity = f.CrashLoopIsNoCapacity },
			replicas("in a crash loop", func(_ *hpa.Policy, r *hpa.Replica, _ time.Time) string { return when(r.CrashLooping, "crash loop") }),
		},
		{
			"oomKilledIsNotCapacity", func(p *hpa.HealthPolicy) bool { return p.OOMKilledIsNoCapacity },
			func(p *hpa.HealthPolicy, f hpa.HealthPolicy) { p.OOMKilledIsNoCapacity = f.OOMKilledIsNoCapacity },
			replicas("OOM-killed", func(p *hpa.Policy, r *hpa.Replica, now time.Time) string {
				return recent("OOM-killed", r.OOMKilledAt, p.Health.OOMWindow, now)
			}),
		},
		{
			"failingIsNotCapacity", func(p *hpa.HealthPolicy) bool { return p.FailingIsNoCapacity },
			func(p *hpa.HealthPolicy, f hpa.HealthPolicy) { p.FailingIsNoCapacity = f.FailingIsNoCapacity },
			replicas("of a new revision failing", func(_ *hpa.Policy, r *hpa.Replica, _ time.Time) string { return r.Failing }),
		},
		{
			"neverReadyIsNotCapacity", func(p *hpa.HealthPolicy) bool { return p.NeverReadyIsNoCapacity },
			func(p *hpa.HealthPolicy, f hpa.HealthPolicy) { p.NeverReadyIsNoCapacity = f.NeverReadyIsNoCapacity },
			replicas("never ready so far", func(_ *hpa.Policy, r *hpa.Replica, _ time.Time) string { return when(r.NeverReady, "never ready") }),
		},
		{
			"partialIsMissing", func(p *hpa.HealthPolicy) bool { return p.PartialIsMissing },
			func(p *hpa.HealthPolicy, f hpa.HealthPolicy) { p.PartialIsMissing = f.PartialIsMissing },
			replicas("with the sample of a container missing", partial),
		},
		{
			"memorySettle", func(p *hpa.HealthPolicy) bool { return p.MemorySettle > 0 },
			func(p *hpa.HealthPolicy, f hpa.HealthPolicy) { p.MemorySettle = f.MemorySettle },
			replicas("restarted lately", func(p *hpa.Policy, r *hpa.Replica, now time.Time) string {
				return recent("restarted", r.RestartedAt, p.Health.MemorySettle, now)
			}),
		},
		{
			"holdScaleDownOnIncident", func(p *hpa.HealthPolicy) bool { return p.HoldOnIncident },
			func(p *hpa.HealthPolicy, f hpa.HealthPolicy) { p.HoldOnIncident = f.HoldOnIncident },
			workload(func(o *hpa.Observation) string {
				return when(o.Incident != "", "incident "+o.Incident+" is open")
			}),
		},
		{
			"holdOnFailingRollout", func(p *hpa.HealthPolicy) bool { return p.HoldOnFailingRollout },
			func(p *hpa.HealthPolicy, f hpa.HealthPolicy) { p.HoldOnFailingRollout = f.HoldOnFailingRollout },
			workload(func(o *hpa.Observation) string {
				if o.Rollout == nil || o.Rollout.Failing == "" {
					return ""
				}
				return "the rollout fails: " + o.Rollout.Failing
			}),
		},
		{
			"holdScaleUpOnShortage", func(p *hpa.HealthPolicy) bool { return p.HoldOnShortage },
			func(p *hpa.HealthPolicy, f hpa.HealthPolicy) { p.HoldOnShortage = f.HoldOnShortage },
			workload(func(o *hpa.Observation) string {
				if o.Shortage == nil {
					return ""
				}
				return o.Shortage.Message
			}),
		},
	}
}

// Explain says what the health rules of the policy did to the decision rec, which was made from the other arguments.
func Explain(p hpa.Policy, o hpa.Observation, h hpa.History, rec *hpa.Recommendation) *Health {
	decide := func(health hpa.HealthPolicy) hpa.Recommendation {
		p := p
		p.Health = health
		r, _ := hpa.Decide(p, o, h, rec.At)
		return r
	}
	// The windows say how long a rule looks back; they are no rules and stay as they are.
	off := hpa.HealthPolicy{OOMWindow: p.Health.OOMWindow}
	plain := decide(off)
	out := &Health{Kubernetes: plain.Desired, Reason: plain.Reason, Message: plain.Message}
	for _, c := range checks() {
		if !c.on(&p.Health) {
			continue
		}
		saw, names := c.saw(&p, &o, rec.At)
		if saw == "" {
			continue
		}
		without, alone := p.Health, off
		c.set(&without, off)
		c.set(&alone, p.Health)
		r := Rule{Name: c.name, Saw: saw, Replicas: names, Without: decide(without).Desired, Alone: decide(alone).Desired}
		r.Changed = r.Without != rec.Desired || r.Alone != plain.Desired
		out.Rules = append(out.Rules, r)
	}
	return out
}

// replicas is a rule about replicas; those that are being deleted count for nothing anyhow.
func replicas(what string, of func(p *hpa.Policy, r *hpa.Replica, now time.Time) string) func(*hpa.Policy, *hpa.Observation, time.Time) (string, hpa.Names) {
	return func(p *hpa.Policy, o *hpa.Observation, now time.Time) (string, hpa.Names) {
		var n hpa.Names
		for i := range o.Replicas {
			r := &o.Replicas[i]
			why := of(p, r, now)
			if why == "" || r.Deleting {
				continue
			}
			n.Count++
			if len(n.First) < hpa.MaxNames {
				n.First = append(n.First, r.Name+": "+why)
			}
		}
		if n.Count == 0 {
			return "", n
		}
		return fmt.Sprintf("%d of %d replicas %s", n.Count, len(o.Replicas), what), n
	}
}

// workload is a rule about the workload as a whole.
func workload(of func(o *hpa.Observation) string) func(*hpa.Policy, *hpa.Observation, time.Time) (string, hpa.Names) {
	return func(_ *hpa.Policy, o *hpa.Observation, _ time.Time) (string, hpa.Names) { return of(o), hpa.Names{} }
}

// partial names the container without a sample, of a resource that the policy has a metric of.
func partial(p *hpa.Policy, r *hpa.Replica, _ time.Time) string {
	for i := range p.Metrics {
		s := &p.Metrics[i].Source
		if s.Type != hpa.FromResource {
			continue
		}
		u := &r.CPU
		if s.Resource == hpa.Memory {
			u = &r.Memory
		}
		if u.Partial != "" {
			return fmt.Sprintf("no %s of container %s", s.Resource, u.Partial)
		}
	}
	return ""
}

func recent(what string, at time.Time, within time.Duration, now time.Time) string {
	age := now.Sub(at)
	if at.IsZero() || age >= within {
		return ""
	}
	return fmt.Sprintf("%s %s ago", what, max(age, 0).Round(time.Second))
}

func when(yes bool, s string) string {
	if yes {
		return s
	}
	return ""
}
