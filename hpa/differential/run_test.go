package differential

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	v1 "k8s.io/api/core/v1"

	"github.com/homeostat/homeostat/hpa"
)

// outcome is what running a case showed.
type outcome struct {
	syncs int
	stats stats
	// mismatch is the first sync that differs, nil where none does: the case ends there.
	mismatch *mismatch
	// causes are what was met of the causes of known differences that only show while a case runs.
	causes causes
}

// mismatch is a sync in which ours and theirs differ.
type mismatch struct {
	Step   int
	Target string
	What   string // differs, in one line
	Rec    hpa.Recommendation
	Their  int32 // number, written or not
	Theirs autoscalingv2.HorizontalPodAutoscalerStatus
}

// stats count what was compared.
type stats struct {
	Syncs, Changes, Explained int
	Reasons                   map[string]int
	Sources                   map[string]int
	Faults                    map[string]int
	Known                     map[string]int
}

func (a *stats) add(b *stats) {
	a.Syncs, a.Changes, a.Explained = a.Syncs+b.Syncs, a.Changes+b.Changes, a.Explained+b.Explained
	for _, m := range []struct{ to, from *map[string]int }{{&a.Reasons, &b.Reasons}, {&a.Sources, &b.Sources}, {&a.Faults, &b.Faults}, {&a.Known, &b.Known}} {
		if *m.to == nil {
			*m.to = map[string]int{}
		}
		for k, n := range *m.from {
			(*m.to)[k] += n
		}
	}
}

func count(m *map[string]int, key string) {
	if *m == nil {
		*m = map[string]int{}
	}
	(*m)[key]++
}

// script gives the step of a sync, nil after the last. at is the time of the sync of the first target.
type script func(i int, at time.Time, replicas []int32) *Step

// recorded plays the steps that the case has.
func (c *Case) recorded() script {
	return func(i int, _ time.Time, _ []int32) *Step {
		if i >= len(c.Steps) {
			return nil
		}
		return &c.Steps[i]
	}
}

// run drives both through the case in fake time. What cannot happen unless the harness is broken ends the test.
func run(t *testing.T, c *Case, steps script, decide decide) (o outcome) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b, end, err := open(t.Context(), c, decide)
		if err != nil {
			t.Fatalf("open the cluster of seed %d: %v", c.Seed, err)
		}
		defer end()
		if err := b.play(t.Context(), steps, &o); err != nil {
			t.Fatalf("play seed %d: %v", c.Seed, err)
		}
	})
	return o
}

// play sets one step after the other and compares.
func (b *bubble) play(ctx context.Context, steps script, o *outcome) error {
	// The first target's first sync is one period after it was made; all were made within less than a period.
	last := time.Now().Add(-b.c.SyncPeriod * time.Duration(len(b.targets)-1) / time.Duration(len(b.targets)))
	for i := 0; ; i++ {
		replicas := make([]int32, len(b.targets))
		for j, s := range b.targets {
			replicas[j] = s.replicas
		}
		at := last.Add(b.c.SyncPeriod)
		step := steps(i, at, replicas)
		if step == nil {
			return nil
		}
		if err := b.set(ctx, step, at); err != nil {
			return err
		}
		for j := range b.targets {
			s, began, err := b.sync(ctx)
			if err != nil {
				return fmt.Errorf("step %d: %w", i, err)
			}
			if j == 0 {
				last = began
			}
			o.count(s)
			if o.mismatch = s.compare(i); o.mismatch != nil {
				return nil
			}
		}
	}
}

// sync waits for one sync to begin and to end.
func (b *bubble) sync(ctx context.Context) (s *state, began time.Time, err error) {
	select {
	case s = <-b.begun:
	case <-time.After(3 * b.c.SyncPeriod):
		return nil, began, fmt.Errorf("no sync in %v", 3*b.c.SyncPeriod)
	case <-ctx.Done():
		return nil, began, ctx.Err()
	}
	began = time.Now()
	synctest.Wait()
	if f := s.step().Fault; f == FaultConflict || f == FaultConflicts {
		time.Sleep(500 * time.Millisecond) // the controller waits before it tries again
		synctest.Wait()
	}
	return s, began, nil
}

func (o *outcome) count(s *state) {
	o.syncs++
	o.stats.Syncs++
	o.causes.see(s)
	if f := s.step().Fault; f != "" {
		count(&o.stats.Faults, string(f))
	}
	if !s.read {
		return
	}
	count(&o.stats.Reasons, string(s.rec.Reason))
	if s.rec.Change() {
		o.stats.Changes++
	}
	switch {
	case s.rec.Current == 0 && s.rec.Desired > 0:
		count(&o.stats.Reasons, "(from zero)")
	case s.rec.Current > 0 && s.rec.Desired == 0:
		count(&o.stats.Reasons, "(to zero)")
	}
	for i := range s.rec.Metrics {
		m := &s.rec.Metrics[i]
		key := string(m.Metric.Source.Type) + "/" + string(m.Metric.Type)
		if m.Err != "" {
			key += " failed"
		}
		count(&o.stats.Sources, key)
	}
}

