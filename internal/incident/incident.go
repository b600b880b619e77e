package incident

import (
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/metrics"
)

// State of an incident.
type State string

// The states:
//
//	Open ──> Acting ──> Verifying ──> Resolved
//	  │         │            └──> Open (not better: the next step)
//	  │         └──> Open (refused or failed)
//	  ├──> Resolved (healthy by itself for a while)
//	  └──> Abandoned (budget or remedies exhausted: a person is needed) ──> Resolved
const (
	Open      State = "Open"
	Acting    State = "Acting"    // an intent is written and the action under way
	Verifying State = "Verifying" // the action is done, its effect is watched
	Resolved  State = "Resolved"
	Abandoned State = "Abandoned"
)

// Active reports whether the incident still needs attention: every state but Resolved.
func (s State) Active() bool { return s != Resolved }

// Limits of what one incident keeps, so that an incident that lasts for days stays small.
const (
	MaxSubjects     = 10
	MaxFingerprints = 32
	MaxTimeline     = 40
	MaxEvidence     = 16
	MaxRemediations = 16
	MaxLogLines     = 40
	MaxLogBytes     = 8 << 10
	// MaxPoints of one usage window, MaxPhrases for and against, MaxMessage bytes of one sentence.
	MaxPoints  = 40
	MaxPhrases = 8
	MaxMessage = 600
	// MaxMembers of a root incident that are named; MemberCount counts on. MaxTemplates of one log.
	MaxMembers   = 32
	MaxTemplates = 8
	// MaxProposal bytes of a proposed patch.
	MaxProposal = 4 << 10
)

// Incident is findings about one workload with one cause, over time.
type Incident struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Version is the platform's version of the stored object, for compare-and-swap; empty: not stored yet.
	Version  string      `json:"-"`
	Workload cluster.Ref `json:"workload"`
	Kind     Kind        `json:"kind"`
	State    State       `json:"state"`
	// Policy names the HealingPolicy that governs it, empty for the default.
	Policy string `json:"policy,omitempty"`
	// Cause is one plain sentence; Confidence in percent belongs to it.
	Cause      string `json:"cause"`
	Confidence int32  `json:"confidence"`
	// For and Against are the observations behind the confidence.
	For     []string `json:"for,omitempty"`
	Against []string `json:"against,omitempty"`
	// OpenedAt is when the incident was written, StartedAt when the failure began, LastSeenAt when it was last seen,
	// HealthySince when the workload was first seen healthy after that (zero: it is not), ResolvedAt the end.
	OpenedAt     time.Time `json:"openedAt"`
	StartedAt    time.Time `json:"startedAt"`
	LastSeenAt   time.Time `json:"lastSeenAt"`
	HealthySince time.Time `json:"healthySince,omitzero"`
	ResolvedAt   time.Time `json:"resolvedAt,omitzero"`
	// Occurrences counts deaths, or replicas that show a lasting failure.
	Occurrences int32 `json:"occurrences"`
	// Subjects are the replicas concerned, newest last, at most MaxSubjects.
	Subjects []Subject `json:"subjects,omitempty"`
	// Fingerprints of occurrences already counted, newest last, at most MaxFingerprints.
	Fingerprints []string `json:"fingerprints,omitempty"`
	// ForgottenUntil is the newest beginning among the occurrences whose fingerprint is not kept any more (zero: all
	// are kept): what began at or before it was counted.
	ForgottenUntil time.Time     `json:"forgottenUntil,omitzero"`
	Evidence       []Evidence    `json:"evidence,omitempty"`
	Timeline       []Entry       `json:"timeline,omitempty"`
	Remediations   []Remediation `json:"remediations,omitempty"`
	// Root names the incident ("namespace/name") that this one follows from; empty: it is its own root. Nothing is done about
	// an incident with a root: its root is what has to be mended.
	Root string `json:"root,omitempty"`
	// Members are the incidents and workloads that follow from this one, in the order in which they were seen, at most
	// MaxMembers; MemberCount is how many there were.
	Members     []Member `json:"members,omitempty"`
	MemberCount int32    `json:"memberCount,omitempty"`
	// Forecast is the newest one of an incident of kind MemoryLeak.
	Forecast *Forecast `json:"forecast,omitempty"`
	// Proposal is a patch that a person or a Git repository would apply, where Homeostat must not or does so only for a time;
	// YAML with a comment that says for which object. Empty: none.
	Proposal string `json:"proposal,omitempty"`
	// Reason is the last step's reason: why it was acted on or not (see package healing); Message its sentence.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

