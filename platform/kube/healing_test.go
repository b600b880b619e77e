package kube

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/policy/record"
	"github.com/homeostat/homeostat/platform/kube/internal/apitest"
)

func (w *world) anIncident(name string, state incident.State) incident.Incident {
	return incident.Incident{
		Namespace: "shop", Name: name, Workload: web(), Kind: incident.OOMKilled, State: state, Cause: "killed", Confidence: 90,
		OpenedAt: w.now.Truncate(time.Second), StartedAt: w.now.Truncate(time.Second), LastSeenAt: w.now.Truncate(time.Second),
	}
}

func (w *world) incident(t *testing.T, name string, state incident.State) {
	t.Helper()
	in := w.anIncident(name, state)
	w.Put(t, record.Incident(&in))
}

func TestIncidentsAreComparedAndSwapped(t *testing.T) {
	w := newWorld(t)
	p := w.start(t, nil)
	first, err := p.Save(t.Context(), w.anIncident("web-oom", incident.Open))
	if err != nil || first.Version == "" {
		t.Fatalf("saved as version %q, %v", first.Version, err)
	}
	if _, err := p.Save(t.Context(), w.anIncident("web-oom", incident.Open)); !errors.Is(err, control.ErrConflict) {
		t.Errorf("a second creation: %v", err)
	}
	first.State = incident.Acting
	first.Remediations = []incident.Remediation{{ID: "r1", Remedy: incident.RemedyRestart, Replica: "web-1", Outcome: incident.Pending}}
	second, err := p.Save(t.Context(), first)
	if err != nil || second.Version == first.Version || second.Remediations[0].Outcome != incident.Pending {
		t.Fatalf("saved as %+v, %v", second, err)
	}
	if _, err := p.Save(t.Context(), first); !errors.Is(err, control.ErrConflict) {
		t.Errorf("writing over a version that is gone: %v", err)
	}
	w.Remove(t, "incidents", "shop", "web-oom")
	if _, err := p.Save(t.Context(), second); !errors.Is(err, control.ErrConflict) {
		t.Errorf("writing what was deleted: %v", err)
	}
	until(t, "the deletion is seen", func() bool { return len(p.Incidents(web())) == 0 })
}

// TestOwnWritesAreSeenAtOnce saves while the informer sees nothing.
func TestOwnWritesAreSeenAtOnce(t *testing.T) {
	w := newWorld(t)
	w.incident(t, "web-old", incident.Open)
	w.policy(t, "p", "web", nil)
	p := w.start(t, nil)
	var blind atomic.Bool
	blind.Store(true)
	w.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
		if !blind.Load() || r.URL.Query().Get("watch") == "" {
			return false
		}
		apitest.Refuse(rw, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "later")
		return true
	})
	w.CloseWatches()
	old := p.Incidents(web())[0]
	for i := range 3 {
		old.Occurrences = int32(i + 1)
		stored, err := p.Save(t.Context(), old)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Incidents(web()); len(got) != 1 || got[0].Version != stored.Version || got[0].Occurrences != int32(i+1) {
			t.Fatalf("after a save the incidents are %+v", got)
		}
		old = stored
	}
	if _, err := p.Save(t.Context(), w.anIncident("web-new", incident.Open)); err != nil {
		t.Fatal(err)
	}
	if got := p.Incidents(web()); len(got) != 2 {
		t.Errorf("a new incident is not seen at once: %+v", got)
	}
	if got := p.Incidents(cluster.Ref{Kind: "Deployment", Namespace: "shop", Name: "other"}); len(got) != 0 {
		t.Errorf("another workload has it: %+v", got)
	}
	pol, ok := p.PolicyFor(&cluster.Workload{Ref: web(), Labels: map[string]string{"app": "web"}})
	if !ok || pol.Name != "p" {
		t.Fatalf("policy is %+v", pol)
	}
	if err := p.Charge(t.Context(), pol, web(), "r1", w.now); err != nil {
		t.Fatal(err)
	}
	if got := p.Spent(pol, web()); len(got) != 1 {
		t.Errorf("spent is %v right after a charge", got)
	}
	blind.Store(false)
	// Somebody else's later write is seen in the end, over the own one.
	other := old
	other.Message = "by another"
	w.Put(t, record.Incident(&other))
	until(t, "the other's write is seen", func() bool {
		return slices.ContainsFunc(p.Incidents(web()), func(in incident.Incident) bool { return in.Message == "by another" })
	})
}