// compare holds ours against what the controller of Kubernetes has written and says.
func (s *state) compare(step int) *mismatch {
	status := s.b.status(s)
	what := s.difference(status)
	if what == "" {
		return nil
	}
	their := s.before
	if len(s.writes) > 0 {
		their = s.writes[0]
	}
	return &mismatch{Step: step, Target: s.name, What: what, Rec: s.rec, Their: their, Theirs: *status}
}

func (s *state) difference(status *autoscalingv2.HorizontalPodAutoscalerStatus) string {
	if s.panicked != "" {
		return "ours panicked: " + s.panicked
	}
	if want := s.wanted(); !slices.Equal(want, s.writes) {
		return fmt.Sprintf("ours writes %v, theirs %v (from %d)", want, s.writes, s.before)
	}
	if what := s.differentConditions(status.Conditions); what != "" {
		return what
	}
	if !s.read {
		return ""
	}
	return s.differentMetrics(status.CurrentMetrics)
}

// wanted are the writes that ours would have made.
func (s *state) wanted() []int32 {
	if !s.read || !s.rec.Change() {
		return nil
	}
	tries := map[Fault]int{FaultConflict: 3, FaultConflicts: 5}[s.step().Fault]
	return slices.Repeat([]int32{s.rec.Desired}, max(1, tries))
}

func (s *state) differentConditions(theirs []autoscalingv2.HorizontalPodAutoscalerCondition) string {
	var diffs []string
	seen := map[string]bool{}
	for i := range theirs {
		k := &theirs[i]
		seen[string(k.Type)] = true
		if k.Type == autoscalingv2.ScaledToZero && !s.b.c.Gates.ScaleToZero {
			continue // a gate that is off takes it away at the next occasion
		}
		o, ok := s.conditions[string(k.Type)]
		if !ok || o.Reason != k.Reason || o.Status != (k.Status == v1.ConditionTrue) {
			diffs = append(diffs, fmt.Sprintf("condition %s: ours %s, theirs %s %s (%s)", k.Type, said(o, ok), k.Status, k.Reason, k.Message))
		}
	}
	for kind, o := range s.conditions {
		if !seen[kind] && (kind != hpa.ScaledToZero || s.b.c.Gates.ScaleToZero) {
			diffs = append(diffs, fmt.Sprintf("condition %s: ours %s, theirs has none", kind, said(o, true)))
		}
	}
	slices.Sort(diffs)
	return strings.Join(diffs, "; ")
}

func said(c hpa.Condition, ok bool) string {
	if !ok {
		return "has none"
	}
	status := v1.ConditionFalse
	if c.Status {
		status = v1.ConditionTrue
	}
	return fmt.Sprintf("%s %s (%s)", status, c.Reason, c.Message)
}

// differentMetrics holds the values of the metrics against each other, where both have looked at metrics.
func (s *state) differentMetrics(theirs []autoscalingv2.MetricStatus) string {
	if len(theirs) != len(s.rec.Metrics) {
		return fmt.Sprintf("ours looked at %d metrics, theirs at %d", len(s.rec.Metrics), len(theirs))
	}
	for i := range theirs {
		m, p := &theirs[i], &s.rec.Metrics[i]
		if (m.Type == "") != (p.Err != "") {
			return fmt.Sprintf("metric %d: ours %q (%s), theirs %q", i, p.Message, p.Err, m.Type)
		}
		if p.Err != "" || (m.Object != nil || m.External != nil) && p.Metric.Type == hpa.AverageValue && s.seen.StatusReplicas == 0 {
			continue // divided by zero replicas, theirs is whatever the processor makes of infinity
		}
		if what := differentValue(m, p); what != "" {
			return fmt.Sprintf("metric %d: %s", i, what)
		}
	}
	return ""
}

func differentValue(m *autoscalingv2.MetricStatus, p *hpa.MetricProposal) string {
	var current *autoscalingv2.MetricValueStatus
	switch {
	case m.Resource != nil:
		current = &m.Resource.Current
	case m.ContainerResource != nil:
		current = &m.ContainerResource.Current
	case m.Pods != nil:
		current = &m.Pods.Current
	case m.Object != nil:
		current = &m.Object.Current
	case m.External != nil:
		current = &m.External.Current
	default:
		return ""
	}
	if u := current.AverageUtilization; u != nil && int64(*u) != p.Utilization {
		return fmt.Sprintf("ours sees %d %%, theirs %d %%", p.Utilization, *u)
	}
	value := current.AverageValue
	if value == nil {
		value = current.Value
	}
	milli := value.MilliValue()
	if p.Metric.Source.Resource == hpa.Memory {
		milli /= 1000
	}
	if milli != p.Value {
		return fmt.Sprintf("ours sees %d, theirs %d", p.Value, milli)
	}
	return ""
}
