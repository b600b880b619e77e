package survey

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// outbreak is a random history of several workloads under one leader: they break at any time, and their incidents are stored now or
// some passes later, as a log is slow to come.
type outbreak struct {
	rnd     *rand.Rand
	now     time.Time
	snap    *cluster.Snapshot
	broken  map[cluster.Ref]time.Time
	stored  map[string]incident.Incident
	waiting map[cluster.Ref]queued
	// hasty acts on each plan when it is made.
	hasty           bool
	actions, stayed int
	faults          []string
}

// queued are saves that are stored after some more passes.
type queued struct {
	saves  []healing.Save
	passes int
}

func newOutbreak(seed uint64, hasty bool) *outbreak {
	o := &outbreak{
		rnd: rand.New(rand.NewPCG(seed, 7)), now: time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC), broken: map[cluster.Ref]time.Time{},
		stored: map[string]incident.Incident{}, waiting: map[cluster.Ref]queued{}, hasty: hasty,
		snap: &cluster.Snapshot{Synced: true, Nodes: map[string]cluster.Node{"n1": {Name: "n1", Ready: "True"}}},
	}
	for i := range 3 + o.rnd.IntN(15) {
		w := &cluster.Workload{Ref: ref(fmt.Sprint("w", i)), Desired: 3}
		for j := range w.Desired {
			old := o.now.Add(-time.Hour)
			w.Replicas = append(w.Replicas, cluster.Replica{
				Name: fmt.Sprintf("w%d-%d", i, j), UID: fmt.Sprintf("u%d-%d", i, j), Node: "n1", Phase: cluster.PhaseRunning, CreatedAt: old,
				StartedAt: old, Ready: true, ReadySince: old,
				Containers: []cluster.Container{{Name: "app", Kind: cluster.ContainerMain, State: cluster.StateRunning, StartedAt: old, Ready: true, Started: true}},
			})
		}
		o.snap.Workloads = append(o.snap.Workloads, w)
	}
	return o
}

func (o *outbreak) play() {
	for range 25 {
		o.now = o.now.Add(time.Duration(1+o.rnd.IntN(90)) * time.Second)
		for _, w := range o.snap.Workloads {
			if _, is := o.broken[w.Ref]; !is && o.rnd.IntN(15) == 0 {
				o.broken[w.Ref] = o.now
				r := &w.Replicas[o.rnd.IntN(len(w.Replicas))]
				r.Ready, r.Containers[0].Ready, r.ReadySince = false, false, o.now.Add(-time.Hour)
			}
		}
		o.pass()
		for key, q := range o.waiting {
			if q.passes--; q.passes < 0 {
				o.store(q.saves)
				delete(o.waiting, key)
				continue
			}
			o.waiting[key] = q
		}
	}
}

// pass is one pass in the order of the healing loop.
func (o *outbreak) pass() {
	in := Input{Snapshot: o.snap, Watched: o.snap.Workloads, Home: home, Breaker: DefaultBreaker()}
	for _, one := range o.stored {
		in.Incidents = append(in.Incidents, one)
	}
	around := Make(in, o.now)
	var held []func(late string)
	var opened []incident.Incident
	for _, i := range o.rnd.Perm(len(o.snap.Workloads)) {
		w := o.snap.Workloads[i]
		one := healing.Input{
			Workload: w, Nodes: o.snap.Nodes, Climate: around.Climate(w), Policy: healing.DefaultPolicy(), Incidents: o.of(w.Ref), Identity: "me",
		}
		one.Policy.Mode = healing.Act
		plan := healing.Reconcile(one, o.now)
		opened = append(opened, plan.Opened()...)
		if _, busy := o.waiting[w.Ref]; busy {
			continue
		}
		start := func(late string) {
			next := healing.Withhold(one, plan, late, o.now)
			if next.Action == nil && plan.Action != nil {
				o.stayed++
			}
			o.start(w.Ref, next)
		}
		if plan.Action == nil || o.hasty {
			start("")
			continue
		}
		held = append(held, start)
	}
	late := Late(in, opened, o.now)
	for _, start := range held {
		start(late)
	}
	o.store(around.Save)
}

func (o *outbreak) of(w cluster.Ref) []incident.Incident {
	var out []incident.Incident
	for _, one := range o.stored {
		if one.Workload.Same(w) {
			out = append(out, one)
		}
	}
	return out
}

