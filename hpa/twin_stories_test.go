package hpa_test

import (
	"math/rand/v2"
	"testing"

	"github.com/homeostat/homeostat/hpa"
)

// answer brings a recommendation into the form of the twin.
func answer(rec hpa.Recommendation) twinAnswer {
	a := twinAnswer{desired: rec.Desired}
	for _, c := range rec.Conditions {
		switch c.Type {
		case hpa.AbleToScale:
			a.able = c.Reason
		case hpa.ScalingActive:
			a.active, a.acts = c.Reason, c.Status
		case hpa.ScalingLimited:
			a.limited, a.limitedIs = c.Reason, c.Status
		case hpa.ScaledToZero:
			a.zero = c.Reason
		}
	}
	return a
}

// TestTwin runs both through the same long stories of random clusters.
func TestTwin(t *testing.T) {
	stories := uint64(250)
	if testing.Short() {
		stories = 40
	}
	for seed := range stories {
		rng := rand.New(rand.NewPCG(seed, 7))
		g := newGenerator(rng)
		w := twin{policy: g.policy, good: map[hpa.Source]hpa.Good{}}
		var h hpa.History
		if err := g.policy.Validate(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for sync := range 80 {
			g.step()
			rec, next := hpa.Decide(g.policy, g.obs, h, g.now)
			want, got := w.decide(g.obs, g.now), answer(rec)
			if got != want {
				t.Fatalf("seed %d, sync %d: got %+v, want %+v\n%s\npolicy %+v\nobservation %+v", seed, sync, got, want, describe(rec, next), g.policy, g.obs)
			}
			h = next.Applied(rec, g.now)
			w.applied(rec.Current, rec.Desired, g.now)
			g.carryOut(rec)
		}
	}
}
