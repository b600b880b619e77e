package hpa_test

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
)

// tape reads values of any size from the bytes of a fuzzer; at the end everything is zero.
type tape []byte

func (b *tape) byte() byte {
	if len(*b) == 0 {
		return 0
	}
	v := (*b)[0]
	*b = (*b)[1:]
	return v
}

// int gives small and great numbers, and with low odds anything.
func (b *tape) int() int64 {
	switch kind := b.byte(); {
	case kind < 200:
		return int64(kind)
	case kind < 230:
		return int64(b.byte())<<8 | int64(b.byte())
	case kind < 240:
		return -int64(b.byte())
	case kind < 250:
		return []int64{math.MaxInt64, math.MinInt64, math.MaxInt32, math.MinInt32}[b.byte()%4]
	}
	var raw [8]byte
	for i := range raw {
		raw[i] = b.byte()
	}
	return int64(binary.LittleEndian.Uint64(raw[:]))
}

func (b *tape) yes() bool                { return b.byte()%2 == 1 }
func (b *tape) span() time.Duration      { return time.Duration(b.int()) * time.Second / 4 }
func (b *tape) at(t time.Time) time.Time { return t.Add(-b.span()) }

func (b *tape) float() float64 {
	return []float64{0.1, 0, 0.5, 1, 2, -1, math.NaN(), math.Inf(1)}[b.byte()%8]
}

func (b *tape) policy() hpa.Policy {
	p := hpa.Policy{
		Min: int32(b.int()), Max: int32(b.int()), Tolerance: b.float(),
		DownscaleStabilization: b.span(), CPUInitializationPeriod: b.span(), InitialReadinessDelay: b.span(),
		Health: hpa.HealthPolicy{HoldOnIncident: b.yes(), CrashLoopIsNoCapacity: b.yes()},
	}
	for range b.byte() % 4 {
		p.Metrics = append(p.Metrics, hpa.Metric{
			Source: hpa.OfResource([]hpa.Resource{hpa.CPU, hpa.Memory, "disk"}[b.byte()%3]),
			Type:   []hpa.TargetType{hpa.Utilization, hpa.AverageValue, ""}[b.byte()%3],
			Target: b.int(),
		})
	}
	if b.yes() {
		p.Behavior = &hpa.Behavior{ScaleUp: b.rules(), ScaleDown: b.rules()}
	}
	return p
}

func (b *tape) rules() *hpa.Rules {
	if b.yes() {
		return nil
	}
	r := &hpa.Rules{Select: []hpa.Select{"", hpa.SelectMax, hpa.SelectMin, hpa.SelectDisabled, "Most"}[b.byte()%5]}
	for range b.byte() % 4 {
		r.Limits = append(r.Limits, hpa.RateLimit{
			Type: []hpa.RateLimitType{hpa.LimitPercent, hpa.LimitReplicas, ""}[b.byte()%3], Value: int32(b.int()), Period: b.span(),
		})
	}
	if b.yes() {
		w := b.span()
		r.StabilizationWindow = &w
	}
	if b.yes() {
		f := b.float()
		r.Tolerance = &f
	}
	return r
}

func (b *tape) observation(now time.Time) hpa.Observation {
	o := hpa.Observation{Current: int32(b.int())}
	if b.byte()%8 == 1 {
		o.Unavailable = "dark"
	}
	if b.yes() {
		o.Incident = "fire"
	}
	phases := []cluster.Phase{cluster.PhaseRunning, cluster.PhasePending, cluster.PhaseFailed, cluster.PhaseUnknown, ""}
	for range b.byte() % 12 {
		r := hpa.Replica{
			Name: string(rune('a' + b.byte()%26)), Phase: phases[b.byte()%5], Deleting: b.byte()%8 == 1, StartedAt: b.at(now),
			Ready: b.yes(), ReadyKnown: b.yes(), ReadySince: b.at(now), CrashLooping: b.byte()%4 == 1,
		}
		for _, u := range []*hpa.Usage{&r.CPU, &r.Memory} {
			*u = hpa.Usage{Known: b.yes(), Value: b.int(), Request: b.int(), At: b.at(now), Window: b.span()}
			if b.byte()%16 == 1 {
				u.RequestMissing = "app"
			}
		}
		o.Replicas = append(o.Replicas, r)
	}
	return o
}

func (b *tape) history(now time.Time) hpa.History {
	var h hpa.History
	for range b.byte() % 6 {
		h.Recommendations = append(h.Recommendations, hpa.Recommended{At: b.at(now), Replicas: int32(b.int())})
	}
	for range b.byte() % 4 {
		h.Ups = append(h.Ups, hpa.Change{At: b.at(now), Replicas: int32(b.int()), Outdated: b.yes()})
		h.Downs = append(h.Downs, hpa.Change{At: b.at(now), Replicas: int32(b.int())})
	}
	return h
}

// FuzzDecide throws anything at Decide, also what Validate refuses.
func FuzzDecide(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		seed := make([]byte, 300)
		for i := range seed {
			seed[i] = byte(rng.Uint32())
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
		b := tape(data)
		p, h := b.policy(), b.history(now)
		o := b.observation(now)
		hBefore, oBefore := clone(t, h), clone(t, o)
		rec, next := hpa.Decide(p, o, h, now)
		if diff := cmp.Diff(hBefore, clone(t, h)); diff != "" {
			t.Fatalf("the history was written to: %s", diff)
		}
		if diff := cmp.Diff(oBefore, clone(t, o)); diff != "" {
			t.Fatalf("the observation was written to: %s", diff)
		}
		checkSound(t, p, o, rec, next)
		after := next.Applied(rec, now)
		if len(after.Ups)+len(after.Downs) > len(h.Ups)+len(h.Downs)+1 {
			t.Errorf("more than one change was stored")
		}
		again, same := hpa.Decide(p, o, h, now)
		if diff := cmp.Diff(rec, again, equalNaN()) + cmp.Diff(next, same); diff != "" {
			t.Errorf("decided again from the same: %s", diff)
		}
	})
}

