package kube

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/platform/kube/internal/apitest"
	"github.com/homeostat/homeostat/platform/kube/write"
)

func inSystem(o *Options) { o.SelfNamespace = "homeostat-system" }

func TestTheBudgetOfTheClusterIsStored(t *testing.T) {
	w := newWorld(t)
	p := w.start(t, inSystem)
	b := healing.ClusterBudget{Actions: 2, Period: time.Hour}
	now := w.now.Truncate(time.Microsecond)
	for i, id := range []string{"a", "a", "b"} {
		if err := p.ChargeCluster(t.Context(), b, id, now.Add(time.Duration(i)*time.Minute)); err != nil {
			t.Fatalf("charge %d: %v", i, err)
		}
	}
	if err := p.ChargeCluster(t.Context(), b, "c", now.Add(3*time.Minute)); !errors.Is(err, control.ErrBudget) || !strings.Contains(err.Error(), "2 of 2") {
		t.Errorf("a third action: %v", err)
	}
	want := []time.Time{now, now.Add(2 * time.Minute)}
	if got := p.ClusterSpent(); !slices.EqualFunc(got, want, time.Time.Equal) {
		t.Errorf("spent is %v, want %v", got, want)
	}
	// Who leads next knows it.
	next := w.start(t, inSystem)
	until(t, "the next leader has read it", func() bool { return slices.EqualFunc(next.ClusterSpent(), want, time.Time.Equal) })
	if err := next.ChargeCluster(t.Context(), b, "c", now.Add(time.Hour)); err != nil {
		t.Errorf("after the first has left the period: %v", err)
	}
	var stored corev1.ConfigMap
	if !w.Get(t, "configmaps", "homeostat-system", write.BudgetName, &stored) || strings.Count(stored.Data[write.BudgetActions], `"id"`) != 2 {
		t.Errorf("stored is %+v, want what is in the period only", stored.Data)
	}
	writes := len(w.Writes())
	if err := next.ChargeCluster(t.Context(), healing.ClusterBudget{}, "d", now); err != nil || len(w.Writes()) != writes {
		t.Errorf("a budget that bounds nothing: %v, %d writes", err, len(w.Writes())-writes)
	}
}

func TestTwoLeadersDoNotSpendOneActionTwice(t *testing.T) {
	w := newWorld(t)
	p := w.start(t, inSystem)
	b := healing.ClusterBudget{Actions: 2, Period: time.Hour}
	if err := p.ChargeCluster(t.Context(), b, "a", w.now); err != nil {
		t.Fatal(err)
	}
	var once atomic.Bool
	w.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || !strings.HasSuffix(r.URL.Path, write.BudgetName) || once.Swap(true) {
			return false
		}
		// Another one has charged between the reading and the writing.
		w.Put(t, corev1.ConfigMap{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Namespace: "homeostat-system", Name: write.BudgetName},
			Data: map[string]string{write.BudgetActions: `[{"id":"a","at":"` + w.now.Format(time.RFC3339Nano) + `"},{"id":"x","at":"` + w.now.Format(time.RFC3339Nano) + `"}]`},
		})
		return false
	})
	if err := p.ChargeCluster(t.Context(), b, "b", w.now); !errors.Is(err, control.ErrBudget) {
		t.Errorf("charge is %v, want the budget exhausted by the other one", err)
	}
	if got := p.ClusterSpent(); len(got) != 2 {
		t.Errorf("spent is %v", got)
	}
}

func TestABudgetThatCannotBeReadIsNotSpent(t *testing.T) {
	w := newWorld(t)
	w.Put(t, corev1.ConfigMap{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Namespace: "homeostat-system", Name: write.BudgetName},
		Data: map[string]string{write.BudgetActions: "many"},
	})
	p := w.start(t, inSystem)
	b := healing.ClusterBudget{Actions: 2, Period: time.Hour}
	if err := p.ChargeCluster(t.Context(), b, "a", w.now); err == nil || !strings.Contains(err.Error(), `data.actions: "many" is not allowed`) {
		t.Errorf("charge is %v", err)
	}
	for _, long := range []string{strings.Repeat("ä", 300_000), `[{"id":"a","at":"` + strings.Repeat("9", 300_000) + `"}]`} {
		w.Put(t, corev1.ConfigMap{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Namespace: "homeostat-system", Name: write.BudgetName},
			Data: map[string]string{write.BudgetActions: long},
		})
		err := p.ChargeCluster(t.Context(), b, "a", w.now)
		if err == nil || len(err.Error()) > 512 || !utf8.ValidString(err.Error()) || !strings.Contains(err.Error(), "homeostat-system/homeostat-budget: data.actions: ") ||
			!strings.Contains(err.Error(), "must be a JSON list") {
			t.Errorf("a charge to a budget of %d bytes is %.600v", len(long), err)
		}
	}
	w.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, write.BudgetName) {
			return false
		}
		apitest.Refuse(rw, http.StatusForbidden, metav1.StatusReasonForbidden, "cannot get resource configmaps")
		return true
	})
	if err := p.ChargeCluster(t.Context(), b, "a", w.now); err == nil {
		t.Error("charged without the right to")
	}
}

func TestOutsideAClusterTheBudgetIsKeptInMemory(t *testing.T) {
	w := newWorld(t)
	p := w.start(t, nil)
	b := healing.ClusterBudget{Actions: 1, Period: time.Hour}
	if err := p.ChargeCluster(t.Context(), b, "a", w.now); err != nil {
		t.Fatal(err)
	}
	if err := p.ChargeCluster(t.Context(), b, "b", w.now); !errors.Is(err, control.ErrBudget) || len(p.ClusterSpent()) != 1 {
		t.Errorf("charge is %v with %v spent", err, p.ClusterSpent())
	}
	if len(w.Writes()) != 0 {
		t.Errorf("wrote %v", w.Writes())
	}
}

// A root incident that was saved a moment ago must not be opened a second time.
func TestANewIncidentIsAmongAllAtOnce(t *testing.T) {
	w := newWorld(t)
	p := w.start(t, nil)
	w.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("watch") == "" {
			return false
		}
		apitest.Refuse(rw, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "later")
		return true
	})
	w.CloseWatches()
	if _, err := p.Save(t.Context(), w.anIncident("web-new", "Open")); err != nil {
		t.Fatal(err)
	}
	if got := p.AllIncidents(); len(got) != 1 || got[0].Name != "web-new" {
		t.Errorf("all incidents are %+v", got)
	}
}

// TestAChargeThatLeftThePeriodIsChargedAgain verifies that the same remediation, tried again after its charge ran out, is held against
// the actions of now.
func TestAChargeThatLeftThePeriodIsChargedAgain(t *testing.T) {
	b := healing.ClusterBudget{Actions: 1, Period: time.Hour}
	began := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	spent, changed, err := write.Spend(nil, b, "restart-1", began)
	if err != nil || !changed {
		t.Fatalf("changed %t, error %v", changed, err)
	}
	if spent, changed, err = write.Spend(spent, b, "restart-1", began.Add(time.Minute)); err != nil || changed {
		t.Fatalf("the same remediation within the hour: changed %t, error %v", changed, err)
	}
	if spent, changed, err = write.Spend(spent, b, "restart-1", began.Add(2*time.Hour)); err != nil || !changed {
		t.Fatalf("the same remediation two hours later: changed %t, error %v", changed, err)
	}
	if _, _, err = write.Spend(spent, b, "restart-2", began.Add(2*time.Hour)); !errors.Is(err, control.ErrBudget) {
		t.Errorf("a second action within the hour of a budget of one: error %v, want %v", err, control.ErrBudget)
	}
}
