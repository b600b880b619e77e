package kube

import (
	"errors"
	"strings"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/platform/kube/internal/apitest"
)

// deploymentBy puts the Deployment web with a number of replicas that a manager has given.
func (w *world) deploymentBy(t *testing.T, replicas int, manager string, operation metav1.ManagedFieldsOperationType) {
	t.Helper()
	w.Put(t, apitest.Object{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": apitest.Object{"namespace": "shop", "name": "web", "uid": "d-web", "managedFields": []apitest.Object{{
			"manager": manager, "operation": operation, "apiVersion": "apps/v1", "time": w.now.Format(time.RFC3339), "fieldsType": "FieldsV1",
			"fieldsV1": apitest.Object{"f:spec": apitest.Object{"f:replicas": apitest.Object{}}},
		}}},
		"spec": apitest.Object{"replicas": replicas, "selector": matching("web"), "template": podTemplate("web")},
	})
}

// conflictOf returns the condition Conflict of the Autoscaler web.
func conflictOf(t *testing.T, w *world) *metav1.Condition {
	t.Helper()
	var a v1alpha1.Autoscaler
	w.Get(t, "autoscalers", "shop", "web", &a)
	return meta.FindStatusCondition(a.Status.Conditions, "Conflict")
}

func TestATargetThatKedaScalesIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.autoscaler(t, "web", nil)
	w.autoscaler(t, "paused", func(a *v1alpha1.Autoscaler) { a.Spec.ScaleTargetRef.Name = "api" })
	w.autoscaler(t, "made", func(a *v1alpha1.Autoscaler) { a.Spec.ScaleTargetRef.Name = "orders" })
	for name, annotations := range map[string]map[string]string{"web": nil, "api": {"autoscaling.keda.sh/paused": "true"}} {
		w.Put(t, apitest.Object{
			"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
			"metadata": apitest.Object{"namespace": "shop", "name": "so-" + name, "annotations": annotations},
			"spec":     apitest.Object{"scaleTargetRef": apitest.Object{"name": name}},
		})
	}
	yes := true
	w.native(t, "keda-hpa-orders", func(h *autoscalingv2.HorizontalPodAutoscaler) {
		h.Spec.ScaleTargetRef.Name = "orders"
		h.OwnerReferences = []metav1.OwnerReference{{APIVersion: "keda.sh/v1alpha1", Kind: "ScaledObject", Name: "orders", Controller: &yes}}
	})
	p := w.start(t, nil)
	until(t, "the ScaledObject is known", func() bool { return len(p.keda.Objects()) == 2 })
	if a := only(t, p, "web"); a.InvalidReason != "AmbiguousTarget" || !strings.Contains(a.Invalid, "ScaledObject so-web (KEDA)") {
		t.Errorf("the Autoscaler is %q because %q", a.InvalidReason, a.Invalid)
	}
	if a := only(t, p, "paused"); a.Invalid != "" {
		t.Errorf("a ScaledObject that is paused is in the way: %q", a.Invalid)
	}
	a := only(t, p, "made")
	if !strings.Contains(a.Invalid, "ScaledObject orders (KEDA, by way of HorizontalPodAutoscaler keda-hpa-orders)") || strings.Contains(a.Invalid, "adopt") {
		t.Errorf("the Autoscaler of what KEDA's own HPA scales is invalid because %q", a.Invalid)
	}
	w.pass(t, p)
	if c := conflictOf(t, w); c == nil || c.Status != metav1.ConditionTrue || c.Reason != "AmbiguousTarget" {
		t.Errorf("condition is %+v", c)
	}
	w.Remove(t, "scaledobjects", "shop", "so-web")
	until(t, "the target is free", func() bool { return only(t, p, "web").Invalid == "" })
	until(t, "the condition says so", func() bool { // at the first pass that sees the condition
		w.pass(t, p)
		c := conflictOf(t, w)
		return c.Status == metav1.ConditionFalse && c.Reason == "NoConflict"
	})
}

