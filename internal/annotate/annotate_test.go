package annotate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// grafana keeps annotations as Grafana's HTTP API does.
type grafana struct {
	mu     sync.Mutex
	stored []annotation
	calls  []string
	token  string
	// fail answers in place of Grafana; it returns false where Grafana shall.
	fail func(w http.ResponseWriter, r *http.Request) bool
}

func (g *grafana) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls = append(g.calls, r.Method+" "+r.URL.Path)
	if r.Header.Get("Authorization") != g.token {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if g.fail != nil && g.fail(w, r) {
		return
	}
	switch r.Method {
	case http.MethodGet:
		found := []annotation{}
		for _, a := range g.stored {
			if !slices.ContainsFunc(r.URL.Query()["tags"], func(tag string) bool { return !slices.Contains(a.Tags, tag) }) {
				found = append(found, a)
			}
		}
		_ = json.NewEncoder(w).Encode(found)
	case http.MethodPost:
		var a annotation
		_ = json.NewDecoder(r.Body).Decode(&a)
		a.ID = int64(len(g.stored) + 1)
		g.stored = append(g.stored, a)
		_, _ = w.Write([]byte(`{"message":"Annotation added","id":` + strconv.FormatInt(a.ID, 10) + `}`))
	case http.MethodPatch:
		id, _ := strconv.Atoi(r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:])
		if id < 1 || id > len(g.stored) {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_ = json.NewDecoder(r.Body).Decode(&g.stored[id-1])
		_, _ = w.Write([]byte(`{"message":"Annotation patched"}`))
	}
}

func (g *grafana) all() []annotation {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.stored)
}

func (g *grafana) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.calls)
}

// open returns Annotations that write to g, and the log. change may alter the options.
func open(t *testing.T, g *grafana, change func(*Options)) (*Annotations, *logged) {
	t.Helper()
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	log := &logged{}
	o := Options{
		URL: server.URL + "/grafana/", Backoff: time.Millisecond, Grace: 5 * time.Second, Log: slog.New(slog.NewTextHandler(log, nil)),
		Transport: &http.Transport{DisableKeepAlives: true},
	}
	if change != nil {
		change(&o)
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return a, log
}

// run sends until everything that waits is sent, and ends.
func run(t *testing.T, a *Annotations) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); a.Run(ctx) }()
	for deadline := time.Now().Add(20 * time.Second); a.Length() > 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	end()
	<-ended
}

type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var (
	noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	web  = cluster.Ref{Kind: "Deployment", Namespace: "shop", Name: "web"}
)

func scaled(from, to int32) (control.Autoscaler, hpa.Recommendation) {
	return control.Autoscaler{Ref: cluster.Ref{Kind: "Autoscaler", Namespace: "shop", Name: "web"}, Mode: control.Active, Target: web},
		hpa.Recommendation{At: noon, Current: from, Desired: to, Message: "load is <above> its target", Steps: []hpa.Step{{Name: hpa.StepMetrics}}}
}

func oom(state incident.State) incident.Incident {
	in := incident.Incident{
		Namespace: "shop", Name: "web-oom-1", Workload: web, Kind: incident.OOMKilled, State: state, Cause: "app was killed at its memory limit",
		StartedAt: noon, OpenedAt: noon.Add(time.Second), Message: "healthy for a minute",
	}
	if !state.Active() {
		in.ResolvedAt = noon.Add(5 * time.Minute)
	}
	return in
}

// A story: a scaling, an incident that is acted on, and its end. The incident is one annotation, a region.
func TestAStoryBecomesAnnotations(t *testing.T) {
	t.Parallel()
	g := &grafana{}
	a, _ := open(t, g, func(o *Options) { o.Tags = []string{"cluster:eu-1"} })
	of, rec := scaled(2, 4)
	a.Decided(of, hpa.Observation{}, hpa.History{}, rec, nil)
	a.Incident(oom(incident.Open))
	a.Incident(oom(incident.Acting)) // nothing new
	a.Acted(healing.Action{Incident: "web-oom-1", Remedy: incident.RemedyRollback, Workload: web},
		healing.Result{Outcome: incident.Done, Message: "to revision 4"}, noon.Add(time.Minute))
	a.Incident(oom(incident.Resolved))
	run(t, a)

	id := "id:" + cluster.DecisionID(of.Ref, noon, 2, 4)
	want := []annotation{
		{
			ID: 1, Time: noon.UnixMilli(), Text: "shop/deployment/web 2 → 4 replicas: load is &lt;above&gt; its target",
			Tags: []string{"homeostat", "decision", "kind:Scaled", "cluster:eu-1", "namespace:shop", "workload:web", id},
		},
		{
			ID: 2, Time: noon.UnixMilli(), TimeEnd: noon.Add(5 * time.Minute).UnixMilli(),
			Text: "OOMKilled of shop/deployment/web: app was killed at its memory limit (healthy for a minute)",
			Tags: []string{"homeostat", "incident", "kind:OOMKilled", "cluster:eu-1", "namespace:shop", "workload:web", "id:shop/web-oom-1"},
		},
		{
			ID: 3, Time: noon.Add(time.Minute).UnixMilli(), Text: "Rollback shop/deployment/web: to revision 4",
			Tags: []string{"homeostat", "action", "kind:Rollback", "cluster:eu-1", "namespace:shop", "workload:web", "id:shop/web-oom-1"},
		},
	}
	if diff := cmp.Diff(want, g.all()); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	if a.Dropped() != 0 {
		t.Errorf("%d dropped", a.Dropped())
	}
	if !strings.HasPrefix(g.calls[0], "POST /grafana/api/annotations") {
		t.Errorf("the path of the URL is lost: %s", g.calls[0])
	}
}

