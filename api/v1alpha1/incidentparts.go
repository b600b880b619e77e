package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// IncidentSubject is one replica (and container) that an incident is about.
type IncidentSubject struct {
	// replica is the pod's name.
	Replica string `json:"replica"`
	// uid of the pod.
	// +optional
	UID string `json:"uid,omitempty"`
	// node that the pod runs on.
	// +optional
	Node string `json:"node,omitempty"`
	// container that failed, empty where the whole replica did.
	// +optional
	Container string `json:"container,omitempty"`
	// at is when it was last seen failing.
	// +optional
	At *metav1.MicroTime `json:"at,omitempty"`
	// restarts of the container when it was last seen failing.
	// +optional
	Restarts int32 `json:"restarts,omitempty"`
	// deaths of the container in this replica that are counted.
	// +optional
	Deaths int32 `json:"deaths,omitempty"`
}

// IncidentEvidence is facts copied at detection.
type IncidentEvidence struct {
	// kind: Termination, Log, Event, Usage, Change, Status or Profile.
	Kind string `json:"kind"`
	// at is the time that the evidence is about.
	// +optional
	At *metav1.MicroTime `json:"at,omitempty"`
	// replica that it is about.
	// +optional
	Replica string `json:"replica,omitempty"`
	// container that it is about.
	// +optional
	Container string `json:"container,omitempty"`
	// message is one plain sentence or, for a log, where the lines come from or why there are none.
	// +optional
	Message string `json:"message,omitempty"`
	// lines of a log, oldest first.
	// +optional
	// +listType=atomic
	Lines []string `json:"lines,omitempty"`
	// templates are the kinds of line that the log has, the most telling first.
	// +optional
	// +listType=atomic
	Templates []LogTemplate `json:"templates,omitempty"`
	// source of a log: kubelet or loki.
	// +optional
	Source string `json:"source,omitempty"`
	// termination is how a container died.
	// +optional
	Termination *Termination `json:"termination,omitempty"`
	// points of usage, oldest first.
	// +optional
	// +listType=atomic
	Points []UsagePoint `json:"points,omitempty"`
	// memoryLimit in bytes, none where it is not given.
	// +optional
	MemoryLimit int64 `json:"memoryLimit,omitempty"`
}

// LogTemplate is lines of a log that differ only in their variable parts.
type LogTemplate struct {
	// template is the line with <*> for each part that varies.
	Template string `json:"template"`
	// count of its lines in this log.
	Count int32 `json:"count"`
	// before is the count in the same container's log of the hour before; -1: not known.
	Before int32 `json:"before"`
	// siblings is the count in the logs of healthy replicas over the same time; -1: not known.
	Siblings int32 `json:"siblings"`
	// novelty from 0 (always there) to 100 (only in this log).
	Novelty int32 `json:"novelty"`
	// example is its last line.
	// +optional
	Example string `json:"example,omitempty"`
}

// Termination is one death of a container.
type Termination struct {
	// containerID names the life that ended.
	// +optional
	ContainerID string `json:"containerID,omitempty"`
	// exitCode of the main process.
	ExitCode int32 `json:"exitCode"`
	// signal that ended it, 0 for none.
	// +optional
	Signal int32 `json:"signal,omitempty"`
	// reason as the kubelet gives it, such as OOMKilled.
	// +optional
	Reason string `json:"reason,omitempty"`
	// message as the kubelet gives it.
	// +optional
	Message string `json:"message,omitempty"`
	// startedAt is the start of the life that ended.
	// +optional
	StartedAt *metav1.MicroTime `json:"startedAt,omitempty"`
	// finishedAt is its end.
	// +optional
	FinishedAt *metav1.MicroTime `json:"finishedAt,omitempty"`
}

