package kube

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/policy/record"
	"github.com/homeostat/homeostat/metrics"
	"github.com/homeostat/homeostat/platform/kube/internal/apitest"
)

func observe(t *testing.T, p *Platform, a control.Autoscaler, now time.Time) hpa.Observation {
	t.Helper()
	if a.Invalid != "" {
		t.Fatalf("%s is not valid: %s", a.Ref, a.Invalid)
	}
	obs, err := p.Observe(t.Context(), a, now)
	if err != nil && !errors.Is(err, control.ErrNotYet) {
		t.Fatal(err)
	}
	return obs
}

func TestObserveHealth(t *testing.T) {
	w := newWorld(t)
	w.autoscaler(t, "web", nil)
	w.pod(t, "web-3", "oom-killed")
	w.pod(t, "web-4", "crash-loop")
	w.pod(t, "web-5", "image-pull")
	w.sample("web-1", "web", 30, 1<<20)
	w.store.AddOOMEvents(metrics.Key{Namespace: "shop", Pod: "web-1", Container: "web"}, "life", w.now.Add(-time.Minute), 0)
	w.store.AddOOMEvents(metrics.Key{Namespace: "shop", Pod: "web-1", Container: "web"}, "life", w.now.Add(-time.Second), 1)
	w.store.AddPressure("shop", "web-1", w.now, 37.5)
	p := w.start(t, nil)
	obs := observe(t, p, only(t, p, "web"), w.now)
	type row struct {
		Name                string
		OOM, Restarted      time.Time
		Never, Crash, Ready bool
		Pressure            float64
	}
	var got []row
	for _, r := range obs.Replicas {
		got = append(got, row{r.Name, r.OOMKilledAt, r.RestartedAt, r.NeverReady, r.CrashLooping, r.Ready, r.CPUPressure})
	}
	day := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	want := []row{
		{Name: "web-1", OOM: w.now.Add(-time.Second), Ready: true, Pressure: 37.5},
		{Name: "web-2", Ready: true},
		{Name: "web-3", OOM: day.Add(20*time.Minute + 6*time.Second), Restarted: day.Add(20*time.Minute + 7*time.Second), Ready: true},
		{Name: "web-4", Restarted: day.Add(2*time.Minute + 58*time.Second), Crash: true},
		{Name: "web-5", Never: true},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApproxTime(0)); diff != "" {
		t.Errorf("replicas (-want +got):\n%s", diff)
	}
	if obs.Rollout != nil || obs.Shortage != nil || obs.Floor != nil || obs.Selector != nil || obs.ScaledToZero {
		t.Errorf("nothing else is known, but the observation says %+v", obs)
	}
}

// A ScaleOut of the healing engine raises the minimum by an annotation that ends by itself.
func TestHealingRaisesTheFloor(t *testing.T) {
	w := newWorld(t)
	until := w.now.Truncate(time.Second).Add(time.Hour)
	note := func(value string) func(*v1alpha1.Autoscaler) {
		return func(a *v1alpha1.Autoscaler) {
			a.Annotations = map[string]string{v1alpha1.AnnotationHealFloor: value}
			a.Spec.Schedules = []v1alpha1.Schedule{{Name: "always", Start: "0 0 1 1 *", End: "59 23 31 12 *", MinReplicas: 2}}
		}
	}
	w.autoscaler(t, "healed", note("3 until "+until.Format(time.RFC3339)))
	w.autoscaler(t, "wrong", note("three until tomorrow"))
	p := w.start(t, nil)
	a := only(t, p, "healed")
	want := &hpa.Floor{Replicas: 3, By: "healing until " + until.Format(time.RFC3339)}
	if diff := cmp.Diff(want, observe(t, p, a, until.Add(-time.Second)).Floor); diff != "" {
		t.Errorf("floor (-want +got):\n%s", diff)
	}
	if got := observe(t, p, a, until).Floor; got == nil || got.By != "schedule always" {
		t.Errorf("after its end the floor is %+v, want that of the schedule", got)
	}
	if got := only(t, p, "wrong"); got.InvalidReason != string(control.ReasonInvalidSpec) || !strings.Contains(got.Invalid, `"three until tomorrow" is not allowed`) {
		t.Errorf("an annotation that cannot be read: %+v", got)
	}
}

