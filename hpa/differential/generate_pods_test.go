package differential

import (
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/homeostat/homeostat/hpa"
)

// mostPods bounds the pods of a target, whatever its number of replicas.
const mostPods = 24

// evolve lets the pods follow the number of replicas, and things happen to them.
func (g *generator) evolve(at time.Time, replicas []int32) {
	for j := range g.c.Targets {
		app := g.c.Targets[j].Name
		if g.one(10 * g.mishaps) {
			g.rollOut(app)
		}
		if len(g.pods) == 0 || !g.one(4) {
			g.converge(app, int(min(replicas[j], mostPods)), at)
		}
		if g.one(20 * g.mishaps) {
			g.pods = nil
		}
	}
	kept := g.pods[:0]
	for _, p := range g.pods {
		if g.age(p, at) {
			kept = append(kept, p)
		}
	}
	g.pods = kept
}

// rollOut replaces every pod of an app; the new ones come while the old are still there.
func (g *generator) rollOut(app string) {
	for _, p := range g.pods {
		if p.App == app && !p.Deleting {
			p.old = true
		}
	}
}

func (g *generator) converge(app string, want int, at time.Time) {
	have, old := 0, 0
	for _, p := range g.pods {
		if p.App == app && !p.Deleting && !p.Gone {
			have++
			if p.old {
				old++
			}
		}
	}
	if old > 0 {
		want += pick(g.r, 1, 1, 2)
	}
	for ; have < want; have++ {
		g.pods = append(g.pods, g.pod(app, at))
	}
	for _, p := range g.pods {
		if p.App != app || p.Deleting || p.Gone || (have <= want && (!p.old || g.one(2))) {
			continue
		}
		p.Deleting, p.deleted = true, g.r.IntN(3)
		have--
	}
}

// pod makes a new one: at the start of a case it may have been there for long.
func (g *generator) pod(app string, at time.Time) *livePod {
	g.next++
	p := &livePod{Pod: Pod{Name: fmt.Sprintf("%s-%d", app, g.next), App: app, Phase: v1.PodPending, Ready: v1.ConditionFalse}}
	p.Containers = []Container{{Name: "app", Requests: g.requests()}}
	if g.one(4) {
		p.Containers = append(p.Containers, Container{Name: "side", Requests: g.requests()})
	}
	if g.one(8) {
		p.Containers = append(p.Containers, Container{Name: "proxy", Init: true, Restarts: true, Requests: g.requests()})
	}
	if g.one(12) {
		p.Containers = append(p.Containers, Container{Name: "setup", Init: true, Requests: g.requests()})
	}
	if g.one(12) {
		whole := g.requests()
		p.Requests = &whole
	}
	p.ready = at
	if len(g.c.Steps) == 0 || g.one(3) {
		g.start(p, at, pick(g.r, 0, 10, 30, 31, 60, 299, 300, 301, 3600))
		p.Ready, p.ready = v1.ConditionTrue, p.started.Add(time.Duration(g.r.IntN(40))*time.Second)
	}
	return p
}

func (g *generator) requests() Amounts {
	cpu := *resource.NewMilliQuantity(pick(g.r, int64(100), 100, 200, 77, 1000, 3), resource.DecimalSI)
	memory := g.bytes(float64(pick(g.r, 100<<20, 64<<20, 12_345_678)))
	if g.huge && g.one(10) {
		cpu = g.quantity(1)
	}
	for _, q := range []*resource.Quantity{&cpu, &memory} {
		if q.Sign() < 0 { // no API server takes it
			q.Neg()
		}
	}
	a := Amounts{CPU: &cpu, Memory: &memory}
	if g.one(15 * g.mishaps) {
		a.CPU = nil
	}
	if g.one(15 * g.mishaps) {
		a.Memory = nil
	}
	if g.one(15 * g.mishaps) {
		a.CPU = &resource.Quantity{}
	}
	return a
}

func (g *generator) start(p *livePod, at time.Time, secondsAgo int) {
	p.Phase, p.hasStarted, p.started = v1.PodRunning, true, at.Add(-time.Duration(secondsAgo)*time.Second)
}

// age lets a sync period pass for a pod. It reports whether the pod is still there.
func (g *generator) age(p *livePod, at time.Time) bool {
	if p.Gone {
		p.goneFor--
		return p.goneFor > 0
	}
	if p.Deleting {
		p.deleted--
		if p.deleted < 0 {
			p.Gone, p.goneFor = g.gone && p.Sample != nil, 2
			return p.Gone
		}
	}
	switch {
	case p.Phase == v1.PodPending && g.one(2):
		g.start(p, at, g.r.IntN(15))
		p.ready = p.started
	case p.Phase == v1.PodRunning && p.Ready == v1.ConditionFalse && g.one(3):
		p.Ready, p.ready = v1.ConditionTrue, at.Add(-time.Duration(g.r.IntN(15))*time.Second)
	}
	if g.one(g.mishaps) {
		g.mishap(p, at)
	}
	g.sample(p, at)
	return true
}

