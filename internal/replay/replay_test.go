package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/journal"
	"github.com/homeostat/homeostat/internal/telemetry"
)

// shop is one target whose load, in thousandths of a core, is shared by its replicas, which ask for 100 each.
type shop struct {
	began    time.Time
	policy   hpa.Policy
	mode     control.Mode
	replicas int32
	scales   []string
}

// load is low, then high for two minutes, then low again, with a flutter.
func (s *shop) load(now time.Time) int64 {
	at := now.Sub(s.began)
	load := int64(60) + int64(at/time.Second)%7
	if at >= time.Minute && at < 3*time.Minute {
		load += 340
	}
	return load
}

func (s *shop) Autoscalers(context.Context) ([]control.Autoscaler, error) {
	return []control.Autoscaler{{
		Ref: cluster.Ref{Kind: "Autoscaler", Namespace: "demo", Name: "web", UID: "1"}, Mode: s.mode,
		Target: cluster.Ref{Kind: "Deployment", Namespace: "demo", Name: "web"}, Policy: s.policy,
	}}, nil
}

func (s *shop) Observe(_ context.Context, _ control.Autoscaler, now time.Time) (hpa.Observation, error) {
	if at := now.Sub(s.began); at >= 20*time.Second && at < 22*time.Second {
		return hpa.Observation{}, errors.New("the target cannot be read")
	}
	o := hpa.Observation{Current: s.replicas, StatusReplicas: s.replicas}
	for i := range s.replicas {
		o.Replicas = append(o.Replicas, hpa.Replica{
			Name: fmt.Sprintf("web-%d", i), Phase: cluster.PhaseRunning,
			StartedAt: now.Add(-time.Hour), Ready: true, ReadyKnown: true, ReadySince: now.Add(-time.Hour),
			CPU: hpa.Usage{Known: true, Value: s.load(now) / int64(s.replicas), Request: 100, At: now.Add(-time.Second), Window: 15 * time.Second},
		})
	}
	return o, nil
}

func (s *shop) Scale(_ context.Context, _ control.Autoscaler, rec hpa.Recommendation) error {
	s.replicas = rec.Desired
	s.scales = append(s.scales, fmt.Sprintf("%d->%d", rec.Current, rec.Desired))
	return nil
}

func (s *shop) Report(context.Context, control.Autoscaler, hpa.Recommendation, hpa.History, error) error {
	return nil
}

// policy allows 2 to 6 replicas at 50 % of the requested CPU; down at most one replica each 30 s, after a window of a minute.
func policy() hpa.Policy {
	p := hpa.DefaultPolicy()
	p.Min, p.Max = 2, 6
	p.Metrics = []hpa.Metric{{Source: hpa.OfResource(hpa.CPU), Type: hpa.Utilization, Target: 50}}
	window := time.Minute
	p.Behavior = &hpa.Behavior{ScaleDown: &hpa.Rules{
		StabilizationWindow: &window, Limits: []hpa.RateLimit{{Type: hpa.LimitReplicas, Value: 1, Period: 30 * time.Second}},
	}}
	return p
}

// journals are those that were recorded so far.
var journals struct {
	sync.Mutex
	of map[string]recording
}

type recording struct {
	text   string
	scales []string
}

// record runs the control loop for six minutes and returns its journal, with each every-th line of those without news.
func record(t *testing.T, mode control.Mode, every int) (text string, scales []string) {
	t.Helper()
	journals.Lock()
	defer journals.Unlock()
	key := fmt.Sprint(mode, every)
	if r, ok := journals.of[key]; ok {
		return r.text, r.scales
	}
	defer func() {
		if journals.of == nil {
			journals.of = map[string]recording{}
		}
		journals.of[key] = recording{text, scales}
	}()
	synctest.Test(t, func(t *testing.T) {
		s := &shop{began: time.Now(), policy: policy(), mode: mode, replicas: 2}
		j := journal.New()
		tel := telemetry.New(prometheus.NewRegistry(), j, every, "v1")
		var out bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
		defer cancel()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			j.Run(ctx, &out, slog.New(slog.DiscardHandler))
		}()
		control.NewScaling(s, s, tel, slog.New(slog.DiscardHandler)).Run(ctx, time.Second)
		<-ended
		text, scales = out.String(), s.scales
	})
	return text, scales
}

