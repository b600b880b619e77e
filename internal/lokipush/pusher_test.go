package lokipush

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/grafana/loki/pkg/push"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/journal"
)

func TestMain(m *testing.M) {
	// The client's HTTP client keeps connections for its next request.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

var start = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func decision(i int) journal.Record {
	return journal.Record{
		Time: start.Add(time.Duration(i) * time.Second), Kind: journal.Decision, ID: fmt.Sprintf("d-%010d", i), Reason: "ScaleUp",
		Subject: cluster.Ref{Kind: "Autoscaler", Namespace: "shop", Name: "web"}, Message: fmt.Sprintf("line %d", i),
		Decision: &journal.DecisionRecord{},
	}
}

// pusher starts a Pusher to the store; the returned function ends it.
func pusher(t *testing.T, s *store, change func(*Options)) (p *Pusher, end func()) {
	t.Helper()
	s.t = t
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	o := Options{
		URL: server.URL, Wait: 10 * time.Millisecond, MinBackoff: time.Millisecond, MaxBackoff: 5 * time.Millisecond, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	}
	if change != nil {
		change(&o)
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := p.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	end = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	t.Cleanup(end)
	return p, end
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20s: %s", what)
		}
	}
}

// ordered fails where the entries are not those of decision(0) to decision(n-1), in that order.
func ordered(t *testing.T, entries []push.Entry, n int) {
	t.Helper()
	var want, got []string
	for i := range n {
		want = append(want, fmt.Sprintf("line %d", i))
	}
	for _, e := range entries {
		var r journal.Record
		if err := json.Unmarshal([]byte(e.Line), &r); err != nil {
			t.Fatalf("line %q: %v", e.Line, err)
		}
		got = append(got, r.Message)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestARecordArrivesWithFewLabelsAndItsID(t *testing.T) {
	t.Parallel()
	s := &store{}
	p, end := pusher(t, s, func(o *Options) { o.Tenant, o.Labels = "ops", map[string]string{"cluster": "blue"} })
	in := journal.Record{
		Time: start, Kind: journal.Incident, ID: "shop/web-oomkilled-1", Reason: "IncidentOpened",
		Subject:  cluster.Ref{Kind: "Incident", Namespace: "shop", Name: "web-oomkilled-1"},
		Incident: &incident.Incident{Namespace: "shop", Name: "web-oomkilled-1"},
	}
	p.Write(decision(0))
	p.Write(in)
	end() // sends what waits
	want := map[string]int{
		`{app="homeostat", cluster="blue", kind="decision", namespace="shop"}`: 1,
		`{app="homeostat", cluster="blue", kind="incident", namespace="shop"}`: 1,
	}
	if diff := cmp.Diff(want, s.streams()); diff != "" {
		t.Errorf("streams (-want +got):\n%s", diff)
	}
	if s.tenant != "ops" {
		t.Errorf("tenant %q, want ops", s.tenant)
	}
	for _, e := range s.got() {
		r := decision(0)
		if strings.Contains(e.Line, `"kind":"incident"`) {
			r = in
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		metadata := push.LabelsAdapter{
			{Name: "id", Value: r.ID}, {Name: "subject", Value: r.Subject.String()}, {Name: "reason", Value: r.Reason},
		}
		if diff := cmp.Diff(push.Entry{Timestamp: r.Time, Line: string(text), StructuredMetadata: metadata}, e); diff != "" {
			t.Errorf("entry (-want +got):\n%s", diff)
		}
	}
}

func TestWhatCameWhileLokiWasAwayIsSentInOrderWhenItIsBack(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]int{"broken": 503, "asks for peace": 429} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &store{answer: answer}
			p, _ := pusher(t, s, nil)
			const n = 500
			for i := range n {
				p.Write(decision(i))
			}
			await(t, "some tries in vain", func() bool { return s.refusals() > 3 })
			if p.Dropped() != 0 || len(s.got()) > 0 {
				t.Fatalf("%d dropped, %d taken by a Loki that is away", p.Dropped(), len(s.got()))
			}
			s.set(0)
			await(t, "all lines", func() bool { return len(s.got()) >= n })
			ordered(t, s.got(), n)
			if p.Length() != 0 || p.Dropped() != 0 {
				t.Errorf("%d wait and %d are dropped, want none", p.Length(), p.Dropped())
			}
		})
	}
}

