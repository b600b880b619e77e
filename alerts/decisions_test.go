package alerts

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/transcript"
)

// TestDecisionTranscripts plays the stories of testdata/decisions, in the form of TestTranscripts. The commands are those of
// decider.run.
func TestDecisionTranscripts(t *testing.T) {
	transcript.Run(t, "testdata/decisions/*.txt", 8, func(t *testing.T, text string) string {
		t.Helper()
		s := &decider{t: t, now: t0, s: NewDecisions(DecisionOptions{}, links)}
		return transcript.Play(text, &s.out, strings.Fields, s.run)
	})
}

// decider prints what Decisions tell while autoscalers decide.
type decider struct {
	t   *testing.T
	now time.Time
	o   DecisionOptions
	s   *Decisions
	out strings.Builder
	ids int
}

func (s *decider) run(command string, words []string) {
	s.t.Helper()
	o := map[string]string{}
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		o[k] = v
	}
	switch command {
	case "tell": // tell [scaled] [maxedOut=15m] [notScaling=5m]
		_, s.o.Scaled = o["scaled"]
		s.o.MaxedOut, s.o.NotScaling = duration(s.t, o["maxedOut"]), duration(s.t, o["notScaling"])
		s.s = NewDecisions(s.o, links)
	case "pass": // pass DURATION: nobody decides
		s.pass(duration(s.t, words[0]))
	case "decide": // decide NAME DURATION [every=15s] [from=2] [asks=9] [max=6] [to=4] [dry] [paused] [blind] [stuck=why]
		s.decide(words[0], duration(s.t, words[1]), o)
	case "firing":
		for _, a := range sorted(s.s.Firing()) {
			s.print(&a)
		}
	default:
		s.t.Fatalf("unknown command %q", command)
	}
}

// decide makes a decision now and then until the time has passed; the last pass is at its end.
func (s *decider) decide(name string, last time.Duration, o map[string]string) {
	s.t.Helper()
	number := func(key string, fallback int32) int32 {
		n, err := strconv.ParseInt(o[key], 10, 32)
		if err != nil {
			return fallback
		}
		return int32(n)
	}
	d := Decision{
		Autoscaler: cluster.Ref{Kind: "Autoscaler", Namespace: "shop", Name: name}, Target: cluster.Ref{Kind: "Deployment", Namespace: "shop", Name: name},
		Decided: true, Current: number("from", 2), Max: number("max", 6), Period: duration(s.t, o["every"]), Stuck: strings.ReplaceAll(o["stuck"], "_", " "),
	}
	d.Proposed, d.Desired = number("asks", d.Current), number("to", d.Current)
	_, d.DryRun = o["dry"]
	_, d.Paused = o["paused"]
	if _, blind := o["blind"]; blind || d.Paused {
		d.Decided = false
	}
	every := max(d.Period, time.Second)
	for end := s.now.Add(last); ; s.pass(min(every, end.Sub(s.now))) {
		d.At, d.ID = s.now, ""
		if d.Desired != d.Current && !d.DryRun && d.Stuck == "" {
			s.ids++
			d.ID = fmt.Sprintf("d-%010d", s.ids)
		}
		if s.s.Take(&d) {
			s.tell()
		}
		if !s.now.Before(end) {
			return
		}
	}
}

// pass lets the time go on, and prints what is to be told at each moment.
func (s *decider) pass(d time.Duration) {
	end := s.now.Add(d)
	for range 1000 {
		next, ok := s.s.Next()
		if !ok || next.After(end) {
			s.now = end
			return
		}
		s.now = next
		s.tell()
	}
	s.t.Fatal("the decisions do not come to rest")
}

func (s *decider) tell() {
	for _, a := range sorted(s.s.News(s.now)) {
		s.print(&a)
	}
}

func sorted(list []Alert) []Alert {
	slices.SortFunc(list, func(a, b Alert) int { return cmp.Or(byUrgency(&b, &a), cmp.Compare(a.ID, b.ID)) })
	return list
}

func (s *decider) print(a *Alert) {
	fmt.Fprintf(&s.out, "%s %s %s", s.now.Sub(t0), a.Annotations[AnnotationSummary], a.Status())
	if id := a.Annotations[AnnotationID]; id != "" {
		fmt.Fprintf(&s.out, " (%s)", id)
	}
	if a.Ended() {
		fmt.Fprintf(&s.out, ", from %s to %s", a.StartsAt.Sub(t0), a.EndsAt.Sub(t0))
	}
	s.out.WriteString("\n")
}