func TestAHintLeadsFromAnHPAToAdoption(t *testing.T) {
	w := newWorld(t)
	w.native(t, "stock", nil)
	w.autoscaler(t, "web", nil)
	p := w.start(t, nil)
	for _, a := range must(p.Autoscalers(t.Context())) {
		if a.Ref.Name == "web" && !strings.Contains(a.Invalid, "`homeostat adopt hpa/stock --swap`") {
			t.Errorf("the Autoscaler is invalid because %q", a.Invalid)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestAnAppliedNumberIsAWarning(t *testing.T) {
	w := newWorld(t)
	w.autoscaler(t, "web", nil)
	w.deploymentBy(t, 2, "argocd-controller", metav1.ManagedFieldsOperationApply)
	p := w.start(t, nil)
	if a := only(t, p, "web"); a.Invalid != "" {
		t.Fatalf("a number that was applied once refuses the Autoscaler: %q", a.Invalid)
	}
	w.busy()
	w.pass(t, p)
	c := conflictOf(t, w)
	if c == nil || c.Status != metav1.ConditionTrue || c.Reason != "ReplicasApplied" || !strings.Contains(c.Message, "argocd-controller") ||
		!strings.Contains(c.Message, "ignoreDifferences") {
		t.Errorf("condition is %+v", c)
	}
	var scaled struct{ Spec struct{ Replicas int } }
	if w.Get(t, "deployments", "shop", "web", &scaled); scaled.Spec.Replicas != 4 {
		t.Errorf("the target asks for %d: a warning must not hold it", scaled.Spec.Replicas)
	}
	w.deploymentBy(t, 4, "homeostat", metav1.ManagedFieldsOperationUpdate) // what the API server makes of our write
	until(t, "the field is ours", func() bool {
		w.pass(t, p)
		c := conflictOf(t, w)
		return c.Status == metav1.ConditionFalse && c.Reason == "NoConflict"
	})
}

func TestANumberThatIsWrittenBackIsNotFoughtOver(t *testing.T) {
	w := newWorld(t)
	w.autoscaler(t, "web", nil)
	p := w.start(t, nil)
	a := only(t, p, "web")
	scale := func() error {
		return p.Scale(t.Context(), a, hpa.Recommendation{At: w.now, Current: 2, Desired: 4})
	}
	writeBack := func() {
		t.Helper()
		w.deploymentBy(t, 2, "kustomize-controller", metav1.ManagedFieldsOperationUpdate)
		until(t, "it is seen", func() bool {
			obs, err := p.Observe(t.Context(), a, time.Now())
			return err == nil && obs.Current == 2
		})
	}
	for i := range 2 {
		if err := scale(); err != nil {
			t.Fatalf("scaling %d: %v", i+1, err)
		}
		writeBack()
	}
	writes := len(w.writesOf())
	err := scale()
	if !errors.Is(err, control.ErrConflict) || !strings.Contains(err.Error(), "kustomize-controller") || len(w.writesOf()) != writes {
		t.Errorf("after the second time that it was written back: %v, writes %v", err, w.writesOf())
	}
	b := only(t, p, "web")
	for _, want := range []string{"kustomize-controller set spec.replicas of shop/deployment/web to 2 after it had been scaled to 4", "nothing is written until", "Flux"} {
		if !strings.Contains(b.Invalid, want) {
			t.Errorf("the Autoscaler is invalid because %q, which does not say %q", b.Invalid, want)
		}
	}
	if b.InvalidReason != "ReplicasReverted" {
		t.Errorf("the reason is %q", b.InvalidReason)
	}
	w.busy()
	w.pass(t, p)
	if c := conflictOf(t, w); c == nil || c.Status != metav1.ConditionTrue || c.Reason != "ReplicasReverted" {
		t.Errorf("condition is %+v", c)
	}
	var target struct{ Spec struct{ Replicas int } }
	if w.Get(t, "deployments", "shop", "web", &target); target.Spec.Replicas != 2 {
		t.Errorf("while it is held, the target was scaled to %d", target.Spec.Replicas)
	}
}

func TestOneWhoScalesByHandIsNoRival(t *testing.T) {
	w := newWorld(t)
	w.autoscaler(t, "web", nil)
	p := w.start(t, nil)
	a := only(t, p, "web")
	if err := p.Scale(t.Context(), a, hpa.Recommendation{Current: 2, Desired: 4}); err != nil {
		t.Fatal(err)
	}
	w.deployment(t, 3)
	until(t, "it is seen", func() bool {
		obs, err := p.Observe(t.Context(), a, time.Now())
		return err == nil && obs.Current == 3
	})
	if err := p.Scale(t.Context(), a, hpa.Recommendation{Current: 3, Desired: 4}); err != nil || only(t, p, "web").Invalid != "" {
		t.Errorf("after one change by somebody else: %v, %q", err, only(t, p, "web").Invalid)
	}
}

func TestHoldsGrowAndEnd(t *testing.T) {
	const key = "Deployment/shop/web"
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	c := newContests()
	// fight writes and is written over, gap apart, until it is held or has written n times.
	fight := func(n int, gap time.Duration) (held time.Duration) {
		for range n {
			c.wrote(key, 4, now)
			now = now.Add(gap)
			if !c.overwritten(key, 2, now) {
				continue
			}
			if c.reverted(key, now, func(int32, time.Time) string { return "held" }) {
				return c.targets[key].until.Sub(now)
			}
		}
		return 0
	}
	if c.overwritten(key, 2, now) {
		t.Error("a target that was never written counts as overwritten")
	}
	for i, want := range []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 40 * time.Minute, time.Hour, time.Hour} {
		if got := fight(2, time.Minute); got != want {
			t.Errorf("hold %d is %v, want %v", i+1, got, want)
		}
		if c.held(key, now) == "" {
			t.Error("nothing says that it is held")
		}
		now = now.Add(want)
		if why := c.held(key, now); why != "" {
			t.Errorf("after its end it is still held: %q", why)
		}
	}
	now = now.Add(2 * time.Hour)
	if got := fight(2, time.Minute); got != 5*time.Minute {
		t.Errorf("long after the last time the hold is %v", got)
	}
	now = now.Add(3 * time.Hour)
	if got := fight(10, 6*time.Minute); got != 0 {
		t.Errorf("writes that stood for more than %v are a reason to hold for %v", revertWindow, got)
	}
	if got := fight(1, time.Minute); got != 0 {
		t.Errorf("one write over ours is a reason to hold for %v", got)
	}
	c.wrote(key, 4, now)
	if c.overwritten(key, 4, now.Add(time.Second)) {
		t.Error("our own number counts as somebody else's")
	}
	c.wrote("Deployment/shop/other", 1, now.Add(3*time.Hour))
	if len(c.targets) != 1 {
		t.Errorf("%d targets are remembered", len(c.targets))
	}
}
