package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/alerts"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func route(receiver string) alerts.Route {
	return alerts.Route{
		Receiver: receiver, GroupBy: alerts.DefaultGroupBy(), GroupWait: alerts.DefaultGroupWait,
		GroupInterval: alerts.DefaultGroupInterval, RepeatInterval: alerts.DefaultRepeatInterval,
	}
}

// failure is an incident about the workload, opened now.
func failure(workload string) incident.Incident {
	now := time.Now()
	return incident.Incident{
		Namespace: "shop", Name: workload + "-oomkilled-1", Workload: cluster.Ref{Kind: "Deployment", Namespace: "shop", Name: workload},
		Kind: incident.OOMKilled, State: incident.Open, OpenedAt: now, StartedAt: now, LastSeenAt: now, Cause: "too much memory", Confidence: 95,
	}
}

func resolved(in incident.Incident) incident.Incident {
	in.State, in.ResolvedAt = incident.Resolved, time.Now()
	return in
}

// fake is a sender that notes what it is sent.
type fake struct {
	mu    sync.Mutex
	began time.Time
	said  []string
	err   error
	takes time.Duration
}

func (f *fake) send(ctx context.Context, n *alerts.Notification) error {
	f.mu.Lock()
	err, takes := f.err, f.takes
	words := []string{time.Since(f.began).String()}
	for i := range n.Alerts {
		words = append(words, n.Alerts[i].Labels[alerts.LabelWorkload]+" "+n.Alerts[i].Status())
	}
	f.said = append(f.said, strings.Join(words, " "))
	f.mu.Unlock()
	if takes > 0 {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

func (f *fake) close() {}

func (f *fake) set(err error, takes time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.takes = err, takes
}

func (f *fake) heard() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.said)
}

// play is a running Term in a bubble whose only receiver is a fake.
type play struct {
	*Term
	n    *Notifier
	fake *fake
	log  *strings.Builder
	sent map[bool]int // attempts that were taken and that were not
	stop func()
}

func running(t *testing.T, f func(p *play)) {
	t.Helper()
	runningWith(t, alerts.DecisionOptions{}, f)
}

func runningWith(t *testing.T, decisions alerts.DecisionOptions, f func(p *play)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &play{fake: &fake{began: time.Now()}, log: &strings.Builder{}, sent: map[bool]int{}}
		n, err := New(Options{
			Receivers: []Receiver{{Name: "chat", Kind: Webhook, URLs: []string{"http://chat"}}}, Route: route("chat"),
			Labels: map[string]string{"cluster": "prod"}, Log: slog.New(slog.NewTextHandler(p.log, nil)),
			Sent: func(_ string, err error) { p.sent[err == nil]++ }, Decisions: decisions,
		})
		if err != nil {
			t.Fatal(err)
		}
		n.senders[endpointKey{"chat", 0}] = p.fake
		p.n, p.Term = n, n.Begin()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		p.stop = func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		f(p)
		p.stop()
	})
}

// seen tells the Term of everything that there is.
func (p *play) seen(list ...incident.Incident) {
	p.Healed(control.HealingView{At: time.Now(), Incidents: list})
	synctest.Wait()
}

func (p *play) check(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	if d := cmp.Diff(want, p.fake.heard()); d != "" {
		t.Errorf("receiver heard (-want +got):\n%s", d)
	}
}

func TestAnIncidentIsToldAndItsEnd(t *testing.T) {
	t.Parallel()
	running(t, func(p *play) {
		p.seen()
		in := failure("web")
		p.Incident(in)
		time.Sleep(29 * time.Second)
		p.check(t)
		time.Sleep(time.Second)
		p.check(t, "30s web firing")
		p.Incident(resolved(in))
		time.Sleep(6 * time.Hour)
		p.check(t, "30s web firing", "5m30s web resolved")
		if p.sent[true] != 2 || p.sent[false] != 0 {
			t.Errorf("counted %v", p.sent)
		}
		p.Decided(control.Autoscaler{}, noObservation, noHistory, noRecommendation, nil)
		p.Acted(noAction, noResult, time.Now())
		p.Turned("healing", 0, nil)
	})
}

