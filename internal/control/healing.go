package control

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/healing/survey"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

const (
	captureTimeout = 5 * time.Second
	expireEvery    = time.Minute
	expireTimeout  = 30 * time.Second
	maxWorkloads   = 8 // workloads whose plans are carried out side by side
)

// Limits bound the healing of the whole cluster.
type Limits struct {
	Breaker survey.Breaker
	Budget  healing.ClusterBudget
}

// DefaultLimits returns the defaults: the breaker's, and ten actions an hour.
func DefaultLimits() Limits {
	return Limits{Breaker: survey.DefaultBreaker(), Budget: healing.ClusterBudget{Actions: 10, Period: time.Hour}}
}

// surveyRef is what the saving of a survey's incidents claims, expireRef what their expiry does.
func surveyRef() cluster.Ref { return cluster.Ref{Kind: survey.KindCluster} }
func expireRef() cluster.Ref { return cluster.Ref{Kind: "Expiry"} }

// Healing is the healing loop. The plan of one workload is carried out in a goroutine of its own, so that a log that is
// slow to come delays nobody else; meanwhile that workload is not looked at again.
type Healing struct {
	limits   Limits
	source   HealingSource
	store    IncidentStore
	surgeon  Surgeon
	recorder Recorder
	identity string
	log      *slog.Logger

	slots   chan struct{}
	pending sync.WaitGroup
	mu      sync.Mutex
	busy    map[cluster.Ref]struct{}
	charged charges
	resting rests
	expired time.Time
}

// NewHealing returns a loop over the workloads of source. The identity names this controller in remediations.
func NewHealing(source HealingSource, store IncidentStore, surgeon Surgeon, recorder Recorder, limits Limits, identity string, log *slog.Logger) *Healing {
	return &Healing{
		limits: limits, source: source, store: store, surgeon: surgeon, recorder: recorder, identity: identity, log: log,
		slots: make(chan struct{}, maxWorkloads), busy: map[cluster.Ref]struct{}{}, charged: charges{pending: map[cluster.Ref]charge{}},
	}
}

// Run makes a pass every period, and early where wake delivers, until ctx is done. It returns when everything that it
// started has ended.
func (h *Healing) Run(ctx context.Context, period time.Duration, wake <-chan struct{}) {
	every(ctx, period, wake, func(now time.Time) {
		began := time.Now()
		h.Pass(ctx, now)
		h.recorder.Turned("healing", time.Since(began), nil)
	})
	h.Wait()
}

// Wait returns when the plans of all passes so far have been carried out.
func (h *Healing) Wait() { h.pending.Wait() }

// Pass looks at every watched workload once and starts carrying out its plan. It does not wait for the plans: see Wait. A plan that
// acts is held back until all workloads were looked at, so that the breaker counts what this very pass found in them.
func (h *Healing) Pass(ctx context.Context, now time.Time) {
	snap := h.source.Snapshot(now)
	if !snap.Synced {
		return // half a view shows failures that are none
	}
	watched := h.watched(snap)
	view := HealingView{At: now, Incidents: h.source.AllIncidents()}
	input := h.surveyInput(snap, watched, &view)
	around := h.survey(ctx, input, &view)
	var held []planned
	var opened []incident.Incident
	for _, one := range watched {
		if ctx.Err() != nil {
			h.drop(held)
			return
		}
		spent := h.source.Spent(one.policy, one.workload.Ref)
		if len(spent) > 0 {
			view.Budgets = append(view.Budgets, BudgetLeft{
				Workload: one.workload.Ref, Policy: one.policy.Name, Left: left(one.policy.BudgetActions, one.policy.BudgetPeriod, spent, now),
			})
		}
		mine := h.claim(one.workload.Ref) // one that is busy still counts
		p := h.look(snap, one, spent, around.Climate(one.workload), now)
		opened = append(opened, p.plan.Opened()...)
		switch {
		case mine && p.plan.Action != nil:
			held = append(held, p)
		case mine:
			h.start(ctx, p, now)
		}
	}
	h.startHeld(ctx, input, opened, held, &view)
	h.recorder.Healed(view)
	h.expire(ctx, watched, now)
}

// expire has the store tidied up now and then, beside the passes and for a bounded time: a platform that does not answer must not
// hold up the healing. One that goes on from before is not begun again.
func (h *Healing) expire(ctx context.Context, watched []governed, now time.Time) {
	if now.Sub(h.expired) < expireEvery || !h.claim(expireRef()) {
		return
	}
	h.expired = now
	h.charged.keep(watched)
	h.resting.keep(watched)
	h.pending.Go(func() {
		defer h.release(expireRef())
		limited, cancel := context.WithTimeout(ctx, expireTimeout)
		defer cancel()
		if err := h.store.Expire(limited, now); err != nil && ctx.Err() == nil {
			h.log.WarnContext(ctx, "incidents not expired", "error", err)
		}
	})
}

