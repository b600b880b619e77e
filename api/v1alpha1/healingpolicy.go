package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// HealingMode says whether remedies are carried out.
// +kubebuilder:validation:Enum=Observe;Act
type HealingMode string

// The modes of a HealingPolicy.
const (
	HealingObserve HealingMode = "Observe" // write the same records, act on nothing
	HealingAct     HealingMode = "Act"     // carry remedies out, within the budget
)

// FindingKind names a kind of failure.
// +kubebuilder:validation:Enum=NodeNotReady;OOMKilled;NodeOOM;ProbableOOM;ChildOOM;StatusUnknown;LivenessKill;StartupKill;BadCommand;CleanExit;ImagePull;ConfigMissing;VolumeStuck;SandboxFailed;NodeCrashLoop;CrashLoop;Evicted;Disrupted;Unschedulable;ReadinessGate;NotReady;StuckTerminating;ResizeStuck;RolloutStuck;CreateRefused;JobFailed;AutoscalerBlind;MemoryLeak;CPUThrottled;RestartRate;Storm
type FindingKind string

// Remedy is what is done about a finding.
// +kubebuilder:validation:Enum=None;Capture;Restart;Quarantine;ResizeMemory;RestartWorkload;ScaleOut;Rollback;AbortCanary
type Remedy string

// HealingPolicy says which workloads of its namespace are watched, and what may be done about which finding.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=hp,categories=homeostat
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Budget",type=integer,JSONPath=`.spec.budget.actions`,description="actions per workload"
// +kubebuilder:printcolumn:name="Per",type=string,JSONPath=`.spec.budget.period`,description="the budget's period"
// +kubebuilder:printcolumn:name="Watched",type=integer,JSONPath=`.status.watchedWorkloads`,description="workloads that it governs"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Min Healthy",type=integer,JSONPath=`.spec.minHealthyPercent`,priority=1,description="percent of the replicas"
type HealingPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the user allows.
	// +required
	Spec HealingPolicySpec `json:"spec"`
	// Status is written by Homeostat.
	// +optional
	Status HealingPolicyStatus `json:"status,omitempty"`
}

