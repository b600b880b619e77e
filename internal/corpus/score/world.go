package score

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"time"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/corpus"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

// home is where the incidents about nodes and the cluster are kept.
const home = "homeostat-system"

// Act is one action that the engine carried out in a replay.
type Act struct {
	At     time.Time
	Action healing.Action
	// Kind of the incident that it was for.
	Kind incident.Kind
	// Harm says why it must not be, empty where it may.
	Harm string
	// Blocked is true where a PodDisruptionBudget refused it, so that nothing was done.
	Blocked bool
}

// world is the platform of a replay: the recorded objects, a store of incidents in memory, and a surgeon whose actions all
// succeed and change nothing.
type world struct {
	objects *objects
	policy  healing.Policy
	logs    []*corpus.Line
	judge   func(w *world, a healing.Action, k incident.Kind) string

	// Several workloads' plans are carried out side by side.
	mu        sync.Mutex
	now       time.Time
	view      *cluster.Snapshot
	version   int
	incidents map[string]incident.Incident // by namespace/name
	opened    []incident.Incident          // as they were when they were stored first, in that order
	spent     map[string][]time.Time       // by workload
	charged   map[string]bool              // IDs of remediations
	acts      []Act
}

var (
	_ control.HealingSource = (*world)(nil)
	_ control.IncidentStore = (*world)(nil)
	_ control.Surgeon       = (*world)(nil)
)

// Snapshot implements control.HealingSource.
func (w *world) Snapshot(time.Time) *cluster.Snapshot { return w.view }

// Memory implements control.HealingSource.
func (w *world) Memory(namespace string) healing.MemoryView {
	return func(replica, container string) []metrics.Point {
		return w.objects.store.Points(metrics.Key{Namespace: namespace, Pod: replica, Container: container})
	}
}

// Trend implements control.HealingSource.
func (w *world) Trend(namespace string) healing.TrendView {
	return func(replica, container string) []metrics.TrendPoint {
		return w.objects.store.Trend(metrics.Key{Namespace: namespace, Pod: replica, Container: container})
	}
}

// PolicyFor implements control.HealingSource: one policy for all.
func (w *world) PolicyFor(*cluster.Workload) (healing.Policy, bool) { return w.policy, true }

// Home implements control.HealingSource.
func (*world) Home() string { return home }

// Trouble implements control.HealingSource: a recording knows of none.
func (*world) Trouble(time.Time) string { return "" }

// AllIncidents implements control.HealingSource.
func (w *world) AllIncidents() []incident.Incident {
	return w.stored(func(in *incident.Incident) bool {
		return in.State.Active() || w.now.Sub(in.ResolvedAt) <= time.Hour
	})
}

// Incidents implements control.HealingSource.
func (w *world) Incidents(ref cluster.Ref) []incident.Incident {
	return w.stored(func(in *incident.Incident) bool { return in.Workload.Same(ref) })
}

// stored returns the incidents that are wanted, oldest first.
func (w *world) stored(want func(*incident.Incident) bool) []incident.Incident {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []incident.Incident
	for _, in := range w.incidents {
		if want(&in) {
			out = append(out, in.Clone())
		}
	}
	slices.SortFunc(out, func(a, b incident.Incident) int {
		return cmp.Or(a.OpenedAt.Compare(b.OpenedAt), cmp.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name))
	})
	return out
}

// Spent implements control.HealingSource.
func (w *world) Spent(_ healing.Policy, ref cluster.Ref) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.spent[ref.String()])
}

// ClusterSpent implements control.HealingSource.
func (w *world) ClusterSpent() []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.spent[""])
}

// Save implements control.IncidentStore.
func (w *world) Save(_ context.Context, in incident.Incident) (incident.Incident, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := in.Namespace + "/" + in.Name
	if w.incidents[name].Version != in.Version {
		return in, control.ErrConflict
	}
	fresh := in.Version == ""
	w.version++
	in.Version = strconv.Itoa(w.version)
	w.incidents[name] = in.Clone()
	if fresh {
		w.opened = append(w.opened, in.Clone())
	}
	return in, nil
}

// Expire implements control.IncidentStore: a recording is too short for that.
func (*world) Expire(context.Context, time.Time) error { return nil }

