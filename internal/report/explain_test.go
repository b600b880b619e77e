package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/decisions"
	"github.com/homeostat/homeostat/internal/replay"
)

func ref(kind, name string) cluster.Ref {
	return cluster.Ref{Kind: kind, Namespace: "demo", Name: name}
}

// busy is a target at its maximum, of which one metric failed.
func busy() Autoscaler {
	cpu := hpa.Metric{Source: hpa.OfResource(hpa.CPU), Type: hpa.Utilization, Target: 40}
	memory := hpa.Metric{Source: hpa.OfResource(hpa.Memory), Type: hpa.AverageValue, Target: 96 << 20}
	requests := hpa.Metric{
		Source: hpa.Source{Type: hpa.FromPrometheus, Name: `sum(rate(http_requests_total{namespace="demo",service="web",code!~"5.."}[1m]))`},
		Type:   hpa.AverageValue, Target: 20_000,
	}
	queue := hpa.Metric{Source: hpa.Source{Type: hpa.FromExternal, Name: "queue_depth"}, Type: hpa.Value, Target: 2500}
	return Autoscaler{
		Ref: ref("Autoscaler", "web"), Target: ref("Deployment", "web"), Mode: "Active", Min: 2, Max: 4, Source: FromController,
		Decision: &hpa.Recommendation{
			At: now.Add(-12 * time.Second), Current: 2, Proposed: 11, Desired: 4, Reason: hpa.ReasonTooManyReplicas,
			Message: "cpu is at 212 % of requests, target 40 %: 2 ready replicas need 11; limited to 4 by maxReplicas",
			Metrics: []hpa.MetricProposal{
				{
					Metric: cpu, Replicas: 11, Utilization: 212, Ratio: 5.3, AdjustedRatio: 2.75, CPUPressure: 35.2, Ready: 2,
					Unready: hpa.Names{Count: 7, First: []string{"web-3: crash loop", "web-4: OOM-killed 40 s ago"}},
					Missing: hpa.Names{Count: 1, First: []string{"web-5: Stale"}}, Oldest: now.Add(-17 * time.Second),
				},
				{
					Metric: memory, Err: "web-3 has no sample", ErrReason: "FailedGetResourceMetric",
					Unready: hpa.Names{Count: 1, First: []string{"web-3: crash loop"}},
				},
				{Metric: requests, Replicas: 3, Value: 27_500, Ratio: 1.375, Ready: 2, From: "Prometheus", Oldest: now.Add(-80 * time.Second)},
				{
					Metric: queue, Replicas: 2, Err: "external.metrics.k8s.io does not answer: context deadline exceeded",
					Fallback: hpa.FallbackLastGood, LastGood: now.Add(-4 * time.Minute),
				},
			},
			Steps: []hpa.Step{
				{Name: hpa.StepMetrics, Before: 2, After: 11, Reason: hpa.ReasonDesiredWithinRange, Message: "cpu is at 212 % of requests, target 40 %: 2 ready replicas need 11"},
				{Name: hpa.StepStabilization, Before: 11, After: 11, Reason: hpa.ReasonDesiredWithinRange, Message: "no recent recommendation holds it"},
				{Name: hpa.StepBounds, Before: 11, After: 4, Reason: hpa.ReasonTooManyReplicas, Message: "limited to 4", Cause: "maxReplicas"},
			},
		},
		Changes: []Change{
			{At: now.Add(-3 * time.Hour), From: 4, To: 2, Reason: "DesiredWithinRange", Message: "cpu is at 3 % of requests, target 40 %: 4 ready replicas need 1; raised to 2 by minReplicas", Written: true},
			{At: now.Add(-50 * time.Hour), From: 2, To: 4, Reason: "TooManyReplicas", Message: "limited to 4 by maxReplicas", Written: true},
		},
		Conditions: []hpa.Condition{
			{Type: "AbleToScale", Status: true, Reason: "ReadyForNewScale", Message: "no recent recommendation holds the number"},
			{Type: "ScalingLimited", Status: true, Reason: "TooManyReplicas", Message: "limited to 4 by maxReplicas"},
		},
	}
}

