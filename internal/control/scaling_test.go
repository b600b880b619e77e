package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// world is a target whose replicas all use the same CPU: what cannot be made to fail on purpose on a real platform.
type world struct {
	mu       sync.Mutex
	list     []Autoscaler
	replicas map[string]int32
	usage    int64 // thousandths of a core per replica; the request is 100
	observed error
	unread   bool     // the first replica of each has no sample
	away     []string // those whose sources have not answered yet
	scaleErr error
	scales   []string
	reports  []string
	decided  []string
	turns    int
	view     HealingView
	slow     time.Duration
	slowly   time.Duration // what every write takes
}

func newWorld(names ...string) *world {
	w := &world{replicas: map[string]int32{}, usage: 40}
	for _, n := range names {
		p := hpa.DefaultPolicy()
		p.Min, p.Max = 2, 4
		p.Metrics = []hpa.Metric{{Source: hpa.OfResource(hpa.CPU), Type: hpa.Utilization, Target: 40}}
		w.list = append(w.list, Autoscaler{
			Ref: cluster.Ref{Kind: "Autoscaler", Namespace: "demo", Name: n}, Mode: Active,
			Target: cluster.Ref{Kind: "Deployment", Namespace: "demo", Name: n}, Policy: p,
		})
		w.replicas[n] = 2
	}
	return w
}

func (w *world) Autoscalers(context.Context) ([]Autoscaler, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.list), nil
}

func (w *world) Observe(_ context.Context, a Autoscaler, now time.Time) (hpa.Observation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := hpa.Observation{Current: w.replicas[a.Ref.Name]}
	for i := range o.Current {
		o.Replicas = append(o.Replicas, hpa.Replica{
			Name: fmt.Sprintf("%s-%d", a.Ref.Name, i), Phase: cluster.PhaseRunning,
			StartedAt: now.Add(-time.Hour), Ready: true, ReadyKnown: true, ReadySince: now.Add(-time.Hour),
			CPU: hpa.Usage{Known: true, Value: w.usage, Request: 100, At: now, Window: 15 * time.Second},
		})
	}
	if w.unread && len(o.Replicas) > 0 {
		o.Replicas[0].CPU = hpa.Usage{Why: "Missing", Request: 100}
	}
	if slices.Contains(w.away, a.Ref.Name) {
		for i := range o.Replicas {
			o.Replicas[i].CPU.Known = false
		}
		return o, ErrNotYet
	}
	return o, w.observed
}

func (w *world) Scale(ctx context.Context, a Autoscaler, rec hpa.Recommendation) error {
	time.Sleep(w.slowly)
	if w.slow > 0 && a.Ref.Name == "slow" {
		select {
		case <-time.After(w.slow):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.scaleErr != nil {
		return w.scaleErr
	}
	w.replicas[a.Ref.Name] = rec.Desired
	w.scales = append(w.scales, fmt.Sprintf("%s %d->%d", a.Ref.Name, rec.Current, rec.Desired))
	return nil
}

func (w *world) Report(_ context.Context, a Autoscaler, rec hpa.Recommendation, _ hpa.History, err error) error {
	time.Sleep(w.slowly)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reports = append(w.reports, fmt.Sprintf("%s %s err=%v", a.Ref.Name, rec.Reason, err))
	return nil
}

func (w *world) Decided(a Autoscaler, _ hpa.Observation, _ hpa.History, rec hpa.Recommendation, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.decided = append(w.decided, a.Ref.Name+" "+string(rec.Reason))
}
func (w *world) Incident(incident.Incident)                      {}
func (w *world) Acted(healing.Action, healing.Result, time.Time) {}
func (w *world) Healed(v HealingView)                            { w.mu.Lock(); w.view = v; w.mu.Unlock() }

func (w *world) Turned(_ string, _ time.Duration, _ error) { w.mu.Lock(); w.turns++; w.mu.Unlock() }

func (w *world) loop() *Scaling { return NewScaling(w, w, w, slog.New(slog.DiscardHandler)) }

func (w *world) pass(t *testing.T, s *Scaling, now time.Time) {
	t.Helper()
	if err := s.Pass(t.Context(), now); err != nil {
		t.Fatal(err)
	}
}

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestLoadScalesUpAtOnceAndDownAfterTheWindow(t *testing.T) {
	t.Parallel()
	w := newWorld("web")
	s := w.loop()
	w.pass(t, s, t0)
	w.usage = 200
	w.pass(t, s, t0.Add(time.Second))
	w.usage = 4
	for i := range 320 {
		w.pass(t, s, t0.Add(time.Duration(2+i)*time.Second))
	}
	if diff := cmp.Diff([]string{"web 2->4", "web 4->2"}, w.scales); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
}

func TestNothingIsWrittenWhileTheNumberStays(t *testing.T) {
	t.Parallel()
	w := newWorld("web")
	s := w.loop()
	for i := range 50 {
		w.pass(t, s, t0.Add(time.Duration(i)*time.Second))
	}
	if len(w.scales) != 0 || len(w.decided) != 50 {
		t.Errorf("%d writes and %d decisions, want 0 and 50", len(w.scales), len(w.decided))
	}
}

func TestWhatIsNotActiveIsNotWritten(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*Autoscaler)
		reason string
	}{
		{"dry run", func(a *Autoscaler) { a.Mode = DryRun }, "TooManyReplicas"},
		{"paused", func(a *Autoscaler) { a.Mode = Paused }, "Paused"},
		{"invalid", func(a *Autoscaler) { a.Invalid = "spec.maxReplicas: 0 is not allowed" }, "InvalidSpec"},
		{"ambiguous", func(a *Autoscaler) { a.Invalid, a.InvalidReason = "hpa/web scales it", "AmbiguousTarget" }, "AmbiguousTarget"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld("web")
			tt.change(&w.list[0])
			w.usage = 900
			w.pass(t, w.loop(), t0)
			if len(w.scales) != 0 {
				t.Errorf("wrote %v", w.scales)
			}
			if want := "web " + tt.reason + " err=<nil>"; w.reports[0] != want {
				t.Errorf("reported %q, want %q", w.reports[0], want)
			}
		})
	}
}

func TestATargetThatCannotBeReadIsReportedAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	w := newWorld("web")
	w.observed = errors.New("deployment demo/web not found")
	w.pass(t, w.loop(), t0)
	if want := []string{"web FailedGetScale err=deployment demo/web not found"}; !slices.Equal(w.reports, want) {
		t.Errorf("reported %q, want %q", w.reports, want)
	}
}

func TestAConflictIsDecidedAnew(t *testing.T) {
	t.Parallel()
	w := newWorld("web")
	s := w.loop()
	w.usage, w.scaleErr = 200, fmt.Errorf("update scale: %w", ErrConflict)
	w.pass(t, s, t0)
	w.scaleErr = nil
	w.pass(t, s, t0.Add(time.Second))
	if want := []string{"web 2->4"}; !slices.Equal(w.scales, want) {
		t.Errorf("wrote %q, want %q", w.scales, want)
	}
}

func TestASlowTargetHoldsNobodyLongerThanTheTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("a", "slow", "z")
		w.usage, w.slow = 200, time.Hour
		began := time.Now()
		w.pass(t, w.loop(), began)
		if took := time.Since(began); took > WriteTimeout {
			t.Errorf("the pass took %s, want at most %s", took, WriteTimeout)
		}
		slices.Sort(w.scales)
		if want := []string{"a 2->4", "z 2->4"}; !slices.Equal(w.scales, want) {
			t.Errorf("wrote %q, want %q", w.scales, want)
		}
	})
}

func TestRunTurnsEveryPeriodAndEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("web")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+time.Millisecond)
		defer cancel()
		w.loop().Run(ctx, time.Second)
		if w.turns != 11 {
			t.Errorf("%d passes in 10 s, want 11: one at once and one each second", w.turns)
		}
	})
}

func TestHistoriesOfAutoscalersThatAreGoneAreForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld("web", "old")
	s := w.loop()
	w.pass(t, s, t0)
	w.list = w.list[:1]
	w.pass(t, s, t0.Add(time.Second))
	if len(s.memory) != 1 {
		t.Errorf("%d histories, want 1", len(s.memory))
	}
}

// A controller that takes over goes on from the stored history: a recommendation of 4 that is 10 s old still holds a
// target that could be 2.
func TestTheFirstDecisionGoesOnFromTheStoredHistory(t *testing.T) {
	t.Parallel()
	w := newWorld("web")
	w.replicas["web"], w.usage = 4, 10
	w.list[0].Stored = func() hpa.History {
		return hpa.History{Recommendations: []hpa.Recommended{{At: t0.Add(-10 * time.Second), Replicas: 3}}}
	}
	s := w.loop()
	w.pass(t, s, t0)
	// Without the stored one the four replicas of the first sight would have held it.
	if diff := cmp.Diff([]string{"web 4->3"}, w.scales); diff != "" {
		t.Errorf("scales (-want +got):\n%s", diff)
	}
	w.list[0].Stored = func() hpa.History { return hpa.History{} } // only the first decision looks at it
	w.pass(t, s, t0.Add(time.Second))
	if diff := cmp.Diff([]string{"web ScaleDownStabilized", "web ScaleDownStabilized"}, w.decided); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
}

