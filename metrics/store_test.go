package metrics

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func newStore(tb testing.TB, c Config) *Store {
	tb.Helper()
	s, err := NewStore(c)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestConfigErrorsNameFieldValueAndRange(t *testing.T) {
	tests := []struct {
		name string
		c    Config
		want string
	}{
		{"the zero value is the default", Config{}, ""},
		{"the default", DefaultConfig(), ""},
		{"a long span moves the other defaults", Config{Span: 30 * time.Minute}, ""},
		{"negative span", Config{Span: -1}, "metrics: span is -1ns, allowed is 100ms to 1h0m0s"},
		{"stale before one span", Config{StaleAfter: time.Second}, "metrics: staleAfter is 1s, allowed is 15s to 24h0m0s"},
		{"one sample", Config{Keep: 1}, "metrics: keep is 1, allowed is 2 to 10000"},
		{"a step of less than a second", Config{TrendStep: time.Millisecond}, "metrics: trendStep is 1ms, allowed is 1s to 10m0s"},
		{"a trend of too many points", Config{TrendStep: time.Second, TrendSpan: 24 * time.Hour}, "metrics: trendSpan is 24h0m0s, allowed is 1s to 2h46m40s"},
		{"forgotten before stale", Config{Forget: time.Second}, "metrics: forget is 1s, allowed is 1m0s to 168h0m0s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewStore(tt.c)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("error is %q, want %q", got, tt.want)
			}
		})
	}
}

var (
	appKey     = Key{"shop", "cart-1", "app"}
	sidecarKey = Key{"shop", "cart-1", "sidecar"}
)

func TestStorePod(t *testing.T) {
	s := newStore(t, Config{})
	s.Add(sidecarKey, "n1", sample(0, 0, 5))
	s.Add(appKey, "n1", sample(0, 0, 50))
	s.Add(appKey, "n1", sample(10, 2, 60))
	s.Add(sidecarKey, "n1", sample(11, 1.1, 6))
	s.Add(Key{"other", "cart-1", "app"}, "n2", sample(10, 1, 1)) // same pod name, other namespace

	pod := s.Pod("shop", "cart-1", sec(12))
	if pod.Node != "n1" || len(pod.Containers) != 2 || pod.Containers[0].Name != "app" || pod.Containers[1].Name != "sidecar" {
		t.Fatalf("pod is %+v, want app and sidecar on n1", pod)
	}
	if got := pod.Container("app").CPUMilli; got != 200 {
		t.Errorf("app uses %dm, want 200m", got)
	}
	if got := pod.Container("nope").Reason; got != ReasonMissing {
		t.Errorf("a container that is not there has reason %s, want %s", got, ReasonMissing)
	}
	want := Usage{
		Reason: ReasonOK, At: sec(10), Start: sec(-60), Window: 11 * time.Second,
		CPUMilli: 300, MemoryBytes: 66 << 20, MemoryKnown: true,
	}
	if diff := cmp.Diff(want, pod.Total()); diff != "" {
		t.Errorf("total (-want +got):\n%s", diff)
	}
	if got := s.Pod("shop", "nope", sec(12)); len(got.Containers) != 0 || got.Total().Reason != ReasonMissing {
		t.Errorf("a pod never seen is %+v with total %+v", got, got.Total())
	}
}

func TestPodTotalIsAsGoodAsItsWorstContainer(t *testing.T) {
	s := newStore(t, Config{})
	s.Add(appKey, "n1", sample(0, 0, 50))
	s.Add(appKey, "n1", sample(10, 2, 60))
	s.Add(sidecarKey, "n1", sample(10, 1, 6)) // no rate yet
	got := s.Pod("shop", "cart-1", sec(12)).Total()
	if got.Reason != ReasonTooFewSamples || got.CPUMilli != 0 || !got.HasMemory() || got.MemoryBytes != 66<<20 {
		t.Errorf("total is %+v, want no CPU for %s but 66 MiB", got, ReasonTooFewSamples)
	}
	got = s.Pod("shop", "cart-1", sec(200)).Total()
	if got.Reason != ReasonStale || got.HasMemory() || got.MemoryBytes != 0 {
		t.Errorf("total is %+v, want nothing for %s", got, ReasonStale)
	}
}

