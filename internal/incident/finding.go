package incident

import (
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

// Kind names a kind of failure.
type Kind string

// The kinds of failure that are told apart. docs/healing.md has the exact signals of each.
const (
	NodeNotReady     Kind = "NodeNotReady"     // its node is gone or not ready
	OOMKilled        Kind = "OOMKilled"        // killed by the kernel at the container's memory limit
	ProbableOOM      Kind = "ProbableOOM"      // exit 137 without another explanation, memory near the limit
	NodeOOM          Kind = "NodeOOM"          // killed by the kernel because the node ran out of memory
	ChildOOM         Kind = "ChildOOM"         // a child process was killed for memory, the container lives on
	StatusUnknown    Kind = "StatusUnknown"    // the platform lost sight of how the container ended
	LivenessKill     Kind = "LivenessKill"     // killed by the kubelet because its liveness probe failed
	StartupKill      Kind = "StartupKill"      // killed by the kubelet because its startup probe failed
	BadCommand       Kind = "BadCommand"       // its command cannot be run
	CleanExit        Kind = "CleanExit"        // exits 0 and is started again and again: should be a Job
	ImagePull        Kind = "ImagePull"        // its image cannot be pulled
	ConfigMissing    Kind = "ConfigMissing"    // a ConfigMap, Secret or key that it needs is not there
	VolumeStuck      Kind = "VolumeStuck"      // a volume cannot be attached or mounted
	SandboxFailed    Kind = "SandboxFailed"    // the node cannot make its sandbox or network
	NodeCrashLoop    Kind = "NodeCrashLoop"    // exits again and again on one node, and is healthy on others
	CrashLoop        Kind = "CrashLoop"        // exits again and again
	Evicted          Kind = "Evicted"          // its node evicted it under pressure
	Disrupted        Kind = "Disrupted"        // evicted by the API, preempted, or removed for a taint
	Unschedulable    Kind = "Unschedulable"    // no node fits
	ReadinessGate    Kind = "ReadinessGate"    // its containers are ready and a readiness gate is not
	NotReady         Kind = "NotReady"         // runs, is not ready, does not restart
	StuckTerminating Kind = "StuckTerminating" // deleted, and still there long after its grace period
	ResizeStuck      Kind = "ResizeStuck"      // an in-place resize is deferred, infeasible or fails
	RolloutStuck     Kind = "RolloutStuck"     // a rollout has passed its progress deadline
	CreateRefused    Kind = "CreateRefused"    // the API server refuses its new replicas: quota, admission
	JobFailed        Kind = "JobFailed"        // the job, or a debug container, has failed for good
	AutoscalerBlind  Kind = "AutoscalerBlind"  // its autoscaler cannot read its metrics

	// Forecasts: nothing has failed yet.

	MemoryLeak   Kind = "MemoryLeak"   // its memory grows towards the limit without load to explain it
	CPUThrottled Kind = "CPUThrottled" // its CPU limit holds it back for much of the time
	RestartRate  Kind = "RestartRate"  // it restarts more often than before, and is not in a crash loop

	// Storm is about the cluster: so much fails at once that nothing is acted on.
	Storm Kind = "Storm"
)

// Kinds returns every kind in the order in which the checks run.
func Kinds() []Kind {
	return []Kind{
		NodeNotReady, OOMKilled, NodeOOM, ProbableOOM, ChildOOM, StatusUnknown, LivenessKill, StartupKill, BadCommand, CleanExit,
		ImagePull, ConfigMissing, VolumeStuck, SandboxFailed, NodeCrashLoop, CrashLoop,
		Evicted, Disrupted, Unschedulable, ReadinessGate, NotReady, StuckTerminating, ResizeStuck,
		RolloutStuck, CreateRefused, JobFailed, AutoscalerBlind, MemoryLeak, CPUThrottled, RestartRate, Storm,
	}
}

// Forecast reports whether the kind is about what has not failed yet.
func (k Kind) Forecast() bool { return k == MemoryLeak || k == CPUThrottled || k == RestartRate }

// Notice reports whether the kind tells what happened to a replica that its owner has replaced or will: worth a line for who
// asks why, and never worth an action or a page.
func (k Kind) Notice() bool { return k == Evicted || k == Disrupted || k == StatusUnknown }

// Failure reports whether something fails while the kind lasts: it is neither a forecast nor a notice.
func (k Kind) Failure() bool { return !k.Forecast() && !k.Notice() }

// Finding is the positive result of one check about one replica, or about the workload itself.
type Finding struct {
	Kind Kind `json:"kind"`
	// Replica and Container that show it; Container is empty where the whole replica does, Replica too where the workload does
	// (RolloutStuck, CreateRefused, JobFailed of a Job, AutoscalerBlind). Node is its node, or the lost one whose place it takes.
	Replica    string `json:"replica"`
	ReplicaUID string `json:"replicaUID,omitempty"`
	Node       string `json:"node,omitempty"`
	Container  string `json:"container,omitempty"`
	// Since is when the condition began: the death's time, or the start of the state that lasts.
	Since time.Time `json:"since"`
	// Active is true while the failure lasts (still waiting, still not ready) and false for a death that is over.
	Active bool `json:"active"`
	// Fingerprint is the same for the same occurrence, however often it is looked at, and another one for the next.
	Fingerprint string `json:"fingerprint"`
	// Death is set where the finding is about a death.
	Death *cluster.Termination `json:"death,omitempty"`
	// Restarts of the container at the time of the look.
	Restarts int32 `json:"restarts,omitempty"`
	// Deaths is the number of this death among the deaths of its container in this replica, the first is 1; 0 where the
	// finding is not about a death. It tells how many deaths no look has seen.
	Deaths int32 `json:"deaths,omitempty"`
	// Forecast is set for the kind MemoryLeak.
	Forecast *Forecast `json:"forecast,omitempty"`
	// Confidence in percent, 1 to 100, that Kind is what happened.
	Confidence int32 `json:"confidence"`
	// Message is one plain sentence that says what was seen.
	Message string `json:"message"`
	// For and Against are the observations that speak for and against the kind, a short phrase each.
	For     []string `json:"for,omitempty"`
	Against []string `json:"against,omitempty"`
}

// Forecast says when a container will reach its memory limit if it goes on as it does.
type Forecast struct {
	// At is when it was made; OOMAt the time at which the limit is reached, Earliest and Latest its 90 % interval (Latest zero:
	// open).
	At       time.Time `json:"at"`
	OOMAt    time.Time `json:"oomAt"`
	Earliest time.Time `json:"earliest"`
	Latest   time.Time `json:"latest,omitzero"`
	// Memory is the resident memory at At and Limit the limit, in bytes; Slope is the growth in bytes per second after what load
	// explains.
	Memory int64   `json:"memory"`
	Limit  int64   `json:"limit"`
	Slope  float64 `json:"slope"`
	// Fit is R² of the line, 0 to 1, over Span.
	Fit  float64       `json:"fit"`
	Span time.Duration `json:"span"`
}