func TestLinesThatLokiRefusesAreCountedAndTheNextAreSent(t *testing.T) {
	t.Parallel()
	s, log := &store{answer: 400}, &bytes.Buffer{}
	p, end := pusher(t, s, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(log, nil)) })
	for i := range 7 {
		p.Write(decision(100 + i))
	}
	await(t, "seven refused lines", func() bool { return p.Dropped() == 7 })
	s.set(0)
	for i := range 3 {
		p.Write(decision(i))
	}
	end()
	ordered(t, s.got(), 3)
	if strings.Count(log.String(), "loki does not take lines") != 1 || !strings.Contains(log.String(), "400 Bad Request") {
		t.Errorf("the log says\n%s\nwant one line with the status", log.String())
	}
}

// gate is a client that takes lines only while it is open.
type gate struct {
	mu      sync.Mutex
	open    chan struct{}
	texts   []string
	stopped bool
	late    int // lines that came after Stop
}

func (g *gate) HandleWithMetadata(_ model.LabelSet, _ time.Time, text string, _ push.LabelsAdapter) error {
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	g.texts = append(g.texts, text)
	if g.stopped {
		g.late++
	}
	return nil
}

func (g *gate) Stop() {
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopped = true
}

// gated returns a Pusher to a gate that is closed.
func gated(t *testing.T, backlog int) (*Pusher, *gate) {
	t.Helper()
	p, err := New(Options{URL: "http://loki.invalid", Backlog: backlog, Grace: 3 * time.Second, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{open: make(chan struct{})}
	p.open = func() (client, error) { return g, nil }
	return p, g
}

func TestNothingWaitsWhileLokiIsAwayAndWhatDoesNotFitIsCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		one, err := encode(new(decision(0)), nil)
		if err != nil {
			t.Fatal(err)
		}
		const fit = 20
		p, g := gated(t, fit*(one.bytes()+20))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = p.Run(ctx)
		}()
		began := time.Now()
		const n = 100
		for i := range n {
			p.Write(decision(i))
			synctest.Wait()
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("writing waited %s", took)
		}
		kept := p.Length()
		if kept < fit || kept > fit+2 {
			t.Errorf("%d lines wait, want some %d", kept, fit)
		}
		if got := p.Dropped(); got != int64(n-kept-1) { // one is in the hands of the client
			t.Errorf("%d dropped, want %d", got, n-kept-1)
		}
		close(g.open)
		synctest.Wait()
		if len(g.texts) != kept+1 || p.Length() != 0 {
			t.Errorf("%d lines sent and %d left, want %d and none", len(g.texts), p.Length(), kept+1)
		}
		for i, text := range g.texts {
			if !strings.Contains(text, fmt.Sprintf("line %d\"", i)) {
				t.Fatalf("line %d is %s", i, text)
			}
		}
		p.Write(decision(200))
		cancel()
		<-ended
		if last := g.texts[len(g.texts)-1]; !strings.Contains(last, "line 200") || !g.stopped || g.late != 0 {
			t.Errorf("last line %s, stopped %t, %d lines after that", last, g.stopped, g.late)
		}
	})
}

func TestTheEndDoesNotWaitForALokiThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, g := gated(t, DefaultBacklog)
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 10 {
			p.Write(decision(i))
		}
		cancel()
		began := time.Now()
		if err := p.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("it took %s, want the grace of 3s", took)
		}
		if got := p.Dropped(); got != 9 || p.Length() != 0 {
			t.Errorf("%d dropped and %d left, want all but the one that the client has", got, p.Length())
		}
		close(g.open) // the goroutine that was left ends by itself, without a line after the end
		synctest.Wait()
		if len(g.texts) != 1 || !g.stopped {
			t.Errorf("%d lines, stopped %t", len(g.texts), g.stopped)
		}
	})
}