func TestAnUnreachableNodeIsAReason(t *testing.T) {
	s := newStore(t, Config{})
	s.Add(appKey, "n1", sample(0, 0, 50))
	s.Add(appKey, "n1", sample(10, 2, 60))
	s.NodeScraped("n1", sec(10), nil)
	s.NodeScraped("n1", sec(15), errors.New("refused"))

	if u := s.Container(appKey, sec(20)); !u.OK() || u.CPUMilli != 200 {
		t.Errorf("one failed scrape spoils a fresh usage: %+v", u)
	}
	u := s.Container(appKey, sec(80))
	if u.Reason != ReasonUnreachable || u.Detail != "refused" || u.HasMemory() || u.CPUMilli != 0 {
		t.Errorf("usage on an unreachable node is %+v, want %s with its error", u, ReasonUnreachable)
	}
	if pod := s.Pod("shop", "cart-1", sec(80)); pod.Containers[0].Usage != u {
		t.Errorf("the pod says %+v, its container %+v", pod.Containers[0].Usage, u)
	}
	if diff := cmp.Diff(NodeStatus{LastSuccess: sec(10), LastAttempt: sec(15), Err: "refused"}, s.Node("n1")); diff != "" {
		t.Errorf("node (-want +got):\n%s", diff)
	}
	s.NodeScraped("n1", sec(80), nil)
	if u := s.Container(appKey, sec(80)); u.Reason != ReasonStale {
		t.Errorf("reason is %s with the node reachable again, want %s", u.Reason, ReasonStale)
	}
	if n := s.Node("n1"); !n.Reachable || n.Err != "" {
		t.Errorf("node is %+v, want reachable", n)
	}
	s.NodeScraped("n2", sec(80), errors.New("no route"))
	if known, reachable := s.Nodes(); known != 2 || reachable != 1 {
		t.Errorf("%d of %d nodes reachable, want 1 of 2", reachable, known)
	}
	if n := s.Node("never"); !n.LastAttempt.IsZero() {
		t.Errorf("a node that was never scraped is %+v", n)
	}
}

func TestStorePoints(t *testing.T) {
	s := newStore(t, Config{})
	if p := s.Points(appKey); p != nil {
		t.Errorf("points of a container never seen are %v", p)
	}
	s.Add(appKey, "n1", sample(0, 0, 50))
	s.Add(appKey, "n1", sample(10, 2, 60))
	want := []Point{
		{At: sec(0), CPUMilli: NotKnown, MemoryBytes: 50 << 20},
		{At: sec(10), CPUMilli: 200, MemoryBytes: 60 << 20},
	}
	if diff := cmp.Diff(want, s.Points(appKey)); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
}

