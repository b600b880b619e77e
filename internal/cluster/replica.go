package cluster

import "time"

// Phase of a replica, with the words of Kubernetes.
type Phase string

// The phases.
const (
	PhasePending   Phase = "Pending"
	PhaseRunning   Phase = "Running"
	PhaseSucceeded Phase = "Succeeded"
	PhaseFailed    Phase = "Failed"
	PhaseUnknown   Phase = "Unknown"
)

// Replica is one pod, or one process of the local platform.
type Replica struct {
	Name     string `json:"name"`
	UID      string `json:"uid,omitempty"`
	Node     string `json:"node,omitempty"`
	Revision string `json:"revision,omitempty"`
	Phase    Phase  `json:"phase"`
	// Reason and Message of the replica's own status, such as Evicted.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// CreatedAt is when the object was made; StartedAt when the node accepted it (zero: not yet); DeletedAt when its
	// deletion was asked for (zero: not).
	CreatedAt time.Time `json:"createdAt"`
	StartedAt time.Time `json:"startedAt,omitzero"`
	DeletedAt time.Time `json:"deletedAt,omitzero"`
	// Ready is the Ready condition; ReadySince is its last transition (zero: the condition was never set).
	Ready        bool      `json:"ready"`
	ReadySince   time.Time `json:"readySince,omitzero"`
	ReadyReason  string    `json:"readyReason,omitempty"`
	ReadyMessage string    `json:"readyMessage,omitempty"`
	// Unschedulable is true while the scheduler finds no node; UnschedulableMessage is its sentence.
	Unschedulable        bool      `json:"unschedulable,omitempty"`
	UnschedulableMessage string    `json:"unschedulableMessage,omitempty"`
	UnschedulableSince   time.Time `json:"unschedulableSince,omitzero"`
	// Disruption is the reason of a DisruptionTarget condition that is True (EvictionByEvictionAPI, TerminationByKubelet, …).
	Disruption string `json:"disruption,omitempty"`
	// DisruptionMessage and DisruptionSince belong to it.
	DisruptionMessage string    `json:"disruptionMessage,omitempty"`
	DisruptionSince   time.Time `json:"disruptionSince,omitzero"`
	// Conditions that are not told elsewhere: readiness gates (by their own type), PodReadyToStartContainers, ContainersReady,
	// PodResizePending, PodResizeInProgress, Initialized.
	Conditions []Condition `json:"conditions,omitempty"`
	// Gates are the condition types of its readiness gates; SchedulingGated is true while the scheduler must not look at it.
	Gates           []string `json:"gates,omitempty"`
	SchedulingGated bool     `json:"schedulingGated,omitempty"`
	// GraceSeconds is the grace period of its deletion; Finalizers are what holds it.
	GraceSeconds int64    `json:"graceSeconds,omitempty"`
	Finalizers   []string `json:"finalizers,omitempty"`
	// RestartsAlways is true for the restart policy Always: a container that ends well is started again.
	RestartsAlways bool        `json:"restartsAlways,omitempty"`
	Containers     []Container `json:"containers,omitempty"`
	// Events about this replica, newest first, bounded by the adapter.
	Events []Event `json:"events,omitempty"`
}

// Deleting reports whether the replica's deletion was asked for.
func (r *Replica) Deleting() bool { return !r.DeletedAt.IsZero() }

// CrashLooping reports whether any container of the replica is in the back-off of a crash loop. Such a replica is no capacity.
func (r *Replica) CrashLooping() bool {
	for i := range r.Containers {
		if r.Containers[i].CrashLooping() {
			return true
		}
	}
	return false
}

// Container returns the container of that name, nil if there is none.
func (r *Replica) Container(name string) *Container {
	for i := range r.Containers {
		if r.Containers[i].Name == name {
			return &r.Containers[i]
		}
	}
	return nil
}

// ContainerKind tells the roles of containers in a replica apart.
type ContainerKind string

// The kinds of container.
const (
	ContainerMain      ContainerKind = "Main"
	ContainerInit      ContainerKind = "Init"
	ContainerSidecar   ContainerKind = "Sidecar" // an init container that restarts always
	ContainerEphemeral ContainerKind = "Ephemeral"
)

// ContainerState is one of the three states of a container, or unknown.
type ContainerState string

