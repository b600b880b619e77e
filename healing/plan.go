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
	ReasonCarriedOut        Reason = "CarriedOut"   // the platform did it; its effect is watched
	ReasonNotHelped         Reason = "DidNotHelp"   // carried out, and the workload did not get healthy in time
	ReasonStillServing      Reason = "StillServing" // ready again: a restart would only cost
	ReasonReclassified      Reason = "Reclassified" // a later look knows the kind better
	ReasonWorkloadGone      Reason = "WorkloadGone" // nothing is left that could be healthy
)

// MemoryView gives the points that are kept of a container's usage, oldest first; nil where nothing is known.
type MemoryView func(replica, container string) []metrics.Point

// MaxStale is the age above which a view is too old to act on: three times the slowest usual resync of what is watched
// at once (a node's heartbeat, a scrape), and below the node controller's grace period of 40 s.
const MaxStale = 15 * time.Second

// Input is all that one pass over one workload is decided from. Nothing in it is changed.
type Input struct {
	// Workload is nil where the workload is gone and only its incidents are left, which are then resolved.
	Workload *cluster.Workload
	Nodes    map[string]cluster.Node
	Memory   MemoryView
	Policy   Policy
	// Incidents of the workload that are stored, active and resolved.
	Incidents []incident.Incident
	// Spent are the times of the actions already charged to the workload's budget.
	Spent []time.Time
	// Stale is how old the view is. Above MaxStale nothing is acted on, resolved or judged; a view that was never
	// complete is older than any age.
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
	// Capture lists logs to fetch and attach (incident.Incident.Attach) before the incident is stored.
	Capture []Capture
	// Event is the reason to emit an event with, empty for none; its message is Incident.Message.
	Event Reason
}

// Capture asks for the log of one container's life.
type Capture struct {
	Replica, ReplicaUID, Container string
	// Previous asks for the life before the present one.
	Previous bool
	// ContainerID is the life that is meant, empty where it is not known or the present life is wanted.
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
	// Charge is true where the budget must be charged first, under RemediationID. A remediation is charged once: a retry
	// and an intent that is taken over were charged before, unless whoever wrote the intent died before charging.
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
