package hpa_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
)

// generator tells a random story of one target: a policy, and a cluster that changes a bit between decisions. Its
// values lie where rules begin and end.
type generator struct {
	rng    *rand.Rand
	policy hpa.Policy
	obs    hpa.Observation
	now    time.Time
	born   int
}

func newGenerator(rng *rand.Rand) *generator {
	g := &generator{rng: rng, now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)}
	p := hpa.DefaultPolicy()
	p.Min = 1 + g.n(4)
	p.Max = p.Min + g.n(20)
	p.Metrics = nil
	for range 1 + g.n(3) {
		p.Metrics = append(p.Metrics, g.metric())
	}
	if slices.ContainsFunc(p.Metrics, func(m hpa.Metric) bool { return m.Type == hpa.Value }) && g.n(2) == 0 {
		p.Min = 0
	}
	p.Tolerance = pick(g, 0.1, 0, 0.05, 0.5)
	p.DownscaleStabilization = pick(g, 5*time.Minute, time.Minute, 0, 1500*time.Millisecond, 45*time.Second)
	p.CPUInitializationPeriod = pick(g, 5*time.Minute, time.Minute, 0)
	p.InitialReadinessDelay = pick(g, 30*time.Second, 10*time.Second, 0)
	p.Health = g.health()
	p.Pause = hpa.Pause{ScaleUp: g.n(12) == 0, ScaleDown: g.n(12) == 0}
	if g.n(3) > 0 {
		p.Behavior = &hpa.Behavior{ScaleUp: g.rules(), ScaleDown: g.rules()}
	}
	g.policy, g.obs.Current = p, p.Min
	return g
}

// metric is one of every type, from few sources, so that policies have some twice.
func (g *generator) metric() hpa.Metric {
	resource := pick(g, hpa.CPU, hpa.CPU, hpa.Memory)
	container := hpa.Source{Type: hpa.FromContainerResource, Resource: resource, Container: "app"}
	m := pick(g,
		hpa.Metric{Source: hpa.OfResource(resource), Type: hpa.Utilization, Target: pick[int64](g, 40, 80, 100, 133, 200)},
		hpa.Metric{Source: hpa.OfResource(resource), Type: hpa.AverageValue, Target: pick[int64](g, 100, 77, 3)},
		hpa.Metric{Source: container, Type: hpa.Utilization, Target: pick[int64](g, 40, 70, 150)},
		hpa.Metric{Source: container, Type: hpa.AverageValue, Target: pick[int64](g, 100, 77)},
		hpa.Metric{Source: hpa.Source{Type: hpa.FromPods, Name: "requests"}, Type: hpa.AverageValue, Target: pick[int64](g, 100, 77)},
		hpa.Metric{
			Source: pick(g, hpa.Source{Type: hpa.FromObject, Name: "hits", Object: "v1/Service/web"}, hpa.Source{Type: hpa.FromExternal, Name: "queue"}, hpa.Source{Type: hpa.FromPrometheus, Name: "sum(rate(x[1m]))"}),
			Type:   pick(g, hpa.Value, hpa.AverageValue), Target: pick[int64](g, 100, 77, 1000),
		})
	switch g.n(5) {
	case 0:
		m.Fallback = &hpa.Fallback{Type: hpa.FallbackHold}
	case 1:
		m.Fallback = &hpa.Fallback{Type: hpa.FallbackLastGood, For: g.seconds(15, 30, 60)}
	case 2:
		m.Fallback = &hpa.Fallback{Type: hpa.FallbackReplicas, Replicas: g.n(6)}
	}
	return m
}

// health has every rule on, none, or any of them.
func (g *generator) health() hpa.HealthPolicy {
	switch g.n(3) {
	case 0:
		return hpa.DefaultHealth()
	case 1:
		return hpa.HealthPolicy{}
	}
	yes := func() bool { return g.n(2) == 0 }
	return hpa.HealthPolicy{
		HoldOnIncident: yes(), CrashLoopIsNoCapacity: yes(), OOMKilledIsNoCapacity: yes(), OOMWindow: g.seconds(15, 60, 300),
		FailingIsNoCapacity: yes(), NeverReadyIsNoCapacity: yes(), PartialIsMissing: yes(),
		MemorySettle: g.seconds(0, 30, 120), HoldOnFailingRollout: yes(), HoldOnShortage: yes(),
	}
}