// The states of a container.
const (
	StateUnknown    ContainerState = ""
	StateWaiting    ContainerState = "Waiting"
	StateRunning    ContainerState = "Running"
	StateTerminated ContainerState = "Terminated"
)

// Reasons of waiting and terminated containers that the engines look at, as the kubelet spells them.
const (
	ReasonCrashLoopBackOff = "CrashLoopBackOff"
	ReasonOOMKilled        = "OOMKilled"
	ReasonError            = "Error"
	ReasonCompleted        = "Completed"
	ReasonStatusUnknown    = "ContainerStatusUnknown"
)

// Container is one container of a replica, or the one process tree of a local replica.
type Container struct {
	Name  string         `json:"name"`
	Kind  ContainerKind  `json:"kind"`
	Image string         `json:"image,omitempty"`
	State ContainerState `json:"state"`
	// WaitingReason and WaitingMessage are set while State is StateWaiting.
	WaitingReason  string `json:"waitingReason,omitempty"`
	WaitingMessage string `json:"waitingMessage,omitempty"`
	// StartedAt is set while State is StateRunning.
	StartedAt time.Time `json:"startedAt,omitzero"`
	// Terminated is the present death (State is StateTerminated); Last is the one before the present life. Kubernetes
	// keeps only one, so two deaths between two looks show as Restarts growing by two.
	Terminated *Termination `json:"terminated,omitempty"`
	Last       *Termination `json:"last,omitempty"`
	Restarts   int32        `json:"restarts"`
	Ready      bool         `json:"ready"`
	// Started is true once the startup probe, if any, has passed.
	Started bool `json:"started"`
	// Requests and limits: CPU in thousandths of a core, memory in bytes; 0 means not set.
	CPURequestMilli int64 `json:"cpuRequestMilli,omitempty"`
	CPULimitMilli   int64 `json:"cpuLimitMilli,omitempty"`
	MemoryRequest   int64 `json:"memoryRequest,omitempty"`
	MemoryLimit     int64 `json:"memoryLimit,omitempty"`
	// OOMEvents counts kills by the kernel inside this container since it was first seen, its main process or a child;
	// LastOOMEvent is when the count last grew. Only meaningful with OOMEventsKnown.
	OOMEvents      int64     `json:"oomEvents,omitempty"`
	OOMEventsKnown bool      `json:"oomEventsKnown,omitempty"`
	LastOOMEvent   time.Time `json:"lastOOMEvent,omitzero"`
	// ThrottledPercent is the share of its CPU periods in the last minutes in which the CPU limit held it back; only meaningful
	// with ThrottledKnown.
	ThrottledPercent float64 `json:"throttledPercent,omitempty"`
	ThrottledKnown   bool    `json:"throttledKnown,omitempty"`
	// LivenessProbe and StartupProbe are true where it has one.
	LivenessProbe bool `json:"livenessProbe,omitempty"`
	StartupProbe  bool `json:"startupProbe,omitempty"`
	// Interactive is true where it has a terminal that somebody types into: its exit code is that of the last command typed.
	Interactive bool `json:"interactive,omitempty"`
}

// CrashLooping reports whether the container waits in the back-off of a crash loop.
func (c *Container) CrashLooping() bool {
	return c.State == StateWaiting && c.WaitingReason == ReasonCrashLoopBackOff
}

// LatestDeath returns the newest death that the container's status shows, nil if it shows none.
func (c *Container) LatestDeath() *Termination {
	if c.Terminated != nil {
		return c.Terminated
	}
	return c.Last
}

// Termination is one death of a container.
type Termination struct {
	// ContainerID names the life that ended; with it a death is told from the next one.
	ContainerID string    `json:"containerID,omitempty"`
	ExitCode    int32     `json:"exitCode"`
	Signal      int32     `json:"signal,omitempty"`
	Reason      string    `json:"reason,omitempty"`
	Message     string    `json:"message,omitempty"`
	StartedAt   time.Time `json:"startedAt,omitzero"`
	FinishedAt  time.Time `json:"finishedAt,omitzero"`
}

// Condition returns the condition of that type, nil if there is none.
func (r *Replica) Condition(kind string) *Condition {
	for i := range r.Conditions {
		if r.Conditions[i].Type == kind {
			return &r.Conditions[i]
		}
	}
	return nil
}
