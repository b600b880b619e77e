package kube

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/platform/kube/internal/apitest"
)

// only returns the one Autoscaler of that name.
func only(t *testing.T, p *Platform, name string) control.Autoscaler {
	t.Helper()
	list, err := p.Autoscalers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(a control.Autoscaler) bool { return a.Ref.Name == name })
	if i < 0 {
		t.Fatalf("no Autoscaler %s among %+v", name, list)
	}
	return list[i]
}

func TestOneScalerPerTarget(t *testing.T) {
	w := newWorld(t)
	at := func(hour int) func(*v1alpha1.Autoscaler) {
		return func(a *v1alpha1.Autoscaler) {
			a.CreationTimestamp = metav1.NewTime(time.Date(2026, 1, 1, hour, 0, 0, 0, time.UTC))
		}
	}
	w.autoscaler(t, "younger", at(2))
	w.autoscaler(t, "older", at(1))
	w.autoscaler(t, "watching", func(a *v1alpha1.Autoscaler) { at(0)(a); a.Spec.Mode = v1alpha1.ModeDryRun })
	w.autoscaler(t, "wrong", func(a *v1alpha1.Autoscaler) { a.Spec.MaxReplicas = 0; a.Spec.ScaleTargetRef.Name = "x" })
	w.autoscaler(t, "native", func(a *v1alpha1.Autoscaler) { a.Spec.ScaleTargetRef.Name = "api" })
	w.Put(t, &autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta:   metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "stock"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{Kind: "Deployment", Name: "api"},
		},
	})
	p := w.start(t, nil)
	for name, want := range map[string]struct{ reason, message string }{
		"older":    {},
		"watching": {},
		"younger":  {"AmbiguousTarget", "Autoscaler older"},
		"native":   {"AmbiguousTarget", "HorizontalPodAutoscaler stock"},
		"wrong":    {"InvalidSpec", "spec.maxReplicas"},
	} {
		a := only(t, p, name)
		if a.InvalidReason != want.reason || !strings.Contains(a.Invalid, want.message) || (a.Invalid == "") != (want.reason == "") {
			t.Errorf("%s is %q because %q, want %q naming %q", name, a.InvalidReason, a.Invalid, want.reason, want.message)
		}
	}
}