// start carries the plan out, and checks that the breaker was not ignored: it knows what is broken from what broke it.
func (o *outbreak) start(w cluster.Ref, plan healing.Plan) {
	if plan.Action == nil {
		if len(plan.Save) > 0 {
			o.waiting[w] = queued{saves: plan.Save, passes: o.rnd.IntN(4)}
		}
		return
	}
	o.actions++
	failing := 0
	for _, at := range o.broken {
		if o.now.Sub(at) <= DefaultBreaker().Within {
			failing++
		}
	}
	if all := len(o.snap.Workloads); failing >= int(DefaultBreaker().AtLeast) && failing*100 > int(DefaultBreaker().SharePercent)*all {
		o.faults = append(o.faults, fmt.Sprintf("%s of %s while %d of %d workloads began to fail", plan.Action.Remedy, w, failing, all))
	}
	o.store(plan.Save)
	in := o.stored[plan.Action.Incident]
	o.stored[in.Name] = healing.Complete(in, plan.Action.RemediationID, healing.Result{Outcome: incident.Done}, o.now)
}

func (o *outbreak) store(saves []healing.Save) {
	for _, s := range saves {
		in := s.Incident
		for _, c := range s.Capture {
			in = healing.Attach(in, incident.Evidence{Kind: incident.EvidenceLog, Replica: c.Replica, Container: c.Container})
		}
		in.Version += "x"
		o.stored[in.Name] = in
	}
}

// TestTheBreakerCountsWhatThePassFound plays random outbreaks and verifies that nothing is done in a pass that knows of a storm,
// whatever of it is stored, and in which order the workloads are looked at. A leader that does not wait for the count is found out.
func TestTheBreakerCountsWhatThePassFound(t *testing.T) {
	var actions, stayed, hasty int
	for seed := range uint64(100) {
		o := newOutbreak(seed, false)
		o.play()
		actions, stayed = actions+o.actions, stayed+o.stayed
		if len(o.faults) > 0 {
			t.Fatalf("outbreak %d: %s", seed, o.faults[0])
		}
		o = newOutbreak(seed, true)
		o.play()
		hasty += len(o.faults)
	}
	if actions < 100 || stayed < 20 || hasty < 20 {
		t.Errorf("%d actions, %d withheld, %d faults of a hasty leader: the outbreaks do not reach what they are for", actions, stayed, hasty)
	}
	t.Logf("%d actions, %d withheld, %d faults of a hasty leader", actions, stayed, hasty)
}

// TestLateCountsAsTheSurveyDoes verifies which of the incidents that a pass opens count: those that would if they were stored.
func TestLateCountsAsTheSurveyDoes(t *testing.T) {
	c := newCity(t, 10)
	c.fails("w0", incident.CrashLoop)
	in := Input{Snapshot: c.snap, Watched: c.snap.Workloads, Incidents: slices.Clip(c.stored), Home: home, Breaker: c.breaker}
	other := newCity(t, 10)
	opened := func(kinds ...incident.Kind) []incident.Incident {
		other.stored = nil
		for i, k := range kinds {
			other.fails(fmt.Sprint("w", i+1), k).Version = ""
		}
		return other.stored
	}
	for _, tt := range []struct {
		name   string
		opened []incident.Incident
		want   string
	}{
		{"none", nil, ""},
		{"one", opened(incident.CrashLoop), ""},
		{"two", opened(incident.CrashLoop, incident.OOMKilled), "3 of 10 watched workloads began to fail within 5m0s"},
		{"notices and forecasts", opened(incident.Evicted, incident.MemoryLeak, incident.Disrupted), ""},
		{"of the workload that failed before", append(opened(incident.OOMKilled), *c.fails("w0", incident.OOMKilled)), ""},
	} {
		if got := Late(in, tt.opened, c.now); got != tt.want {
			t.Errorf("%s: the breaker says %q, want %q", tt.name, got, tt.want)
		}
	}
	if len(in.Incidents) != 1 {
		t.Errorf("the input was changed: %d incidents", len(in.Incidents))
	}
	in.Home = ""
	if Late(in, opened(incident.CrashLoop, incident.OOMKilled), c.now) == "" {
		t.Error("without a home it is no storm")
	}
}
