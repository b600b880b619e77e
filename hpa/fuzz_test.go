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
		Health: hpa.HealthPolicy{
			HoldOnIncident: b.yes(), CrashLoopIsNoCapacity: b.yes(), OOMKilledIsNoCapacity: b.yes(), OOMWindow: b.span(),
			FailingIsNoCapacity: b.yes(), NeverReadyIsNoCapacity: b.yes(), PartialIsMissing: b.yes(), MemorySettle: b.span(),
			HoldOnFailingRollout: b.yes(), HoldOnShortage: b.yes(),
		},
		Pause: hpa.Pause{ScaleUp: b.byte()%8 == 1, ScaleDown: b.byte()%8 == 1},
	}
	for range b.byte() % 4 {
		m := hpa.Metric{Source: b.source(), Type: []hpa.TargetType{hpa.Utilization, hpa.AverageValue, hpa.Value, ""}[b.byte()%4], Target: b.int()}
		if b.byte()%3 == 1 {
			kind := []hpa.FallbackType{hpa.FallbackHold, hpa.FallbackLastGood, hpa.FallbackReplicas, "Guess"}[b.byte()%4]
			m.Fallback = &hpa.Fallback{Type: kind, For: b.span(), Replicas: int32(b.int())}
		}
		p.Metrics = append(p.Metrics, m)
	}
	if b.yes() {
		p.Behavior = &hpa.Behavior{ScaleUp: b.rules(), ScaleDown: b.rules()}
	}
	return p
}

// source is one of few, so that a reading of it is often there.
func (b *tape) source() hpa.Source {
	kinds := []hpa.SourceType{hpa.FromResource, hpa.FromContainerResource, hpa.FromPods, hpa.FromObject, hpa.FromExternal, hpa.FromPrometheus, "Moon"}
	s := hpa.Source{Type: kinds[b.byte()%7]}
	if s.Type == hpa.FromResource || s.Type == hpa.FromContainerResource {
		s.Resource = []hpa.Resource{hpa.CPU, hpa.Memory, "disk"}[b.byte()%3]
	}
	return s
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
	o.StatusReplicas, o.ScaledToZero = int32(b.int()), b.yes()
	if b.byte()%4 == 1 {
		o.Floor = &hpa.Floor{Replicas: int32(b.int()), By: "schedule"}
	}
	if b.byte()%4 == 1 {
		o.Rollout = &hpa.Rollout{Failing: []string{"", "no image"}[b.byte()%2]}
	}
	if b.byte()%4 == 1 {
		o.Shortage = &hpa.Fault{Reason: hpa.FaultUnschedulable, Message: "no node"}
	}
	if b.byte()%8 == 1 {
		o.Selector = &hpa.Fault{Reason: []string{hpa.FaultInvalidSelector, hpa.FaultAmbiguousSelector, ""}[b.byte()%3], Message: "wrong"}
	}
	phases := []cluster.Phase{cluster.PhaseRunning, cluster.PhasePending, cluster.PhaseFailed, cluster.PhaseUnknown, ""}
	for range b.byte() % 12 {
		r := hpa.Replica{
			Name: string(rune('a' + b.byte()%26)), Phase: phases[b.byte()%5], Deleting: b.byte()%8 == 1, StartedAt: b.at(now),
			Ready: b.yes(), ReadyKnown: b.yes(), ReadySince: b.at(now), CrashLooping: b.byte()%4 == 1,
			NeverReady: b.byte()%4 == 1, Failing: []string{"", "", "", "no image"}[b.byte()%4], CPUPressure: float64(b.byte() % 100),
		}
		if b.byte()%4 == 1 {
			r.OOMKilledAt, r.RestartedAt = b.at(now), b.at(now)
		}
		b.usage(&r.CPU, now)
		b.usage(&r.Memory, now)
		o.Replicas = append(o.Replicas, r)
	}
	for range b.byte() % 5 {
		r := hpa.Reading{Source: b.source(), Known: b.byte()%4 != 1, Value: b.int(), At: b.at(now), Window: b.span()}
		for range b.byte() % 12 {
			var u hpa.Usage
			b.usage(&u, now)
			r.Replicas = append(r.Replicas, u)
		}
		o.Readings = append(o.Readings, r)
	}
	return o
}