func TestObserve(t *testing.T) {
	w := newWorld(t)
	w.autoscaler(t, "web", nil)
	w.pod(t, "web-3", "sidecar")
	w.pod(t, "web-4", "crash-loop")
	w.pod(t, "web-5", "unschedulable")
	w.sample("web-1", "web", 30, 1<<20)
	w.sample("web-3", "web", 40, 2<<20)
	w.sample("web-3", "proxy", 5, 1<<20)
	p := w.start(t, nil)
	a := only(t, p, "web")
	obs, err := p.Observe(t.Context(), a, w.now)
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		Name           string
		CPU, CPUReq    int64
		Memory         int64
		Why            string
		Crash, HasBeen bool
	}
	var got []row
	for _, r := range obs.Replicas {
		got = append(got, row{r.Name, r.CPU.Value, r.CPU.Request, r.Memory.Value, r.CPU.Why, r.CrashLooping, r.ReadyKnown})
	}
	want := []row{
		{"web-1", 30, 100, 1 << 20, "", false, true},
		{"web-2", 0, 100, 0, "Missing (container web)", false, true},
		{"web-3", 45, 150, 3 << 20, "", false, true},
		{"web-4", 0, 100, 0, "Missing (container web)", true, true},
		{"web-5", 0, 100, 0, "Missing (container web)", false, false},
	}
	if diff := cmp.Diff(want, got); diff != "" || obs.Current != 2 || obs.Incident != "" || obs.Unavailable != "" {
		t.Errorf("observation of %d replicas, incident %q, %q (-want +got):\n%s", obs.Current, obs.Incident, obs.Unavailable, diff)
	}

	// Half a pod's usage is told as that: the sidecar's sample has grown old.
	later := w.now.Add(40 * time.Second)
	w.now = later
	w.sample("web-3", "web", 40, 2<<20)
	w.store.NodeScraped("node-1", later, errors.New("no route"))
	obs, err = p.Observe(t.Context(), a, later.Add(25*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if u := obs.Replicas[2].CPU; !u.Known || u.Partial != "proxy" || u.Value != 40 || u.Request != 150 {
		t.Errorf("usage of a pod with half its samples is %+v", u)
	}
	if u := obs.Replicas[1].CPU; u.Why != "NodeUnreachable (container web)" {
		t.Errorf("usage of a pod never seen on an unreachable node is %+v", u)
	}
	if obs.Unavailable == "" {
		t.Error("with no node reachable, usage counts as available")
	}

	w.incident(t, "web-oom", incident.Open)
	until(t, "the incident is in the observation", func() bool {
		obs, err := p.Observe(t.Context(), a, w.now)
		return err == nil && obs.Incident == "web-oom"
	})
	w.Remove(t, "deployments", "shop", "web")
	until(t, "the target is gone", func() bool {
		_, err := p.Observe(t.Context(), a, w.now)
		return err != nil && strings.Contains(err.Error(), "find target shop/deployment/web: it does not exist")
	})
}

func TestAnyKindWithAScale(t *testing.T) {
	w := newWorld(t)
	widget := func(a *v1alpha1.Autoscaler) {
		a.Spec.ScaleTargetRef.APIVersion, a.Spec.ScaleTargetRef.Kind = "example.dev/v1", "Widget"
	}
	w.autoscaler(t, "widget", widget)
	w.autoscaler(t, "none", func(a *v1alpha1.Autoscaler) { widget(a); a.Spec.ScaleTargetRef.Name = "none" })
	w.autoscaler(t, "kind", func(a *v1alpha1.Autoscaler) { widget(a); a.Spec.ScaleTargetRef.Kind = "Gadget" })
	w.Put(t, apitest.Object{
		"apiVersion": "example.dev/v1", "kind": "Widget", "metadata": apitest.Object{"namespace": "shop", "name": "web"},
		"spec": apitest.Object{"replicas": 3},
	})
	p := w.start(t, nil)
	a := only(t, p, "widget")
	var reads atomic.Int32
	w.Hook(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/widgets/web/scale") && r.Method == http.MethodGet {
			reads.Add(1)
		}
		return false
	})
	for range 3 {
		obs, err := p.Observe(t.Context(), a, w.now)
		if err != nil || obs.Current != 3 || len(obs.Replicas) != 2 {
			t.Fatalf("observation is %+v, %v", obs, err)
		}
	}
	if n := reads.Load(); n != 1 {
		t.Errorf("the scale was read %d times within a second", n)
	}
	if err := p.Scale(t.Context(), a, hpa.Recommendation{At: w.now, Current: 3, Desired: 4}); err != nil {
		t.Fatal(err)
	}
	if obs, err := p.Observe(t.Context(), a, w.now); err != nil || obs.Current != 4 {
		t.Errorf("after the scaling the target asks for %d, %v", obs.Current, err)
	}
	for name, want := range map[string]string{"none": "find target shop/widget/none", "kind": "find kind Gadget of example.dev/v1"} {
		if _, err := p.Observe(t.Context(), only(t, p, name), w.now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
}

func TestScaleIsGuarded(t *testing.T) {
	w := newWorld(t)
	w.autoscaler(t, "web", nil)
	p := w.start(t, nil)
	a := only(t, p, "web")
	if err := p.Scale(t.Context(), a, hpa.Recommendation{Current: 3, Desired: 4}); !errors.Is(err, control.ErrConflict) {
		t.Errorf("scaling from a number that the target does not have: %v", err)
	}
	if n := len(w.Writes()); n != 0 {
		t.Errorf("a scaling that does not fit wrote %v", w.Writes())
	}
	if err := p.Scale(t.Context(), a, hpa.Recommendation{Current: 2, Desired: 4}); err != nil {
		t.Fatal(err)
	}
	if obs, err := p.Observe(t.Context(), a, w.now); err != nil || obs.Current != 4 {
		t.Errorf("right after the scaling the target asks for %d, %v", obs.Current, err)
	}
	// Somebody else writes between our read and our write.
	w.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || !strings.HasSuffix(r.URL.Path, "/scale") {
			return false
		}
		apitest.Refuse(rw, http.StatusConflict, metav1.StatusReasonConflict, "the object has been modified")
		return true
	})
	if err := p.Scale(t.Context(), a, hpa.Recommendation{Current: 4, Desired: 3}); !errors.Is(err, control.ErrConflict) {
		t.Errorf("the API server refuses a stale write: %v", err)
	}
}