func TestExplainReadsTopDown(t *testing.T) {
	t.Parallel()
	tests := map[string]func(a *Autoscaler){
		"explain": func(*Autoscaler) {},
		"explain_before_the_first_decision": func(a *Autoscaler) {
			a.Decision, a.Changes = nil, nil
		},
		"explain_a_target_that_is_gone": func(a *Autoscaler) {
			a.Decision = &hpa.Recommendation{At: now.Add(-time.Second), Reason: "FailedGetScale", Message: "demo/deployment/web is not there"}
			a.Error = "demo/deployment/web is not there"
			a.Conditions = []hpa.Condition{{Type: "AbleToScale", Reason: "FailedGetScale", Message: "demo/deployment/web is not there"}}
		},
		"explain_without_the_controller": func(a *Autoscaler) {
			a.Decision.Desired, a.Decision.Metrics, a.Mode = 2, a.Decision.Metrics[:1], "DryRun"
			a.Source, a.Note = FromStatus, `the pod homeostat-7d9c-x2x9z in namespace "homeostat-system" does not answer: pods "homeostat-7d9c-x2x9z" is forbidden: cannot get resource pods/proxy`
		},
		"explain_long_names": func(a *Autoscaler) {
			long := strings.Repeat("recommendation-", 4) + "service"
			a.Ref.Name, a.Target.Name = long, long
			for _, m := range a.Decision.Metrics {
				for i, f := range m.Unready.First {
					m.Unready.First[i] = strings.Replace(f, "web", long+"-7d9c5b8f6d", 1)
				}
			}
		},
		"explain_health_rules": func(a *Autoscaler) {
			a.Decision.Reason, a.Decision.Desired, a.Decision.Metrics = hpa.ReasonIncidentHold, 4, nil
			a.Health = &decisions.Health{
				Kubernetes: 2, Reason: hpa.ReasonDesiredWithinRange, Message: "cpu is at 3 % of requests, target 40 %: 4 ready replicas need 1",
				Rules: []decisions.Rule{
					{
						Name: "oomKilledIsNotCapacity", Saw: "6 of 8 replicas OOM-killed", Changed: true, Without: 4, Alone: 4,
						Replicas: hpa.Names{Count: 6, First: []string{"web-1: OOM-killed 3s ago", "web-2: OOM-killed 5s ago"}},
					},
					{Name: "holdScaleDownOnIncident", Saw: "incident web-oomkilled-1a2b is open", Changed: true, Without: 4, Alone: 4},
					{Name: "holdScaleUpOnShortage", Saw: "no node has room", Without: 4, Alone: 2},
				},
			}
		},
	}
	for name, change := range tests {
		a := busy()
		change(&a)
		golden(t, name, func(w *bytes.Buffer) error { return Explain(w, a, now) })
	}
}

func native(would *decisions.Entry) HPA {
	h := HPA{
		Ref: ref("HorizontalPodAutoscaler", "web"), Target: ref("Deployment", "web"), Min: 2, Max: 10, CannotSee: []decisions.Rule{},
		Did: HPAState{
			Current: 4, Desired: 2, LastScale: now.Add(-20 * time.Second),
			Metrics: []HPAMetric{{Name: "cpu", Now: "12%", Target: "50%"}, {Name: "http_requests of pods", Target: "100"}},
			Conditions: []hpa.Condition{
				{Type: "AbleToScale", Status: true, Reason: "SucceededRescale", Message: "the HPA controller was able to update the target scale to 2"},
				{Type: "ScalingActive", Reason: "FailedGetPodsMetric", Message: "the HPA was unable to compute the replica count: no metrics returned"},
			},
			Events: []cluster.Event{
				{Type: "Normal", Reason: "SuccessfulRescale", Message: "New size: 2; reason: All metrics below target", Count: 1, Last: now.Add(-20 * time.Second)},
				{Type: "Warning", Reason: "FailedGetPodsMetric", Message: "unable to get metric http_requests: no metrics returned from custom metrics API", Count: 240, Last: now.Add(-time.Minute)},
			},
		},
	}
	if would != nil {
		h.Consider(would)
	}
	return h
}

