package kube

import (
	"context"
	"log/slog"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/platform/kube/internal/apitest"
)

// What the soak holds the controller to.
const (
	soakKeep = 5 * time.Minute // how long resolved incidents are kept
	soakMost = 12              // incidents of a namespace
	// soakHeap is how large the heap may be at the end of the churn, in percent of what it was at a third of it: the caches of
	// client-go's event recorder and the tables of shared strings grow up to their bounds. In a short soak all is still being filled.
	soakHeap, soakHeapShort = 130, 200
	soakHour                = 60
	// soakWorkers are goroutines that come and go: plans that are carried out, each with its connections.
	soakWorkers = 60
)

// soakSize reads a number from the environment, so that the whole hour at full size is `make soak`.
func soakSize(t *testing.T, name string, by int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return by
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s: %q is not allowed: must be a number above 0", name, text)
	}
	return n
}

// soakReport counts what the loop did.
type soakReport struct {
	mu       sync.Mutex
	kinds    map[incident.Kind]int
	remedies map[string]int
	passes   int
}

func (r *soakReport) Decided(control.Autoscaler, hpa.Observation, hpa.History, hpa.Recommendation, error) {
}
func (r *soakReport) Healed(control.HealingView) {}
func (r *soakReport) Incident(in incident.Incident) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if in.State == incident.Open && len(in.Timeline) <= 1 {
		r.kinds[in.Kind]++
	}
}

func (r *soakReport) Acted(a healing.Action, res healing.Result, _ time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remedies[string(a.Remedy)+" "+string(res.Outcome)]++
}

func (r *soakReport) Turned(string, time.Duration, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.passes++
}

// TestSoak lets crash loops and churn run over a Platform and its healing loop, in the time of a bubble, and then lets the
// cluster be quiet: nothing may grow, and nothing may stay.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("a soak is long")
	}
	minutes, workloads := soakSize(t, "SOAK_MINUTES", 9), soakSize(t, "SOAK_WORKLOADS", 24)
	synctest.Test(t, func(t *testing.T) {
		s := newSoak(t, workloads)
		p, err := New(Options{
			REST: s.Config(), Store: s.store, Identity: "soak", SelfNamespace: "homeostat", WatchAll: true,
			KeepIncidents: soakKeep, MaxIncidents: soakMost,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Stop)
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		report := &soakReport{kinds: map[incident.Kind]int{}, remedies: map[string]int{}}
		limits := control.DefaultLimits()
		limits.Budget = healing.ClusterBudget{Actions: int32(workloads), Period: 15 * time.Minute} //nolint:gosec // few
		limits.Breaker.SharePercent, limits.Breaker.Hold = 60, 2*time.Minute                       // storms come and go
		ctx, cancel := context.WithCancel(t.Context())
		loop := control.NewHealing(p, p, p, report, limits, "soak", slog.New(slog.DiscardHandler))
		var running sync.WaitGroup
		running.Go(func() { loop.Run(ctx, time.Second, p.Changed()) })
		end := func() {
			cancel()
			running.Wait()
			p.Stop()
		}
		defer end()

		early, late := s.churn(minutes)
		report.mu.Lock()
		t.Logf("%d workloads, %d minutes of churn: %d deaths, %d objects replaced, %d passes, %d writes, %d events sent",
			workloads, minutes, s.deaths, s.replaced, report.passes, s.written, s.told)
		t.Logf("incidents opened %v, actions %v", report.kinds, report.remedies)
		t.Logf("heap %s to %s, goroutines %d to %d", mib(early.heap), mib(late.heap), early.goroutines, late.goroutines)
		if len(report.remedies) == 0 || len(report.kinds) < 4 {
			t.Errorf("too little happened: incidents %v, actions %v", report.kinds, report.remedies)
		}
		report.mu.Unlock()
		most := uint64(soakHeapShort)
		if minutes >= soakHour {
			most = soakHeap
		}
		if late.heap > early.heap*most/100 {
			t.Errorf("the heap grew from %s to %s, to %d %% at most is allowed", mib(early.heap), mib(late.heap), most)
		}
		if late.goroutines > early.goroutines+soakWorkers {
			t.Errorf("goroutines grew from %d to %d", early.goroutines, late.goroutines)
		}
		s.quiet(max(12, minutes))
		end()
		s.checkEnd(p)
	})
}

