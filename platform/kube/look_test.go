package kube

import (
	"testing"
	"time"
)

// A pass over a large namespace would otherwise look at all of its pods anew for every decision.
func TestALookThatTookLongServesLonger(t *testing.T) {
	pass := time.Now()
	for name, tc := range map[string]struct {
		took, age time.Duration
		pass      time.Time
		want      bool
	}{
		"at once":                        {time.Millisecond, 0, pass, true},
		"a little later":                 {time.Millisecond, 199 * time.Millisecond, pass, true},
		"later":                          {time.Millisecond, 201 * time.Millisecond, pass, false},
		"one that took long, later":      {300 * time.Millisecond, 2 * time.Second, pass, true},
		"one that took long, much later": {300 * time.Millisecond, 4 * time.Second, pass, false},
		"the next pass":                  {300 * time.Millisecond, 0, pass.Add(time.Second), false},
	} {
		l := look{pass: pass, taken: pass.Add(tc.took), took: tc.took}
		if got := l.serves(tc.pass, l.taken.Add(tc.age)); got != tc.want {
			t.Errorf("%s: serves %v", name, got)
		}
	}
}
