package control

import (
	"context"
	"errors"
	"time"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// ErrConflict is returned by a write whose target was changed by somebody else in between. The loop looks again and
// decides anew; nothing was written.
var ErrConflict = errors.New("changed in between")

// ErrNotYet is returned by Observe, beside the observation, while a source that is asked for the first time has not
// answered yet. The loop waits a while before it decides without: what is about to be known is not away.
var ErrNotYet = errors.New("not read yet")

// ErrBudget is returned by Ledger.Charge when the stored budget is spent already.
var ErrBudget = errors.New("budget exhausted")

// Mode of an autoscaler.
type Mode string

// The modes of an autoscaler.
const (
	Active Mode = "Active"
	DryRun Mode = "DryRun" // decide and record, do not write the number
	Paused Mode = "Paused" // do not decide
)

// Autoscaler is one scaling object with its target, as the platform knows it.
type Autoscaler struct {
	Ref        cluster.Ref
	Generation int64
	Mode       Mode
	// Target is the object that is scaled.
	Target cluster.Ref
	Policy hpa.Policy
	// Period is the least time between two decisions; 0: every pass decides.
	Period time.Duration
	// Stored reads the history that the platform keeps of the autoscaler; nil: it keeps none. It is where the first decision
	// of this process goes on from; later ones go on from the loop's own, so that it is not called for them.
	Stored func() hpa.History
	// Invalid says what is wrong with the spec or the target: field, value, what is allowed; empty: nothing is.
	Invalid string
	// InvalidReason is the condition's reason for it, such as InvalidSpec or AmbiguousTarget.
	InvalidReason string
}

// ScalingSource lists autoscalers and observes their targets. Both read caches and are cheap.
type ScalingSource interface {
	// Autoscalers returns every autoscaler, in a stable order.
	Autoscalers(ctx context.Context) ([]Autoscaler, error)
	// Observe returns what a decision about the autoscaler's target is made from. An error means that the target itself
	// cannot be read (it does not exist, say); missing usage is not an error but a part of the observation. The observation is
	// complete beside ErrNotYet, too.
	Observe(ctx context.Context, a Autoscaler, now time.Time) (hpa.Observation, error)
}

// ScalingWriter is the write side of scaling.
type ScalingWriter interface {
	// Scale writes the target's number of replicas from rec.Current to rec.Desired. ErrConflict if the target no longer
	// asks for rec.Current.
	Scale(ctx context.Context, a Autoscaler, rec hpa.Recommendation) error
	// Report stores what was decided in the autoscaler's status, with the history that the next decision goes on from, and
	// emits events. It writes only what changed; it may be called on every pass. err is the error of Scale or Observe, nil
	// if there was none.
	Report(ctx context.Context, a Autoscaler, rec hpa.Recommendation, h hpa.History, err error) error
}

// HealingSource gives the healing loop all that it reads.
type HealingSource interface {
	ClusterSource
	UsageSource
	RecordSource
	// PolicyFor returns the policy that governs the workload; ok is false where the workload is not watched at all.
	PolicyFor(w *cluster.Workload) (p healing.Policy, ok bool)
}

// ClusterSource is the view of the cluster.
type ClusterSource interface {
	// Snapshot returns the present view; it reads caches.
	Snapshot(now time.Time) *cluster.Snapshot
	// Trouble says what is wrong with the platform's API at the moment, a sentence; empty: nothing is known to be.
	Trouble(now time.Time) string
	// Home is the namespace in which incidents about the cluster and its nodes are kept; empty: they are not.
	Home() string
}

// UsageSource is what containers use.
type UsageSource interface {
	// Memory returns the view on the usage of the containers of one namespace.
	Memory(namespace string) healing.MemoryView
	// Trend returns the long history of the usage of the containers of one namespace.
	Trend(namespace string) healing.TrendView
}

// RecordSource is what was stored before.
type RecordSource interface {
	// Incidents returns the stored incidents of a workload, active and resolved.
	Incidents(w cluster.Ref) []incident.Incident
	// AllIncidents returns every stored incident that is active, and those that were resolved in the last hour.
	AllIncidents() []incident.Incident
	// Spent returns the times of the actions charged to the workload under the policy.
	Spent(p healing.Policy, w cluster.Ref) []time.Time
	// ClusterSpent returns the times of the actions charged to the budget of the cluster.
	ClusterSpent() []time.Time
}

// IncidentStore is the write side of incidents.
type IncidentStore interface {
	// Save creates the incident (Version is empty) or replaces it by compare-and-swap, and returns it with its new
	// Version. ErrConflict if it exists already or was changed in between.
	Save(ctx context.Context, in incident.Incident) (incident.Incident, error)
	// Expire removes resolved incidents that are too old or too many. It is called now and then, beside the passes, with a ctx that
	// ends after a while; what is left then follows with the next call.
	Expire(ctx context.Context, now time.Time) error
	// Announce emits an event about the incident's workload.
	Announce(ctx context.Context, in incident.Incident, reason healing.Reason, message string)
}

// Surgeon carries out remediations and captures logs.
type Surgeon interface {
	// Capture fetches the log that is asked for. It never fails: where there is none, the evidence says why.
	Capture(ctx context.Context, w *cluster.Workload, c healing.Capture) incident.Evidence
	// Charge takes one action from the workload's stored budget, by compare-and-swap; the same remediation is charged
	// once. ErrBudget if nothing is left.
	Charge(ctx context.Context, p healing.Policy, w cluster.Ref, remediationID string, now time.Time) error
	// ChargeCluster takes one action from the stored budget of the cluster, by compare-and-swap; the same remediation is charged
	// once. ErrBudget if nothing is left.
	ChargeCluster(ctx context.Context, b healing.ClusterBudget, remediationID string, now time.Time) error
	// Carry carries out the action, or with DryRun asks the platform whether it would. It is safe to call again for the same action.
	Carry(ctx context.Context, a healing.Action) healing.Result
}

// Recorder keeps the journal and counts. Its calls never block.
type Recorder interface {
	// Decided is called after every decision, with all that it was made from: the observation and the history as it was
	// before. err is the error of the write that followed, nil if there was none.
	Decided(a Autoscaler, obs hpa.Observation, before hpa.History, rec hpa.Recommendation, err error)
	// Incident is called after every stored change of an incident.
	Incident(in incident.Incident)
	// Acted is called after every action.
	Acted(a healing.Action, r healing.Result, at time.Time)
	// Healed is called in every healing pass over a complete view, after its plans were made.
	Healed(v HealingView)
	// Turned is called at the end of each pass of a loop ("scaling" or "healing") with its duration.
	Turned(loop string, took time.Duration, err error)
}

// HealingView is what a healing pass knows beside its plans. Nothing in it is changed any more.
type HealingView struct {
	// At is the time of the pass.
	At time.Time
	// Incidents are those that were stored at its beginning: active ones, and those that were resolved in the last hour.
	Incidents []incident.Incident
	// Budgets of the workloads that have spent any of theirs, in the order of the snapshot.
	Budgets []BudgetLeft
	// Cluster is what is left of the budget of the cluster; nil where there is none.
	Cluster *int32
	// Breaker says why no remedy may be carried out anywhere, a sentence; empty: none forbids it.
	Breaker string
}

// BudgetLeft is what is left of a workload's budget.
type BudgetLeft struct {
	Workload cluster.Ref
	// Policy is the name of the HealingPolicy, empty for the default.
	Policy string
	// Left are the actions that are left, at least 0.
	Left int32
}
