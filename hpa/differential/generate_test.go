package differential

import (
	"math/rand/v2"
	"time"

	"github.com/homeostat/homeostat/hpa"
)

// generator makes up a case while it runs: the pods follow the number of replicas, late and with mishaps.
type generator struct {
	r     *rand.Rand
	c     *Case
	steps int
	pods  []*livePod
	next  int // number of the next pod
	// What is rare and would drown the rest is in some cases only.
	huge, negative, gone, fractions, edits, health bool

	policies  []hpa.Policy // in force, one for each target
	selectors []string
	mishaps   int // one in how many
	load      float64
	calm      bool // every pod has the same
}

// livePod is a pod whose times are those of a clock and not ages.
type livePod struct {
	Pod
	hasStarted       bool
	started, ready   time.Time
	deleted, goneFor int  // for how many steps still
	old              bool // to be replaced by a rollout
}

func pick[T any](r *rand.Rand, xs ...T) T { return xs[r.IntN(len(xs))] }

// one reports whether a one-in-n chance came true.
func (g *generator) one(n int) bool { return g.r.IntN(n) == 0 }

// generate makes the case of a seed, and the script that goes on with it.
func generate(seed uint64, gates Gates) (*Case, script) {
	g := newGenerator(seed, gates)
	g.huge, g.negative, g.gone, g.fractions = g.one(25), g.one(20), g.one(25), g.one(60)
	g.edits, g.health = g.one(4), g.one(3)
	g.targets()
	return g.c, g.step
}

// generateUnhealthy makes a case with much that the rules of hpa.HealthPolicy look at, and nothing that is known to differ.
func generateUnhealthy(seed uint64, gates Gates) (*Case, script) {
	g := newGenerator(seed, gates)
	g.mishaps, g.health = 4, true
	g.targets()
	return g.c, g.step
}

func newGenerator(seed uint64, gates Gates) *generator {
	r := rand.New(rand.NewPCG(seed, 0x5eed))
	c := &Case{
		Seed: seed, Gates: gates,
		Tolerance:               pick(r, 0.1, 0.1, 0.1, 0, 0.05, 0.5),
		DownscaleStabilization:  pick(r, 5*time.Minute, 5*time.Minute, time.Minute, 0, 1500*time.Millisecond, 46*time.Second, 45*time.Second),
		CPUInitializationPeriod: pick(r, 5*time.Minute, 5*time.Minute, time.Minute, 0),
		InitialReadinessDelay:   pick(r, 30*time.Second, 30*time.Second, 10*time.Second, 0),
		SyncPeriod:              pick(r, 15*time.Second, 15*time.Second, 15*time.Second, 5*time.Second, 7500*time.Millisecond, 30*time.Second, 61*time.Second, 5*time.Minute),
	}
	g := &generator{r: r, c: c, mishaps: pick(r, 4, 10, 30, 200), load: 1}
	g.steps = pick(r, 8, 20, 40, 40, 60, 60, 100)
	if g.one(25) {
		g.steps = 400
	}
	return g
}

// targets makes up the autoscalers and what they scale.
func (g *generator) targets() {
	names := []string{"web"}
	if g.one(6) {
		names = append(names, "api")
	}
	for _, name := range names {
		p := g.policy()
		t := Target{Name: name, Policy: p, Replicas: p.Min + int32(g.r.IntN(int(min(p.Max-p.Min, 5))+1))}
		if g.one(12) {
			t.Replicas = int32(g.r.IntN(4))
		}
		t.ScaledToZero = g.one(4) && t.Replicas == 0
		g.c.Targets = append(g.c.Targets, t)
		g.policies = append(g.policies, p)
		g.selectors = append(g.selectors, "app="+name)
	}
}

// step is the script: it makes the next step and keeps it in the case.
func (g *generator) step(i int, at time.Time, replicas []int32) *Step {
	if i >= g.steps {
		return nil
	}
	g.load = pick(g.r, g.load, g.load, g.load, 0, 0.3, 0.5, 0.8, 0.9, 1, 1, 1.1, 1.2, 2, 4)
	g.calm = g.one(3)
	s := Step{Values: map[string]Value{}}
	for j := range g.c.Targets {
		s.Targets = append(s.Targets, g.target(i, j, replicas[j]))
	}
	g.evolve(at, replicas)
	for _, p := range g.pods {
		s.Pods = append(s.Pods, g.aged(p, at))
	}
	if g.one(6 * g.mishaps) {
		s.Resources = pick(g.r, FaultError, FaultEmpty)
	}
	for j := range g.policies {
		g.values(&s, &g.policies[j], s.Targets[j].StatusReplicas)
	}
	g.c.Steps = append(g.c.Steps, s)
	return &g.c.Steps[len(g.c.Steps)-1]
}

func (g *generator) target(i, j int, replicas int32) TargetStep {
	t := TargetStep{StatusReplicas: replicas, Selector: g.selectors[j]}
	if g.edits && i > 0 && g.one(12) {
		g.edit(&t, j)
	}
	p := &g.policies[j]
	if g.one(3 * g.mishaps) {
		n := int32(g.r.IntN(int(min(p.Max, 40)) + 3))
		t.Replicas, t.StatusReplicas = &n, n
	}
	if g.one(g.mishaps) {
		t.StatusReplicas = max(0, t.StatusReplicas+int32(g.r.IntN(5))-2)
	}
	if g.one(3 * g.mishaps) {
		t.Selector = pick(g.r, "", "app in (", "app in (web, api)", "app in (web, api)", "app=nobody", "app")
	}
	if g.one(2 * g.mishaps) {
		t.Fault = pick(g.r, FaultRead, FaultRead, FaultWrite, FaultWrite, FaultConflict, FaultConflicts)
	}
	t.HandOver = g.one(3 * g.mishaps)
	if g.health {
		t.Health = g.workloadHealth()
	}
	return t
}

func (g *generator) workloadHealth() (h Health) {
	if g.one(6) {
		h.Incident = "inc-1"
	}
	if g.one(6) {
		h.Shortage = pick(g.r, hpa.FaultUnschedulable, hpa.FaultQuotaExceeded)
	}
	if g.one(6) {
		h.Rollout = &hpa.Rollout{Revision: "b", New: int32(g.r.IntN(5)), Ready: int32(g.r.IntN(2)), Failing: pick(g.r, "", "2 of 2 new replicas crash")}
	}
	return h
}

// edit changes the policy, wholly or in one thing.
func (g *generator) edit(t *TargetStep, j int) {
	p := g.policies[j]
	switch g.r.IntN(4) {
	case 0:
		p = g.policy()
	case 1:
		p.Behavior = g.behavior()
	case 2:
		p.Metrics = g.metrics(p.Min == 0)
	default:
		p.Max = max(1, p.Min+int32(g.r.IntN(12)))
	}
	g.policies[j], t.Policy = p, &p
}