func mib(n uint64) string { return strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64) + " MiB" }

// soakMark is what the process is at one time.
type soakMark struct {
	heap       uint64
	goroutines int
}

func soakNow() soakMark {
	synctest.Wait() // what a pass holds meanwhile is no growth
	runtime.GC()
	runtime.GC() // what the first one found to be finalized
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return soakMark{heap: m.HeapAlloc, goroutines: runtime.NumGoroutine()}
}

// churn lets the minutes pass and returns the least of three minutes at a third of them and at their end.
func (s *soak) churn(minutes int) (early, late soakMark) {
	var marks []soakMark
	for second := range minutes * 60 {
		s.second(true, second)
		if second%60 != 59 {
			continue
		}
		s.checkCap()
		m := soakNow()
		marks = append(marks, m)
		active := 0
		for _, o := range apitest.List[v1alpha1.Incident](s.t, s.Server, "incidents") {
			if incident.State(o.Status.State).Active() {
				active++
			}
		}
		s.t.Logf("minute %d: heap %s, %d goroutines, %d incidents, %d of them active", len(marks), mib(m.heap), m.goroutines, len(s.Names("incidents")), active)
	}
	third := (minutes + 2) / 3
	return least(marks[max(0, third-3):third]), least(marks[max(0, minutes-3):])
}

func least(marks []soakMark) soakMark {
	out := marks[0]
	for _, m := range marks[1:] {
		out.heap, out.goroutines = min(out.heap, m.heap), min(out.goroutines, m.goroutines)
	}
	return out
}

// second is one second of the cluster, between two whole ones, so that it never meets a pass that began at the same time.
func (s *soak) second(mischief bool, second int) {
	time.Sleep(time.Second)
	s.now = time.Now()
	s.written += len(s.Writes())
	s.ForgetWrites()
	s.heed()
	if mischief {
		s.mischief(second)
	}
	s.mendNodes()
	s.endJobs(!mischief)
	for _, l := range s.loads {
		for _, k := range slices.Clone(l.kept) {
			if s.now.After(k.until) { // a person has looked at it
				s.dropPod(l, k)
			}
		}
		s.mend(l)
		s.control(l)
		for _, pod := range l.pods {
			s.step(l, pod)
			s.putPod(l, pod)
		}
		for _, pod := range l.kept {
			s.putPod(l, pod)
		}
	}
	if second%15 == 0 {
		s.measure()
	}
}

// mischief has a rough minute in each five, which opens the breaker; the rest is calm enough for it to close again.
func (s *soak) mischief(second int) {
	rate := float64(len(s.loads)) / 1000 // of workloads harmed in a second
	if second/60%5 == 3 {
		rate *= 8
	}
	for ; rate > 0; rate-- {
		if s.rng.Float64() < rate {
			s.harm(s.loads[s.rng.IntN(len(s.loads))])
		}
	}
	switch {
	case second%50 == 20:
		s.failJob()
	case second%170 == 100:
		s.flap()
	case second%110 == 60:
		l := s.loads[s.rng.IntN(len(s.loads))]
		s.dropLoad(l)
		s.addLoad(l.space)
	case second%200 == 150:
		s.dropSpace()
	case second%240 == 200:
		s.CloseWatches()
	case second%300 == 270: // a policy that is made again
		s.Remove(s.t, "healingpolicies", s.spaces[1].name, "heal")
		s.putPolicy(s.spaces[1])
	}
}

