package forecast

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/homeostat/homeostat/metrics"
)

// Worlds for the measurement of the forecast: what a container's memory does, second by second, and what is sampled of it.

const (
	worldLimit = 512 << 20
	worldTick  = 10  // seconds between two states of the world; it is killed at the first that is above the limit
	worldStep  = 30  // seconds between two points of the trend
	worldKeep  = 241 // points that are kept: two hours
)

// shape is memory in bytes and load in thousandths of a core at a second of the container's life.
type shape func(at float64) (memory, load float64)

// kind is one sort of behavior; make draws one of its kind.
type kind struct {
	name string
	leak bool
	// apart is true where the bound of false alarms does not count it: nobody could tell it from a leak in time.
	apart bool
	make  func(r *rand.Rand) shape
}

func between(r *rand.Rand, lo, hi float64) float64 { return lo + (hi-lo)*r.Float64() }

// steadyLoad wanders a little about a level.
func steadyLoad(r *rand.Rand) func(float64) float64 {
	level := between(r, 100, 900)
	return func(float64) float64 { return max(0, level*(1+0.1*r.NormFloat64())) }
}

// waves is load that rises and falls by a good part of its level.
func waves(r *rand.Rand, lo, hi float64) func(float64) float64 {
	level, depth := between(r, 200, 900), between(r, 0.3, 0.8)
	period, phase := between(r, lo, hi), between(r, 0, 2*math.Pi)
	return func(at float64) float64 {
		return max(0, level*(1+depth*math.Sin(2*math.Pi*at/period+phase))*(1+0.05*r.NormFloat64()))
	}
}

// noise in bytes of up to 2 % of the limit.
func noise(r *rand.Rand) func() float64 {
	sd := between(r, 0.001, 0.02) * worldLimit
	return func() float64 { return sd * r.NormFloat64() }
}

// teeth of a collector that lets garbage grow to a height and then frees it.
func teeth(r *rand.Rand, shortest, longest float64) func(float64) float64 {
	period, height := between(r, shortest, longest), between(r, 0.03, 0.15)*worldLimit
	phase := between(r, 0, period)
	return func(at float64) float64 { return height * math.Mod(at+phase, period) / period }
}

// growth reaches the limit from a base in one to eight hours; power 1 is a line.
func growth(r *rand.Rand, power float64) func(float64) float64 {
	base, total := between(r, 0.15, 0.5)*worldLimit, between(r, 3600, 8*3600)
	return func(at float64) float64 { return base + (worldLimit-base)*math.Pow(at/total, power) }
}

// wander is noise with a memory of the given seconds.
func wander(r *rand.Rand, memory, sd float64) func() float64 {
	state, keep := sd*r.NormFloat64(), math.Exp(-worldTick/memory)
	return func() float64 {
		state = keep*state + sd*math.Sqrt(1-keep*keep)*r.NormFloat64()
		return state
	}
}

