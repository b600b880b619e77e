package hpa_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/hpa"
)

func clock(seconds int) time.Time {
	return time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(seconds) * time.Second)
}

// change is a recommendation that was carried out.
func change(from, to int32, period time.Duration) hpa.Recommendation {
	return hpa.Recommendation{Current: from, Desired: to, RatePeriod: period}
}

func TestApplied(t *testing.T) {
	const period = 15 * time.Second
	at := func(second int, size int32) hpa.Change { return hpa.Change{At: clock(second), Replicas: size} }
	outdated := func(second int, size int32) hpa.Change {
		return hpa.Change{At: clock(second), Replicas: size, Outdated: true}
	}
	for _, test := range []struct {
		name   string
		before hpa.History
		rec    hpa.Recommendation
		second int
		want   hpa.History
	}{
		{"up", hpa.History{}, change(2, 5, period), 0, hpa.History{Ups: []hpa.Change{at(0, 3)}}},
		{"down", hpa.History{}, change(5, 2, period), 0, hpa.History{Downs: []hpa.Change{at(0, 3)}}},
		{"no change", hpa.History{}, change(5, 5, period), 0, hpa.History{}},
		{"no rate limits", hpa.History{}, change(5, 6, 0), 0, hpa.History{}},
		{
			"one more within the period",
			hpa.History{Ups: []hpa.Change{at(0, 1)}},
			change(1, 3, period), 15,
			hpa.History{Ups: []hpa.Change{at(0, 1), at(15, 2)}},
		},
		{
			"in the place of an outdated one",
			hpa.History{Ups: []hpa.Change{at(0, 1), at(10, 1)}},
			change(1, 3, period), 16,
			hpa.History{Ups: []hpa.Change{at(16, 2), at(10, 1)}},
		},
		{
			"in the last place of several",
			hpa.History{Downs: []hpa.Change{at(20, 1), at(10, 1)}},
			change(3, 1, period), 60,
			hpa.History{Downs: []hpa.Change{outdated(20, 1), at(60, 2)}},
		},
		{
			"outdated stays outdated in a longer period",
			hpa.History{Ups: []hpa.Change{outdated(0, 1)}},
			change(1, 3, time.Hour), 60,
			hpa.History{Ups: []hpa.Change{at(60, 2)}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			kept := clone(t, test.before)
			if diff := cmp.Diff(test.want, test.before.Applied(test.rec, clock(test.second))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(kept, clone(t, test.before)); diff != "" {
				t.Errorf("the history before was written to:\n%s", diff)
			}
		})
	}
}

// steady is an observation of replicas that all use the same.
func steady(n int32, milli int64, now time.Time) hpa.Observation {
	o := hpa.Observation{Current: n}
	for i := range n {
		r := readyReplica("web-"+string('a'+i), now)
		r.CPU = hpa.Usage{Known: true, Value: milli, Request: 200, At: now, Window: 15 * time.Second}
		o.Replicas = append(o.Replicas, r)
	}
	return o
}

func forty() hpa.Policy {
	p := hpa.DefaultPolicy()
	p.Min, p.Max, p.Metrics = 2, 20, []hpa.Metric{{Source: hpa.OfResource(hpa.CPU), Type: hpa.Utilization, Target: 40}}
	return p
}

// TestHistoryIsAValue decides twice from the same history, with different loads, and goes on from both.
func TestHistoryIsAValue(t *testing.T) {
	p := forty()
	p.Behavior = &hpa.Behavior{}
	_, root := hpa.Decide(p, steady(4, 80, clock(0)), hpa.History{}, clock(0))
	recUp, up := hpa.Decide(p, steady(4, 160, clock(15)), root, clock(15))
	recDown, down := hpa.Decide(p, steady(4, 20, clock(15)), root, clock(15))
	up, down = up.Applied(recUp, clock(15)), down.Applied(recDown, clock(15))
	upKept, downKept, rootKept := clone(t, up), clone(t, down), clone(t, root)
	for s := 30; s < 300; s += 15 {
		_, up = hpa.Decide(p, steady(8, 80, clock(s)), up, clock(s))
		_, down = hpa.Decide(p, steady(4, 80, clock(s)), down, clock(s))
	}
	// Read through the values that were kept, not through the ones that went on.
	recUp2, up2 := hpa.Decide(p, steady(4, 160, clock(15)), root, clock(15))
	if diff := cmp.Diff(upKept, clone(t, up2.Applied(recUp2, clock(15)))); diff != "" {
		t.Errorf("the way up from the same history (-want +got):\n%s", diff)
	}
	recDown2, down2 := hpa.Decide(p, steady(4, 20, clock(15)), root, clock(15))
	if diff := cmp.Diff(downKept, clone(t, down2.Applied(recDown2, clock(15)))); diff != "" {
		t.Errorf("the way down from the same history (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(rootKept, clone(t, root)); diff != "" {
		t.Errorf("the root was written to:\n%s", diff)
	}
}

// TestHistoryStaysSmall: what is remembered of an hour of decisions at one a second fits into the status of an object.
func TestHistoryStaysSmall(t *testing.T) {
	var h hpa.History
	p := forty()
	most := 0
	for s := range 3600 {
		load := int64(80)
		if s/60%2 == 1 {
			load = 80 + int64(s%60)*2
		}
		_, h = hpa.Decide(p, steady(4, load, clock(s)), h, clock(s))
		most = max(most, len(h.Recommendations))
	}
	if most > 20 {
		t.Errorf("%d recommendations were kept for a window of 300 decisions", most)
	}
}

// TestClockWentBack: a history from a clock that was ahead holds for the window and not for the difference.
func TestClockWentBack(t *testing.T) {
	p := forty()
	p.Behavior = &hpa.Behavior{}
	ahead := clock(86_400)
	h := hpa.History{
		Recommendations: []hpa.Recommended{{At: ahead, Replicas: 15}},
		Ups:             []hpa.Change{{At: ahead, Replicas: 9}},
		Downs:           []hpa.Change{{At: ahead, Replicas: 1}},
	}
	kept := clone(t, h)
	rec, next := hpa.Decide(p, steady(15, 2, clock(0)), h, clock(0))
	if rec.Reason != hpa.ReasonScaleDownStable {
		t.Errorf("at first the window holds: %s", rec.Message)
	}
	rec, next = hpa.Decide(p, steady(15, 2, clock(301)), next, clock(301))
	if rec.Desired != 2 {
		t.Errorf("after the window nothing holds: %s", rec.Message)
	}
	if next.Ups[0].At != clock(0) || next.Downs[0].At != clock(0) {
		t.Errorf("changes of the future count as of now: %+v", next)
	}
	if diff := cmp.Diff(kept, clone(t, h)); diff != "" {
		t.Errorf("the history was written to:\n%s", diff)
	}
}
