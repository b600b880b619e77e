package healing

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// checkPure verifies that the same input gives the same plan, and that it is not changed.
func (h *history) checkPure(in Input) {
	type given struct {
		I []incident.Incident
		W *cluster.Workload
	}
	text := h.json(given{in.Incidents, in.Workload})
	found := h.findings(&in)
	once := h.json(reconcile(&in, slices.Clone(found), h.now))
	if again := h.json(reconcile(&in, slices.Clone(found), h.now)); once != again {
		h.Errorf("the same input gives two plans:\n%s\n%s", once, again)
	}
	if text != h.json(given{in.Incidents, in.Workload}) {
		h.Errorf("the input was changed")
	}
}

func (h *history) json(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		h.Errorf("json: %v", err)
	}
	return string(b)
}

// checkPlan verifies that an action is one that the guards allow on the very view that it was decided on. It knows the guards
// from their description, not from their code.
func (h *history) checkPlan(in *Input, p *Plan) {
	a := p.Action
	if a == nil {
		return
	}
	var held *incident.Incident
	for i := range p.Save {
		if p.Save[i].Incident.Name == a.Incident {
			held = &p.Save[i].Incident
		}
	}
	if held == nil || held.Version == "" {
		h.Errorf("the action's intent is not in an incident that is stored and saved: %+v", a)
		return
	}
	r := held.Remediation(a.RemediationID)
	if r == nil || r.By != in.Identity {
		h.Errorf("the action has no intent: %+v", a)
		return
	}
	if a.DryRun {
		if r.Outcome != incident.DryRun || a.Charge || in.Policy.Mode == Act {
			h.Errorf("a dry run that is %s, charge %t", r.Outcome, a.Charge)
		}
		return
	}
	if held.State != incident.Acting || r.Outcome != incident.Pending {
		h.Errorf("an action whose intent is %s in an incident that is %s", r.Outcome, held.State)
	}
	if !Allows(held.Kind, a.Remedy) {
		h.Errorf("%s for %s", a.Remedy, held.Kind)
	}
	free := a.Remedy == incident.RemedyCapture || followerID(a.RemediationID)
	if _, charged := h.charges[a.RemediationID]; !charged && !a.Charge && !free {
		h.Errorf("%s is not charged", a.RemediationID)
	}
	h.checkGuards(in, a, held)
	h.checkNotRefusedForGood(in, a)
	h.checkOwners(in, a)
	h.checkChange(in, a)
}

func (h *history) checkGuards(in *Input, a *Action, held *incident.Incident) {
	w := in.Workload
	switch {
	case in.Policy.Mode != Act, in.Stale > MaxStale, w.System, w.Self, w.Ref.Kind == cluster.KindDaemonSet, w.Ref.Kind == cluster.KindPod:
		h.Errorf("an action that a guard forbids: %+v", a)
	case in.Climate.Breaker != "":
		h.Errorf("%s while the breaker is open", a.Remedy)
	case h.late != "":
		h.Errorf("%s though what this pass found opens the breaker", a.Remedy)
	case held.Root != "", in.Climate.Roots[held.Name] != "":
		h.Errorf("%s though it follows from %s%s", a.Remedy, held.Root, in.Climate.Roots[held.Name])
	case w.RollingOut && a.Remedy != incident.RemedyRollback && a.Remedy != incident.RemedyAbortCanary && a.Remedy != incident.RemedyCapture:
		h.Errorf("%s during a rollout", a.Remedy)
	}
	if !a.TakenOver && wantsLog(held.Kind) && !hasLog(held) {
		h.Errorf("%s for %s without a log", a.Remedy, held.Kind)
	}
	victim := -1
	if a.Remedy.OnReplica() {
		victim = slices.IndexFunc(w.Replicas, func(r cluster.Replica) bool { return r.UID == a.ReplicaUID })
		if victim < 0 {
			h.Errorf("%s of %s, which is not there", a.Remedy, a.Replica)
			return
		}
		if n, found := in.Nodes[w.Replicas[victim].Node]; !found || n.Ready != "True" {
			h.Errorf("%s on a node that is not ready", a.Remedy)
		}
	}
	away, rolls := a.Remedy == incident.RemedyRestart || a.Remedy == incident.RemedyQuarantine, a.Remedy == incident.RemedyRestartWorkload || a.Change.Template
	if !away && !rolls {
		return
	}
	others, unready := 0, false
	for i := range w.Replicas {
		if w.Replicas[i].Ready && !w.Replicas[i].Deleting() && i != victim {
			others++
		}
	}
	if victim >= 0 {
		unready = !w.Replicas[victim].Ready
	}
	if rolls && victim < 0 {
		others-- // one of them goes at a time
	}
	need := int(in.Policy.MinHealthyPercent) * int(w.Desired)
	if unready && !rolls {
		need = min(need, 100*(int(w.Desired)-1))
	}
	if in.Policy.MinHealthyPercent > 0 && (100*others < need || w.Desired < 2) {
		h.Errorf("%s leaves %d of %d ready, %d %% must be", a.Remedy, others, w.Desired, in.Policy.MinHealthyPercent)
	}
	for _, b := range w.Budgets {
		if b.Allowed == 0 && (!away || !unready || b.Healthy < b.Desired) || away && len(w.Budgets) > 1 {
			h.Errorf("%s against the PodDisruptionBudgets %+v", a.Remedy, w.Budgets)
		}
	}
}

