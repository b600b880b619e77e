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
	ReasonBreakerOpen       Reason = "BreakerOpen"  // so much fails in the cluster that nothing is acted on
	ReasonClusterBudget     Reason = "ClusterBudgetExhausted"
	ReasonDependencyDown    Reason = "DependencyDown"   // its root is another incident, which has to be mended first
	ReasonManagedElsewhere  Reason = "ManagedElsewhere" // Argo CD, Flux, Helm or an operator owns the spec: the change is proposed
	ReasonScaledElsewhere   Reason = "ScaledElsewhere"  // another autoscaler owns the number of replicas
	ReasonSizedElsewhere    Reason = "SizedElsewhere"   // a VerticalPodAutoscaler owns the resources
	ReasonNotApplicable     Reason = "NotApplicable"    // no rung of the ladder fits what is known
	ReasonLowConfidence     Reason = "LowConfidence"    // the diagnosis is not sure enough to change anything
	ReasonLadderEnd         Reason = "LadderExhausted"  // every rung was tried and none helped
	ReasonNextRung          Reason = "NextRung"         // the remedy did not help, the next one is tried
	ReasonBlockedByBudget   Reason = "WouldBreakPDB"    // a PodDisruptionBudget has no disruption left
	ReasonNotSupported      Reason = "NotSupported"     // the platform cannot do it
	ReasonForbidden         Reason = "Forbidden"        // the controller lacks a right that the remedy takes; the platform names it
	ReasonRootFound         Reason = "RootFound"        // the incident follows from another one
	ReasonMemberJoined      Reason = "MemberJoined"     // another workload fails because of this incident
	ReasonProposed          Reason = "PatchProposed"    // a patch for a person or a Git repository was written
	ReasonForecast          Reason = "ForecastChanged"  // the time to the memory limit is another one
)

// TrendView gives the long history of a container's usage, oldest first; nil where nothing is known.
type TrendView func(replica, container string) []metrics.TrendPoint

// Climate is what a pass over one workload has to know of the rest of the cluster. The zero value knows of nothing. Survey
// makes it.
type Climate struct {
	// Breaker says why no remedy may be carried out anywhere, a sentence; empty: none forbids it.
	Breaker string
	// Spent are the times of the actions charged to the budget of the cluster.
	Spent  []time.Time
	Budget ClusterBudget
	// Nodes are the incidents ("namespace/name") that stand for nodes that are not ready, by node. What fails on such a node is a
	// member of it, and opens no incident of its own.
	Nodes map[string]string
	// Down are the services of the workload's namespace, and those that its logs name, without a ready endpoint, by
	// "namespace/name".
	Down map[string]Dependency
	// Dependents are the members that the incidents of this workload have, by the incident's name.
	Dependents map[string][]incident.Member
	// Roots are the incidents ("namespace/name") that those of this workload follow from beside its dependencies, by their names.
	Roots map[string]string
}

// ClusterBudget bounds the actions on all workloads together. The zero value bounds nothing.
type ClusterBudget struct {
	Actions int32
	Period  time.Duration
}

// Dependency is a service that is down.
type Dependency struct {
	Service cluster.Service
	// Root is the incident ("namespace/name") of the workload behind it, or of its own root; empty where there is none.
	Root string
	// Since is when it went down.
	Since time.Time
}

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
	Trend    TrendView
	Climate  Climate
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

// Opened returns the incidents that the plan opens. They are stored by nobody yet, so that whoever counts failures has to add them to
// those that are.
func (p *Plan) Opened() []incident.Incident {
	var out []incident.Incident
	for i := range p.Save {
		if p.Save[i].Incident.Version == "" {
			out = append(out, p.Save[i].Incident)
		}
	}
	return out
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
	// Workload that is acted on, with its UID where the platform has one: a precondition of every write to it.
	Workload cluster.Ref
	// Replica and its UID, for the remedies on one replica.
	Replica    string
	ReplicaUID string
	// Change says from what to what; its From is a precondition.
	Change incident.Change
	// Profile is where a Capture asks: port and path.
	ProfilePort int32
	ProfilePath string
	// DryRun asks for the same call with the API server's own dry run: nothing is changed, nothing charged, and the result's
	// outcome is DryRun, or Failed with what the server said.
	DryRun bool
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
	// Call is the API call that was made: method, path, body in short.
	Call string
	// Evidence is what a Capture brought; nil for none.
	Evidence []incident.Evidence
}
