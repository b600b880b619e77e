package decisions

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
)

// scene is a target of four replicas at 50 % of their requests, which is what they should be at.
func scene() (hpa.Policy, hpa.Observation, hpa.History) {
	p := hpa.DefaultPolicy()
	p.Min, p.Max = 1, 20
	p.Metrics = []hpa.Metric{{Source: hpa.OfResource(hpa.CPU), Type: hpa.Utilization, Target: 50}}
	p.DownscaleStabilization = 0
	o := hpa.Observation{Current: 4, StatusReplicas: 4}
	for i := range 4 {
		o.Replicas = append(o.Replicas, hpa.Replica{
			Name: fmt.Sprintf("web-%d", i), Phase: cluster.PhaseRunning,
			StartedAt: t0.Add(-time.Hour), Ready: true, ReadyKnown: true, ReadySince: t0.Add(-30 * time.Minute),
			CPU:    hpa.Usage{Known: true, Value: 50, Request: 100, At: t0, Window: 15 * time.Second},
			Memory: hpa.Usage{Known: true, Value: 50, Request: 100, At: t0},
		})
	}
	return p, o, hpa.History{Recommendations: []hpa.Recommended{{At: t0.Add(-time.Hour), Replicas: 4}}}
}

// idle makes two of the replicas look as if they had nothing to do.
func idle(o *hpa.Observation, change func(r *hpa.Replica)) {
	for i := range 2 {
		r := &o.Replicas[i]
		r.CPU.Value, r.Memory.Value = 0, 0
		change(r)
	}
}

func onMemory(p *hpa.Policy) { p.Metrics[0].Source = hpa.OfResource(hpa.Memory) }

func TestEachRuleShowsWhatItChanged(t *testing.T) {
	t.Parallel()
	busy := func(o *hpa.Observation, value int64) {
		for i := range o.Replicas {
			o.Replicas[i].CPU.Value = value
		}
	}
	tests := []struct {
		rule   string
		change func(p *hpa.Policy, o *hpa.Observation)
		saw    string
	}{
		{"crashLoopIsNotCapacity", func(_ *hpa.Policy, o *hpa.Observation) {
			idle(o, func(r *hpa.Replica) { r.CrashLooping = true })
		}, "2 of 4 replicas in a crash loop"},
		{"oomKilledIsNotCapacity", func(_ *hpa.Policy, o *hpa.Observation) {
			idle(o, func(r *hpa.Replica) { r.OOMKilledAt = t0.Add(-40 * time.Second) })
		}, "2 of 4 replicas OOM-killed"},
		{"failingIsNotCapacity", func(_ *hpa.Policy, o *hpa.Observation) {
			idle(o, func(r *hpa.Replica) { r.Failing = "image pull back-off" })
		}, "2 of 4 replicas of a new revision failing"},
		{"neverReadyIsNotCapacity", func(_ *hpa.Policy, o *hpa.Observation) {
			idle(o, func(r *hpa.Replica) { r.NeverReady, r.Ready = true, false })
		}, "2 of 4 replicas never ready so far"},
		{"partialIsMissing", func(_ *hpa.Policy, o *hpa.Observation) {
			idle(o, func(r *hpa.Replica) { r.CPU.Partial = "app" })
		}, "2 of 4 replicas with the sample of a container missing"},
		{"memorySettle", func(p *hpa.Policy, o *hpa.Observation) {
			onMemory(p)
			idle(o, func(r *hpa.Replica) { r.RestartedAt = t0.Add(-10 * time.Second) })
		}, "2 of 4 replicas restarted lately"},
		{"holdScaleDownOnIncident", func(_ *hpa.Policy, o *hpa.Observation) {
			busy(o, 10)
			o.Incident = "web-oomkilled-1"
		}, "incident web-oomkilled-1 is open"},
		{"holdOnFailingRollout", func(_ *hpa.Policy, o *hpa.Observation) {
			busy(o, 90)
			o.Rollout = &hpa.Rollout{New: 1, Failing: "web-5d9c cannot pull its image"}
		}, "the rollout fails: web-5d9c cannot pull its image"},
		{"holdScaleUpOnShortage", func(_ *hpa.Policy, o *hpa.Observation) {
			busy(o, 90)
			o.Shortage = &hpa.Fault{Reason: hpa.FaultUnschedulable, Message: "no node has room for web-4"}
		}, "no node has room for web-4"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			p, o, h := scene()
			tt.change(&p, &o)
			rec, _ := hpa.Decide(p, o, h, t0)
			got := Explain(p, o, h, &rec)
			if rec.Desired != 4 || !got.Changed(rec.Desired) {
				t.Errorf("decided %d; without health rules it would be %d", rec.Desired, got.Kubernetes)
			}
			if len(got.Rules) != 1 || got.Rules[0].Name != tt.rule || got.Rules[0].Saw != tt.saw || !got.Rules[0].Changed ||
				got.Rules[0].Without != got.Kubernetes || got.Rules[0].Alone != 4 {
				t.Errorf("rules %+v", got.Rules)
			}
			// A rule that is off says nothing.
			p.Health = hpa.HealthPolicy{OOMWindow: p.Health.OOMWindow}
			rec, _ = hpa.Decide(p, o, h, t0)
			if got := Explain(p, o, h, &rec); len(got.Rules) != 0 || got.Changed(rec.Desired) {
				t.Errorf("with every rule off: %+v", got)
			}
		})
	}
	var names []string
	for _, tt := range tests {
		names = append(names, tt.rule)
	}
	var all []string
	for _, c := range checks() {
		all = append(all, c.name)
	}
	if diff := cmp.Diff(all, names); diff != "" {
		t.Errorf("rules without a test (-rules +tests):\n%s", diff)
	}
}

