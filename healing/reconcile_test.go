package healing

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// webWorld has n ready replicas, web-0 and so on.
func webWorld(n int) *world {
	w := newWorld()
	w.workload.Desired = int32(n)
	for i := range n {
		w.add(fmt.Sprintf("web-%d", i), "n1", time.Hour)
	}
	return w
}

func (w *world) kill(name, reason string) {
	r := w.find(name)
	w.die(r, &r.Containers[0], 137, reason)
}

func (w *world) only(t *testing.T) incident.Incident {
	t.Helper()
	all := w.incidents()
	if len(all) != 1 {
		t.Fatalf("%d incidents, want one", len(all))
	}
	return all[0]
}

func TestHealthyWorkloadNeedsNothing(t *testing.T) {
	if d := cmp.Diff(Plan{}, webWorld(3).pass(&leader{name: "a"})); d != "" {
		t.Errorf("plan (-want +got):\n%s", d)
	}
}

// TestMoreDeathsThanFingerprints verifies that an incident of more replicas than it keeps fingerprints of counts each
// death once, stays bounded, and has nothing to store when nothing happens.
func TestMoreDeathsThanFingerprints(t *testing.T) {
	const replicas = 3*incident.MaxFingerprints + 5
	w := webWorld(replicas)
	for i := range replicas {
		w.kill(fmt.Sprintf("web-%d", i), cluster.ReasonOOMKilled)
		if i%40 == 0 {
			w.now = w.now.Add(time.Second)
		}
	}
	l := &leader{name: "a"}
	w.pass(l)
	got := w.only(t)
	if got.Occurrences != replicas {
		t.Errorf("%d deaths counted, want %d", got.Occurrences, replicas)
	}
	checkIncident(t, &got)
	w.now = w.now.Add(time.Second)
	w.pass(l) // why nothing is done is stored once
	w.now = w.now.Add(time.Second)
	if p := w.pass(l); len(p.Save) != 0 {
		t.Errorf("the same deaths are stored again: %+v", p.Save)
	}
	w.restart(w.find("web-0"), &w.find("web-0").Containers[0])
	w.now = w.now.Add(time.Second)
	w.kill("web-0", cluster.ReasonOOMKilled)
	w.pass(l)
	if got := w.only(t); got.Occurrences != replicas+1 {
		t.Errorf("%d deaths counted after one more, want %d", got.Occurrences, replicas+1)
	}
}

func TestIncidentNames(t *testing.T) {
	label := regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	for _, name := range []string{"web", "Web.API_v2", strings.Repeat("long-", 60), "---", "", "ümlaut", "a." + strings.Repeat("x", 29) + ".-."} {
		for _, k := range incident.Kinds() {
			got := IncidentName(cluster.Ref{Kind: "Deployment", Name: name}, k, "seed")
			if len(got) > maxLabel || !label.MatchString(got) {
				t.Errorf("%q gives the name %q", name, got)
			}
		}
	}
	a := IncidentName(cluster.Ref{Name: "web"}, incident.NotReady, "1")
	if b := IncidentName(cluster.Ref{Name: "web"}, incident.NotReady, "2"); a == b {
		t.Errorf("two occurrences have the name %q", a)
	}
}

// TestTwoLeadersMakeOneIncident verifies that leaders that see the same failure at the same time make the same object,
// so that the store keeps one.
func TestTwoLeadersMakeOneIncident(t *testing.T) {
	w := webWorld(3)
	w.kill("web-0", cluster.ReasonOOMKilled)
	w.kill("web-1", cluster.ReasonOOMKilled)
	w.pass(&leader{name: "a", view: []incident.Incident{}})
	w.now = w.now.Add(time.Second)
	w.pass(&leader{name: "b", view: []incident.Incident{}})
	w.only(t)
}

