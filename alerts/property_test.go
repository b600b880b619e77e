package alerts

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// ward checks what a receiver without memory of its own would rely on, over a random history.
type ward struct {
	*stage
	rnd      *rand.Rand
	lastTold map[string]time.Time       // by group, when it was last told with success
	heard    map[string]map[string]bool // by receiver: the alerts that it believes to fire
	ends     map[string]int             // by receiver and alert: how often it heard of the end
}

func newWard(t *testing.T, seed uint64) *ward {
	t.Helper()
	w := &ward{
		stage: newStage(t), rnd: rand.New(rand.NewPCG(seed, 1)),
		lastTold: map[string]time.Time{}, heard: map[string]map[string]bool{}, ends: map[string]int{},
	}
	for _, line := range []string{"chat", "pager", "am relay endpoints:2"} {
		w.run("receiver", strings.Fields(line))
	}
	w.run("child", strings.Fields(`pager match:severity="critical" wait:5s interval:1m repeat:30m continue`))
	w.run("child", strings.Fields("am continue"))
	w.run("child", strings.Fields("chat"))
	w.printed = w.hear
	return w
}

// hear is called with what a receiver was sent, and whether it took it.
func (w *ward) hear(n *Notification, err error) {
	if err != nil {
		return
	}
	who := fmt.Sprintf("%s/%d", n.Receiver, n.Endpoint)
	if w.heard[who] == nil {
		w.heard[who] = map[string]bool{}
	}
	interval := map[string]time.Duration{"chat": DefaultGroupInterval, "pager": time.Minute, "am": relayPause}[n.Receiver]
	if last, told := w.lastTold[who+n.GroupKey]; told && w.now.Sub(last) < interval {
		w.t.Fatalf("%s: group %s is told again after %s", who, n.GroupKey, w.now.Sub(last))
	}
	w.lastTold[who+n.GroupKey] = w.now
	for i := range n.Alerts {
		a := &n.Alerts[i]
		key := a.key()
		if !a.Ended() {
			w.heard[who][key] = true
			continue
		}
		if w.heard[who][key] {
			w.ends[who+key]++
		}
		if w.ends[who+key] > 1 {
			w.t.Fatalf("%s: the end of %s is told twice", who, key)
		}
		delete(w.heard[who], key)
	}
}

// TestNothingIsLostWhileReceiversFail plays random histories of incidents and of receivers that fail, refuse and are slow, and at
// the end lets all be well: then every receiver knows exactly what fires.
func TestNothingIsLostWhileReceiversFail(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		w := newWard(t, seed)
		for step := range 100 {
			w.randomStep(step)
		}
		for _, r := range []string{"chat", "pager", "am"} {
			delete(w.failing, r)
		}
		w.answer()
		w.pass(20 * time.Minute)
		want := map[string]map[string]bool{"chat/0": {}, "pager/0": {}, "am/0": {}, "am/1": {}}
		for _, a := range w.alerts {
			if a.Ended() {
				continue
			}
			for who := range want {
				if who != "pager/0" || a.Labels[LabelSeverity] == Critical {
					want[who][a.key()] = true
				}
			}
		}
		for who, firing := range want {
			for key := range firing {
				if !w.heard[who][key] {
					t.Errorf("seed %d: %s never heard that %s fires", seed, who, key)
				}
			}
			for key := range w.heard[who] {
				if !firing[key] {
					t.Errorf("seed %d: %s never heard that %s has ended", seed, who, key)
				}
			}
		}
		if t.Failed() {
			return
		}
		w.checkEmptiesItself(seed)
	}
}

func (w *ward) randomStep(step int) {
	receivers := []string{"chat", "pager", "am"}
	r := receivers[w.rnd.IntN(len(receivers))]
	switch n := w.rnd.IntN(100); {
	case n < 35:
		level := []string{Critical, Warning, Info}[w.rnd.IntN(3)]
		w.run("fire", []string{
			fmt.Sprintf("i%d", step), "severity:" + level, fmt.Sprintf("workload:w%d", w.rnd.IntN(4)), fmt.Sprintf("kind:k%d", step),
		})
	case n < 45: // escalate
		for id, a := range w.alerts {
			if !a.Ended() && a.Labels[LabelSeverity] != Critical {
				w.run("fire", []string{id, "severity:critical"})
				break
			}
		}
	case n < 65:
		for id, a := range w.alerts {
			if !a.Ended() {
				w.run("resolve", []string{id})
				break
			}
		}
	case n < 72:
		w.failing[r] = errors.New("connection refused")
	case n < 76:
		w.failing[r] = &SendError{Err: errors.New("429"), After: time.Duration(w.rnd.IntN(200)) * time.Second}
	case n < 80:
		w.failing[r] = &SendError{Err: errors.New("401"), Permanent: true}
	case n < 90:
		delete(w.failing, r)
	case n < 95:
		w.slow[r] = true
	default:
		w.answer()
		delete(w.slow, r)
	}
	w.pass(time.Duration(w.rnd.IntN(120)) * time.Second)
}

// answer lets what is under way arrive, and nobody be slow any more.
func (w *ward) answer() {
	w.stage.answer()
	clear(w.slow)
}

