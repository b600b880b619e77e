package kubelet

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

type nodeList func() []Node

func (f nodeList) Nodes() []Node { return f() }

func nodesNamed(names ...string) []Node {
	nodes := make([]Node, len(names))
	for i, n := range names {
		nodes[i] = Node{Name: n, Address: "192.0.2.1"}
	}
	return nodes
}

// played is the log of a scraper whose scrapes are played by a function; the clock is that of synctest.
type played struct {
	mu      sync.Mutex
	visits  map[string][]time.Duration // begin of each visit since the start, by node
	running map[string]int
	most    int // visits at once
	overlap bool
}

// play runs the schedule for a while. visit returns how long the node takes and whether it fails.
func play(t *testing.T, c Config, nodes func() []Node, length time.Duration, visit func(node string) (time.Duration, bool)) *played {
	t.Helper()
	c.Proxy.Client, c.Proxy.BaseURL = defaultClient(), "https://192.0.2.2"
	s, err := New(c, nodeList(nodes), nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &played{visits: map[string][]time.Duration{}, running: map[string]int{}}
	start := time.Now()
	s.scrape = func(ctx context.Context, tg *target, _ *buffers) {
		name := tg.node.Name
		p.begin(name, time.Since(start))
		took, fails := visit(name)
		select {
		case <-time.After(took):
		case <-ctx.Done():
		}
		tg.slow = fails || took > s.config.Timeout/slowShare
		p.end(name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	s.Run(ctx)
	return p
}

func (p *played) begin(node string, at time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.visits[node] = append(p.visits[node], at)
	p.running[node]++
	p.overlap = p.overlap || p.running[node] > 1
	sum := 0
	for _, n := range p.running {
		sum += n
	}
	p.most = max(p.most, sum)
}

func (p *played) end(node string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running[node]--
}

func TestEveryNodeHasItsPhaseWithinThePeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := make([]string, 40)
		for i := range names {
			names[i] = fmt.Sprint("n", i)
		}
		p := play(t, Config{Workers: 4}, func() []Node { return nodesNamed(names...) }, time.Minute,
			func(string) (time.Duration, bool) { return time.Millisecond, false })
		phases := map[time.Duration]bool{}
		for _, n := range names {
			v := p.visits[n]
			if len(v) != 12 {
				t.Fatalf("node %s is scraped %d times in a minute, want 12", n, len(v))
			}
			if v[0] < 0 || v[0] >= 5*time.Second {
				t.Errorf("node %s is scraped first after %v, want within the period", n, v[0])
			}
			phases[v[0].Truncate(time.Millisecond)] = true
			for i := 1; i < len(v); i++ {
				if gap := v[i] - v[i-1]; gap < 4900*time.Millisecond || gap > 5100*time.Millisecond {
					t.Errorf("node %s is scraped after %v, want 5s", n, gap)
				}
			}
		}
		if len(phases) < 20 {
			t.Errorf("40 nodes have %d phases, want them spread", len(phases))
		}
	})
}

func TestDeadNodesDoNotDelayTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []string
		for i := range 20 {
			names = append(names, fmt.Sprint("dead", i), fmt.Sprint("good", i))
		}
		p := play(t, Config{Workers: 4}, func() []Node { return nodesNamed(names...) }, 10*time.Minute,
			func(n string) (time.Duration, bool) {
				if strings.HasPrefix(n, "dead") {
					return 3 * time.Second, true
				}
				return time.Millisecond, false
			})
		if p.most > 4+minSlowWorkers {
			t.Errorf("%d scrapes at once, want at most %d", p.most, 4+minSlowWorkers)
		}
		if p.overlap {
			t.Error("a node is scraped twice at once")
		}
		for n, visits := range p.visits {
			if strings.HasPrefix(n, "dead") {
				// 20 dead nodes, 3 s each on 2 workers: a round takes 30 s.
				if len(visits) < 15 || len(visits) > 25 {
					t.Errorf("%s is tried %d times in 10 minutes, want about 20", n, len(visits))
				}
				continue
			}
			// Before each dead node is known as such, it may hold a worker once.
			late := slices.DeleteFunc(slices.Clone(visits), func(at time.Duration) bool { return at < 30*time.Second })
			for i := 1; i < len(late); i++ {
				if gap := late[i] - late[i-1]; gap > 5100*time.Millisecond {
					t.Errorf("%s waits %v for its scrape, want 5s", n, gap)
				}
			}
		}
	})
}

func TestNodesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		list := func() []Node {
			switch since := time.Since(start); {
			case since < 20*time.Second:
				return append(nodesNamed("stays", "goes"), Node{}, Node{Name: "stays"}) // nonsense is left out
			case since < 40*time.Second:
				return nodesNamed("stays", "comes")
			default:
				return nodesNamed("stays", "goes")
			}
		}
		p := play(t, Config{}, list, time.Minute, func(n string) (time.Duration, bool) {
			return 2 * time.Second, false
		})
		for node, want := range map[string]int{"stays": 12, "goes": 8, "comes": 4} {
			if got := len(p.visits[node]); got < want-1 || got > want+1 {
				t.Errorf("%s is scraped %d times, want %d", node, got, want)
			}
		}
		for _, at := range p.visits["goes"] {
			if at > 25*time.Second && at < 40*time.Second {
				t.Errorf("a node that is gone is scraped at %v", at)
			}
		}
		if len(p.visits) != 3 {
			t.Errorf("scraped are %v, want three nodes", p.visits)
		}
	})
}

func TestANodeSlowerThanThePeriodKeepsItsPhase(t *testing.T) {
	s := newSchedule(5*time.Second, func() time.Duration { return time.Second })
	t0 := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s.update(nodesNamed("n"), t0)
	s.advance(t0.Add(time.Second))
	tg := s.fast[0]
	started(&s.fast)
	s.finished(tg, t0.Add(13*time.Second)) // the turns at 6 and 11 s are over
	if due, ok := s.next(); !ok || !due.Equal(t0.Add(16*time.Second)) {
		t.Errorf("next scrape is due at %v, want at 16 s", due.Sub(t0))
	}
}

func TestANodeMovesToItsNewAddress(t *testing.T) {
	s := newSchedule(time.Second, func() time.Duration { return 0 })
	t0 := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s.update([]Node{{Name: "n", Address: "192.0.2.1"}}, t0)
	s.advance(t0)
	tg := s.fast[0]
	started(&s.fast)
	s.update([]Node{{Name: "n", Address: "192.0.2.9"}}, t0)
	if tg.node.Address != "192.0.2.1" {
		t.Error("the address changes under the worker")
	}
	s.finished(tg, t0)
	s.advance(t0.Add(time.Second))
	if tg.node.Address != "192.0.2.9" {
		t.Errorf("the node is asked at %s, want its new address", tg.node.Address)
	}
}
