package control

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ward is a workload, its stored incidents and its budget, in memory. Every call is written down in order, and any of
// them can be made to fail: what cannot be done to a real API server at the right moment.
type ward struct {
	*world
	snap   *cluster.Snapshot
	policy healing.Policy
	stored map[string]incident.Incident
	spent  map[string]time.Time
	all    map[string]time.Time // what is charged to the cluster
	calls  []string
	evicts map[string]int // by UID
	fail   map[string]error
	hang   time.Duration
	stuck  bool // a platform that does not answer what tidies up
	mu     sync.Mutex
}

// hung is a workload of two replicas, one of which has not been ready for ten minutes.
func hung(now time.Time) *ward {
	w := &cluster.Workload{
		Ref: cluster.Ref{Kind: cluster.KindDeployment, Namespace: "demo", Name: "web"}, Desired: 2,
	}
	for i, ready := range []bool{true, false} {
		w.Replicas = append(w.Replicas, cluster.Replica{
			Name: fmt.Sprintf("web-%d", i), UID: fmt.Sprintf("uid-%d", i), Phase: cluster.PhaseRunning, Node: "n",
			CreatedAt: now.Add(-time.Hour), StartedAt: now.Add(-time.Hour), Ready: ready, ReadySince: now.Add(-10 * time.Minute),
			Containers: []cluster.Container{{Name: "app", Kind: cluster.ContainerMain, State: cluster.StateRunning, StartedAt: now.Add(-time.Hour), Ready: ready, Started: true}},
		})
	}
	p := healing.DefaultPolicy()
	p.Name, p.Namespace, p.Mode = "web", "demo", healing.Act
	return &ward{
		world: newWorld(), policy: p, stored: map[string]incident.Incident{}, spent: map[string]time.Time{}, all: map[string]time.Time{},
		evicts: map[string]int{}, fail: map[string]error{},
		snap: &cluster.Snapshot{At: now, Synced: true, Workloads: []*cluster.Workload{w}, Nodes: map[string]cluster.Node{"n": {Name: "n", Ready: "True"}}},
	}
}

func (w *ward) call(name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, name)
	err := w.fail[name]
	delete(w.fail, name)
	return err
}

func (w *ward) Snapshot(time.Time) *cluster.Snapshot               { return w.snap }
func (w *ward) Memory(string) healing.MemoryView                   { return nil }
func (w *ward) Trend(string) healing.TrendView                     { return nil }
func (w *ward) AllIncidents() []incident.Incident                  { return w.Incidents(cluster.Ref{}) }
func (w *ward) ClusterSpent() []time.Time                          { return w.times(w.all) }
func (w *ward) Home() string                                       { return "homeostat-system" }
func (w *ward) Trouble(time.Time) string                           { return "" }
func (w *ward) PolicyFor(*cluster.Workload) (healing.Policy, bool) { return w.policy, true }

func (w *ward) Incidents(of cluster.Ref) []incident.Incident {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []incident.Incident
	for _, in := range w.stored {
		if of == (cluster.Ref{}) || in.Workload.Same(of) {
			list = append(list, in)
		}
	}
	return list
}

func (w *ward) Spent(healing.Policy, cluster.Ref) []time.Time { return w.times(w.spent) }

func (w *ward) times(of map[string]time.Time) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []time.Time
	for _, at := range of {
		list = append(list, at)
	}
	return list
}

