package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/homeostat/homeostat/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fleet is the pods of a cluster, by the host of their pages.
type fleet struct {
	mu    sync.Mutex
	pages map[string]func(age time.Duration) (string, error)
	asked map[string]int
	begun time.Time
}

func (f *fleet) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	f.asked[r.URL.Host]++
	page := f.pages[r.URL.Host]
	f.mu.Unlock()
	if page == nil {
		return nil, errors.New("connection refused")
	}
	body, err := page(time.Since(f.begun))
	if err != nil {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return &http.Response{
		StatusCode: http.StatusOK, Request: r, ContentLength: -1,
		Header: http.Header{"Content-Type": {"text/plain; version=0.0.4"}}, Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

func (f *fleet) set(host string, page func(age time.Duration) (string, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pages[host] = page
}

func (f *fleet) count(host string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[host]
}

var errHangs = errors.New("the pod does not answer")

// using is the page of a process that was started with the fleet and uses so many cores; its counter has steps of 10 ms.
func using(cores float64) func(time.Duration) (string, error) {
	return func(age time.Duration) (string, error) {
		return fmt.Sprintf("process_cpu_seconds_total %.2f\nprocess_start_time_seconds 1.7e9\n", math.Floor(cores*age.Seconds()*100)/100), nil
	}
}

// start runs a scraper of a fleet in a bubble and ends it with the test.
func start(t *testing.T, c Config) (*Scraper, *fleet) {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{pages: map[string]func(time.Duration) (string, error){}, asked: map[string]int{}, begun: time.Now()}
	s.client = &http.Client{Transport: f}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return s, f
}

func target(name string) Target {
	return Target{Namespace: "shop", Pod: name, Container: "app", UID: "u-" + name, URL: "http://" + name + "/metrics"}
}

func pod(name string) Pod { return Pod{"shop", name} }

// want asks for the targets once a second for so long.
func want(s *Scraper, d time.Duration, targets ...Target) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
		s.Want(time.Now(), targets...)
	}
}

func TestCPUComesFromThePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := start(t, Config{})
		f.set("a", using(0.7))
		if u, ok := s.CPU(pod("a"), "app", time.Now()); ok || u.OK() {
			t.Errorf("a pod that nobody wants has %+v", u)
		}
		s.Want(time.Now(), target("a"))
		if u, ok := s.CPU(pod("a"), "app", time.Now()); !ok || u.Reason != metrics.ReasonMissing {
			t.Errorf("before the first page: %+v, %v", u, ok)
		}
		want(s, 10*time.Second, target("a"))
		u, ok := s.CPU(pod("a"), "app", time.Now())
		if !ok || !u.OK() || u.CPUMilli < 690 || u.CPUMilli > 710 || u.Window > 4*time.Second || time.Since(u.At) > 1200*time.Millisecond {
			t.Errorf("usage is %+v, want 700m over 3 s of just now", u)
		}
		if _, ok := s.CPU(pod("a"), "sidecar", time.Now()); ok {
			t.Error("the page tells of a container that does not serve it")
		}
	})
}

func TestALoadStepIsSeenWithinTheSpan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := start(t, Config{})
		const low, high, at = 0.04, 0.95, 30.0
		f.set("a", func(age time.Duration) (string, error) {
			used := low*age.Seconds() + (high-low)*max(age.Seconds()-at, 0)
			return fmt.Sprintf("process_cpu_seconds_total %.2f\n", math.Floor(used*100)/100), nil
		})
		want(s, 30*time.Second, target("a"))
		if u, _ := s.CPU(pod("a"), "app", time.Now()); u.CPUMilli < 36 || u.CPUMilli > 44 {
			t.Errorf("before the step: %+v, want 40m give or take a tenth", u)
		}
		want(s, 5*time.Second, target("a"))
		if u, _ := s.CPU(pod("a"), "app", time.Now()); u.CPUMilli < 930 {
			t.Errorf("5 s after the step: %+v, want nearly all of 950m", u)
		}
	})
}

func TestASlowPodDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := start(t, Config{Concurrent: 4})
		var targets []Target
		for i := range 40 {
			name := fmt.Sprintf("slow-%d", i)
			f.set(name, func(time.Duration) (string, error) { return "", errHangs })
			targets = append(targets, target(name))
		}
		f.set("quick", using(0.5))
		targets = append(targets, target("quick"))
		want(s, 5*time.Second, targets...)
		before := f.count("quick")
		want(s, time.Minute, targets...)
		if n := f.count("quick") - before; n < 54 {
			t.Errorf("the quick pod was scraped %d times in a minute, want about 60", n)
		}
		if u, _ := s.CPU(pod("quick"), "app", time.Now()); u.CPUMilli < 490 || u.CPUMilli > 510 {
			t.Errorf("its usage is %+v", u)
		}
		v := s.Value(pod("slow-1"), "x", nil, time.Now())
		if v.Why != "the metrics page of pod shop/slow-1 cannot be read: there was no answer within 900ms" {
			t.Errorf("why is %q", v.Why)
		}
	})
}

func TestAPodThatIsNotWantedIsNotScraped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := start(t, Config{Idle: 10 * time.Second})
		f.set("a", using(0.5))
		f.set("b", using(0.5))
		want(s, 5*time.Second, target("a"), target("b"))
		s.Value(pod("a"), "x", nil, time.Now())
		want(s, 30*time.Second, target("b"))
		a := f.count("a")
		if a > 20 || s.Len() != 1 {
			t.Errorf("scraped %d times, %d pods kept; want about 15 times, and it forgotten", a, s.Len())
		}
		want(s, 20*time.Second, target("b"))
		if f.count("a") != a {
			t.Errorf("scraped %d times more", f.count("a")-a)
		}
		if v := s.Value(pod("a"), "x", nil, time.Now()); v.Why != "the metrics page of pod shop/a is not scraped" {
			t.Errorf("why is %q", v.Why)
		}
	})
}

func TestARestartedProcessStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := start(t, Config{})
		f.set("a", using(0.5))
		want(s, 20*time.Second, target("a"))
		f.set("a", func(age time.Duration) (string, error) {
			age -= 20 * time.Second
			return fmt.Sprintf("process_cpu_seconds_total %.2f\nprocess_start_time_seconds 1.70000002e9\n", age.Seconds()*0.2), nil
		})
		want(s, 2*time.Second, target("a"))
		if u, _ := s.CPU(pod("a"), "app", time.Now()); u.Reason != metrics.ReasonTooFewSamples {
			t.Errorf("2 s after the restart: %+v, want no rate across it", u)
		}
		want(s, 5*time.Second, target("a"))
		if u, _ := s.CPU(pod("a"), "app", time.Now()); u.CPUMilli < 190 || u.CPUMilli > 210 {
			t.Errorf("7 s after the restart: %+v, want 200m", u)
		}
	})
}

func TestAnotherPodOfTheSameNameStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := start(t, Config{})
		f.set("a", using(0.5))
		want(s, 10*time.Second, target("a"))
		other := target("a")
		other.UID = "another"
		s.Want(time.Now(), other)
		if u, ok := s.CPU(pod("a"), "app", time.Now()); !ok || u.Reason != metrics.ReasonMissing {
			t.Errorf("usage is %+v, want none of the pod before", u)
		}
		want(s, 10*time.Second, other)
		if u, _ := s.CPU(pod("a"), "app", time.Now()); !u.OK() {
			t.Errorf("usage is %+v", u)
		}
	})
}

func TestValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := start(t, Config{})
		f.set("a", func(age time.Duration) (string, error) {
			n := int(age.Seconds() * 10)
			return fmt.Sprintf(`# TYPE requests_total counter
requests_total{code="200",zone="a"} %d
requests_total{code="200",zone="b"} %d
requests_total{code="500",zone="a"} 7
# TYPE queue gauge
queue{name="x"} 2.5
queue{name="y"} 3
nan NaN
huge 1e300
`, n, 3*n), nil
		})
		ask := func(metric, selector string) Value {
			t.Helper()
			parsed, err := labels.Parse(selector)
			if err != nil {
				t.Fatal(err)
			}
			return s.Value(pod("a"), metric, parsed, time.Now())
		}
		tests := []struct {
			metric, selector string
			lo, hi           int64
			why              string
		}{
			{"queue", "", 5500, 5500, ""},
			{"queue", "name=x", 2500, 2500, ""},
			{"queue", "name notin (x)", 3000, 3000, ""},
			{"queue", "name=z", 0, 0, "metric queue of pod shop/a is not on the page"},
			{"requests_total", "", 39000, 41000, ""},
			{"requests_total", "zone=b", 29000, 31000, ""},
			{"requests_total", "code=500", 0, 0, ""},
			{"requests_total", "!zone", 0, 0, "metric requests_total of pod shop/a is not on the page"},
			{"none", "", 0, 0, "metric none of pod shop/a is not on the page"},
			{"nan", "", 0, 0, "metric nan of pod shop/a is not a number"},
			{"huge", "", math.MaxInt64, math.MaxInt64, ""},
		}
		s.Want(time.Now(), target("a"))
		for _, tt := range tests {
			if v := ask(tt.metric, tt.selector); v.Why != fmt.Sprintf("metric %s of pod shop/a was not read yet", tt.metric) || !v.At.IsZero() {
				t.Errorf("at first %s{%s} is %+v", tt.metric, tt.selector, v)
			}
		}
		want(s, 2*time.Second, target("a"))
		if v := ask("requests_total", ""); v.Why != "metric requests_total of pod shop/a is a counter that was not read for long enough" {
			t.Errorf("after 2 s the counter is %+v", v)
		}
		if v := ask("queue", ""); v.Milli != 5500 || v.Window != 0 {
			t.Errorf("after 2 s the gauge is %+v", v)
		}
		want(s, 20*time.Second, target("a"))
		for _, tt := range tests {
			v := ask(tt.metric, tt.selector)
			if v.Why != tt.why || v.Milli < tt.lo || v.Milli > tt.hi || time.Since(v.At) > 1200*time.Millisecond {
				t.Errorf("%s{%s} is %+v, want %d to %d, %q", tt.metric, tt.selector, v, tt.lo, tt.hi, tt.why)
			}
			if rate := strings.HasSuffix(tt.metric, "_total"); tt.why == "" && rate != (v.Window > 9*time.Second && v.Window < 11*time.Second) {
				t.Errorf("%s covers %v", tt.metric, v.Window)
			}
		}
		f.set("a", nil)
		want(s, 8*time.Second, target("a"))
		if v := ask("queue", ""); v.Why != "" {
			t.Errorf("8 s after its last page it is %+v, want its last value", v)
		}
		want(s, 10*time.Second, target("a"))
		if v := ask("queue", ""); v.Why != "the metrics page of pod shop/a cannot be read: connection refused" {
			t.Errorf("18 s after its last page it is %+v", v)
		}
	})
}

// A value that comes by itself is not one that is away, also where nobody asks for longer than a page is scraped.
func TestAValueThatComesIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := start(t, Config{})
		f.set("a", func(age time.Duration) (string, error) {
			return fmt.Sprintf("hits_total %d\nqueue 3\n", int(age.Seconds()*10)), nil
		})
		ask := func(metric string) Value {
			s.Want(time.Now(), target("a"))
			return s.Value(pod("a"), metric, nil, time.Now())
		}
		for _, pause := range []time.Duration{0, 125 * time.Second, 145 * time.Second, 10 * time.Minute} {
			time.Sleep(pause)
			for begun := time.Now(); ; time.Sleep(100 * time.Millisecond) {
				v := ask("hits_total")
				if v.Why == "" {
					break
				}
				if !v.Pending || time.Since(begun) > 6*time.Second {
					t.Fatalf("%s after a pause of %s it is %+v", time.Since(begun), pause, v)
				}
			}
		}
		ask("queue")
		ask("none")
		if v := ask("queue"); !v.Pending {
			t.Errorf("a metric of a page that others have had read is %+v", v)
		}
		time.Sleep(2 * time.Second)
		if v := ask("queue"); v.Why != "" || v.Pending {
			t.Errorf("then it is %+v", v)
		}
		if v := ask("none"); v.Why == "" || v.Pending {
			t.Errorf("what is not on the page is %+v", v)
		}
	})
}

