package detect

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// What TestRestartRateError and TestThrottledError measure; docs/forecast.md has the figures of 400 lives from seed 1000. The rules
// were made with seed 0.
var (
	lives = flag.Int("lives", 8, "lives of each kind")
	seed  = flag.Uint64("seed", 0, "first seed of the lives")
)

const (
	rateLook = 60.0  // seconds between two looks
	sameFor  = 150.0 // an alarm that was quiet for no longer is the same: an incident's resolveAfter and a look
)

// sight is one look at a container, and what a rule says of it.
type sight struct {
	slot    *slot
	life    int
	at      float64
	replica cluster.Replica
	loops   bool              // CrashLoop says it
	finding *incident.Finding // RestartRate
}

// rates are the rules that are held against each other: the detector's; the one that it had, which wanted three restarts proved by
// the age of the replica; and one that knows every restart of the last hour, as no platform tells it.
func rates() [3]func(v *sight) bool {
	young := func(v *sight) (*cluster.Container, bool) {
		c := &v.replica.Containers[0]
		return c, c.State == cluster.StateRunning && c.Restarts >= rateRestarts && v.at-v.slot.lives[v.life].began <= hour/rateRestarts && !v.loops
	}
	return [3]func(v *sight) bool{
		func(v *sight) bool { return v.finding != nil },
		func(v *sight) bool {
			_, may := young(v)
			return may && v.at-v.slot.born[v.slot.lives[v.life].replica] < hour
		},
		func(v *sight) bool {
			_, may := young(v)
			return may && v.slot.within(v.slot.lives[v.life].replica, v.at-hour, v.at) >= rateRestarts
		},
	}
}

// alarm lasts from its first to its last look.
type alarm struct {
	from, to float64
	replica  int
}

// tally is what became of one rule's alarms.
type tally struct {
	days                      float64
	looks, again              int // with an alarm, and of them followed by a restart within the hour
	alarms, alarmsAgain       int
	bouts, third, next, joint int // bouts; warned before their third restart, before the one after it, by CrashLoop too
	fourths                   int // bouts with a restart after the third
	lead                      []float64
	stated                    float64
	covered                   int
	bins                      [3]struct{ looks, again int } // by what was stated: below 90 %, below 95 %, more
}

func (t *tally) add(o *tally) {
	t.days, t.looks, t.again = t.days+o.days, t.looks+o.looks, t.again+o.again
	t.alarms, t.alarmsAgain = t.alarms+o.alarms, t.alarmsAgain+o.alarmsAgain
	t.bouts, t.third, t.next, t.joint, t.fourths = t.bouts+o.bouts, t.third+o.third, t.next+o.next, t.joint+o.joint, t.fourths+o.fourths
	t.lead, t.stated, t.covered = append(t.lead, o.lead...), t.stated+o.stated, t.covered+o.covered
	for i := range t.bins {
		t.bins[i].looks += o.bins[i].looks
		t.bins[i].again += o.bins[i].again
	}
}

// watch looks at a slot for a day by every rule.
func watch(s *slot, from float64, into *[3]tally) {
	var alarms [3][]alarm
	var loops []alarm
	rules, life := rates(), 0
	for at := from + rateLook/4; at < from+slotWatch; at += rateLook {
		for life+1 < len(s.lives) && s.lives[life+1].began <= at {
			life++
		}
		v := sight{slot: s, life: life, at: at, replica: s.status(life, at)}
		found := Findings(&Look{Workload: &cluster.Workload{Replicas: []cluster.Replica{v.replica}}, Now: clock(at)})
		for i := range found {
			switch found[i].Kind { //nolint:exhaustive // the others are of no interest
			case incident.CrashLoop:
				v.loops = true
			case incident.RestartRate:
				v.finding = &found[i]
			}
		}
		replica := s.lives[life].replica
		again := s.within(replica, at, at+hour)
		if v.loops {
			loops, _ = last(loops, alarm{at, at, replica})
		}
		for i, rule := range rules {
			if !rule(&v) {
				continue
			}
			t := &into[i]
			var fresh bool
			alarms[i], fresh = last(alarms[i], alarm{at, at, replica})
			t.count(fresh, again > 0)
			if i == 0 {
				t.judge(&v, again)
			}
		}
	}
	for i := range into {
		into[i].days += slotWatch / (24 * hour)
		into[i].bout(s, from, alarms[i], loops)
	}
}

// last carries the newest alarm on, or appends one.
func last(alarms []alarm, a alarm) (out []alarm, fresh bool) {
	if n := len(alarms); n > 0 && a.from-alarms[n-1].to <= sameFor && alarms[n-1].replica == a.replica {
		alarms[n-1].to = a.to
		return alarms, false
	}
	return append(alarms, a), true
}

func (t *tally) count(fresh, again bool) {
	t.looks++
	if again {
		t.again++
	}
	if fresh {
		t.alarms++
		if again {
			t.alarmsAgain++
		}
	}
}

// judge holds what the finding states against what follows.
func (t *tally) judge(v *sight, again int) {
	c := &v.replica.Containers[0]
	s := subject{Look: &Look{Now: clock(v.at)}, replica: &v.replica, container: c}
	n, span, _ := s.lateRestarts()
	next := nextHour(n, span)
	t.stated += next.again
	if again >= next.least && again <= next.most {
		t.covered++
	}
	bin := 0
	if next.again >= 0.9 {
		bin++
	}
	if next.again >= 0.95 {
		bin++
	}
	t.bins[bin].looks++
	if again > 0 {
		t.bins[bin].again++
	}
}