func (w *ward) Save(_ context.Context, in incident.Incident) (incident.Incident, error) {
	if err := w.call("save " + string(in.State)); err != nil {
		return in, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stored[in.Name].Version != in.Version {
		return in, ErrConflict
	}
	in.Version += "x"
	w.stored[in.Name] = in
	return in, nil
}

func (w *ward) Expire(ctx context.Context, _ time.Time) error {
	if w.stuck {
		<-ctx.Done()
	}
	return w.call("expire")
}

func (w *ward) Announce(_ context.Context, _ incident.Incident, r healing.Reason, _ string) {
	_ = w.call("announce " + string(r))
}

func (w *ward) Capture(ctx context.Context, _ *cluster.Workload, c healing.Capture) incident.Evidence {
	_ = w.call("capture")
	if w.hang > 0 {
		select {
		case <-time.After(w.hang):
		case <-ctx.Done():
		}
	}
	return incident.Evidence{Kind: incident.EvidenceLog, Replica: c.Replica, Container: c.Container, Message: "1 line", Lines: []string{"stuck"}}
}

func (w *ward) Charge(_ context.Context, _ healing.Policy, _ cluster.Ref, id string, now time.Time) error {
	if err := w.call("charge"); err != nil {
		return err
	}
	return w.charge(w.spent, w.policy.BudgetActions, id, now)
}

func (w *ward) ChargeCluster(_ context.Context, b healing.ClusterBudget, id string, now time.Time) error {
	if err := w.call("charge cluster"); err != nil {
		return err
	}
	return w.charge(w.all, b.Actions, id, now)
}

// charge keeps a budget as the platforms do: the same remediation is charged once, and no more than there is.
func (w *ward) charge(to map[string]time.Time, most int32, id string, now time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, is := to[id]; is {
		return nil
	}
	if len(to) >= int(most) {
		return ErrBudget
	}
	to[id] = now.Truncate(time.Microsecond)
	return nil
}

func (w *ward) Carry(_ context.Context, a healing.Action) healing.Result {
	_ = w.call("carry")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.evicts[a.ReplicaUID]++
	return healing.Result{Outcome: incident.Done, Reason: healing.ReasonRemediationStart, Message: "evicted"}
}

func (w *ward) loop() *Healing {
	return NewHealing(w, w, w, w, DefaultLimits(), "me", slog.New(slog.DiscardHandler))
}

func (w *ward) look(t *testing.T, h *Healing, now time.Time) {
	t.Helper()
	h.Pass(t.Context(), now)
	h.Wait()
}

// deeds are the calls without announcements and expiry.
func (w *ward) deeds() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	keep := slices.DeleteFunc(slices.Clone(w.calls), func(c string) bool { return strings.HasPrefix(c, "announce") || c == "expire" })
	return strings.Join(keep, ", ")
}

func TestEvidenceThenBudgetThenIntentThenActionThenOutcome(t *testing.T) {
	t.Parallel()
	w := hung(t0)
	h := w.loop()
	w.look(t, h, t0)
	w.look(t, h, t0.Add(time.Second))
	want := "capture, save Open, charge cluster, charge, save Acting, carry, save Verifying"
	if diff := cmp.Diff(want, w.deeds()); diff != "" {
		t.Errorf("order of deeds (-want +got):\n%s", diff)
	}
	if w.evicts["uid-1"] != 1 || len(w.evicts) != 1 {
		t.Errorf("evicted %v, want uid-1 once", w.evicts)
	}
}

func TestEachStepThatFailsEndsThePlan(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, fail string
		err        error
		carried    bool
	}{
		{"budget spent meanwhile", "charge", ErrBudget, false},
		{"policy changed meanwhile", "charge", ErrConflict, false},
		{"intent lost the race", "save Acting", ErrConflict, false},
		{"outcome not stored", "save Verifying", ErrConflict, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := hung(t0)
			h := w.loop()
			w.look(t, h, t0)
			w.fail[tt.fail] = tt.err
			w.look(t, h, t0.Add(time.Second))
			if got := len(w.evicts) > 0; got != tt.carried {
				t.Errorf("carried out: %v, want %v (%s)", got, tt.carried, w.deeds())
			}
		})
	}
}

// Workloads race for the budget of the cluster. One that loses waits, and goes on with a budget of its own that is whole.
func TestTheLostRaceForTheClustersBudgetCostsTheWorkloadNothing(t *testing.T) {
	t.Parallel()
	w := hung(t0)
	w.policy.BudgetActions = 1
	h := w.loop()
	w.look(t, h, t0)
	w.fail["charge cluster"] = ErrBudget
	w.look(t, h, t0.Add(time.Second))
	if len(w.spent) != 0 || len(w.evicts) != 0 {
		t.Fatalf("spent %v, evicted %v", w.spent, w.evicts)
	}
	w.look(t, h, t0.Add(2*time.Minute))
	if w.evicts["uid-1"] != 1 {
		t.Errorf("it is not carried out when the cluster's budget allows it: %s", w.deeds())
	}
}

func TestAnotherLeaderTakesTheIntentOverAndEvictsTheSameReplica(t *testing.T) {
	t.Parallel()
	w := hung(t0)
	first := w.loop()
	w.look(t, first, t0)
	w.fail["save Verifying"] = ErrConflict // the first leader dies after its action
	w.look(t, first, t0.Add(time.Second))
	next := NewHealing(w, w, w, w, DefaultLimits(), "other", slog.New(slog.DiscardHandler))
	w.look(t, next, t0.Add(15*time.Second))
	if len(w.evicts) != 1 || len(w.spent) != 1 {
		t.Errorf("evicted %v and charged %v, want one replica and one charge: the same UID may be asked for twice", w.evicts, w.spent)
	}
	if got := w.deeds(); !strings.HasSuffix(got, "save Acting, carry, save Verifying") {
		t.Errorf("the other leader did %q", got)
	}
}

