package sources

import (
	"time"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/metrics"
	"github.com/homeostat/homeostat/metrics/app"
	"github.com/homeostat/homeostat/platform/kube/view"
)

// usage sums the usage of the pod's containers, as far as it is known. Which of them are missing is in the sum, so that it is
// not taken for the whole.
func (s *Sources) usage(pod *view.Pod, now time.Time) (cpu, memory hpa.Usage) {
	cpu = hpa.Usage{Request: pod.CPU.Value, RequestMissing: pod.CPU.Missing}
	memory = hpa.Usage{Request: pod.Memory.Value, RequestMissing: pod.Memory.Missing}
	if len(pod.Measured) == 0 { // every container has ended for good
		cpu.Why, memory.Why = string(metrics.ReasonMissing), string(metrics.ReasonMissing)
		return cpu, memory
	}
	seen := s.store.Pod(pod.Namespace, pod.Name, now)
	var lacksCPU, lacksMemory lacking
	for _, name := range pod.Measured {
		u := s.onNode(pod, seen.Container(name))
		lacksMemory.add(&memory, u.HasMemory(), u.MemoryBytes, &u, name)
		u, page := s.fresher(pod, name, u, now)
		lacksCPU.add(&cpu, u.OK(), u.CPUMilli, &u, name)
		if page {
			cpu.From = FromPage
		}
	}
	lacksCPU.settle(&cpu)
	lacksMemory.settle(&memory)
	return cpu, memory
}

// onNode says of a container that was never seen that its node could not be scraped, where that is why.
func (s *Sources) onNode(pod *view.Pod, u metrics.Usage) metrics.Usage {
	if u.Reason == metrics.ReasonMissing && pod.Replica.Node != "" {
		if n := s.store.Node(pod.Replica.Node); !n.LastAttempt.IsZero() && !n.Reachable {
			u.Reason, u.Detail = metrics.ReasonUnreachable, n.Err
		}
	}
	return u
}

// fresher returns the CPU that the container's own page shows where that is fresher. Memory is the kubelet's alone, at the
// time of its own sample.
func (s *Sources) fresher(pod *view.Pod, container string, kubelet metrics.Usage, now time.Time) (u metrics.Usage, page bool) {
	if s.app == nil {
		return kubelet, false
	}
	return s.app.Fresher(app.Pod{Namespace: pod.Namespace, Name: pod.Name}, container, kubelet, now)
}

// lacking is the first container without a usable sample, and why it has none.
type lacking struct{ container, why string }

// add takes one container into the sum.
func (l *lacking) add(sum *hpa.Usage, known bool, value int64, u *metrics.Usage, container string) {
	if !known {
		if l.container == "" {
			l.container, l.why = container, string(u.Reason)
		}
		return
	}
	sum.Known = true
	sum.Value += value
	if sum.At.IsZero() || u.At.Before(sum.At) {
		sum.At = u.At
	}
	sum.Window = max(sum.Window, u.Window)
}

// settle says what is missing in the sum.
func (l *lacking) settle(sum *hpa.Usage) {
	switch {
	case l.container == "":
	case sum.Known:
		sum.Partial = l.container
	default:
		sum.Why = l.why + " (container " + l.container + ")"
	}
}

// ofContainer reads the usage of one container of each pod. The source is always there; what is missing is missing in the
// replicas.
func (s *Sources) ofContainer(ask *Ask, source *hpa.Source, now time.Time) hpa.Reading {
	out := hpa.Reading{Source: *source, Known: true, Replicas: make([]hpa.Usage, len(ask.Pods))}
	for i, pod := range ask.Pods {
		u := &out.Replicas[i]
		request(u, pod, source)
		seen := s.onNode(pod, s.store.Container(metrics.Key{Namespace: pod.Namespace, Pod: pod.Name, Container: source.Container}, now))
		known, value := seen.HasMemory(), seen.MemoryBytes
		if source.Resource == hpa.CPU {
			fresh, page := s.fresher(pod, source.Container, seen, now)
			if page {
				u.From, out.From = FromPage, FromPage
			}
			seen, known, value = fresh, fresh.OK(), fresh.CPUMilli
		}
		if !known {
			u.Why = string(seen.Reason)
			continue
		}
		u.Known, u.Value, u.At, u.Window = true, value, seen.At, seen.Window
		cover(&out, u)
	}
	return out
}

// request fills in what the container requests.
func request(u *hpa.Usage, pod *view.Pod, source *hpa.Source) {
	u.RequestMissing = source.Container
	for i := range pod.Requests {
		c := &pod.Requests[i]
		if c.Name != source.Container {
			continue
		}
		v := c.CPU
		if source.Resource == hpa.Memory {
			v = c.Memory
		}
		if v != view.NotRequested {
			u.Request, u.RequestMissing = v, ""
		}
	}
}