func TestWorkloadGone(t *testing.T) {
	w := webWorld(2)
	w.policy.NotReadyAfter = 10 * time.Second
	w.setReady(w.find("web-0"), false)
	w.now = w.now.Add(time.Minute)
	l := &leader{name: "a"}
	w.pass(l)
	l.diesAfterSave = true
	w.pass(l) // the intent is left behind
	in := w.input(l)
	in.Workload = nil
	p := Reconcile(in, w.now)
	if len(p.Save) != 1 || p.Action != nil || p.Save[0].Incident.State != incident.Resolved || p.Save[0].Event != ReasonResolved {
		t.Fatalf("plan for a workload that is gone: %+v", p)
	}
	if r := p.Save[0].Incident.Remediations[0]; r.Outcome != incident.Failed || r.Reason != string(ReasonWorkloadGone) {
		t.Errorf("its intent is %s for %s", r.Outcome, r.Reason)
	}
}

// TestWorkloadGoneWhileARemedyIsWatched verifies that an incident of a workload that is gone ends, whatever was done for it.
func TestWorkloadGoneWhileARemedyIsWatched(t *testing.T) {
	for _, remedy := range incident.Remedies()[1:] {
		w := webWorld(2)
		in := w.input(&leader{name: "a", view: []incident.Incident{{
			Name: "x", Version: "1", Workload: w.workload.Ref, Kind: incident.OOMKilled, State: incident.Verifying, OpenedAt: w.now, StartedAt: w.now,
			Remediations: []incident.Remediation{{ID: "a-1", Remedy: remedy, Outcome: incident.Done, Attempts: 1, IntendedAt: w.now, FinishedAt: w.now}},
		}}})
		in.Workload = nil
		p := Reconcile(in, w.now.Add(time.Hour))
		if len(p.Save) != 1 || p.Save[0].Incident.State != incident.Resolved || p.Save[0].Incident.Remediations[0].Reason != string(ReasonWorkloadGone) {
			t.Errorf("%s: plan for a workload that is gone: %+v", remedy, p)
		}
	}
}

// TestCaptureAsksForTheRightLife verifies which log is asked for in each state that a death is seen in.
func TestCaptureAsksForTheRightLife(t *testing.T) {
	for _, tt := range []struct {
		name string
		then func(w *world, r *cluster.Replica, c *cluster.Container)
		want Capture
	}{
		{
			name: "the container is still in its state",
			then: func(*world, *cluster.Replica, *cluster.Container) {},
			want: Capture{Replica: "web-0", ReplicaUID: "u1", Container: "app", ContainerID: "web-0-app-1"},
		},
		{
			name: "it waits in back-off",
			then: func(w *world, r *cluster.Replica, c *cluster.Container) {
				w.wait(r, c, cluster.ReasonCrashLoopBackOff, "")
			},
			want: Capture{Replica: "web-0", ReplicaUID: "u1", Container: "app", Previous: true, ContainerID: "web-0-app-1"},
		},
		{
			name: "it runs again",
			then: func(w *world, r *cluster.Replica, c *cluster.Container) { w.restart(r, c) },
			want: Capture{Replica: "web-0", ReplicaUID: "u1", Container: "app", Previous: true, ContainerID: "web-0-app-1"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := webWorld(2)
			w.kill("web-0", cluster.ReasonOOMKilled)
			r := w.find("web-0")
			tt.then(w, r, &r.Containers[0])
			p := w.pass(&leader{name: "a"})
			if len(p.Save) != 1 {
				t.Fatalf("%d incidents to store", len(p.Save))
			}
			if d := cmp.Diff([]Capture{tt.want}, p.Save[0].Capture); d != "" {
				t.Errorf("capture (-want +got):\n%s", d)
			}
			i := w.only(t)
			if !strings.Contains(mustJSON(t, i.Evidence), "log of web-0-app-1") {
				t.Errorf("the log of another life was captured: %+v", i.Evidence)
			}
		})
	}
}

