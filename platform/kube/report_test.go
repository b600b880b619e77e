package kube

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/platform/kube/internal/apitest"
)

// A value at the edge of its target makes another state of every decision.
func TestAStateThatComesAndGoesIsNotWrittenEverySecond(t *testing.T) {
	w := newWorld(t)
	w.autoscaler(t, "web", nil)
	p := w.start(t, nil)
	a := only(t, p, "web")
	for i := range 60 {
		rec := recommendation(w.now.Add(time.Duration(i)*time.Second), 2, 2, 30)
		rec.Reason = []hpa.Reason{hpa.ReasonTooManyReplicas, hpa.ReasonNoMetrics}[i%2]
		if err := p.Report(t.Context(), a, rec, hpa.History{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := statusWrites(w, "web"); n < 15 || n > 30 {
		t.Errorf("%d writes in a minute, want five at once and then one in three seconds", n)
	}
	at := w.now.Add(time.Minute)
	before := statusWrites(w, "web")
	if err := p.Report(t.Context(), a, recommendation(at, 2, 4, 80), hpa.History{}, nil); err != nil {
		t.Fatal(err)
	}
	a.Generation++
	if err := p.Report(t.Context(), a, recommendation(at, 4, 4, 30), hpa.History{}, nil); err != nil {
		t.Fatal(err)
	}
	if n := statusWrites(w, "web") - before; n != 2 {
		t.Errorf("a scaling and another spec were written %d times, want at once", n)
	}
}

func TestAStatusThatCannotBeWrittenIsNotTriedEverySecond(t *testing.T) {
	w := newWorld(t)
	w.autoscaler(t, "web", nil)
	p := w.start(t, nil)
	a := only(t, p, "web")
	w.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || !strings.HasSuffix(r.URL.Path, "/autoscalers/web/status") {
			return false
		}
		apitest.Refuse(rw, http.StatusForbidden, metav1.StatusReasonForbidden, "no right")
		return true
	})
	failed := 0
	for i := range 60 {
		if p.Report(t.Context(), a, recommendation(w.now.Add(time.Duration(i)*time.Second), 2, 2, 30), hpa.History{}, nil) != nil {
			failed++
		}
	}
	if failed != 4 {
		t.Errorf("tried %d times in a minute, want once in 15 s", failed)
	}
}

// A target at zero that nothing knows to be scaled there would stay at zero for good.
func TestALostStatusDoesNotSwitchATargetAtZeroOff(t *testing.T) {
	w := newWorld(t)
	w.deployment(t, 1)
	w.autoscaler(t, "web", nil)
	p := w.start(t, nil)
	a := only(t, p, "web")
	var lost atomic.Bool
	lost.Store(true)
	w.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || !strings.HasSuffix(r.URL.Path, "/autoscalers/web/status") || !lost.Load() {
			return false
		}
		apitest.Refuse(rw, http.StatusInternalServerError, metav1.StatusReasonInternalError, "no leader")
		return true
	})
	if obs := observe(t, p, a, time.Now()); obs.Current != 1 || obs.ScaledToZero {
		t.Fatalf("at first: %d replicas, scaled to zero %v", obs.Current, obs.ScaledToZero)
	}
	rec := recommendation(time.Now(), 1, 0, 0)
	rec.Conditions = append(rec.Conditions, hpa.Condition{Type: hpa.ScaledToZero, Status: true, Reason: hpa.CondScaledToZero})
	if err := p.Scale(t.Context(), a, rec); err != nil {
		t.Fatal(err)
	}
	if err := p.Report(t.Context(), a, rec, hpa.History{}, nil); err == nil {
		t.Fatal("the status was written")
	}
	if obs := observe(t, p, a, time.Now()); obs.Current != 0 || !obs.ScaledToZero {
		t.Errorf("then: %d replicas, scaled to zero %v", obs.Current, obs.ScaledToZero)
	}
	lost.Store(false)
	if err := p.Report(t.Context(), a, recommendation(time.Now().Add(time.Minute), 0, 0, 0), hpa.History{}, nil); err != nil {
		t.Fatal(err)
	}
	until(t, "the status says that it was scaled to zero", func() bool {
		s, err := p.scaler(a)
		return err == nil && s.scaledToZero()
	})
}

func statusWrites(w *world, name string) int {
	n := 0
	for _, line := range w.Writes() {
		if strings.HasSuffix(line, "/autoscalers/"+name+"/status") {
			n++
		}
	}
	return n
}
