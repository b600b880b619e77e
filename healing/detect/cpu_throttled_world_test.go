package detect

import (
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/homeostat/homeostat/metrics"
)

// Worlds for the measurement of the throttling: what a container with a CPU limit has to do in each period of the CFS, and the
// counters of its cgroup.

const (
	perSecond = 10       // CFS periods: cpu.cfs_period_us is 100 ms by default
	cpuLong   = 2 * 3600 // seconds of one life of the world
	cpuSpan   = 5 * 60   // seconds of what ThrottledPercent looks back on, and of what is looked ahead
	cpuWarm   = 10 * 60  // seconds until the first look
	cpuLook   = 60       // seconds between two looks
	mostDebt  = 20.0     // quotas of work that can wait; beyond it callers give up
	cpuTotal  = cpuLong * perSecond
)

// work is what comes in during a period, as a share of the quota.
type work func(period int) float64

// burden is one sort of work; draw makes one, with the seconds of its life after which the container is started again, 0 for never.
type burden struct {
	name string
	draw func(r *rand.Rand) (w work, lifetime int)
}

// noisy is work that comes in by chance about a level: requests of some size, few or many in a period.
func noisy(r *rand.Rand, size float64) func(level float64) float64 {
	return func(level float64) float64 {
		n, sum, limit := 0, 0.0, level/size
		for sum += r.ExpFloat64(); sum < limit; sum += r.ExpFloat64() {
			n++
		}
		return size * float64(n)
	}
}

// pulses is a level that is high for a part of each round, and low else.
func pulses(r *rand.Rand, round, high [2]float64, low, peak float64) func(second float64) float64 {
	long, part, phase := uniform(r, round[0], round[1]), uniform(r, high[0], high[1]), r.Float64()
	return func(second float64) float64 {
		if at := math.Mod(second/long+phase, 1) * long; at < part {
			return peak
		}
		return low
	}
}

func of(level func(second float64) float64, chance func(float64) float64) work {
	return func(period int) float64 { return chance(level(float64(period) / perSecond)) }
}

func burdens() []burden {
	once := func(w work) (work, int) { return w, 0 }
	size := func(r *rand.Rand) func(float64) float64 { return noisy(r, uniform(r, 0.02, 0.4)) }
	flat := func(level float64) func(float64) float64 { return func(float64) float64 { return level } }
	return []burden{
		{"far below its limit", func(r *rand.Rand) (work, int) { return once(of(flat(uniform(r, 0.02, 0.3)), size(r))) }},
		{"steady, at 40 to 95 % of its limit", func(r *rand.Rand) (work, int) { return once(of(flat(uniform(r, 0.4, 0.95)), size(r))) }},
		{"above its limit", func(r *rand.Rand) (work, int) { return once(of(flat(uniform(r, 1, 2)), size(r))) }},
		{"bursts of 0.2 to 2 s, every 2 to 30 s", func(r *rand.Rand) (work, int) {
			return once(of(pulses(r, [2]float64{2, 30}, [2]float64{0.2, 2}, uniform(r, 0.02, 0.3), uniform(r, 1.5, 4)), size(r)))
		}},
		{"one burst of 1 to 3 s a minute, idle between", func(r *rand.Rand) (work, int) {
			return once(of(pulses(r, [2]float64{60, 60}, [2]float64{1, 3}, 0.001, 3), size(r)))
		}},
		{"busy for 10 to 40 s of every 2 to 10 minutes", func(r *rand.Rand) (work, int) {
			return once(of(pulses(r, [2]float64{120, 600}, [2]float64{10, 40}, uniform(r, 0.05, 0.3), uniform(r, 1, 2)), size(r)))
		}},
		{"waves of 20 to 90 minutes", func(r *rand.Rand) (work, int) {
			long, mean, phase := uniform(r, 1200, 5400), uniform(r, 0.4, 0.9), uniform(r, 0, 2*math.Pi)
			return once(of(func(second float64) float64 { return mean * (1 + 0.7*math.Sin(2*math.Pi*second/long+phase)) }, size(r)))
		}},
		{"busy from one moment on", func(r *rand.Rand) (work, int) {
			from, low, high := uniform(r, cpuWarm, cpuLong), uniform(r, 0.05, 0.5), uniform(r, 0.8, 2)
			return once(of(func(second float64) float64 {
				if second < from {
					return low
				}
				return high
			}, size(r)))
		}},
		{"busy for 2 to 15 minutes, once in an hour", func(r *rand.Rand) (work, int) {
			return once(of(pulses(r, [2]float64{3600, 3600}, [2]float64{120, 900}, uniform(r, 0.05, 0.4), uniform(r, 0.9, 2)), size(r)))
		}},
		{"started again every 3 to 20 minutes, busy for 20 s then", func(r *rand.Rand) (work, int) {
			life, low := int(uniform(r, 180, 1200)), uniform(r, 0.05, 0.4)
			return of(func(second float64) float64 {
				if math.Mod(second, float64(life)) < 20 {
					return 2
				}
				return low
			}, size(r)), life
		}},
		{"its load wanders", func(r *rand.Rand) (work, int) {
			level, keep, mean := 0.0, math.Exp(-1/(uniform(r, 60, 1200)*perSecond)), uniform(r, 0.3, 0.9)
			chance := size(r)
			return func(int) float64 {
				level = keep*level + math.Sqrt(1-keep*keep)*r.NormFloat64()
				return chance(mean * math.Exp(0.6*level))
			}, 0
		}},
	}
}

// cpuLife has the sums of periods with something to run and of throttled ones, at the end of each second.
type cpuLife struct {
	periods, throttled [cpuLong + 1]int32
	lifetime           int
}

// throttle runs the work under its quota. What a period does not get done waits, and a container that is started again forgets it.
func (w work) throttle(lifetime int) *cpuLife {
	out := &cpuLife{lifetime: lifetime}
	debt := 0.0
	var periods, throttled int32
	for i := range cpuTotal {
		if lifetime > 0 && i%(lifetime*perSecond) == 0 {
			debt = 0
		}
		if debt = min(debt+w(i), mostDebt); debt > 0 {
			periods++
		}
		if debt > 1 {
			throttled++
		}
		debt = max(0, debt-1)
		if (i+1)%perSecond == 0 {
			out.periods[(i+1)/perSecond], out.throttled[(i+1)/perSecond] = periods, throttled
		}
	}
	return out
}

// share of the periods between two seconds in percent that were throttled, 0 where there was nothing to run.
func (l *cpuLife) share(from, to int) float64 {
	if n := l.periods[to] - l.periods[from]; n > 0 {
		return 100 * float64(l.throttled[to]-l.throttled[from]) / float64(n)
	}
	return 0
}

// heldBack is the share of the wall time in percent, in periods that were throttled.
func (l *cpuLife) heldBack(from, to int) float64 {
	return 100 * float64(l.throttled[to]-l.throttled[from]) / float64((to-from)*perSecond)
}

// page tells the store what a kubelet's page shows at a second. The reading on it is as old as the kubelet's housekeeping, which
// comes every 10 to 15 seconds; its counters begin with the life of the container, which gives them their name.
func (l *cpuLife) page(store *metrics.Store, key metrics.Key, kept int) {
	born := 0
	if l.lifetime > 0 {
		born = kept / l.lifetime * l.lifetime
	}
	store.AddThrottling(key, strconv.Itoa(born), now.Add(time.Duration(kept)*time.Second),
		float64(l.periods[kept]-l.periods[born]), float64(l.throttled[kept]-l.throttled[born]))
}
