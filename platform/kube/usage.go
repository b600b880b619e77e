package kube

import (
	"time"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/metrics"
	"github.com/homeostat/homeostat/platform/kube/view"
)

// usage sums the usage of the pod's containers. It is known only if that of every container is: a sum over some of them
// beside the requests of all would look like less load than there is.
func usage(pod *view.Pod, store *metrics.Store, now time.Time) (cpu, memory hpa.Usage) {
	cpu = hpa.Usage{Known: true, Request: pod.CPU.Value, RequestMissing: pod.CPU.Missing}
	memory = hpa.Usage{Known: true, Request: pod.Memory.Value, RequestMissing: pod.Memory.Missing}
	if len(pod.Measured) == 0 { // every container has ended for good
		cpu.Known, memory.Known = false, false
		cpu.Why, memory.Why = string(metrics.ReasonMissing), string(metrics.ReasonMissing)
		return cpu, memory
	}
	seen := store.Pod(pod.Namespace, pod.Name, now)
	for _, name := range pod.Measured {
		u := seen.Container(name)
		if u.Reason == metrics.ReasonMissing {
			u = unreachable(u, pod, store)
		}
		add(&cpu, u.OK(), u.CPUMilli, &u, name)
		add(&memory, u.HasMemory(), u.MemoryBytes, &u, name)
	}
	return cpu, memory
}

// unreachable says of a container that was never seen that its node could not be scraped, where that is why.
func unreachable(u metrics.Usage, pod *view.Pod, store *metrics.Store) metrics.Usage {
	if n := store.Node(pod.Replica.Node); pod.Replica.Node != "" && !n.LastAttempt.IsZero() && !n.Reachable {
		u.Reason, u.Detail = metrics.ReasonUnreachable, n.Err
	}
	return u
}

// add takes one container into the sum. The first container without a usable sample is the reason why there is no sum.
func add(sum *hpa.Usage, known bool, value int64, u *metrics.Usage, container string) {
	if !sum.Known {
		return
	}
	if !known {
		*sum = hpa.Usage{Why: string(u.Reason) + " (container " + container + ")", Request: sum.Request, RequestMissing: sum.RequestMissing}
		return
	}
	sum.Value += value
	if sum.At.IsZero() || u.At.Before(sum.At) {
		sum.At = u.At
	}
	sum.Window = max(sum.Window, u.Window)
}