func TestWhatIsNotAnnotated(t *testing.T) {
	t.Parallel()
	a, _ := open(t, &grafana{}, nil)
	of, rec := scaled(2, 4)
	_, same := scaled(4, 4)
	undecided := rec
	undecided.Steps = nil
	dry := of
	dry.Mode = control.DryRun
	a.Decided(dry, hpa.Observation{}, hpa.History{}, rec, nil)
	a.Decided(of, hpa.Observation{}, hpa.History{}, rec, errors.New("conflict"))
	a.Decided(of, hpa.Observation{}, hpa.History{}, same, nil)
	a.Decided(of, hpa.Observation{}, hpa.History{}, undecided, nil)
	notice := oom(incident.Open)
	notice.Kind = incident.Evicted
	a.Incident(notice)
	for _, o := range []incident.Outcome{incident.Pending, incident.Failed, incident.Blocked, incident.DryRun} {
		a.Acted(healing.Action{Workload: web}, healing.Result{Outcome: o}, noon)
	}
	a.Healed(control.HealingView{})
	a.Turned("healing", time.Second, nil)
	if a.Length() != 0 {
		t.Errorf("%d annotations wait, want none", a.Length())
	}
}

// A new leader, or a process that was started again, ends the annotation that the one before it began.
func TestAnEarlierProcessesAnnotationIsEnded(t *testing.T) {
	t.Parallel()
	g := &grafana{}
	first, _ := open(t, g, nil)
	first.Incident(oom(incident.Open))
	run(t, first)
	second, _ := open(t, g, nil)
	second.Incident(oom(incident.Verifying))
	second.Incident(oom(incident.Resolved))
	run(t, second)
	if all := g.all(); len(all) != 1 || all[0].TimeEnd != noon.Add(5*time.Minute).UnixMilli() {
		t.Errorf("annotations are %+v, want one with an end", all)
	}
}

// Where the beginning was never written, the end is a whole region.
func TestAnEndAloneIsARegion(t *testing.T) {
	t.Parallel()
	g := &grafana{}
	a, _ := open(t, g, nil)
	a.Incident(oom(incident.Resolved))
	run(t, a)
	if all := g.all(); len(all) != 1 || all[0].Time != noon.UnixMilli() || all[0].TimeEnd != noon.Add(5*time.Minute).UnixMilli() {
		t.Errorf("annotations are %+v, want one region", all)
	}
}

// Somebody deletes the annotation of an incident that lasts: it is not made again.
func TestADeletedAnnotationStaysDeleted(t *testing.T) {
	t.Parallel()
	g := &grafana{}
	g.fail = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch {
			w.WriteHeader(http.StatusNotFound)
		}
		return r.Method == http.MethodPatch
	}
	a, _ := open(t, g, nil)
	a.Incident(oom(incident.Open))
	a.Incident(oom(incident.Resolved))
	run(t, a)
	if len(g.all()) != 1 || a.Dropped() != 0 {
		t.Errorf("%d annotations and %d dropped, want 1 and 0", len(g.all()), a.Dropped())
	}
}

