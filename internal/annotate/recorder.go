package annotate

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
)

// Annotations queues annotations and sends them. Make it with New; nothing is sent before Run. Its Recorder's calls never block, and are safe for
// concurrent use.
type Annotations struct {
	options Options
	queue   chan note
	dropped atomic.Int64

	mu sync.Mutex
	// open are the incidents that are annotated as begun, so that their further changes say nothing new.
	open map[string]struct{}
}

var _ control.Recorder = (*Annotations)(nil)

// The tags that tell what an annotation is about, in the words of the journal.
const (
	ofDecision = "decision"
	ofIncident = "incident"
	ofAction   = "action"
)

// note is one annotation on its way.
type note struct {
	// incident is the id whose annotation it is, "namespace/name"; empty: the note is one of a moment, and nothing follows it.
	incident string
	from, to time.Time // to is zero while it lasts, and for a moment
	text     string
	tags     []string
}

// New returns Annotations; every error names what is wrong with the options.
func New(o Options) (*Annotations, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Annotations{options: o, queue: make(chan note, Queue), open: map[string]struct{}{}}, nil
}

// Length returns how many annotations wait.
func (a *Annotations) Length() int { return len(a.queue) }

// Dropped returns how many annotations were not written and will not be.
func (a *Annotations) Dropped() int64 { return a.dropped.Load() }

// Decided annotates a number of replicas that was written.
func (a *Annotations) Decided(of control.Autoscaler, _ hpa.Observation, _ hpa.History, rec hpa.Recommendation, err error) {
	if of.Mode != control.Active || err != nil || len(rec.Steps) == 0 || !rec.Change() {
		return
	}
	a.put(note{
		from: rec.At, text: fmt.Sprintf("%s %d → %d replicas: %s", of.Target, rec.Current, rec.Desired, rec.Message),
		tags: a.tags(ofDecision, "Scaled", of.Target, cluster.DecisionID(of.Ref, rec.At, rec.Current, rec.Desired)),
	})
}

// Incident annotates the beginning of an incident and, as the same annotation, its end. One that only tells what happened to a replica is left out.
func (a *Annotations) Incident(in incident.Incident) {
	if in.Kind.Notice() {
		return
	}
	id := cluster.IncidentID(in.Namespace, in.Name)
	a.mu.Lock()
	defer a.mu.Unlock()
	_, open := a.open[id]
	if in.State.Active() && open {
		return
	}
	n := note{incident: id, from: in.StartedAt, text: fmt.Sprintf("%s of %s: %s", in.Kind, in.Workload, in.Cause), tags: a.tags(ofIncident, string(in.Kind), in.Workload, id)}
	if n.from.IsZero() {
		n.from = in.OpenedAt
	}
	if !in.State.Active() {
		n.to = in.ResolvedAt
		n.text = fmt.Sprintf("%s (%s)", n.text, in.Message)
		delete(a.open, id)
		a.put(n)
		return
	}
	// One that did not fit is tried again with the incident's next change.
	if a.put(n) && len(a.open) < maxRemembered {
		a.open[id] = struct{}{}
	}
}

// Acted annotates what was carried out: a rollback, a restart, a limit that was raised.
func (a *Annotations) Acted(action healing.Action, r healing.Result, at time.Time) {
	if r.Outcome != incident.Done && r.Outcome != incident.Succeeded {
		return
	}
	on := action.Workload.String()
	if action.Replica != "" {
		on = action.Replica + " of " + on
	}
	a.put(note{
		from: at, text: fmt.Sprintf("%s %s: %s", action.Remedy, on, r.Message),
		tags: a.tags(ofAction, string(action.Remedy), action.Workload, cluster.IncidentID(action.Workload.Namespace, action.Incident)),
	})
}

// Healed annotates nothing.
func (a *Annotations) Healed(control.HealingView) {}

// Turned annotates nothing.
func (a *Annotations) Turned(string, time.Duration, error) {}

func (a *Annotations) put(n note) bool {
	select {
	case a.queue <- n:
		return true
	default:
		a.dropped.Add(1)
		return false
	}
}

func (a *Annotations) tags(of, kind string, workload cluster.Ref, id string) []string {
	out := append([]string{Tag, of, "kind:" + kind}, a.options.Tags...)
	if workload.Namespace != "" {
		out = append(out, "namespace:"+workload.Namespace)
	}
	if workload.Name != "" {
		out = append(out, tag("workload", workload.Name))
	}
	return append(out, tag("id", id))
}
