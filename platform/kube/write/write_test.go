package write

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
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
	at := func(second int64) metav1.MicroTime { return metav1.NewMicroTime(time.Unix(second, 0)) }
	base := func() *v1alpha1.AutoscalerStatus {
		oldest := at(100)
		return &v1alpha1.AutoscalerStatus{
			CurrentReplicas: 2, DesiredReplicas: 2, MetricsSummary: "cpu: 30%/40%",
			LastDecision: &v1alpha1.Decision{Reason: "R", Message: "m", Metrics: []v1alpha1.DecisionMetric{{OldestSample: &oldest}}},
			Conditions:   []metav1.Condition{{Type: "AbleToScale", Status: metav1.ConditionTrue, Reason: "ReadyForNewScale", Message: "m"}},
			History: &v1alpha1.AutoscalerHistory{
				Recommendations: []v1alpha1.HistoryRecommendation{{Time: at(1), Replicas: 5}, {Time: at(90), Replicas: 2}},
				Ups:             []v1alpha1.HistoryChange{{Time: at(1), Replicas: 3}},
				LastGood:        []v1alpha1.HistoryProposal{{Source: v1alpha1.MetricSource{Name: "a"}, Time: at(90), Replicas: 2}},
			},
		}
	}
	for name, tc := range map[string]struct {
		change func(*v1alpha1.AutoscalerStatus)
		want   difference
	}{
		"nothing":                {func(*v1alpha1.AutoscalerStatus) {}, same},
		"later":                  {func(s *v1alpha1.AutoscalerStatus) { s.LastDecision.Time = metav1.NowMicro() }, same},
		"later samples":          {func(s *v1alpha1.AutoscalerStatus) { s.LastDecision.Metrics[0].OldestSample = nil }, same},
		"recommended again":      {func(s *v1alpha1.AutoscalerStatus) { s.History.Recommendations[1].Time = at(99) }, same},
		"a value":                {func(s *v1alpha1.AutoscalerStatus) { s.MetricsSummary = "x" }, values},
		"a sentence":             {func(s *v1alpha1.AutoscalerStatus) { s.Conditions[0].Message = "x" }, values},
		"it has just scaled":     {func(s *v1alpha1.AutoscalerStatus) { s.Conditions[0].Reason = "SucceededRescale" }, values},
		"a later good proposal":  {func(s *v1alpha1.AutoscalerStatus) { s.History.LastGood[0].Time = at(99) }, values},
		"another good proposal":  {func(s *v1alpha1.AutoscalerStatus) { s.History.LastGood[0].Replicas = 3 }, history},
		"another recommendation": {func(s *v1alpha1.AutoscalerStatus) { s.History.Recommendations[1].Replicas = 3 }, history},
		"one within the window":  {func(s *v1alpha1.AutoscalerStatus) { s.History.Recommendations[0].Time = at(50) }, history},
		"a change":               {func(s *v1alpha1.AutoscalerStatus) { s.History.Downs = s.History.Ups }, history},
		"an outdated change":     {func(s *v1alpha1.AutoscalerStatus) { s.History.Ups[0].Outdated = true }, history},
		"no history any more":    {func(s *v1alpha1.AutoscalerStatus) { s.History = nil }, history},
		"a condition's reason":   {func(s *v1alpha1.AutoscalerStatus) { s.Conditions[0].Reason = "x" }, state},
		"the decision's reason":  {func(s *v1alpha1.AutoscalerStatus) { s.LastDecision.Reason = "x" }, state},
		"the number":             {func(s *v1alpha1.AutoscalerStatus) { s.DesiredReplicas = 3 }, state},
		"the generation":         {func(s *v1alpha1.AutoscalerStatus) { s.ObservedGeneration = 3 }, state},
		"a new status":           {func(s *v1alpha1.AutoscalerStatus) { *s = v1alpha1.AutoscalerStatus{} }, state},
	} {
		next := base()
		tc.change(next)
		if got := differs(base(), next); got != tc.want {
			t.Errorf("%s: difference %d, want %d", name, got, tc.want)
		}
	}
}

func TestManyStatusesAreWrittenLessOften(t *testing.T) {
	w := &Writer{reported: map[string]reported{}}
	check := func(d difference, want time.Duration) {
		t.Helper()
		if every, write := w.due(d); !write || every != want {
			t.Errorf("with %d Autoscalers: every %s (%v), want %s", len(w.reported), every, write, want)
		}
	}
	check(history, 3*time.Second)
	check(values, 15*time.Second)
	for i := range 1000 {
		w.reported[strconv.Itoa(i)] = reported{}
	}
	check(state, 0)
	check(history, 50*time.Second)
	check(values, 50*time.Second)
	if _, write := w.due(same); write {
		t.Error("what is the same is written")
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

// What a target at zero is taken for hangs on the condition alone: lost, it stays at zero for good.
func TestAChangeThatWasNotWrittenLeavesScaledToZero(t *testing.T) {
	was := metav1.Condition{Type: "ScaledToZero", Status: metav1.ConditionTrue, Reason: "ScaledToZero", LastTransitionTime: metav1.NewTime(time.Unix(50, 0))}
	not := hpa.Condition{Type: "ScaledToZero", Reason: "NotScaledToZero"}
	is := hpa.Condition{Type: "ScaledToZero", Status: true, Reason: "ScaledToZero"}
	wake := hpa.Recommendation{At: time.Unix(100, 0), Current: 0, Desired: 2, Conditions: []hpa.Condition{not}}
	sleep := hpa.Recommendation{At: time.Unix(100, 0), Current: 1, Desired: 0, Conditions: []hpa.Condition{is}}
	for name, tc := range map[string]struct {
		old  []metav1.Condition
		rec  hpa.Recommendation
		mode control.Mode
		err  error
		want bool
	}{
		"woken":                       {[]metav1.Condition{was}, wake, control.Active, nil, false},
		"woken, but the write failed": {[]metav1.Condition{was}, wake, control.Active, errors.New("no answer"), true},
		"woken, but in between":       {[]metav1.Condition{was}, wake, control.Active, control.ErrConflict, true},
		"would be woken":              {[]metav1.Condition{was}, wake, control.DryRun, nil, true},
		"taken to zero":               {nil, sleep, control.Active, nil, true},
		"perhaps taken to zero":       {nil, sleep, control.Active, errors.New("no answer"), true},
		"somebody else was faster":    {nil, sleep, control.Active, control.ErrConflict, false},
		"would be taken to zero":      {nil, sleep, control.DryRun, nil, false},
	} {
		o := Outcome{Autoscaler: control.Autoscaler{Mode: tc.mode}, Recommendation: tc.rec, Err: tc.err}
		got := statusAfter(&v1alpha1.AutoscalerStatus{Conditions: tc.old}, &o).Conditions
		if meta.IsStatusConditionTrue(got, "ScaledToZero") != tc.want {
			t.Errorf("%s: the conditions are %+v", name, got)
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