// checkEmptiesItself ends everything and verifies that nothing is kept for ever.
func (w *ward) checkEmptiesItself(seed uint64) {
	w.t.Helper()
	for id, a := range w.alerts {
		if !a.Ended() {
			w.run("resolve", []string{id})
		}
	}
	w.pass(time.Hour)
	w.d.Due(w.now)
	if len(w.d.known)+len(w.d.byID)+len(w.d.groups) > 0 || w.d.Active() != 0 {
		w.t.Fatalf("seed %d: it keeps %d alerts of %d incidents in %d groups", seed, len(w.d.known), len(w.d.byID), len(w.d.groups))
	}
	for who, e := range w.d.endpoints {
		if e.flying != 0 {
			w.t.Fatalf("seed %d: %v has %d under way", seed, who, e.flying)
		}
	}
}

// TestALeaderThatTakesOverRepeatsNothingThatIsOld restarts at random moments: what was told for longer than the election may take is
// not told again before its repetition is due, and what is new is not lost.
func TestALeaderThatTakesOverRepeatsNothingThatIsOld(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		w := newWard(t, seed)
		delete(w.o.Receivers, "am")
		w.o.Route.Routes = w.o.Route.Routes[2:] // chat alone
		began := map[string]time.Time{}
		var restarted time.Time
		told := map[string]bool{}
		w.printed = func(n *Notification, _ error) {
			for i := range n.Alerts {
				key := n.Alerts[i].key()
				old := !restarted.IsZero() && restarted.Sub(began[key]) > DefaultGroupWait+DefaultGroupInterval+handover
				if old && n.Reason == ReasonFiring && len(n.Alerts) == 1 && told[key] {
					t.Fatalf("seed %d: %s is told again %s after the restart", seed, key, w.now.Sub(restarted))
				}
				told[key] = true
			}
		}
		for n := range 12 {
			id := fmt.Sprintf("i%d", n)
			w.run("fire", []string{id, fmt.Sprintf("workload:w%d", n)})
			a := w.alerts[id]
			began[a.key()] = w.now
			w.pass(time.Duration(w.rnd.IntN(400)) * time.Second)
			if w.rnd.IntN(4) == 0 {
				restarted = w.now
				w.run("restart", nil)
			}
		}
		w.pass(10 * time.Minute)
		for key := range began {
			if !told[key] {
				t.Errorf("seed %d: nobody was told of %s", seed, key)
			}
		}
	}
}

// TestTheNumberOfAlertsIsBounded verifies that a storm neither grows without end nor keeps out what comes after it.
func TestTheNumberOfAlertsIsBounded(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.run("receiver", []string{"chat"})
	s.o.MaxAlerts = 100
	s.o.Route.GroupBy = nil
	for n := range 150 {
		s.run("fire", []string{fmt.Sprintf("i%d", n), fmt.Sprintf("workload:w%d", n)})
	}
	if len(s.d.known) != 100 || s.d.Dropped() != 50 || s.d.Active() != 100 {
		t.Errorf("%d alerts are known, %d dropped, %d active", len(s.d.known), s.d.Dropped(), s.d.Active())
	}
	var listed, more int
	s.printed = func(n *Notification, _ error) { listed, more = len(n.Alerts), n.Truncated }
	s.pass(time.Minute)
	if listed != MaxPerNotification || more != 100-MaxPerNotification {
		t.Errorf("the notification lists %d and counts %d more", listed, more)
	}
	for n := range 100 {
		s.run("resolve", []string{fmt.Sprintf("i%d", n)})
	}
	s.pass(10 * time.Minute)
	s.run("fire", []string{"late"})
	if s.d.Active() != 1 {
		t.Errorf("what comes after the storm is left out: %d active", s.d.Active())
	}
}

// TestAWholeViewThatIsOlderThanTheNewsChangesNothing verifies that Resync neither ends what began after the view nor brings back what
// has ended since.
func TestAWholeViewThatIsOlderThanTheNewsChangesNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.run("receiver", []string{"chat"})
	s.o.Route.GroupWait, s.o.Route.GroupInterval = 0, time.Second
	told := ""
	s.printed = func(n *Notification, _ error) { told += said(n) + "; " }
	at := s.now
	s.pass(time.Second)
	s.run("fire", []string{"late"})
	s.d.Resync(nil, at, s.now)
	s.pass(2 * time.Second)
	if s.d.Active() != 1 || told != "late warning firing; " {
		t.Errorf("what began after the view has ended: %s", told)
	}

	at = s.now
	firing := s.alerts["late"]
	s.pass(time.Second)
	s.run("resolve", []string{"late"})
	s.pass(5 * time.Second) // its end is told, and it is in no group any more
	s.pass(0)
	s.d.Resync([]Alert{firing}, at, s.now)
	s.pass(time.Minute)
	if s.d.Active() != 0 || told != "late warning firing; late warning resolved; " {
		t.Errorf("what has ended since the view fires again: %s", told)
	}

	s.run("fire", []string{"other", "kind:NotReady"})
	s.pass(time.Minute)
	at = s.now
	s.pass(settle + time.Second)
	s.d.Resync(nil, at, s.now)
	if s.d.Active() != 1 {
		t.Error("a view that is too old is believed")
	}
	s.d.Resync(nil, s.now, s.now)
	if s.d.Active() != 0 {
		t.Error("a view of now is not believed")
	}
}