func TestFresher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := start(t, Config{})
		f.set("a", using(0.5))
		f.set("stuck", using(0.5))
		want(s, 40*time.Second, target("a"), target("stuck"))
		f.set("stuck", nil)
		want(s, 12*time.Second, target("a"), target("stuck"))
		now := time.Now()
		kubelet := func(age time.Duration, milli int64) metrics.Usage {
			return metrics.Usage{
				Reason: metrics.ReasonOK, At: now.Add(-age), Window: 15 * time.Second, CPUMilli: milli,
				MemoryBytes: 9, MemoryKnown: true, Start: now.Add(-time.Hour),
			}
		}
		tests := []struct {
			name           string
			pod, container string
			kubelet        metrics.Usage
			want           bool
		}{
			{"the page is newer", "a", "app", kubelet(12*time.Second, 510), true},
			{"the kubelet is newer", "a", "app", kubelet(-time.Second, 510), false},
			{"the kubelet knows nothing", "a", "app", metrics.Usage{Reason: metrics.ReasonUnreachable}, true},
			{"a bit more in the container than on the page", "a", "app", kubelet(12*time.Second, 610), true},
			{"children use as much again", "a", "app", kubelet(12*time.Second, 1000), false},
			{"the page shows more than the kubelet", "a", "app", kubelet(12*time.Second, 100), true},
			{"the interval lies before the first page", "a", "app", kubelet(45*time.Second, 1000), true},
			{"another container", "a", "sidecar", kubelet(12*time.Second, 500), false},
			{"a pod that is not scraped", "b", "app", kubelet(12*time.Second, 500), false},
			{"a page that is stale", "stuck", "app", kubelet(30*time.Second, 500), false},
		}
		for _, tt := range tests {
			u, ok := s.Fresher(pod(tt.pod), tt.container, tt.kubelet, now)
			if ok != tt.want {
				t.Errorf("%s: usage is %+v, %v, want %v", tt.name, u, ok, tt.want)
			}
			if !ok && u != tt.kubelet {
				t.Errorf("%s: usage is %+v, want the kubelet's as it was", tt.name, u)
			}
			if ok && (u.CPUMilli < 480 || u.CPUMilli > 520 || u.MemoryBytes != tt.kubelet.MemoryBytes || u.MemoryKnown != tt.kubelet.MemoryKnown || !u.Start.Equal(tt.kubelet.Start)) {
				t.Errorf("%s: usage is %+v, want the page's CPU and the kubelet's memory", tt.name, u)
			}
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	tests := []struct {
		c    Config
		want string // empty: it is valid
	}{
		{Config{}, ""},
		{Config{Period: time.Minute}, ""},
		{Config{Period: 100 * time.Millisecond}, "app: period is 100ms, allowed is 1s to 1m0s"},
		{Config{Timeout: time.Second}, "app: timeout is 1s, allowed is 1ns to 999.999999ms"},
		{Config{Span: 20 * time.Second, Longest: 10 * time.Second}, "app: span is 20s, allowed is 1s to 10s"},
		{Config{RateSpan: time.Millisecond}, "app: rateSpan is 1ms, allowed is 1s to 1h0m0s"},
		{Config{StaleAfter: time.Millisecond}, "app: staleAfter is 1ms, allowed is 1s to 1h0m0s"},
		{Config{Idle: time.Millisecond}, "app: idle is 1ms, allowed is 1s to 24h0m0s"},
		{Config{Concurrent: 5000}, "app: concurrent is 5000, allowed is 1 to 4096"},
		{Config{MaxBodyBytes: 1}, "app: maxBodyBytes is 1, allowed is 1024 to 67108864"},
	}
	for _, tt := range tests {
		got := ""
		if _, err := New(tt.c); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%+v: error is %q, want %q", tt.c, got, tt.want)
		}
	}
}
