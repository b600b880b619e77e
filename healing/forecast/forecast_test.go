package forecast

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

const mib = 1 << 20

// history of so many minutes since epoch, a point each half minute.
func points(minutes float64, s shape) []metrics.TrendPoint {
	return s.live(epoch, minutes/60).points
}

func at(minutes float64) time.Time { return epoch.Add(seconds(minutes * 60)) }

// line grows from a level by so many MiB an hour, with load at rest.
func lineOf(level, perHour float64) shape {
	return func(at float64) (float64, float64) { return (level + perHour*at/3600) * mib, 300 }
}

func with(p []metrics.TrendPoint, change func(i int, p *metrics.TrendPoint)) []metrics.TrendPoint {
	p = slices.Clone(p)
	for i := range p {
		change(i, &p[i])
	}
	return p
}

func TestMemorySaysWhyNot(t *testing.T) {
	leak := points(90, lineOf(300, 100)) // 450 of 512 MiB after 90 minutes, dead in 37 more
	tests := []struct {
		name    string
		points  []metrics.TrendPoint
		started time.Time
		limit   int64
		policy  Policy
		now     float64
		want    string
	}{
		{name: "a leak", points: leak, now: 90},
		{name: "no limit", points: leak, limit: -1, now: 90, want: NoLimit},
		{name: "no start", points: leak, started: time.Time{}.Add(1), now: 90, want: NoStart},
		{name: "nothing known", now: 90, want: NoHistory},
		{name: "young", points: leak, now: 39, want: NoHistory},
		{name: "just old enough", points: leak, now: 41, policy: Policy{WarmUp: 10 * time.Minute, MinSpan: 30 * time.Minute, MinPercent: 50, Horizon: 2 * time.Hour}},
		{name: "a new life", points: leak, started: at(60), now: 90, want: NoHistory},
		{name: "old readings", points: leak, now: 96, want: OldHistory},
		{
			name: "no resident memory", now: 90, want: NoHistory,
			points: with(leak, func(_ int, p *metrics.TrendPoint) { p.ResidentBytes = metrics.NotKnown }),
		},
		{
			name: "no load", now: 90, want: NoLoad,
			points: with(leak, func(_ int, p *metrics.TrendPoint) { p.CPUMilli = metrics.NotKnown }),
		},
		{
			name: "the working set counts for nothing", now: 90, want: NotGrowing,
			points: with(leak, func(_ int, p *metrics.TrendPoint) { p.MemoryBytes, p.ResidentBytes = p.ResidentBytes, 400*mib }),
		},
		{name: "little memory", points: leak, limit: 2 << 30, now: 90, want: FarFromLimit},
		{name: "constant", points: points(90, lineOf(450, 0)), now: 90, want: NotGrowing},
		{name: "it shrinks", points: points(90, lineOf(500, -60)), now: 90, want: NotGrowing},
		{name: "slow", points: points(90, lineOf(400, 10)), now: 90, want: FarAhead},
		{name: "demand", points: points(90, func(at float64) (float64, float64) {
			load := 500 + 400*math.Sin(at/1200)
			return (400 + load/9) * mib, load
		}), now: 90, want: NotGrowing},
		{name: "load grows with it", points: points(90, func(at float64) (float64, float64) {
			return (300 + 100*at/3600) * mib, 100 + at/10
		}), now: 90, want: LoadGrows},
		{name: "it grows although load falls", points: points(90, func(at float64) (float64, float64) {
			return (300 + 100*at/3600) * mib, 700 - at/10
		}), now: 90},
		{name: "one step", points: points(90, func(at float64) (float64, float64) {
			if at > 3000 {
				return 450 * mib, 300
			}
			return 350 * mib, 300
		}), now: 90, want: NotALine},
		{name: "a cache that fills", points: points(90, func(at float64) (float64, float64) {
			return (480 - 300*math.Exp(-at/1500)) * mib, 300
		}), now: 90, want: NotALine},
		{name: "a cache that fills slowly", points: points(60, func(at float64) (float64, float64) {
			return (480 - 300*math.Exp(-at/3000)) * mib, 300
		}), now: 60, want: SlowsDown},
		{name: "a collector with a steady floor", points: points(90, func(at float64) (float64, float64) {
			return (400 + 80*math.Mod(at, 400)/400) * mib, 300
		}), now: 90, want: NotGrowing},
		{name: "a collector with a rising floor", points: points(90, func(at float64) (float64, float64) {
			return (300 + 60*at/3600 + 80*math.Mod(at, 170)/170) * mib, 300
		}), now: 90},
		{name: "a leak beside demand", points: points(90, func(at float64) (float64, float64) {
			load := 500 + 400*math.Sin(at/300)
			return (250 + 90*at/3600 + load/10) * mib, load
		}), now: 90},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			started, limit, policy := epoch, int64(worldLimit), usual
			switch {
			case tt.started.Equal(time.Time{}.Add(1)):
				started = time.Time{}
			case !tt.started.IsZero():
				started = tt.started
			}
			if tt.limit != 0 {
				limit = tt.limit
			}
			if tt.policy != (Policy{}) {
				policy = tt.policy
			}
			f, why, ok := Memory(tt.points, started, limit, policy, at(tt.now))
			if why != tt.want || ok != (tt.want == "") {
				t.Errorf("forecast is %+v, %q, %v, want the reason %q", f, why, ok, tt.want)
			}
		})
	}
}

