package kube

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/policy"
	"github.com/homeostat/homeostat/platform/kube/internal/apitest"
	"github.com/homeostat/homeostat/platform/kube/view"
	"github.com/homeostat/homeostat/platform/kube/write"
)

// native puts a HorizontalPodAutoscaler of 1 to 4 replicas, 80 % of the CPU requests, for the Deployment web.
func (w *world) native(t *testing.T, name string, change func(*autoscalingv2.HorizontalPodAutoscaler)) {
	t.Helper()
	h := &autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta:   metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("hpa-" + name)},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"},
			MinReplicas:    new(int32(1)), MaxReplicas: 4,
			Metrics: []autoscalingv2.MetricSpec{{
				Type: autoscalingv2.ResourceMetricSourceType,
				Resource: &autoscalingv2.ResourceMetricSource{
					Name:   corev1.ResourceCPU,
					Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: new(int32(80))},
				},
			}},
		},
	}
	if change != nil {
		change(h)
	}
	w.Put(t, h)
}

// statusBy says who wrote the status when.
func statusBy(h *autoscalingv2.HorizontalPodAutoscaler, manager string, at time.Time) {
	h.ManagedFields = append(h.ManagedFields, metav1.ManagedFieldsEntry{
		Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, Subresource: "status", APIVersion: "autoscaling/v2",
		Time: &metav1.Time{Time: at}, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{"f:status":{"f:currentReplicas":{}}}`),
	})
}

// decisions is a recorder that keeps the last decision about each autoscaler.
type decisions struct{ last sync.Map }

func (d *decisions) Decided(a control.Autoscaler, _ hpa.Observation, _ hpa.History, rec hpa.Recommendation, _ error) {
	d.last.Store(a.Ref.Kind+" "+a.Ref.Name, rec)
}
func (d *decisions) Incident(incident.Incident)                      {}
func (d *decisions) Acted(healing.Action, healing.Result, time.Time) {}
func (d *decisions) Healed(control.HealingView)                      {}
func (d *decisions) Turned(string, time.Duration, error)             {}

// pass makes one pass of the scaling loop.
func (w *world) pass(t *testing.T, p *Platform) *decisions {
	t.Helper()
	d := &decisions{}
	if err := control.NewScaling(p, p, d, slog.New(slog.DiscardHandler)).Pass(t.Context(), w.now); err != nil {
		t.Fatal(err)
	}
	return d
}

// busy gives both replicas of web twice the CPU that they request.
func (w *world) busy() {
	w.sample("web-1", "web", 200, 1<<20)
	w.sample("web-2", "web", 200, 1<<20)
}

// writesOf returns the writes so far, without those of events.
func (w *world) writesOf() []string {
	return slices.DeleteFunc(w.Writes(), func(line string) bool { return strings.Contains(line, "/events") })
}

func TestNativeHPAsAreObservedAndNeverWritten(t *testing.T) {
	w := newWorld(t)
	w.busy()
	w.native(t, "web", func(h *autoscalingv2.HorizontalPodAutoscaler) { statusBy(h, "kube-controller-manager", time.Now()) })
	w.native(t, "left-out", func(h *autoscalingv2.HorizontalPodAutoscaler) {
		h.Annotations = map[string]string{view.ObserveAnnotation: "false"}
		h.Spec.ScaleTargetRef.Name = "other"
	})
	w.native(t, "plain", func(h *autoscalingv2.HorizontalPodAutoscaler) {
		h.Annotations = map[string]string{policy.HealthOffAnnotation: "partialIsMissing"}
		h.Spec.ScaleTargetRef.Name = "plain"
	})
	w.native(t, "mistaken", func(h *autoscalingv2.HorizontalPodAutoscaler) {
		h.Annotations = map[string]string{policy.HealthOffAnnotation: "everything"}
		h.Spec.ScaleTargetRef.Name = "mistaken"
	})
	w.native(t, "wrong", func(h *autoscalingv2.HorizontalPodAutoscaler) {
		h.Spec.Metrics[0].Resource.Target.AverageUtilization = new(int32(0))
		h.Spec.ScaleTargetRef.Name = "wrong"
	})
	p := w.start(t, nil)
	a := only(t, p, "web")
	if a.Ref.Kind != "HorizontalPodAutoscaler" || a.Ref.UID != "hpa-web" || a.Mode != control.DryRun || a.Invalid != "" ||
		a.Target.Kind != "Deployment" || a.Target.Name != "web" || a.Policy.Max != 4 || a.Policy.Health != hpa.DefaultHealth() {
		t.Errorf("the HPA is %+v", a)
	}
	if a := only(t, p, "wrong"); a.InvalidReason != "InvalidSpec" || !strings.Contains(a.Invalid, "spec.metrics[0]") {
		t.Errorf("an HPA that cannot be read is %q because %q", a.InvalidReason, a.Invalid)
	}
	without := hpa.DefaultHealth()
	without.PartialIsMissing = false
	if a := only(t, p, "plain"); a.Invalid != "" || a.Policy.Health != without {
		t.Errorf("with a rule switched off the HPA is %+v", a)
	}
	if a := only(t, p, "mistaken"); a.InvalidReason != "InvalidSpec" || !strings.Contains(a.Invalid, `homeostat.dev/health-off]: "everything"`) {
		t.Errorf("an annotation that cannot be read is %q because %q", a.InvalidReason, a.Invalid)
	}
	list, err := p.Autoscalers(t.Context())
	if err != nil || len(list) != 4 {
		t.Errorf("the annotation does not leave an HPA out: %+v, %v", list, err)
	}
	d := w.pass(t, p)
	last, _ := d.last.Load("HorizontalPodAutoscaler web")
	if rec, ok := last.(hpa.Recommendation); !ok || rec.Current != 2 || rec.Desired != 4 {
		t.Errorf("two busy replicas are decided as %+v", last)
	}
	if got := w.writesOf(); len(got) > 0 {
		t.Errorf("observing wrote %v", got)
	}
}

func TestNativeHPAsCanBeLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.native(t, "web", nil)
	w.autoscaler(t, "web", nil)
	p := w.start(t, func(o *Options) { o.NativeHPAs = NativeOff })
	list, err := p.Autoscalers(t.Context())
	if err != nil || len(list) != 1 || list[0].Ref.Kind != "Autoscaler" {
		t.Fatalf("with nativeHPAs Off there are %+v, %v", list, err)
	}
	if list[0].InvalidReason != "AmbiguousTarget" {
		t.Errorf("with nativeHPAs Off the HPA is no conflict any more: %+v", list[0])
	}
	if _, err := New(Options{REST: w.Config(), Store: w.store, Identity: "me", NativeHPAs: "On"}); err == nil || !strings.Contains(err.Error(), `NativeHPAs is "On"`) {
		t.Errorf("an unknown choice: %v", err)
	}
}

func TestNativeHPAsAreManaged(t *testing.T) {
	w := newWorld(t)
	w.busy()
	w.native(t, "web", func(h *autoscalingv2.HorizontalPodAutoscaler) {
		h.Labels = map[string]string{"team": "checkout"}
		statusBy(h, "kube-controller-manager", w.now.Add(-firstQuiet-time.Minute)) // switched off since
	})
	p := w.start(t, func(o *Options) { o.NativeHPAs = NativeManage })
	if a := only(t, p, "web"); a.Mode != control.Active || a.Invalid != "" || a.Policy.Health != hpa.DefaultHealth() {
		t.Fatalf("the HPA is %+v", a)
	}
	w.pass(t, p)
	var d autoscalingv2.HorizontalPodAutoscaler
	w.Get(t, "horizontalpodautoscalers", "shop", "web", &d)
	s := d.Status
	if s.CurrentReplicas != 2 || s.DesiredReplicas != 4 || s.LastScaleTime == nil || d.Labels["team"] != "checkout" || d.Spec.MaxReplicas != 4 {
		t.Errorf("the HPA is %+v", d)
	}
	if len(s.CurrentMetrics) != 1 || *s.CurrentMetrics[0].Resource.Current.AverageUtilization != 200 {
		t.Errorf("current metrics are %+v", s.CurrentMetrics)
	}
	got := map[autoscalingv2.HorizontalPodAutoscalerConditionType]string{}
	for _, c := range s.Conditions {
		got[c.Type] = string(c.Status) + " " + c.Reason
	}
	if _, has := got["ScaledToZero"]; has {
		t.Errorf("conditions are %v: what was never at zero needs no word about it", got)
	}
	if got["AbleToScale"] != "True SucceededRescale" || got["ScalingActive"] != "True ValidMetricFound" || got["ScalingLimited"] == "" {
		t.Errorf("conditions are %v", got)
	}
	if got, want := w.writesOf(), []string{
		"PUT /apis/apps/v1/namespaces/shop/deployments/web/scale",
		"PATCH /apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/web/status",
	}; !slices.Equal(got, want) {
		t.Errorf("managing wrote %v, want %v", got, want)
	}
	until(t, "the event", func() bool {
		e := apitest.List[corev1.Event](t, w.Server, "events")
		return len(e) == 1 && e[0].Reason == "SuccessfulRescale" && strings.HasPrefix(e[0].Message, "New size: 4; reason: ")
	})
}

func TestTheStatusOfAManagedHPAIsWrittenAsKubernetesWould(t *testing.T) {
	w := newWorld(t)
	w.native(t, "web", nil)
	p := w.start(t, func(o *Options) { o.NativeHPAs = NativeManage })
	a := only(t, p, "web")
	report := func(want int, what string, rec hpa.Recommendation, err error) *autoscalingv2.HorizontalPodAutoscalerStatus {
		t.Helper()
		if err := p.Report(t.Context(), a, rec, hpa.History{}, err); err != nil {
			t.Fatal(err)
		}
		if got := len(w.writesOf()); got != want {
			t.Errorf("%s: %d writes so far, want %d", what, got, want)
		}
		var h autoscalingv2.HorizontalPodAutoscaler
		w.Get(t, "horizontalpodautoscalers", "shop", "web", &h)
		return &h.Status
	}
	at := w.now
	report(1, "the first report", recommendation(at, 2, 2, 30), nil)
	report(1, "the same, later", recommendation(at.Add(time.Minute), 2, 2, 30), nil)
	report(1, "another value, at once", recommendation(at.Add(time.Second), 2, 2, 31), nil)
	s := report(2, "another value, later", recommendation(at.Add(16*time.Second), 2, 2, 31), nil)
	if s.LastScaleTime != nil || s.DesiredReplicas != 2 {
		t.Errorf("status is %+v", s)
	}
	s = report(3, "a scaling", recommendation(at.Add(17*time.Second), 2, 4, 80), nil)
	if s.LastScaleTime == nil || s.CurrentReplicas != 2 || s.DesiredReplicas != 4 {
		t.Errorf("status after a scaling is %+v", s)
	}
	scaled := s.LastScaleTime
	failed := recommendation(at.Add(18*time.Second), 4, 5, 90)
	s = report(4, "a scaling that failed", failed, context.DeadlineExceeded)
	i := slices.IndexFunc(s.Conditions, func(c autoscalingv2.HorizontalPodAutoscalerCondition) bool { return c.Type == "AbleToScale" })
	if c := s.Conditions[i]; c.Status != corev1.ConditionFalse || c.Reason != "FailedUpdateScale" || s.DesiredReplicas != 4 || !s.LastScaleTime.Equal(scaled) {
		t.Errorf("status after a scaling that failed is %+v", s)
	}
	blind := recommendation(at.Add(19*time.Second), 4, 4, 0)
	blind.Reason, blind.Metrics = hpa.ReasonNoMetrics, nil
	blind.Conditions = []hpa.Condition{{Type: "ScalingActive", Reason: "FailedGetResourceMetric", Message: "no samples"}}
	s = report(5, "no metrics", blind, nil)
	if s.DesiredReplicas != 4 || len(s.CurrentMetrics) != 0 || len(s.Conditions) != 3 {
		t.Errorf("status without metrics is %+v", s)
	}
	until(t, "the events", func() bool {
		return slices.Equal(reasons(t, w), []string{
			"HorizontalPodAutoscaler FailedGetResourceMetric", "HorizontalPodAutoscaler FailedRescale", "HorizontalPodAutoscaler SuccessfulRescale",
		})
	})
	zero := func(seconds int, status bool, current, desired int32) hpa.Recommendation {
		rec := recommendation(at.Add(time.Duration(seconds)*time.Second), current, desired, 0)
		rec.Conditions = append(rec.Conditions, hpa.Condition{Type: "ScaledToZero", Status: status, Reason: "r"})
		return rec
	}
	has := func(s *autoscalingv2.HorizontalPodAutoscalerStatus) string {
		for _, c := range s.Conditions {
			if c.Type == "ScaledToZero" {
				return string(c.Status)
			}
		}
		return ""
	}
	if s = report(6, "a scaling to zero that failed", zero(20, true, 4, 0), context.DeadlineExceeded); has(s) != "" {
		t.Errorf("what was not scaled to zero says %q", has(s))
	}
	if s = report(7, "a scaling to zero", zero(21, true, 4, 0), nil); has(s) != "True" {
		t.Errorf("what was scaled to zero says %q", has(s))
	}
	if s = report(8, "a scaling from zero", zero(22, false, 0, 1), nil); has(s) != "False" {
		t.Errorf("what was scaled from zero says %q", has(s))
	}
	w.Remove(t, "horizontalpodautoscalers", "shop", "web")
	until(t, "what is gone is forgotten", func() bool {
		p.natives.mu.Lock()
		defer p.natives.mu.Unlock()
		return len(p.natives.entries) == 0
	})
}

func TestAnHPAThatAnotherControllerWritesIsRefused(t *testing.T) {
	w := newWorld(t)
	w.busy()
	w.native(t, "web", func(h *autoscalingv2.HorizontalPodAutoscaler) {
		statusBy(h, "kube-controller-manager", w.now.Add(-time.Minute))
	})
	p := w.start(t, func(o *Options) { o.NativeHPAs = NativeManage })
	for range 2 {
		w.pass(t, p)
	}
	a := only(t, p, "web")
	if a.InvalidReason != "OtherController" || !strings.Contains(a.Invalid, "kube-controller-manager wrote the status") ||
		!strings.Contains(a.Invalid, "-horizontal-pod-autoscaler-controller") {
		t.Errorf("the HPA is %q because %q", a.InvalidReason, a.Invalid)
	}
	if got := w.writesOf(); len(got) > 0 {
		t.Errorf("what another controller scales was written: %v", got)
	}
	until(t, "one event says so", func() bool {
		return slices.Equal(reasons(t, w), []string{"HorizontalPodAutoscaler OtherController"})
	})
}

func TestWhenAnotherControllerCountsAsGone(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	h := func(writers ...view.FieldWriter) *view.NativeHPA {
		return &view.NativeHPA{Meta: view.Meta{UID: "u"}, StatusWriters: writers}
	}
	other := func(ago time.Duration) view.FieldWriter {
		return view.FieldWriter{Manager: "kube-controller-manager", At: now.Add(-ago)}
	}
	own := func(ago time.Duration) view.FieldWriter {
		return view.FieldWriter{Manager: write.FieldManager, At: now.Add(-ago)}
	}
	refused := func(n *natives, h *view.NativeHPA, at time.Time) bool {
		_, until := n.rival(h, at)
		return at.Before(until)
	}
	for _, tt := range []struct {
		name string
		h    *view.NativeHPA
		want bool
	}{
		{"nobody has written", h(), false},
		{"it wrote a moment ago", h(other(time.Second)), true},
		{"it wrote long ago", h(other(3 * time.Minute)), false},
		{"it wrote long ago, and this one since", h(other(3*time.Minute), own(time.Minute)), false},
		{"it wrote after this one", h(own(4*time.Minute), other(3*time.Minute)), true},
		{"it wrote after this one, and not for long since", h(own(9*time.Minute), other(8*time.Minute)), false},
	} {
		if got := refused(newNatives(), tt.h, now); got != tt.want {
			t.Errorf("%s: refused is %v", tt.name, got)
		}
	}
	// Every time that it writes over what was written here, it is waited for twice as long; the same write counts once.
	n := newNatives()
	for i, quiet := range []time.Duration{4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour} {
		n.wrote("u", now)
		over := view.FieldWriter{Manager: "kube-controller-manager", At: now.Add(10 * time.Second)}
		for range 3 {
			if _, until := n.rival(h(over), now.Add(20*time.Second)); !until.Equal(over.At.Add(quiet)) {
				t.Errorf("after %d writes over this one's it is waited until %v, want %v after it", i+1, until, quiet)
			}
		}
		now = now.Add(2 * time.Hour)
	}
}
