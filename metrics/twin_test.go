package metrics

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// twin is the window again, with every sample kept in a slice and nothing clever.
type twin struct {
	keep  int
	lives [][]Sample
}

func (w *twin) add(s Sample) bool {
	if !(s.CPUSeconds >= 0) || math.IsInf(s.CPUSeconds, 1) {
		s.NoCPU = true
	}
	if s.MemoryBytes < 0 {
		s.NoMemory = true
	}
	if s.At.IsZero() || s.NoCPU && s.NoMemory {
		return false
	}
	if len(w.lives) == 0 {
		w.lives = [][]Sample{{s}}
		return true
	}
	life := w.lives[len(w.lives)-1]
	newest := life[len(life)-1]
	if !s.At.After(newest.At) {
		return false
	}
	reset := false
	for _, old := range life {
		reset = reset || !old.NoCPU && !s.NoCPU && s.CPUSeconds < old.CPUSeconds
	}
	if start := startOf(life); !s.Start.IsZero() {
		if start.IsZero() {
			reset = reset || s.Start.Sub(newest.At) > time.Second
		} else {
			reset = reset || s.Start.Sub(start).Abs() > time.Second
		}
	}
	if reset {
		w.lives = append(w.lives, []Sample{s})
	} else {
		w.lives[len(w.lives)-1] = append(life, s)
	}
	return true
}

func startOf(life []Sample) time.Time {
	for _, s := range life {
		if !s.Start.IsZero() {
			return s.Start
		}
	}
	return time.Time{}
}

// kept returns the newest samples that still fit, by life.
func (w *twin) kept() [][]Sample {
	room := w.keep
	var kept [][]Sample
	for i := len(w.lives) - 1; i >= 0 && room > 0; i-- {
		life := w.lives[i]
		life = life[max(0, len(life)-room):]
		room -= len(life)
		kept = append([][]Sample{life}, kept...)
	}
	return kept
}

func (w *twin) usage(now time.Time, span, staleAfter time.Duration) Usage {
	if len(w.lives) == 0 {
		return Usage{Reason: ReasonMissing}
	}
	kept := w.kept()
	life := kept[len(kept)-1]
	u := Usage{Reason: ReasonTooFewSamples, At: life[len(life)-1].At, Start: startOf(w.lives[len(w.lives)-1])}
	if now.Sub(u.At).Abs() > staleAfter {
		u.Reason = ReasonStale
		return u
	}
	var cpu []Sample
	for _, s := range life {
		if !s.NoMemory && now.Sub(s.At) <= staleAfter {
			u.MemoryKnown, u.MemoryBytes = true, s.MemoryBytes
		}
		if !s.NoCPU {
			cpu = append(cpu, s)
		}
	}
	if len(cpu) == 0 || now.Sub(cpu[len(cpu)-1].At) > staleAfter {
		return u
	}
	head := cpu[len(cpu)-1]
	for i := len(cpu) - 2; i >= 0; i-- {
		d := head.At.Sub(cpu[i].At)
		if d < span/20 || d > span+staleAfter {
			continue
		}
		if !u.OK() || (d-span).Abs() < (u.Window-span).Abs() {
			u.Reason, u.Window = ReasonOK, d
			u.CPUMilli = int64(math.Round((head.CPUSeconds - cpu[i].CPUSeconds) / d.Seconds() * 1000))
		}
	}
	return u
}

func (w *twin) points() []Point {
	var points []Point
	for _, life := range w.kept() {
		var before *Sample
		for i := range life {
			s := &life[i]
			p := Point{At: s.At, CPUMilli: NotKnown, MemoryBytes: NotKnown}
			if !s.NoMemory {
				p.MemoryBytes = s.MemoryBytes
			}
			if !s.NoCPU && before != nil {
				p.CPUMilli = int64(math.Round((s.CPUSeconds - before.CPUSeconds) / s.At.Sub(before.At).Seconds() * 1000))
			}
			if !s.NoCPU {
				before = s
			}
			points = append(points, p)
		}
	}
	return points
}

// life makes up a container's readings: steps of some seconds, gaps, the same reading again, late readings, restarts
// with and without a start time, missing values and nonsense.
func life(rng *rand.Rand) []Sample {
	at, cpu, start := t0, rng.Float64()*100, t0.Add(-time.Hour)
	knowsStart := rng.IntN(3) > 0
	samples := make([]Sample, 0, 64)
	for range 1 + rng.IntN(60) {
		step := time.Duration(rng.Int64N(int64(16 * time.Second)))
		if rng.IntN(12) == 0 {
			step *= 10
		}
		at = at.Add(step)
		switch rng.IntN(12) {
		case 0:
			cpu, start = rng.Float64(), at.Add(-time.Duration(rng.Int64N(int64(5*time.Second))))
		case 1:
			start = start.Add(time.Duration(rng.Int64N(int64(2 * time.Second))))
		default:
			cpu += rng.Float64() * step.Seconds()
		}
		s := Sample{At: at, CPUSeconds: cpu, MemoryBytes: rng.Int64N(1 << 30)}
		if knowsStart && rng.IntN(8) > 0 {
			s.Start = start
		}
		switch rng.IntN(24) {
		case 0:
			s.NoCPU = true
		case 1:
			s.NoMemory = true
		case 2:
			s.CPUSeconds = math.NaN()
		case 3:
			s.MemoryBytes = -1
		case 4:
			s.NoCPU, s.NoMemory = true, true
		case 5:
			s.At = s.At.Add(-20 * time.Second)
		case 6:
			samples = append(samples, s)
		}
		samples = append(samples, s)
	}
	return samples
}

func TestWindowAgainstItsTwin(t *testing.T) {
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		keep := 2 + rng.IntN(20)
		span, staleAfter := time.Duration(1+rng.IntN(30))*time.Second, time.Duration(30+rng.IntN(60))*time.Second
		w, tw := NewWindow(keep), &twin{keep: keep}
		for i, s := range life(rng) {
			if got, want := w.Add(s), tw.add(s); got != want {
				t.Fatalf("seed %d, sample %d: Add is %v, the twin says %v", seed, i, got, want)
			}
			now := s.At.Add(time.Duration(rng.Int64N(int64(90*time.Second))) - 10*time.Second)
			if want, got := tw.usage(now, span, staleAfter), w.Usage(now, span, staleAfter); want != got {
				t.Fatalf("seed %d, sample %d: usage (-twin +window):\n%s", seed, i, cmp.Diff(want, got))
			}
			if want, got := tw.points(), w.Points(nil); !slices.Equal(want, got) {
				t.Fatalf("seed %d, sample %d: points (-twin +window):\n%s", seed, i, cmp.Diff(want, got))
			}
		}
	}
}