// crashing is what the controller's memory has about four replicas, of which two are in a crash loop and use nothing.
func crashing() *decisions.Entry {
	at := now.Add(-3 * time.Second)
	cpu := hpa.Metric{Source: hpa.OfResource(hpa.CPU), Type: hpa.Utilization, Target: 50}
	p := hpa.DefaultPolicy()
	p.Min, p.Max, p.Metrics = 2, 10, []hpa.Metric{cpu}
	names := hpa.Names{Count: 2, First: []string{"web-3: crash loop", "web-4: crash loop"}}
	const said = "cpu is at 50 % of requests, target 50 %: within the tolerance, 4 stay"
	return &decisions.Entry{
		Ref: ref("HorizontalPodAutoscaler", "web"), Target: ref("Deployment", "web"), Mode: control.DryRun, Min: 2, Max: 10,
		Decision: hpa.Recommendation{
			At: at, Current: 4, Proposed: 4, Desired: 4, Reason: hpa.ReasonWithinTolerance, Message: said,
			Metrics: []hpa.MetricProposal{{
				Metric: cpu, Replicas: 4, Utilization: 50, Ratio: 1, WithinTolerance: true, Ready: 2, Unready: names, Message: said, Oldest: at,
			}},
			Steps: []hpa.Step{
				{Name: hpa.StepMetrics, Before: 4, After: 4, Reason: hpa.ReasonWithinTolerance, Message: said},
				{Name: hpa.StepBounds, Before: 4, After: 4, Reason: hpa.ReasonDesiredWithinRange, Message: "within minReplicas and maxReplicas"},
			},
			Conditions: []hpa.Condition{{Type: "AbleToScale", Status: true, Reason: "ReadyForNewScale", Message: "nothing holds it"}},
		},
		Policy: p, Observation: hpa.Observation{Current: 4, StatusReplicas: 4, Replicas: []hpa.Replica{{Name: "web-1", Phase: cluster.PhaseRunning}}},
		History: hpa.History{Recommendations: []hpa.Recommended{{At: at.Add(-time.Second), Replicas: 4}}},
		Changes: []decisions.Change{{At: at.Add(-time.Hour), From: 3, To: 4, Reason: hpa.ReasonDesiredWithinRange, Message: "cpu is at 70 % of requests"}},
		Reasons: []decisions.Reason{{Reason: hpa.ReasonWithinTolerance, First: at.Add(-time.Minute), Last: at, Count: 61, Message: said}},
		Health: &decisions.Health{
			Kubernetes: 2, Reason: hpa.ReasonDesiredWithinRange, Message: "cpu is at 25 % of requests, target 50 %: 4 ready replicas could be 2",
			Rules: []decisions.Rule{
				{Name: "crashLoopIsNotCapacity", Saw: "2 of 4 replicas in a crash loop", Replicas: names, Without: 4, Alone: 4, Changed: true},
				{Name: "holdScaleDownOnIncident", Saw: "incident web-crashloop-9f is open", Without: 4, Alone: 4, Changed: true},
				{Name: "holdScaleUpOnShortage", Saw: "no node has room", Without: 4, Alone: 2},
			},
		},
	}
}

func TestOnlyConditionsThatAreNotNormalAreShown(t *testing.T) {
	t.Parallel()
	normal := map[string]bool{
		hpa.AbleToScale: true, hpa.ScalingActive: true, hpa.ScalingLimited: false, hpa.ScaledToZero: false,
		"Accepted": true, "Conflict": false,
	}
	for kind, status := range normal {
		for _, is := range []bool{status, !status} {
			var out bytes.Buffer
			a := Autoscaler{Conditions: []hpa.Condition{{Type: kind, Status: is, Reason: "Why", Message: "because"}}}
			if err := Explain(&out, a, now); err != nil {
				t.Fatal(err)
			}
			if shown := strings.Contains(out.String(), "because"); shown != (is != status) {
				t.Errorf("%s %v is shown: %v", kind, is, shown)
			}
		}
	}
}

func TestAnHPAIsShownBesideWhatItCannotSee(t *testing.T) {
	t.Parallel()
	h := native(crashing())
	if len(h.CannotSee) != 2 {
		t.Fatalf("it cannot see %+v, want the two rules that changed the number", h.CannotSee)
	}
	golden(t, "explain_hpa", func(w *bytes.Buffer) error { return ExplainHPA(w, h, now) })

	calm := crashing()
	calm.Health.Rules = nil
	golden(t, "explain_hpa_that_sees_all", func(w *bytes.Buffer) error { return ExplainHPA(w, native(calm), now) })

	unknown := native(nil)
	unknown.Note = "there is no Lease homeostat in namespace homeostat-system: is Homeostat installed?"
	golden(t, "explain_hpa_without_the_controller", func(w *bytes.Buffer) error { return ExplainHPA(w, unknown, now) })
}

func TestTextFitsEightyColumnsWhereTheNamesDo(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := Explain(&out, busy(), now); err != nil {
		t.Fatal(err)
	}
	if err := ExplainHPA(&out, native(crashing()), now); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		line = strings.TrimRight(line, "\n")
		if n := utf8.RuneCountInString(line); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
		if strings.TrimRight(line, " ") != line {
			t.Errorf("ends in space: %q", line)
		}
	}
}

