package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Decision is one decision about the number of replicas.
type Decision struct {
	// time of the decision.
	Time metav1.MicroTime `json:"time"`
	// current is the number that the target asked for.
	Current int32 `json:"current"`
	// proposed is the number that the metrics alone would give.
	Proposed int32 `json:"proposed"`
	// desired is the number after every step.
	Desired int32 `json:"desired"`
	// reason is the last step that moved or held the number.
	Reason string `json:"reason"`
	// message is one plain sentence.
	Message string `json:"message"`
	// metrics are the proposals of the metrics.
	// +optional
	// +listType=atomic
	Metrics []DecisionMetric `json:"metrics,omitempty"`
	// steps of the decision, in the order in which they ran.
	// +optional
	// +listType=atomic
	Steps []DecisionStep `json:"steps,omitempty"`
}

// DecisionMetric is what one metric alone would give, and the replicas that it counted.
type DecisionMetric struct {
	// source says which metric it is.
	// +optional
	Source MetricSource `json:"source"`
	// from says where it was read where that is not the kubelet, such as "custom.metrics.k8s.io" or "app /metrics".
	// +optional
	From string `json:"from,omitempty"`
	// type of the target: Utilization, AverageValue or Value.
	Type string `json:"type"`
	// target in percent of the requests (Utilization), thousandths of a core (cpu), bytes (memory) or thousandths of any
	// other unit.
	Target int64 `json:"target"`
	// replicas is the metric's proposal.
	// +optional
	Replicas int32 `json:"replicas,omitempty"`
	// ratio is usage over target, with at most four decimals.
	// +optional
	Ratio string `json:"ratio,omitempty"`
	// adjustedRatio is the ratio once replicas that are missing or not ready were counted in, not given where there was
	// no need to.
	// +optional
	AdjustedRatio string `json:"adjustedRatio,omitempty"`
	// value of the metric in the unit of the target, or the average usage per counted replica in thousandths of a core or
	// bytes.
	// +optional
	Value int64 `json:"value,omitempty"`
	// utilization in percent of the requests.
	// +optional
	Utilization int64 `json:"utilization,omitempty"`
	// cpuPressure is the highest share of the last 10 s in which a counted replica waited for a CPU, in percent, with at
	// most four decimals; only of cpu.
	// +optional
	CPUPressure string `json:"cpuPressure,omitempty"`
	// withinTolerance is true where the ratio alone asked for no change.
	// +optional
	WithinTolerance bool `json:"withinTolerance,omitempty"`
	// ready is the number of replicas whose usage stands for their load.
	// +optional
	Ready int32 `json:"ready,omitempty"`
	// readyFirst names the first few of them.
	// +optional
	// +listType=atomic
	ReadyFirst []string `json:"readyFirst,omitempty"`
	// unready replicas are no capacity, or a health rule says so. Where the others ask for more they count as idle (an OOM
	// killed one that is ready again with what it uses); where they ask for less, those of a health rule count as busy,
	// those never ready with what they use, and the rest not at all.
	// +optional
	Unready *ReplicaNames `json:"unready,omitempty"`
	// missing replicas have no sample, or one that a health rule does not trust. Where the metric asks for more they count
	// as idle, or with what the sample has; where it asks for less, as busy.
	// +optional
	Missing *ReplicaNames `json:"missing,omitempty"`
	// ignored replicas are not counted at all (deleted or failed).
	// +optional
	Ignored *ReplicaNames `json:"ignored,omitempty"`
	// error says why the metric could not be computed; errorReason is its one word.
	// +optional
	Error string `json:"error,omitempty"`
	// errorReason is the one word for error.
	// +optional
	ErrorReason string `json:"errorReason,omitempty"`
	// fallback is what stood in for the metric: Hold, LastGood or Replicas. Not given where it could be computed, or has
	// no fallback.
	// +optional
	Fallback string `json:"fallback,omitempty"`
	// lastGood is when the proposal that stood in was computed; only with a fallback of type LastGood.
	// +optional
	LastGood *metav1.MicroTime `json:"lastGood,omitempty"`
	// message is one plain sentence.
	// +optional
	Message string `json:"message,omitempty"`
	// oldestSample is the time of the oldest sample that was used.
	// +optional
	OldestSample *metav1.MicroTime `json:"oldestSample,omitempty"`
}

// ReplicaNames counts replicas and names the first of them, each with its reason ("web-1: crash loop").
type ReplicaNames struct {
	// count of all of them.
	Count int32 `json:"count"`
	// first few of them, each with its reason.
	// +optional
	// +listType=atomic
	First []string `json:"first,omitempty"`
}

// DecisionStep is one step of a decision.
type DecisionStep struct {
	// name of the step: Metrics, Stabilization, RateLimit, Bounds, Health or Pause.
	Name string `json:"name"`
	// before is the number that the step was given.
	Before int32 `json:"before"`
	// after is the number that it handed on.
	After int32 `json:"after"`
	// reason is the rule that moved or held the number.
	// +optional
	Reason string `json:"reason,omitempty"`
	// cause is the field, or the name of the object or metric, that moved or held the number: "maxReplicas", "schedule
	// office-hours". Not given where nothing did.
	// +optional
	Cause string `json:"cause,omitempty"`
	// message is one plain sentence.
	// +optional
	Message string `json:"message,omitempty"`
}

// ScaleChange is one change of the number of replicas that was written.
type ScaleChange struct {
	// time of the write.
	Time metav1.MicroTime `json:"time"`
	// from is the number before.
	From int32 `json:"from"`
	// to is the number after.
	To int32 `json:"to"`
	// reason of the decision.
	Reason string `json:"reason"`
	// message is one plain sentence.
	// +optional
	Message string `json:"message,omitempty"`
	// id of the decision, such as d-846b76909f: the same in its Event, its line of the journal and of Loki, and its annotation.
	// +optional
	ID string `json:"id,omitempty"`
}

// MetricSource says which metric it is.
type MetricSource struct {
	// type of the metric, as in the spec.
	// +optional
	Type string `json:"type,omitempty"`
	// name of the resource (Resource, ContainerResource) or metric, or the query (Prometheus).
	// +optional
	Name string `json:"name,omitempty"`
	// container whose usage counts; only of ContainerResource.
	// +optional
	Container string `json:"container,omitempty"`
	// object that the metric describes, as apiVersion/kind/name; only of Object.
	// +optional
	Object string `json:"object,omitempty"`
	// selector of the metric, as text; only of Pods, Object and External.
	// +optional
	Selector string `json:"selector,omitempty"`
}