// wanting is a decision of an autoscaler whose metrics ask for more than its maximum.
func wanting() Decision {
	return Decision{
		Autoscaler: cluster.Ref{Kind: "Autoscaler", Namespace: "shop", Name: "web-scaler", UID: "u"}, Target: cluster.Ref{Kind: "Deployment", Namespace: "shop", Name: "web"},
		At: t0, Decided: true, Current: 4, Proposed: 9, Desired: 6, Max: 6, ID: "d-846b76909f",
		Reason: "TooManyReplicas", Message: "cpu is high: 4 ready replicas need 9; limited to 6 by maxReplicas", Asking: "cpu is high: 4 ready replicas\nneed 9",
	}
}

func TestAlertsOfDecisionsTellWhyInWords(t *testing.T) {
	t.Parallel()
	labels := func(name, severity string) map[string]string {
		return map[string]string{
			"alertname": name, "severity": severity, "namespace": "shop", "workload_kind": "Deployment", "workload": "web",
			"kind": "Autoscaler", "name": "web-scaler", "source": "homeostat",
		}
	}
	changed := labels("HomeostatScaled", "info")
	changed["decision"] = "d-846b76909f"
	const board = "https://grafana.example.com/d/homeostat-autoscaling?from=1772365500000&to=now&var-namespace=shop&var-kind=Autoscaler&var-name=web-scaler&var-target=web&var-loki=loki-uid"
	refused := wanting()
	refused.Decided, refused.ID, refused.Proposed, refused.Reason, refused.Stuck = false, "", 0, "AmbiguousTarget", "shop/web has another one: hpa web"
	dry := wanting()
	dry.DryRun, dry.ID, dry.Asking = true, "", ""
	for name, tc := range map[string]struct {
		d           Decision
		o           DecisionOptions
		labels      map[string]string
		annotations map[string]string
	}{
		"scaled": {wanting(), DecisionOptions{Scaled: true}, changed, map[string]string{
			"summary": "shop/deployment/web: scaled from 4 to 6 replicas", "id": "d-846b76909f", "dashboard_url": board,
			"description": "TooManyReplicas: cpu is high: 4 ready replicas need 9; limited to 6 by maxReplicas\nWritten at 2026-03-01T12:00:00Z by shop/autoscaler/web-scaler",
			"runbook_url": "https://example.com/runbooks/HomeostatScaled.md",
		}},
		"maxed out": {wanting(), DecisionOptions{MaxedOut: time.Nanosecond}, labels("HomeostatMaxedOut", "warning"), map[string]string{
			"summary": "shop/deployment/web: 9 replicas are asked for, maxReplicas is 6", "id": "d-846b76909f", "dashboard_url": board,
			"description": "Asked for by: cpu is high: 4 ready replicas need 9\nSince 2026-03-01T12:00:00Z, last seen 2026-03-01T12:00:01Z, by shop/autoscaler/web-scaler\n" +
				"Last decision, at 4 replicas (TooManyReplicas): cpu is high: 4 ready replicas need 9; limited to 6 by maxReplicas",
			"runbook_url": "https://example.com/runbooks/HomeostatMaxedOut.md",
		}},
		"maxed out in dry-run": {dry, DecisionOptions{MaxedOut: time.Nanosecond}, labels("HomeostatMaxedOut", "warning"), map[string]string{
			"summary": "shop/deployment/web: 9 replicas are asked for, maxReplicas is 6", "dashboard_url": board,
			"description": "Since 2026-03-01T12:00:00Z, last seen 2026-03-01T12:00:01Z, by shop/autoscaler/web-scaler\n" +
				"Last decision, at 4 replicas (TooManyReplicas): cpu is high: 4 ready replicas need 9; limited to 6 by maxReplicas\n" +
				"Its decisions are only recorded: Homeostat does not scale it",
			"runbook_url": "https://example.com/runbooks/HomeostatMaxedOut.md",
		}},
		"not scaling": {refused, DecisionOptions{NotScaling: time.Nanosecond}, labels("HomeostatNotScaling", "warning"), map[string]string{
			"summary":       "shop/deployment/web: shop/autoscaler/web-scaler does not scale it: shop/web has another one: hpa web",
			"dashboard_url": board,
			"description": "It keeps its number of replicas whatever the load is (AmbiguousTarget): shop/web has another one: hpa web\n" +
				"Since 2026-03-01T12:00:00Z, last seen 2026-03-01T12:00:01Z, by shop/autoscaler/web-scaler",
			"runbook_url": "https://example.com/runbooks/HomeostatNotScaling.md",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := NewDecisions(tc.o, links)
			s.Take(&tc.d)
			if !tc.o.Scaled {
				next := tc.d
				next.At, next.ID = t0.Add(time.Second), ""
				s.Take(&next)
			}
			list := s.News(t0.Add(time.Second))
			if len(list) != 1 {
				t.Fatalf("there are %d alerts", len(list))
			}
			if d := gocmp.Diff(tc.labels, list[0].Labels); d != "" {
				t.Errorf("labels (-want +got):\n%s", d)
			}
			if d := gocmp.Diff(tc.annotations, list[0].Annotations); d != "" {
				t.Errorf("annotations (-want +got):\n%s", d)
			}
		})
	}
}