// Announce implements control.IncidentStore.
func (*world) Announce(context.Context, incident.Incident, healing.Reason, string) {}

// Charge implements control.Surgeon.
func (w *world) Charge(_ context.Context, _ healing.Policy, ref cluster.Ref, id string, now time.Time) error {
	w.charge(ref.String(), id, now)
	return nil
}

// ChargeCluster implements control.Surgeon.
func (w *world) ChargeCluster(_ context.Context, _ healing.ClusterBudget, id string, now time.Time) error {
	w.charge("", id, now)
	return nil
}

// charge notes one action; whether there is one left is for the engine to know.
func (w *world) charge(account, id string, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.charged[account+" "+id] {
		return
	}
	w.charged[account+" "+id] = true
	w.spent[account] = append(w.spent[account], now)
}

// Capture implements control.Surgeon with the recorded logs.
func (w *world) Capture(_ context.Context, _ *cluster.Workload, c healing.Capture) incident.Evidence {
	out := incident.Evidence{
		Kind: incident.EvidenceLog, At: w.now, Replica: c.Replica, Container: c.Container, Source: "kubelet",
		Message: "no log of this life was recorded",
	}
	id := c.ContainerID
	if id == "" {
		id = w.living(c)
	}
	for _, l := range w.logs {
		if l.Log.PodUID != c.ReplicaUID || l.Log.Container != c.Container || l.Log.ContainerID != id {
			continue
		}
		out.Lines = until(l.Log.Lines, w.now)
		out.Message = "the last lines of container " + c.Container
	}
	return out
}

// living returns the ID of the container's present life.
func (w *world) living(c healing.Capture) string {
	pod := w.objects.pod(c.ReplicaUID)
	if pod == nil {
		return ""
	}
	for _, s := range slices.Concat(pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses, pod.Status.EphemeralContainerStatuses) {
		if s.Name == c.Container {
			return s.ContainerID
		}
	}
	return ""
}

// until leaves out the lines that were written later: the log of a life was read at its end.
func until(lines []string, now time.Time) []string {
	var out []string
	for _, line := range lines {
		var written struct {
			Time time.Time `json:"time"`
		}
		if json.Unmarshal([]byte(line), &written) == nil && written.Time.After(now) {
			continue
		}
		out = append(out, line)
	}
	return out
}

// Carry implements control.Surgeon: the action is judged, and succeeds unless a PodDisruptionBudget refuses it.
func (w *world) Carry(_ context.Context, a healing.Action) healing.Result {
	if a.DryRun {
		return healing.Result{Outcome: incident.DryRun, Reason: healing.ReasonObserveOnly, Message: "not carried out"}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	act := Act{At: w.now, Action: a}
	for _, in := range w.incidents {
		if in.Name == a.Incident {
			act.Kind = in.Kind
		}
	}
	if a.Remedy == incident.RemedyRestart && w.objects.protected(a.ReplicaUID) {
		act.Blocked = true
		w.acts = append(w.acts, act)
		return healing.Result{Outcome: incident.Blocked, Reason: healing.ReasonBlockedByPDB, Message: "a PodDisruptionBudget refuses the eviction"}
	}
	act.Harm = w.judge(w, a, act.Kind)
	w.acts = append(w.acts, act)
	return healing.Result{Outcome: incident.Done, Reason: healing.ReasonCarriedOut, Message: "carried out"}
}

// protected reports whether the API server would refuse to evict the pod (pkg/registry/core/pod/storage/eviction.go): a budget
// has no disruption left, unless the pod is not ready and enough others are.
func (o *objects) protected(uid string) bool {
	pod := o.pod(uid)
	if pod == nil {
		return false
	}
	ready := slices.ContainsFunc(pod.Status.Conditions, podReady)
	for _, x := range o.raw {
		pdb, is := x.(*policyv1.PodDisruptionBudget)
		if !is || pdb.Status.DisruptionsAllowed > 0 {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(pdb.Spec.Selector)
		if err != nil || !selector.Matches(labels.Set(pod.Labels)) {
			continue
		}
		if ready || pdb.Status.DesiredHealthy == 0 || pdb.Status.CurrentHealthy < pdb.Status.DesiredHealthy {
			return true
		}
	}
	return false
}
