package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The labels that every Incident carries, for selection. A value that is no valid label value is shortened with a hash
// at its end (internal/record, LabelValue).
const (
	LabelWorkloadKind = "homeostat.dev/workload-kind"
	LabelWorkloadName = "homeostat.dev/workload-name"
	LabelFinding      = "homeostat.dev/finding"
)

// Incident is what is wrong with one workload, for one cause: what was found, the evidence, what was done and what came
// of it. It is written by Homeostat alone and has no spec. Its status is no subresource, so that one write, guarded by
// the resourceVersion, creates or changes the whole record before anything is done.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,shortName=inc,categories=homeostat
// +kubebuilder:selectablefield:JSONPath=`.status.state`
// +kubebuilder:selectablefield:JSONPath=`.status.finding`
// +kubebuilder:selectablefield:JSONPath=`.status.workload.name`
// +kubebuilder:printcolumn:name="Workload",type=string,JSONPath=`.status.workload.name`
// +kubebuilder:printcolumn:name="Finding",type=string,JSONPath=`.status.finding`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Confidence",type=integer,JSONPath=`.status.confidence`,description="percent"
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.reason`,description="why it was acted on or not"
// +kubebuilder:printcolumn:name="Root",type=string,JSONPath=`.status.root`,description="the incident that it follows from"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Kind",type=string,JSONPath=`.status.workload.kind`,priority=1,description="of the workload"
// +kubebuilder:printcolumn:name="Count",type=integer,JSONPath=`.status.occurrences`,description="deaths, or replicas that show it"
// +kubebuilder:printcolumn:name="Members",type=integer,JSONPath=`.status.memberCount`,priority=1,description="workloads that fail because of it"
// +kubebuilder:printcolumn:name="Last Seen",type=date,JSONPath=`.status.lastSeenAt`,priority=1
// +kubebuilder:printcolumn:name="Cause",type=string,JSONPath=`.status.cause`,priority=1
type Incident struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Status is the whole record.
	// +optional
	Status IncidentStatus `json:"status,omitempty"`
}

// IncidentStatus is the record of an incident.
type IncidentStatus struct {
	// workload that the incident is about, in the incident's namespace.
	Workload WorkloadRef `json:"workload"`
	// finding is the kind of failure.
	Finding FindingKind `json:"finding"`
	// state: Open, Acting (an intent is written), Verifying (the action's effect is watched), Resolved, or Abandoned (a
	// person is needed).
	// +kubebuilder:validation:Enum=Open;Acting;Verifying;Resolved;Abandoned
	State string `json:"state"`
	// policy names the HealingPolicy that governs it, empty for the default.
	// +optional
	Policy string `json:"policy,omitempty"`
	// cause is one plain sentence.
	Cause string `json:"cause"`
	// confidence in percent that the cause is right.
	// +optional
	Confidence int32 `json:"confidence,omitempty"`
	// for are the observations that speak for the cause.
	// +optional
	// +listType=atomic
	For []string `json:"for,omitempty"`
	// against are the observations that speak against the cause.
	// +optional
	// +listType=atomic
	Against []string `json:"against,omitempty"`
	// openedAt is when the incident was written.
	// +optional
	OpenedAt *metav1.MicroTime `json:"openedAt,omitempty"`
	// startedAt is when the failure began.
	// +optional
	StartedAt *metav1.MicroTime `json:"startedAt,omitempty"`
	// lastSeenAt is when the failure was last seen.
	// +optional
	LastSeenAt *metav1.MicroTime `json:"lastSeenAt,omitempty"`
	// healthySince is when the workload was first seen healthy after that.
	// +optional
	HealthySince *metav1.MicroTime `json:"healthySince,omitempty"`
	// resolvedAt is the end.
	// +optional
	ResolvedAt *metav1.MicroTime `json:"resolvedAt,omitempty"`
	// occurrences counts deaths, or replicas that show a lasting failure.
	// +optional
	Occurrences int32 `json:"occurrences,omitempty"`
	// reason of the last step: why it was acted on or not.
	// +optional
	Reason string `json:"reason,omitempty"`
	// message is the last step's sentence.
	// +optional
	Message string `json:"message,omitempty"`
	// subjects are the replicas concerned, newest last.
	// +optional
	// +listType=atomic
	Subjects []IncidentSubject `json:"subjects,omitempty"`
	// evidence was copied at detection, before anything was done.
	// +optional
	// +listType=atomic
	Evidence []IncidentEvidence `json:"evidence,omitempty"`
	// timeline is what happened, oldest first.
	// +optional
	// +listType=atomic
	Timeline []TimelineEntry `json:"timeline,omitempty"`
	// root names the incident (namespace/name) that this one follows from; empty: it is its own root. Nothing is done about an
	// incident with a root.
	// +optional
	Root string `json:"root,omitempty"`
	// members are the workloads that fail because of this incident, in the order in which they were seen, at most 32.
	// +optional
	// +listType=atomic
	Members []IncidentMember `json:"members,omitempty"`
	// memberCount is how many members there were.
	// +optional
	MemberCount int32 `json:"memberCount,omitempty"`
	// forecast is the newest one of an incident whose finding is MemoryLeak.
	// +optional
	Forecast *MemoryForecast `json:"forecast,omitempty"`
	// proposal is a patch that a person or a Git repository would apply, as YAML with a comment that names the object.
	// +optional
	Proposal string `json:"proposal,omitempty"`
	// remediations are the actions: their intents and what became of them.
	// +optional
	// +listType=map
	// +listMapKey=id
	Remediations []Remediation `json:"remediations,omitempty"`
	// fingerprints of the occurrences that were counted already.
	// +optional
	// +listType=atomic
	Fingerprints []string `json:"fingerprints,omitempty"`
	// forgottenUntil is the newest beginning among the occurrences whose fingerprint is not kept any more: what began at
	// or before it was counted.
	// +optional
	ForgottenUntil *metav1.MicroTime `json:"forgottenUntil,omitempty"`
}

// IncidentMember is a workload that fails because of the incident in whose members it is.
type IncidentMember struct {
	// workload that fails.
	Workload ObjectRef `json:"workload"`
	// incident of its own (namespace/name), empty where it has none.
	// +optional
	Incident string `json:"incident,omitempty"`
	// finding of that incident, or what the root itself says of the workload; empty where it says no more.
	// +optional
	Finding FindingKind `json:"finding,omitempty"`
	// since is when it was first seen failing.
	// +optional
	Since *metav1.MicroTime `json:"since,omitempty"`
}

// MemoryForecast says when a container reaches its memory limit if it goes on as it does.
type MemoryForecast struct {
	// at is when the forecast was made.
	// +optional
	At *metav1.MicroTime `json:"at,omitempty"`
	// oomAt is when the limit is reached.
	// +optional
	OOMAt *metav1.MicroTime `json:"oomAt,omitempty"`
	// earliest is the beginning of the 90 % interval of oomAt.
	// +optional
	Earliest *metav1.MicroTime `json:"earliest,omitempty"`
	// latest is the end of that interval; not given: it is open.
	// +optional
	Latest *metav1.MicroTime `json:"latest,omitempty"`
	// memoryBytes that were resident then.
	// +optional
	MemoryBytes int64 `json:"memoryBytes,omitempty"`
	// limitBytes of the container.
	// +optional
	LimitBytes int64 `json:"limitBytes,omitempty"`
	// bytesPerSecond is the growth after what load explains, with at most four decimals.
	// +optional
	BytesPerSecond string `json:"bytesPerSecond,omitempty"`
	// fit is R² of the line, 0 to 1.
	// +optional
	Fit string `json:"fit,omitempty"`
	// span of time that the line was fitted over.
	// +optional
	Span *metav1.Duration `json:"span,omitempty"`
}

// ObjectRef names an object in any namespace.
type ObjectRef struct {
	// kind such as Deployment.
	Kind string `json:"kind"`
	// namespace of the object, empty where it has none.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// name of the object.
	Name string `json:"name"`
	// uid of the object, empty where it is not known.
	// +optional
	UID string `json:"uid,omitempty"`
}

// WorkloadRef names a workload in the namespace of the object that refers to it.
type WorkloadRef struct {
	// kind such as Deployment.
	Kind string `json:"kind"`
	// name of the workload.
	Name string `json:"name"`
	// uid of the workload, empty where it is not known.
	// +optional
	UID string `json:"uid,omitempty"`
}

// IncidentList is a list of Incidents.
//
// +kubebuilder:object:root=true
type IncidentList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Incident `json:"items"`
}