func TestRulesThatStandBehindEachOtherAreBothNamed(t *testing.T) {
	t.Parallel()
	p, o, h := scene()
	idle(&o, func(r *hpa.Replica) { r.CrashLooping, r.NeverReady, r.Ready = true, true, false })
	rec, _ := hpa.Decide(p, o, h, t0)
	got := Explain(p, o, h, &rec)
	if len(got.Rules) != 2 || !got.Rules[0].Changed || !got.Rules[1].Changed {
		t.Fatalf("rules %+v, want both of them: neither alone is missed", got.Rules)
	}
	if r := got.Rules[0]; r.Without != 4 || r.Alone != 4 {
		t.Errorf("%s: %d without, %d alone; want 4 and 4", r.Name, r.Without, r.Alone)
	}
}

func TestARuleThatSawSomethingAndChangedNothingSaysSo(t *testing.T) {
	t.Parallel()
	p, o, h := scene()
	o.Incident = "web-notready-1"
	o.Replicas[0].Deleting, o.Replicas[0].CrashLooping = true, true
	rec, _ := hpa.Decide(p, o, h, t0)
	got := Explain(p, o, h, &rec)
	if len(got.Rules) != 1 || got.Rules[0].Name != "holdScaleDownOnIncident" || got.Rules[0].Changed {
		t.Errorf("rules %+v, want only the incident, which changed nothing: a replica that is being deleted counts for nothing", got.Rules)
	}
}

func TestNamesAreBounded(t *testing.T) {
	t.Parallel()
	p, o, h := scene()
	o.Replicas = slices.Repeat(o.Replicas, 10)
	for i := range o.Replicas {
		o.Replicas[i].CrashLooping = true
	}
	rec, _ := hpa.Decide(p, o, h, t0)
	if n := Explain(p, o, h, &rec).Rules[0].Replicas; n.Count != 40 || len(n.First) != hpa.MaxNames {
		t.Errorf("%d replicas, %d named", n.Count, len(n.First))
	}
}

// A rule that is added to the engine has to be added here, or explain would not know of it.
func TestEveryHealthRuleIsKnown(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, c := range checks() {
		known[c.name] = true
		var off, on hpa.HealthPolicy
		c.set(&on, hpa.DefaultHealth())
		if c.on(&off) || !c.on(&on) {
			t.Errorf("%s cannot be switched", c.name)
		}
	}
	// Who reads the name of a rule has to find it in spec.health.
	for f := range reflect.TypeFor[v1alpha1.AutoscalerHealth]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "oomWindow" && !known[name] {
			t.Errorf("the rule %s is not known", name)
		}
	}
	all := hpa.HealthPolicy{OOMWindow: hpa.DefaultHealth().OOMWindow}
	for _, c := range checks() {
		c.set(&all, hpa.DefaultHealth())
	}
	if diff := cmp.Diff(hpa.DefaultHealth(), all); diff != "" {
		t.Errorf("rules of the engine that are not known (-engine +here):\n%s", diff)
	}
}