// harm does one thing to the workload.
func (s *soak) harm(l *soakLoad) {
	ails := []string{crashes, oom, unpulled, unready}[s.rng.IntN(4)]
	image := "registry.local/" + l.name + ":" + s.id("v")
	switch n := s.rng.IntN(8); {
	case n < 2 && l.complete:
		s.release(l, image+"-"+ails, "", l.newest().limit)
	case n < 4 && len(l.pods) > 0:
		p := l.pods[s.rng.IntN(len(l.pods))]
		p.ails, p.until = ails, s.now.Add(6*time.Minute)
	case n == 4:
		l.ails, l.until = ails, s.now.Add(3*time.Minute)
	case n == 5: // drained
		for _, p := range slices.Clone(l.pods)[:len(l.pods)/2] {
			s.dropPod(l, p)
		}
	case n == 6:
		l.replicas, l.changed = 2+int32(s.rng.IntN(3)), true //nolint:gosec // few
		l.generation++
	default:
		s.release(l, image, "", l.newest().limit)
	}
}

// checkCap holds the number of incidents to its bound, but for those that are active and those that were resolved since the last
// look.
func (s *soak) checkCap() {
	resolved := map[string]int{}
	for _, o := range apitest.List[v1alpha1.Incident](s.t, s.Server, "incidents") {
		if !incident.State(o.Status.State).Active() && s.now.Sub(o.Status.ResolvedAt.Time) > 2*time.Minute {
			resolved[o.Namespace]++
		}
	}
	for ns, n := range resolved {
		if n > soakMost {
			s.t.Errorf("namespace %s keeps %d resolved incidents, %d at most is allowed", ns, n, soakMost)
		}
	}
}

// quiet heals the cluster and lets the minutes pass.
func (s *soak) quiet(minutes int) {
	for _, l := range s.loads {
		l.until = time.Time{}
		for _, pod := range l.pods {
			pod.until = time.Time{}
		}
		if l.newest().image != "registry.local/fine:1" {
			s.release(l, "registry.local/fine:1", "", 128<<20)
		}
	}
	for second := range (minutes + 2) * 60 {
		s.second(false, second)
	}
}

// mend is what people do about what nobody healed: another release after some minutes, and away with what a StatefulSet waits for in
// vain.
func (s *soak) mend(l *soakLoad) {
	long := 6 * time.Minute
	if ailmentOf(l.newest().image) != well && s.now.Sub(l.began) > long {
		s.release(l, "registry.local/"+l.name+":"+s.id("v"), "", l.newest().limit)
	}
	for _, p := range slices.Clone(l.pods) {
		if l.stateful && !p.ready && p.hash != l.newest().hash && s.now.Sub(p.readySince) > time.Minute {
			s.dropPod(l, p)
		}
	}
}

// checkEnd looks at what is left after a time in which nothing happened.
func (s *soak) checkEnd(p *Platform) {
	for _, o := range apitest.List[v1alpha1.Incident](s.t, s.Server, "incidents") {
		s.t.Errorf("incident %s/%s about %s/%s is still there, %s: %s: %s", o.Namespace, o.Name, o.Status.Workload.Kind, o.Status.Workload.Name,
			o.Status.State, o.Status.Finding, o.Status.Message)
	}
	pods, revisions := 0, 0
	for _, l := range s.loads {
		pods += len(l.pods)
		revisions += len(l.sets)
	}
	field := func(of any, name string) int { return reflect.ValueOf(of).Elem().FieldByName(name).Len() }
	for _, c := range []struct {
		what      string
		got, most int
	}{
		{"pods", len(s.Names("pods")), pods},
		{"containers with usage", s.store.Len(), pods},
		{"own writes of incidents", field(p.own, "incidents"), 0},
		{"own writes of policies", field(p.own, "policies"), len(s.spaces)},
		{"own writes of scales", field(p.own, "scales"), 1},
		{"notes of scalings", field(p.notes, "scalings"), len(s.loads)},
		{"notes of revisions", field(p.notes, "revised"), revisions},
		{"notes of health", field(p.notes, "healthyAt"), revisions},
		{"notes of services", field(p.notes, "served"), len(s.loads)},
	} {
		if c.got > c.most {
			s.t.Errorf("%s: %d are left, %d at most is allowed", c.what, c.got, c.most)
		}
	}
}