func recommendation(at time.Time, current, desired int32, value int64) hpa.Recommendation {
	return hpa.Recommendation{
		At: at, Current: current, Proposed: desired, Desired: desired, Reason: hpa.ReasonDesiredWithinRange, Message: "cpu is at work",
		Metrics: []hpa.MetricProposal{{
			Metric: hpa.Metric{Source: hpa.OfResource(hpa.CPU), Type: hpa.Utilization, Target: 40}, Replicas: desired, Value: value, Utilization: value, Ratio: 1,
		}},
		Conditions: []hpa.Condition{
			{Type: v1alpha1.ConditionAbleToScale, Status: true, Reason: "ReadyForNewScale", Message: "m"},
			{Type: v1alpha1.ConditionScalingActive, Status: true, Reason: "ValidMetricFound", Message: "m"},
			{Type: v1alpha1.ConditionScalingLimited, Reason: "DesiredWithinRange", Message: "m"},
		},
	}
}

// reasons returns the reasons of the events that were stored, sorted by the name of the event's object.
func reasons(t *testing.T, w *world) []string {
	t.Helper()
	var out []string
	for _, e := range apitest.List[corev1.Event](t, w.Server, "events") {
		for range max(1, e.Count) {
			out = append(out, e.InvolvedObject.Kind+" "+e.Reason)
		}
	}
	slices.Sort(out)
	return out
}

func TestReportWritesOnlyWhatChanged(t *testing.T) {
	w := newWorld(t)
	w.autoscaler(t, "web", nil)
	p := w.start(t, nil)
	a := only(t, p, "web")
	report := func(want int, what string, rec hpa.Recommendation, err error) {
		t.Helper()
		if err := p.Report(t.Context(), a, rec, hpa.History{}, err); err != nil {
			t.Fatal(err)
		}
		if got := statusWrites(w, "web"); got != want {
			t.Errorf("%s: %d writes so far, want %d", what, got, want)
		}
	}
	at := w.now
	report(1, "the first report", recommendation(at, 2, 2, 30), nil)
	report(1, "the same again, at once", recommendation(at.Add(time.Second), 2, 2, 30), nil)
	report(1, "the same again, later", recommendation(at.Add(time.Minute), 2, 2, 30), nil)
	report(1, "another value, at once", recommendation(at.Add(time.Second), 2, 2, 31), nil)
	report(2, "another value, later", recommendation(at.Add(16*time.Second), 2, 2, 31), nil)
	report(3, "a scaling", recommendation(at.Add(17*time.Second), 2, 4, 80), nil)

	var stored v1alpha1.Autoscaler
	w.Get(t, "autoscalers", "shop", "web", &stored)
	s := stored.Status
	if s.CurrentReplicas != 4 || s.DesiredReplicas != 4 || s.ReplicasSummary != "4" || s.MetricsSummary != "cpu: 80%/40%" || s.LastScaleTime == nil ||
		len(s.LastChanges) != 1 || s.LastChanges[0].From != 2 || s.LastChanges[0].To != 4 || s.ObservedGeneration != 1 {
		t.Errorf("status is %+v", s)
	}
	if c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionAccepted); c == nil || c.Status != metav1.ConditionTrue {
		t.Errorf("conditions are %+v", s.Conditions)
	}
	until(t, "the event", func() bool { return slices.Equal(reasons(t, w), []string{"Autoscaler Scaled"}) })
	id := cluster.DecisionID(a.Ref, at.Add(17*time.Second), 2, 4)
	e := apitest.List[corev1.Event](t, w.Server, "events")[0]
	if s.LastChanges[0].ID != id || e.Annotations[cluster.IDAnnotation] != id || !strings.Contains(e.Message, id) {
		t.Errorf("id in the status %q, the event's annotation %q, its message %q; want %s", s.LastChanges[0].ID, e.Annotations[cluster.IDAnnotation], e.Message, id)
	}

	limited := recommendation(at.Add(18*time.Second), 4, 4, 90)
	limited.Reason = hpa.ReasonTooManyReplicas
	limited.Conditions[2] = hpa.Condition{Type: v1alpha1.ConditionScalingLimited, Status: true, Reason: "TooManyReplicas", Message: "limited to 4 by maxReplicas"}
	report(4, "a limit", limited, nil)
	limited.At = limited.At.Add(time.Hour)
	report(4, "the same limit", limited, nil)

	blind := recommendation(limited.At.Add(time.Second), 4, 4, 0)
	blind.Reason, blind.Metrics = hpa.ReasonNoMetrics, nil
	blind.Conditions[1] = hpa.Condition{Type: v1alpha1.ConditionScalingActive, Reason: "FailedGetResourceMetric", Message: "no samples"}
	report(5, "no metrics", blind, nil)
	until(t, "the limit's event, and none yet about metrics", func() bool {
		return slices.Equal(reasons(t, w), []string{"Autoscaler ScaleLimited", "Autoscaler Scaled"})
	})
	for range 3 {
		blind.At = blind.At.Add(40 * time.Second)
		report(5, "still no metrics", blind, nil)
	}
	until(t, "one event about metrics", func() bool {
		return slices.Equal(reasons(t, w), []string{"Autoscaler NoMetrics", "Autoscaler ScaleLimited", "Autoscaler Scaled"})
	})
	failed := recommendation(blind.At.Add(time.Second), 4, 5, 90)
	report(6, "a failed scaling", failed, errors.New("no route"))
	w.Get(t, "autoscalers", "shop", "web", &stored)
	if c := meta.FindStatusCondition(stored.Status.Conditions, v1alpha1.ConditionAbleToScale); c.Status != metav1.ConditionFalse ||
		c.Reason != "FailedUpdateScale" || c.Message != "no route" || len(stored.Status.LastChanges) != 1 {
		t.Errorf("after a failed scaling: %+v", c)
	}
}