func TestTheControllersMemoryGoesOnWhereTheStatusEnds(t *testing.T) {
	t.Parallel()
	a := busy()
	e := crashing()
	e.Changes = []decisions.Change{{At: now.Add(-time.Minute), From: 2, To: 4, Written: true}, {At: now.Add(-3 * time.Hour).Add(300 * time.Nanosecond), From: 4, To: 2, Written: true}}
	a.Take(e)
	var got []time.Duration
	for _, c := range a.Changes {
		got = append(got, now.Sub(c.At).Round(time.Minute))
	}
	// The change of three hours ago is in both, that of two days ago in the status only.
	if diff := cmp.Diff([]time.Duration{time.Minute, 3 * time.Hour, 50 * time.Hour}, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if a.Source != FromController || a.Health == nil || len(a.Conditions) != 2 {
		t.Errorf("taken over: %+v", a)
	}
}

// The JSON and the YAML are the contract of docs/cli.md: what is written is read again the same.
func TestMachineOutputIsComplete(t *testing.T) {
	t.Parallel()
	want := native(crashing())
	var asJSON, asYAML bytes.Buffer
	if err := JSON(&asJSON, want); err != nil {
		t.Fatal(err)
	}
	if err := YAML(&asYAML, want); err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func(v any) error{
		"json": func(v any) error { return json.Unmarshal(asJSON.Bytes(), v) },
		"yaml": func(v any) error { return yaml.UnmarshalStrict(asYAML.Bytes(), v) },
	} {
		var got HPA
		if err := read(&got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestReplaysReadTopDown(t *testing.T) {
	t.Parallel()
	tally := replay.Tally{
		Decisions: 300, Undecided: 2, Others: 7, First: now.Add(-time.Hour), Last: now,
		Bad: []replay.BadLine{{Line: 17, Error: "unexpected end of JSON input"}},
	}
	six := replay.Verdict{Current: 4, Proposed: 9, Desired: 6, Reason: hpa.ReasonTooManyReplicas, Message: "limited to 6 by maxReplicas"}
	nine := replay.Verdict{Current: 4, Proposed: 9, Desired: 9, Reason: hpa.ReasonDesiredWithinRange, Message: "cpu is at 100 % of requests, target 40 %: 4 ready replicas need 9"}
	held := six
	held.Steps = []hpa.Step{{Name: hpa.StepBounds, Before: 9, After: 6, Reason: hpa.ReasonTooManyReplicas, Message: "limited to 6 by maxReplicas"}}
	late := six
	late.Steps = []hpa.Step{{Name: hpa.StepBounds, Before: 9, After: 9, Message: "within minReplicas and maxReplicas"}, {Name: hpa.StepHealth, Before: 9, After: 6, Reason: hpa.ReasonShortageHold, Message: "no node has room"}}
	golden(t, "replay", func(w *bytes.Buffer) error {
		return Comparison(w, &replay.Comparison{Tally: tally, Differing: 2, Differences: []replay.Difference{
			{At: now.Add(-30 * time.Minute), Autoscaler: ref("Autoscaler", "web"), Fields: []string{"desired", "reason"}, Recorded: six, Today: nine},
			{At: now.Add(-20 * time.Minute), Autoscaler: ref("Autoscaler", "web"), Fields: []string{"steps"}, Recorded: held, Today: late},
		}}, time.UTC)
	})
	tally.Bad = nil
	golden(t, "replay_same", func(w *bytes.Buffer) error {
		return Comparison(w, &replay.Comparison{Tally: tally}, time.FixedZone("UTC+2", 2*60*60))
	})
	course := replay.Course{
		Autoscaler: ref("Autoscaler", "web"), Decisions: 290, First: now.Add(-time.Hour), Last: now, LongestGap: time.Minute,
		Recorded:  replay.Summary{Min: 2, Max: 6, Ups: 3, Downs: 2, LowestDesired: 2, HighestDesired: 6, MeanDesired: 3.51, AtMax: 25 * time.Minute},
		WouldBe:   replay.Summary{Min: 2, Max: 20, Ups: 4, Downs: 9, LowestDesired: 2, HighestDesired: 9, MeanDesired: 4.2, Failing: 1},
		Differing: 44,
	}
	for i := range 22 {
		from := now.Add(time.Duration(i-60) * time.Minute)
		course.Moments = append(course.Moments, replay.Moment{From: from, To: from.Add(40 * time.Second), Decisions: 2, Recorded: six, WouldBe: nine})
	}
	golden(t, "replay_policy", func(w *bytes.Buffer) error {
		return Outlook(w, &replay.Outlook{Tally: tally, Courses: []replay.Course{course}, LeftOut: []cluster.Ref{ref("Autoscaler", "api")}}, time.UTC)
	})
}