// checkNotRefusedForGood verifies that what the platform cannot do, or gives no right to, is not asked for again.
func (h *history) checkNotRefusedForGood(in *Input, a *Action) {
	for i := range in.Incidents {
		one := &in.Incidents[i]
		if one.Name != a.Incident {
			continue
		}
		for j := range one.Remediations {
			if r := &one.Remediations[j]; r.Remedy == a.Remedy && r.Outcome == incident.Failed && oneOf(Reason(r.Reason), ReasonForbidden, ReasonNotSupported) {
				h.Errorf("%s again though it ended with %s", a.Remedy, r.Reason)
			}
		}
	}
}

func (h *history) checkOwners(in *Input, a *Action) {
	w := in.Workload
	for _, o := range w.Owners {
		switch {
		case o.Kind == cluster.OwnerVPA:
			if a.Remedy == incident.RemedyResizeMemory {
				h.Errorf("%s beside a VerticalPodAutoscaler", a.Remedy)
			}
		case a.Change.Template, !a.Remedy.OnReplica() && a.Change.Target.Kind != kindAutoscaler:
			h.Errorf("%s of what belongs to %s", a.Remedy, o.Kind)
		}
	}
	if s := w.Scaler; a.Remedy == incident.RemedyScaleOut && s != nil && s.Ref.Kind != kindAutoscaler {
		h.Errorf("%s beside %s", a.Remedy, s.Ref.Kind)
	}
}

// checkChange verifies the bounds of what is changed.
func (h *history) checkChange(in *Input, a *Action) {
	w, c := in.Workload, &a.Change
	switch a.Remedy {
	case incident.RemedyResizeMemory:
		if !w.Resizable || c.ToMemory <= c.FromMemory {
			h.Errorf("resized from %d to %d", c.FromMemory, c.ToMemory)
		}
		if limit := int64(128<<20) * int64(in.Policy.MaxMemoryPercent) / 100; c.ToMemory > limit {
			h.Errorf("resized to %d, at most %d is allowed", c.ToMemory, limit)
		}
	case incident.RemedyScaleOut:
		if c.ToReplicas <= c.FromReplicas || c.ToReplicas > 2*c.FromReplicas+1 || w.Scaler != nil && c.ToReplicas > w.Scaler.Max {
			h.Errorf("scaled from %d to %d", c.FromReplicas, c.ToReplicas)
		}
	case incident.RemedyRollback:
		good := slices.ContainsFunc(w.Revisions, func(r cluster.Revision) bool {
			return r.Name == c.ToRevision && (!r.HealthyAt.IsZero() || r.Ready > 0)
		})
		if !good || c.ToRevision == c.FromRevision || w.Paused {
			h.Errorf("rolled back from %s to %s", c.FromRevision, c.ToRevision)
		}
	case incident.RemedyAbortCanary:
		if t := w.Track; t == nil || t.OtherReady < t.OtherDesired {
			h.Errorf("aborted with the other track %+v", t)
		}
	case incident.RemedyCapture:
		if a.ProfilePort == 0 {
			h.Errorf("a profile of no port")
		}
	case incident.RemedyNone:
		h.Errorf("an action for None")
	case incident.RemedyRestart, incident.RemedyQuarantine, incident.RemedyRestartWorkload:
	}
}