// Subject is one replica (and container) that an incident is about.
type Subject struct {
	Replica   string    `json:"replica"`
	UID       string    `json:"uid,omitempty"`
	Node      string    `json:"node,omitempty"`
	Container string    `json:"container,omitempty"`
	At        time.Time `json:"at"`
	// Restarts of the container when it was last seen failing.
	Restarts int32 `json:"restarts,omitempty"`
	// Deaths of the container in this replica that are counted, in this incident or before it; 0 where none was seen.
	Deaths int32 `json:"deaths,omitempty"`
}

// Member is a workload that fails because of the root incident it is listed in.
type Member struct {
	Workload cluster.Ref `json:"workload"`
	// Incident is the member's own, "namespace/name"; empty where it has none.
	Incident string `json:"incident,omitempty"`
	// Kind of its failure, also where the root stands for it; empty where it has none but the root's.
	Kind  Kind      `json:"kind,omitempty"`
	Since time.Time `json:"since"`
}

// Entry is one line of an incident's timeline.
type Entry struct {
	At      time.Time `json:"at"`
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
}

// EvidenceKind says what a piece of evidence is.
type EvidenceKind string

// The kinds of evidence.
const (
	EvidenceTermination EvidenceKind = "Termination" // exit code, reason, signal of the dead container
	EvidenceLog         EvidenceKind = "Log"         // the last lines of the container that died
	EvidenceEvent       EvidenceKind = "Event"
	EvidenceUsage       EvidenceKind = "Usage"   // CPU and memory before and after
	EvidenceChange      EvidenceKind = "Change"  // what was changed before
	EvidenceStatus      EvidenceKind = "Status"  // a waiting reason, a condition, a node's state
	EvidenceProfile     EvidenceKind = "Profile" // a dump that the application gave before it was restarted
)

// Evidence is facts copied at detection, before anything is done.
type Evidence struct {
	Kind      EvidenceKind `json:"kind"`
	At        time.Time    `json:"at"`
	Replica   string       `json:"replica,omitempty"`
	Container string       `json:"container,omitempty"`
	// Message is one plain sentence or, for a log, where the lines come from or why there are none.
	Message string `json:"message"`
	// Lines of a log, oldest first, at most MaxLogLines and MaxLogBytes.
	Lines []string `json:"lines,omitempty"`
	// Templates are the kinds of line that the log has, the most telling first, at most MaxTemplates. Source says where the log
	// comes from: "kubelet" or "loki".
	Templates []LogTemplate `json:"templates,omitempty"`
	Source    string        `json:"source,omitempty"`
	// Termination belongs to EvidenceTermination.
	Termination *cluster.Termination `json:"termination,omitempty"`
	// Points and MemoryLimit (bytes, 0: none) belong to EvidenceUsage.
	Points      []metrics.Point `json:"points,omitempty"`
	MemoryLimit int64           `json:"memoryLimit,omitempty"`
}

// LogTemplate is lines of a log that differ only in their variable parts.
type LogTemplate struct {
	// Template is the line with <*> for each part that varies.
	Template string `json:"template"`
	// Count of its lines in this log; Before in the same container's log of the hour before, Siblings in the logs of healthy
	// replicas over the same time (-1: not known).
	Count    int32 `json:"count"`
	Before   int32 `json:"before"`
	Siblings int32 `json:"siblings"`
	// Novelty is 0 (always there) to 100 (only in this log).
	Novelty int32 `json:"novelty"`
	// Example is its last line.
	Example string `json:"example"`
}

// Remedy is what can be done about a finding.
type Remedy string