// left returns how many of the actions of a budget are left, at least 0.
func left(actions int32, period time.Duration, spent []time.Time, now time.Time) int32 {
	for _, at := range spent {
		if now.Sub(at) < period && actions > 0 {
			actions--
		}
	}
	return actions
}

// governed is a watched workload with its policy.
type governed struct {
	workload *cluster.Workload
	policy   healing.Policy
}

func (h *Healing) watched(snap *cluster.Snapshot) []governed {
	out := make([]governed, 0, len(snap.Workloads))
	for _, w := range snap.Workloads {
		if policy, ok := h.source.PolicyFor(w); ok {
			out = append(out, governed{w, policy})
		}
	}
	return out
}

func (h *Healing) surveyInput(snap *cluster.Snapshot, watched []governed, view *HealingView) survey.Input {
	list := make([]*cluster.Workload, len(watched))
	for i := range watched {
		list[i] = watched[i].workload
	}
	return survey.Input{
		Snapshot: snap, Watched: list, Incidents: view.Incidents, Home: h.source.Home(), Breaker: h.limits.Breaker,
		Trouble: h.source.Trouble(view.At), Spent: h.source.ClusterSpent(), Budget: h.limits.Budget,
	}
}

// survey looks at the cluster as a whole and starts to store what it has to say of nodes and storms. While an earlier one is
// still being stored, this one is used and not stored: the next says the same. What it knows of the cluster goes into the view.
func (h *Healing) survey(ctx context.Context, in survey.Input, view *HealingView) *survey.Survey {
	now := view.At
	out := survey.Make(in, now)
	view.Breaker = out.Breaker()
	if in.Budget.Actions > 0 {
		n := left(in.Budget.Actions, in.Budget.Period, in.Spent, now)
		view.Cluster = &n
	}
	saves := worthStoring(out.Save, view.Incidents, now)
	if len(saves) == 0 || !h.claim(surveyRef()) {
		return out
	}
	h.pending.Go(func() {
		defer h.release(surveyRef())
		for _, save := range saves {
			if stored, err := h.save(ctx, save.Incident); err == nil && save.Event != "" {
				h.store.Announce(ctx, stored, save.Event, sentence(&stored, save.Event))
			}
		}
	})
	return out
}

// planned is what a pass wants done about a workload, and what it was decided from.
type planned struct {
	in   healing.Input
	plan healing.Plan
}

// look makes the plan of one workload.
func (h *Healing) look(snap *cluster.Snapshot, one governed, spent []time.Time, climate healing.Climate, now time.Time) planned {
	w := one.workload
	stored := h.source.Incidents(w.Ref)
	spent, climate.Spent = h.charged.without(w.Ref, stored, spent, climate.Spent)
	in := healing.Input{
		Workload: w, Nodes: snap.Nodes, Memory: h.source.Memory(w.Ref.Namespace), Trend: h.source.Trend(w.Ref.Namespace),
		Climate: climate, Policy: one.policy, Incidents: stored, Spent: spent,
		Stale: snap.Stale, Identity: h.identity,
	}
	return planned{in: in, plan: healing.Reconcile(in, now)}
}

// startHeld starts the plans that act, unless what the pass found beside what is stored makes it a storm.
func (h *Healing) startHeld(ctx context.Context, input survey.Input, opened []incident.Incident, held []planned, view *HealingView) {
	if len(held) == 0 {
		return
	}
	late := ""
	if len(opened) > 0 && view.Breaker == "" {
		late = survey.Late(input, opened, view.At)
		view.Breaker = late
	}
	for _, p := range held {
		p.plan = healing.Withhold(p.in, p.plan, late, view.At)
		h.start(ctx, p, view.At)
	}
}

// drop gives up plans that are not started.
func (h *Healing) drop(held []planned) {
	for _, p := range held {
		h.release(p.in.Workload.Ref)
	}
}

// start starts carrying out the plan of a workload that is claimed, and releases it in the end.
func (h *Healing) start(ctx context.Context, p planned, now time.Time) {
	w, policy, plan := p.in.Workload, p.in.Policy, p.plan
	plan.Save = worthStoring(plan.Save, p.in.Incidents, now)
	if len(plan.Save) == 0 && plan.Action == nil || h.resting.resting(w.Ref, now) {
		h.release(w.Ref)
		return
	}
	h.pending.Go(func() {
		defer h.release(w.Ref)
		select {
		case h.slots <- struct{}{}:
			defer func() { <-h.slots }()
		case <-ctx.Done():
			return
		}
		h.carryOut(ctx, w, policy, plan, now)
	})
}

func (h *Healing) claim(r cluster.Ref) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, taken := h.busy[r]; taken {
		return false
	}
	h.busy[r] = struct{}{}
	return true
}