func TestTrouble(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fail    func(call int, w http.ResponseWriter) bool
		written int
		calls   int
		dropped int64
		log     string
	}{
		"away for a while": {
			fail:    func(call int, w http.ResponseWriter) bool { w.WriteHeader(http.StatusBadGateway); return true },
			written: 0, calls: 2 * tries, dropped: 2, log: "502 Bad Gateway",
		},
		"twice 503": {
			fail: func(call int, w http.ResponseWriter) bool {
				if call <= 2 {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
				return call <= 2
			},
			written: 2, calls: 4,
		},
		"too many requests": {
			fail: func(call int, w http.ResponseWriter) bool {
				if call == 1 {
					w.Header().Set("Retry-After", "0")
					w.WriteHeader(http.StatusTooManyRequests)
				}
				return call == 1
			},
			written: 2, calls: 3,
		},
		"not allowed": {
			fail: func(_ int, w http.ResponseWriter) bool {
				w.WriteHeader(http.StatusForbidden)
				_, _ = w.Write([]byte(`{"message":"Permissions needed: annotations:create"}`))
				return true
			},
			calls: 2, dropped: 2, log: "annotations:create",
		},
		"a redirect is not followed": {
			fail: func(_ int, w http.ResponseWriter) bool {
				w.Header().Set("Location", "/login")
				w.WriteHeader(http.StatusFound)
				return true
			},
			calls: 2, dropped: 2, log: "302 Found",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, call := &grafana{}, 0
			g.fail = func(w http.ResponseWriter, _ *http.Request) bool { call++; return tc.fail(call, w) }
			a, log := open(t, g, nil)
			ctx, end := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() { defer close(ended); a.Run(ctx) }()
			for i := range int32(2) {
				of, rec := scaled(i, i+1)
				a.Decided(of, hpa.Observation{}, hpa.History{}, rec, nil)
			}
			settled := func() bool { return g.count() >= tc.calls && int64(len(g.all()))+a.Dropped() >= 2 }
			for deadline := time.Now().Add(20 * time.Second); !settled() && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			}
			end()
			<-ended
			if len(g.all()) != tc.written || g.count() != tc.calls || a.Dropped() != tc.dropped {
				t.Errorf("%d written with %d calls and %d dropped, want %d, %d and %d", len(g.all()), g.count(), a.Dropped(), tc.written, tc.calls, tc.dropped)
			}
			if !strings.Contains(log.String(), tc.log) || strings.Count(log.String(), "level=WARN") > 1 {
				t.Errorf("log is %q, want %q once", log, tc.log)
			}
		})
	}
}

// While Grafana does not answer nobody waits, what does not fit is counted, and the end does not take longer than the grace.
func TestNobodyWaits(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	g := &grafana{fail: func(http.ResponseWriter, *http.Request) bool { <-release; return true }}
	a, _ := open(t, g, func(o *Options) { o.Grace = time.Millisecond })
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); a.Run(ctx) }()
	for i := range int32(Queue + 10) {
		of, rec := scaled(i, i+1)
		a.Decided(of, hpa.Observation{}, hpa.History{}, rec, nil)
	}
	if n := a.Dropped(); n < 9 || n > 10 {
		t.Errorf("%d dropped, want what does not fit: 9 or 10", n)
	}
	end()
	<-ended
	close(release)
	if n := a.Dropped(); n != Queue+10 {
		t.Errorf("%d dropped in the end, want all %d", n, Queue+10)
	}
}

// The token is read for each request, so that it can be rotated, and is in no log and no error.
func TestTheTokenIsReadAnewAndNeverLogged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	write := func(s string) {
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("glsa_first\n")
	g := &grafana{token: "Bearer glsa_first"}
	a, log := open(t, g, func(o *Options) { o.TokenFile = path })
	of, rec := scaled(1, 2)
	a.Decided(of, hpa.Observation{}, hpa.History{}, rec, nil)
	run(t, a)
	g.token = "Bearer glsa_second"
	write("glsa_second")
	a.Decided(of, hpa.Observation{}, hpa.History{}, rec, nil)
	run(t, a)
	for _, bad := range []string{"glsa_wrong", "glsa_bro\nken"} {
		write(bad)
		a.Decided(of, hpa.Observation{}, hpa.History{}, rec, nil)
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); a.Run(ctx) }()
		dropped := a.Dropped()
		for deadline := time.Now().Add(20 * time.Second); a.Dropped() == dropped && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		}
		end()
		<-ended
	}
	if len(g.all()) != 2 || a.Dropped() != 2 {
		t.Errorf("%d written and %d dropped, want 2 and 2", len(g.all()), a.Dropped())
	}
	if text := log.String(); strings.Contains(text, "glsa_") || !strings.Contains(text, "401 Unauthorized") {
		t.Errorf("log is %q, want the refusal without the token", text)
	}
}

func TestNewNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	for want, o := range map[string]Options{
		"url: allowed is the address of a Grafana": {URL: "grafana:3000", Log: log},
		"url: allowed is":                          {URL: "http://admin:secret@grafana", Log: log},
		"log: it is required":                      {URL: "http://grafana"},
		"timeout: -1s is not allowed":              {URL: "http://grafana", Log: log, Timeout: -time.Second},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
}

// Grafana stores 100 characters of a tag's value; two long ids stay two.
func TestLongTags(t *testing.T) {
	t.Parallel()
	one, two := tag("id", strings.Repeat("ü", 80)+"1"), tag("id", strings.Repeat("ü", 80)+"2")
	if one == two || len(one) > len("id:")+maxTag || strings.ContainsRune(one, '�') {
		t.Errorf("tags are %q and %q", one, two)
	}
	if got := tag("id", "shop/web-oom-1"); got != "id:shop/web-oom-1" {
		t.Errorf("tag is %q", got)
	}
	if got := text(strings.Repeat("x", 2*maxText)); len(got) != maxText {
		t.Errorf("text has %d bytes", len(got))
	}
}