// The remedies.
const (
	RemedyNone            Remedy = "None"            // notify and keep the evidence
	RemedyCapture         Remedy = "Capture"         // fetch a goroutine dump or heap profile where the application offers one
	RemedyRestart         Remedy = "Restart"         // evict the replica, so that its owner makes a fresh one
	RemedyQuarantine      Remedy = "Quarantine"      // take the replica out of its Services and its owner, and keep it
	RemedyResizeMemory    Remedy = "ResizeMemory"    // raise the container's memory limit in place, for this replica only
	RemedyRestartWorkload Remedy = "RestartWorkload" // a rolling restart of all replicas
	RemedyScaleOut        Remedy = "ScaleOut"        // more replicas
	RemedyRollback        Remedy = "Rollback"        // back to the newest revision that was healthy
	RemedyAbortCanary     Remedy = "AbortCanary"     // a canary to zero, or a Service back to the track that works
)

// Remedies returns every remedy, the mildest first.
func Remedies() []Remedy {
	return []Remedy{
		RemedyNone, RemedyCapture, RemedyRestart, RemedyQuarantine, RemedyResizeMemory, RemedyRestartWorkload, RemedyScaleOut,
		RemedyRollback, RemedyAbortCanary,
	}
}

// OnReplica reports whether the remedy is for one replica; the others are for the workload.
func (r Remedy) OnReplica() bool {
	return r == RemedyCapture || r == RemedyRestart || r == RemedyQuarantine || r == RemedyResizeMemory
}

// Outcome of a remediation.
type Outcome string

// The outcomes. Pending is the intent: written before the action, so that a new leader finds it.
const (
	Pending   Outcome = "Pending"
	Done      Outcome = "Done"      // carried out, effect not yet known
	Succeeded Outcome = "Succeeded" // carried out, the workload is healthy
	Failed    Outcome = "Failed"    // could not be carried out, or did not help
	Blocked   Outcome = "Blocked"   // refused by the platform, such as by a PodDisruptionBudget
	DryRun    Outcome = "DryRun"    // would have been carried out
)

// Remediation is one action: its intent, and what became of it.
type Remediation struct {
	// ID is the same for the same cause and target: at most one action is carried out for it.
	ID     string `json:"id"`
	Remedy Remedy `json:"remedy"`
	// Replica that is acted on; empty where the workload is.
	Replica    string `json:"replica,omitempty"`
	ReplicaUID string `json:"replicaUID,omitempty"`
	// Change says what is changed from what to what, for the remedies that change a number or a revision.
	Change Change `json:"change,omitzero"`
	// Call is the API call as it was or would be made: method, path and body in short.
	Call string `json:"call,omitempty"`
	// IntendedAt is when the intent was written, AttemptedAt when the last attempt began, FinishedAt when the platform
	// answered it; verification counts from there and does not change it.
	IntendedAt  time.Time `json:"intendedAt"`
	AttemptedAt time.Time `json:"attemptedAt,omitzero"`
	FinishedAt  time.Time `json:"finishedAt,omitzero"`
	// Attempts counts how often the platform answered; a retry after Blocked or a failed call is the same remediation.
	Attempts int32 `json:"attempts,omitempty"`
	// By is the identity of the controller that wrote the last outcome.
	By      string  `json:"by,omitempty"`
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason"`
	Message string  `json:"message"`
}

// Change is what a remedy changes. Only the fields of the remedy are set.
type Change struct {
	// Container, and its memory limit in bytes before and after: ResizeMemory.
	Container  string `json:"container,omitempty"`
	FromMemory int64  `json:"fromMemory,omitempty"`
	ToMemory   int64  `json:"toMemory,omitempty"`
	// FromReplicas and ToReplicas: ScaleOut, and AbortCanary of a canary.
	FromReplicas int32 `json:"fromReplicas,omitempty"`
	ToReplicas   int32 `json:"toReplicas,omitempty"`
	// FromRevision and ToRevision: Rollback; the value of the Service's selector for AbortCanary of a blue/green Service.
	FromRevision string `json:"fromRevision,omitempty"`
	ToRevision   string `json:"toRevision,omitempty"`
	// Target is the object that is written where it is not the workload: the Autoscaler of a ScaleOut, the Service of an
	// AbortCanary.
	Target cluster.Ref `json:"target,omitzero"`
	// Key of the Service's selector that tells the tracks apart.
	Key string `json:"key,omitempty"`
	// Template is true where the template was patched too, so that the change outlives the replica.
	Template bool `json:"template,omitempty"`
}
