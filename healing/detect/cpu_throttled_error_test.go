package detect

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

const usualPage = 10 // seconds between two readings of the page, by default

// throttleTally is what became of the looks at one kind.
type throttleTally struct {
	looks, known int
	off          []float64 // |measured - true| over the last five minutes, in points
	told, right  int       // alarms, and of them throttled in the five minutes that followed
	held         int       // looks before five minutes of that
	present      int       // alarms that were true of the last five minutes
	back         []float64 // share of the wall time under an alarm, in percent
	// late and lateRight are told and right of a rule that wants the last minute to be throttled too, if that were known.
	late, lateRight    int
	starts, startsTold int       // stretches of at least ten minutes, and those that were told
	delay              []float64 // seconds until that
}

func (t *throttleTally) add(o *throttleTally) {
	t.looks, t.known, t.off = t.looks+o.looks, t.known+o.known, append(t.off, o.off...)
	t.told, t.right, t.held, t.present, t.back = t.told+o.told, t.right+o.right, t.held+o.held, t.present+o.present, append(t.back, o.back...)
	t.late, t.lateRight = t.late+o.late, t.lateRight+o.lateRight
	t.starts, t.startsTold, t.delay = t.starts+o.starts, t.startsTold+o.startsTold, append(t.delay, o.delay...)
}

// measureThrottled looks at one life through pages that are read every so many seconds.
func measureThrottled(t *testing.T, l *cpuLife, r *rand.Rand, every int, into *throttleTally) {
	t.Helper()
	store, err := metrics.NewStore(metrics.Config{})
	if err != nil {
		t.Fatal(err)
	}
	key := metrics.Key{Namespace: "shop", Pod: "web-1", Container: "app"}
	kept, due := 0, r.IntN(15)
	phase := r.IntN(every)
	var since, told float64 = -1, -1 // of a stretch that is throttled
	for at := 1; at+cpuSpan <= cpuLong; at++ {
		if at >= due {
			kept, due = at, at+10+r.IntN(6)
		}
		if at%every == phase && kept > 0 {
			l.page(store, key, kept)
		}
		if at < cpuWarm || at%cpuLook != 0 {
			continue
		}
		when := now.Add(time.Duration(at) * time.Second)
		percent, known := store.Throttled(key, when)
		alarm := throttledAlarm(percent, known, when)
		minute := l.share(at-cpuLook, at) >= throttledPercent
		into.look(l, at, alarm, minute)
		if known {
			into.known++
			into.off = append(into.off, math.Abs(percent-l.share(at-cpuSpan, at)))
		}
		switch {
		case !minute:
			into.stretch(since, told, float64(at))
			since, told = -1, -1
		case since < 0:
			since = float64(at - cpuLook)
		}
		if since >= 0 && told < 0 && alarm {
			told = float64(at)
		}
	}
}

// look holds an alarm, or none, against what was and what follows.
func (t *throttleTally) look(l *cpuLife, at int, alarm, minute bool) {
	t.looks++
	held := l.share(at, at+cpuSpan) >= throttledPercent
	if held {
		t.held++
	}
	if !alarm {
		return
	}
	t.told++
	t.back = append(t.back, l.heldBack(at-cpuSpan, at))
	if l.share(at-cpuSpan, at) >= throttledPercent {
		t.present++
	}
	if held {
		t.right++
	}
	if minute {
		t.late++
		if held {
			t.lateRight++
		}
	}
}

// stretch counts minutes in a row that are each throttled, where they are long enough to be worth an alarm.
func (t *throttleTally) stretch(since, told, end float64) {
	if since <= cpuWarm || end-since < 2*cpuSpan {
		return
	}
	t.starts++
	if told >= 0 {
		t.startsTold++
		t.delay = append(t.delay, told-since)
	}
}

// throttledAlarm asks the detector.
func throttledAlarm(percent float64, known bool, when time.Time) bool {
	r := pod(func(_ *cluster.Replica, c *cluster.Container) {
		c.ThrottledPercent, c.ThrottledKnown, c.CPULimitMilli = percent, known, 500
	})
	for _, f := range Findings(&Look{Workload: &cluster.Workload{Replicas: []cluster.Replica{r}}, Now: when}) {
		if f.Kind == incident.CPUThrottled {
			return true
		}
	}
	return false
}

