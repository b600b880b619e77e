package metrics

import (
	"slices"
	"time"
)

// NotKnown stands in a Point for a value that is not known.
const NotKnown = -1

// Key names one container. On a platform without namespaces or pods the parts that do not exist are empty or constant.
type Key struct {
	Namespace, Pod, Container string
}

// String returns namespace/pod/container.
func (k Key) String() string { return k.Namespace + "/" + k.Pod + "/" + k.Container }

// Sample is one reading of one container.
type Sample struct {
	// At is when the values were taken, by the clock of the machine that took them.
	At time.Time
	// CPUSeconds is the CPU time used since the container started, in core-seconds: a counter.
	CPUSeconds float64
	// MemoryBytes is the working set, or the resident memory on the local platform.
	MemoryBytes int64
	// Start is when the container started; zero is not known.
	Start time.Time
	// NoCPU and NoMemory say that the reading had no such value; the value is then ignored.
	NoCPU, NoMemory bool
}

// Reason says whether a usage can be used, and if not, why not. The set is bounded.
type Reason string

// The reasons.
const (
	// ReasonOK says that the CPU rate is usable.
	ReasonOK Reason = "OK"
	// ReasonMissing says that the container was never seen, or so long ago that it was forgotten.
	ReasonMissing Reason = "Missing"
	// ReasonTooFewSamples says that there is no rate yet: one sample in this life of the container, or a gap before it.
	ReasonTooFewSamples Reason = "TooFewSamples"
	// ReasonStale says that the newest sample is older than allowed, or as far in the future.
	ReasonStale Reason = "Stale"
	// ReasonUnreachable says that there is no usable sample because the last scrape of the container's node failed.
	ReasonUnreachable Reason = "NodeUnreachable"
)

// Reasons returns all reasons.
func Reasons() []Reason {
	return []Reason{ReasonOK, ReasonMissing, ReasonTooFewSamples, ReasonStale, ReasonUnreachable}
}

// Usage is what a container, or a pod, uses at a time.
type Usage struct {
	Reason Reason
	// Detail explains a reason in one sentence where there is more to say, such as the error of the node's last scrape.
	Detail string
	// At is the time of the newest sample, also of a stale one; zero if there is none.
	At time.Time
	// Window is the span that the CPU rate covers.
	Window time.Duration
	// CPUMilli is the CPU rate in thousandths of a core. Only meaningful if OK.
	CPUMilli int64
	// MemoryBytes is the newest reading of the memory. Only meaningful if HasMemory.
	MemoryBytes int64
	// MemoryKnown is what HasMemory returns.
	MemoryKnown bool
	// Start is when the present life of the container started; zero is not known.
	Start time.Time
}

// OK reports whether the CPU rate can be used.
func (u Usage) OK() bool { return u.Reason == ReasonOK }

// HasMemory reports whether MemoryBytes can be used. One fresh sample is enough for it, so it can be true while the
// reason is ReasonTooFewSamples.
func (u Usage) HasMemory() bool { return u.MemoryKnown }

// Point is one step of a series kept as evidence.
type Point struct {
	// At is the time of the sample at the end of the step.
	At time.Time `json:"at"`
	// CPUMilli is the CPU rate since the sample before, in thousandths of a core. NotKnown at the first sample of a life.
	CPUMilli int64 `json:"cpuMilli"`
	// MemoryBytes is the memory at At. NotKnown where the sample had none.
	MemoryBytes int64 `json:"memoryBytes"`
}

// TrendPoint is one step of a container's long history: an hour and more in steps of half a minute or so, for what a window of
// seconds cannot show.
type TrendPoint struct {
	// At is the time of the sample.
	At time.Time `json:"at"`
	// ResidentBytes is the anonymous memory (container_memory_rss), which the kernel cannot reclaim; MemoryBytes the working set;
	// CPUMilli the mean CPU rate since the point before. NotKnown where no source tells it.
	ResidentBytes int64 `json:"residentBytes"`
	MemoryBytes   int64 `json:"memoryBytes"`
	CPUMilli      int64 `json:"cpuMilli"`
}

// ContainerUsage is the usage of one container of a pod.
type ContainerUsage struct {
	Name  string
	Usage Usage
}

// PodUsage is the usage of the containers of a pod that were seen. A container of the pod's spec that is not in it is
// missing; comparing the two is up to the caller, who knows the spec.
type PodUsage struct {
	// Node is where the pod was seen last; empty if it never was.
	Node string
	// Containers are sorted by name.
	Containers []ContainerUsage
}

// Container returns the usage of the named container, with ReasonMissing if it was not seen.
func (p PodUsage) Container(name string) Usage {
	for i := range p.Containers {
		if p.Containers[i].Name == name {
			return p.Containers[i].Usage
		}
	}
	return Usage{Reason: ReasonMissing}
}

// Total returns the sum over the containers that were seen. It is as good as its worst container: the reason is OK only
// if all are, and memory is known only if that of all is. At is the oldest of their newest samples, Window the longest,
// Start the latest. Without containers the reason is ReasonMissing.
func (p PodUsage) Total() Usage {
	if len(p.Containers) == 0 {
		return Usage{Reason: ReasonMissing}
	}
	total := Usage{Reason: ReasonOK, MemoryKnown: true}
	for i := range p.Containers {
		u := &p.Containers[i].Usage
		if severity(u.Reason) > severity(total.Reason) {
			total.Reason, total.Detail = u.Reason, u.Detail
		}
		if total.At.IsZero() || u.At.Before(total.At) {
			total.At = u.At
		}
		if u.Start.After(total.Start) {
			total.Start = u.Start
		}
		total.Window = max(total.Window, u.Window)
		total.CPUMilli += u.CPUMilli
		total.MemoryBytes += u.MemoryBytes
		total.MemoryKnown = total.MemoryKnown && u.MemoryKnown
	}
	if !total.OK() {
		total.CPUMilli, total.Window = 0, 0
	}
	if !total.MemoryKnown {
		total.MemoryBytes = 0
	}
	return total
}

// severity orders the reasons by how little is known.
func severity(r Reason) int {
	return slices.Index([]Reason{ReasonOK, ReasonTooFewSamples, ReasonStale, ReasonMissing, ReasonUnreachable}, r)
}