func TestNothingIsToldBeforeTheFirstWholeView(t *testing.T) {
	t.Parallel()
	running(t, func(p *play) {
		old := failure("old")
		old.OpenedAt = old.OpenedAt.Add(-time.Hour) // told by another process
		fresh := failure("web")
		p.Incident(fresh)
		p.Incident(old)
		time.Sleep(time.Minute)
		p.check(t)
		if p.n.Queued() != 2 {
			t.Errorf("%d wait", p.n.Queued())
		}
		p.seen(old)
		time.Sleep(time.Minute)
		p.check(t, "1m0s web firing")
	})
}

func TestLostNewsAreMendedByTheNextWholeView(t *testing.T) {
	t.Parallel()
	running(t, func(p *play) {
		p.seen()
		in := failure("web")
		p.Incident(in)
		time.Sleep(10 * time.Minute)
		p.check(t, "30s web firing")
		p.seen() // its end was never recorded
		time.Sleep(time.Second)
		p.check(t, "30s web firing", "10m0s web resolved")
		for range 50 {
			p.seen(failure("api")) // every pass has a view, one a minute is taken in
			time.Sleep(time.Second)
		}
		p.check(t, "30s web firing", "10m0s web resolved")
		time.Sleep(30 * time.Second)
		p.seen(failure("api"))
		time.Sleep(time.Minute)
		p.check(t, "30s web firing", "10m0s web resolved", "11m51s api firing")
	})
}

func TestAFullQueueDropsAndCountsAndIsMended(t *testing.T) {
	t.Parallel()
	running(t, func(p *play) {
		for i := range Queue + 3 {
			p.Incident(failure(fmt.Sprintf("w%d", i)))
		}
		if p.n.Dropped() != 3 || p.n.Queued() != Queue {
			t.Errorf("%d dropped, %d wait", p.n.Dropped(), p.n.Queued())
		}
		p.seen()
		var list []incident.Incident
		for i := range Queue + 3 {
			list = append(list, failure(fmt.Sprintf("w%d", i)))
		}
		p.seen(list...)
		time.Sleep(time.Minute)
		p.seen(list...)
		time.Sleep(time.Minute)
		heard := strings.Join(p.fake.heard(), "\n")
		for i := range Queue + 3 {
			if !strings.Contains(heard, fmt.Sprintf("w%d firing", i)) {
				t.Fatalf("nobody heard of w%d", i)
			}
		}
	})
}

func TestAfterALossTheNextWholeViewIsTakenIn(t *testing.T) {
	t.Parallel()
	running(t, func(p *play) {
		p.seen()
		time.Sleep(10 * time.Second)
		p.lost.Store(true)
		in := failure("web")
		p.seen(in)
		time.Sleep(30 * time.Second)
		p.check(t, "40s web firing")
		p.seen() // nothing is lost any more: it waits for the minute
		time.Sleep(10 * time.Minute)
		p.check(t, "40s web firing")
	})
}

func TestAReceiverThatIsAwayIsToldWhenItIsBack(t *testing.T) {
	t.Parallel()
	running(t, func(p *play) {
		p.seen()
		p.fake.set(errors.New("connection refused"), 0)
		p.Incident(failure("web"))
		time.Sleep(44 * time.Second)
		p.fake.set(nil, 0)
		time.Sleep(time.Minute)
		p.check(t, "30s web firing", "31s web firing", "33s web firing", "37s web firing", "45s web firing")
		if p.sent[true] != 1 || p.sent[false] != 4 {
			t.Errorf("counted %v", p.sent)
		}
		for _, want := range []string{"notification not sent", "receiver=chat", "connection refused", "takes notifications again"} {
			if n := strings.Count(p.log.String(), want); n < 1 || n > 2 {
				t.Errorf("the log says %d times %q:\n%s", n, want, p.log)
			}
		}
	})
}

func TestTheEndWaitsAMomentForWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	for takes, taken := range map[time.Duration]bool{time.Second: true, time.Minute: false} {
		running(t, func(p *play) {
			p.seen()
			p.fake.set(nil, takes)
			p.Incident(failure("web"))
			time.Sleep(30 * time.Second)
			synctest.Wait()
			stopped := time.Now()
			p.stop()
			if took := time.Since(stopped); took != min(takes, grace) {
				t.Errorf("the end took %s of %s", took, takes)
			}
			if p.sent[taken] != 1 {
				t.Errorf("counted %v", p.sent)
			}
			p.stop = func() {}
		})
	}
}

func TestATermKnowsNothingOfTheOneBefore(t *testing.T) {
	t.Parallel()
	n, err := New(Options{Receivers: []Receiver{{Name: "chat", Kind: Slack, URLFile: "/f"}}, Route: route("chat")})
	if err != nil {
		t.Fatal(err)
	}
	if n.Queued() != 0 {
		t.Error("something waits before there is a term")
	}
	n.Begin().Incident(incident.Incident{})
	if n.Queued() != 1 {
		t.Error("nothing waits")
	}
	n.Begin()
	if n.Queued() != 0 {
		t.Error("what waited is still there")
	}
	n.Close()
}

func TestErrorsOfReceiversNameThem(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		r    []Receiver
		want string
	}{
		"none":                {nil, "receivers: none"},
		"no name":             {[]Receiver{{Kind: Slack, URLFile: "/f"}}, "name"},
		"twice":               {[]Receiver{{Name: "a", Kind: Slack, URLFile: "/f"}, {Name: "a", Kind: Slack, URLFile: "/f"}}, `"a" is given twice`},
		"unknown kind":        {[]Receiver{{Name: "a", Kind: "pager", URLFile: "/f"}}, `"pager"`},
		"nowhere":             {[]Receiver{{Name: "a", Kind: Webhook}}, "urls: 0"},
		"two":                 {[]Receiver{{Name: "a", Kind: Webhook, URLs: []string{"http://a", "http://b"}}}, "urls: 2"},
		"no Alertmanager":     {[]Receiver{{Name: "a", Kind: Alertmanager}}, "urls: 0"},
		"no address":          {[]Receiver{{Name: "a", Kind: Alertmanager, URLs: []string{"am:9093"}}}, "http or https"},
		"signed chat":         {[]Receiver{{Name: "a", Kind: Slack, URLFile: "/f", SecretFile: "/s"}}, "secretFile"},
		"no end":              {[]Receiver{{Name: "a", Kind: Alertmanager, URLs: []string{"http://a"}, SkipResolved: true}}, "skipResolved"},
		"no time":             {[]Receiver{{Name: "a", Kind: Slack, URLFile: "/f", Timeout: -1}}, "timeout: -1ns"},
		"a route for another": {[]Receiver{{Name: "b", Kind: Slack, URLFile: "/f"}}, `route.receiver: "a"`},
	} {
		_, err := New(Options{Receivers: tc.r, Route: route("a")})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error is %v, want %q", name, err, tc.want)
		}
	}
}

func TestFingerprintsAreThoseOfAlertmanager(t *testing.T) {
	t.Parallel()
	for _, labels := range []map[string]string{
		{}, {"a": "b"}, {"alertname": "HomeostatOOMKilled", "namespace": "shop", "workload": "ü\n"},
	} {
		set := model.LabelSet{}
		for k, v := range labels {
			set[model.LabelName(k)] = model.LabelValue(v)
		}
		if got, want := (&alerts.Alert{Labels: labels}).Fingerprint(), set.Fingerprint().String(); got != want {
			t.Errorf("fingerprint of %v is %s, want %s", labels, got, want)
		}
	}
}