func (h *Healing) release(r cluster.Ref) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.busy, r)
}

// carryOut does what the plan says, in the order that makes it safe: evidence, budget, intent, action, outcome. Whatever
// fails ends the plan; the next pass starts again from what is stored.
func (h *Healing) carryOut(ctx context.Context, w *cluster.Workload, policy healing.Policy, plan healing.Plan, now time.Time) {
	act, began := plan.Action, time.Now()
	var intent incident.Incident // the stored incident that holds the action's intent
	for _, save := range plan.Save {
		in := h.capture(ctx, w, save)
		holdsIntent := act != nil && in.Name == act.Incident
		if holdsIntent && act.Charge {
			if err := h.charge(ctx, policy, w, *act, now); err != nil {
				return
			}
		}
		stored, err := h.save(ctx, in)
		h.resting.stored(w.Ref, now.Add(time.Since(began)), err)
		if err != nil {
			return
		}
		if save.Event != "" {
			h.store.Announce(ctx, stored, save.Event, sentence(&stored, save.Event))
		}
		if holdsIntent {
			intent = stored
		}
	}
	if act == nil {
		return
	}
	if intent.Name == "" {
		h.log.ErrorContext(ctx, "action without a stored intent was dropped", "workload", w.Ref.String(), "incident", act.Incident)
		return
	}
	h.act(ctx, intent, *act, now)
}

// sentence returns what an event says: the incident's last message, which of one just opened says all, or where that is about
// another step, what the timeline says of this one.
func sentence(in *incident.Incident, event healing.Reason) string {
	if event == healing.ReasonOpened || in.Reason == string(event) {
		return in.Message
	}
	for _, e := range slices.Backward(in.Timeline) {
		if e.Reason == string(event) {
			return e.Message
		}
	}
	return in.Message
}

func (h *Healing) capture(ctx context.Context, w *cluster.Workload, save healing.Save) incident.Incident {
	in := save.Incident
	for _, c := range save.Capture {
		ctx, cancel := context.WithTimeout(ctx, captureTimeout)
		in = healing.Attach(in, h.surgeon.Capture(ctx, w, c))
		cancel()
	}
	return in
}

func (h *Healing) charge(ctx context.Context, p healing.Policy, w *cluster.Workload, a healing.Action, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, WriteTimeout)
	defer cancel()
	var err error
	// The cluster's first: several workloads race for it, and who loses must not have spent its own on nothing.
	if h.limits.Budget.Actions > 0 {
		err = h.surgeon.ChargeCluster(ctx, h.limits.Budget, a.RemediationID, now)
		h.charged.made(w.Ref, a.RemediationID, true, now, err)
	}
	if err == nil {
		err = h.surgeon.Charge(ctx, p, w.Ref, a.RemediationID, now)
		h.charged.made(w.Ref, a.RemediationID, false, now, err)
	}
	if err != nil && !errors.Is(err, ErrBudget) && !errors.Is(err, ErrConflict) {
		h.log.WarnContext(ctx, "budget not charged, so nothing is done", "workload", w.Ref.String(), "error", err)
	}
	return err
}

func (h *Healing) save(ctx context.Context, in incident.Incident) (incident.Incident, error) {
	ctx, cancel := context.WithTimeout(ctx, WriteTimeout)
	defer cancel()
	stored, err := h.store.Save(ctx, in)
	if err != nil {
		if !errors.Is(err, ErrConflict) && ctx.Err() == nil {
			h.log.WarnContext(ctx, "incident not stored", "incident", in.Namespace+"/"+in.Name, "error", err)
		}
		return in, err
	}
	h.recorder.Incident(stored)
	return stored, nil
}

// act carries out one action whose intent is stored, and stores what became of it. The outcome is written even when ctx
// ends meanwhile: a done action without an outcome costs the next leader a look.
func (h *Healing) act(ctx context.Context, intent incident.Incident, a healing.Action, now time.Time) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*WriteTimeout)
	defer cancel()
	began := time.Now()
	h.log.InfoContext(ctx, "remediation started", "incident", a.Incident, "remedy", string(a.Remedy),
		"replica", a.Replica, "workload", a.Workload.String())
	result := h.surgeon.Carry(ctx, a)
	h.recorder.Acted(a, result, now)
	h.log.InfoContext(ctx, "remediation carried out", "incident", a.Incident, "outcome", string(result.Outcome),
		"reason", string(result.Reason), "message", result.Message)
	done := healing.Complete(intent, a.RemediationID, result, now.Add(time.Since(began)))
	if stored, err := h.save(ctx, done); err == nil && !a.DryRun { // what was only asked is in the incident, and no event
		h.store.Announce(ctx, stored, result.Reason, result.Message)
	}
}
