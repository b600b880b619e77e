package write

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/control"
)

func TestNewNamesWhatIsMissing(t *testing.T) {
	if _, err := New(Options{}); err == nil || !strings.Contains(err.Error(), "is missing") {
		t.Errorf("error is %v", err)
	}
}

func TestDiffers(t *testing.T) {
	base := func() *v1alpha1.AutoscalerStatus {
		oldest := metav1.NewMicroTime(time.Unix(100, 0))
		return &v1alpha1.AutoscalerStatus{
			CurrentReplicas: 2, DesiredReplicas: 2, MetricsSummary: "cpu: 30%/40%",
			LastDecision: &v1alpha1.Decision{Reason: "R", Message: "m", Metrics: []v1alpha1.DecisionMetric{{OldestSample: &oldest}}},
			Conditions:   []metav1.Condition{{Type: "AbleToScale", Status: metav1.ConditionTrue, Reason: "R", Message: "m"}},
		}
	}
	for name, tc := range map[string]struct {
		change       func(*v1alpha1.AutoscalerStatus)
		write, minor bool
	}{
		"nothing":              {func(*v1alpha1.AutoscalerStatus) {}, false, true},
		"later":                {func(s *v1alpha1.AutoscalerStatus) { s.LastDecision.Time = metav1.NowMicro() }, false, true},
		"later samples":        {func(s *v1alpha1.AutoscalerStatus) { s.LastDecision.Metrics[0].OldestSample = nil }, false, true},
		"a value":              {func(s *v1alpha1.AutoscalerStatus) { s.MetricsSummary = "x" }, true, true},
		"a sentence":           {func(s *v1alpha1.AutoscalerStatus) { s.Conditions[0].Message = "x" }, true, true},
		"a condition's reason": {func(s *v1alpha1.AutoscalerStatus) { s.Conditions[0].Reason = "x" }, true, false},
		"the decision's reason": {
			func(s *v1alpha1.AutoscalerStatus) { s.LastDecision.Reason = "x" }, true, false,
		},
		"the number":     {func(s *v1alpha1.AutoscalerStatus) { s.DesiredReplicas = 3 }, true, false},
		"the generation": {func(s *v1alpha1.AutoscalerStatus) { s.ObservedGeneration = 3 }, true, false},
		"a new status":   {func(s *v1alpha1.AutoscalerStatus) { *s = v1alpha1.AutoscalerStatus{} }, true, false},
	} {
		next := base()
		tc.change(next)
		if write, minor := differs(base(), next); write != tc.write || write && minor != tc.minor {
			t.Errorf("%s: write %v, minor %v; want %v, %v", name, write, minor, tc.write, tc.minor)
		}
	}
}

func TestScaledIsOnlyWhatWasWritten(t *testing.T) {
	change := hpa.Recommendation{Current: 2, Desired: 4}
	for name, tc := range map[string]struct {
		o    Outcome
		want bool
	}{
		"written":  {Outcome{Autoscaler: control.Autoscaler{Mode: control.Active}, Recommendation: change}, true},
		"dry run":  {Outcome{Autoscaler: control.Autoscaler{Mode: control.DryRun}, Recommendation: change}, false},
		"conflict": {Outcome{Autoscaler: control.Autoscaler{Mode: control.Active}, Recommendation: change, Err: control.ErrConflict}, false},
		"no change": {
			Outcome{Autoscaler: control.Autoscaler{Mode: control.Active}, Recommendation: hpa.Recommendation{Current: 2, Desired: 2}}, false,
		},
		"invalid": {Outcome{Autoscaler: control.Autoscaler{Mode: control.Active, Invalid: "x"}, Recommendation: change}, false},
	} {
		if got := tc.o.scaled(); got != tc.want {
			t.Errorf("%s: scaled is %v", name, got)
		}
	}
}

func TestAConflictIsNoCondition(t *testing.T) {
	o := Outcome{
		Autoscaler: control.Autoscaler{Mode: control.Active}, Err: control.ErrConflict,
		Recommendation: hpa.Recommendation{At: time.Unix(100, 0), Current: 2, Desired: 4},
	}
	for _, c := range statusAfter(&v1alpha1.AutoscalerStatus{}, &o).Conditions {
		if c.Status == metav1.ConditionFalse {
			t.Errorf("a conflict is reported as %+v", c)
		}
	}
}

func TestEventsFitTheServersBound(t *testing.T) {
	for _, s := range []string{"", strings.Repeat("a", 1024), strings.Repeat("a", 1023) + "ä", strings.Repeat("ä", 5000)} {
		if got := shorten(s); len(got) > maxEventMessage || !utf8.ValidString(got) || len(s) <= maxEventMessage && got != s {
			t.Errorf("%d bytes became %d", len(s), len(got))
		}
	}
	if eventType(healing.ReasonResolved) != corev1.EventTypeNormal || eventType(healing.ReasonOpened) != corev1.EventTypeWarning {
		t.Error("types of events are mixed up")
	}
}