// UsagePoint is a container's usage at a time.
type UsagePoint struct {
	// at is the sample's time.
	At metav1.MicroTime `json:"at"`
	// cpuMillis is the CPU usage in thousandths of a core, not given where it is not known.
	// +optional
	CPUMillis *int64 `json:"cpuMillis,omitempty"`
	// memoryBytes is the memory in use.
	// +optional
	MemoryBytes *int64 `json:"memoryBytes,omitempty"`
}

// TimelineEntry is one line of an incident's timeline.
type TimelineEntry struct {
	// at is when it happened.
	At metav1.MicroTime `json:"at"`
	// reason is one word.
	Reason string `json:"reason"`
	// message is one plain sentence.
	// +optional
	Message string `json:"message,omitempty"`
}

// Remediation is one action: its intent, and what became of it.
type Remediation struct {
	// id is the same for the same cause, target and remedy: at most one action is carried out for it.
	// +required
	ID string `json:"id"`
	// remedy that was chosen.
	Remedy Remedy `json:"remedy"`
	// replica that was acted on, empty where the workload was.
	// +optional
	Replica string `json:"replica,omitempty"`
	// replicaUID of the replica that was acted on.
	// +optional
	ReplicaUID string `json:"replicaUID,omitempty"`
	// change says from what to what, for the remedies that change a number or a revision.
	// +optional
	Change *RemediationChange `json:"change,omitempty"`
	// call is the API call as it was or would be made: method, path and body in short.
	// +optional
	Call string `json:"call,omitempty"`
	// intendedAt is when the intent was written, before the action.
	// +optional
	IntendedAt *metav1.MicroTime `json:"intendedAt,omitempty"`
	// attemptedAt is when the last attempt began.
	// +optional
	AttemptedAt *metav1.MicroTime `json:"attemptedAt,omitempty"`
	// attempts counts how often the platform answered; a retry is the same remediation.
	// +optional
	Attempts int32 `json:"attempts,omitempty"`
	// finishedAt is when the platform answered the last attempt.
	// +optional
	FinishedAt *metav1.MicroTime `json:"finishedAt,omitempty"`
	// by is the identity of the controller that wrote the last outcome.
	// +optional
	By string `json:"by,omitempty"`
	// outcome: Pending (the intent), Done, Succeeded, Failed, Blocked or DryRun.
	// +kubebuilder:validation:Enum=Pending;Done;Succeeded;Failed;Blocked;DryRun
	Outcome string `json:"outcome"`
	// reason of the outcome in one word.
	// +optional
	Reason string `json:"reason,omitempty"`
	// message is one plain sentence.
	// +optional
	Message string `json:"message,omitempty"`
}

// RemediationChange is what a remedy changes. Only the fields of the remedy are set.
type RemediationChange struct {
	// container whose memory limit is raised.
	// +optional
	Container string `json:"container,omitempty"`
	// fromMemoryBytes is its limit before.
	// +optional
	FromMemoryBytes int64 `json:"fromMemoryBytes,omitempty"`
	// toMemoryBytes is its limit after.
	// +optional
	ToMemoryBytes int64 `json:"toMemoryBytes,omitempty"`
	// fromReplicas is the number of replicas before.
	// +optional
	FromReplicas int32 `json:"fromReplicas,omitempty"`
	// toReplicas is the number of replicas after.
	// +optional
	ToReplicas int32 `json:"toReplicas,omitempty"`
	// fromRevision is the revision that failed, or the value of the Service's selector.
	// +optional
	FromRevision string `json:"fromRevision,omitempty"`
	// toRevision is the revision that is gone back to, or the value of the Service's selector.
	// +optional
	ToRevision string `json:"toRevision,omitempty"`
	// target is the object that is written where it is not the workload.
	// +optional
	Target *ObjectRef `json:"target,omitempty"`
	// key of the Service's selector that tells the tracks apart.
	// +optional
	Key string `json:"key,omitempty"`
	// template is true where the pod template was patched too, so that the change outlives the replica.
	// +optional
	Template bool `json:"template,omitempty"`
}
