package healing

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

var (
	histories = flag.Int("histories", 100, "how many random histories the model test plays")
	seedFlag  = flag.Uint64("seed", 0, "play only the history with this seed")
)

// TestModel plays random histories of one workload under two leaders and everything that goes wrong around them, and
// checks after every step what users rely on: the budget, at most one action for one cause and replica, no action that
// the policy or the guards forbid, bounded incidents, nothing changed in the input; and at the end, once the workload is
// healthy, that no incident stays open.
func TestModel(t *testing.T) {
	if *seedFlag != 0 {
		playHistory(t, *seedFlag)
		return
	}
	actions := 0
	for seed := range uint64(*histories) {
		actions += playHistory(t, seed+1)
		if t.Failed() {
			t.Fatalf("history %d failed; play it alone with -seed=%d", seed+1, seed+1)
		}
	}
	if actions < *histories/4 {
		t.Errorf("only %d actions in %d histories: the model does not reach what it is for", actions, *histories)
	}
}

type history struct {
	*world
	t     *testing.T
	rnd   *rand.Rand
	trace strings.Builder
	// laggards sometimes plan on an old view of the store and the budget.
	laggards bool
	old      []incident.Incident
}

func playHistory(t *testing.T, seed uint64) (actions int) {
	t.Helper()
	h := &history{world: newWorld(), t: t, rnd: rand.New(rand.NewPCG(seed, 1)), laggards: seed%2 == 0}
	h.log = func(format string, args ...any) {
		fmt.Fprintf(&h.trace, "%s "+format+"\n", append([]any{h.now.Sub(epoch)}, args...)...)
	}
	h.begin()
	for range 80 {
		for range h.rnd.IntN(3) {
			h.disturb()
		}
		if h.chance(70) {
			h.now = h.now.Add(time.Duration(h.rnd.IntN(40)) * time.Second)
		}
		h.look()
		if t.Failed() {
			t.Logf("seed %d\n%s", seed, h.trace.String())
			return len(h.effects)
		}
	}
	h.heal()
	if t.Failed() {
		t.Logf("seed %d\n%s", seed, h.trace.String())
	}
	return len(h.effects)
}

func (h *history) chance(percent int) bool { return h.rnd.IntN(100) < percent }

func (h *history) begin() {
	p := &h.policy
	p.NotReadyAfter, p.PendingAfter = 20*time.Second, 10*time.Second
	p.Cooldown = time.Duration(h.rnd.IntN(3)) * 10 * time.Second
	p.BudgetActions, p.BudgetPeriod = int32(h.rnd.IntN(4)), time.Duration(1+h.rnd.IntN(10))*time.Minute
	p.VerifyWithin, p.ResolveAfter = 30*time.Second, time.Duration(5+h.rnd.IntN(60))*time.Second
	p.MinHealthyPercent = []int32{0, 30, 51, 100}[h.rnd.IntN(4)]
	p.Remedies = map[incident.Kind][]incident.Remedy{}
	for _, k := range incident.Kinds() {
		if h.chance(40) {
			p.Remedies[k] = []incident.Remedy{incident.RemedyRestart} // also where it is not allowed: it must do no harm
		}
	}
	w := h.workload
	w.Desired = int32(1 + h.rnd.IntN(5))
	switch h.rnd.IntN(20) {
	case 0:
		w.System = true
	case 1:
		w.Self = true
	case 2:
		w.Ref.Kind = cluster.KindDaemonSet
	case 3:
		w.Ref.Kind, w.Desired = cluster.KindPod, 1
	}
	h.nodes["n2"] = cluster.Node{Name: "n2", Ready: "True", Since: h.now}
	for i := range w.Desired {
		h.add(fmt.Sprintf("web-%d", i), []string{"n1", "n2"}[h.rnd.IntN(2)], time.Duration(h.rnd.IntN(3600))*time.Second)
	}
}

// disturb changes one thing in the world.
func (h *history) disturb() {
	switch h.rnd.IntN(12) {
	case 0:
		n := []string{"n1", "n2"}[h.rnd.IntN(2)]
		h.nodes[n] = cluster.Node{Name: n, Ready: []string{"True", "True", "False", "Unknown"}[h.rnd.IntN(4)], Since: h.now}
		return
	case 1:
		h.workload.RollingOut = h.chance(20)
		return
	case 2:
		h.policy.Mode = []Mode{Act, Act, Act, Observe, ""}[h.rnd.IntN(5)]
		return
	case 3:
		h.answer = []incident.Outcome{incident.Done, incident.Done, incident.Blocked, incident.Failed}[h.rnd.IntN(4)]
		h.reason = map[incident.Outcome]Reason{incident.Blocked: ReasonBlockedByPDB, incident.Failed: ReasonFailed}[h.answer]
		return
	}
	if len(h.workload.Replicas) == 0 {
		return
	}
	r := &h.workload.Replicas[h.rnd.IntN(len(h.workload.Replicas))]
	h.disturbReplica(r, &r.Containers[0])
}