func TestMemoryOfALine(t *testing.T) {
	f, why, ok := Memory(points(90, lineOf(300, 100)), epoch, worldLimit, usual, at(90))
	if !ok {
		t.Fatal(why)
	}
	const perSecond = 100 * mib / 3600.0
	if want := at(212 * 60 / 100.0); f.OOMAt.Sub(want).Abs() > time.Minute || f.Earliest.After(f.OOMAt) || f.Latest.Before(f.OOMAt) || f.Latest.Sub(f.Earliest) > time.Minute {
		t.Errorf("the limit is reached at %v (%v to %v), want %v", f.OOMAt, f.Earliest, f.Latest, want)
	}
	if math.Abs(f.Slope-perSecond) > perSecond/100 || f.Fit < 0.99 || f.Limit != worldLimit || !f.At.Equal(at(90)) ||
		f.Memory != points(90, lineOf(300, 100))[179].ResidentBytes || f.Span < 79*time.Minute || f.Span > 80*time.Minute {
		t.Errorf("forecast is %+v", f)
	}
}

func TestMemoryWithoutCPUOfALifesFirstPoint(t *testing.T) {
	p := with(points(90, lineOf(300, 100)), func(i int, p *metrics.TrendPoint) {
		if i%20 == 0 {
			p.CPUMilli = metrics.NotKnown
		}
	})
	if _, why, ok := Memory(p, epoch, worldLimit, usual, at(90)); !ok {
		t.Errorf("a few points without CPU are in the way: %s", why)
	}
}

// drawn is a leak of any kind at a moment at which there is a forecast.
func drawn(r *rand.Rand) (points []metrics.TrendPoint, now time.Time, f incident.Forecast) {
	for {
		k := kinds()[r.IntN(5)]
		life := k.make(r).live(epoch, 10)
		if life.died == 0 {
			continue
		}
		second := between(r, 0.5, 1) * life.died
		now = epoch.Add(seconds(second))
		points = life.until(second)
		if f, _, ok := Memory(points, epoch, worldLimit, usual, now); ok {
			return points, now, f
		}
	}
}

func TestAShiftInTimeChangesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 30 {
		p, now, f := drawn(r)
		d := time.Duration(r.Int64N(int64(1000 * time.Hour)))
		moved := with(p, func(_ int, p *metrics.TrendPoint) { p.At = p.At.Add(d) })
		g, _, ok := Memory(moved, epoch.Add(d), worldLimit, usual, now.Add(d))
		if !ok || g.OOMAt.Sub(g.At) != f.OOMAt.Sub(f.At) || g.Earliest.Sub(g.At) != f.Earliest.Sub(f.At) || g.Slope != f.Slope {
			t.Fatalf("shifted by %v the forecast is %+v, want %+v", d, g, f)
		}
	}
}

func TestMoreLimitIsReachedLater(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	compared := 0
	for range 60 {
		p, now, f := drawn(r)
		more := int64(float64(worldLimit) * between(r, 1.001, 1.2))
		g, _, ok := Memory(p, epoch, more, usual, now)
		if !ok {
			continue
		}
		compared++
		if g.OOMAt.Before(f.OOMAt) || g.Earliest.Before(f.Earliest) || !g.Latest.IsZero() && g.Latest.Before(f.Latest) {
			t.Fatalf("with a limit of %d the forecast is %+v, with %d it is %+v", more, g, f.Limit, f)
		}
	}
	if compared < 30 {
		t.Fatalf("only %d pairs were compared", compared)
	}
}

func TestWhatIsNoLeakIsNoneUnderAnyPolicy(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	eager := Policy{Horizon: 1000 * time.Hour}
	for i := range 100 {
		level, period, phase := between(r, 100, 400), between(r, 600, 7200), between(r, 0, 6)
		constant := points(between(r, 20, 120), lineOf(level, 0))
		if f, _, ok := Memory(constant, epoch, worldLimit, eager, constant[len(constant)-1].At); ok {
			t.Fatalf("constant memory of %v MiB has the forecast %+v", level, f)
		}
		sine := points(120, func(at float64) (float64, float64) {
			load := math.Floor(500 + 400*math.Sin(2*math.Pi*at/period+phase))
			return (level + load/10) * mib, load
		})
		if f, _, ok := Memory(sine, epoch, worldLimit, eager, at(120)); ok {
			t.Fatalf("%d: memory that follows load (period %v s) has the forecast %+v", i, period, f)
		}
	}
}

