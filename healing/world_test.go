package healing

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

// epoch is when every story begins.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is a small cluster with one workload, a store of incidents and a budget. The stories and the model test play
// both leaders and everything that can go wrong on it.
type world struct {
	now      time.Time
	workload *cluster.Workload
	nodes    map[string]cluster.Node
	memory   map[string][]metrics.Point
	policy   Policy
	stored   map[string]incident.Incident
	version  int
	charges  map[string]time.Time // by remediation
	effects  []effect
	// answer is what the platform says to an action; noReplace leaves the place of an evicted replica empty.
	answer    incident.Outcome
	reason    Reason
	says      string // in what words it refuses
	noReplace bool
	// answerLost does what is asked for and says that it failed; chargeFails is the ledger that does not answer.
	answerLost, chargeFails bool
	// by is the remediation that last wrote the workload, as a platform keeps it to be safe to call again.
	by string
	// lingers leaves an evicted replica in the view as it was.
	lingers bool
	births  int
	touched int            // writes that only brought times up to date
	lives   map[string]int // by replica and container
	// extra are findings beside those of the checks; climate is what the survey says, without what is spent.
	extra   []incident.Finding
	climate Climate
	// late is why the breaker opens once what this very pass found everywhere is counted; hasty acts without waiting for that.
	late    string
	hasty   bool
	lines   map[string][]string // what a replica writes into its log
	trend   map[string][]metrics.TrendPoint
	quiet   bool // nothing is worded
	found   []incident.Finding
	aborted bool // the last plan was not stored whole
	// inspect is asked about each plan before it is carried out.
	inspect func(plan *Plan)
	log     func(format string, args ...any)
}

// effect is an action that was carried out.
type effect struct {
	at     time.Time
	id     string
	uid    string
	remedy incident.Remedy
	what   string
}

func newWorld() *world {
	p := DefaultPolicy()
	p.Mode = Act
	return &world{
		now:      epoch,
		workload: &cluster.Workload{Ref: cluster.Ref{Kind: cluster.KindDeployment, Namespace: "demo", Name: "web"}},
		nodes:    map[string]cluster.Node{"n1": {Name: "n1", Ready: "True", Since: epoch.Add(-time.Hour)}},
		memory:   map[string][]metrics.Point{}, policy: p, stored: map[string]incident.Incident{},
		charges: map[string]time.Time{}, answer: incident.Done, lives: map[string]int{}, lines: map[string][]string{},
		trend: map[string][]metrics.TrendPoint{},
		log:   func(string, ...any) {},
	}
}

// add puts a running and ready replica with one container into the workload.
func (w *world) add(name, node string, age time.Duration) *cluster.Replica {
	w.births++
	at := w.now.Add(-age)
	c := cluster.Container{
		Name: "app", Kind: cluster.ContainerMain, Image: "web:1.4", State: cluster.StateRunning, StartedAt: at, Ready: true,
		Started: true, MemoryLimit: 128 << 20,
	}
	w.workload.Replicas = append(w.workload.Replicas, cluster.Replica{
		Name: name, UID: "u" + strconv.Itoa(w.births), Node: node, Revision: w.workload.Revision, Phase: cluster.PhaseRunning,
		CreatedAt: at, StartedAt: at, Ready: true, ReadySince: at, Containers: []cluster.Container{c},
	})
	w.lives[name+"/app"] = 1
	return &w.workload.Replicas[len(w.workload.Replicas)-1]
}

func (w *world) find(name string) *cluster.Replica {
	for i := range w.workload.Replicas {
		if w.workload.Replicas[i].Name == name {
			return &w.workload.Replicas[i]
		}
	}
	return nil
}

func (w *world) remove(name string) {
	w.workload.Replicas = slices.DeleteFunc(w.workload.Replicas, func(r cluster.Replica) bool { return r.Name == name })
}

func (w *world) setReady(r *cluster.Replica, ready bool) {
	if r.Ready != ready {
		r.ReadySince = w.now
	}
	r.Ready = ready
	r.ReadyReason = ""
	if !ready {
		r.ReadyReason = "ContainersNotReady"
	}
	for i := range r.Containers {
		r.Containers[i].Ready = ready
	}
}