// wantsLog reports whether a death of that kind leaves a log to be kept.
func wantsLog(k incident.Kind) bool {
	return k == incident.OOMKilled || k == incident.ProbableOOM || k == incident.CrashLoop || k == incident.LivenessKill || k == incident.NotReady
}

func hasLog(i *incident.Incident) bool {
	return slices.ContainsFunc(i.Evidence, func(e incident.Evidence) bool { return e.Kind == incident.EvidenceLog })
}

// checkStore verifies what is stored and what was done: bounded incidents, one effect for one cause and rung, both budgets.
func (h *history) checkStore() {
	for name := range h.stored {
		i := h.stored[name]
		checkIncident(h, &i)
		if !h.chance(2) {
			continue
		}
		if b, err := json.Marshal(i); err != nil || len(b) > 96<<10 {
			h.Errorf("incident %s has %d bytes, %v", i.Name, len(b), err)
		}
	}
	if len(h.effects) == 0 {
		return
	}
	last := h.effects[len(h.effects)-1]
	free := func(e effect) bool { return e.remedy == incident.RemedyCapture || followerID(e.id) }
	within := 0
	for n, e := range h.effects {
		if n < len(h.effects)-1 && e.id == last.id && e.remedy != incident.RemedyCapture {
			h.Errorf("%s twice for the same remediation %s", e.what, e.id)
		}
		taken := e.remedy == incident.RemedyRestart || e.remedy == incident.RemedyQuarantine
		if n < len(h.effects)-1 && taken && e.uid == last.uid && last.remedy == e.remedy {
			h.Errorf("%s twice", e.what)
		}
		if !free(e) && last.at.Sub(e.at) < h.policy.BudgetPeriod {
			within++
		}
		if _, charged := h.charges[e.id]; !charged && !free(e) {
			h.Errorf("%s was never charged", e.id)
		}
	}
	if !h.laggards && !free(last) && within > int(h.policy.BudgetActions) {
		h.Errorf("%d actions within %s, the budget is %d", within, h.policy.BudgetPeriod, h.policy.BudgetActions)
	}
	h.checkCharges(h.policy.BudgetActions, h.policy.BudgetPeriod)
	if b := h.climate.Budget; b.Actions > 0 {
		h.checkCharges(b.Actions, b.Period)
	}
}

// checkCharges verifies that no span of the period has more charges than the budget allows.
func (h *history) checkCharges(most int32, period time.Duration) {
	for _, end := range h.charges {
		var n int32
		for _, at := range h.charges {
			if d := end.Sub(at); d >= 0 && d < period {
				n++
			}
		}
		if n > most {
			h.Errorf("%d charges within %s, the budget is %d", n, period, most)
			return
		}
	}
}

// checkNotLost verifies that what was found is in an incident, or stood for by another.
func (h *history) checkNotLost(in *Input, found []incident.Finding) {
	p := &pass{in: in, now: h.now}
	for i := range found {
		f := &found[i]
		kept := p.stoodFor(f)
		for name := range h.stored {
			one := h.stored[name]
			kept = kept || one.Knows(f.Fingerprint) || !f.Since.After(one.ForgottenUntil)
		}
		for j := range in.Incidents { // its own eviction
			for k := range in.Incidents[j].Remediations {
				kept = kept || in.Incidents[j].Remediations[k].ReplicaUID == f.ReplicaUID && (f.Kind == incident.Disrupted || f.Kind == incident.Evicted)
			}
		}
		if !kept {
			h.Errorf("%s of %s is in no incident", f.Kind, f.Replica)
		}
	}
}

// checkConverges verifies that passes at one time come to an end: nothing is stored on every tick.
func (h *history) checkConverges() {
	fails := h.chargeFails // then the same is tried again for as long as the ledger does not answer
	h.chargeFails = false
	defer func() { h.chargeFails = fails }()
	for range 16 {
		l := &leader{name: "a", breaks: h.breaks}
		in := h.input(l)
		h.judged = &in
		if p := h.pass(l); len(p.Save) == 0 && p.Action == nil {
			return
		}
	}
	h.Errorf("sixteen passes at one time still have something to store")
}
