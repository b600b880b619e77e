package control

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// A failure that lasts is written when it was last seen, less and less often, by whoever leads. What changes is written at once.
func TestAnIncidentThatOnlyLastsIsSeldomWritten(t *testing.T) {
	t.Parallel()
	w := hung(t0)
	w.policy.Mode = healing.Observe
	w.snap.Nodes["n"] = cluster.Node{Name: "n", Ready: "True"}
	h := w.loop()
	var wrote []string
	for at := time.Duration(0); at <= time.Hour; at += time.Second {
		if at == 20*time.Minute {
			h = w.loop() // another leader
		}
		if at == 40*time.Minute { // the other replica fails too
			w.snap.Workloads[0].Replicas[0].Ready = false
			w.snap.Workloads[0].Replicas[0].ReadySince = t0
		}
		before := len(w.calls)
		w.look(t, h, t0.Add(at))
		for _, c := range w.calls[before:] {
			if c == "save Open" {
				wrote = append(wrote, at.String())
			}
		}
		for _, in := range w.stored {
			if late := t0.Add(at).Sub(in.LastSeenAt); late > LongestUnseen {
				t.Fatalf("after %s the stored sighting is %s old, at most %s is promised", at, late, LongestUnseen)
			}
		}
	}
	// The incident, and the dry run of its remedy with the answer; then each time about twice as long, up to five minutes, and anew
	// after the change. Every 30 s would be 120.
	want := []string{
		"0s", "1s", "1s", "30s", "1m0s", "1m59s", "3m57s", "7m53s", "12m53s", "17m53s", "22m53s", "27m53s", "32m53s", "37m53s",
		"40m0s", "40m30s", "41m0s", "42m0s", "44m0s", "48m0s", "53m0s", "58m0s",
	}
	if diff := cmp.Diff(want, wrote); diff != "" {
		t.Errorf("written after (-want +got):\n%s", diff)
	}
}

// The incident of a node that stays away is written no more often than others.
func TestALostNodeThatStaysAwayIsSeldomWritten(t *testing.T) {
	t.Parallel()
	w := hung(t0)
	for i := range w.snap.Workloads[0].Replicas {
		w.snap.Workloads[0].Replicas[i].Ready = true
	}
	w.snap.Nodes["n"] = cluster.Node{Name: "n", Ready: "Unknown", Since: t0}
	h := w.loop()
	for at := time.Duration(0); at <= time.Hour; at += 5 * time.Second {
		w.look(t, h, t0.Add(at))
	}
	if got := len(slices.DeleteFunc(slices.Clone(w.calls), func(c string) bool { return c != "save Open" })); got > 20 {
		t.Errorf("written %d times in an hour, want at most 20", got)
	}
}

func TestAnyOtherChangeIsWorthStoring(t *testing.T) {
	t.Parallel()
	stored := incident.Incident{
		Namespace: "demo", Name: "web", State: incident.Open, OpenedAt: t0, LastSeenAt: t0.Add(10 * time.Minute), Version: "1",
		Timeline: []incident.Entry{{At: t0, Reason: "IncidentOpened"}},
	}
	now := t0.Add(11 * time.Minute)
	tests := []struct {
		name   string
		change func(*healing.Save)
		want   int
	}{
		{"seen a minute later", func(*healing.Save) {}, 0},
		{"seen five minutes later", func(s *healing.Save) { stored.LastSeenAt = now.Add(-LongestUnseen) }, 1},
		{"another state", func(s *healing.Save) { s.Incident.State = incident.Verifying }, 1},
		{"another replica", func(s *healing.Save) { s.Incident.Occurrences++ }, 1},
		{"healthy", func(s *healing.Save) { s.Incident.HealthySince = now }, 1},
		{"an event", func(s *healing.Save) { s.Event = healing.ReasonOpened }, 1},
		{"a log to fetch", func(s *healing.Save) { s.Capture = []healing.Capture{{}} }, 1},
		{"not stored yet", func(s *healing.Save) { s.Incident.Name = "other" }, 1},
	}
	for _, tt := range tests {
		stored.LastSeenAt = t0.Add(10 * time.Minute)
		save := healing.Save{Incident: stored.Clone()}
		save.Incident.LastSeenAt = now
		tt.change(&save)
		if got := worthStoring([]healing.Save{save}, []incident.Incident{stored}, now); len(got) != tt.want {
			t.Errorf("%s: %d are stored, want %d", tt.name, len(got), tt.want)
		}
	}
}

// A platform that never answers its expiry holds up neither the passes nor what they do, and is asked again after a while.
func TestAnExpiryThatHangsHoldsUpNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := hung(time.Now())
		w.stuck = true
		h := w.loop()
		began := time.Now()
		for range 2 {
			h.Pass(t.Context(), time.Now())
			synctest.Wait()
		}
		if took := time.Since(began); took != 0 || w.evicts["uid-1"] != 1 {
			t.Errorf("two passes took %s and evicted %v, want no delay and the action", took, w.evicts)
		}
		h.Wait()
		if took := time.Since(began); took != expireTimeout {
			t.Errorf("the expiry was waited for %s, want %s", took, expireTimeout)
		}
		time.Sleep(expireEvery)
		h.Pass(t.Context(), time.Now())
		h.Wait()
		if n := len(slices.DeleteFunc(slices.Clone(w.calls), func(c string) bool { return c != "expire" })); n != 2 {
			t.Errorf("asked %d times, want 2", n)
		}
	})
}
