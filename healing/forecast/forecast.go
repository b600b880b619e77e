package forecast

import (
	"math"
	"time"

	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

// Policy says when growth is worth telling; healing.ForecastPolicy has the defaults.
type Policy struct {
	// WarmUp is the part of a life that is not looked at: caches fill and pools grow.
	WarmUp time.Duration
	// MinSpan of history after it.
	MinSpan time.Duration
	// MinPercent of the limit that the memory has to have reached: a line through little memory says little of the limit.
	MinPercent int32
	// Horizon is how far ahead a forecast may lie.
	Horizon time.Duration
}

// The rules by which there is no forecast, one of which Memory returns.
const (
	NoLimit      = "it has no memory limit"
	NoStart      = "the start of its life is not known"
	NoHistory    = "too little is known of its resident memory since its warm-up"
	OldHistory   = "its newest reading is too old"
	NoLoad       = "its load is not known, so that growth cannot be told from demand"
	FarFromLimit = "its memory is far from its limit"
	NotGrowing   = "its memory does not grow by itself"
	LoadGrows    = "its load grows as steadily as time, so that growth cannot be told from demand"
	NotALine     = "its memory does not grow steadily"
	SlowsDown    = "its growth slows down"
	FarAhead     = "it is beyond the horizon that it reaches its limit"
)

const (
	// leastFit is R² of the line through the floor, after what load explains.
	leastFit = 0.9
	// mostLoadByTime is R² of load over time above which the two cannot be told apart: the error of a coefficient is then
	// more than twice of what it is with load at rest (1/(1-R²) is the factor of its variance).
	mostLoadByTime = 0.8
	// leastBins with a reading.
	leastBins = 8
	// leastLate is the share of the slope that the later half has to have, and leastEarly that of the earlier half: a step has
	// its growth in one of them, and a cache that fills in the first.
	leastLate, leastEarly = 0.5, 0.1
	// oldAfter is the age of the newest reading above which the present is not known.
	oldAfter = 5 * time.Minute
	// z90 is the normal quantile of a two-sided 90 % interval; student widens it for the few bins there are.
	z90 = 1.645
	// surelyBent is how many standard errors a quadratic term needs in order to be followed, and maybeBent to widen the interval.
	surelyBent, maybeBent = 4, 1.5
)

// Memory forecasts when the resident memory of the life that began at startedAt reaches the limit in bytes, from points in the
// order of time. ok is false where a rule says that there is nothing to tell, and why is then that rule; see package forecast for
// how it is done. Readings without memory or load, after now, or not newer than the one before them are left out.
func Memory(points []metrics.TrendPoint, startedAt time.Time, limit int64, p Policy, now time.Time) (f incident.Forecast, why string, ok bool) {
	switch {
	case limit <= 0:
		return f, NoLimit, false
	case startedAt.IsZero():
		return f, NoStart, false
	}
	h := history{points: points, from: startedAt.Add(p.WarmUp), to: now}
	if why := h.read(p.MinSpan); why != "" {
		return f, why, false
	}
	var b bins
	h.floor(&b)
	l := through(b.all[:b.n])
	h.above(&b, &l)
	switch {
	case h.recent < float64(limit)*float64(p.MinPercent)/100:
		return f, FarFromLimit, false
	case h.fit.LoadRises && h.fit.LoadByTime > mostLoadByTime:
		return f, LoadGrows, false
	}
	if why := judge(&b, &l); why != "" {
		return f, why, false
	}
	e := estimate(&b, &l, float64(limit), h.origin(now))
	switch {
	case e.slows && !(e.bent < p.Horizon.Seconds()):
		return f, SlowsDown, false
	case !(e.remaining < p.Horizon.Seconds()):
		return f, FarAhead, false
	}
	return incident.Forecast{
		At: now, OOMAt: now.Add(seconds(e.remaining)), Earliest: now.Add(seconds(e.earliest)), Latest: until(now, e.latest),
		Memory: h.newest, Limit: limit, Slope: l.slope, Fit: l.r2, Span: h.fit.Span,
	}, "", true
}

// history is the points of one life after its warm-up.
type history struct {
	points   []metrics.TrendPoint
	from, to time.Time
	// workingSet takes that for the memory.
	workingSet bool

	fit    Fit
	last   time.Time
	newest int64
	// recent is the highest reading of the newest bin.
	recent float64
}

// memory of a point that counts, negative for one that does not.
func (h *history) memory(p *metrics.TrendPoint) int64 {
	if p.At.Before(h.from) || p.At.After(h.to) {
		return metrics.NotKnown
	}
	if h.workingSet {
		return p.MemoryBytes
	}
	return p.ResidentBytes
}

// each calls with each point that counts: seconds since the warm-up, load and memory.
func (h *history) each(do func(t, load, memory float64)) {
	var last time.Time
	for i := range h.points {
		p := &h.points[i]
		bytes := h.memory(p)
		if bytes < 0 || p.CPUMilli < 0 || !last.IsZero() && !p.At.After(last) {
			continue
		}
		last = p.At
		do(h.origin(p.At), float64(p.CPUMilli), float64(bytes))
	}
}

func (h *history) origin(t time.Time) float64 { return t.Sub(h.from).Seconds() }

// read fits the points, or returns the rule that forbids it.
func (h *history) read(minSpan time.Duration) string {
	known, loads := 0, 0
	for i := range h.points {
		p := &h.points[i]
		if h.memory(p) < 0 {
			continue
		}
		if known++; p.CPUMilli >= 0 {
			loads++
		}
		if p.At.After(h.last) {
			h.last, h.newest = p.At, p.ResidentBytes
		}
	}
	fit, ok := h.regress()
	switch {
	case known > 0 && loads*2 < known:
		return NoLoad
	case !ok || fit.Span < minSpan:
		return NoHistory
	case h.to.Sub(h.last) > oldAfter:
		return OldHistory
	}
	if h.fit = fit; !fit.LoadRises && fit.LoadByTime > mostLoadByTime {
		h.fit.PerMilli = 0 // what load takes away as it falls cannot be told either, and would be growth that is not there
	}
	return ""
}

// place returns the bin of a time.
func (h *history) place(t float64) int {
	span := h.fit.Span.Seconds()
	return min(max(int((t-h.fit.first)/span*maxBins), 0), maxBins-1)
}

// floor fills the bins with the lowest readings, each corrected for its load.
func (h *history) floor(b *bins) {
	h.each(func(t, load, memory float64) {
		at := &b.all[h.place(t)]
		y := memory - h.fit.PerMilli*(load-h.fit.meanLoad)
		if at.n++; at.n == 1 || y < at.y {
			at.t, at.y = t, y
		}
	})
	for _, one := range b.all {
		if one.n > 0 {
			one.excess = math.Inf(-1)
			b.all[b.n] = one
			b.n++
		}
	}
}

// above measures how far the readings as they are get above the line, in each bin.
func (h *history) above(b *bins, l *line) {
	i, place := -1, -1
	h.each(func(t, _, memory float64) {
		if p := h.place(t); p != place {
			i, place, h.recent = i+1, p, 0
		}
		b.all[i].excess = max(b.all[i].excess, memory-l.value(t))
		h.recent = max(h.recent, memory)
	})
}

// judge returns the rule by which the line is no leak, empty where it is one.
func judge(b *bins, l *line) string {
	switch {
	case b.n < leastBins:
		return NoHistory
	case !(l.slope-student(l.n)*l.slopeError() > 0):
		return NotGrowing
	case l.r2 < leastFit:
		return NotALine
	}
	half := b.n / 2
	early, late := through(b.all[:half]), through(b.all[half:b.n])
	switch {
	case late.slope < leastLate*l.slope:
		return SlowsDown
	case early.slope < leastEarly*l.slope:
		return NotALine
	}
	return ""
}

// student is about the quantile of the t distribution for a two-sided 90 % interval of a line through n bins.
func student(n int) float64 { return z90 * (1 + 1.5/max(1, float64(n-2))) }

// eta is the seconds until the limit, and their interval; latest is infinite where it is open.
type eta struct {
	remaining, earliest, latest float64
	// slows is true where the floor seems to be bent down, bent is then the time by that bend.
	slows bool
	bent  float64
}

// estimate returns when the line, or the curve where the floor is surely bent, and the usual height above it meet the limit.
func estimate(b *bins, l *line, limit, now float64) eta {
	var height sums
	for i := range b.all[:b.n] {
		height.add(float64(i), 0, b.all[i].excess)
	}
	spread := math.Sqrt(height.yy / float64(max(1, height.n-1)))
	q := student(l.n)
	gap := limit - l.value(now) - height.y
	away := now - l.at
	level := q * math.Sqrt(l.spread*l.spread*(1/float64(l.n)+away*away/l.tt)+spread*spread)
	e := eta{remaining: gap / l.slope, earliest: (gap - level) / (l.slope + q*l.slopeError()), latest: math.Inf(1)}
	if slow := l.slope - q*l.slopeError(); slow > 0 {
		e.latest = (gap + level) / slow
	}
	if d := l.bend(b.all[:b.n]); math.Abs(d.certain) > maybeBent {
		bent := d.meets(l, gap, now)
		if d.certain > surelyBent {
			e.remaining = bent
		}
		e.slows, e.bent = d.certain < 0, bent
		e.earliest = min(e.earliest, bent-level/(l.slope+q*l.slopeError()))
		e.latest = max(e.latest, bent)
	}
	e.remaining = max(e.remaining, 0)
	e.earliest = min(max(e.earliest, 0), e.remaining)
	e.latest = max(e.latest, e.remaining)
	return e
}

// meets returns in how many seconds the line with its bend has grown by the gap; infinite where it never does.
func (d *bend) meets(l *line, gap, now float64) float64 {
	u := now - l.at
	already := d.curve * (u*u - d.mean - d.tilt*u)
	// slope·x + curve·((u+x)² - mean - tilt·(u+x)) = gap
	a, c := d.curve, already-gap
	b := l.slope + d.curve*(2*u-d.tilt)
	root := b*b - 4*a*c
	if root < 0 {
		return math.Inf(1)
	}
	// The form that loses no digits where the curve is slight.
	if q := b + math.Sqrt(root); q > 0 {
		return max(0, -2*c/q)
	}
	return math.Inf(1)
}

// farthest is what a duration is cut to: a hundred years, which fit into one.
const farthest = 100 * 365 * 24 * 3600

func seconds(s float64) time.Duration {
	return time.Duration(min(max(s, 0), farthest) * float64(time.Second))
}

// until returns the zero time where the interval is open.
func until(now time.Time, s float64) time.Time {
	if !(s < farthest) {
		return time.Time{}
	}
	return now.Add(seconds(s))
}