// HealingPolicySpec is what the user allows.
type HealingPolicySpec struct {
	// selector selects workloads of the namespace by the labels of their pods. It must not be empty: an empty selector
	// selects nothing.
	// +required
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="selector is empty, and an empty selector selects nothing: give matchLabels or matchExpressions"
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || size(self.matchExpressions) <= 16",fieldPath=".matchExpressions",messageExpression="'matchExpressions has %d items, at most 16 are allowed'.format([size(self.matchExpressions)])"
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn', 'Exists', 'DoesNotExist'])",fieldPath=".matchExpressions",messageExpression="'operator is %s, only In, NotIn, Exists and DoesNotExist are allowed'.format([self.matchExpressions.filter(e, !(e.operator in ['In', 'NotIn', 'Exists', 'DoesNotExist']))[0].operator])"
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, (e.operator in ['In', 'NotIn']) == (has(e.values) && size(e.values) > 0))",fieldPath=".matchExpressions",messageExpression="'values of the expression for key %s do not fit its operator: In and NotIn need values, Exists and DoesNotExist must have none'.format([self.matchExpressions.filter(e, (e.operator in ['In', 'NotIn']) != (has(e.values) && size(e.values) > 0))[0].key])"
	Selector metav1.LabelSelector `json:"selector"`

	// mode says whether remedies are carried out (Act) or only written down (Observe).
	// +optional
	// +kubebuilder:default=Observe
	Mode HealingMode `json:"mode,omitempty"`

	// remedies per finding. A finding that is not named has its default: a ladder for what a remedy can mend (docs/healing.md),
	// None for every other.
	// +optional
	// +listType=map
	// +listMapKey=finding
	// +kubebuilder:validation:MaxItems=32
	Remedies []FindingRemedy `json:"remedies,omitempty"`

	// maxMemoryPercent bounds ResizeMemory, in percent of the limit in the pod template as it was before Homeostat patched it. 100 to 1000.
	// +optional
	// +kubebuilder:default=200
	// +kubebuilder:validation:Minimum=100
	// +kubebuilder:validation:Maximum=1000
	MaxMemoryPercent *int32 `json:"maxMemoryPercent,omitempty"`

	// patchTemplate makes ResizeMemory patch the pod template too, which starts a rollout. Otherwise the patch is proposed in the
	// incident and the change ends with the pod.
	// +optional
	PatchTemplate bool `json:"patchTemplate,omitempty"`

	// maxScaleOutPercent bounds ScaleOut, in percent of the replicas that were desired before the first scale-out that nobody took
	// back; the maximum of an autoscaler holds too. 100 to 1000.
	// +optional
	// +kubebuilder:default=200
	// +kubebuilder:validation:Minimum=100
	// +kubebuilder:validation:Maximum=1000
	MaxScaleOutPercent *int32 `json:"maxScaleOutPercent,omitempty"`

	// forecast says when growth of memory is a finding.
	// +optional
	// +kubebuilder:default={}
	Forecast ForecastRules `json:"forecast,omitempty"`

	// budget bounds the actions on each workload.
	// +optional
	// +kubebuilder:default={}
	Budget Budget `json:"budget,omitempty"`

	// minHealthyPercent of the desired replicas must be ready after an action, or it is not carried out. 0 to 100.
	// +optional
	// +kubebuilder:default=51
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	MinHealthyPercent *int32 `json:"minHealthyPercent,omitempty"`

	// cooldown between two actions on one workload. 0s to 168h.
	// +optional
	// +kubebuilder:default="1m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,6})?(h|m|s|ms))+$') && duration(self) >= duration('0s') && duration(self) <= duration('168h')",messageExpression="'cooldown is ' + self + ', it must be a duration of 0s to 168h, such as 30s or 5m'"
	Cooldown *metav1.Duration `json:"cooldown,omitempty"`

	// verifyWithin is how long an action has to show its effect. 1s to 168h.
	// +optional
	// +kubebuilder:default="2m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,6})?(h|m|s|ms))+$') && duration(self) >= duration('1s') && duration(self) <= duration('168h')",messageExpression="'verifyWithin is ' + self + ', it must be a duration of 1s to 168h, such as 30s or 5m'"
	VerifyWithin *metav1.Duration `json:"verifyWithin,omitempty"`

	// resolveAfter is how long the workload has to be healthy until its incident is resolved. 1s to 168h.
	// +optional
	// +kubebuilder:default="2m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,6})?(h|m|s|ms))+$') && duration(self) >= duration('1s') && duration(self) <= duration('168h')",messageExpression="'resolveAfter is ' + self + ', it must be a duration of 1s to 168h, such as 30s or 5m'"
	ResolveAfter *metav1.Duration `json:"resolveAfter,omitempty"`

	// notReadyAfter is how long a running replica may be not ready before that is a finding. 1s to 168h.
	// +optional
	// +kubebuilder:default="3m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,6})?(h|m|s|ms))+$') && duration(self) >= duration('1s') && duration(self) <= duration('168h')",messageExpression="'notReadyAfter is ' + self + ', it must be a duration of 1s to 168h, such as 30s or 5m'"
	NotReadyAfter *metav1.Duration `json:"notReadyAfter,omitempty"`

	// pendingAfter is how long an image pull, a missing config or an unschedulable pod may last before that is a
	// finding. 0s to 168h.
	// +optional
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,6})?(h|m|s|ms))+$') && duration(self) >= duration('0s') && duration(self) <= duration('168h')",messageExpression="'pendingAfter is ' + self + ', it must be a duration of 0s to 168h, such as 30s or 5m'"
	PendingAfter *metav1.Duration `json:"pendingAfter,omitempty"`
}