func lifeID(r *cluster.Replica, c *cluster.Container, n int) string {
	return fmt.Sprintf("%s-%s-%d", r.Name, c.Name, n)
}

// die ends the present life of a container.
func (w *world) die(r *cluster.Replica, c *cluster.Container, code int32, reason string) *cluster.Termination {
	started := c.StartedAt
	if c.State != cluster.StateRunning {
		w.restart(r, c)
		started = w.now
	}
	t := &cluster.Termination{
		ContainerID: lifeID(r, c, w.lives[r.Name+"/"+c.Name]), ExitCode: code, Reason: reason, StartedAt: started, FinishedAt: w.now,
	}
	c.State, c.Terminated, c.StartedAt, c.WaitingReason, c.WaitingMessage = cluster.StateTerminated, t, time.Time{}, "", ""
	w.setReady(r, false)
	return t
}

// settle moves the present death into the place of the last one.
func (c *containerRef) settle() {
	if c.Terminated != nil {
		c.Last, c.Terminated = c.Terminated, nil
	}
}

type containerRef struct{ *cluster.Container }

// restart begins the next life of a container.
func (w *world) restart(r *cluster.Replica, c *cluster.Container) {
	(&containerRef{c}).settle()
	c.State, c.StartedAt, c.WaitingReason, c.WaitingMessage = cluster.StateRunning, w.now, "", ""
	c.Restarts++
	w.lives[r.Name+"/"+c.Name]++
}

// wait puts a container into a waiting state.
func (w *world) wait(r *cluster.Replica, c *cluster.Container, reason, message string) {
	(&containerRef{c}).settle()
	c.State, c.StartedAt, c.WaitingReason, c.WaitingMessage = cluster.StateWaiting, time.Time{}, reason, message
	w.setReady(r, false)
}

func (w *world) incidents() []incident.Incident {
	out := make([]incident.Incident, 0, len(w.stored))
	for _, name := range slices.Sorted(maps.Keys(w.stored)) {
		out = append(out, w.stored[name]) // nothing that is given to the engine is changed by it: checkPure
	}
	return out
}

func (w *world) spent() []time.Time {
	var out []time.Time
	for _, at := range w.charges {
		if w.now.Sub(at) < w.policy.BudgetPeriod {
			out = append(out, at)
		}
	}
	slices.SortFunc(out, time.Time.Compare)
	return out
}

// leader is one controller: its view of the store may be older than the store.
type leader struct {
	name string
	// view is used in place of the store until it is dropped.
	view []incident.Incident
	// workload is used in place of the present one: an old look.
	workload *cluster.Workload
	// breaks changes what the engine is given, and its plan, for the test that shows that the checks can fail.
	breaks func(in *Input, plan *Plan)
	// what goes wrong in this pass
	stale          time.Duration
	conflict       bool // a save is refused though nothing changed
	diesBeforeSave bool // the plan is lost
	diesAfterSave  bool // the intent is stored, nothing is carried out
	diesAfterCarry bool // the action is carried out, its outcome is not stored
}

var errConflict = errors.New("conflict")

func (w *world) save(l *leader, in incident.Incident) (incident.Incident, error) {
	old, exists := w.stored[in.Name]
	if l.conflict || exists && old.Version != in.Version || !exists && in.Version != "" {
		return in, errConflict
	}
	w.version++
	in.Version = strconv.Itoa(w.version)
	w.stored[in.Name] = in
	return in, nil
}

func (w *world) input(l *leader) Input {
	in := Input{
		Workload: w.workload, Nodes: w.nodes, Policy: w.policy, Incidents: l.view, Spent: w.spent(), Stale: l.stale,
		Identity: l.name, Climate: w.climateNow(),
		Trend:  func(replica, container string) []metrics.TrendPoint { return w.trend[replica+"/"+container] },
		Memory: func(replica, container string) []metrics.Point { return w.memory[replica+"/"+container] },
	}
	if l.view == nil {
		in.Incidents = w.incidents()
	}
	if l.workload != nil {
		in.Workload = l.workload
	}
	return in
}

