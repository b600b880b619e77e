package hpa_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/homeostat/homeostat/hpa"
)

// checkSound checks what holds for every decision.
func checkSound(t *testing.T, p hpa.Policy, o hpa.Observation, rec hpa.Recommendation, next hpa.History) {
	t.Helper()
	if rec.Reason == "" || rec.Message == "" || len(rec.Steps) == 0 || len(rec.Conditions) == 0 || rec.Current != o.Current {
		t.Errorf("the recommendation says too little: %+v", rec)
	}
	if !slices.Contains(hpa.Reasons(), rec.Reason) {
		t.Errorf("%q is no reason that is known", rec.Reason)
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
	checkBounds(t, p, o, rec)
	for _, m := range rec.Metrics {
		if m.AdjustedRatio != 0 && m.Err == "" && (m.Ratio > 1 && m.Replicas < o.Current || m.Ratio < 1 && m.Replicas > o.Current) {
			t.Errorf("the direction was turned: %+v", m)
		}
	}
	if len(next.Recommendations) == 0 {
		t.Error("a decision leaves no recommendation")
	}
}

// checkBounds checks that the number lies where it may, and that what holds it does.
func checkBounds(t *testing.T, p hpa.Policy, o hpa.Observation, rec hpa.Recommendation) {
	t.Helper()
	least := p.Min
	if o.Floor != nil {
		least = max(least, min(o.Floor.Replicas, p.Max))
	}
	if p.Pause.ScaleUp && rec.Desired > o.Current || p.Pause.ScaleDown && rec.Desired < o.Current {
		t.Errorf("from %d to %d in spite of a pause: %s", o.Current, rec.Desired, rec.Message)
	}
	switch {
	case o.Current == 0 && !o.ScaledToZero:
		if rec.Desired != 0 {
			t.Errorf("a target that is switched off was switched on: %s", rec.Message)
		}
	case o.Current == 0 && rec.Desired == 0: // nothing can be computed, or asked for
	case rec.Desired == o.Current && (p.Pause.ScaleUp || p.Pause.ScaleDown): // a pause holds it, wherever it is
	case rec.Desired < least || rec.Desired > p.Max:
		t.Errorf("%d is not within %d and %d: %s", rec.Desired, least, p.Max, rec.Message)
	}
	if p.Health.HoldOnIncident && o.Incident != "" && rec.Desired < min(o.Current, p.Max) {
		t.Errorf("from %d down to %d in spite of an incident: %s", o.Current, rec.Desired, rec.Message)
	}
	if p.Health.HoldOnShortage && o.Shortage != nil && o.Current > 0 && rec.Desired > max(o.Current, least) {
		t.Errorf("from %d up to %d in spite of a shortage: %s", o.Current, rec.Desired, rec.Message)
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
	seen := map[hpa.Reason]bool{}
	for seed := range uint64(150) {
		g := newGenerator(rand.New(rand.NewPCG(seed, 11)))
		var h hpa.History
		for range 80 {
			g.step()
			rec, next := hpa.Decide(g.policy, g.obs, h, g.now)
			checkSound(t, g.policy, g.obs, rec, next)
			seen[rec.Reason] = true
			h = next.Applied(rec, g.now)
			if seed%10 == 0 { // as through a restart that keeps the state
				h = clone(t, h)
			}
			checkBounded(t, g, rec, h)
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
			g.carryOut(rec)
		}
	}
	for _, r := range hpa.Reasons() {
		if !seen[r] {
			t.Errorf("no story ends with %s", r)
		}
	}
	if len(seen) != len(hpa.Reasons()) {
		t.Errorf("reasons without a place in the list, or twice in it: %v", seen)
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

// TestMonotone checks that more load never asks for fewer replicas where all are ready and nothing is missing, whatever
// the metric is read from.
func TestMonotone(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	seen := map[hpa.SourceType]int{}
	for range 300 {
		g := newGenerator(rng)
		p := g.policy
		p.Metrics = p.Metrics[:1]
		source := p.Metrics[0].Source
		p.Min = max(p.Min, 1)
		current := p.Min + g.n(p.Max-p.Min+1)
		before, usage := int32(0), int64(0)
		for range 60 {
			usage += int64(g.n(40))
			o := hpa.Observation{Current: current, StatusReplicas: current}
			reading := hpa.Reading{Source: source, Known: true, Value: usage, At: now}
			for i := range current {
				r := readyReplica(string('a'+i), now)
				r.CPU = hpa.Usage{Known: true, Value: usage, Request: 300, At: now}
				r.Memory = r.CPU
				o.Replicas, reading.Replicas = append(o.Replicas, r), append(reading.Replicas, r.CPU)
			}
			o.Readings = []hpa.Reading{reading}
			rec, _ := hpa.Decide(p, o, hpa.History{}, now)
			if rec.Metrics[0].Err != "" {
				t.Fatal(rec.Message)
			}
			if rec.Desired < before {
				t.Fatalf("usage %d asks for %d, less usage asked for %d: %s", usage, rec.Desired, before, rec.Message)
			}
			before = rec.Desired
		}
		seen[source.Type]++
	}
	if len(seen) != 6 {
		t.Errorf("not every type of source was tried: %v", seen)
	}
}

// TestHealthNeverScalesDownFurther checks what an operator relies on when switching the rules on: that none of them takes
// away a replica that Kubernetes would have left.
func TestHealthNeverScalesDownFurther(t *testing.T) {
	kept := 0
	for seed := range uint64(300) {
		g := newGenerator(rand.New(rand.NewPCG(seed, 21)))
		for range 40 {
			g.step()
			bare := g.policy
			bare.Health = hpa.HealthPolicy{}
			with, _ := hpa.Decide(g.policy, g.obs, hpa.History{}, g.now)
			without, _ := hpa.Decide(bare, g.obs, hpa.History{}, g.now)
			if lower := with.Reason != hpa.ReasonInvalidMetrics && with.Proposed < min(g.obs.Current, without.Proposed); lower || with.Desired < min(g.obs.Current, without.Desired) {
				t.Fatalf("seed %d: with the rules %s\nwithout %s", seed, describe(with, hpa.History{}), describe(without, hpa.History{}))
			}
			if with.Proposed > without.Proposed {
				kept++
			}
			g.carryOut(with)
		}
	}
	if kept < 100 {
		t.Errorf("the rules made a difference only %d times", kept)
	}
}

// TestDeciderIsDecide runs both through the same stories, one Decider for all of them.
func TestDeciderIsDecide(t *testing.T) {
	var d hpa.Decider
	for seed := range uint64(30) {
		g := newGenerator(rand.New(rand.NewPCG(seed, 31)))
		var h, own hpa.History
		var last, kept hpa.Recommendation
		for range 60 {
			g.step()
			rec, next := hpa.Decide(g.policy, g.obs, h, g.now)
			bare, given := d.Decide(&g.policy, &g.obs, own, g.now)
			if bare.Desired != rec.Desired || bare.Reason != rec.Reason || bare.Message != "" {
				t.Fatalf("seed %d: %+v, with words %+v", seed, bare, rec)
			}
			if diff := cmp.Diff(rec, *d.Explain()) + cmp.Diff(next, given, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("seed %d: %s", seed, diff)
			}
			if diff := cmp.Diff(last, kept); diff != "" {
				t.Fatalf("seed %d: a clone changed with the next decision: %s", seed, diff)
			}
			last, kept = rec, d.Explain().Clone()
			h, own = next.Applied(rec, g.now), given.Applied(rec, g.now)
			g.carryOut(rec)
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
				for _, r := range g.obs.Readings {
					if r.Replicas != nil {
						r.Replicas[i], r.Replicas[j] = r.Replicas[j], r.Replicas[i]
					}
				}
			})
			other, _ := hpa.Decide(g.policy, g.obs, hpa.History{}, g.now)
			if answer(rec) != answer(other) || rec.Proposed != other.Proposed {
				t.Fatalf("seed %d: %s\nin another order: %s", seed, describe(rec, next), describe(other, next))
			}
			g.carryOut(rec)
		}
	}
}