func (h *history) disturbReplica(r *cluster.Replica, c *cluster.Container) {
	switch h.rnd.IntN(11) {
	case 0, 1:
		for range 1 + h.rnd.IntN(3) { // some die more than once between two looks
			h.die(r, c, []int32{0, 1, 2, 137, 137, 137, 143}[h.rnd.IntN(7)],
				[]string{"Error", "OOMKilled", "OOMKilled", "Completed", "ContainerStatusUnknown"}[h.rnd.IntN(5)])
			h.now = h.now.Add(time.Duration(h.rnd.IntN(3)) * time.Second)
		}
	case 2:
		if c.State == cluster.StateTerminated {
			h.wait(r, c, cluster.ReasonCrashLoopBackOff, "back-off 10s")
		}
	case 3, 4:
		if c.State != cluster.StateRunning {
			h.restart(r, c)
		}
	case 5:
		if c.State == cluster.StateRunning {
			h.setReady(r, true)
		}
	case 6:
		h.setReady(r, false)
	case 7:
		ev := cluster.Event{Reason: "Killing", Message: "Container app failed liveness probe, will be restarted", First: h.now, Last: h.now}
		r.Events = append([]cluster.Event{ev}, r.Events[:min(len(r.Events), 3)]...)
	case 8:
		h.wait(r, c, []string{"ImagePullBackOff", "CreateContainerConfigError", "ContainerCreating"}[h.rnd.IntN(3)], `secret "x" not found`)
	case 9:
		c.OOMEvents++
		c.OOMEventsKnown, c.LastOOMEvent = true, h.now
	case 10:
		if h.chance(30) {
			r.DeletedAt = h.now
			return
		}
		key := r.Name + "/app"
		h.memory[key] = append(h.memory[key], metrics.Point{At: h.now, MemoryBytes: int64(h.rnd.IntN(128)) << 20})
	}
}

// look lets one of the leaders make a pass, in which much can go wrong.
func (h *history) look() {
	l := &leader{name: []string{"a", "b"}[h.rnd.IntN(2)]}
	if h.chance(5) {
		l.stale = time.Minute
	}
	switch h.rnd.IntN(12) {
	case 0:
		l.conflict = true
	case 1:
		l.diesBeforeSave = true
	case 2:
		l.diesAfterSave = true
	case 3:
		l.diesAfterCarry = true
	}
	if h.laggards {
		if h.chance(30) && h.old != nil {
			l.view = h.old
		}
		if h.chance(50) {
			h.old = h.incidents()
		}
	}
	before := len(h.effects)
	in := h.input(l)
	first := Reconcile(in, h.now)
	if h.chance(10) {
		h.checkPure(in)
	}
	h.checkPlan(&in, &first)
	h.pass(l)
	if len(h.effects) > before && h.policy.Mode != Act {
		h.t.Errorf("acted in mode %q", h.policy.Mode)
	}
	h.checkStore()
	if l.name == "a" && l.stale == 0 && h.chance(20) {
		h.checkConverges()
	}
	h.workload.Replicas = h.withoutDeleted()
}

// checkPure verifies that the same input gives the same plan, and that it is not changed.
func (h *history) checkPure(in Input) {
	type given struct {
		I []incident.Incident
		W *cluster.Workload
	}
	text := mustJSON(h.t, given{in.Incidents, in.Workload})
	once := mustJSON(h.t, Reconcile(in, h.now))
	if again := mustJSON(h.t, Reconcile(in, h.now)); once != again {
		h.t.Errorf("the same input gives two plans")
	}
	if text != mustJSON(h.t, given{in.Incidents, in.Workload}) {
		h.t.Errorf("the input was changed")
	}
}

func (h *history) withoutDeleted() []cluster.Replica {
	var out []cluster.Replica
	for _, r := range h.workload.Replicas {
		if !r.Deleting() || h.chance(60) {
			out = append(out, r)
		}
	}
	for n := len(out); n < int(h.workload.Desired) && h.chance(50); n++ {
		h.workload.Replicas = out
		h.setReady(h.add(fmt.Sprintf("web-new-%d", h.births), "n1", 0), h.chance(70))
		out = h.workload.Replicas
	}
	return out
}

