package poll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source counts and times the fetches of each key.
type source struct {
	mu    sync.Mutex
	began map[string][]time.Time
	// answer returns the value of a key; it may block until ctx ends.
	answer func(ctx context.Context, key string) (int, error)
	most   atomic.Int64
	now    atomic.Int64
}

func newSource(answer func(ctx context.Context, key string) (int, error)) *source {
	return &source{began: map[string][]time.Time{}, answer: answer}
}

func (s *source) fetch(ctx context.Context, key string) (int, error) {
	if n := s.now.Add(1); n > s.most.Load() {
		s.most.Store(n)
	}
	defer s.now.Add(-1)
	s.mu.Lock()
	s.began[key] = append(s.began[key], time.Now())
	s.mu.Unlock()
	return s.answer(ctx, key)
}

func (s *source) times(key string) []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.began[key])
}

func (s *source) count(key string) int { return len(s.times(key)) }

func quick(context.Context, string) (int, error) { return 7, nil }

func hang(ctx context.Context, _ string) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

// run starts a poller in a bubble and ends it with the test.
func run(t *testing.T, s *source, c Config) *Poller[string, int] {
	t.Helper()
	p, err := New(s.fetch, c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); p.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return p
}

// keep asks for the keys once a second for so long.
func keep(p *Poller[string, int], d time.Duration, keys ...string) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
		for _, k := range keys {
			p.Get(k, time.Now())
		}
	}
}

func TestGetDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := run(t, newSource(hang), Config{})
		begun := time.Now()
		r := p.Get("a", begun)
		if r.Tried || r.Err != nil || !r.At.IsZero() || !time.Now().Equal(begun) {
			t.Errorf("first answer is %+v after %v, want nothing at once", r, time.Since(begun))
		}
	})
}

func TestTheNewestValueIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		fail := errors.New("the source is away")
		s := newSource(func(context.Context, string) (int, error) {
			time.Sleep(100 * time.Millisecond)
			if v := n.Add(1); v != 3 {
				return int(v), nil
			}
			return 0, fail
		})
		p := run(t, s, Config{Period: 10 * time.Second})
		begun := time.Now()
		p.Get("a", begun)
		time.Sleep(2 * time.Second)
		r := p.Get("a", time.Now())
		if !r.Tried || r.Err != nil || r.Value != 1 {
			t.Fatalf("after the first fetch: %+v", r)
		}
		if !r.At.Equal(s.times("a")[0]) || r.At.Sub(begun) > time.Second {
			t.Errorf("value is of %v, want the beginning of its fetch within a second", r.At.Sub(begun))
		}
		keep(p, 11*time.Second, "a")
		before := p.Get("a", time.Now())
		keep(p, 10*time.Second, "a")
		r = p.Get("a", time.Now())
		if !errors.Is(r.Err, fail) || r.Value != 2 || r.At != before.At {
			t.Errorf("after an error: %+v, want it beside the value before, %+v", r, before)
		}
		keep(p, 15*time.Second, "a")
		if r = p.Get("a", time.Now()); r.Err != nil || r.Value < 4 {
			t.Errorf("after a success: %+v", r)
		}
	})
}

func TestEachKeyHasItsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(quick)
		p := run(t, s, Config{Period: 10 * time.Second})
		keys := make([]string, 200)
		for i := range keys {
			keys[i] = fmt.Sprint(i)
		}
		keep(p, 5*time.Minute, keys...)
		first := map[time.Duration]bool{}
		for _, k := range keys {
			times := s.times(k)
			if n := len(times); n < 27 || n > 34 {
				t.Errorf("%s was fetched %d times in 5 m, want about 30", k, n)
			}
			for i := 1; i < len(times); i++ {
				if d := times[i].Sub(times[i-1]); d < 9*time.Second || d > 11*time.Second {
					t.Fatalf("%v between two fetches, want 9 to 11 s", d)
				}
			}
			first[times[0].Sub(times[0].Truncate(time.Second)).Round(10*time.Millisecond)] = true
		}
		if len(first) < 20 {
			t.Errorf("the first fetches of 200 keys were at %d different times, want them spread", len(first))
		}
	})
}

func TestAKeyThatNobodyAsksForIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(quick)
		p := run(t, s, Config{Period: 5 * time.Second, Idle: 20 * time.Second})
		p.Get("once", time.Now())
		keep(p, time.Minute, "always")
		if p.Len() != 1 {
			t.Errorf("%d keys are polled, want one", p.Len())
		}
		if n := s.count("once"); n < 3 || n > 6 {
			t.Errorf("fetched %d times within 20 s, want about 4", n)
		}
		if r := p.Get("once", time.Now()); r.Tried {
			t.Errorf("it was dropped and is still known: %+v", r)
		}
		time.Sleep(2 * time.Second)
		if r := p.Get("once", time.Now()); r.Value != 7 {
			t.Errorf("it is wanted again and was not fetched: %+v", r)
		}
	})
}

func TestErrorsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		s := newSource(func(context.Context, string) (int, error) {
			if down.Load() {
				return 0, errors.New("away")
			}
			return 1, nil
		})
		p := run(t, s, Config{Period: 5 * time.Second, Timeout: time.Second})
		keep(p, 205*time.Second, "a")
		if n := s.count("a"); n < 10 || n > 14 { // 0, 5, 15, 35, 55 …
			t.Errorf("fetched %d times in 205 s of errors, want about 12", n)
		}
		down.Store(false)
		keep(p, 25*time.Second, "a")
		before := s.count("a")
		keep(p, 50*time.Second, "a")
		if n := s.count("a") - before; n < 8 {
			t.Errorf("fetched %d times in 50 s after it came back, want about 10", n)
		}
	})
}