func TestWhatADecisionSaysIsBounded(t *testing.T) {
	t.Parallel()
	d := wanting()
	d.Message, d.Asking, d.Stuck = strings.Repeat("ü\n", 9000), strings.Repeat("a ", 9000), strings.Repeat("x", 9000)
	s := NewDecisions(DecisionOptions{Scaled: true, MaxedOut: time.Nanosecond, NotScaling: time.Nanosecond}, links)
	s.Take(&d)
	d.At = d.At.Add(time.Second)
	s.Take(&d)
	list := s.News(d.At)
	if len(list) != 4 {
		t.Fatalf("there are %d alerts, want two changes and two states", len(list))
	}
	for i := range list {
		size := 0
		for _, v := range list[i].Annotations {
			size += len(v)
		}
		if size > 8<<10 {
			t.Errorf("%s says %d bytes", list[i].Labels[LabelAlertname], size)
		}
	}
}

// A pass in which nothing is new is the usual one: there is nothing to be kept, and nothing to be told.
func TestNothingIsKeptOfWhatIsNoAlert(t *testing.T) { //nolint:paralleltest // it counts allocations
	s := NewDecisions(DecisionOptions{Scaled: true, MaxedOut: time.Minute, NotScaling: time.Minute}, links)
	d := wanting()
	d.Proposed, d.Desired, d.ID = 4, 4, ""
	if n := testing.AllocsPerRun(100, func() { s.Take(&d) }); n != 0 {
		t.Errorf("a pass without news allocates %g times", n)
	}
	if _, ok := s.Next(); ok || len(s.News(t0)) != 0 {
		t.Error("there is something to tell")
	}
}

func TestChangesLeaveRoomForWhatFails(t *testing.T) {
	t.Parallel()
	s := NewDecisions(DecisionOptions{Scaled: true}, links)
	d := wanting()
	for i := range MaxScaled + 3 {
		d.Autoscaler.Name, d.ID = fmt.Sprintf("w%d", i), fmt.Sprintf("d-%d", i)
		if news := s.Take(&d); news != (i < MaxScaled) {
			t.Errorf("change %d is news: %t", i, news)
		}
	}
	if n := len(s.News(t0)); n != MaxScaled || s.Dropped() != 3 {
		t.Errorf("%d are told and %d left out", n, s.Dropped())
	}
	if n := len(s.News(t0.Add(ScaledFor))); n != MaxScaled || len(s.Firing()) != 0 {
		t.Errorf("%d are over", n)
	}
	d.At = t0.Add(ScaledFor)
	if !s.Take(&d) {
		t.Error("there is no room again")
	}
}

func BenchmarkDecisionsWithoutNews(b *testing.B) {
	for name, proposed := range map[string]int32{"quiet": 4, "maxed out": 9} {
		b.Run(name, func(b *testing.B) {
			s := NewDecisions(DecisionOptions{Scaled: true, MaxedOut: DefaultMaxedOut, NotScaling: DefaultNotScaling}, links)
			d := wanting()
			d.Proposed, d.ID = proposed, ""
			b.ReportAllocs()
			for b.Loop() {
				s.Take(&d)
			}
		})
	}
}
