package control

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
)

// Somebody annotates the incident between the charge and the intent. What was charged then is for the very remediation that is
// decided on again, so it is neither charged again nor held against it: not by budgets of one action, and not by the cooldown.
func TestAChargeWhoseIntentWasNotStoredIsNotLost(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{ErrConflict, context.DeadlineExceeded} {
		w := hung(t0)
		w.policy.BudgetActions = 1
		limits := DefaultLimits()
		limits.Budget.Actions = 1
		h := NewHealing(w, w, w, w, limits, "me", slog.New(slog.DiscardHandler))
		w.look(t, h, t0)
		for i := range 3 {
			w.fail["save Acting"] = cause
			w.look(t, h, t0.Add(time.Duration(i+1)*time.Second))
		}
		if len(w.spent) != 1 || len(w.all) != 1 || len(w.evicts) != 0 {
			t.Fatalf("%v: charged %v and %v, evicted %v, want one charge each and no action", cause, w.spent, w.all, w.evicts)
		}
		w.look(t, h, t0.Add(4*time.Second))
		if w.evicts["uid-1"] != 1 || len(w.spent) != 1 || len(w.all) != 1 {
			t.Errorf("%v: evicted %v, charged %v and %v, want the action that was charged: %s", cause, w.evicts, w.spent, w.all, w.deeds())
		}
		if len(h.charged.pending) != 0 {
			w.look(t, h, t0.Add(5*time.Second))
		}
		if n := len(h.charged.pending); n != 0 {
			t.Errorf("%v: %d charges are remembered after their intent was stored", cause, n)
		}
	}
}

// The same where only the budget of the cluster was charged before the platform failed.
func TestTheClustersChargeIsNotLostWhereTheWorkloadsFails(t *testing.T) {
	t.Parallel()
	w := hung(t0)
	limits := DefaultLimits()
	limits.Budget.Actions = 1
	h := NewHealing(w, w, w, w, limits, "me", slog.New(slog.DiscardHandler))
	w.look(t, h, t0)
	w.fail["charge"] = ErrConflict
	w.look(t, h, t0.Add(time.Second))
	w.look(t, h, t0.Add(2*time.Second))
	if w.evicts["uid-1"] != 1 || len(w.all) != 1 {
		t.Errorf("evicted %v, charged to the cluster %v: %s", w.evicts, w.all, w.deeds())
	}
}

// What somebody else charged meanwhile counts: the stored budget refuses, and the incident says so from then on.
func TestAChargeThatIsLeftOutRaisesNoBudget(t *testing.T) {
	t.Parallel()
	w := hung(t0)
	w.policy.BudgetActions = 1
	h := w.loop()
	w.look(t, h, t0)
	w.fail["save Acting"] = ErrConflict
	w.look(t, h, t0.Add(time.Second))
	clear(w.spent) // the workload's actions are others than the one that was charged here
	w.spent["other"] = t0.Add(time.Second).Truncate(time.Microsecond)
	for i := range 3 {
		w.look(t, h, t0.Add(time.Duration(i+2)*time.Minute))
	}
	if len(w.evicts) != 0 {
		t.Errorf("evicted %v beyond the budget", w.evicts)
	}
	for _, in := range w.stored {
		if in.State != incident.Abandoned || in.Reason != string(healing.ReasonBudgetExhausted) {
			t.Errorf("the incident is %s because of %s (%s), want the spent budget said", in.State, in.Reason, strings.TrimSpace(in.Message))
		}
	}
}

func TestChargesOfWorkloadsThatAreGoneAreForgotten(t *testing.T) {
	t.Parallel()
	w := hung(t0)
	h := w.loop()
	w.look(t, h, t0)
	w.fail["save Acting"] = errors.New("etcd is away")
	w.look(t, h, t0.Add(time.Second))
	if len(h.charged.pending) != 1 {
		t.Fatalf("%d charges are remembered, want the one without an intent", len(h.charged.pending))
	}
	w.snap.Workloads = nil
	w.look(t, h, t0.Add(expireEvery))
	if n := len(h.charged.pending); n != 0 {
		t.Errorf("%d charges are remembered", n)
	}
}
