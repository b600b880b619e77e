package forecast

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/homeostat/homeostat/metrics"
)

// solve is Gauss' elimination of a·x = b for three unknowns.
func solve(a [3][4]float64) (x [3]float64) {
	for i := range 3 {
		pivot := i
		for j := i; j < 3; j++ {
			if math.Abs(a[j][i]) > math.Abs(a[pivot][i]) {
				pivot = j
			}
		}
		a[i], a[pivot] = a[pivot], a[i]
		for j := range 3 {
			if j == i {
				continue
			}
			f := a[j][i] / a[i][i]
			for k := range 4 {
				a[j][k] -= f * a[i][k]
			}
		}
	}
	for i := range 3 {
		x[i] = a[i][3] / a[i][i]
	}
	return x
}

// twin is the regression as a textbook has it: the normal equations of y = x0 + x1·t + x2·load, built by summing over slices.
func twin(t, load, y []float64) (perSecond, perMilli float64) {
	normal := func(withLoad bool) [3]float64 {
		var a [3][4]float64
		for i := range t {
			row := [4]float64{1, t[i], load[i], y[i]}
			for j := range 3 {
				for k := range 4 {
					a[j][k] += row[j] * row[k]
				}
			}
		}
		if !withLoad {
			a[2] = [4]float64{0, 0, 1, 0}
			for j := range 2 {
				a[j][2] = 0
			}
		}
		return solve(a)
	}
	x := normal(true)
	if x[2] < 0 {
		x = normal(false)
	}
	return x[1], x[2]
}

// r2 of y over x.
func r2(x, y []float64) float64 {
	mean := func(v []float64) (m float64) {
		for _, one := range v {
			m += one / float64(len(v))
		}
		return m
	}
	mx, my := mean(x), mean(y)
	var xy, xx, yy float64
	for i := range x {
		xy += (x[i] - mx) * (y[i] - my)
		xx += (x[i] - mx) * (x[i] - mx)
		yy += (y[i] - my) * (y[i] - my)
	}
	return xy * xy / (xx * yy)
}

func near(a, b, scale float64) bool { return math.Abs(a-b) <= 1e-6*scale }

func TestRegressAgainstItsTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	negative := 0
	for n := range 300 {
		count := 8 + r.IntN(200)
		slope, per, sd := between(r, -20, 20), between(r, -40, 100), between(r, 0, 4000)
		var points []metrics.TrendPoint
		for i := range count {
			at := float64(i)*30 + float64(r.IntN(10))
			load := math.Floor(between(r, 0, 900))
			points = append(points, metrics.TrendPoint{
				At: epoch.Add(seconds(at)), MemoryBytes: 1, CPUMilli: int64(load), ResidentBytes: int64(1e6 + slope*at + per*load + sd*r.NormFloat64()),
			})
		}
		got, ok := Regress(points, epoch, epoch.Add(10*time.Hour))
		if !ok || got.Points != count {
			t.Fatalf("%d: fit of %d points is %+v, %v", n, count, got, ok)
		}
		var at, load, y []float64
		together := min(max(count/leastGroups, 1), mostTogether)
		for i := 0; i+together <= count; i += together {
			var a, l, m float64
			for _, p := range points[i : i+together] {
				a += p.At.Sub(epoch).Seconds() / float64(together)
				l += float64(p.CPUMilli) / float64(together)
				m += float64(p.ResidentBytes) / float64(together)
			}
			at, load, y = append(at, a), append(load, l), append(y, m)
		}
		perSecond, perMilli := twin(at, load, y)
		if perMilli == 0 {
			negative++
		}
		if !near(got.PerSecond, perSecond, 20) || !near(got.PerMilli, perMilli, 100) ||
			!near(got.ByLoad, r2(load, y), 1) || !near(got.ByTime, r2(at, y), 1) || !near(got.LoadByTime, r2(at, load), 1) {
			t.Fatalf("%d: fit is %+v, want %v a second and %v a milli, R² %v, %v, %v", n, got, perSecond, perMilli,
				r2(load, y), r2(at, y), r2(at, load))
		}
		if got.Both < max(got.ByTime, 0)-1e-9 {
			t.Fatalf("%d: both explain %v, time alone %v", n, got.Both, got.ByTime)
		}
	}
	if negative < 10 {
		t.Errorf("only %d of the draws had memory that falls with load", negative)
	}
}

func TestRegressTakesTheWorkingSetWhereNothingElseIs(t *testing.T) {
	p := with(points(60, lineOf(100, 60)), func(_ int, p *metrics.TrendPoint) {
		p.MemoryBytes, p.ResidentBytes = p.ResidentBytes, metrics.NotKnown
	})
	f, ok := Regress(p, epoch, at(60))
	if !ok || math.Abs(f.PerSecond-mib/60) > 100 || f.Lowest != 100*mib || f.ByTime < 0.99 {
		t.Errorf("fit of the working set is %+v, %v, want 1 MiB a minute", f, ok)
	}
	if f, ok := Regress(p[:7], epoch, at(60)); ok {
		t.Errorf("fit of seven points is %+v, want none", f)
	}
	if f, ok := Regress(p, at(58), at(60)); ok {
		t.Errorf("fit of the last two minutes is %+v, want none", f)
	}
}

func TestABendIsFound(t *testing.T) {
	var b [12]bin
	for i := range b {
		u := float64(i) * 100
		b[i] = bin{n: 1, t: u, y: 5 + 3*u + 0.01*u*u}
	}
	l := through(b[:])
	d := l.bend(b[:])
	if !near(d.curve, 0.01, 0.01) || d.certain < 1000 {
		t.Fatalf("the bend is %+v, want 0.01 for certain", d)
	}
	// 5 + 3u + 0.01u² is 20005 at u = 1272.18…; the last bin is at 1100.
	now := 1100.0
	want := (-3+math.Sqrt(9+4*0.01*20000))/0.02 - now
	if got := d.meets(&l, 20005-l.value(now), now); !near(got, want, 1000) {
		t.Errorf("it meets 20005 in %v s, want %v", got, want)
	}
	for i := range b {
		b[i].y = 5 + 3*b[i].t - 0.001*b[i].t*b[i].t // highest at 1500: 2255
	}
	l = through(b[:])
	d = l.bend(b[:])
	if got := d.meets(&l, 2300-l.value(now), now); !math.IsInf(got, 1) {
		t.Errorf("it meets in %v s what it never does", got)
	}
}
