package control

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// beside adds as many workloads to the ward, each as its first, or healthy.
func (w *ward) beside(n int, healthy bool) []*cluster.Workload {
	var out []*cluster.Workload
	for i := range n {
		one := *w.snap.Workloads[0]
		one.Ref.Name = fmt.Sprintf("api-%d-%t", i, healthy)
		one.Replicas = nil
		for j := range w.snap.Workloads[0].Replicas {
			r := w.snap.Workloads[0].Replicas[j]
			r.Name, r.UID = fmt.Sprintf("%s-%d", one.Ref.Name, j), fmt.Sprintf("uid-%s-%d", one.Ref.Name, j)
			r.Ready = r.Ready || healthy
			one.Replicas = append(one.Replicas, r)
		}
		out = append(out, &one)
	}
	w.snap.Workloads = append(w.snap.Workloads, out...)
	return out
}

// One workload failed a while ago and is about to be acted on. In the very pass in which that would be, three others begin to fail:
// four of nine are a storm, though one incident is stored. The order in which the workloads are looked at does not matter.
func TestWhatFailsInThisPassOpensTheBreakerBeforeItsFirstAction(t *testing.T) {
	t.Parallel()
	for _, last := range []bool{false, true} {
		w := hung(t0)
		w.beside(5, true)
		h := w.loop()
		w.look(t, h, t0)
		w.beside(3, false)
		if last {
			w.snap.Workloads = append(w.snap.Workloads[1:], w.snap.Workloads[0])
		}
		w.look(t, h, t0.Add(time.Second))
		if len(w.evicts) != 0 || len(w.spent) != 0 {
			t.Errorf("evicted %v and charged %v in the pass that saw the storm", w.evicts, w.spent)
		}
		if w.view.Breaker != "4 of 9 watched workloads began to fail within 5m0s" {
			t.Errorf("the breaker says %q", w.view.Breaker)
		}
		var said string
		for _, in := range w.Incidents(cluster.Ref{}) {
			if in.Workload.Name == "web" {
				said = in.Reason
			}
		}
		if len(w.stored) != 4 || said != string(healing.ReasonBreakerOpen) {
			t.Errorf("%d incidents are stored, and that of web says %q", len(w.stored), said)
		}
	}
}

// Two others are less than a storm: what is decided is carried out.
func TestFewFailuresInThisPassHoldUpNothing(t *testing.T) {
	t.Parallel()
	w := hung(t0)
	w.beside(7, true)
	h := w.loop()
	w.look(t, h, t0)
	w.beside(1, false)
	w.look(t, h, t0.Add(time.Second))
	if w.evicts["uid-1"] != 1 {
		t.Errorf("evicted %v, want uid-1: %s", w.evicts, w.deeds())
	}
}

// slowElsewhere is a ward in which the log of one workload comes at once, and those of the others do not.
type slowElsewhere struct{ *ward }

func (s slowElsewhere) Capture(ctx context.Context, w *cluster.Workload, c healing.Capture) incident.Evidence {
	if w.Ref.Name == "web" {
		return s.ward.Capture(ctx, w, c)
	}
	<-ctx.Done()
	return incident.Evidence{Kind: incident.EvidenceLog, Replica: c.Replica, Container: c.Container, Message: "no log: it did not come in time"}
}

// Four of nine fail at once. One incident is stored at once; the others wait for their logs, and count all the same.
func TestWhatIsNotStoredYetCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		w := hung(now)
		w.beside(5, true)
		w.beside(3, false)
		h := NewHealing(w, w, slowElsewhere{w}, w, DefaultLimits(), "me", slog.New(slog.DiscardHandler))
		for i := range 3 {
			h.Pass(t.Context(), now.Add(time.Duration(i)*time.Second))
			synctest.Wait()
			if len(w.evicts) != 0 || len(w.Incidents(cluster.Ref{})) != 1 {
				t.Fatalf("pass %d: evicted %v with %d incidents stored", i, w.evicts, len(w.stored))
			}
			time.Sleep(time.Second)
		}
		h.Wait()
		if len(w.stored) != 4 {
			t.Errorf("%d incidents are stored in the end", len(w.stored))
		}
	})
}

// A pass that is ended in the middle has not counted everything: it acts on nothing, and leaves nothing claimed.
func TestAPassThatIsEndedActsOnNothing(t *testing.T) {
	t.Parallel()
	w := hung(t0)
	h := w.loop()
	w.look(t, h, t0)
	w.beside(1, true)
	ctx, cancel := context.WithCancel(t.Context())
	h.source = ending{w, cancel}
	h.Pass(ctx, t0.Add(time.Second))
	h.Wait()
	if len(w.evicts) != 0 {
		t.Errorf("evicted %v", w.evicts)
	}
	h.source = w
	w.look(t, h, t0.Add(2*time.Second))
	if w.evicts["uid-1"] != 1 {
		t.Errorf("evicted %v after it, want uid-1", w.evicts)
	}
}

// ending ends the pass when the first workload is looked at.
type ending struct {
	*ward
	cancel context.CancelFunc
}

func (e ending) Incidents(of cluster.Ref) []incident.Incident {
	e.cancel()
	return e.ward.Incidents(of)
}
