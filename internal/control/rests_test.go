package control

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// A platform that takes no incident is asked less and less often, and the log is not captured again in every pass: it is away, or
// a quota refuses records for as long as nobody changes it. What it takes again is stored within longestRest.
func TestAnIncidentThatIsNotTakenIsTriedLessAndLessOften(t *testing.T) {
	t.Parallel()
	w := hung(t0)
	h := w.loop()
	minute := 60 * time.Second
	for at := time.Duration(0); at < minute; at += time.Second {
		w.fail["save Open"] = errors.New("incidents.homeostat.dev is forbidden: exceeded quota")
		w.look(t, h, t0.Add(at))
	}
	tries, captures := strings.Count(w.deeds(), "save Open"), strings.Count(w.deeds(), "capture")
	if tries < 5 || tries > 12 || captures != tries {
		t.Errorf("%d tries to store and %d captures in a minute, want 5 to 12 of each (%s)", tries, captures, w.deeds())
	}
	if want := "capture, save Open, capture, save Open"; !strings.HasPrefix(w.deeds(), want) {
		t.Errorf("did %q, want it to begin with %q", w.deeds(), want)
	}
	delete(w.fail, "save Open")
	for at := minute; at <= minute+longestRest; at += time.Second {
		w.look(t, h, t0.Add(at))
	}
	if len(w.stored) != 1 || w.evicts["uid-1"] != 1 {
		t.Errorf("stored %d incidents and evicted %v after the platform came back", len(w.stored), w.evicts)
	}
	h.resting.stored(w.snap.Workloads[0].Ref, t0, errors.New("away"))
	if h.resting.keep(nil); len(h.resting.by) != 0 {
		t.Errorf("what is watched no more is remembered: %v", h.resting.by)
	}
}
