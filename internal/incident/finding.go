package incident

import (
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

// Kind names a kind of failure.
type Kind string

// The kinds of failure that are told apart.
const (
	OOMKilled     Kind = "OOMKilled"     // killed by the kernel at the container's memory limit
	ProbableOOM   Kind = "ProbableOOM"   // exit 137 without another explanation, memory near the limit
	ChildOOM      Kind = "ChildOOM"      // a child process was killed for memory, the container lives on
	CrashLoop     Kind = "CrashLoop"     // exits again and again
	LivenessKill  Kind = "LivenessKill"  // killed by the kubelet because its liveness (or startup) probe failed
	ImagePull     Kind = "ImagePull"     // its image cannot be pulled
	ConfigMissing Kind = "ConfigMissing" // a ConfigMap, Secret or key that it needs is not there
	Unschedulable Kind = "Unschedulable" // no node fits
	NotReady      Kind = "NotReady"      // runs, is not ready, does not restart
	NodeNotReady  Kind = "NodeNotReady"  // its node is gone or not ready
)

// Kinds returns every kind in the order in which the checks run.
func Kinds() []Kind {
	return []Kind{
		NodeNotReady, OOMKilled, ProbableOOM, ChildOOM, LivenessKill,
		ImagePull, ConfigMissing, CrashLoop, Unschedulable, NotReady,
	}
}

// Finding is the positive result of one check about one replica.
type Finding struct {
	Kind Kind `json:"kind"`
	// Replica and Container that show it; Container is empty where the whole replica does.
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
	// Confidence in percent, 1 to 100, that Kind is what happened.
	Confidence int32 `json:"confidence"`
	// Message is one plain sentence that says what was seen.
	Message string `json:"message"`
	// For and Against are the observations that speak for and against the kind, a short phrase each.
	For     []string `json:"for,omitempty"`
	Against []string `json:"against,omitempty"`
}