func kinds() []kind {
	level := func(r *rand.Rand) float64 { return between(r, 0.6, 0.9) * worldLimit }
	return []kind{
		{name: "linear leak", leak: true, make: func(r *rand.Rand) shape {
			g, n, l := growth(r, 1), noise(r), steadyLoad(r)
			return func(at float64) (float64, float64) { return g(at) + n(), l(at) }
		}},
		{name: "accelerating leak", leak: true, make: func(r *rand.Rand) shape {
			g, n, l := growth(r, between(r, 1.2, 2)), noise(r), steadyLoad(r)
			return func(at float64) (float64, float64) { return g(at) + n(), l(at) }
		}},
		{name: "leak under a collector's teeth", leak: true, make: func(r *rand.Rand) shape {
			g, saw, l := growth(r, 1), teeth(r, 30, 300), steadyLoad(r)
			return func(at float64) (float64, float64) { return g(at) + saw(at), l(at) }
		}},
		{name: "leak under load that comes and goes", leak: true, make: func(r *rand.Rand) shape {
			g, n, l := growth(r, 1), noise(r), waves(r, 600, 3*3600)
			per := between(r, 0.0001, 0.0003) * worldLimit
			return func(at float64) (float64, float64) {
				load := l(at)
				return g(at) + per*load + n(), load
			}
		}},
		{name: "leak by steps", leak: true, make: func(r *rand.Rand) shape {
			base, step, every, n, l := between(r, 0.3, 0.5)*worldLimit, between(r, 0.01, 0.04)*worldLimit, between(r, 120, 600), noise(r), steadyLoad(r)
			return func(at float64) (float64, float64) { return base + step*math.Floor(at/every) + n(), l(at) }
		}},
		{name: "constant with noise", make: func(r *rand.Rand) shape {
			m, n, l := level(r), noise(r), steadyLoad(r)
			return func(at float64) (float64, float64) { return m + n(), l(at) }
		}},
		{name: "load in waves", make: func(r *rand.Rand) shape {
			m, n, l := between(r, 0.4, 0.6)*worldLimit, noise(r), waves(r, 1200, 8*3600)
			per := between(r, 0.0001, 0.0003) * worldLimit
			return func(at float64) (float64, float64) {
				load := l(at)
				return min(m+per*load+n(), 0.97*worldLimit), load
			}
		}},
		{name: "load that rises for hours", make: func(r *rand.Rand) shape {
			base, n := between(r, 0.3, 0.5)*worldLimit, noise(r)
			rise := between(r, 3600, 6*3600)
			return func(at float64) (float64, float64) {
				up := min(at/rise, 1)
				return base + 0.45*worldLimit*up + n(), 1000 * (0.2 + 0.8*up) * (1 + 0.05*r.NormFloat64())
			}
		}},
		{name: "collector with a steady floor", make: func(r *rand.Rand) shape {
			m, saw, l := level(r), teeth(r, 30, 600), waves(r, 1200, 8*3600)
			return func(at float64) (float64, float64) { return min(m+saw(at), 0.99*worldLimit), l(at) }
		}},
		{name: "cache that fills", make: func(r *rand.Rand) shape {
			base, full, tau, n, l := between(r, 0.2, 0.4)*worldLimit, between(r, 0.75, 0.92)*worldLimit, between(r, 300, 2400), noise(r), steadyLoad(r)
			return func(at float64) (float64, float64) { return full - (full-base)*math.Exp(-at/tau) + n(), l(at) }
		}},
		{name: "one or two steps up", make: func(r *rand.Rand) shape {
			m, n, l := between(r, 0.5, 0.7)*worldLimit, noise(r), steadyLoad(r)
			a, b := between(r, 0, 4*3600), between(r, 0, 4*3600)
			up := between(r, 0.05, 0.12) * worldLimit
			return func(at float64) (float64, float64) {
				y := m
				if at > a {
					y += up
				}
				if at > b {
					y += up
				}
				return y + n(), l(at)
			}
		}},
		{name: "wandering without a cause", make: func(r *rand.Rand) shape {
			m, l := between(r, 0.65, 0.8)*worldLimit, steadyLoad(r)
			w := wander(r, between(r, 60, 1800), between(r, 0.01, 0.05)*worldLimit)
			return func(at float64) (float64, float64) { return min(m+w(), 0.98*worldLimit), l(at) }
		}},
		{name: "collector that comes once in an hour", apart: true, make: func(r *rand.Rand) shape {
			m, l := between(r, 0.4, 0.6)*worldLimit, steadyLoad(r)
			period, height := between(r, 2400, 5400), between(r, 0.2, 0.35)*worldLimit
			n := noise(r)
			return func(at float64) (float64, float64) {
				return min(m+height*math.Mod(at, period)/period+n(), 0.98*worldLimit), l(at)
			}
		}},
	}
}

// run is one life: its points, and the second of its death, 0 where it lives on.
type run struct {
	points []metrics.TrendPoint
	died   float64
}

func (s shape) live(start time.Time, hours float64) run {
	var out run
	for at := 0.0; at < hours*3600; at += worldTick {
		memory, load := s(at)
		if memory >= worldLimit {
			out.died = at
			return out
		}
		if math.Mod(at, worldStep) == 0 {
			out.points = append(out.points, metrics.TrendPoint{
				At: start.Add(seconds(at)), ResidentBytes: int64(memory), MemoryBytes: int64(memory * 1.1), CPUMilli: int64(load),
			})
		}
	}
	return out
}

// until returns what is kept at a second of the life.
func (r *run) until(at float64) []metrics.TrendPoint {
	n := min(int(at/worldStep)+1, len(r.points))
	return r.points[max(0, n-worldKeep):n]
}