func TestReportKeepsTheNumberWhereNoneWasDecided(t *testing.T) {
	w := newWorld(t)
	w.autoscaler(t, "web", nil)
	p := w.start(t, nil)
	a := only(t, p, "web")
	if err := p.Report(t.Context(), a, recommendation(w.now, 2, 2, 30), hpa.History{}, nil); err != nil {
		t.Fatal(err)
	}
	a.Invalid, a.InvalidReason = "spec.maxReplicas is 0", "InvalidSpec"
	rec := hpa.Recommendation{At: w.now.Add(time.Second), Reason: "InvalidSpec", Message: a.Invalid}
	if err := p.Report(t.Context(), a, rec, hpa.History{}, nil); err != nil {
		t.Fatal(err)
	}
	var stored v1alpha1.Autoscaler
	w.Get(t, "autoscalers", "shop", "web", &stored)
	s := stored.Status
	if s.CurrentReplicas != 2 || s.LastDecision.Desired != 2 || s.LastDecision.Reason != "InvalidSpec" {
		t.Errorf("status is %+v with %+v", s, s.LastDecision)
	}
	c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionAccepted)
	if c.Status != metav1.ConditionFalse || c.Reason != "InvalidSpec" || c.Message != a.Invalid {
		t.Errorf("accepted is %+v", c)
	}
}

func TestReportAgainstOthersWrites(t *testing.T) {
	w := newWorld(t)
	w.autoscaler(t, "web", nil)
	p := w.start(t, nil)
	a := only(t, p, "web")
	var refused atomic.Bool
	w.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || !refused.CompareAndSwap(false, true) {
			return false
		}
		apitest.Refuse(rw, http.StatusConflict, metav1.StatusReasonConflict, "the object has been modified")
		return true
	})
	if err := p.Report(t.Context(), a, recommendation(w.now, 2, 4, 80), hpa.History{}, nil); err != nil {
		t.Fatal(err)
	}
	var stored v1alpha1.Autoscaler
	w.Get(t, "autoscalers", "shop", "web", &stored)
	if !refused.Load() || len(stored.Status.LastChanges) != 1 || stored.Status.DesiredReplicas != 4 {
		t.Errorf("status after a conflict is %+v", stored.Status)
	}
	w.Remove(t, "autoscalers", "shop", "web")
	until(t, "a report on what is gone is a conflict", func() bool {
		return errors.Is(p.Report(t.Context(), a, recommendation(w.now, 4, 4, 80), hpa.History{}, nil), control.ErrConflict)
	})
}