func TestMinHealthy(t *testing.T) {
	for _, tt := range []struct {
		desired, ready int
		percent        int32
		victimReady    bool
		refused        bool
	}{
		{desired: 1, ready: 0, percent: 51, refused: true},
		{desired: 1, ready: 0, percent: 0},
		{desired: 2, ready: 1, percent: 51},
		{desired: 2, ready: 0, percent: 51, refused: true},
		{desired: 2, ready: 2, percent: 51, victimReady: true, refused: true},
		{desired: 2, ready: 2, percent: 50, victimReady: true},
		{desired: 3, ready: 3, percent: 51, victimReady: true},
		{desired: 3, ready: 1, percent: 51, refused: true},
		{desired: 10, ready: 6, percent: 51},
		{desired: 10, ready: 5, percent: 51, refused: true},
		{desired: 10, ready: 9, percent: 100},
		{desired: 10, ready: 10, percent: 100, victimReady: true, refused: true},
	} {
		t.Run(fmt.Sprintf("%+v", tt), func(t *testing.T) {
			w := webWorld(tt.desired)
			w.policy.MinHealthyPercent = tt.percent
			for i := range tt.desired - tt.ready {
				w.setReady(w.find(fmt.Sprintf("web-%d", i)), false)
			}
			in := w.input(&leader{name: "a"})
			q := &proposal{pass: &pass{in: &in, now: w.now}, remedy: incident.RemedyRestart, replica: w.find("web-0")}
			if tt.victimReady != q.replica.Ready {
				t.Fatal("the row contradicts itself")
			}
			if message, refused := minHealthy(q); refused != tt.refused {
				t.Errorf("refused %t, want %t: %s", refused, tt.refused, message)
			}
		})
	}
}

// TestMinHealthyOfARollout verifies that what a rollout takes away at once is held against the replicas that must stay.
func TestMinHealthyOfARollout(t *testing.T) {
	for _, tt := range []struct {
		desired, takes, allowed int32
		surge                   bool
		refuses                 Reason
		misfit                  bool
	}{
		{desired: 10, takes: 1, allowed: 1},
		{desired: 10, takes: 4, allowed: 4},
		{desired: 10, takes: 5, allowed: 5, refuses: ReasonMinHealthy},
		{desired: 10, takes: 4, allowed: 1, refuses: ReasonBlockedByBudget},
		{desired: 3, takes: 3, allowed: 3, refuses: ReasonMinHealthy, misfit: true}, // the strategy Recreate
		{desired: 3, surge: true, allowed: 0},
		{desired: 3, allowed: 1},
	} {
		t.Run(fmt.Sprintf("%+v", tt), func(t *testing.T) {
			w := webWorld(int(tt.desired))
			w.workload.RolloutTakes, w.workload.SurgesFirst = tt.takes, tt.surge
			w.workload.Budgets = []cluster.DisruptionBudget{{Name: "web", Allowed: tt.allowed, Healthy: tt.desired, Desired: tt.desired - tt.allowed}}
			in := w.input(&leader{name: "a"})
			q := &proposal{pass: &pass{in: &in, now: w.now}, t: &tracked{}, remedy: incident.RemedyRestartWorkload}
			if q.fit(); (q.misfit != "") != tt.misfit {
				t.Errorf("misfit %q, want one: %t", q.misfit, tt.misfit)
			}
			var got Reason
			if _, refused := minHealthy(q); refused {
				got = ReasonMinHealthy
			} else if _, refused := wouldBreakPDB(q); refused {
				got = ReasonBlockedByBudget
			}
			if got != tt.refuses {
				t.Errorf("refused for %q, want %q", got, tt.refuses)
			}
		})
	}
}