// pass is one pass of the loop: evidence, budget, intent, action, outcome.
func (w *world) pass(l *leader) Plan {
	w.aborted = false
	in := w.input(l)
	if l.breaks != nil {
		l.breaks(&in, nil)
	}
	w.found = w.findings(&in)
	plan := reconcile(&in, slices.Clone(w.found), w.now)
	if !w.hasty {
		plan = withhold(&in, slices.Clone(w.found), plan, w.late, w.now)
	}
	if l.breaks != nil {
		l.breaks(&in, &plan)
	}
	if w.inspect != nil {
		w.inspect(&plan)
	}
	if l.diesBeforeSave {
		return plan
	}
	var intent incident.Incident
	for _, s := range plan.Save {
		in := s.Incident
		for _, c := range s.Capture {
			in = Attach(in, w.captureLog(c))
		}
		mine := plan.Action != nil && plan.Action.Incident == in.Name
		if mine && plan.Action.Charge && !w.charge(plan.Action.RemediationID) {
			w.log("charge refused")
			w.aborted = true
			return plan
		}
		old := w.stored[in.Name]
		stored, err := w.save(l, in)
		if err != nil {
			w.log("save of %s: %v", in.Name, err)
			w.aborted = true
			return plan
		}
		if mine {
			intent = stored
		}
		w.describe(&old, &stored, s.Event)
		for _, e := range stored.Evidence[len(stored.Evidence)-len(s.Capture):] {
			w.log("  captured: %s", e.Message)
		}
	}
	if plan.Action == nil || l.diesAfterSave {
		return plan
	}
	a := *plan.Action
	res := w.carry(a)
	w.log("act: %s %s charge=%t takenOver=%t -> %s %s", a.Remedy, targetOf(&a), a.Charge, a.TakenOver, res.Outcome, res.Reason)
	if l.diesAfterCarry {
		return plan
	}
	done := Complete(intent, a.RemediationID, res, w.now)
	if stored, err := w.save(l, done); err == nil {
		w.describe(&intent, &stored, "")
	}
	return plan
}

func (w *world) charge(id string) bool {
	if w.chargeFails {
		return false
	}
	if _, known := w.charges[id]; known {
		return true
	}
	if int32(len(w.spent())) >= w.policy.BudgetActions {
		return false
	}
	if b := w.climate.Budget; b.Actions > 0 && len(w.climateNow().Spent) >= int(b.Actions) {
		return false
	}
	w.charges[id] = w.now
	return true
}

// captureLog gives the log of the life that the platform would give.
func (w *world) captureLog(c Capture) incident.Evidence {
	e := incident.Evidence{Kind: incident.EvidenceLog, At: w.now, Replica: c.Replica, Container: c.Container}
	r := w.find(c.Replica)
	if r == nil || r.UID != c.ReplicaUID {
		e.Message = "no log: the replica is gone"
		return e
	}
	n := w.lives[c.Replica+"/"+c.Container]
	life := r.Container(c.Container)
	if c.Previous && life != nil && life.State != cluster.StateWaiting {
		n--
	}
	e.Message = "log of " + fmt.Sprintf("%s-%s-%d", c.Replica, c.Container, n)
	e.Lines = append([]string{e.Message}, w.lines[c.Replica]...)
	return e
}

// describe logs what changed between two versions of an incident.
func (w *world) describe(old, now *incident.Incident, event Reason) {
	if w.quiet {
		return
	}
	if old.State == now.State && old.Occurrences == now.Occurrences && event == "" && len(old.Timeline) == len(now.Timeline) {
		w.touched++
		return
	}
	line := fmt.Sprintf("%s: %s", now.Name, now.State)
	if old.State != "" && old.State != now.State {
		line = fmt.Sprintf("%s: %s -> %s", now.Name, old.State, now.State)
	}
	if old.Occurrences != now.Occurrences {
		line += fmt.Sprintf(", %d seen", now.Occurrences)
	}
	if event != "" {
		line += ", event " + string(event)
	}
	w.log("%s", line)
	seen := len(old.Timeline)
	for _, e := range now.Timeline[min(seen, len(now.Timeline)):] {
		w.log("  %s: %s", e.Reason, e.Message)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
