package forecast

import (
	"math"
	"time"

	"github.com/homeostat/homeostat/metrics"
)

// Fit is memory as a function of time and load over some points. The least squares are those of any textbook.
type Fit struct {
	// Points that had memory and load, and what they span.
	Points int
	Span   time.Duration
	// PerMilli is the memory in bytes that goes with each thousandth of a core, 0 or more; PerSecond what grows by itself in
	// bytes per second, both fitted at once.
	PerMilli, PerSecond float64
	// ByLoad is the share of the memory's variance that load alone explains, ByTime that which time alone explains, Both that of
	// both; 0 to 1.
	ByLoad, ByTime, Both float64
	// LoadByTime is the share of the load's variance that time explains, 0 to 1: near 1 nobody can tell the two apart.
	LoadByTime float64
	// LoadRises is true where load rises with time on the whole.
	LoadRises bool
	// Lowest and Highest memory, in bytes.
	Lowest, Highest float64

	meanLoad float64
	first    float64 // time of the first point, in seconds
}

// sums are centered moments of time (seconds), load (thousandths of a core) and memory (bytes).
type sums struct {
	n                      int
	t, l, y                float64 // means
	tt, ll, yy, tl, ty, ly float64
}

// add is Welford's update, which loses no digits to the size of the values.
func (s *sums) add(t, l, y float64) {
	s.n++
	n := float64(s.n)
	dt, dl, dy := t-s.t, l-s.l, y-s.y
	s.t, s.l, s.y = s.t+dt/n, s.l+dl/n, s.y+dy/n
	s.tt += dt * (t - s.t)
	s.ll += dl * (l - s.l)
	s.yy += dy * (y - s.y)
	s.tl += dt * (l - s.l)
	s.ty += dt * (y - s.y)
	s.ly += dl * (y - s.y)
}

// Regress fits the points from one time to another, both included, that have memory and load; memory is the resident memory,
// or the working set where no point has that. Points that are not newer than the one before them are left out. It is false for
// fewer than eight points, or where all are of one time.
func Regress(points []metrics.TrendPoint, from, to time.Time) (Fit, bool) {
	resident := false
	for i := range points {
		resident = resident || points[i].ResidentBytes >= 0
	}
	h := history{points: points, from: from, to: to, workingSet: !resident}
	return h.regress()
}

const (
	// leastPoints of a fit.
	leastPoints = 8
	// mostTogether are how many points are averaged for a fit at most, and leastGroups how many averages there shall be. The CPU
	// of half a minute is noisy, and noise in a regressor makes its coefficient too small (regression dilution), so that time
	// would seem to explain what load does.
	mostTogether = 6
	leastGroups  = 12
)

// regress fits averages of neighboring points.
func (h *history) regress() (Fit, bool) {
	n, lowest, highest := 0, math.Inf(1), math.Inf(-1)
	var first, last float64
	h.each(func(t, _, memory float64) {
		if n == 0 {
			first = t
		}
		n, last, lowest, highest = n+1, t, min(lowest, memory), max(highest, memory)
	})
	together := min(max(n/leastGroups, 1), mostTogether)
	var all, group sums
	h.each(func(t, load, memory float64) {
		if group.add(t, load, memory); group.n == together {
			all.add(group.t, group.l, group.y)
			group = sums{}
		}
	})
	f, ok := all.fit()
	f.Points, f.Lowest, f.Highest = n, lowest, highest
	f.first, f.Span = first, time.Duration((last-first)*float64(time.Second))
	return f, ok
}

func (s *sums) fit() (Fit, bool) {
	if s.n < leastPoints || !(s.tt > 0) {
		return Fit{}, false
	}
	f := Fit{
		ByLoad: share(s.ly, s.ll, s.yy), ByTime: share(s.ty, s.tt, s.yy), LoadByTime: share(s.tl, s.tt, s.ll), meanLoad: s.l, LoadRises: s.tl > 0,
	}
	// Load is a regressor where it varies at all and not as time does; memory that falls with load is no effect of it.
	if det := s.tt*s.ll - s.tl*s.tl; det > s.tt*s.ll*1e-6 && s.ll > s.l*s.l*float64(s.n)*1e-8 {
		f.PerMilli = max(0, (s.ly*s.tt-s.ty*s.tl)/det)
	}
	f.PerSecond = (s.ty - f.PerMilli*s.tl) / s.tt
	if s.yy > 0 {
		f.Both = clamp((f.PerMilli*s.ly + f.PerSecond*s.ty) / s.yy)
	}
	return f, true
}

// share is R² of one regressor.
func share(xy, xx, yy float64) float64 {
	if !(xx > 0 && yy > 0) {
		return 0
	}
	return clamp(xy / xx * (xy / yy))
}

func clamp(v float64) float64 {
	if !(v > 0) {
		return 0
	}
	return min(v, 1)
}

// maxBins is how many bins of time a line goes through: few enough that a bin is longer than the teeth of most collectors, and
// enough for the residuals to tell.
const maxBins = 16

// bin is the lowest corrected reading of one span of time, and how far above the line the highest raw one is.
type bin struct {
	n      int
	t, y   float64
	excess float64
}

// bins are those that have a point, in the order of time.
type bins struct {
	all [maxBins]bin
	n   int
}

// line is y = level + slope·(t - at) through bins, with what is needed for errors of it.
type line struct {
	n                int
	at, level, slope float64
	tt               float64
	r2               float64
	// spread is the standard deviation of the residuals.
	spread float64
}

func through(b []bin) line {
	var s sums
	for i := range b {
		s.add(b[i].t, 0, b[i].y)
	}
	l := line{n: s.n, at: s.t, level: s.y, tt: s.tt}
	if s.n < 3 || !(s.tt > 0) {
		return l
	}
	l.slope = s.ty / s.tt
	l.r2 = share(s.ty, s.tt, s.yy)
	l.spread = math.Sqrt(max(0, s.yy-s.ty*s.ty/s.tt) / float64(s.n-2))
	return l
}

func (l *line) value(t float64) float64 { return l.level + l.slope*(t-l.at) }

// slopeError is the standard error of the slope.
func (l *line) slopeError() float64 {
	if !(l.tt > 0) {
		return math.Inf(1)
	}
	return l.spread / math.Sqrt(l.tt)
}

// bend is the quadratic term that the residuals of a line show: y = line + curve·(u² - mean - tilt·u), u = t - l.at.
type bend struct {
	curve, mean, tilt float64
	// certain is the term over its standard error.
	certain float64
}

func (l *line) bend(b []bin) bend {
	if l.n < 5 || !(l.tt > 0) {
		return bend{}
	}
	var mean, cube float64
	for i := range b {
		u := b[i].t - l.at
		mean += u * u
		cube += u * u * u
	}
	mean /= float64(l.n)
	d := bend{mean: mean, tilt: cube / l.tt}
	var qq, qr, rr float64
	for i := range b {
		u := b[i].t - l.at
		q, r := u*u-d.mean-d.tilt*u, b[i].y-l.value(b[i].t)
		qq, qr, rr = qq+q*q, qr+q*r, rr+r*r
	}
	if !(qq > 0) {
		return bend{}
	}
	d.curve = qr / qq
	left := math.Sqrt(max(0, rr-qr*d.curve) / float64(l.n-3))
	switch e := left / math.Sqrt(qq); {
	case e > 0:
		d.certain = d.curve / e
	case d.curve != 0:
		d.certain = math.Copysign(math.Inf(1), d.curve)
	}
	return d
}