// What may fail, and what happened to replicas that are replaced, holds no number of replicas: a forecast can last for days.
func TestOnlyAFailureIsAnOpenIncident(t *testing.T) {
	w := newWorld(t)
	failing := map[incident.Kind]bool{
		incident.OOMKilled: true, incident.CrashLoop: true, incident.NotReady: true,
		incident.CPUThrottled: false, incident.MemoryLeak: false, incident.RestartRate: false,
		incident.Evicted: false, incident.Disrupted: false, incident.StatusUnknown: false,
	}
	for kind := range failing {
		in := w.anIncident("incident-"+strings.ToLower(string(kind)), incident.Open)
		in.Kind, in.Workload.Name = kind, strings.ToLower(string(kind))
		w.Put(t, record.Incident(&in))
	}
	p := w.start(t, nil)
	for kind, want := range failing {
		w := cluster.Ref{Kind: "Deployment", Namespace: "shop", Name: strings.ToLower(string(kind))}
		if got := p.openIncident(w, time.Now()); (got != "") != want {
			t.Errorf("%s: the open incident is %q", kind, got)
		}
	}
}

func TestObserveTheTarget(t *testing.T) {
	w := newWorld(t)
	w.autoscaler(t, "web", func(a *v1alpha1.Autoscaler) {
		a.Spec.Schedules = []v1alpha1.Schedule{ // all the year but for its last minute
			{Name: "all-year", Start: "0 0 1 1 *", End: "59 23 31 12 *", MinReplicas: 3},
		}
		a.Spec.Timing.SyncPeriod = &metav1.Duration{Duration: 15 * time.Second}
		a.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionScaledToZero, Status: metav1.ConditionTrue, Reason: "ScaledToZero"}}
	})
	w.pod(t, "web-3", "unschedulable")
	p := w.start(t, nil)
	a := only(t, p, "web")
	if a.Period != 15*time.Second {
		t.Errorf("the period is %s", a.Period)
	}
	newYear := time.Date(w.now.Year(), 12, 31, 23, 59, 30, 0, time.UTC)
	obs := observe(t, p, a, newYear.Add(-time.Hour))
	if diff := cmp.Diff(&hpa.Floor{Replicas: 3, By: "schedule all-year"}, obs.Floor); diff != "" {
		t.Errorf("floor (-want +got):\n%s", diff)
	}
	if obs := observe(t, p, a, newYear); obs.Floor != nil {
		t.Errorf("the floor of a schedule that has ended is %+v", obs.Floor)
	}
	if !obs.ScaledToZero {
		t.Error("the condition ScaledToZero is not read")
	}
	if s := obs.Shortage; s == nil || s.Reason != hpa.FaultUnschedulable || !strings.HasPrefix(s.Message, "1 of 3 replicas cannot be placed, web-3: ") {
		t.Errorf("shortage is %+v", s)
	}

	// A rollout whose new replicas fail, and whose ReplicaSet is refused more.
	w.pod(t, "web-3", "crash-loop")
	w.Put(t, apitest.Object{
		"apiVersion": "apps/v1", "kind": "ReplicaSet",
		"metadata": apitest.Object{
			"namespace": "shop", "name": "web-old", "uid": "rs-old", "labels": apitest.Object{"pod-template-hash": "old"},
			"annotations": apitest.Object{"deployment.kubernetes.io/revision": "0"}, "ownerReferences": owner("apps/v1", "Deployment", "web", "d-web"),
		},
		"spec": apitest.Object{"replicas": 1, "selector": matching("web"), "template": podTemplate("web")}, "status": apitest.Object{"replicas": 1},
	})
	w.Put(t, apitest.Object{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": apitest.Object{"namespace": "shop", "name": "web", "uid": "d-web"},
		"spec":     apitest.Object{"replicas": 2, "selector": matching("web"), "template": podTemplate("web")},
		"status": apitest.Object{"replicas": 7, "conditions": []apitest.Object{
			{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: small"},
		}},
	})
	until(t, "the rollout, the quota and the status are seen", func() bool {
		obs := observe(t, p, a, time.Now())
		return obs.Rollout != nil && obs.Rollout.Revision == "5d9c7f8b6" && obs.Rollout.New == 3 && obs.Rollout.Ready == 2 && obs.Rollout.Failing == "" &&
			obs.Replicas[2].Failing == "crash loop" && obs.Replicas[1].Failing == "" && obs.StatusReplicas == 7 && obs.Current == 2 &&
			obs.Shortage != nil && obs.Shortage.Reason == hpa.FaultQuotaExceeded
	})
	w.pod(t, "web-2", "crash-loop")
	until(t, "the rollout fails", func() bool {
		r := observe(t, p, a, time.Now()).Rollout
		return r != nil && r.Failing == "2 of 3 replicas of revision 5d9c7f8b6 fail, web-2: crash loop"
	})
}

