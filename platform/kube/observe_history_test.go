package kube

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	autoscalingv2 "k8s.io/api/autoscaling/v2"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/platform/kube/internal/apitest"
)

// silent records nothing.
type silent struct{}

func (silent) Decided(control.Autoscaler, hpa.Observation, hpa.History, hpa.Recommendation, error) {}

func (silent) Incident(incident.Incident) {}

func (silent) Acted(healing.Action, healing.Result, time.Time) {}

func (silent) Healed(control.HealingView)          {}
func (silent) Turned(string, time.Duration, error) {}

func TestANewLeaderGoesOnWhereTheOldOneStopped(t *testing.T) {
	w := newWorld(t)
	w.autoscaler(t, "web", func(a *v1alpha1.Autoscaler) {
		a.Spec.MaxReplicas = 10
		a.Spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: &autoscalingv2.HPAScalingRules{
			Policies: []autoscalingv2.HPAScalingPolicy{{Type: autoscalingv2.PodsScalingPolicy, Value: 1, PeriodSeconds: 300}},
		}}
	})
	for _, pod := range []string{"web-1", "web-2"} {
		w.sample(pod, "web", 400, 1<<20) // four times what is requested
	}
	lead := func(p *Platform) *control.Scaling {
		return control.NewScaling(p, p, silent{}, slog.New(slog.DiscardHandler))
	}
	replicas := func() int {
		var d apitest.Object
		w.Get(t, "deployments", "shop", "web", &d)
		return int(d["spec"].(apitest.Object)["replicas"].(float64))
	}
	old := w.start(t, nil)
	if err := lead(old).Pass(t.Context(), w.now); err != nil {
		t.Fatal(err)
	}
	if n := replicas(); n != 3 {
		t.Fatalf("the first leader scaled to %d, want 3: one more in five minutes", n)
	}
	old.Stop()

	next := w.start(t, nil)
	stored := only(t, next, "web").Stored()
	if len(stored.Ups) != 1 || stored.Ups[0].Replicas != 1 || len(stored.Recommendations) == 0 {
		t.Fatalf("the next leader goes on from %+v", stored)
	}
	loop := lead(next)
	if err := loop.Pass(t.Context(), w.now.Add(10*time.Second)); err != nil {
		t.Fatal(err)
	}
	if n := replicas(); n != 3 {
		t.Errorf("the next leader scaled to %d within the old one's period", n)
	}
	var shown v1alpha1.Autoscaler
	w.Get(t, "autoscalers", "shop", "web", &shown)
	if got := shown.Status.LastDecision.Reason; got != string(hpa.ReasonScaleUpLimit) {
		t.Errorf("the next leader decided %s, want ScaleUpLimit", got)
	}
}

func TestTheHistoryIsWrittenWhenItChanges(t *testing.T) {
	w := newWorld(t)
	w.autoscaler(t, "web", nil)
	p := w.start(t, nil)
	a := only(t, p, "web")
	var stored v1alpha1.Autoscaler
	report := func(after time.Duration, h hpa.History) int {
		t.Helper()
		if err := p.Report(t.Context(), a, recommendation(w.now.Add(after), 2, 2, 30), h, nil); err != nil {
			t.Fatal(err)
		}
		w.Get(t, "autoscalers", "shop", "web", &stored)
		n := 0
		for _, line := range w.Writes() {
			if strings.HasSuffix(line, "/autoscalers/web/status") {
				n++
			}
		}
		return n
	}
	made := func(replicas int32, after time.Duration) hpa.Recommended {
		return hpa.Recommended{At: w.now.Add(after).Truncate(time.Microsecond), Replicas: replicas}
	}
	high := hpa.History{Recommendations: []hpa.Recommended{made(5, 0)}}
	for _, step := range []struct {
		what  string
		after time.Duration
		h     hpa.History
		want  int
	}{
		{"the first report", 0, high, 1},
		{"the same for an hour", time.Hour, hpa.History{Recommendations: []hpa.Recommended{made(5, time.Hour)}}, 1},
		{"another recommendation", time.Hour + time.Second, hpa.History{Recommendations: []hpa.Recommended{made(5, time.Hour), made(2, time.Hour+time.Second)}}, 2},
		{"and another, at once", time.Hour + 2*time.Second, hpa.History{Recommendations: []hpa.Recommended{made(5, time.Hour), made(3, time.Hour+2*time.Second)}}, 2},
		{"the same, a little later", time.Hour + 5*time.Second, hpa.History{Recommendations: []hpa.Recommended{made(5, time.Hour), made(3, time.Hour+5*time.Second)}}, 3},
	} {
		if got := report(step.after, step.h); got != step.want {
			t.Errorf("%s: %d writes so far, want %d", step.what, got, step.want)
		}
	}
	got := resumed(&stored.Status, w.now.Add(2*time.Hour)).Recommendations
	if diff := cmp.Diff([]hpa.Recommended{made(5, time.Hour), made(3, 2*time.Hour)}, got, cmpopts.EquateApproxTime(time.Microsecond)); diff != "" {
		t.Errorf("what the next leader reads (-want +got):\n%s", diff)
	}
}