func (g *generator) n(below int32) int32 { return g.rng.Int32N(below) }

func pick[T any](g *generator, from ...T) T { return from[g.rng.IntN(len(from))] }

func (g *generator) seconds(from ...int) time.Duration {
	return time.Duration(pick(g, from...)) * time.Second
}

func (g *generator) rules() *hpa.Rules {
	if g.n(4) == 0 {
		return nil
	}
	r := &hpa.Rules{Select: pick(g, "", "", hpa.SelectMax, hpa.SelectMax, hpa.SelectMin, hpa.SelectMin, hpa.SelectMin, hpa.SelectDisabled)}
	if g.n(2) == 0 {
		w := g.seconds(0, 15, 30, 60, 120)
		r.StabilizationWindow = &w
	}
	for range g.n(3) {
		r.Limits = append(r.Limits, hpa.RateLimit{
			Type: pick(g, hpa.LimitPercent, hpa.LimitReplicas), Value: 1 + pick(g, g.n(5), g.n(150)), Period: g.seconds(1, 15, 30, 60, 61, 600),
		})
	}
	if g.n(3) == 0 {
		f := pick(g, 0, 0.05, 0.2, 0.25)
		r.Tolerance = &f
	}
	return r
}

// carryOut writes the number, and whether it is a zero of our own making.
func (g *generator) carryOut(rec hpa.Recommendation) {
	g.obs.Current = rec.Desired
	for _, c := range rec.Conditions {
		if c.Type == hpa.ScaledToZero {
			g.obs.ScaledToZero = c.Status
		}
	}
}

func (g *generator) step() {
	g.now = g.now.Add(g.seconds(1, 15, 15, 15, 15, 29, 300))
	o := &g.obs
	for len(o.Replicas) < int(o.Current) && g.n(4) > 0 {
		g.born++
		r := hpa.Replica{Name: fmt.Sprintf("web-%d", g.born), Phase: pick(g, cluster.PhasePending, cluster.PhaseRunning, cluster.PhaseRunning)}
		g.ready(&r)
		g.usage(&r.CPU)
		g.usage(&r.Memory)
		r.NeverReady = !r.Ready && g.n(2) == 0
		o.Replicas = append(o.Replicas, r)
	}
	for len(o.Replicas) > int(o.Current) && g.n(4) > 0 {
		i := g.rng.IntN(len(o.Replicas))
		o.Replicas = append(o.Replicas[:i:i], o.Replicas[i+1:]...)
	}
	load := int64(g.n(250))
	calm := g.n(3) == 0
	for i := range o.Replicas {
		r := &o.Replicas[i]
		if calm {
			r.CPU.Known, r.CPU.Value, r.CPU.At, r.Memory.Known, r.Memory.Value = true, load, g.now, true, load
			r.CrashLooping, r.Failing, r.CPU.Partial, r.Memory.Partial = false, "", "", ""
		}
		g.change(r)
	}
	g.readings(load)
	g.surroundings()
	if g.n(25) == 0 {
		o.Current = g.n(g.policy.Max + 3)
	}
	// A zero of our own may have been made with another policy: with a lower minimum, or other metrics.
	o.ScaledToZero = o.Current == 0 && (o.ScaledToZero || g.n(2) == 0)
}