func check(t *testing.T, text string) *Comparison {
	t.Helper()
	c, err := Check(journal.Read(strings.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func whatIf(t *testing.T, text string, p hpa.Policy) *Course {
	t.Helper()
	o, err := WhatIf(journal.Read(strings.NewReader(text)), []Policy{{Name: "web", Policy: p}})
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Courses) != 1 {
		t.Fatalf("%d courses, want 1", len(o.Courses))
	}
	return &o.Courses[0]
}

func TestEveryLineOfARealJournalComesOutTheSame(t *testing.T) {
	t.Parallel()
	for _, mode := range []control.Mode{control.Active, control.DryRun} {
		for _, every := range []int{1, 60} {
			text, scales := record(t, mode, every)
			c := check(t, text)
			if !c.Same() {
				t.Errorf("%s, every %d: %d decisions differ; the first: %+v", mode, every, c.Differing, c.Differences[0])
			}
			if want := map[int]int{1: 358, 60: 6}[every]; c.Decisions < want || c.Undecided == 0 {
				t.Errorf("%s, every %d: %d decisions, want at least %d, and %d that failed", mode, every, c.Decisions, want, c.Undecided)
			}
			if mode == control.Active && len(scales) < 4 {
				t.Errorf("the story is too calm to show anything: %q", scales)
			}
		}
	}
}

func TestADecisionThatComesOutOtherwiseIsShown(t *testing.T) {
	t.Parallel()
	text, _ := record(t, control.Active, 600)
	lines := slices.Collect(strings.Lines(text))
	i := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, `"reason":"TooManyReplicas"`) })
	if i < 0 {
		t.Fatal("nothing was limited by the maximum")
	}
	// Today's code would have been given another maximum: as if the bound had been at fault when it was recorded.
	lines[i] = strings.Replace(lines[i], `"policy":{"min":2,"max":6`, `"policy":{"min":2,"max":5`, 1)
	c := check(t, strings.Join(lines, "")+"no json\n"+lines[0][:50])
	if c.Differing != 1 || len(c.Differences) != 1 || c.Same() {
		t.Fatalf("%d decisions differ, want 1: %+v", c.Differing, c.Differences)
	}
	d := c.Differences[0]
	if diff := cmp.Diff([]string{"desired", "steps"}, d.Fields); diff != "" || d.Recorded.Desired != 6 || d.Today.Desired != 5 {
		t.Errorf("recorded %d, today %d; fields (-want +got):\n%s", d.Recorded.Desired, d.Today.Desired, diff)
	}
	if len(c.Bad) != 1 || c.Bad[0].Line != len(lines)+1 {
		t.Errorf("bad lines %+v, want line %d", c.Bad, len(lines)+1)
	}
}

func TestABadLineAloneIsADifference(t *testing.T) {
	t.Parallel()
	if c := check(t, "{}\n"); c.Same() || c.Decisions != 0 {
		t.Errorf("a journal that cannot be read is the same: %+v", c)
	}
	if c := check(t, ""); !c.Same() {
		t.Errorf("an empty journal differs: %+v", c)
	}
}

func TestASentenceIsNoDifference(t *testing.T) {
	t.Parallel()
	a := hpa.Recommendation{Desired: 2, Reason: hpa.ReasonWithinTolerance, Message: "old words", Steps: []hpa.Step{{Name: hpa.StepBounds, After: 2, Message: "old"}}}
	b := a
	b.Message, b.Steps = "new words", []hpa.Step{{Name: hpa.StepBounds, After: 2, Message: "new", Cause: "maxReplicas"}}
	if got := differing(&a, &b); got != nil {
		t.Errorf("differs in %q", got)
	}
}