// checkSound checks what holds for every decision.
func checkSound(t *testing.T, p hpa.Policy, o hpa.Observation, rec hpa.Recommendation, next hpa.History) {
	t.Helper()
	if rec.Reason == "" || rec.Message == "" || len(rec.Steps) == 0 || len(rec.Conditions) == 0 || rec.Current != o.Current {
		t.Errorf("the recommendation says too little: %+v", rec)
	}
	number := rec.Current
	for _, s := range rec.Steps {
		if s.Name != hpa.StepMetrics && s.Before != number || s.Reason == "" || s.Message == "" {
			t.Errorf("step %+v does not start at %d, or is silent", s, number)
		}
		number = s.After
	}
	if number != rec.Desired {
		t.Errorf("the steps end at %d, not %d", number, rec.Desired)
	}
	for _, m := range rec.Metrics {
		for _, n := range []hpa.Names{m.Unready, m.Missing, m.Ignored} {
			if len(n.First) > hpa.MaxNames || int(n.Count) > len(o.Replicas) {
				t.Errorf("too many names: %+v", n)
			}
		}
	}
	if p.Validate() != nil {
		return
	}
	if o.Current > 0 && (rec.Desired < p.Min || rec.Desired > p.Max) {
		t.Errorf("%d is not within %d and %d: %s", rec.Desired, p.Min, p.Max, rec.Message)
	}
	if o.Current == 0 && rec.Desired != 0 {
		t.Errorf("a target that is switched off was switched on: %s", rec.Message)
	}
	if p.Health.HoldOnIncident && o.Incident != "" && rec.Desired < min(o.Current, p.Max) {
		t.Errorf("from %d down to %d in spite of an incident: %s", o.Current, rec.Desired, rec.Message)
	}
	for _, m := range rec.Metrics {
		if m.AdjustedRatio != 0 && m.Err == "" && (m.Ratio > 1 && m.Replicas < o.Current || m.Ratio < 1 && m.Replicas > o.Current) {
			t.Errorf("the direction was turned: %+v", m)
		}
	}
	if len(next.Recommendations) == 0 {
		t.Error("a decision leaves no recommendation")
	}
}

func equalNaN() cmp.Option {
	return cmp.Comparer(func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) })
}

// clone copies through JSON, which is also how a history outlives a process.
func clone[T any](t *testing.T, v T) T {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var c T
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSoundStories checks the same along random stories, and that the history stays within the windows.
func TestSoundStories(t *testing.T) {
	for seed := range uint64(150) {
		g := newGenerator(rand.New(rand.NewPCG(seed, 11)))
		var h hpa.History
		for range 120 {
			g.step()
			rec, next := hpa.Decide(g.policy, g.obs, h, g.now)
			checkSound(t, g.policy, g.obs, rec, next)
			h = clone(t, next).Applied(rec, g.now)
			checkBounded(t, g, rec, h)
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
			g.obs.Current = rec.Desired
		}
	}
}

func checkBounded(t *testing.T, g *generator, rec hpa.Recommendation, h hpa.History) {
	t.Helper()
	if len(rec.Steps) == 6 { // a recommendation was recorded, so the old ones are gone
		oldest := g.now.Add(-max(5*time.Minute, 2*time.Minute))
		for _, r := range h.Recommendations {
			if r.At.Before(oldest) {
				t.Errorf("a recommendation of %s is still there at %s", r.At, g.now)
			}
		}
	}
	// One change per decision and at least a second between decisions: no more than seconds in the longest period.
	if n := max(len(h.Ups), len(h.Downs)); n > 601 {
		t.Errorf("%d changes are kept", n)
	}
}

// TestMonotone checks that more load never asks for fewer replicas where all are ready and nothing is missing.
func TestMonotone(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for range 300 {
		g := newGenerator(rng)
		p := g.policy
		p.Metrics = p.Metrics[:1]
		current := p.Min + g.n(p.Max-p.Min+1)
		before, usage := int32(0), int64(0)
		for range 60 {
			usage += int64(g.n(40))
			o := hpa.Observation{Current: current}
			for i := range current {
				r := readyReplica(string('a'+i), now)
				r.CPU = hpa.Usage{Known: true, Value: usage, Request: 300, At: now}
				r.Memory = r.CPU
				o.Replicas = append(o.Replicas, r)
			}
			rec, _ := hpa.Decide(p, o, hpa.History{}, now)
			if rec.Desired < before {
				t.Fatalf("usage %d asks for %d, less usage asked for %d: %s", usage, rec.Desired, before, rec.Message)
			}
			before = rec.Desired
		}
	}
}

// TestOrderIsIrrelevant checks that the order of replicas changes no number.
func TestOrderIsIrrelevant(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 5))
		g := newGenerator(rng)
		for range 20 {
			g.step()
			rec, next := hpa.Decide(g.policy, g.obs, hpa.History{}, g.now)
			rng.Shuffle(len(g.obs.Replicas), func(i, j int) {
				g.obs.Replicas[i], g.obs.Replicas[j] = g.obs.Replicas[j], g.obs.Replicas[i]
			})
			other, _ := hpa.Decide(g.policy, g.obs, hpa.History{}, g.now)
			if answer(rec) != answer(other) || rec.Proposed != other.Proposed {
				t.Fatalf("seed %d: %s\nin another order: %s", seed, describe(rec, next), describe(other, next))
			}
			g.obs.Current = rec.Desired
		}
	}
}