func TestOthersMetadataStays(t *testing.T) {
	w := newWorld(t)
	in := w.anIncident("web-oom", incident.Open)
	o := record.Incident(&in)
	o.Labels["team"], o.Annotations = "a", map[string]string{"ticket": "7"}
	w.Put(t, o)
	p := w.start(t, nil)
	if _, err := p.Save(t.Context(), p.Incidents(web())[0]); err != nil {
		t.Fatal(err)
	}
	var stored v1alpha1.Incident
	w.Get(t, "incidents", "shop", "web-oom", &stored)
	if stored.Labels["team"] != "a" || stored.Annotations["ticket"] != "7" || stored.Labels[v1alpha1.LabelFinding] != "OOMKilled" {
		t.Errorf("metadata is %+v", stored.ObjectMeta)
	}
}

func TestExpire(t *testing.T) {
	w := newWorld(t)
	for i := range 6 {
		in := w.anIncident(fmt.Sprint("resolved-", i), incident.Resolved)
		in.ResolvedAt = w.now.Add(-time.Duration(i) * time.Hour)
		w.Put(t, record.Incident(&in))
	}
	for i := range 3 {
		in := w.anIncident(fmt.Sprint("active-", i), []incident.State{incident.Open, incident.Acting, incident.Abandoned}[i])
		in.OpenedAt = w.now.Add(-1000 * time.Hour)
		in.LastSeenAt = in.OpenedAt
		w.Put(t, record.Incident(&in))
	}
	orphan := w.anIncident("orphan", incident.Open)
	orphan.Workload.Name, orphan.LastSeenAt = "gone", w.now.Add(-time.Hour)
	w.Put(t, record.Incident(&orphan))
	w.policy(t, "p", "web", nil)
	w.policy(t, "q", "nothing", func(p *v1alpha1.HealingPolicy) { p.Spec.MinHealthyPercent = new(int32(101)) })
	p := w.start(t, func(o *Options) { o.KeepIncidents, o.MaxIncidents = 4*time.Hour+time.Minute, 6 })
	if err := p.Expire(t.Context(), w.now); err != nil {
		t.Fatal(err)
	}
	// resolved-5 is too old; of the 9 left (the orphan is resolved now and counted the next time) the oldest resolved go.
	want := []string{
		"shop/active-0", "shop/active-1", "shop/active-2", "shop/orphan", "shop/resolved-0", "shop/resolved-1", "shop/resolved-2",
	}
	if diff := cmp.Diff(want, w.Names("incidents")); diff != "" {
		t.Errorf("incidents that are left (-want +got):\n%s", diff)
	}
	var stored v1alpha1.Incident
	w.Get(t, "incidents", "shop", "orphan", &stored)
	if stored.Status.State != "Resolved" || stored.Status.ResolvedAt == nil || !strings.Contains(stored.Status.Message, "does not exist") {
		t.Errorf("the incident of a workload that is gone is %+v", stored.Status)
	}
	var pol v1alpha1.HealingPolicy
	w.Get(t, "healingpolicies", "shop", "p", &pol)
	if pol.Status.WatchedWorkloads != 1 || !meta.IsStatusConditionTrue(pol.Status.Conditions, v1alpha1.ConditionAccepted) {
		t.Errorf("status of the policy is %+v", pol.Status)
	}
	w.Get(t, "healingpolicies", "shop", "q", &pol)
	if c := meta.FindStatusCondition(pol.Status.Conditions, v1alpha1.ConditionAccepted); c == nil || c.Status != metav1.ConditionFalse ||
		!strings.Contains(c.Message, "minHealthyPercent") {
		t.Errorf("status of an invalid policy is %+v", pol.Status)
	}
	writes := len(w.Writes())
	until(t, "a second time there is nothing to write", func() bool {
		before := len(w.Writes())
		if err := p.Expire(t.Context(), w.now); err != nil {
			t.Fatal(err)
		}
		return len(w.Writes()) == before
	})
	if got := len(w.Writes()) - writes; got > 20 {
		t.Errorf("%d writes until then", got)
	}
}