func TestBackOff(t *testing.T) {
	tests := []struct {
		period time.Duration
		want   []time.Duration // after 0, 1, 2, … errors
	}{
		{5 * time.Second, []time.Duration{5e9, 5e9, 10e9, 20e9, 20e9, 20e9}},
		{25 * time.Second, []time.Duration{25e9, 25e9, 50e9, 60e9, 60e9}},
		{5 * time.Minute, []time.Duration{5 * time.Minute, 5 * time.Minute, 5 * time.Minute}},
	}
	for _, tt := range tests {
		for failed, want := range tt.want {
			if got := backOff(tt.period, failed); got != want {
				t.Errorf("with a period of %v, after %d errors: %v, want %v", tt.period, failed, got, want)
			}
		}
	}
}

func TestASlowFetchIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := run(t, newSource(hang), Config{Timeout: 2 * time.Second})
		keep(p, 5*time.Second, "a")
		r := p.Get("a", time.Now())
		var late *TimeoutError
		if !errors.As(r.Err, &late) || r.Err.Error() != "there was no answer within 2s" || !errors.Is(r.Err, context.DeadlineExceeded) {
			t.Errorf("error is %v, want the timeout", r.Err)
		}
	})
}

// A hundred keys of a source that hangs are wanted at once, more than there are places; those of another source are
// delayed once, by a quarter of a timeout for each Concurrent of them, and never again.
func TestSlowKeysDoNotStarveOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(func(ctx context.Context, key string) (int, error) {
			if strings.HasPrefix(key, "slow") {
				return hang(ctx, key)
			}
			time.Sleep(20 * time.Millisecond)
			return 1, nil
		})
		c := Config{Period: 2 * time.Second, Timeout: 4 * time.Second, Concurrent: 10}
		p := run(t, s, c)
		var keys []string
		for i := range 100 {
			keys = append(keys, fmt.Sprintf("slow-%d", i))
		}
		for i := range 20 {
			keys = append(keys, fmt.Sprintf("fast-%d", i))
		}
		begun := time.Now()
		keep(p, 3*time.Minute, keys...)
		for i := range 20 {
			times := s.times(fmt.Sprintf("fast-%d", i))
			if first := times[0].Sub(begun); first > 12*time.Second {
				t.Errorf("the first fetch of a quick key came after %v, want at most ten times a quarter of the timeout", first)
			}
			for j := 1; j < len(times); j++ {
				if d := times[j].Sub(times[j-1]); times[j].Sub(begun) > 15*time.Second && d > 2300*time.Millisecond {
					t.Fatalf("%v between two fetches of a quick key, want its period", d)
				}
			}
		}
		for i := range 100 {
			if n := s.count(fmt.Sprintf("slow-%d", i)); n < 3 {
				t.Errorf("a slow key was fetched %d times in 3 m, want its turn every 40 s", n)
			}
		}
		if most := s.most.Load(); most > 50 {
			t.Errorf("%d fetches were under way, want at most five times 10", most)
		}
	})
}

func TestAKeyThatIsQuickAgainLeavesTheSlowLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		s := newSource(func(ctx context.Context, key string) (int, error) {
			if down.Load() || strings.HasPrefix(key, "dead") {
				return hang(ctx, key)
			}
			return 1, nil
		})
		p := run(t, s, Config{Period: 2 * time.Second, Timeout: 4 * time.Second, Concurrent: 2})
		keys := []string{"back"}
		for i := range 20 {
			keys = append(keys, fmt.Sprintf("dead-%d", i))
		}
		keep(p, time.Minute, keys...)
		down.Store(false)
		keep(p, 90*time.Second, keys...) // its turn among the slow ones comes
		before := s.count("back")
		keep(p, time.Minute, keys...)
		if n := s.count("back") - before; n < 25 {
			t.Errorf("fetched %d times in a minute, want about 30", n)
		}
	})
}

func TestRunEndsWithItsFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(hang)
		p, err := New(s.fetch, Config{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); p.Run(ctx) }()
		for i := range 100 {
			p.Get(fmt.Sprint(i), time.Now())
		}
		time.Sleep(time.Second)
		cancel()
		<-ended
		if n := s.now.Load(); n != 0 {
			t.Errorf("%d fetches are under way after Run", n)
		}
		if r := p.Get("0", time.Now()); r.Tried {
			t.Errorf("being stopped is told as an attempt: %+v", r)
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	tests := []struct {
		c    Config
		want string // empty: it is valid
	}{
		{Config{}, ""},
		{Config{Period: time.Hour}, ""},
		{Config{Period: time.Millisecond}, "poll: period is 1ms, allowed is 10ms to 1h0m0s"},
		{Config{Timeout: time.Hour}, "poll: timeout is 1h0m0s, allowed is 1ms to 10m0s"},
		{Config{Idle: time.Second}, "poll: idle is 1s, allowed is 10s to 24h0m0s"},
		{Config{Concurrent: -1}, "poll: concurrent is -1, allowed is 1 to 4096"},
	}
	for _, tt := range tests {
		got := ""
		if _, err := New(newSource(quick).fetch, tt.c); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%+v: error is %q, want %q", tt.c, got, tt.want)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	p, err := New(newSource(quick).fetch, Config{})
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	p.Get("a", now)
	b.ReportAllocs()
	for b.Loop() {
		p.Get("a", now)
	}
}