func TestAnErrorOfTheReaderEndsTheReplay(t *testing.T) {
	t.Parallel()
	broken := journal.Read(io.MultiReader(strings.NewReader("\n"), errReader{}))
	if _, err := Check(broken); err == nil || !strings.Contains(err.Error(), "disk on fire") {
		t.Errorf("Check: error %v", err)
	}
	if _, err := WhatIf(broken, nil); err == nil || !strings.Contains(err.Error(), "disk on fire") {
		t.Errorf("WhatIf: error %v", err)
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("disk on fire") }

func TestThePolicyThatWasThereWouldHaveDoneTheSame(t *testing.T) {
	t.Parallel()
	text, _ := record(t, control.Active, 1)
	// Each line is there, so the history that is carried forward is the one that the loop had.
	c := whatIf(t, text, policy())
	if c.Differing != 0 || c.Decisions < 350 {
		t.Errorf("%d of %d decisions differ; the first: %+v", c.Differing, c.Decisions, c.Moments)
	}
	if diff := cmp.Diff(c.Recorded, c.WouldBe, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Errorf("recorded and would-be figures:\n%s", diff)
	}
}

func TestAnotherPolicyShowsWhatItWouldHaveDone(t *testing.T) {
	t.Parallel()
	text, _ := record(t, control.Active, 1)
	wide := policy()
	wide.Max = 20
	c := whatIf(t, text, wide)
	if c.Recorded.HighestDesired != 6 || c.WouldBe.HighestDesired <= 6 || c.WouldBe.AtMax != 0 || c.Recorded.AtMax < 90*time.Second {
		t.Errorf("recorded %+v, would be %+v", c.Recorded, c.WouldBe)
	}
	if len(c.Moments) == 0 {
		t.Fatal("no moment differs")
	}
	m := c.Moments[0]
	if m.Recorded.Reason != hpa.ReasonTooManyReplicas || m.Recorded.Desired != 6 || m.WouldBe.Desired <= 6 || m.To.Before(m.From) {
		t.Errorf("the first moment is %+v", m)
	}
	stretched := 0
	for _, m := range c.Moments {
		stretched += m.Decisions
	}
	if stretched != c.Differing {
		t.Errorf("the moments have %d decisions, of which %d differ", stretched, c.Differing)
	}
	// A policy without a metric that the journal knows about cannot be judged, and says so.
	foreign := policy()
	foreign.Metrics = []hpa.Metric{{Source: hpa.OfResource(hpa.Memory), Type: hpa.Utilization, Target: 50}}
	if c := whatIf(t, text, foreign); c.WouldBe.Failing != c.Decisions || c.Recorded.Failing != 0 {
		t.Errorf("failing in %d and %d of %d decisions", c.WouldBe.Failing, c.Recorded.Failing, c.Decisions)
	}
}

func TestChangesThatWereMadeCountForTheNewRateLimits(t *testing.T) {
	t.Parallel()
	text, _ := record(t, control.Active, 1)
	// One replica at most in 2 minutes on the way down, which the recorded changes of one in 30 s use up.
	slow := policy()
	slow.Behavior.ScaleDown.Limits[0].Period = 2 * time.Minute
	c := whatIf(t, text, slow)
	i := slices.IndexFunc(c.Moments, func(m Moment) bool { return m.WouldBe.Reason == hpa.ReasonScaleDownLimit })
	if i < 0 {
		t.Fatalf("the slower limit holds nothing: %+v", c.Moments)
	}
	if m := c.Moments[i]; m.WouldBe.Desired != m.WouldBe.Current || m.Recorded.Desired != m.WouldBe.Current-1 {
		t.Errorf("recorded %d, would be %d, of %d", m.Recorded.Desired, m.WouldBe.Desired, m.WouldBe.Current)
	}
}

func TestTheOrderOfTheLinesDoesNotMatter(t *testing.T) {
	t.Parallel()
	text, _ := record(t, control.Active, 1)
	wide := policy()
	wide.Max = 20
	want := whatIf(t, text, wide)
	lines := slices.Collect(strings.Lines(text))
	slices.Reverse(lines)
	if diff := cmp.Diff(want, whatIf(t, strings.Join(lines, ""), wide), cmpopts.IgnoreUnexported(Moment{})); diff != "" {
		t.Errorf("in the reverse order (-forward +reverse):\n%s", diff)
	}
}

func TestAPolicyIsForTheAutoscalersOfItsName(t *testing.T) {
	t.Parallel()
	text, _ := record(t, control.Active, 600)
	text += strings.ReplaceAll(text, `"name":"web"`, `"name":"api"`)
	o, err := WhatIf(journal.Read(strings.NewReader(text)), []Policy{{Namespace: "demo", Name: "web", Policy: policy()}})
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Courses) != 1 || o.Courses[0].Autoscaler.Name != "web" || len(o.LeftOut) != 1 || o.LeftOut[0].Name != "api" {
		t.Errorf("courses %+v, left out %+v", o.Courses, o.LeftOut)
	}
	for _, none := range []Policy{{Name: "wbe"}, {Namespace: "prod", Name: "web"}} {
		if _, err := WhatIf(journal.Read(strings.NewReader(text)), []Policy{none}); err == nil || !strings.Contains(err.Error(), "demo/autoscaler/api, demo/autoscaler/web") {
			t.Errorf("%+v: error %v does not name those that are there", none, err)
		}
	}
	if _, err := WhatIf(journal.Read(strings.NewReader("")), nil); err == nil || !strings.Contains(err.Error(), "no decision") {
		t.Errorf("an empty journal gives %v", err)
	}
}