// FindingRemedy is what is tried for one finding: one remedy, or several one after the other. What cannot mend the finding or
// would destroy its evidence is not allowed.
//
// +kubebuilder:validation:XValidation:rule="has(self.remedy) != has(self.ladder)",messageExpression="'remedies for ' + self.finding + (has(self.remedy) ? ' have both remedy and ladder' : ' have neither remedy nor ladder') + ': give exactly one, remedy (one rung) or ladder (a list)'"
// +kubebuilder:validation:XValidation:rule="!has(self.remedy) || self.remedy == 'None' || self.finding in {'Capture': ['ChildOOM', 'NotReady', 'MemoryLeak'], 'Restart': ['OOMKilled', 'ProbableOOM', 'ChildOOM', 'LivenessKill', 'VolumeStuck', 'NodeCrashLoop', 'NotReady', 'ResizeStuck', 'MemoryLeak'], 'Quarantine': ['OOMKilled', 'ProbableOOM', 'ChildOOM', 'LivenessKill', 'StartupKill', 'BadCommand', 'NodeCrashLoop', 'CrashLoop', 'NotReady'], 'ResizeMemory': ['OOMKilled', 'ProbableOOM', 'ChildOOM', 'MemoryLeak'], 'RestartWorkload': ['OOMKilled', 'ProbableOOM', 'MemoryLeak'], 'ScaleOut': ['OOMKilled', 'ProbableOOM', 'LivenessKill', 'CPUThrottled'], 'Rollback': ['OOMKilled', 'ProbableOOM', 'LivenessKill', 'StartupKill', 'BadCommand', 'ImagePull', 'ConfigMissing', 'CrashLoop', 'NotReady', 'RolloutStuck'], 'AbortCanary': ['OOMKilled', 'ProbableOOM', 'LivenessKill', 'StartupKill', 'BadCommand', 'ImagePull', 'ConfigMissing', 'CrashLoop', 'NotReady', 'RolloutStuck']}[self.remedy]",fieldPath=".remedy",messageExpression="'remedy for ' + self.finding + ' is ' + self.remedy + ', allowed is ' + (self.finding in ['OOMKilled', 'ProbableOOM'] ? 'None, Restart, Quarantine, ResizeMemory, RestartWorkload, ScaleOut, Rollback, AbortCanary' : self.finding in ['ChildOOM'] ? 'None, Capture, Restart, Quarantine, ResizeMemory' : self.finding in ['LivenessKill'] ? 'None, Restart, Quarantine, ScaleOut, Rollback, AbortCanary' : self.finding in ['StartupKill', 'BadCommand', 'CrashLoop'] ? 'None, Quarantine, Rollback, AbortCanary' : self.finding in ['ImagePull', 'ConfigMissing', 'RolloutStuck'] ? 'None, Rollback, AbortCanary' : self.finding in ['VolumeStuck', 'ResizeStuck'] ? 'None, Restart' : self.finding in ['NodeCrashLoop'] ? 'None, Restart, Quarantine' : self.finding in ['NotReady'] ? 'None, Capture, Restart, Quarantine, Rollback, AbortCanary' : self.finding in ['MemoryLeak'] ? 'None, Capture, Restart, ResizeMemory, RestartWorkload' : self.finding in ['CPUThrottled'] ? 'None, ScaleOut' : 'None')"
// +kubebuilder:validation:XValidation:rule="!has(self.ladder) || self.ladder.all(r, r == 'None' || self.finding in {'Capture': ['ChildOOM', 'NotReady', 'MemoryLeak'], 'Restart': ['OOMKilled', 'ProbableOOM', 'ChildOOM', 'LivenessKill', 'VolumeStuck', 'NodeCrashLoop', 'NotReady', 'ResizeStuck', 'MemoryLeak'], 'Quarantine': ['OOMKilled', 'ProbableOOM', 'ChildOOM', 'LivenessKill', 'StartupKill', 'BadCommand', 'NodeCrashLoop', 'CrashLoop', 'NotReady'], 'ResizeMemory': ['OOMKilled', 'ProbableOOM', 'ChildOOM', 'MemoryLeak'], 'RestartWorkload': ['OOMKilled', 'ProbableOOM', 'MemoryLeak'], 'ScaleOut': ['OOMKilled', 'ProbableOOM', 'LivenessKill', 'CPUThrottled'], 'Rollback': ['OOMKilled', 'ProbableOOM', 'LivenessKill', 'StartupKill', 'BadCommand', 'ImagePull', 'ConfigMissing', 'CrashLoop', 'NotReady', 'RolloutStuck'], 'AbortCanary': ['OOMKilled', 'ProbableOOM', 'LivenessKill', 'StartupKill', 'BadCommand', 'ImagePull', 'ConfigMissing', 'CrashLoop', 'NotReady', 'RolloutStuck']}[r])",fieldPath=".ladder",messageExpression="'ladder for ' + self.finding + ' has ' + self.ladder.filter(r, r != 'None' && !(self.finding in {'Capture': ['ChildOOM', 'NotReady', 'MemoryLeak'], 'Restart': ['OOMKilled', 'ProbableOOM', 'ChildOOM', 'LivenessKill', 'VolumeStuck', 'NodeCrashLoop', 'NotReady', 'ResizeStuck', 'MemoryLeak'], 'Quarantine': ['OOMKilled', 'ProbableOOM', 'ChildOOM', 'LivenessKill', 'StartupKill', 'BadCommand', 'NodeCrashLoop', 'CrashLoop', 'NotReady'], 'ResizeMemory': ['OOMKilled', 'ProbableOOM', 'ChildOOM', 'MemoryLeak'], 'RestartWorkload': ['OOMKilled', 'ProbableOOM', 'MemoryLeak'], 'ScaleOut': ['OOMKilled', 'ProbableOOM', 'LivenessKill', 'CPUThrottled'], 'Rollback': ['OOMKilled', 'ProbableOOM', 'LivenessKill', 'StartupKill', 'BadCommand', 'ImagePull', 'ConfigMissing', 'CrashLoop', 'NotReady', 'RolloutStuck'], 'AbortCanary': ['OOMKilled', 'ProbableOOM', 'LivenessKill', 'StartupKill', 'BadCommand', 'ImagePull', 'ConfigMissing', 'CrashLoop', 'NotReady', 'RolloutStuck']}[r]))[0] + ', allowed is ' + (self.finding in ['OOMKilled', 'ProbableOOM'] ? 'None, Restart, Quarantine, ResizeMemory, RestartWorkload, ScaleOut, Rollback, AbortCanary' : self.finding in ['ChildOOM'] ? 'None, Capture, Restart, Quarantine, ResizeMemory' : self.finding in ['LivenessKill'] ? 'None, Restart, Quarantine, ScaleOut, Rollback, AbortCanary' : self.finding in ['StartupKill', 'BadCommand', 'CrashLoop'] ? 'None, Quarantine, Rollback, AbortCanary' : self.finding in ['ImagePull', 'ConfigMissing', 'RolloutStuck'] ? 'None, Rollback, AbortCanary' : self.finding in ['VolumeStuck', 'ResizeStuck'] ? 'None, Restart' : self.finding in ['NodeCrashLoop'] ? 'None, Restart, Quarantine' : self.finding in ['NotReady'] ? 'None, Capture, Restart, Quarantine, Rollback, AbortCanary' : self.finding in ['MemoryLeak'] ? 'None, Capture, Restart, ResizeMemory, RestartWorkload' : self.finding in ['CPUThrottled'] ? 'None, ScaleOut' : 'None')"
// +kubebuilder:validation:XValidation:rule="!has(self.ladder) || self.ladder.all(r, self.ladder.exists_one(o, o == r))",fieldPath=".ladder",messageExpression="'ladder for ' + self.finding + ' has ' + self.ladder.filter(r, !self.ladder.exists_one(o, o == r))[0] + ' twice, each rung is allowed once'"
// +kubebuilder:validation:XValidation:rule="!has(self.ladder) || size(self.ladder) < 2 || !('None' in self.ladder)",fieldPath=".ladder",messageExpression="'ladder for ' + self.finding + ' has None beside other remedies, it is allowed alone only'"
type FindingRemedy struct {
	// finding that the remedy is for.
	// +required
	Finding FindingKind `json:"finding"`
	// remedy is the only rung: None (notify and keep the evidence), Capture (fetch a profile where the application offers one),
	// Restart (evict the replica, its owner makes a fresh one), Quarantine (take the replica out of its Services and its owner and
	// keep it), ResizeMemory (raise the memory limit in place), RestartWorkload (a rolling restart), ScaleOut (more replicas),
	// Rollback (back to the newest revision that was healthy) or AbortCanary (a canary to zero, or a Service back to the other
	// track).
	// +optional
	Remedy Remedy `json:"remedy,omitempty"`
	// ladder is remedies in the order in which they are tried; one that does not fit what is known is skipped.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Ladder []Remedy `json:"ladder,omitempty"`
}