// TestGuardOrder verifies the documented order, and that every guard has a reason of its own.
func TestGuardOrder(t *testing.T) {
	var got []Reason
	for _, g := range guards() {
		got = append(got, g.reason)
	}
	want := []Reason{
		ReasonObserveOnly, ReasonNoRemedy, ReasonProtected, ReasonNotOwned, ReasonNoEvidence, ReasonStaleSnapshot,
		ReasonDependencyDown, ReasonAlreadyTried, ReasonNotApplicable, ReasonNotSupported, ReasonLowConfidence, ReasonBreakerOpen, ReasonStillServing,
		ReasonReplicaGone, ReasonNodeNotReady, ReasonAwaitingOtherWork, ReasonManagedElsewhere,
		ReasonScaledElsewhere, ReasonSizedElsewhere, ReasonRollingOut, ReasonMinHealthy, ReasonBlockedByBudget, ReasonCooldown,
		ReasonBudgetExhausted, ReasonClusterBudget,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("guards (-want +got):\n%s", d)
	}
}

// TestGuardsOnTheReplica verifies the guards that hold even if a check let something through.
func TestGuardsOnTheReplica(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(w *world)
		guard  func(q *proposal) (string, bool)
		want   bool
	}{
		{"its node is ready", func(*world) {}, nodeNotReady, false},
		{"its node is not ready", func(w *world) { w.nodes["n1"] = cluster.Node{Name: "n1", Ready: "Unknown"} }, nodeNotReady, true},
		{"its node is gone", func(w *world) { w.nodes = map[string]cluster.Node{"n2": {Name: "n2", Ready: "True"}} }, nodeNotReady, true},
		{"a platform without nodes", func(w *world) { w.nodes = nil }, nodeNotReady, false},
		{"it is there", func(*world) {}, replicaGone, false},
		{"it is being deleted", func(w *world) { w.find("web-0").DeletedAt = w.now }, replicaGone, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := webWorld(3)
			tt.change(w)
			in := w.input(&leader{name: "a"})
			q := &proposal{
				pass: &pass{in: &in, now: w.now}, remedy: incident.RemedyRestart, replica: w.find("web-0"), victim: &incident.Finding{Replica: "web-0"},
			}
			if message, refused := tt.guard(q); refused != tt.want {
				t.Errorf("refused %t, want %t: %s", refused, tt.want, message)
			}
		})
	}
}

func TestComplete(t *testing.T) {
	base := incident.Incident{
		Name: "web-notready-1", Kind: incident.NotReady, State: incident.Acting, Version: "7", Cause: "it hangs", Confidence: 90,
		Remediations: []incident.Remediation{{
			ID: "r-1", Remedy: incident.RemedyRestart, Replica: "web-0", ReplicaUID: "u1", IntendedAt: epoch, Outcome: incident.Pending, By: "a",
		}},
	}
	later := epoch.Add(time.Second)
	for _, tt := range []struct {
		name     string
		result   Result
		state    incident.State
		outcome  incident.Outcome
		reason   Reason
		attempts int32
	}{
		{"done", Result{Outcome: incident.Done, Message: "evicted"}, incident.Verifying, incident.Done, ReasonCarriedOut, 1},
		{"gone", Result{Outcome: incident.Failed, Reason: ReasonReplicaGone}, incident.Verifying, incident.Done, ReasonReplicaGone, 1},
		{"blocked", Result{Outcome: incident.Blocked, Message: "disruption budget web needs 3"}, incident.Open, incident.Blocked, ReasonBlockedByPDB, 1},
		{"failed", Result{Outcome: incident.Failed, Message: "500"}, incident.Open, incident.Failed, ReasonFailed, 1},
		{"not supported", Result{Outcome: incident.Failed, Reason: ReasonNotSupported}, incident.Open, incident.Failed, ReasonNotSupported, 1},
		{"forbidden", Result{Outcome: incident.Failed, Reason: ReasonForbidden}, incident.Open, incident.Failed, ReasonForbidden, 1},
		{"an answer that no platform gives", Result{Outcome: incident.Failed, Reason: ReasonBudgetExhausted}, incident.Open, incident.Failed, ReasonBudgetExhausted, 1},
		{"an answer that makes no sense", Result{}, incident.Open, incident.Failed, ReasonFailed, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := mustJSON(t, base)
			got := Complete(base, "r-1", tt.result, later)
			if mustJSON(t, base) != before {
				t.Error("the incident that was given is changed")
			}
			r := got.Remediations[0]
			if got.State != tt.state || r.Outcome != tt.outcome || r.Reason != string(tt.reason) || r.Attempts != tt.attempts || !r.FinishedAt.Equal(later) {
				t.Errorf("state %s, remediation %+v", got.State, r)
			}
			if got.Reason == "" || got.Message == "" || len(got.Timeline) != 1 || got.Version != "7" {
				t.Errorf("it is not recorded: %+v", got)
			}
			if again := Complete(got, "r-1", Result{Outcome: incident.Failed}, later.Add(time.Second)); mustJSON(t, again) != mustJSON(t, got) {
				t.Error("a second answer changes it")
			}
		})
	}
	if got := Complete(base, "other", Result{Outcome: incident.Done}, later); mustJSON(t, got) != mustJSON(t, base) {
		t.Error("the answer to another remediation changes it")
	}
}

