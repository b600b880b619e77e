package cluster

import (
	"strings"
	"time"
)

// Ref names one object. UID is empty where it does not matter or is not known.
type Ref struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	UID       string `json:"uid,omitempty"`
}

// String returns the reference as people write it: "deployment/web", or "demo/deployment/web" with a namespace.
func (r Ref) String() string {
	s := strings.ToLower(r.Kind) + "/" + r.Name
	if r.Namespace != "" {
		s = r.Namespace + "/" + s
	}
	return s
}

// Same reports whether both references name the same object, whatever its UID.
func (r Ref) Same(o Ref) bool {
	return r.Kind == o.Kind && r.Namespace == o.Namespace && r.Name == o.Name
}

// Kinds of workloads that the engines tell apart. Any other kind is an owner that is only named.
const (
	KindDeployment  = "Deployment"
	KindStatefulSet = "StatefulSet"
	KindDaemonSet   = "DaemonSet"
	KindReplicaSet  = "ReplicaSet"
	KindJob         = "Job"
	KindPod         = "Pod"     // a bare pod: its own workload
	KindService     = "Service" // a service of the local platform: one command with replicas
)

// Snapshot is a consistent view of what is watched at one time.
type Snapshot struct {
	// At is when the view was taken.
	At time.Time
	// Synced is false until every source has delivered its first full list; nothing may act before.
	Synced bool
	// Stale is how long ago the platform was last heard of (watch traffic or a successful read). Zero: just now.
	Stale time.Duration
	// Workloads in no particular order.
	Workloads []*Workload
	// Nodes by name. Empty on a platform without nodes.
	Nodes map[string]Node
	// Services by "namespace/name". Empty on a platform without services.
	Services map[string]Service
}

// Workload is one owner of replicas, the top of the chain of owners (a Deployment, not its ReplicaSet).
type Workload struct {
	Ref Ref `json:"ref"`
	// Labels of the pod template (of the pod itself for a bare pod): what a HealingPolicy selects on.
	Labels map[string]string `json:"labels,omitempty"`
	// Desired is the number of replicas that the owner asks for.
	Desired int32 `json:"desired"`
	// Revision names the newest pod template (pod-template-hash or controller-revision-hash); empty: not known.
	Revision string `json:"revision,omitempty"`
	// RollingOut is true while replicas of an older revision are being replaced.
	RollingOut bool `json:"rollingOut,omitempty"`
	// System marks what belongs to the cluster itself (kube-system, system-critical priority) and is never acted on.
	System bool `json:"system,omitempty"`
	// Self marks Homeostat's own workload, which is never acted on.
	Self     bool      `json:"self,omitempty"`
	Replicas []Replica `json:"replicas,omitempty"`
	// Conditions of the owner, with the words of Kubernetes: Progressing and ReplicaFailure of a Deployment, Failed of a Job.
	Conditions []Condition `json:"conditions,omitempty"`
	// Revisions that the owner keeps, the newest first, bounded by the adapter.
	Revisions []Revision `json:"revisions,omitempty"`
	// Paused is true while the owner's rollout is paused.
	Paused bool `json:"paused,omitempty"`
	// SurgesFirst is true where a rollout makes a new replica before it takes an old one away, so that none of the desired ones
	// is missed meanwhile: a Deployment or a DaemonSet whose maxUnavailable comes to 0.
	SurgesFirst bool `json:"surgesFirst,omitempty"`
	// RolloutTakes is how many of the desired replicas a rollout may take away at once where it does not surge first: what its
	// maxUnavailable comes to, all of a Deployment with the strategy Recreate. 0 is one.
	RolloutTakes int32 `json:"rolloutTakes,omitempty"`
	// Owners are who else writes the workload's spec; empty: nobody that is known.
	Owners []Owner `json:"owners,omitempty"`
	// Scaler is the autoscaler of the workload, nil for none.
	Scaler *Scaler `json:"scaler,omitempty"`
	// Services whose selector matches the pod template, by name.
	Services []string `json:"services,omitempty"`
	// Budgets are the PodDisruptionBudgets that select its replicas.
	Budgets []DisruptionBudget `json:"budgets,omitempty"`
	// Track is the canary or blue/green relation of the workload, nil for none.
	Track *Track `json:"track,omitempty"`
	// Resizable is true where the platform can change the memory of a running replica.
	Resizable bool `json:"resizable,omitempty"`
	// ProfilePort and ProfilePath are where the replicas offer pprof (annotation homeostat.dev/pprof on the pod template, such as
	// "6060" or "6060/debug/pprof"); 0: they do not.
	ProfilePort int32  `json:"profilePort,omitempty"`
	ProfilePath string `json:"profilePath,omitempty"`
	// Changes of this workload, newest first, bounded by the adapter.
	Changes []Change `json:"changes,omitempty"`
	// Events about the owner (not its replicas), newest first, bounded by the adapter.
	Events []Event `json:"events,omitempty"`
}

// ReadyReplicas counts the replicas that serve: ready and not being deleted.
func (w *Workload) ReadyReplicas() int32 {
	var n int32
	for i := range w.Replicas {
		if w.Replicas[i].Ready && !w.Replicas[i].Deleting() {
			n++
		}
	}
	return n
}

// Node is one machine of the cluster.
type Node struct {
	Name string
	// Ready is the node's Ready condition: "True", "False" or "Unknown".
	Ready string
	// Reason and Message of the Ready condition.
	Reason, Message string
	// Since is when Ready last changed, CreatedAt when the node joined (zero: not known).
	Since, CreatedAt time.Time
	// Cordoned is true when nothing new is scheduled on it.
	Cordoned bool
	// Pressures are the conditions MemoryPressure, DiskPressure and PIDPressure that are True.
	Pressures []string
	// Events about the node (SystemOOM, OOMKilling, Rebooted, …), newest first, bounded by the adapter.
	Events []Event
}

// Event is one event about an object, as the platform recorded it. Events are evidence and never a trigger: they get lost.
type Event struct {
	Type    string    `json:"type,omitempty"` // Normal or Warning
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
	Count   int32     `json:"count,omitempty"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
}

// ChangeKind says what was changed.
type ChangeKind string

// The kinds of change.
const (
	ChangeRollout ChangeKind = "Rollout" // a new pod template
	ChangeScaling ChangeKind = "Scaling" // another number of replicas
	ChangeSwitch  ChangeKind = "Switch"  // a Service selects another track
)

// Change is something that was done to a workload: the first question of whoever is on call is "what changed before?".
type Change struct {
	At   time.Time  `json:"at"`
	Kind ChangeKind `json:"kind"`
	// Message is one plain sentence, such as "rollout to revision 5d9c: image web:1.4 -> web:1.5".
	Message string `json:"message"`
}
