package lag

import (
	"testing"
	"time"
)

func TestOwn(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	var o Own[string]
	check := func(what, shown, want string) {
		t.Helper()
		if got, ok := o.Over(shown, now.Add(time.Second)); got != want || ok != (want != "") {
			t.Errorf("%s: the informer shows %q, standing over it is %q, want %q", what, shown, got, want)
		}
	}
	check("nothing written", "1", "")
	o.Wrote("b", "2", "1", now)
	check("before the informer shows it", "1", "b")
	check("when it does", "2", "")
	check("when somebody has written after", "3", "")
	o.Wrote("d", "4", "1", now) // written over 2, which the informer does not show yet
	o.Wrote("e", "5", "2", now)
	check("the first version", "1", "e")
	check("the own first write", "2", "e")
	check("the own second write", "4", "e")
	check("the last one", "5", "")
	check("another's", "6", "")
	o.Wrote("g", "7", "6", now)
	check("another's, which was written over", "6", "g")
	if _, ok := o.Over("6", now.Add(limit)); ok {
		t.Error("a write stands in for ever")
	}
	var created Own[string]
	created.Wrote("a", "1", "", now)
	if got, _ := created.Over("", now); got != "a" {
		t.Error("what was created is not seen before the informer shows it")
	}
	for i := range 1000 {
		o.Wrote("x", string(rune('A'+i)), "6", now)
	}
	if len(o.older) > maxOlder {
		t.Errorf("%d older versions are kept", len(o.older))
	}
}