// ForecastRules say when growth of memory is a finding.
type ForecastRules struct {
	// warmUp is the beginning of a container's life that is left out. 0s to 24h.
	// +optional
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,6})?(h|m|s|ms))+$') && duration(self) >= duration('0s') && duration(self) <= duration('24h')",messageExpression="'warmUp is ' + self + ', it must be a duration of 0s to 24h, such as 30m or 2h'"
	WarmUp *metav1.Duration `json:"warmUp,omitempty"`
	// minSpan is the least time that the growth has to be seen over. 1m to 24h.
	// +optional
	// +kubebuilder:default="30m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,6})?(h|m|s|ms))+$') && duration(self) >= duration('1m') && duration(self) <= duration('24h')",messageExpression="'minSpan is ' + self + ', it must be a duration of 1m to 24h, such as 30m or 2h'"
	MinSpan *metav1.Duration `json:"minSpan,omitempty"`
	// horizon is how far ahead the limit may be reached. 1m to 168h.
	// +optional
	// +kubebuilder:default="2h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,6})?(h|m|s|ms))+$') && duration(self) >= duration('1m') && duration(self) <= duration('168h')",messageExpression="'horizon is ' + self + ', it must be a duration of 1m to 168h, such as 30m or 2h'"
	Horizon *metav1.Duration `json:"horizon,omitempty"`
	// minPercent of the limit that is used already. 1 to 100.
	// +optional
	// +kubebuilder:default=70
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MinPercent *int32 `json:"minPercent,omitempty"`
}

