package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// AppMetrics says where a replica serves its own metrics page, in the text format of Prometheus. The annotations
// prometheus.io/scrape, port, path and scheme of a pod mean the same; what is given here counts.
type AppMetrics struct {
	// port of the replicas: its number, 1 to 65535, or its name among the ports of the containers.
	// +required
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 1 && self <= 65535 : size(self) >= 1 && size(self) <= 15",messageExpression="'port is %s, it must be a number of 1 to 65535 or the name of a port with at most 15 characters'.format([string(self)])"
	Port intstr.IntOrString `json:"port"`
	// path of the page.
	// +optional
	// +kubebuilder:default="/metrics"
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.startsWith('/')",messageExpression="'path is ' + self + ', it must begin with /, such as /metrics'"
	Path string `json:"path,omitempty"`
	// scheme of the page: http or https.
	// +optional
	// +kubebuilder:default=http
	// +kubebuilder:validation:Enum=http;https
	Scheme string `json:"scheme,omitempty"`
	// container whose process serves the page, and whose CPU usage it tells. Where it is not given: the container that has
	// the port, or the only one.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Container string `json:"container,omitempty"`
}

// Schedule raises the minimum from start to end. It is active while its next end comes before its next start.
type Schedule struct {
	// name of the schedule; the reason names it.
	// +required
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",messageExpression="'name is ' + self + ', it must be lower case letters, digits and dashes, and begin and end with a letter or digit'"
	Name string `json:"name"`
	// start is when the minimum is raised, as a cron expression of five fields: minute, hour, day of month, month, day of
	// week. @hourly, @daily, @weekly, @monthly and @yearly are short for those.
	// +required
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^(@[a-z]+|[^ =]+( +[^ =]+){4})$') && self != '@every'",messageExpression="'start is ' + self + ', it must be a cron expression of five fields, such as 0 8 * * 1-5'"
	Start string `json:"start"`
	// end is when the minimum is as before, as start.
	// +required
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^(@[a-z]+|[^ =]+( +[^ =]+){4})$') && self != '@every'",messageExpression="'end is ' + self + ', it must be a cron expression of five fields, such as 0 18 * * 1-5'"
	End string `json:"end"`
	// timeZone that start and end are meant in: a name of the IANA time zone database, such as Europe/Berlin.
	// +optional
	// +kubebuilder:default=UTC
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$') && self != 'Local'",messageExpression="'timeZone is ' + self + ', it must be a name such as UTC or Europe/Berlin'"
	TimeZone string `json:"timeZone,omitempty"`
	// minReplicas is the minimum while the schedule is active, where spec.minReplicas is not higher. At least 1, at most
	// maxReplicas. Where several schedules are active, the highest counts.
	// +required
	// +kubebuilder:validation:Minimum=1
	MinReplicas int32 `json:"minReplicas"`
}

// AutoscalerPause holds the number of replicas in one direction.
type AutoscalerPause struct {
	// scaleUp keeps the number of replicas from going up, whatever asks for it.
	// +optional
	// +kubebuilder:default=false
	ScaleUp bool `json:"scaleUp,omitempty"`
	// scaleDown keeps the number of replicas from going down, whatever asks for it.
	// +optional
	// +kubebuilder:default=false
	ScaleDown bool `json:"scaleDown,omitempty"`
}

// AutoscalerTiming has per object what a cluster's kube-controller-manager has as flags for all HPAs.
type AutoscalerTiming struct {
	// cpuInitializationPeriod after a replica's start in which its CPU usage only counts once it is ready. 0s to 24h.
	// +optional
	// +kubebuilder:default="5m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,6})?(h|m|s|ms))+$') && duration(self) <= duration('24h')",messageExpression="'cpuInitializationPeriod is ' + self + ', it must be a duration of 0s to 24h, such as 30s or 5m'"
	CPUInitializationPeriod *metav1.Duration `json:"cpuInitializationPeriod,omitempty"`
	// initialReadinessDelay after a replica's start: one whose readiness last changed before its end was never ready.
	// 0s to 24h.
	// +optional
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,6})?(h|m|s|ms))+$') && duration(self) <= duration('24h')",messageExpression="'initialReadinessDelay is ' + self + ', it must be a duration of 0s to 24h, such as 30s or 5m'"
	InitialReadinessDelay *metav1.Duration `json:"initialReadinessDelay,omitempty"`
	// syncPeriod is the time between two decisions. 1s to 1h.
	// +optional
	// +kubebuilder:default="1s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,6})?(h|m|s|ms))+$') && duration(self) >= duration('1s') && duration(self) <= duration('1h')",messageExpression="'syncPeriod is ' + self + ', it must be a duration of 1s to 1h, such as 1s or 15s'"
	SyncPeriod *metav1.Duration `json:"syncPeriod,omitempty"`
}

