package healing

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// TestModelFindsBrokenEngines breaks the engine in one way after the other, by hiding from it what a guard reads or by changing
// its plan, and expects that the model finds each: a check that never fails says nothing.
func TestModelFindsBrokenEngines(t *testing.T) {
	for _, tt := range []struct {
		name   string
		breaks func(in *Input, plan *Plan)
		want   string // a part of what the model says
	}{
		{"ignores the breaker", onInput(func(in *Input) { in.Climate.Breaker = "" }), "while the breaker is open"},
		{"acts in observe mode", onInput(func(in *Input) { in.Policy.Mode = Act }), "a guard forbids"},
		{"acts on an old view", onInput(func(in *Input) { in.Stale = 0 }), "a guard forbids"},
		{"acts on the system", onInput(func(in *Input) { in.Workload = changed(in, func(w *cluster.Workload) { w.System = false }) }), "a guard forbids"},
		{"acts during a rollout", onInput(func(in *Input) { in.Workload = changed(in, func(w *cluster.Workload) { w.RollingOut = false }) }), "during a rollout"},
		{"ignores the least of healthy replicas", onInput(func(in *Input) { in.Policy.MinHealthyPercent = 0 }), "must be"},
		{"ignores disruption budgets", onInput(func(in *Input) { in.Workload = changed(in, func(w *cluster.Workload) { w.Budgets = nil }) }), "PodDisruptionBudgets"},
		{"ignores other owners", onInput(func(in *Input) { in.Workload = changed(in, func(w *cluster.Workload) { w.Owners = nil }) }), "belongs to"},
		{"ignores the state of nodes", onInput(func(in *Input) { in.Nodes = nil }), "a node that is not ready"},
		{"asks again for what is forbidden", onInput(func(in *Input) {
			list := make([]incident.Incident, len(in.Incidents))
			for i := range in.Incidents {
				list[i] = in.Incidents[i].Clone()
				for j := range list[i].Remediations {
					if r := &list[i].Remediations[j]; r.Reason == string(ReasonForbidden) {
						r.Reason = string(ReasonFailed)
					}
				}
			}
			in.Incidents = list
		}), "ended with Forbidden"},
		{"ignores roots", onInput(func(in *Input) { in.Climate.Roots = nil }), "though it follows from"},
		{"raises without bounds", onInput(func(in *Input) { in.Policy.MaxMemoryPercent = 1000 }), "resized to"},
		{"charges nothing", onAction(func(a *Action) { a.Charge = false }), "charged"},
		{"makes another ID each time", onAction(func(a *Action) { a.RemediationID += "x" }), "has no intent"},
		{"calls its dry runs", onAction(func(a *Action) { a.DryRun = false }), ""},
		{"acts without an intent", onPlan(func(_ *Input, p *Plan) {
			if p.Action != nil && !p.Action.DryRun {
				p.Save = nil
			}
		}), "not in an incident that is stored"},
		{"loses incidents", onPlan(func(_ *Input, p *Plan) {
			if len(p.Save) > 1 {
				p.Save = p.Save[:1]
			}
		}), "in no incident"},
		{"resolves nothing", onPlan(func(_ *Input, p *Plan) {
			for i := range p.Save {
				if p.Save[i].Incident.State == incident.Resolved {
					p.Save[i].Incident.State = incident.Open
				}
			}
		}), "though all is well"},
		{"writes on every pass", onPlan(func(in *Input, p *Plan) {
			for i := range in.Incidents {
				if in.Incidents[i].State.Active() && len(p.Save) == 0 {
					p.Save = append(p.Save, Save{Incident: in.Incidents[i].Clone()})
				}
			}
		}), "still have something to store"},
		{"keeps everything", onPlan(func(_ *Input, p *Plan) {
			for i := range p.Save {
				one := &p.Save[i].Incident
				for range incident.MaxTimeline {
					one.Timeline = append(one.Timeline, incident.Entry{At: time.Time{}, Reason: "Noise"})
				}
			}
		}), "timeline of size"},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			modelSays(t, func(h *history) { h.breaks = tt.breaks }, tt.name, tt.want)
		})
	}
	t.Run("acts_before_all_that_a_pass_found_is_counted", func(t *testing.T) {
		t.Parallel()
		modelSays(t, func(h *history) { h.hasty = true }, "acts before all that a pass found is counted", "what this pass found opens the breaker")
	})
}

// modelSays plays histories with an engine that is broken until the model says what is wanted.
func modelSays(t *testing.T, breaks func(h *history), how, want string) {
	t.Helper()
	const most = 1500
	said := map[string]bool{}
	for seed := range uint64(most) {
		h := newHistory(seed+1, false)
		breaks(h)
		h.play()
		for _, f := range h.faults {
			if strings.Contains(f, want) {
				return
			}
			said[f[strings.Index(f, " ")+1:]] = true
		}
	}
	t.Errorf("the model plays %d histories with an engine that %s and does not say %q; it says %s", most, how, want,
		fmt.Sprint(len(said))+" other things")
}

func onInput(change func(in *Input)) func(*Input, *Plan) {
	return func(in *Input, plan *Plan) {
		if plan == nil {
			change(in)
		}
	}
}

func onPlan(change func(in *Input, p *Plan)) func(*Input, *Plan) {
	return func(in *Input, plan *Plan) {
		if plan != nil {
			change(in, plan)
		}
	}
}

func onAction(change func(a *Action)) func(*Input, *Plan) {
	return onPlan(func(_ *Input, p *Plan) {
		if p.Action != nil {
			a := *p.Action
			change(&a)
			p.Action = &a
		}
	})
}

func changed(in *Input, change func(w *cluster.Workload)) *cluster.Workload {
	w := *in.Workload
	change(&w)
	return &w
}
