package healing

import (
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

// Reason says in one word why a step was taken or refused. The set is bounded; it is the same in the incident, events,
// metric labels, the journal and the CLI.
type Reason string

// The reasons.
const (
	ReasonOpened            Reason = "IncidentOpened"
	ReasonSeenAgain         Reason = "SeenAgain"
	ReasonResolved          Reason = "IncidentResolved"
	ReasonRemediationStart  Reason = "RemediationStarted"
	ReasonSucceeded         Reason = "RemediationSucceeded"
	ReasonFailed            Reason = "RemediationFailed"
	ReasonObserveOnly       Reason = "ObserveOnly"       // the mode is Observe
	ReasonNoRemedy          Reason = "NoRemedy"          // the policy or the default says None
	ReasonNotOwned          Reason = "NotOwned"          // a bare pod: nobody would make it again
	ReasonProtected         Reason = "ProtectedWorkload" // system, self, DaemonSet, static, Job
	ReasonStaleSnapshot     Reason = "StaleSnapshot"     // the view is too old to act on
	ReasonNoEvidence        Reason = "NoEvidence"        // the evidence is not stored yet
	ReasonMinHealthy        Reason = "MinHealthy"        // too few replicas would be ready after it
	ReasonRollingOut        Reason = "RollingOut"        // a rollout is under way
	ReasonCooldown          Reason = "Cooldown"
	ReasonBudgetExhausted   Reason = "BudgetExhausted"
	ReasonAlreadyTried      Reason = "AlreadyTried" // this remedy was tried for this cause and did not help
	ReasonBlockedByPDB      Reason = "BlockedByPDB"
	ReasonReplicaGone       Reason = "ReplicaGone"
	ReasonNodeNotReady      Reason = "NodeNotReady" // the replica's node is not ready: the control plane deals with it
	ReasonTakenOver         Reason = "TakenOver"    // an intent of another leader is carried on
	ReasonRecovered         Reason = "Recovered"    // healthy again without an action
	ReasonAwaitingOtherWork Reason = "ActionUnderWay"
)

// MemoryView gives the points that are kept of a container's usage, oldest first; nil where nothing is known.
type MemoryView func(replica, container string) []metrics.Point

// Input is all that one pass over one workload is decided from.
type Input struct {
	Workload *cluster.Workload
	Nodes    map[string]cluster.Node
	Memory   MemoryView
	Policy   Policy
	// Incidents of the workload that are stored, active and resolved.
	Incidents []incident.Incident
	// Spent are the times of the actions already charged to the workload's budget.
	Spent []time.Time
	// Stale is how old the view is.
	Stale time.Duration
	// Identity of this controller, written into remediations.
	Identity string
}

// Plan is what one pass wants done, in this order: capture and save the incidents, then carry out the action.
type Plan struct {
	// Save are incidents to create (Version is empty) or to update by compare-and-swap. Unchanged ones are not in it.
	Save []Save
	// Action is at most one per pass and workload, nil for none.
	Action *Action
}

// Save is one incident to store and what has to be captured first.
type Save struct {
	Incident incident.Incident
	// Capture lists logs to fetch and attach before the incident is stored.
	Capture []Capture
	// Event is the reason to emit an event with, empty for none; its message is Incident.Message.
	Event Reason
}

// Capture asks for the log of one container's life.
type Capture struct {
	Replica, ReplicaUID, Container string
	// Previous asks for the life before the present one.
	Previous bool
	// Death is the life that is meant, zero where the log of the present life is wanted.
	ContainerID string
}

// Action is one write to the cluster, decided and not yet carried out. Its intent is in the incident that is saved in
// the same plan (or, with TakenOver, was saved by another leader).
type Action struct {
	// Incident is the name of the incident whose intent it is; RemediationID the remediation's.
	Incident      string
	RemediationID string
	Remedy        incident.Remedy
	Workload      cluster.Ref
	Replica       string
	ReplicaUID    string
	// Charge is true where the budget must be charged first; an intent that is taken over was charged when it was written.
	Charge    bool
	TakenOver bool
	Reason    Reason
	Message   string
}

// Result of an action, as the platform saw it.
type Result struct {
	Outcome incident.Outcome
	Reason  Reason
	Message string
}