func TestOrderAndRepetitionOfPointsDoNotMatter(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for range 20 {
		p, now, f := drawn(r)
		mixed := make([]metrics.TrendPoint, 0, 2*len(p))
		for i := range p {
			mixed = append(mixed, p[i])
			if i > 2 { // one that comes late, and one of another time altogether
				mixed = append(mixed, p[i-r.IntN(3)], metrics.TrendPoint{At: now.Add(time.Hour), ResidentBytes: 1, CPUMilli: 1})
			}
		}
		if g, why, ok := Memory(mixed, epoch, worldLimit, usual, now); !ok || g != f {
			t.Fatalf("with repeated and later points the forecast is %+v (%s), want %+v", g, why, f)
		}
	}
}

func TestMemoryDoesNotAllocate(t *testing.T) {
	p := points(90, lineOf(300, 100))
	now := at(90)
	for _, limit := range []int64{worldLimit, 4 << 30} {
		if n := testing.AllocsPerRun(20, func() { Memory(p, epoch, limit, usual, now) }); n > 0 {
			t.Errorf("with a limit of %d it allocates %v times", limit, n)
		}
	}
}

func BenchmarkMemory(b *testing.B) {
	p := points(120, lineOf(300, 80))
	now := at(120)
	b.ReportAllocs()
	for b.Loop() {
		if _, why, ok := Memory(p, epoch, worldLimit, usual, now); !ok {
			b.Fatal(why)
		}
	}
}

// hostile turns bytes into points with any times and values.
func hostile(data []byte) []metrics.TrendPoint {
	var out []metrics.TrendPoint
	when := epoch
	for ; len(data) >= 8; data = data[8:] {
		step := int16(binary.LittleEndian.Uint16(data))
		when = when.Add(time.Duration(step) * time.Second / 100)
		if data[7] == 255 {
			when = when.Add(time.Duration(math.MaxInt64))
		}
		resident := int64(int16(binary.LittleEndian.Uint16(data[2:]))) << (data[7] % 48)
		out = append(out, metrics.TrendPoint{
			At: when, ResidentBytes: resident, MemoryBytes: int64(int8(data[6])) * mib, CPUMilli: int64(int16(binary.LittleEndian.Uint16(data[4:]))),
		})
	}
	return out
}

func encode(points []metrics.TrendPoint) []byte {
	var out []byte
	last := epoch
	for _, p := range points {
		out = binary.LittleEndian.AppendUint16(out, uint16(p.At.Sub(last).Seconds()*100))
		out = binary.LittleEndian.AppendUint16(out, uint16(p.ResidentBytes>>20))
		out = binary.LittleEndian.AppendUint16(out, uint16(p.CPUMilli))
		out = append(out, 0, 20)
		last = p.At
	}
	return out
}

func FuzzMemory(f *testing.F) {
	rules := []string{
		NoLimit, NoStart, NoHistory, OldHistory, NoLoad, FarFromLimit, NotGrowing, LoadGrows, NotALine, SlowsDown, FarAhead,
	}
	f.Add(encode(points(90, lineOf(300, 100))), int64(worldLimit), uint16(90), uint8(70))
	f.Add(encode(points(60, func(at float64) (float64, float64) { return (300 + at*at/40000) * mib, at })), int64(worldLimit), uint16(60), uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, limit int64, minutes uint16, minPercent uint8) {
		p, now := hostile(data), at(float64(minutes))
		policy := Policy{WarmUp: time.Duration(minutes%20) * time.Minute, MinSpan: time.Duration(minutes%40) * time.Minute, MinPercent: int32(minPercent), Horizon: 100 * time.Hour}
		got, why, ok := Memory(p, epoch, limit, policy, now)
		if !ok {
			if got != (incident.Forecast{}) || !slices.Contains(rules, why) {
				t.Fatalf("no forecast, but %+v and %q", got, why)
			}
			return
		}
		if why != "" || !got.At.Equal(now) || got.OOMAt.Before(now) || got.Earliest.Before(now) || got.Earliest.After(got.OOMAt) ||
			!got.Latest.IsZero() && got.Latest.Before(got.OOMAt) || got.OOMAt.Sub(now) > policy.Horizon {
			t.Fatalf("times out of order: %+v, %q", got, why)
		}
		if !(got.Slope > 0) || math.IsInf(got.Slope, 0) || !(got.Fit >= leastFit && got.Fit <= 1) || got.Memory < 0 || got.Limit != limit || got.Span < policy.MinSpan {
			t.Fatalf("values that cannot be: %+v", got)
		}
	})
}