func (b *tape) usage(u *hpa.Usage, now time.Time) {
	*u = hpa.Usage{Known: b.yes(), Value: b.int(), Request: b.int(), At: b.at(now), Window: b.span()}
	switch b.byte() % 16 {
	case 1:
		u.RequestMissing = "app"
	case 2:
		u.Partial = "sidecar"
	}
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
	for range b.byte() % 3 {
		h.LastGood = append(h.LastGood, hpa.Good{Source: b.source(), At: b.at(now), Replicas: int32(b.int())})
	}
	return h
}

// usedDecider has decided and explained something before.
func usedDecider(now time.Time) *hpa.Decider {
	p, o, _ := busyTarget(7)
	var d hpa.Decider
	d.Decide(&p, &o, hpa.History{}, now)
	d.Explain()
	return &d
}

// FuzzDecide throws anything at Decide, also what Validate refuses.
func FuzzDecide(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		seed := make([]byte, 600)
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
		if _, err := json.Marshal(rec); err != nil {
			t.Errorf("the journal cannot keep %+v: %v", rec, err)
		}
		after := next.Applied(rec, now)
		if len(after.Ups)+len(after.Downs) > len(h.Ups)+len(h.Downs)+1 {
			t.Errorf("more than one change was stored")
		}
		again, same := hpa.Decide(p, o, h, now)
		if diff := cmp.Diff(rec, again, equalNaN()) + cmp.Diff(next, same); diff != "" {
			t.Errorf("decided again from the same: %s", diff)
		}
		// Memory that has been used for something else before changes nothing.
		used := usedDecider(now)
		bare, given := used.Decide(&p, &o, h.Clone(), now)
		if bare.Message != "" || bare.Desired != rec.Desired || bare.Reason != rec.Reason {
			t.Errorf("without words: %+v, with: %+v", bare, rec)
		}
		if diff := cmp.Diff(rec, *used.Explain(), equalNaN()) + cmp.Diff(next, given); diff != "" {
			t.Errorf("decided in memory that was used before: %s", diff)
		}
	})
}

// FuzzMoreLoad checks that more load never asks for fewer replicas where one value says how much there is.
func FuzzMoreLoad(f *testing.F) {
	f.Add(int64(100), int64(50), int64(30), uint8(4), uint8(3), true)
	f.Add(int64(-5), int64(1), int64(1), uint8(0), uint8(0), false)
	f.Add(int64(math.MaxInt64-9), int64(9), int64(7), uint8(200), uint8(200), false)
	f.Fuzz(func(t *testing.T, load, more, target int64, current, ready uint8, average bool) {
		if target <= 0 || more < 0 || load > math.MaxInt64-more || load < 0 {
			return
		}
		now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
		source := hpa.Source{Type: hpa.FromObject, Name: "hits", Object: "v1/Service/web"}
		p := hpa.DefaultPolicy()
		p.Min, p.Max, p.DownscaleStabilization = 0, math.MaxInt32, 0
		p.Metrics = []hpa.Metric{{Source: source, Type: hpa.Value, Target: target}}
		if average {
			p.Metrics[0].Type = hpa.AverageValue
		}
		// As many exist as are asked for: with fewer, Kubernetes' own steps are not monotone at the edges of the tolerance.
		o := hpa.Observation{Current: int32(current), StatusReplicas: int32(current), ScaledToZero: current == 0}
		for i := range min(current, ready) {
			o.Replicas = append(o.Replicas, readyReplica(string(rune('a'+i)), now))
		}
		for i := len(o.Replicas); i < int(current); i++ {
			r := readyReplica(string(rune('a'+i)), now)
			r.Ready, r.NeverReady = false, true
			o.Replicas = append(o.Replicas, r)
		}
		proposed := func(value int64) int32 {
			o.Readings = []hpa.Reading{{Source: source, Known: true, Value: value, At: now}}
			rec, _ := hpa.Decide(p, o, hpa.History{}, now)
			return rec.Proposed
		}
		if less, many := proposed(load), proposed(load+more); many < less {
			t.Errorf("%d of %d asks for %d, %d for %d", load, target, less, load+more, many)
		}
	})
}
