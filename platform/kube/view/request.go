package view

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// podRequest returns what the pod requests of a resource, as Request describes.
func podRequest(p *corev1.Pod, name corev1.ResourceName) Request {
	if podLevel(p) {
		return podLevelRequest(p, name)
	}
	var sum int64
	for _, c := range running(p) {
		v, ok := amount(c.Resources.Requests, name)
		if !ok {
			return Request{Missing: c.Name}
		}
		sum += v
	}
	return Request{Value: sum}
}

// running returns the containers that run as long as the pod does: the main ones and then the sidecars.
func running(p *corev1.Pod) []*corev1.Container {
	out := make([]*corev1.Container, 0, len(p.Spec.Containers)+len(p.Spec.InitContainers))
	for i := range p.Spec.Containers {
		out = append(out, &p.Spec.Containers[i])
	}
	for i := range p.Spec.InitContainers {
		if c := &p.Spec.InitContainers[i]; restartsAlways(c) {
			out = append(out, c)
		}
	}
	return out
}

// podLevel reports whether the pod has requests of its own; then they count for every resource, also for one that is not
// among them.
func podLevel(p *corev1.Pod) bool {
	if p.Spec.Resources == nil {
		return false
	}
	for name := range p.Spec.Resources.Requests {
		if name == corev1.ResourceCPU || name == corev1.ResourceMemory || strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix) {
			return true
		}
	}
	return false
}

// podLevelRequest is the pod's own request, or what the scheduler makes of its containers where it has none of that
// resource: a container that requests nothing is then no fault as long as another requests something.
func podLevelRequest(p *corev1.Pod, name corev1.ResourceName) Request {
	overhead, _ := amount(p.Spec.Overhead, name)
	if v, ok := amount(p.Spec.Resources.Requests, name); ok {
		return Request{Value: v + overhead}
	}
	var sum, sidecars, starting int64
	known := false
	add := func(c *corev1.Container) int64 {
		v, ok := amount(c.Resources.Requests, name)
		known = known || ok
		return v
	}
	for i := range p.Spec.Containers {
		sum += add(&p.Spec.Containers[i])
	}
	for i := range p.Spec.InitContainers { // they start one after the other, beside the sidecars before them
		c := &p.Spec.InitContainers[i]
		v := add(c)
		if restartsAlways(c) {
			sum, sidecars, v = sum+v, sidecars+v, 0
		}
		starting = max(starting, sidecars+v)
	}
	if _, over := p.Spec.Overhead[name]; !known && !over {
		if len(p.Spec.Containers) == 0 {
			return Request{Missing: "(none)"}
		}
		return Request{Missing: p.Spec.Containers[0].Name}
	}
	return Request{Value: max(sum, starting) + overhead}
}

// containerRequests returns the requests of each container by itself.
func (r *Records) containerRequests(p *corev1.Pod) []ContainerRequest {
	list := running(p)
	out := make([]ContainerRequest, len(list))
	for i, c := range list {
		out[i] = ContainerRequest{Name: r.intern(c.Name), CPU: NotRequested, Memory: NotRequested}
		if v, ok := amount(c.Resources.Requests, corev1.ResourceCPU); ok {
			out[i].CPU = v
		}
		if v, ok := amount(c.Resources.Requests, corev1.ResourceMemory); ok {
			out[i].Memory = v
		}
	}
	return out
}

// amount returns thousandths of a core or bytes.
func amount(list corev1.ResourceList, name corev1.ResourceName) (int64, bool) {
	q, ok := list[name]
	if name == corev1.ResourceCPU {
		return q.MilliValue(), ok
	}
	return q.Value(), ok
}
