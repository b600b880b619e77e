package app

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	promlabels "github.com/prometheus/prometheus/model/labels"
	"k8s.io/apimachinery/pkg/labels"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func counter(zone string, value float64) series {
	return series{kindCounter, promlabels.FromStrings("__name__", "x_total", "zone", zone), value}
}

// show gives a track the page of a second.
func show(t *track, second int, restarted bool, all ...series) {
	t.begin(restarted)
	for _, s := range all {
		t.add(s)
	}
	t.end(noon.Add(time.Duration(second)*time.Second), 10*time.Second)
}

func TestTrackOfACounter(t *testing.T) {
	type page struct {
		second    int
		restarted bool
		all       []series
	}
	ten := func(from int, each float64) []page {
		var pages []page
		for i := range 11 {
			pages = append(pages, page{from + i, false, []series{counter("a", each*float64(i))}})
		}
		return pages
	}
	tests := []struct {
		name  string
		pages []page
		want  float64
		why   string
	}{
		{"none", nil, 0, "was not read yet"},
		{"one page", ten(0, 1)[:1], 0, "is a counter that was not read for long enough"},
		{"two pages, too near to each other", ten(0, 1)[:2], 0, "is a counter that was not read for long enough"},
		{"a quarter of the span", ten(0, 2)[:4], 2, ""},
		{"the span", ten(0, 2), 2, ""},
		{"zero", ten(0, 0), 0, ""},
		{"not beyond the span", append(ten(0, 900), ten(11, 1)...), 1, ""}, // the reset counts as nothing: it shows 0
		{"a series that comes later counts from zero", []page{
			{0, false, []series{counter("a", 100)}}, {10, false, []series{counter("a", 110), counter("b", 30)}},
		}, 4, ""},
		{"and so does the first one", []page{{0, false, nil}, {10, false, []series{counter("a", 30)}}}, 3, ""},
		{"one that is there from the beginning does not", []page{
			{0, false, []series{counter("a", 100), counter("b", 1e6)}}, {10, false, []series{counter("a", 110), counter("b", 1e6)}},
		}, 1, ""},
		{"a reset counts what is shown", []page{{0, false, []series{counter("a", 100)}}, {10, false, []series{counter("a", 40)}}}, 4, ""},
		{"a restart counts what is shown, also where it is more", []page{{0, false, []series{counter("a", 10)}}, {10, true, []series{counter("a", 40)}}}, 4, ""},
		{"a series that is away for a while", []page{
			{0, false, []series{counter("a", 10), counter("b", 500)}},
			{5, false, []series{counter("a", 10)}},
			{10, false, []series{counter("a", 10), counter("b", 520)}},
		}, 2, ""},
		{"gone", append(ten(0, 1), page{11, false, nil}), 0, "is not on the page"},
		{"a hole that is too long", []page{{0, false, []series{counter("a", 1)}}, {25, false, []series{counter("a", 100)}}}, 0, "is a counter that was not read for long enough"},
		{"what cannot be is left out", []page{
			{0, false, []series{counter("a", 1), counter("b", math.NaN())}}, {10, false, []series{counter("a", 11), counter("b", math.Inf(1))}},
		}, 1, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := newTrack(labels.Everything())
			for _, p := range tt.pages {
				show(tr, p.second, p.restarted, p.all...)
			}
			got, window, why := tr.value(10 * time.Second)
			if math.Abs(got-tt.want) > 1e-9 || why != tt.why || (why == "") != (window > 0) {
				t.Errorf("value is %v over %v, %q, want %v, %q", got, window, why, tt.want, tt.why)
			}
		})
	}
}

func TestTrackOfAMetricThatChangesItsKind(t *testing.T) {
	tr := newTrack(labels.Everything())
	for i := range 5 {
		show(tr, i, false, series{kindGauge, promlabels.FromStrings("__name__", "x_total"), 9})
	}
	for i := range 5 {
		show(tr, 5+i, false, counter("a", float64(100+i)))
	}
	if got, _, why := tr.value(10 * time.Second); got != 1 || why != "" {
		t.Errorf("value is %v, %q, want 1: what it was before does not count", got, why)
	}
}

func TestTrackForgetsSeriesThatAreGone(t *testing.T) {
	tr := newTrack(labels.Everything())
	for i := range 1000 {
		show(tr, i, false, counter(string(rune('a'+i%26))+time.Duration(i).String(), 1))
	}
	if n := len(tr.series); n > 100 {
		t.Errorf("%d series are kept of which one is on the page", n)
	}
	if n := len(tr.points); n > 12 {
		t.Errorf("%d points are kept, want those of the span", n)
	}
}

// twin keeps every page, and sums up the growth of each series between the two pages of the interval.
type twin struct{ pages []map[string]float64 }

func (w *twin) rate(from, to int) float64 {
	grown := 0.0
	for i := from + 1; i <= to; i++ {
		for zone, v := range w.pages[i] {
			before := 0.0 // its last value on a page before, if there is one
			for j := i - 1; j >= 0; j-- {
				if b, ok := w.pages[j][zone]; ok {
					before = b
					break
				}
			}
			if v >= before {
				grown += v - before
			} else {
				grown += v
			}
		}
	}
	return grown / float64(to-from)
}

func TestTrackIsAsItsTwin(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		tr, slow := newTrack(labels.Everything()), &twin{}
		values := map[string]float64{}
		for second := range 40 {
			shown := map[string]float64{}
			var all []series
			for _, zone := range []string{"a", "b", "c", "d"} {
				switch rng.IntN(12) {
				case 0:
					values[zone] = float64(rng.IntN(5)) // a reset
				case 1:
					continue // not on this page
				default:
					values[zone] += float64(rng.IntN(100))
				}
				if second > 5*int(zone[0]-'a') { // they come one after the other
					shown[zone] = values[zone]
					all = append(all, counter(zone, values[zone]))
				}
			}
			slow.pages = append(slow.pages, shown)
			show(tr, second, false, all...)
			if second < 11 || len(shown) == 0 {
				continue
			}
			got, window, why := tr.value(10 * time.Second)
			if want := slow.rate(second-10, second); math.Abs(got-want) > 1e-6 || why != "" || window != 10*time.Second {
				t.Fatalf("seed %d, second %d: %v over %v, %q, want %v", seed, second, got, window, why, want)
			}
		}
	}
}