// checkPlan verifies that an action is one that the guards allow on this very view.
func (h *history) checkPlan(in *Input, p *Plan) {
	a := p.Action
	if a == nil || a.DryRun {
		return
	}
	w := in.Workload
	if in.Policy.Mode != Act || in.Stale > MaxStale || w.System || w.Self || w.Ref.Kind == cluster.KindDaemonSet ||
		w.Ref.Kind == cluster.KindPod || w.RollingOut {
		h.t.Errorf("an action that a guard forbids: %+v", a)
	}
	var held *incident.Incident
	for i := range p.Save {
		if p.Save[i].Incident.Name == a.Incident {
			held = &p.Save[i].Incident
		}
	}
	if held == nil || held.State != incident.Acting || held.Version == "" {
		h.t.Errorf("the action's intent is not in an incident that is stored and saved: %+v", held)
		return
	}
	if r := held.Remediation(a.RemediationID); r == nil || r.Outcome != incident.Pending || r.By != in.Identity {
		h.t.Errorf("the action has no intent: %+v", r)
	}
	if !Allows(held.Kind, a.Remedy) {
		h.t.Errorf("%s for %s", a.Remedy, held.Kind)
	}
	if !a.TakenOver && !hasLogOf(held, a.Replica) {
		h.t.Errorf("acted on %s without its log", a.Replica)
	}
	if n, found := in.Nodes[h.nodeOf(a.Replica)]; !found || n.Ready != "True" {
		h.t.Errorf("acted on a node that is not ready")
	}
}

func hasLogOf(i *incident.Incident, replica string) bool {
	for _, e := range i.Evidence {
		if e.Kind == incident.EvidenceLog && e.Replica == replica {
			return true
		}
	}
	return false
}

func (h *history) nodeOf(replica string) string {
	if r := h.find(replica); r != nil {
		return r.Node
	}
	return ""
}

func (h *history) checkStore() {
	for name := range h.stored {
		i := h.stored[name]
		checkIncident(h.t, &i)
		if !h.chance(5) {
			continue
		}
		if b, err := json.Marshal(i); err != nil || len(b) > 96<<10 {
			h.t.Errorf("incident %s has %d bytes, %v", i.Name, len(b), err)
		}
	}
	uids, ids := map[string]bool{}, map[string]bool{}
	for n, e := range h.effects {
		if uids[e.uid] || ids[e.id] {
			h.t.Errorf("%s was restarted twice, or for the same remediation %s", e.uid, e.id)
		}
		uids[e.uid], ids[e.id] = true, true
		within := 0
		for _, other := range h.effects[:n+1] {
			if e.at.Sub(other.at) < h.policy.BudgetPeriod {
				within++
			}
		}
		if !h.laggards && within > int(h.policy.BudgetActions) {
			h.t.Errorf("%d actions within %s, the budget is %d", within, h.policy.BudgetPeriod, h.policy.BudgetActions)
		}
		if _, charged := h.charges[e.id]; !charged {
			h.t.Errorf("%s was never charged", e.id)
		}
	}
}

// checkConverges verifies that passes at one time come to an end: nothing is stored on every tick.
func (h *history) checkConverges() {
	answer := h.answer
	for range 10 {
		if p := h.pass(&leader{name: "a"}); len(p.Save) == 0 && p.Action == nil {
			h.answer = answer
			return
		}
	}
	h.t.Errorf("ten passes at one time still have something to store")
}

// heal makes everything well, and expects that every incident comes to its end.
func (h *history) heal() {
	h.answer, h.reason = incident.Done, ""
	h.policy.Mode = Act
	h.workload.RollingOut = false
	for name := range h.nodes {
		h.nodes[name] = cluster.Node{Name: name, Ready: "True", Since: h.now}
	}
	for range 200 {
		h.now = h.now.Add(10 * time.Second)
		h.wellAgain()
		h.pass(&leader{name: "a"})
	}
	for _, i := range h.incidents() {
		checkIncident(h.t, &i)
		if i.State != incident.Resolved {
			h.t.Errorf("incident %s is %s for %s though all is well: %s", i.Name, i.State, i.Reason, i.Message)
		}
	}
}

func (h *history) wellAgain() {
	var alive []cluster.Replica
	for _, r := range h.workload.Replicas {
		if !r.Deleting() {
			alive = append(alive, r)
		}
	}
	h.workload.Replicas = alive
	for n := len(alive); n < int(h.workload.Desired); n++ {
		h.add(fmt.Sprintf("web-new-%d", h.births), "n1", 0)
	}
	for i := range h.workload.Replicas {
		r := &h.workload.Replicas[i]
		if c := &r.Containers[0]; c.State != cluster.StateRunning {
			h.restart(r, c)
		}
		h.setReady(r, true)
	}
}
