package healing

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

var (
	histories = flag.Int("histories", 300, "how many random histories the model test plays")
	seedFlag  = flag.Uint64("seed", 0, "play only the history with this seed, and tell it")
)

// TestModel plays random histories of one workload with every remedy, under two leaders and everything that goes wrong around
// them: leaders that die between any two steps, looks that are lost, doubled, late or of an old state, clocks that jump, calls
// that are refused, fail or lose their answer, charges that fail. After every step it checks what users rely on: see
// model_checks_test.go; and at the end, once everything is healthy, that no incident stays open.
func TestModel(t *testing.T) {
	if *seedFlag != 0 {
		h := newHistory(*seedFlag, true)
		h.play()
		t.Logf("seed %d\n%s", *seedFlag, h.trace.String())
		for _, f := range h.faults {
			t.Error(f)
		}
		return
	}
	var next, actions, failed atomic.Uint64
	remedies := make([]map[incident.Remedy]int, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for n := range remedies {
		remedies[n] = map[incident.Remedy]int{}
		wg.Go(func() {
			for seed := next.Add(1); seed <= uint64(*histories) && failed.Load() < 3; seed = next.Add(1) {
				h := newHistory(seed, false)
				h.play()
				actions.Add(uint64(len(h.effects)))
				for _, e := range h.effects {
					remedies[n][e.remedy]++
				}
				if len(h.faults) > 0 {
					failed.Add(1)
					t.Errorf("history %d (play it alone with -seed=%d): %s", seed, seed, h.faults[0])
				}
			}
		})
	}
	wg.Wait()
	if actions.Load() < uint64(*histories) {
		t.Errorf("only %d actions in %d histories: the model does not reach what it is for", actions.Load(), *histories)
	}
	for _, r := range incident.Remedies()[1:] {
		sum := 0
		for n := range remedies {
			sum += remedies[n][r]
		}
		if *histories >= 300 && sum < *histories/100 {
			t.Errorf("only %d times %s in %d histories", sum, r, *histories)
		}
		t.Logf("%s: %d times", r, sum)
	}
}

type history struct {
	*world
	rnd    *rand.Rand
	trace  strings.Builder
	faults []string
	// laggards sometimes plan on an old view of the store and the budget, reordered on an old look at the workload.
	laggards, reordered bool
	old                 []incident.Incident
	oldLook             *cluster.Workload
	breaks              func(in *Input, plan *Plan)
	judged              *Input // what the plan of this pass is judged by
}

func newHistory(seed uint64, told bool) *history {
	h := &history{world: newWorld(), rnd: rand.New(rand.NewPCG(seed, 1)), laggards: seed%4 == 0, reordered: seed%4 == 1}
	h.quiet = !told
	if told {
		h.log = func(format string, args ...any) {
			fmt.Fprintf(&h.trace, "%s "+format+"\n", append([]any{h.now.Sub(epoch)}, args...)...)
		}
	}
	h.inspect = func(plan *Plan) { h.checkPlan(h.judged, plan) }
	h.begin()
	return h
}

// Helper and Errorf make a history a testingT, so that one that is meant to fail can be looked at.
func (h *history) Helper() {}

func (h *history) Errorf(format string, args ...any) {
	h.faults = append(h.faults, fmt.Sprintf("%s: "+format, append([]any{h.now.Sub(epoch)}, args...)...))
}

func (h *history) play() {
	for range 50 {
		for range h.rnd.IntN(3) {
			h.disturb()
		}
		h.recover()
		if h.chance(70) {
			h.now = h.now.Add(time.Duration(h.rnd.IntN(60)) * time.Second)
		}
		if h.chance(2) { // a clock jumps
			h.now = h.now.Add(time.Duration(h.rnd.IntN(600)-100) * time.Second)
		}
		if h.chance(90) { // else the look is lost
			h.look()
		}
		if h.chance(10) { // and doubled
			h.look()
		}
		if len(h.faults) > 0 {
			return
		}
	}
	h.heal()
}

func (h *history) chance(percent int) bool { return h.rnd.IntN(100) < percent }

func pick[T any](h *history, of ...T) T { return of[h.rnd.IntN(len(of))] }

func (h *history) begin() {
	p := &h.policy
	p.NotReadyAfter, p.PendingAfter = 20*time.Second, 10*time.Second
	p.Cooldown = time.Duration(h.rnd.IntN(3)) * 10 * time.Second
	p.BudgetActions, p.BudgetPeriod = int32(h.rnd.IntN(7)), time.Duration(1+h.rnd.IntN(6))*time.Minute
	p.VerifyWithin, p.ResolveAfter = 30*time.Second, time.Duration(5+h.rnd.IntN(60))*time.Second
	p.MinHealthyPercent = pick[int32](h, 0, 30, 51, 51, 100)
	p.PatchTemplate = h.chance(20)
	p.Remedies = map[incident.Kind][]incident.Remedy{}
	for _, k := range incident.Kinds() {
		if h.chance(60) {
			p.Remedies[k] = h.anyLadder(k)
		}
	}
	if h.chance(30) {
		h.climate.Budget = ClusterBudget{Actions: int32(1 + h.rnd.IntN(4)), Period: time.Duration(1+h.rnd.IntN(10)) * time.Minute}
	}
	w := h.workload
	w.Ref.Kind = pick(h, cluster.KindDeployment, cluster.KindDeployment, cluster.KindDeployment, cluster.KindStatefulSet, cluster.KindReplicaSet)
	w.Desired = int32(1 + h.rnd.IntN(6))
	h.beginRelations()
	switch h.rnd.IntN(25) {
	case 0:
		w.System = true
	case 1:
		w.Self = true
	case 2:
		w.Ref.Kind = cluster.KindDaemonSet
	case 3:
		w.Ref.Kind, w.Desired = cluster.KindPod, 1
	}
	h.nodes["n2"] = cluster.Node{Name: "n2", Ready: "True", Since: h.now}
	for i := range w.Desired {
		h.add(fmt.Sprintf("web-%d", i), pick(h, "n1", "n2"), time.Duration(h.rnd.IntN(3600))*time.Second)
	}
}

// anyLadder is some of what is allowed for the kind, in any order; sometimes what is not allowed, which must do no harm.
func (h *history) anyLadder(k incident.Kind) []incident.Remedy {
	from := Allowed(k)
	if h.chance(10) {
		from = incident.Remedies()
	}
	var out []incident.Remedy
	for _, i := range h.rnd.Perm(len(from)) {
		if h.chance(60) {
			out = append(out, from[i])
		}
	}
	return out
}

func (h *history) beginRelations() {
	w := h.workload
	w.Resizable = h.chance(70)
	if h.chance(30) {
		w.ProfilePort = 6060
	}
	w.Revision = "r2"
	w.Revisions = []cluster.Revision{
		{Name: "r2", Number: 2, CreatedAt: h.now.Add(-time.Duration(h.rnd.IntN(900)) * time.Second), MemoryLimits: map[string]int64{"app": 128 << 20}},
		{Name: "r1", Number: 1, CreatedAt: h.now.Add(-time.Hour), MemoryLimits: map[string]int64{"app": 128 << 20}},
	}
	if h.chance(70) {
		w.Revisions[1].HealthyAt = h.now.Add(-20 * time.Minute)
	}
	if h.chance(15) {
		w.Owners = []cluster.Owner{{Kind: pick(h, cluster.OwnerArgoCD, cluster.OwnerHelm, cluster.OwnerVPA), Name: "x"}}
	}
	if h.chance(30) {
		w.Scaler = &cluster.Scaler{Ref: cluster.Ref{Kind: pick(h, kindAutoscaler, "HorizontalPodAutoscaler"), Namespace: "demo", Name: "web"}, Min: 1, Max: int32(1 + h.rnd.IntN(8))}
	}
	if h.chance(20) {
		w.Track = &cluster.Track{
			Kind: pick(h, cluster.TrackCanary, cluster.TrackBlueGreen), Other: cluster.Ref{Kind: w.Ref.Kind, Namespace: "demo", Name: "other"},
			OtherDesired: 2, OtherReady: int32(1 + h.rnd.IntN(2)), Service: "web", Key: "track", Value: "green", OtherValue: "blue",
		}
	}
	if h.chance(70) { // memory that follows load
		for i := range 120 {
			load := int64(100 + (i*7)%120*4)
			p := metrics.TrendPoint{At: h.now.Add(time.Duration(i-120) * 30 * time.Second), CPUMilli: load, ResidentBytes: load << 18, MemoryBytes: load << 18}
			for j := range 6 {
				key := fmt.Sprintf("web-%d/app", j)
				if i == 0 {
					h.trend[key] = make([]metrics.TrendPoint, 0, 120)
				}
				h.trend[key] = append(h.trend[key], p)
			}
		}
	}
}

// look lets one of the leaders make a pass, in which much can go wrong.
func (h *history) look() {
	l := &leader{name: pick(h, "a", "b"), breaks: h.breaks}
	if h.chance(5) {
		l.stale = time.Minute
	}
	switch h.rnd.IntN(12) {
	case 0:
		l.conflict = true
	case 1:
		l.diesBeforeSave = true
	case 2:
		l.diesAfterSave = true
	case 3:
		l.diesAfterCarry = true
	}
	if h.laggards {
		if h.chance(30) && h.old != nil {
			l.view = h.old
		}
		if h.chance(50) {
			h.old = h.incidents()
		}
	}
	if h.reordered {
		if h.chance(20) && h.oldLook != nil {
			l.workload = h.oldLook
		}
		if h.chance(30) {
			h.oldLook = copyOf(h.workload)
		}
	}
	if h.chance(4) {
		h.late = "a storm among what is found now"
	}
	before := len(h.effects)
	in := h.input(l)
	h.judged = &in
	if h.chance(1) {
		h.checkPure(in)
	}
	h.pass(l)
	h.late = ""
	if len(h.effects) > before && h.policy.Mode != Act {
		h.Errorf("acted in mode %q", h.policy.Mode)
	}
	h.checkStore()
	if !h.aborted && !l.diesBeforeSave && l.view == nil {
		h.checkNotLost(&in, h.found)
	}
	if l.name == "a" && l.stale == 0 && h.chance(8) {
		h.checkConverges()
	}
	h.workload.Replicas = h.withoutDeleted()
}

func copyOf(w *cluster.Workload) *cluster.Workload {
	out := *w
	out.Replicas = append([]cluster.Replica(nil), w.Replicas...)
	for i := range out.Replicas {
		out.Replicas[i].Containers = append([]cluster.Container(nil), out.Replicas[i].Containers...)
	}
	out.Revisions = append([]cluster.Revision(nil), w.Revisions...)
	return &out
}

func (h *history) withoutDeleted() []cluster.Replica {
	var out []cluster.Replica
	for _, r := range h.workload.Replicas {
		if !r.Deleting() || h.chance(60) {
			out = append(out, r)
		}
	}
	for n := len(out); n < int(h.workload.Desired) && h.chance(50); n++ {
		h.workload.Replicas = out
		h.setReady(h.add(fmt.Sprintf("web-new-%d", h.births), "n1", 0), h.chance(70))
		out = h.workload.Replicas
	}
	return out
}

// heal makes everything well, and expects that every incident comes to its end.
func (h *history) heal() {
	h.answer, h.reason, h.answerLost, h.chargeFails = incident.Done, "", false, false
	h.policy.Mode = Act
	h.extra, h.climate = nil, Climate{Budget: h.climate.Budget}
	for name := range h.nodes {
		h.nodes[name] = cluster.Node{Name: name, Ready: "True", Since: h.now}
	}
	for range 90 {
		h.now = h.now.Add(30 * time.Second)
		h.wellAgain()
		l := &leader{name: "a", breaks: h.breaks}
		in := h.input(l)
		h.judged = &in
		h.pass(l)
		if h.allResolved() {
			break
		}
	}
	for _, i := range h.incidents() {
		checkIncident(h, &i)
		if i.State != incident.Resolved {
			h.Errorf("incident %s is %s for %s though all is well: %s", i.Name, i.State, i.Reason, i.Message)
		}
	}
}

func (h *history) allResolved() bool {
	for name := range h.stored {
		if h.stored[name].State != incident.Resolved {
			return false
		}
	}
	return true
}

func (h *history) wellAgain() {
	w := h.workload
	if w.RollingOut {
		h.rolled(true)
	}
	var alive []cluster.Replica
	for _, r := range w.Replicas {
		if !r.Deleting() {
			alive = append(alive, r)
		}
	}
	w.Replicas = alive
	for n := len(alive); n < int(w.Desired); n++ {
		h.add(fmt.Sprintf("web-new-%d", h.births), "n1", 0)
	}
	for i := range w.Replicas {
		r := &w.Replicas[i]
		if c := &r.Containers[0]; c.State != cluster.StateRunning {
			h.restart(r, c)
		}
		h.setReady(r, true)
	}
}