func TestAFullQueueDropsAndCounts(t *testing.T) {
	t.Parallel()
	p, _ := gated(t, 0)
	for i := range Queue + 7 {
		p.Write(decision(i))
	}
	if p.Dropped() != 7 || p.Length() != Queue {
		t.Errorf("%d dropped and %d wait, want 7 and %d", p.Dropped(), p.Length(), Queue)
	}
}

func TestALongLineIsCutAndStaysJSON(t *testing.T) {
	t.Parallel()
	long := decision(1)
	long.Decision = &journal.DecisionRecord{
		Target: cluster.Ref{Kind: "Deployment", Namespace: "shop", Name: "web"}, Mode: "Active",
		Recommendation: hpa.Recommendation{At: start, Current: 2, Desired: 4, Reason: "ScaleUp"},
	}
	for i := range 5000 {
		long.Decision.Observation.Replicas = append(long.Decision.Observation.Replicas, hpa.Replica{Name: fmt.Sprintf("web-%d", i)})
	}
	in := journal.Record{
		Time: start, Kind: journal.Incident, Subject: cluster.Ref{Kind: "Incident", Namespace: "shop", Name: "x"},
		Incident: &incident.Incident{Namespace: "shop", Name: "x", Cause: "killed", Evidence: []incident.Evidence{{Lines: []string{strings.Repeat("ü", MaxLine)}}}},
	}
	for name, r := range map[string]journal.Record{"decision": long, "incident": in} {
		got, err := text(&r)
		var back struct {
			journal.Record
			Cut string `json:"cut"`
		}
		if err != nil || len(got) > MaxLine || json.Unmarshal([]byte(got), &back) != nil || !strings.Contains(back.Cut, "bytes") {
			t.Fatalf("%s: %d bytes, error %v, cut %q", name, len(got), err, back.Cut)
		}
		if r.Decision != nil && back.Decision.Recommendation.Desired != 4 || r.Incident != nil && back.Incident.Cause != "killed" {
			t.Errorf("%s: what counts is not in %s", name, got)
		}
	}
	in.Message = strings.Repeat("ü", MaxLine)
	if got, err := text(&in); err != nil || len(got) > MaxLine || len(got) < MaxLine-3 || strings.ContainsRune(got, '\uFFFD') {
		t.Errorf("a long sentence gives %d bytes, error %v", len(got), err)
	}
}

func TestARecordWithoutJSONIsDroppedAloneAndCounted(t *testing.T) {
	t.Parallel()
	s := &store{}
	p, end := pusher(t, s, nil)
	bad := decision(7)
	bad.Decision.Recommendation.Metrics = []hpa.MetricProposal{{Ratio: math.NaN()}}
	p.Write(bad)
	p.Write(decision(0))
	end()
	ordered(t, s.got(), 1)
	if p.Dropped() != 1 {
		t.Errorf("%d dropped, want 1", p.Dropped())
	}
}

func TestOptionsThatAreNotAllowed(t *testing.T) {
	t.Parallel()
	good := Options{URL: "https://loki/path/", Log: slog.New(slog.DiscardHandler), Now: time.Now}
	for name, tc := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"no URL":     {func(o *Options) { o.URL = "loki:3100" }, "url: allowed is"},
		"a password": {func(o *Options) { o.URL = "http://me:s3cret@loki" }, "without credentials"},
		"no log":     {func(o *Options) { o.Log = nil }, "log: it is required"},
		"no clock":   {func(o *Options) { o.Now = nil }, "now: it is required"},
		"a timeout":  {func(o *Options) { o.Timeout = -time.Second }, "timeout: -1s is not allowed"},
		"a backlog":  {func(o *Options) { o.Backlog = -1 }, "backlog: -1 is not allowed"},
	} {
		o := good
		tc.change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: error is %v, want %q", name, err, tc.want)
		}
	}
	if p, err := New(good); err != nil || p.options.URL != "https://loki/path/loki/api/v1/push" {
		t.Errorf("error %v", err)
	}
}
