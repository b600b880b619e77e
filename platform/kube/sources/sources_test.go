package sources

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/policy"
	"github.com/homeostat/homeostat/metrics"
	"github.com/homeostat/homeostat/metrics/app"
	"github.com/homeostat/homeostat/metrics/custom"
	"github.com/homeostat/homeostat/metrics/poll"
	"github.com/homeostat/homeostat/metrics/promql"
	"github.com/homeostat/homeostat/platform/kube/view"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func newStore(tb testing.TB) *metrics.Store {
	tb.Helper()
	store, err := metrics.NewStore(metrics.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return store
}

// sampled gives a container a usage at noon, less ago.
func sampled(store *metrics.Store, pod, container string, milli, bytes int64, ago time.Duration) {
	key := metrics.Key{Namespace: "shop", Pod: pod, Container: container}
	for i := range 2 {
		at := noon.Add(-ago + time.Duration(i-1)*15*time.Second)
		store.Add(key, "node-1", metrics.Sample{At: at, CPUSeconds: float64(milli) / 1000 * 15 * float64(i), MemoryBytes: bytes})
	}
}

func pod(name string, containers ...string) *view.Pod {
	p := &view.Pod{
		Meta: view.Meta{Namespace: "shop", Name: name, UID: "uid-" + name}, Measured: containers, IP: "10.0.0.7",
		CPU: view.Request{Value: 300}, Memory: view.Request{Missing: "proxy"},
	}
	p.Replica = cluster.Replica{Name: name, Node: "node-1", Phase: cluster.PhaseRunning}
	for _, c := range containers {
		p.Replica.Containers = append(p.Replica.Containers, cluster.Container{Name: c, Kind: cluster.ContainerMain})
	}
	return p
}

func TestUsage(t *testing.T) {
	for name, tc := range map[string]struct {
		containers  []string
		arrange     func(*metrics.Store)
		cpu, memory hpa.Usage
	}{
		"the sum, as old as its oldest part": {
			[]string{"web", "proxy"},
			func(s *metrics.Store) {
				sampled(s, "a", "web", 30, 100, 0)
				sampled(s, "a", "proxy", 5, 10, 4*time.Second)
			},
			hpa.Usage{Known: true, Value: 35, At: noon.Add(-4 * time.Second), Window: 15 * time.Second},
			hpa.Usage{Known: true, Value: 110, At: noon.Add(-4 * time.Second), Window: 15 * time.Second},
		},
		"without one of the containers": {
			[]string{"web", "proxy"},
			func(s *metrics.Store) { sampled(s, "a", "web", 30, 100, 0) },
			hpa.Usage{Known: true, Partial: "proxy", Value: 30, At: noon, Window: 15 * time.Second},
			hpa.Usage{Known: true, Partial: "proxy", Value: 100, At: noon, Window: 15 * time.Second},
		},
		"one has memory but no rate yet": {
			[]string{"web", "proxy"},
			func(s *metrics.Store) {
				sampled(s, "a", "proxy", 5, 10, 0)
				s.Add(metrics.Key{Namespace: "shop", Pod: "a", Container: "web"}, "node-1", metrics.Sample{At: noon, MemoryBytes: 100})
			},
			hpa.Usage{Known: true, Partial: "web", Value: 5, At: noon, Window: 15 * time.Second},
			hpa.Usage{Known: true, Value: 110, At: noon, Window: 15 * time.Second},
		},
		"none": {
			[]string{"web", "proxy"},
			func(*metrics.Store) {},
			hpa.Usage{Why: "Missing (container web)"},
			hpa.Usage{Why: "Missing (container web)"},
		},
		"none, and the node cannot be reached": {
			[]string{"web"},
			func(s *metrics.Store) { s.NodeScraped("node-1", noon, errors.New("no route")) },
			hpa.Usage{Why: "NodeUnreachable (container web)"},
			hpa.Usage{Why: "NodeUnreachable (container web)"},
		},
		"every container has ended": {nil, func(*metrics.Store) {}, hpa.Usage{Why: "Missing"}, hpa.Usage{Why: "Missing"}},
	} {
		store := newStore(t)
		tc.arrange(store)
		s, err := New(Config{Store: store})
		if err != nil {
			t.Fatal(err)
		}
		tc.cpu.Request, tc.memory.RequestMissing = 300, "proxy"
		cpu, memory := s.usage(pod("a", tc.containers...), noon)
		if diff := cmp.Diff([]hpa.Usage{tc.cpu, tc.memory}, []hpa.Usage{cpu, memory}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestPageOf(t *testing.T) {
	port := func(container, name string, number int32) view.Port {
		return view.Port{Container: container, Name: name, Number: number}
	}
	annotated := &app.Page{Scheme: "http", Path: "/metrics"}
	numbered := &app.Page{Scheme: "http", Path: "/m", Port: 9000}
	for name, tc := range map[string]struct {
		change    func(*view.Pod)
		spec      *policy.AppPage
		url, from string // and the container
		why       string
	}{
		"nobody tells":        {change: func(*view.Pod) {}, why: noPage},
		"an annotation":       {change: func(p *view.Pod) { p.Page = numbered }, url: "http://10.0.0.7:9000/m", from: "web"},
		"the only port":       {change: func(p *view.Pod) { p.Page = annotated; p.Ports = []view.Port{port("web", "", 80)} }, url: "http://10.0.0.7:80/metrics", from: "web"},
		"no port":             {change: func(p *view.Pod) { p.Page = annotated }, why: "annotation prometheus.io/port is missing, and the pod declares no port"},
		"a faulty annotation": {change: func(p *view.Pod) { p.PageFault = "annotation prometheus.io/port is \"x\"" }, why: "annotation prometheus.io/port is \"x\""},
		"several ports": {
			change: func(p *view.Pod) {
				p.Page = annotated
				p.Ports = []view.Port{port("web", "", 80), port("proxy", "", 81)}
			},
			why: "annotation prometheus.io/port is missing, and the pod declares several ports",
		},
		"the spec counts": {
			change: func(p *view.Pod) { p.Page = numbered },
			spec:   &policy.AppPage{Port: 8443, Path: "/x", Scheme: "https"}, url: "https://10.0.0.7:8443/x", from: "web",
		},
		"a named port": {
			change: func(p *view.Pod) { p.Ports = []view.Port{port("proxy", "admin", 1), port("web", "telemetry", 2)} },
			spec:   &policy.AppPage{PortName: "telemetry", Path: "/", Scheme: "http"}, url: "http://10.0.0.7:2/", from: "web",
		},
		"a named port of a container": {
			change: func(p *view.Pod) { p.Ports = []view.Port{port("proxy", "telemetry", 1), port("web", "telemetry", 2)} },
			spec:   &policy.AppPage{PortName: "telemetry", Container: "web", Path: "/", Scheme: "http"}, url: "http://10.0.0.7:2/", from: "web",
		},
		"no such port": {
			change: func(*view.Pod) {}, spec: &policy.AppPage{PortName: "telemetry"}, why: "no container has a port named telemetry",
		},
		"of which container nobody knows": {
			change: func(p *view.Pod) {
				p.Page = numbered
				p.Replica.Containers = append(p.Replica.Containers, cluster.Container{Name: "proxy", Kind: cluster.ContainerMain})
			},
			url: "http://10.0.0.7:9000/m",
		},
		"not yet running": {change: func(p *view.Pod) { p.Page = numbered; p.Replica.Phase = cluster.PhasePending }, why: "the pod does not run"},
		"no address":      {change: func(p *view.Pod) { p.Page = numbered; p.IP = "" }, why: "the pod does not run"},
		"being deleted":   {change: func(p *view.Pod) { p.Page = numbered; p.Replica.DeletedAt = noon }, why: "the pod does not run"},
		"an IPv6 address": {change: func(p *view.Pod) { p.Page = numbered; p.IP = "fd00::7" }, url: "http://[fd00::7]:9000/m", from: "web"},
		"a given container": {
			change: func(*view.Pod) {}, spec: &policy.AppPage{Port: 1, Path: "/", Scheme: "http", Container: "proxy"},
			url: "http://10.0.0.7:1/", from: "proxy",
		},
	} {
		p := pod("a", "web")
		tc.change(p)
		got, why := pageOf(p, tc.spec)
		if got.URL != tc.url || got.Container != tc.from || why != tc.why {
			t.Errorf("%s: %q of %q because %q; want %q of %q because %q", name, got.URL, got.Container, why, tc.url, tc.from, tc.why)
		}
	}
}

func TestObjectOf(t *testing.T) {
	for text, want := range map[string]custom.Object{
		"v1/Service/web":                    {APIVersion: "v1", Kind: "Service", Name: "web"},
		"networking.k8s.io/v1/Ingress/main": {APIVersion: "networking.k8s.io/v1", Kind: "Ingress", Name: "main"},
		"/Service/web":                      {Kind: "Service", Name: "web"},
		"web":                               {Name: "web"},
	} {
		if got := objectOf(text); got != want {
			t.Errorf("%s is %+v, want %+v", text, got, want)
		}
	}
}

func TestUsable(t *testing.T) {
	down := errors.New("no route")
	for name, tc := range map[string]struct {
		r      poll.Result[int]
		period time.Duration
		want   string
	}{
		"nothing yet":                    {poll.Result[int]{}, 0, "it has not been read yet"},
		"only an error":                  {poll.Result[int]{Err: down, Tried: true}, 0, "no route"},
		"fresh":                          {poll.Result[int]{At: noon.Add(-time.Minute), Tried: true}, 0, ""},
		"fresh, and failing now":         {poll.Result[int]{At: noon.Add(-50 * time.Second), Err: down, Tried: true}, 0, ""},
		"too old, and failing":           {poll.Result[int]{At: noon.Add(-90 * time.Second), Err: down, Tried: true}, 0, "the last value is 1m30s old: no route"},
		"too old":                        {poll.Result[int]{At: noon.Add(-90 * time.Second), Tried: true}, 0, "the last value is 1m30s old"},
		"three periods of a slow source": {poll.Result[int]{At: noon.Add(-90 * time.Second), Tried: true}, 30 * time.Second, ""},
	} {
		if got := usable(&tc.r, tc.period, noon); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// recorder is a metrics API that notes what it was asked.
type recorder struct{ asked chan string }

func (r recorder) Pods(_ context.Context, ns, metric string, pods, selector labels.Selector) (map[string]custom.PodValue, error) {
	r.asked <- fmt.Sprintf("pods %s %s %s %s", ns, metric, pods, selector)
	return map[string]custom.PodValue{"a": {Milli: 5000, At: noon}}, nil
}

func (r recorder) Object(_ context.Context, ns string, o custom.Object, metric string, selector labels.Selector) (custom.Value, error) {
	r.asked <- fmt.Sprintf("object %s %s %s %s", ns, o.Name, metric, selector)
	return custom.Value{}, custom.ErrNoValues
}

func (r recorder) External(_ context.Context, ns, metric string, selector labels.Selector) (custom.Value, error) {
	r.asked <- fmt.Sprintf("external %s %s %s", ns, metric, selector)
	return custom.Value{Milli: 1}, nil
}

type prometheus struct{ err error }

func (p prometheus) Query(context.Context, string) (promql.Value, error) {
	return promql.Value{Milli: 1}, p.err
}

// What a source cannot tell is not known, with the reason, and never a zero; each source is asked once whatever its metrics'
// targets are.
func TestReadings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := recorder{asked: make(chan string, 100)}
		s, err := New(Config{Store: newStore(t), Custom: api, Prometheus: prometheus{errors.New("the query returns no series")}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { s.Run(ctx); close(ended) }()
		selector, _ := labels.Parse("app=web")
		metric := func(s hpa.Source) hpa.Metric { return hpa.Metric{Source: s, Type: hpa.AverageValue, Target: 1} }
		pods := hpa.Source{Type: hpa.FromPods, Name: "hits", Selector: "path=a"}
		ask := Ask{Namespace: "shop", Selector: selector, Pods: []*view.Pod{pod("a", "web"), pod("b", "web")}, Metrics: []hpa.Metric{
			metric(pods), metric(pods), metric(hpa.OfResource(hpa.CPU)),
			metric(hpa.Source{Type: hpa.FromObject, Name: "load", Object: "v1/Service/web"}),
			metric(hpa.Source{Type: hpa.FromExternal, Name: "queue", Selector: "(("}),
			metric(hpa.Source{Type: hpa.FromPrometheus, Name: "up"}),
		}}
		replicas := make([]hpa.Replica, 2)
		s.Read(&ask, replicas, time.Now())
		time.Sleep(2 * time.Second)
		var got []string
		for _, r := range s.Read(&ask, replicas, time.Now()) {
			got = append(got, fmt.Sprintf("%s %s %v %s", r.Source.String(), r.From, r.Known, r.Why))
		}
		want := []string{
			"hits custom.metrics.k8s.io true ",
			"load custom.metrics.k8s.io false no values returned",
			`queue external.metrics.k8s.io false the selector "((" of metric queue cannot be read: found '(', expected: !, identifier, or 'end of string'`,
			"up prometheus false the query returns no series",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("readings (-want +got):\n%s", diff)
		}
		stop()
		<-ended
		close(api.asked)
		asked := map[string]int{}
		for a := range api.asked {
			asked[a]++
		}
		if asked["pods shop hits app=web path=a"] != 1 || asked["object shop web load "] == 0 || len(asked) != 2 {
			t.Errorf("asked for %v", asked)
		}
	})
}

func TestPagesAreReadOnlyForWhatTheyCanTell(t *testing.T) {
	cpu, memory := hpa.OfResource(hpa.CPU), hpa.OfResource(hpa.Memory)
	for name, tc := range map[string]struct {
		source hpa.Source
		native bool
		want   bool
	}{
		"cpu":                       {cpu, false, true},
		"memory":                    {memory, false, false},
		"cpu of a container":        {hpa.Source{Type: hpa.FromContainerResource, Resource: hpa.CPU, Container: "web"}, true, true},
		"pods":                      {hpa.Source{Type: hpa.FromPods, Name: "x"}, false, true},
		"pods of a native HPA":      {hpa.Source{Type: hpa.FromPods, Name: "x"}, true, false},
		"a metric from elsewhere":   {hpa.Source{Type: hpa.FromExternal, Name: "x"}, false, false},
		"the result of a query":     {hpa.Source{Type: hpa.FromPrometheus, Name: "x"}, false, false},
		"memory of a container":     {hpa.Source{Type: hpa.FromContainerResource, Resource: hpa.Memory, Container: "web"}, false, false},
		"what describes one object": {hpa.Source{Type: hpa.FromObject, Name: "x"}, false, false},
	} {
		if got := readsPages(&Ask{Metrics: []hpa.Metric{{Source: tc.source}}, Native: tc.native}); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestNewNamesWhatIsWrong(t *testing.T) {
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "Store is missing") {
		t.Errorf("error is %v", err)
	}
	_, err := New(Config{Store: newStore(t), Prometheus: prometheus{}, PrometheusPeriod: time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "period is 1ms") {
		t.Errorf("error is %v", err)
	}
}

// What nobody has asked for until now is about to be known; what is not there is not waited for.
func TestPending(t *testing.T) {
	scraper, err := app.New(app.Config{})
	if err != nil {
		t.Fatal(err)
	}
	paged, bare := pod("a", "web"), pod("b", "web")
	paged.Page = &app.Page{Scheme: "http", Path: "/metrics", Port: 9000}
	perPod := hpa.Source{Type: hpa.FromPods, Name: "hits"}
	for name, tc := range map[string]struct {
		pod    *view.Pod
		source hpa.Source
		native bool
		want   bool
	}{
		"a page that was never read":   {paged, perPod, false, true},
		"no page":                      {bare, perPod, false, false},
		"a page that is not looked at": {paged, perPod, true, false},
		"a query without a server":     {paged, hpa.Source{Type: hpa.FromPrometheus, Name: "up"}, false, false},
		"usage":                        {paged, hpa.OfResource(hpa.CPU), false, false},
	} {
		s, err := New(Config{Store: newStore(t), App: scraper})
		if err != nil {
			t.Fatal(err)
		}
		ask := Ask{Namespace: "shop", Metrics: []hpa.Metric{{Source: tc.source}}, Pods: []*view.Pod{tc.pod}, Native: tc.native}
		s.Read(&ask, make([]hpa.Replica, 1), noon)
		if ask.Pending != tc.want {
			t.Errorf("%s: pending is %v", name, ask.Pending)
		}
	}
}

// The rate of a counter needs more than one page: until then it is about to be known, and nothing stands in for it.
func TestARateIsPendingUntilItIsKnown(t *testing.T) {
	var hits atomic.Int64
	s, port := scrape(t, app.Config{RateSpan: time.Second}, func(string) string { return fmt.Sprintf("hits_total %d\n", hits.Add(10)) })
	paged := pod("a", "web")
	paged.IP = "127.0.0.1"
	paged.Page = &app.Page{Scheme: "http", Path: "/metrics", Port: port}
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		ask := Ask{Namespace: "shop", Metrics: []hpa.Metric{{Source: hpa.Source{Type: hpa.FromPods, Name: "hits_total"}}}, Pods: []*view.Pod{paged}}
		got := s.Read(&ask, make([]hpa.Replica, 1), time.Now())
		if len(got) == 1 && got[0].Known {
			break
		}
		if !ask.Pending {
			t.Fatalf("it is away: %+v", got)
		}
		if time.Since(begun) > time.Minute {
			t.Fatalf("it never came: %+v", got)
		}
	}
}

// BenchmarkRead1000 is the cost of the usage of a thousand pods of two containers, of which each has a page.
func BenchmarkRead1000(b *testing.B) {
	store := newStore(b)
	scraper, err := app.New(app.Config{})
	if err != nil {
		b.Fatal(err)
	}
	s, err := New(Config{Store: store, App: scraper})
	if err != nil {
		b.Fatal(err)
	}
	ask := Ask{Namespace: "shop", Metrics: []hpa.Metric{{Source: hpa.OfResource(hpa.CPU)}}}
	for i := range 1000 {
		name := fmt.Sprint("web-", i)
		p := pod(name, "web", "proxy")
		p.Page = &app.Page{Scheme: "http", Path: "/metrics", Port: 9000}
		p.Ports = []view.Port{{Container: "web", Number: 9000}}
		sampled(store, name, "web", 30, 100, 0)
		sampled(store, name, "proxy", 30, 100, 0)
		ask.Pods = append(ask.Pods, p)
	}
	replicas := make([]hpa.Replica, len(ask.Pods))
	b.ReportAllocs()
	for b.Loop() {
		s.Read(&ask, replicas, noon)
	}
	if !replicas[999].CPU.Known {
		b.Fatal("the usage is not known")
	}
}