// AutoscalerHealth says what the health of the target means to its scaling. Every rule is on where it is not switched
// off. Kubernetes has none of them: with all of them off, what is decided is what a HorizontalPodAutoscaler would.
//
// Idle is a replica that uses nothing; busy is one that uses all of its request, or the target where that is more.
// minReplicas, maxReplicas and schedules are enforced in spite of every hold, and no hold ends by itself while its cause
// is there.
type AutoscalerHealth struct {
	// holdScaleDownOnIncident keeps the number of replicas from going down while the target has an open incident.
	// +optional
	// +kubebuilder:default=true
	HoldScaleDownOnIncident *bool `json:"holdScaleDownOnIncident,omitempty"`
	// crashLoopIsNotCapacity counts a replica in a crash loop as not ready, for every metric and whatever its age: as idle
	// where the others ask for more, as busy where they ask for less.
	// +optional
	// +kubebuilder:default=true
	CrashLoopIsNotCapacity *bool `json:"crashLoopIsNotCapacity,omitempty"`
	// oomKilledIsNotCapacity counts a replica with an OOM kill less than oomWindow ago as not ready, for every metric: it
	// starts anew with little usage, which is no sign of little load. It is idle where the others ask for more, until it
	// is ready again: from then on what it uses counts there. It is busy where the metric asks for less.
	// +optional
	// +kubebuilder:default=true
	OOMKilledIsNotCapacity *bool `json:"oomKilledIsNotCapacity,omitempty"`
	// oomWindow is how long an OOM kill counts. More than 0s, at most 1h.
	// +optional
	// +kubebuilder:default="5m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,6})?(h|m|s|ms))+$') && duration(self) > duration('0s') && duration(self) <= duration('1h')",messageExpression="'oomWindow is ' + self + ', it must be a duration of more than 0s and at most 1h, such as 30s or 5m'"
	OOMWindow *metav1.Duration `json:"oomWindow,omitempty"`
	// failingIsNotCapacity counts a replica of a new revision that fails as not ready, for every metric: as idle where the
	// others ask for more, as busy where they ask for less.
	// +optional
	// +kubebuilder:default=true
	FailingIsNotCapacity *bool `json:"failingIsNotCapacity,omitempty"`
	// neverReadyIsNotCapacity counts a replica that has never been ready as not ready, for every metric and whatever its
	// age: what it burns at its start is not load. It is idle where the others ask for more, and counts with what it uses
	// where they ask for less.
	// +optional
	// +kubebuilder:default=true
	NeverReadyIsNotCapacity *bool `json:"neverReadyIsNotCapacity,omitempty"`
	// partialIsMissing counts a replica as missing where the sample of one of its containers is: the usage of the others
	// beside the requests of all would look like less load than there is. That usage counts where even so the metric asks
	// for more; where it asks for less the replica is busy.
	// +optional
	// +kubebuilder:default=true
	PartialIsMissing *bool `json:"partialIsMissing,omitempty"`
	// memorySettle is how long after a restart of a container the memory of its replica is not trusted: it has not filled
	// yet. It counts where even so the metric asks for more; where it asks for less the replica is busy. 0s switches the
	// rule off. 0s to 1h.
	// +optional
	// +kubebuilder:default="2m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,6})?(h|m|s|ms))+$') && duration(self) <= duration('1h')",messageExpression="'memorySettle is ' + self + ', it must be a duration of 0s to 1h, such as 0s or 2m'"
	MemorySettle *metav1.Duration `json:"memorySettle,omitempty"`
	// holdOnFailingRollout keeps the number of replicas where it is, in both directions, while at least as many replicas of
	// a new revision fail as are ready. Load that grows meanwhile gets no replicas until the rollout is mended or taken
	// back; minReplicas can still raise the number.
	// +optional
	// +kubebuilder:default=true
	HoldOnFailingRollout *bool `json:"holdOnFailingRollout,omitempty"`
	// holdScaleUpOnShortage asks for no more replicas while those that were asked for cannot be placed: no node has room
	// for them, or a quota refuses them. Where nodes are added for replicas that wait, they are then added in smaller steps.
	// +optional
	// +kubebuilder:default=true
	HoldScaleUpOnShortage *bool `json:"holdScaleUpOnShortage,omitempty"`
}