func TestHalfAViewIsNotLookedAt(t *testing.T) {
	t.Parallel()
	w := hung(t0)
	w.snap.Synced = false
	w.look(t, w.loop(), t0)
	if w.deeds() != "" {
		t.Errorf("did %q before every list had come in", w.deeds())
	}
}

func TestAStaleViewOpensIncidentsAndActsOnNothing(t *testing.T) {
	t.Parallel()
	w := hung(t0)
	w.snap.Stale = time.Minute
	h := w.loop()
	for i := range 5 {
		w.look(t, h, t0.Add(time.Duration(i)*time.Second))
	}
	if len(w.evicts) != 0 {
		t.Errorf("evicted %v on a view of a minute ago", w.evicts)
	}
}

func TestASlowLogDelaysItsOwnWorkloadOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		w := hung(now)
		other := *w.snap.Workloads[0]
		other.Ref.Name = "api"
		w.snap.Workloads = append(w.snap.Workloads, &other)
		w.hang = time.Hour
		h := w.loop()
		h.Pass(t.Context(), now)
		synctest.Wait()
		h.Pass(t.Context(), now.Add(time.Second)) // both are still being captured
		synctest.Wait()
		if got := w.deeds(); got != "capture, capture" {
			t.Errorf("did %q, want one capture a workload and no second plan", got)
		}
		h.Wait()
		if took := time.Since(now); took > captureTimeout {
			t.Errorf("a log was waited for %s, want at most %s", took, captureTimeout)
		}
	})
}

func TestRunEndsWithEverythingItStarted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := hung(time.Now())
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		wake := make(chan struct{}, 1)
		wake <- struct{}{}
		w.loop().Run(ctx, time.Second, wake)
		if w.turns != 5 {
			t.Errorf("%d passes in 3.5 s, want 5: one at once, one for the wake, one each second", w.turns)
		}
	})
}

// A node that is lost is stored as one incident in the controller's namespace, and the workload on it opens none.
func TestALostNodeIsOneIncident(t *testing.T) {
	t.Parallel()
	w := hung(t0)
	for i := range w.snap.Workloads[0].Replicas {
		w.snap.Workloads[0].Replicas[i].Ready = true
	}
	w.snap.Nodes["n"] = cluster.Node{Name: "n", Ready: "Unknown", Since: t0}
	h := w.loop()
	w.look(t, h, t0)
	w.look(t, h, t0.Add(time.Second))
	if got := w.deeds(); got != "save Open" {
		t.Errorf("deeds are %q, want one incident stored and nothing else", got)
	}
	for _, in := range w.stored {
		if in.Namespace != "homeostat-system" || in.Workload.Kind != "Node" || len(in.Members) != 1 {
			t.Errorf("stored %s/%s about %s with %d members", in.Namespace, in.Name, in.Workload, len(in.Members))
		}
	}
}

func TestWhatAPassKnowsIsRecorded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := hung(time.Now())
		h := w.loop()
		h.Pass(t.Context(), time.Now())
		h.Wait()
		if v := w.view; len(v.Budgets) != 0 || len(v.Incidents) != 0 || v.Cluster == nil || *v.Cluster != 10 || v.Breaker != "" {
			t.Errorf("the first pass knows %+v, want an unspent budget of the cluster and nothing else", v)
		}
		w.spent["long ago"], w.spent["lately"] = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Minute)
		w.snap.Nodes = map[string]cluster.Node{"n": {Name: "n", Ready: "False"}, "m": {Name: "m", Ready: "False"}}
		w.snap.Workloads[0].Replicas[1].Node = "m"
		time.Sleep(time.Second)
		h.Pass(t.Context(), time.Now())
		h.Wait()
		want := []BudgetLeft{{Workload: w.snap.Workloads[0].Ref, Policy: "web", Left: 2}}
		if diff := cmp.Diff(want, w.view.Budgets); diff != "" {
			t.Errorf("budgets after one action (-want +got):\n%s", diff)
		}
		if len(w.view.Incidents) != 1 || w.view.Breaker != "2 nodes are not ready at once" {
			t.Errorf("%d incidents, breaker %q", len(w.view.Incidents), w.view.Breaker)
		}
		w.snap.Synced = false
		w.view = HealingView{}
		h.Pass(t.Context(), time.Now())
		if !w.view.At.IsZero() {
			t.Error("half a view was recorded")
		}
	})
}