// surroundings are what a decision knows beside usage.
func (g *generator) surroundings() {
	o := &g.obs
	o.StatusReplicas = pick(g, int32(len(o.Replicas)), int32(len(o.Replicas)), o.Current, g.n(4))
	o.Unavailable = pick(g, "", "", "", "", "", "", "", "", "", "", "no node answers")
	o.Incident = pick(g, "", "", "", "an incident")
	o.Floor, o.Rollout, o.Shortage, o.Selector = nil, nil, nil, nil
	switch g.n(8) {
	case 0:
		o.Floor = &hpa.Floor{Replicas: g.n(g.policy.Max + 2), By: "schedule mornings"}
	case 1:
		o.Rollout = &hpa.Rollout{Revision: "7", New: 1, Failing: pick(g, "", "image pull back-off")}
	case 2:
		o.Shortage = &hpa.Fault{Reason: hpa.FaultUnschedulable, Message: "no node has room"}
	case 3:
		if g.n(5) == 0 {
			o.Selector = &hpa.Fault{Reason: pick(g, hpa.FaultInvalidSelector, hpa.FaultAmbiguousSelector), Message: "the selector is wrong"}
		}
	}
}

// readings are new values of every metric that is not in the replicas; now and then one is missing.
func (g *generator) readings(load int64) {
	o := &g.obs
	o.Readings = nil
	for _, m := range g.policy.Metrics {
		s := m.Source
		if s.Type == hpa.FromResource || g.n(12) == 0 || slices.ContainsFunc(o.Readings, func(r hpa.Reading) bool { return r.Source == s }) {
			continue
		}
		r := hpa.Reading{Source: s, Known: g.n(12) > 0, Value: pick(g, load, load*int64(o.Current), int64(g.n(3000)), -load), At: g.now}
		if s.Type == hpa.FromPods || s.Type == hpa.FromContainerResource {
			r.Value = 0
			for range o.Replicas {
				var u hpa.Usage
				g.usage(&u)
				if g.n(2) == 0 {
					u.Known, u.Value = true, load
				}
				r.Replicas = append(r.Replicas, u)
			}
		}
		o.Readings = append(o.Readings, r)
	}
}

func (g *generator) change(r *hpa.Replica) {
	switch g.n(12) {
	case 0:
		g.usage(&r.CPU)
	case 1:
		g.usage(&r.Memory)
	case 2:
		r.Phase = pick(g, cluster.PhaseRunning, cluster.PhaseRunning, cluster.PhasePending, cluster.PhaseFailed, cluster.PhaseSucceeded, cluster.PhaseUnknown)
	case 3:
		g.ready(r)
		r.NeverReady = r.NeverReady && !r.Ready
	case 4:
		r.Deleting = g.n(6) == 0
	case 5:
		r.CrashLooping = g.n(4) == 0
	case 6:
		r.Failing = pick(g, "", "", "image pull back-off")
	case 7:
		r.RestartedAt = g.now.Add(-g.seconds(0, 15, 30, 120))
		if g.n(2) == 0 {
			r.OOMKilledAt = r.RestartedAt
		}
	default:
		r.Phase = cluster.PhaseRunning
	}
}

func (g *generator) usage(u *hpa.Usage) {
	u.At, u.Window = g.now.Add(-g.seconds(0, 10, 30, 60)), g.seconds(0, 15, 30, 60)
	u.Known = g.n(12) > 0
	u.Value = int64(pick(g, g.n(300), g.n(100), g.n(20), g.n(1000)))
	u.Request = pick[int64](g, 100, 200, 77, 1000, 3)
	u.RequestMissing, u.Partial = "", pick(g, "", "", "", "", "", "sidecar")
	switch g.n(400) {
	case 0:
		u.Request = 0
	case 1:
		u.Request, u.RequestMissing = 0, "app"
	}
}

func (g *generator) ready(r *hpa.Replica) {
	r.StartedAt = g.now.Add(-g.seconds(0, 10, 30, 31, 60, 299, 300, 301, 3600))
	r.ReadySince = pick(g, g.now.Add(-g.seconds(0, 10, 30, 60, 300, 3590)), r.StartedAt.Add(g.seconds(0, 9, 10, 29, 30, 31)))
	r.Ready, r.ReadyKnown = g.n(4) > 0, g.n(20) > 0
	r.ReadyUnknown = !r.Ready && g.n(10) == 0
	if g.n(20) == 0 {
		r.StartedAt = time.Time{}
	}
}