func points(values []float64, q float64) string {
	if len(values) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", at(values, q))
}

func (t *throttleTally) row(name string) string {
	return fmt.Sprintf("| %s | %d | %s, %s, %s | %d | %s | %s | %s of %d | %s %% |\n", name, t.looks, points(t.off, 0.5), points(t.off, 0.9), points(t.off, 0.99),
		t.told, percent(t.present, t.told), percent(t.right, t.told), percent(t.right, t.held), t.held, points(t.back, 0.5))
}

func (t *throttleTally) pageRow(every int) string {
	return fmt.Sprintf("| %d s | %s | %s, %s, %s | %s | %s | %s | %s of %d | %s s, %s s |\n", every, percent(t.known, t.looks), points(t.off, 0.5), points(t.off, 0.9),
		points(t.off, 0.99), percent(t.present, t.told), percent(t.right, t.told), percent(t.right, t.held), percent(t.startsTold, t.starts), t.starts,
		points(t.delay, 0.5), points(t.delay, 0.9))
}

// TestThrottledError measures the share of throttled periods and what its threshold foretells on made-up lives, and asserts loosely
// what users rely on. docs/forecast.md has its output.
func TestThrottledError(t *testing.T) {
	var table strings.Builder
	fmt.Fprint(&table, "| a container that is | looks | off by, in points: median, p90, p99 | alarms | true of the last 5 min | of the next 5 min | throttled next 5 min: warned | wall time held back, median |\n|---|---|---|---|---|---|---|---|\n")
	pages := []int{5, usualPage, 15, 30}
	totals := make([]throttleTally, len(pages))
	var all *throttleTally
	for i, kind := range burdens() {
		kinds := make([]throttleTally, len(pages))
		for k := range *lives {
			r := rand.New(rand.NewPCG(*seed+uint64(i), uint64(k)))
			w, lifetime := kind.draw(r)
			l := w.throttle(lifetime)
			for j, every := range pages {
				measureThrottled(t, l, r, every, &kinds[j])
			}
		}
		for j := range pages {
			totals[j].add(&kinds[j])
			if pages[j] == usualPage {
				fmt.Fprint(&table, kinds[j].row(kind.name))
				all = &totals[j]
			}
		}
	}
	fmt.Fprint(&table, all.row("all"))
	fmt.Fprint(&table, "\n| the page is read every | known | off by: median, p90, p99 | alarms true of the last 5 min | of the next 5 min | throttled next 5 min: warned | stretches of 10 min told | after, median and p90 |\n|---|---|---|---|---|---|---|---|\n")
	for j := range pages {
		fmt.Fprint(&table, totals[j].pageRow(pages[j]))
	}
	fmt.Fprintf(&table, "\n| rule | alarms true of the next 5 min | throttled next 5 min: warned |\n|---|---|---|\n| this one | %s | %s |\n| and throttled in the last minute too | %s | %s |\n",
		percent(all.right, all.told), percent(all.right, all.held), percent(all.lateRight, all.late), percent(all.lateRight, all.held))
	t.Logf("\n%s", table.String())
	bound(t, "looks with a measured share", part(all.known, all.looks), 0.99)
	bound(t, "alarms that are true of the last five minutes", part(all.present, all.told), 0.95)
	bound(t, "alarms that are true of the next five minutes", part(all.right, all.told), 0.85)
	bound(t, "throttled five minutes that were warned of", part(all.right, all.held), 0.85)
	bound(t, "stretches of ten minutes that were told", part(all.startsTold, all.starts), 0.95)
	if median, p90 := at(all.off, 0.5), at(all.off, 0.9); !(median <= 1 && p90 <= 4) {
		t.Errorf("the share is off by %.1f points in the median and %.1f in nine of ten looks, want at most 1 and 4", median, p90)
	}
}