// mishap is one thing that happens to a pod, the edges of the controller's periods among them.
func (g *generator) mishap(p *livePod, at time.Time) {
	switch g.r.IntN(9) {
	case 0:
		p.Phase = pick(g.r, v1.PodRunning, v1.PodRunning, v1.PodPending, v1.PodFailed, v1.PodFailed, v1.PodSucceeded, v1.PodUnknown)
	case 1:
		p.Ready, p.ready = pick(g.r, v1.ConditionTrue, v1.ConditionFalse, v1.ConditionFalse, v1.ConditionUnknown, ""), at.Add(-time.Duration(g.r.IntN(90))*time.Second)
	case 2:
		p.hasStarted = g.one(2)
	case 3: // the end of the initialization period, to the nanosecond
		p.hasStarted, p.started = true, at.Add(-g.c.CPUInitializationPeriod).Add(time.Duration(g.r.IntN(3)-1))
		p.Ready = pick(g.r, v1.ConditionFalse, v1.ConditionTrue)
	case 4: // the end of the delay of the first readiness
		p.hasStarted, p.started = true, at.Add(-g.c.CPUInitializationPeriod-time.Duration(g.r.IntN(60))*time.Second)
		p.Ready, p.ready = v1.ConditionFalse, p.started.Add(g.c.InitialReadinessDelay).Add(time.Duration(g.r.IntN(3)-1))
	case 5:
		p.CrashLooping, p.NeverReady = g.one(2), g.one(2)
		p.Failing = pick(g.r, "", "image pull back-off")
	case 6:
		ago := time.Duration(g.r.IntN(400)) * time.Second
		p.OOMKilled, p.Restarted = &ago, &ago
	case 7:
		p.Containers = append([]Container(nil), p.Containers...)
		p.Containers[0].Requests = g.requests()
	default:
		p.Deleting, p.deleted = true, 1+g.r.IntN(3)
	}
}

// sample gives the pod usage and values of its metrics.
func (g *generator) sample(p *livePod, at time.Time) {
	p.Sample = nil
	if !g.one(2 * g.mishaps) {
		p.Sample = &Sample{Window: pick(g.r, 15*time.Second, 30*time.Second, time.Minute, 0), Age: time.Duration(g.r.IntN(60)) * time.Second}
		if g.one(g.mishaps) { // the first full window since the pod became ready
			p.Sample.Age = at.Sub(p.ready.Add(p.Sample.Window)) + time.Duration(g.r.IntN(3)-1)
		}
	}
	all := make([]Container, len(p.Containers))
	level := g.level()
	for i, c := range p.Containers {
		c.Usage = nil
		if (!c.Init || c.Restarts) && !g.one(8*g.mishaps) {
			c.Usage = g.usage(&c.Requests, level)
		}
		all[i] = c
	}
	p.Containers = all
	p.Values = map[string]Reading{}
	for j := range g.policies {
		for i := range g.policies[j].Metrics {
			m := &g.policies[j].Metrics[i]
			if m.Source.Type != hpa.FromPods || g.one(2*g.mishaps) {
				continue
			}
			v := Reading{Value: g.quantity(float64(m.Target) * level), Age: time.Duration(g.r.IntN(60)) * time.Second}
			if g.one(2) {
				seconds := int64(pick(g.r, 0, 30, 60))
				v.Window = &seconds
			}
			p.Values[m.Source.Name] = v
		}
	}
}

// usage of a container, as a share of what its first metric wants.
func (g *generator) usage(requests *Amounts, level float64) *Amounts {
	cpu, memory := 100*level, float64(100<<20)*level
	for j := range g.policies {
		for i := range g.policies[j].Metrics {
			m := &g.policies[j].Metrics[i]
			switch {
			case m.Type == hpa.Utilization && m.Source.Resource == hpa.CPU && requests.CPU != nil:
				cpu = float64(requests.CPU.MilliValue()) * float64(m.Target) / 100 * level
			case m.Type == hpa.Utilization && m.Source.Resource == hpa.Memory && requests.Memory != nil:
				memory = float64(requests.Memory.Value()) * float64(m.Target) / 100 * level
			case m.Source.Resource == hpa.CPU:
				cpu = float64(m.Target) * level
			case m.Source.Resource == hpa.Memory:
				memory = float64(m.Target) * level
			}
		}
	}
	c, b := g.quantity(cpu), g.bytes(memory)
	a := &Amounts{CPU: &c, Memory: &b}
	if g.one(20 * g.mishaps) {
		a.CPU = nil
	}
	if g.one(20 * g.mishaps) {
		a.Memory = nil
	}
	return a
}

// aged returns the pod with ages in the place of times.
func (g *generator) aged(p *livePod, at time.Time) Pod {
	a := p.Pod
	if p.hasStarted {
		started := at.Sub(p.started)
		a.Started = &started
	}
	a.ReadyFor = at.Sub(p.ready)
	return a
}