func TestOOMEvents(t *testing.T) {
	type reading struct {
		at       float64
		instance string
		count    float64
	}
	tests := []struct {
		name     string
		readings []reading
		want     float64
		grew     float64 // 0: never
	}{
		{name: "counting starts at the first reading", readings: []reading{{10, "a", 3}}},
		{name: "a rise", readings: []reading{{10, "a", 3}, {20, "a", 5}, {30, "a", 5}}, want: 2, grew: 20},
		{name: "a reset counts from zero", readings: []reading{{10, "a", 3}, {20, "a", 1}}, want: 1, grew: 20},
		{
			name:     "the new life counts beside the old one on the page",
			readings: []reading{{10, "a", 3}, {20, "a", 4}, {20, "b", 0}, {30, "b", 2}, {40, "b", 2}},
			want:     3, grew: 30,
		},
		{
			name:     "two lives on the first page are both where counting starts",
			readings: []reading{{10, "a", 3}, {10, "b", 2}, {20, "a", 3}, {20, "b", 2}},
		},
		{
			name:     "many lives",
			readings: []reading{{10, "a", 0}, {20, "b", 1}, {30, "c", 1}, {40, "d", 1}, {50, "e", 1}, {60, "e", 1}},
			want:     4, grew: 50,
		},
		{name: "nonsense is ignored", readings: []reading{{10, "a", 1}, {20, "a", -1}, {30, "a", 2}}, want: 1, grew: 30},
		{name: "a late reading is ignored", readings: []reading{{10, "a", 1}, {5, "a", 0}, {20, "a", 1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStore(t, Config{})
			if _, _, known := s.OOMEvents(appKey); known {
				t.Error("known before the first reading")
			}
			for _, r := range tt.readings {
				s.AddOOMEvents(appKey, r.instance, sec(r.at), r.count)
			}
			count, at, known := s.OOMEvents(appKey)
			if !known || count != tt.want {
				t.Errorf("count is %v (known %v), want %v", count, known, tt.want)
			}
			if want := sec(tt.grew); tt.grew != 0 && !at.Equal(want) || tt.grew == 0 && !at.IsZero() {
				t.Errorf("grew at %v, want %v", at, tt.grew)
			}
		})
	}
}

func TestAContainerWithOnlyACounterHasNoUsage(t *testing.T) {
	s := newStore(t, Config{})
	s.AddOOMEvents(appKey, "a", sec(0), 1)
	if u := s.Container(appKey, sec(1)); u.Reason != ReasonMissing {
		t.Errorf("reason is %s, want %s", u.Reason, ReasonMissing)
	}
	if p := s.Points(appKey); p != nil {
		t.Errorf("points are %v, want none", p)
	}
}

func TestSweepDropsWhatIsNotSeen(t *testing.T) {
	s := newStore(t, Config{Forget: 2 * time.Minute})
	s.Add(appKey, "n1", sample(0, 0, 1))
	s.Add(sidecarKey, "n1", sample(100, 0, 1))
	s.AddOOMEvents(Key{"shop", "cart-2", "app"}, "a", sec(0), 1)
	s.Add(Key{"shop", "ahead", "app"}, "n2", sample(1000, 0, 1)) // its clock is ahead
	s.NodeScraped("gone", sec(0), nil)

	if n := s.Sweep(sec(121)); n != 3 {
		t.Errorf("swept %d containers, want 3", n)
	}
	if s.Len() != 1 || s.Container(sidecarKey, sec(121)).Reason == ReasonMissing {
		t.Errorf("%d containers left, want the sidecar alone", s.Len())
	}
	if known, _ := s.Nodes(); known != 0 {
		t.Errorf("%d nodes left, want none", known)
	}
	s.Forget("shop", "cart-1")
	if s.Len() != 0 {
		t.Errorf("%d containers left after Forget, want none", s.Len())
	}
}

func TestScrapesSweep(t *testing.T) {
	s := newStore(t, Config{Forget: 2 * time.Minute})
	s.Add(appKey, "n1", sample(0, 0, 1))
	for at := 0.0; at < 150; at += 5 {
		s.NodeScraped("n1", sec(at), nil)
	}
	if s.Len() != 0 {
		t.Error("a container that is gone is kept although its node is scraped on")
	}
}

// TestStoreConcurrently has no assertion of its own beyond the last: the race detector is the judge.
func TestStoreConcurrently(t *testing.T) {
	s := newStore(t, Config{})
	var g sync.WaitGroup
	for w := range 4 {
		g.Go(func() {
			for i := range 200 {
				key := Key{"ns", fmt.Sprint("pod-", i%10), fmt.Sprint("c", w%2)}
				s.Add(key, "n1", sample(float64(i), float64(i), 1))
				s.AddOOMEvents(key, "a", sec(float64(i)), float64(i))
				s.Pod(key.Namespace, key.Pod, sec(float64(i)))
				s.Container(key, sec(float64(i)))
				s.Points(key)
				s.OOMEvents(key)
				s.NodeScraped("n1", sec(float64(i)), nil)
				s.Sweep(sec(200))
			}
		})
	}
	g.Wait()
	if s.Len() != 20 {
		t.Errorf("%d containers, want 20", s.Len())
	}
}

func TestBytesPerContainer(t *testing.T) {
	const pods = 5000 // of two containers
	for _, tt := range []struct {
		keep  int
		limit uint64
	}{{60, 2100}, {12, 900}} {
		var before, after runtime.MemStats
		s := newStore(t, Config{Keep: tt.keep})
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range pods {
			name := strings.Clone(fmt.Sprintf("shop-cart-6d4cf56db6-%05d", i))
			s.Add(Key{"shop", name, "app"}, "n1", sample(0, 0, 1))
			s.Add(Key{"shop", name, "sidecar"}, "n1", sample(0, 0, 1))
			s.AddOOMEvents(Key{"shop", name, "app"}, "a", sec(0), 0)
			s.AddOOMEvents(Key{"shop", name, "sidecar"}, "a", sec(0), 0)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		each := (after.HeapAlloc - before.HeapAlloc) / (2 * pods)
		t.Logf("keep %d: %d bytes per container", tt.keep, each)
		if each > tt.limit {
			t.Errorf("keep %d: %d bytes per container, want at most %d", tt.keep, each, tt.limit)
		}
		runtime.KeepAlive(s)
	}
}

// TestBytesPerContainerWithItsTrend is what a container costs that has run for longer than its trend goes back.
func TestBytesPerContainerWithItsTrend(t *testing.T) {
	const containers = 500
	for _, tt := range []struct {
		config   Config
		throttle bool
		limit    uint64
	}{
		{Config{}, false, 6600},
		{Config{}, true, 7100},
		{Config{Keep: 12, TrendStep: 2 * time.Minute}, false, 2100},
	} {
		var before, after runtime.MemStats
		s := newStore(t, tt.config)
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range containers {
			key := Key{"shop", fmt.Sprintf("shop-cart-6d4cf56db6-%05d", i), "app"}
			for at := 0.0; at < 3*3600; at += 30 {
				s.Add(key, "n1", sample(at, at, 1))
				s.AddResident(key, "a", sec(at), 1<<20)
				s.AddOOMEvents(key, "a", sec(at), 0)
				if tt.throttle {
					s.AddThrottling(key, "a", sec(at), at*10, at)
				}
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		each := (after.HeapAlloc - before.HeapAlloc) / containers
		t.Logf("%+v: %d bytes per container", s.Config(), each)
		if each > tt.limit {
			t.Errorf("%+v: %d bytes per container, want at most %d", s.Config(), each, tt.limit)
		}
		runtime.KeepAlive(s)
	}
}

func TestReasonsAreDistinctWords(t *testing.T) {
	seen := map[Reason]bool{}
	for _, r := range Reasons() {
		if r == "" || seen[r] || severity(r) < 0 {
			t.Errorf("reason %q is empty, twice, or without a severity", r)
		}
		seen[r] = true
	}
}