func TestPolicyFor(t *testing.T) {
	w := newWorld(t)
	at := func(hour int, mode v1alpha1.HealingMode) func(*v1alpha1.HealingPolicy) {
		return func(p *v1alpha1.HealingPolicy) {
			p.CreationTimestamp, p.Spec.Mode = metav1.NewTime(time.Date(2026, 1, 1, hour, 0, 0, 0, time.UTC)), mode
		}
	}
	w.policy(t, "younger", "web", at(2, v1alpha1.HealingObserve))
	w.policy(t, "older", "web", at(1, v1alpha1.HealingAct))
	w.policy(t, "wrong", "broken", func(p *v1alpha1.HealingPolicy) { p.Spec.MinHealthyPercent = new(int32(101)) })
	w.policy(t, "empty", "", func(p *v1alpha1.HealingPolicy) { p.Spec.Selector = metav1.LabelSelector{} })
	all := w.start(t, nil)
	some := w.start(t, func(o *Options) { o.WatchAll = false })
	workload := func(app, ns string) *cluster.Workload {
		return &cluster.Workload{Ref: cluster.Ref{Kind: "Deployment", Namespace: ns, Name: app}, Labels: map[string]string{"app": app}}
	}
	for _, tc := range []struct {
		app, ns string
		name    string
		mode    healing.Mode
		watched bool // without WatchAll
	}{
		{"web", "shop", "older", healing.Act, true},
		{"broken", "shop", "", healing.Observe, true},
		{"other", "shop", "", healing.Observe, false},
		{"web", "elsewhere", "", healing.Observe, false},
	} {
		got, ok := all.PolicyFor(workload(tc.app, tc.ns))
		if got.Name != tc.name || got.Mode != tc.mode || !ok || got.BudgetActions == 0 {
			t.Errorf("%s in %s is governed by %q in mode %s, watched %v", tc.app, tc.ns, got.Name, got.Mode, ok)
		}
		if _, ok := some.PolicyFor(workload(tc.app, tc.ns)); ok != tc.watched {
			t.Errorf("%s in %s is watched: %v, want %v", tc.app, tc.ns, ok, tc.watched)
		}
	}
	kept := workload("web", "shop")
	kept.Labels[v1alpha1.LabelQuarantined] = "web-notready-1"
	if _, ok := all.PolicyFor(kept); ok {
		t.Error("a quarantined pod is watched, and would open incidents for as long as it is kept")
	}
}

func TestCharge(t *testing.T) {
	w := newWorld(t)
	w.policy(t, "p", "web", func(p *v1alpha1.HealingPolicy) {
		p.Spec.Budget = v1alpha1.Budget{Actions: new(int32(2)), Period: &metav1.Duration{Duration: time.Hour}}
	})
	p := w.start(t, nil)
	pol, _ := p.PolicyFor(&cluster.Workload{Ref: web(), Labels: map[string]string{"app": "web"}})
	charge := func(id string, at time.Time) error { return p.Charge(t.Context(), pol, web(), id, at) }
	for _, id := range []string{"a", "a", "b", "b"} {
		if err := charge(id, w.now); err != nil {
			t.Fatalf("charge %s: %v", id, err)
		}
	}
	if got := p.Spent(pol, web()); len(got) != 2 || !got[0].Equal(w.now.Truncate(time.Microsecond)) {
		t.Errorf("spent is %v, want two: the same remediation is charged once", got)
	}
	if err := charge("c", w.now.Add(59*time.Minute)); !errors.Is(err, control.ErrBudget) {
		t.Errorf("the third charge: %v", err)
	}
	other := cluster.Ref{Kind: "StatefulSet", Namespace: "shop", Name: "web"}
	if err := p.Charge(t.Context(), pol, other, "d", w.now); err != nil {
		t.Errorf("the budget of another workload: %v", err)
	}
	if err := charge("c", w.now.Add(time.Hour)); err != nil {
		t.Errorf("after the period: %v", err)
	}
	var stored v1alpha1.HealingPolicy
	w.Get(t, "healingpolicies", "shop", "p", &stored)
	if len(stored.Status.Budgets) != 1 || len(stored.Status.Budgets[0].Actions) != 1 {
		t.Errorf("what has left the period is still stored: %+v", stored.Status.Budgets)
	}
	if err := p.Charge(t.Context(), healing.DefaultPolicy(), web(), "x", w.now); err == nil {
		t.Error("the default policy was charged")
	}
}