// TestTakeOverChargesWhatWasNotCharged verifies the one hole that an intent leaves: its writer may have died before the
// budget was charged.
func TestTakeOverChargesWhatWasNotCharged(t *testing.T) {
	w := webWorld(3)
	w.policy.NotReadyAfter = 10 * time.Second
	w.setReady(w.find("web-0"), false)
	w.now = w.now.Add(time.Minute)
	w.pass(&leader{name: "a"})
	w.pass(&leader{name: "a", diesAfterSave: true})
	charged := Reconcile(w.input(&leader{name: "b"}), w.now)
	if charged.Action == nil || !charged.Action.TakenOver || charged.Action.Charge {
		t.Errorf("a charged intent is taken over as %+v", charged.Action)
	}
	clear(w.charges)
	open := Reconcile(w.input(&leader{name: "b"}), w.now)
	if open.Action == nil || !open.Action.TakenOver || !open.Action.Charge {
		t.Errorf("an intent that was not charged is taken over as %+v", open.Action)
	}
	if charged.Action != nil && open.Action != nil && charged.Action.RemediationID != open.Action.RemediationID {
		t.Error("it has another ID")
	}
}

// TestLastSeen verifies that a failure that lasts is written every half minute and not on every look.
func TestLastSeen(t *testing.T) {
	w := webWorld(2)
	r := w.find("web-0")
	w.kill("web-0", "Error")
	w.wait(r, &r.Containers[0], cluster.ReasonCrashLoopBackOff, "")
	l := &leader{name: "a"}
	w.pass(l)
	w.pass(l) // why nothing is done is stored once
	writes := 0
	for range 300 {
		w.now = w.now.Add(time.Second)
		writes += len(w.pass(l).Save)
	}
	if writes != 10 {
		t.Errorf("%d writes in 300 looks over 5 minutes, want 10", writes)
	}
	if got := w.only(t); w.now.Sub(got.LastSeenAt) > seenEvery {
		t.Errorf("it was last seen %s ago", w.now.Sub(got.LastSeenAt))
	}
}

func BenchmarkReconcileHealthy(b *testing.B) {
	w := webWorld(10)
	in := w.input(&leader{name: "a"})
	b.ReportAllocs()
	for b.Loop() {
		if p := Reconcile(in, w.now); len(p.Save) != 0 {
			b.Fatal("not healthy")
		}
	}
}

func BenchmarkReconcileOOM(b *testing.B) {
	w := webWorld(10)
	w.kill("web-3", cluster.ReasonOOMKilled)
	in := w.input(&leader{name: "a"})
	b.ReportAllocs()
	for b.Loop() {
		if p := Reconcile(in, w.now); len(p.Save) != 1 {
			b.Fatal("no incident")
		}
	}
}