func TestAnAutoscalerIsDecidedOnlyOnceInItsPeriod(t *testing.T) {
	t.Parallel()
	w := newWorld("web", "slow")
	w.list[1].Period = 3 * time.Second
	s := w.loop()
	for i := range 6 {
		// Ticks are never quite on time.
		w.pass(t, s, t0.Add(time.Duration(i)*time.Second+time.Duration(i%2)*80*time.Millisecond))
	}
	count := map[string]int{}
	for _, d := range w.decided {
		count[d[:4]]++
	}
	if diff := cmp.Diff(map[string]int{"web ": 6, "slow": 2}, count); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
}

// A new leader has read no metric yet. That is no absence of metrics, for which there may be a fallback.
func TestADecisionWaitsForSourcesThatAreAskedForTheFirstTime(t *testing.T) {
	t.Parallel()
	w := newWorld("new", "web")
	w.list[0].Policy.Metrics[0].Fallback = &hpa.Fallback{Type: hpa.FallbackReplicas, Replicas: 4}
	w.away = []string{"new"}
	s := w.loop()
	for i := range 3 {
		w.pass(t, s, t0.Add(time.Duration(i)*time.Second))
	}
	if slices.ContainsFunc(w.decided, func(d string) bool { return d[:3] == "new" }) || len(w.scales) != 0 {
		t.Fatalf("decided before anything was read: %v, %v", w.decided, w.scales)
	}
	if len(w.decided) != 3 {
		t.Errorf("the other one was decided %d times in 3 passes", len(w.decided))
	}
	w.away = nil
	w.pass(t, s, t0.Add(3*time.Second))
	if got := w.decided[len(w.decided)-2:]; !slices.ContainsFunc(got, func(d string) bool { return d[:3] == "new" }) || len(w.scales) != 0 {
		t.Errorf("once it was read: %v, %v", got, w.scales)
	}
}

func TestASourceThatNeverAnswersIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	for _, period := range []time.Duration{0, 5 * time.Minute} {
		w := newWorld("web")
		w.list[0].Period = period
		w.away = []string{"web"}
		s := w.loop()
		now := t0
		for range 11 {
			w.pass(t, s, now)
			now = now.Add(time.Second)
		}
		if len(w.decided) != 1 {
			t.Errorf("period %s: decided %d times in 10 s, want once after them", period, len(w.decided))
		}
		now = now.Add(period)
		w.pass(t, s, now)
		if want := map[bool]int{false: 2, true: 1}[period > 0]; len(w.decided) != want {
			t.Errorf("period %s: decided %d times, want %d: it is waited for again where it may have been forgotten", period, len(w.decided), want)
		}
	}
}

func TestManyStatusesDoNotHoldUpTheNextDecision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := make([]string, 200)
		for i := range names {
			names[i] = fmt.Sprintf("web%03d", i)
		}
		w := newWorld(names...)
		w.slowly = time.Second
		w.list[198].Period = time.Minute
		s := w.loop()
		began := time.Now()
		w.pass(t, s, began)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("a pass with 200 slow statuses took %s", took)
		}
		if n := len(w.reports); n < 10 || n > 50 {
			t.Errorf("%d statuses were written in one pass", n)
		}
		if !slices.ContainsFunc(w.reports, func(r string) bool { return r[:6] == "web198" }) {
			t.Error("one that is decided once a minute was not reported")
		}
	})
}

func TestWhatWasScaledIsReportedHoweverLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := make([]string, 100)
		for i := range names {
			names[i] = fmt.Sprintf("web%03d", i)
		}
		w := newWorld(names...)
		w.slowly, w.usage = time.Second, 200
		w.pass(t, w.loop(), time.Now())
		if len(w.scales) != 100 || len(w.reports) != 100 {
			t.Errorf("%d were scaled, %d reported", len(w.scales), len(w.reports))
		}
	})
}

func TestWhatAPassDoesNotGetToIsDecidedByTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := make([]string, 200)
		for i := range names {
			names[i] = fmt.Sprintf("web%03d", i)
		}
		w := newWorld(names...)
		w.slowly, w.usage = time.Second, 200
		for i := range w.list {
			w.list[i].Period = time.Hour
		}
		s := w.loop()
		w.pass(t, s, time.Now())
		if n := len(w.scales); n < 100 || n >= 200 || len(w.decided) != n || len(w.reports) != n {
			t.Errorf("%d of 200 were scaled in one pass, %d recorded, %d reported", n, len(w.decided), len(w.reports))
		}
		w.pass(t, s, time.Now())
		if n := len(w.scales); n != 200 {
			t.Errorf("%d of 200 were scaled in two passes", n)
		}
	})
}