// Budget bounds the actions on one workload.
type Budget struct {
	// actions per period and workload, 1 to 100.
	// +optional
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Actions *int32 `json:"actions,omitempty"`
	// period that the actions are counted in. 1s to 168h.
	// +optional
	// +kubebuilder:default="1h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,6})?(h|m|s|ms))+$') && duration(self) >= duration('1s') && duration(self) <= duration('168h')",messageExpression="'period is ' + self + ', it must be a duration of 1s to 168h, such as 30s or 5m'"
	Period *metav1.Duration `json:"period,omitempty"`
}

// HealingPolicyStatus is what Homeostat keeps about a policy. The budgets are stored here, so that they survive a
// restart and are shared by leaders.
type HealingPolicyStatus struct {
	// observedGeneration is the generation of the spec that the status belongs to.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// watchedWorkloads is the number of workloads that the policy governs.
	// +optional
	WatchedWorkloads int32 `json:"watchedWorkloads,omitempty"`
	// budgets are what was spent within the period, per workload; a workload without actions has no entry.
	// +optional
	// +listType=map
	// +listMapKey=workload
	Budgets []WorkloadBudget `json:"budgets,omitempty"`
	// conditions of the policy: Accepted.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// WorkloadBudget is what was spent on one workload within the period.
type WorkloadBudget struct {
	// workload as kind/name, such as "deployment/web".
	// +required
	Workload string `json:"workload"`
	// actions charged, oldest first.
	// +optional
	// +listType=map
	// +listMapKey=id
	Actions []SpentAction `json:"actions,omitempty"`
}

// SpentAction is one action that was charged to a budget.
type SpentAction struct {
	// id of the remediation: the same remediation is charged once.
	// +required
	ID string `json:"id"`
	// at is when it was charged.
	// +required
	At metav1.MicroTime `json:"at"`
}

// HealingPolicyList is a list of HealingPolicies.
//
// +kubebuilder:object:root=true
type HealingPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []HealingPolicy `json:"items"`
}
