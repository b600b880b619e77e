package control

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/hpa"
)

// A controller that has just begun takes over: its first samples come from one node before the other.
func TestAWindowGoesOnThoughTheNextLeaderHasNotReadAllReplicasYet(t *testing.T) {
	t.Parallel()
	left := hpa.History{Recommendations: []hpa.Recommended{
		{At: t0.Add(-290 * time.Second), Replicas: 4}, {At: t0.Add(-280 * time.Second), Replicas: 2},
	}}
	w := newWorld("web")
	w.list[0].Stored = func() hpa.History { return left }
	w.replicas["web"], w.usage, w.unread = 4, 0, true
	s := w.loop()
	for i := range 5 {
		w.pass(t, s, t0.Add(time.Duration(i)*time.Second))
	}
	if len(w.decided) != 0 {
		t.Fatalf("decided with a replica that was not read yet: %v", w.decided)
	}
	w.unread = false
	w.pass(t, s, t0.Add(5*time.Second))
	if len(w.scales) != 0 {
		t.Fatalf("scaled before the window was over: %v", w.scales)
	}
	w.pass(t, s, t0.Add(15*time.Second)) // 305 s after the last high recommendation
	if len(w.scales) != 1 || w.scales[0] != "web 4->2" {
		t.Errorf("scaled %v, want down to 2 once the window that another leader began is over", w.scales)
	}
}

func TestMoreReplicasDoNotWaitForThoseThatWereNotReadYet(t *testing.T) {
	t.Parallel()
	w := newWorld("web")
	w.list[0].Stored = func() hpa.History {
		return hpa.History{Recommendations: []hpa.Recommended{{At: t0.Add(-time.Second), Replicas: 2}}}
	}
	w.usage, w.unread = 200, true
	w.pass(t, w.loop(), t0)
	if len(w.scales) != 1 {
		t.Errorf("scaled %v, want up at once", w.scales)
	}
}

func TestAReplicaThatIsNeverReadIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	w := newWorld("web")
	w.list[0].Stored = func() hpa.History {
		return hpa.History{Recommendations: []hpa.Recommended{{At: t0.Add(-time.Second), Replicas: 2}}}
	}
	w.unread = true
	s := w.loop()
	for i := range 30 {
		w.pass(t, s, t0.Add(time.Duration(i)*time.Second))
	}
	if len(w.decided) != 0 {
		t.Fatalf("decided %d times within 30 s", len(w.decided))
	}
	w.pass(t, s, t0.Add(30*time.Second))
	w.pass(t, s, t0.Add(31*time.Second))
	if len(w.decided) != 2 {
		t.Errorf("decided %d times, want each second after 30", len(w.decided))
	}
}