func TestCarry(t *testing.T) {
	refuse := func(code int, reason metav1.StatusReason, message string, causes ...string) apitest.Hook {
		return func(rw http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/eviction") {
				return false
			}
			if code == http.StatusTooManyRequests {
				rw.Header().Set("Retry-After", "10") // as for a disruption budget that no controller has looked at yet
			}
			apitest.Refuse(rw, code, reason, message, causes...)
			return true
		}
	}
	for name, tc := range map[string]struct {
		change  func(*healing.Action)
		hook    apitest.Hook
		outcome incident.Outcome
		reason  healing.Reason
		message string
		gone    bool
	}{
		"evicted":     {outcome: incident.Done, reason: healing.ReasonCarriedOut, message: "web-1 was evicted", gone: true},
		"another pod": {change: func(a *healing.Action) { a.ReplicaUID = "old" }, outcome: incident.Done, reason: healing.ReasonReplicaGone},
		"gone":        {change: func(a *healing.Action) { a.Replica = "web-9" }, outcome: incident.Done, reason: healing.ReasonReplicaGone},
		"no identity": {change: func(a *healing.Action) { a.ReplicaUID = "" }, outcome: incident.Failed, reason: healing.ReasonFailed},
		"no such remedy": {change: func(a *healing.Action) {
			a.Remedy, a.Workload.Name, a.Workload.UID = "Dance", "other", "d-other"
		}, outcome: incident.Failed, reason: healing.ReasonNotSupported},
		"critical workload": {change: func(a *healing.Action) {
			a.Remedy, a.Workload.UID = incident.RemedyRestartWorkload, "d-web"
		}, outcome: incident.Failed, reason: healing.ReasonProtected, message: "deployment/web"},
		"workload of kube-system": {change: func(a *healing.Action) {
			a.Remedy, a.Workload.Namespace = incident.RemedyRollback, "kube-system"
		}, outcome: incident.Failed, reason: healing.ReasonProtected},
		"object elsewhere": {change: func(a *healing.Action) {
			a.Remedy, a.Workload.Name, a.Workload.UID = incident.RemedyAbortCanary, "other", "d-other"
			a.Change.Target = cluster.Ref{Kind: cluster.KindService, Namespace: "other", Name: "web"}
		}, outcome: incident.Failed, reason: healing.ReasonProtected, message: "not in the namespace"},
		"this controller": {change: func(a *healing.Action) { a.Replica = "me" }, outcome: incident.Failed, reason: healing.ReasonProtected},
		"critical":        {change: func(a *healing.Action) { a.Replica = "core" }, outcome: incident.Failed, reason: healing.ReasonProtected},
		"kube-system":     {change: func(a *healing.Action) { a.Workload.Namespace = "kube-system" }, outcome: incident.Failed, reason: healing.ReasonProtected},
		"disruption budget": {
			hook:    refuse(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, "Cannot evict pod.", "The disruption budget web needs 2 healthy pods"),
			outcome: incident.Blocked, reason: healing.ReasonBlockedByPDB, message: "The disruption budget web needs 2 healthy pods",
		},
		"two disruption budgets": {
			hook:    refuse(http.StatusInternalServerError, metav1.StatusReasonInternalError, "This pod has more than one PodDisruptionBudget"),
			outcome: incident.Blocked, reason: healing.ReasonBlockedByPDB, message: "more than one PodDisruptionBudget",
		},
		"broken server": {
			hook:    refuse(http.StatusInternalServerError, metav1.StatusReasonInternalError, "etcd is away"),
			outcome: incident.Failed, reason: healing.ReasonFailed, message: "etcd is away",
		},
		"forbidden": {
			hook: refuse(http.StatusForbidden, metav1.StatusReasonForbidden, "no verb"), outcome: incident.Failed, reason: healing.ReasonFailed,
		},
		"conflict of another kind": {
			hook: refuse(http.StatusConflict, metav1.StatusReasonConflict, "the budget was modified"), outcome: incident.Failed, reason: healing.ReasonFailed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.pod(t, "core", "deleting-critical")
			w.pod(t, "me", "running")
			p := w.start(t, func(o *Options) { o.SelfNamespace = "shop" })
			if tc.hook != nil {
				w.Hook(tc.hook)
			}
			a := healing.Action{Remedy: incident.RemedyRestart, Workload: web(), Replica: "web-1", ReplicaUID: "pod-web-1"}
			if tc.change != nil {
				tc.change(&a)
			}
			got := p.Carry(t.Context(), a)
			if got.Outcome != tc.outcome || got.Reason != tc.reason || !strings.Contains(got.Message, tc.message) {
				t.Errorf("result is %+v, want %s because of %s with %q", got, tc.outcome, tc.reason, tc.message)
			}
			if gone := !slices.Contains(w.Names("pods"), "shop/web-1"); gone != tc.gone {
				t.Errorf("the pod is gone: %v, want %v", gone, tc.gone)
			}
			if len(w.Writes()) > 1 {
				t.Errorf("tried again by itself: %v", w.Writes())
			}
			for _, line := range w.Writes() {
				if strings.HasPrefix(line, "DELETE") || !strings.HasSuffix(line, "/eviction") {
					t.Errorf("wrote %q", line)
				}
			}
		})
	}
}