func TestSelectorsThatCannotBeUsed(t *testing.T) {
	w := newWorld(t)
	widget := func(name string) func(*v1alpha1.Autoscaler) {
		return func(a *v1alpha1.Autoscaler) {
			a.Spec.ScaleTargetRef.APIVersion, a.Spec.ScaleTargetRef.Kind, a.Spec.ScaleTargetRef.Name = "example.dev/v1", "Widget", name
		}
	}
	w.autoscaler(t, "missing", widget("missing"))
	w.autoscaler(t, "empty", func(a *v1alpha1.Autoscaler) { a.Spec.ScaleTargetRef.Name = "empty" })
	w.Put(t, apitest.Object{
		"apiVersion": "example.dev/v1", "kind": "Widget", "metadata": apitest.Object{"namespace": "shop", "name": "missing"}, "spec": apitest.Object{"replicas": 3},
	})
	w.Put(t, apitest.Object{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": apitest.Object{"namespace": "shop", "name": "empty"},
		"spec": apitest.Object{"replicas": 3, "selector": apitest.Object{}, "template": podTemplate("web")},
	})
	w.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
		asked := strings.HasSuffix(r.URL.Path, "/widgets/missing/scale")
		if asked {
			_, _ = io.WriteString(rw, `{"apiVersion":"autoscaling/v1","kind":"Scale","spec":{"replicas":3},"status":{"replicas":2}}`)
		}
		return asked
	})
	p := w.start(t, nil)
	for name, want := range map[string]string{
		"missing": "the scale of shop/widget/missing has no selector",
		"empty":   "the target shop/deployment/empty has no selector",
	} {
		obs := observe(t, p, only(t, p, name), w.now)
		if f := obs.Selector; f == nil || f.Reason != hpa.FaultInvalidSelector || !strings.HasPrefix(f.Message, want) || len(obs.Replicas) != 0 || obs.Current != 3 {
			t.Errorf("%s: selector is %+v with %d replicas of %d, want %q", name, f, len(obs.Replicas), obs.Current, want)
		}
	}
}

func TestPodsOfSeveralAutoscalers(t *testing.T) {
	w := newWorld(t)
	deploy := func(name string, selector apitest.Object) {
		w.Put(t, apitest.Object{
			"apiVersion": "apps/v1", "kind": "Deployment", "metadata": apitest.Object{"namespace": "shop", "name": name, "uid": "d-" + name},
			"spec": apitest.Object{"replicas": 1, "selector": selector, "template": podTemplate(name)},
		})
	}
	deploy("wide", apitest.Object{"matchExpressions": []apitest.Object{{"key": "app", "operator": "Exists"}}})
	deploy("other", matching("other"))
	to := func(name string) func(*v1alpha1.Autoscaler) {
		return func(a *v1alpha1.Autoscaler) { a.Spec.ScaleTargetRef.Name = name }
	}
	w.autoscaler(t, "web", nil)
	w.autoscaler(t, "other", to("other"))
	w.autoscaler(t, "shadow", func(a *v1alpha1.Autoscaler) { a.Spec.Mode = v1alpha1.ModeDryRun })
	p := w.start(t, nil)
	for _, name := range []string{"web", "other", "shadow"} {
		if f := observe(t, p, only(t, p, name), w.now).Selector; f != nil {
			t.Errorf("%s alone: %+v", name, f)
		}
	}
	// One that only looks on is in nobody's way, and others are in its.
	w.autoscaler(t, "wide", func(a *v1alpha1.Autoscaler) { to("wide")(a); a.Spec.Mode = v1alpha1.ModeDryRun })
	until(t, "the wide one sees the other", func() bool {
		list, _ := p.Autoscalers(t.Context())
		if len(list) != 4 {
			return false
		}
		f := observe(t, p, only(t, p, "wide"), time.Now()).Selector
		return f != nil && f.Reason == hpa.FaultAmbiguousSelector && strings.HasSuffix(f.Message, "that Autoscaler web scales too, such as web-1")
	})
	if f := observe(t, p, only(t, p, "web"), time.Now()).Selector; f != nil {
		t.Errorf("one that only looks on is in the way: %+v", f)
	}
	w.Put(t, &autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta:   metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "stock"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "wide"}, MaxReplicas: 3,
		},
	})
	until(t, "the native one is in the way of web, and not of the one that has its target", func() bool {
		web := observe(t, p, only(t, p, "web"), time.Now()).Selector
		wide := observe(t, p, only(t, p, "wide"), time.Now()).Selector
		return web != nil && strings.HasSuffix(web.Message, "that HorizontalPodAutoscaler stock scales too, such as web-1") &&
			wide != nil && strings.Contains(wide.Message, "Autoscaler web")
	})
	if f := observe(t, p, only(t, p, "other"), time.Now()).Selector; f != nil {
		t.Errorf("one without pods in common: %+v", f)
	}
}
