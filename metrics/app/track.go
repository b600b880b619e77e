package app

import (
	"math"
	"time"

	promlabels "github.com/prometheus/prometheus/model/labels"
	"k8s.io/apimachinery/pkg/labels"
)

// shortestShare of the span (one quarter) is the shortest interval that a rate covers.
const shortestShare = 4

// Why there is no value yet: it comes by itself, with the next pages.
const (
	whyUnread = "was not read yet"
	whyShort  = "is a counter that was not read for long enough"
)

// trackKey names a metric that is wanted of a page.
type trackKey struct {
	name, selector string
}

// track is what is kept of a metric. A counter is kept as the growth of all its series together since it was wanted
// first: a series that restarts, or is there for the first time on a page whose predecessor was read, grows by what it
// shows.
type track struct {
	selector labels.Selector
	wanted   time.Time
	kind     kind

	// Of the present page, until end.
	matched int
	sum     float64

	pages  int // read since it was wanted first, or since the metric changed its kind
	series map[uint64]counted
	points []point // oldest first
	// found is false where the newest page has no such series.
	found bool
}

// counted is the newest value of one series of a counter.
type counted struct {
	value float64
	page  int
}

// point is the value of a gauge, or the growth of a counter up to then.
type point struct {
	at    time.Time
	value float64
}

func newTrack(selector labels.Selector) *track {
	return &track{selector: selector, series: map[uint64]counted{}}
}

// begin starts a page. After a restart of the process its counters count from zero, whatever they show.
func (t *track) begin(restarted bool) {
	t.matched, t.sum = 0, 0
	t.pages++
	if restarted {
		clear(t.series)
	}
}

// add takes one series of the page.
func (t *track) add(s series) {
	if !t.selector.Matches(labelsOf(s.labels)) {
		return
	}
	if t.kind == kindNone {
		t.kind = s.kind
	}
	if t.kind != s.kind {
		wanted := t.wanted
		*t = *newTrack(t.selector)
		t.wanted, t.kind, t.pages = wanted, s.kind, 1
	}
	t.matched++
	if t.kind == kindGauge {
		t.sum += s.value
		return
	}
	if !(s.value >= 0) || math.IsInf(s.value, 1) {
		return
	}
	id := s.labels.Hash()
	last, known := t.series[id]
	switch {
	case known && s.value >= last.value:
		t.sum += s.value - last.value
	case known || t.pages > 1:
		t.sum += s.value
	}
	t.series[id] = counted{s.value, t.pages}
}

// end closes the page, which was read at the given time.
func (t *track) end(at time.Time, span time.Duration) {
	t.found = t.matched > 0
	if t.kind == kindGauge {
		t.points = t.points[:0]
	} else {
		t.forget()
		if n := len(t.points); n > 0 {
			t.sum += t.points[n-1].value
		}
	}
	t.points = append(t.points, point{at, t.sum})
	// One point beyond the span is kept, whose distance may be nearer to it.
	drop := 0
	for drop+1 < len(t.points) && at.Sub(t.points[drop+1].at) >= span {
		drop++
	}
	t.points = append(t.points[:0], t.points[drop:]...)
}

// forget drops the series that are gone, once they are the greater part.
func (t *track) forget() {
	if len(t.series) <= 2*t.matched+64 {
		return
	}
	for id, c := range t.series {
		if c.page != t.pages {
			delete(t.series, id)
		}
	}
}

// value returns the gauge, or the rate of the counter over the interval nearest to the span, and why there is none.
func (t *track) value(span time.Duration) (v float64, window time.Duration, why string) {
	switch {
	case t.pages == 0:
		return 0, 0, whyUnread
	case !t.found:
		return 0, 0, "is not on the page"
	}
	newest := t.points[len(t.points)-1]
	if t.kind == kindGauge {
		if math.IsNaN(newest.value) || math.IsInf(newest.value, 0) {
			return 0, 0, "is not a number"
		}
		return newest.value, 0, ""
	}
	best := time.Duration(math.MaxInt64)
	for _, p := range t.points[:len(t.points)-1] {
		d := newest.at.Sub(p.at)
		if off := (d - span).Abs(); d >= span/shortestShare && d <= 2*span && off < best {
			best, window = off, d
			v = (newest.value - p.value) / d.Seconds()
		}
	}
	if window == 0 {
		return 0, 0, whyShort
	}
	return v, window, ""
}

// labelsOf lets a selector of Kubernetes look at the labels of a series.
type labelsOf promlabels.Labels

// Has reports whether there is such a label.
func (l labelsOf) Has(name string) bool { return promlabels.Labels(l).Has(name) }

// Get returns the label's value, empty if there is none.
func (l labelsOf) Get(name string) string { return promlabels.Labels(l).Get(name) }

// Lookup returns the label's value and whether there is one.
func (l labelsOf) Lookup(name string) (string, bool) { return l.Get(name), l.Has(name) }

// milli returns thousandths, rounded, and the nearest number there is where they are too many.
func milli(v float64) int64 {
	v = math.Round(v * 1000)
	switch {
	case v >= math.MaxInt64:
		return math.MaxInt64
	case v <= math.MinInt64:
		return math.MinInt64
	}
	return int64(v)
}