// What a remedy scaled is where the scaling goes on from, and is nobody else's write.
func TestAScaleOutIsKnownToTheScaling(t *testing.T) {
	w := newWorld(t)
	w.autoscaler(t, "web", nil)
	p := w.start(t, nil)
	a := only(t, p, "web")
	w.Hook(func(rw http.ResponseWriter, r *http.Request) bool { // the informers see nothing any more
		if r.URL.Query().Get("watch") == "" {
			return false
		}
		apitest.Refuse(rw, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "later")
		return true
	})
	w.CloseWatches()
	target := web()
	target.UID = "d-web"
	got := p.Carry(t.Context(), healing.Action{
		Remedy: incident.RemedyScaleOut, Workload: target, RemediationID: "r1", Change: incident.Change{FromReplicas: 2, ToReplicas: 4},
	})
	if got.Outcome != incident.Done {
		t.Fatalf("result is %+v", got)
	}
	if obs := observe(t, p, a, time.Now()); obs.Current != 4 {
		t.Errorf("the scaling goes on from %d replicas, want 4", obs.Current)
	}
	if p.contests.overwritten(workloadKey(target), 4, time.Now()) {
		t.Error("the remedy's number counts as somebody else's")
	}
}

func TestAnnounce(t *testing.T) {
	w := newWorld(t)
	p := w.start(t, nil)
	in, err := p.Save(t.Context(), w.anIncident("web-oom", incident.Open))
	if err != nil {
		t.Fatal(err)
	}
	p.Announce(t.Context(), in, healing.ReasonOpened, strings.Repeat("ä", 2000))
	run := in
	run.Workload = cluster.Ref{Kind: cluster.KindJob, Namespace: "shop", Name: "night"}
	p.Announce(t.Context(), run, healing.ReasonResolved, "fine")
	want := []string{
		"CronJob IncidentResolved", "Deployment IncidentOpened", "Incident IncidentOpened", "Incident IncidentResolved",
	}
	until(t, "the events are stored", func() bool { return slices.Equal(reasons(t, w), want) })
}

// TestIncidentsOfTheClusterAreReadWhereSomeNamespacesAreWatched lets the view forget its own writes: an incident about the cluster
// is found again all the same, and one about a workload that nobody watches here is left alone.
func TestIncidentsOfTheClusterAreReadWhereSomeNamespacesAreWatched(t *testing.T) {
	w := newWorld(t)
	storm := w.anIncident("storm", incident.Open)
	storm.Namespace, storm.Workload, storm.Kind = "homeostat-system", cluster.Ref{Kind: "Cluster", Name: "cluster"}, incident.Storm
	other := w.anIncident("other", incident.Open)
	other.Namespace, other.Workload.Namespace = "homeostat-system", "homeostat-system"
	for _, in := range []*incident.Incident{&storm, &other} {
		w.Put(t, record.Incident(in))
	}
	p := w.start(t, func(o *Options) { o.Namespaces, o.SelfNamespace = []string{"shop"}, "homeostat-system" })
	for _, at := range []time.Time{w.now, w.now.Add(time.Hour)} {
		if err := p.Expire(t.Context(), at); err != nil {
			t.Fatal(err)
		}
		var active []string
		for _, in := range p.AllIncidents() {
			if in.State.Active() {
				active = append(active, in.Name)
			}
		}
		slices.Sort(active)
		if diff := cmp.Diff([]string{"other", "storm"}, active); diff != "" {
			t.Errorf("active incidents (-want +got):\n%s", diff)
		}
	}
}

// TestAnIncidentThatNobodyLooksAtAnyMoreEnds takes away the policy that watched a workload, which goes on existing.
func TestAnIncidentThatNobodyLooksAtAnyMoreEnds(t *testing.T) {
	for _, watched := range []bool{true, false} {
		w := newWorld(t)
		in := w.anIncident("left", incident.Open)
		in.LastSeenAt = w.now.Add(-time.Hour)
		w.Put(t, record.Incident(&in))
		if watched {
			w.policy(t, "p", "web", nil)
		}
		p := w.start(t, func(o *Options) { o.WatchAll = false })
		if err := p.Expire(t.Context(), w.now); err != nil {
			t.Fatal(err)
		}
		var stored v1alpha1.Incident
		w.Get(t, "incidents", "shop", "left", &stored)
		if got := incident.State(stored.Status.State).Active(); got != watched {
			t.Errorf("watched %t: its incident is %s: %s", watched, stored.Status.State, stored.Status.Message)
		}
	}
}