// bout looks at each time that a replica restarted three times within an hour, until an hour passed without one: was there an
// alarm in time?
func (t *tally) bout(s *slot, from float64, alarms, loops []alarm) {
	var restarts []span
	end := func() {
		for k := 2; k < len(restarts); k++ {
			if restarts[k].began-restarts[k-2].began > hour {
				continue
			}
			if third := restarts[k].began; third > from && third < from+slotWatch-hour {
				t.bouts++
				t.warned(restarts[k-2:], alarms, loops)
			}
			return
		}
	}
	for i := range s.lives {
		l := s.lives[i]
		if l.number == 0 {
			continue
		}
		if n := len(restarts); n > 0 && (restarts[n-1].replica != l.replica || l.began-restarts[n-1].began > hour) {
			end()
			restarts = restarts[:0]
		}
		restarts = append(restarts, l)
	}
	end()
}

func (t *tally) warned(restarts []span, alarms, loops []alarm) {
	first := func(of []alarm) float64 {
		for _, a := range of {
			if a.replica == restarts[0].replica && a.to >= restarts[0].began {
				return max(a.from, restarts[0].began)
			}
		}
		return never
	}
	by := first(alarms)
	if by < restarts[2].began {
		t.third++
	}
	if len(restarts) > 3 {
		t.fourths++
		if by < restarts[3].began {
			t.next++
		}
		if min(by, first(loops)) < restarts[3].began {
			t.joint++
		}
	}
	for i := range restarts {
		if restarts[i].began > by {
			t.lead = append(t.lead, restarts[i].began-by)
			return
		}
	}
}

func percent(a, b int) string {
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100*part(a, b))
}

func part(a, b int) float64 { return float64(a) / math.Max(1, float64(b)) }

// at returns a quantile of the values, NaN for none.
func at(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	v := slices.Clone(values)
	slices.Sort(v)
	return v[int(q*float64(len(v)-1))]
}

func minutes(values []float64, q float64) string {
	if len(values) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f min", at(values, q)/60)
}

func (t *tally) row(name string) string {
	stated := "-"
	if t.stated > 0 {
		stated = fmt.Sprintf("%.0f %%", 100*t.stated/float64(t.looks))
	}
	return fmt.Sprintf("| %s | %d | %s | %s | %s | %s | %d | %s | %s | %s | %s, %s |\n", name, t.alarms, percent(t.alarmsAgain, t.alarms),
		percent(t.again, t.looks), stated, percent(t.covered, t.looks), t.bouts, percent(t.third, t.bouts), percent(t.next, t.fourths),
		percent(t.joint, t.fourths), minutes(t.lead, 0.5), minutes(t.lead, 0.1))
}

// TestRestartRateError measures the restart rate on made-up lives, and asserts loosely what users rely on. docs/forecast.md has its
// output.
func TestRestartRateError(t *testing.T) {
	var all, well [3]tally
	var table strings.Builder
	fmt.Fprint(&table, "| a container that | alarms | right | right by look | stated | in the 90 % interval | bouts | warned before the third | before the next | or CrashLoop | ahead, median and p10 |\n|---|---|---|---|---|---|---|---|---|---|---|\n")
	for i, kind := range fates(0) {
		var ts [3]tally
		for k := range *lives {
			r := rand.New(rand.NewPCG(*seed+uint64(i), uint64(k)))
			from := 0.0
			if r.IntN(2) == 1 {
				from = uniform(r, hour, slotLong-slotWatch)
			}
			fate := fates(from)[i]
			o, releases := fate.draw(r)
			watch(o.live(releases), from, &ts)
		}
		fmt.Fprint(&table, ts[0].row(kind.name))
		for j := range ts {
			all[j].add(&ts[j])
			if kind.well {
				well[j].add(&ts[j])
			}
		}
	}
	fmt.Fprint(&table, all[0].row("all"))
	fmt.Fprint(&table, "\n| rule | right by look | bouts warned before the next restart | or CrashLoop | false alarms a day of a healthy container |\n|---|---|---|---|---|\n")
	for i, name := range []string{"this one", "three restarts proved by the replica's age", "every restart of the hour known"} {
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %.3f (%d in %.0f days) |\n", name, percent(all[i].again, all[i].looks), percent(all[i].next, all[i].fourths),
			percent(all[i].joint, all[i].fourths), float64(well[i].alarms)/well[i].days, well[i].alarms, well[i].days)
	}
	fmt.Fprint(&table, "\n| it states | looks | it restarted again within the hour |\n|---|---|---|\n")
	for i, name := range []string{"less than 90 %", "90 to 95 %", "more"} {
		fmt.Fprintf(&table, "| %s | %d | %s |\n", name, all[0].bins[i].looks, percent(all[0].bins[i].again, all[0].bins[i].looks))
	}
	t.Logf("\n%s", table.String())
	bound(t, "looks with an alarm after which it restarted again", part(all[0].again, all[0].looks), 0.9)
	bound(t, "bouts warned before the restart after the third", part(all[0].next, all[0].fourths), 0.7)
	bound(t, "bouts warned so, by CrashLoop too", part(all[0].joint, all[0].fourths), 0.93)
	bound(t, "of what every restart known would warn of", part(all[0].next, all[2].next), 0.9)
	bound(t, "restarts in their 90 % interval", part(all[0].covered, all[0].looks), 0.85)
	if off := math.Abs(all[0].stated/float64(all[0].looks) - part(all[0].again, all[0].looks)); off > 0.1 {
		t.Errorf("what is stated is off by %.2f on average, want at most 0.1", off)
	}
	if a := well[0].alarms; float64(a) > 0.05*well[0].days {
		t.Errorf("%d alarms in %.0f days of healthy containers, want at most 0.05 a day", a, well[0].days)
	}
}

func bound(t *testing.T, what string, got, least float64) {
	t.Helper()
	if !(got >= least) {
		t.Errorf("%s: %.1f %%, want at least %.1f %%", what, 100*got, 100*least)
	}
}
