package differential

import (
	"math"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
	resourcehelpers "k8s.io/component-helpers/resource"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
)

// observe builds what hpa.Decide is given from the same objects that the controller of Kubernetes reads, as the adapter
// of a cluster does.
func (b *bubble) observe(s *state, now time.Time) hpa.Observation {
	step := s.step()
	o := hpa.Observation{
		Current: s.replicas, StatusReplicas: step.StatusReplicas, ScaledToZero: s.scaledToZero(),
		Incident: step.Health.Incident, Rollout: step.Health.Rollout,
	}
	if step.Health.Shortage != "" {
		o.Shortage = &hpa.Fault{Reason: step.Health.Shortage, Message: "no node has room"}
	}
	selector, err := labels.Parse(step.Selector)
	if step.Selector == "" || err != nil {
		o.Selector = &hpa.Fault{Reason: hpa.FaultInvalidSelector, Message: "the target's scale is missing a selector"}
		return o
	}
	matching := b.matching(selector)
	if b.ambiguous(s, selector, matching) {
		o.Selector = &hpa.Fault{Reason: hpa.FaultAmbiguousSelector, Message: "the pods are another autoscaler's too"}
	}
	sampled := false
	for i, p := range b.step.Pods {
		m, ok := p.metrics(b.at)
		sampled = sampled || (ok && selector.Matches(labels.Set{"app": p.App}))
		if k := matching[i]; k != nil {
			o.Replicas = append(o.Replicas, b.replica(&b.step.Pods[i], k, now))
		}
		_ = m
	}
	if b.step.Resources != "" || !sampled {
		o.Unavailable = "the resource metrics API answers with nothing"
	}
	for i := range s.policy.Metrics {
		if source := s.policy.Metrics[i].Source; source.Type != hpa.FromResource {
			o.Readings = append(o.Readings, b.reading(source, selector, matching, o.Unavailable))
		}
	}
	return o
}

// matching returns the pods that a selector matches, each at its place in the step.
func (b *bubble) matching(selector labels.Selector) map[int]*v1.Pod {
	found := map[int]*v1.Pod{}
	for i, k := range b.pods {
		if k != nil && selector.Matches(labels.Set(k.Labels)) {
			found[i] = k
		}
	}
	return found
}

// ambiguous keeps the selectors that the controller knows, and reports whether any of the pods is another's too. The
// controller learns the selector of an autoscaler only where it goes on to compute its metrics.
func (b *bubble) ambiguous(s *state, selector labels.Selector, pods map[int]*v1.Pod) bool {
	p := &s.policy
	outside := s.replicas > p.Max || s.replicas < p.Min
	if s.replicas == 0 {
		outside = !s.scaledToZero() || (p.Min == 0 && !beyondReplicas(p))
	}
	if outside {
		return false
	}
	s.selector = selector
	owners := map[*state]bool{}
	for _, k := range pods {
		for _, other := range b.targets {
			if other.selector.Matches(labels.Set(k.Labels)) {
				owners[other] = true
			}
		}
	}
	return len(owners) > 1
}

func beyondReplicas(p *hpa.Policy) bool {
	for i := range p.Metrics {
		if t := p.Metrics[i].Source.Type; t == hpa.FromObject || t == hpa.FromExternal {
			return true
		}
	}
	return false
}

func (b *bubble) replica(p *Pod, k *v1.Pod, now time.Time) hpa.Replica {
	r := hpa.Replica{
		Name: p.Name, Phase: cluster.Phase(k.Status.Phase), Deleting: k.DeletionTimestamp != nil,
		CrashLooping: p.CrashLooping, NeverReady: p.NeverReady, Failing: p.Failing,
	}
	if t := k.Status.StartTime; t != nil {
		r.StartedAt = t.Time
	}
	for _, c := range k.Status.Conditions {
		r.ReadyKnown, r.ReadySince = true, c.LastTransitionTime.Time
		r.Ready, r.ReadyUnknown = c.Status == v1.ConditionTrue, c.Status == v1.ConditionUnknown
	}
	if p.OOMKilled != nil {
		r.OOMKilledAt = now.Add(-*p.OOMKilled)
	}
	if p.Restarted != nil {
		r.RestartedAt = now.Add(-*p.Restarted)
	}
	r.CPU, r.Memory = b.usage(p, k, v1.ResourceCPU), b.usage(p, k, v1.ResourceMemory)
	return r
}

// usage sums over the containers of a pod: the sample as the client of the metrics API does, the requests as the replica
// calculator does.
func (b *bubble) usage(p *Pod, k *v1.Pod, of v1.ResourceName) hpa.Usage {
	u := hpa.Usage{}
	if m, ok := p.metrics(b.at); ok && b.step.Resources == "" {
		u.At, u.Window, u.Known = m.Timestamp.Time, m.Window.Duration, len(m.Containers) > 0
		for i := range m.Containers {
			q, there := m.Containers[i].Usage[of]
			u.Known = u.Known && there
			u.Value = plus(u.Value, amount(q, of))
		}
		if !u.Known {
			u.Value = 0
		}
	}
	for i := range p.Containers {
		if c := &p.Containers[i]; c.Usage == nil && (!c.Init || c.Restarts) {
			u.Partial = c.Name
		}
	}
	if b.c.Gates.PodLevel && resourcehelpers.IsPodLevelRequestsSet(k) {
		q, ok := resourcehelpers.PodRequests(k, resourcehelpers.PodResourcesOptions{})[of]
		if u.Request = amount(q, of); !ok {
			u.RequestMissing = "pod"
		}
		return u
	}
	for _, c := range lasting(k) {
		q, ok := c.Resources.Requests[of]
		if !ok {
			u.Request, u.RequestMissing = 0, c.Name
			return u
		}
		u.Request = plus(u.Request, amount(q, of))
	}
	return u
}

// lasting returns the containers that run as long as the pod.
func lasting(k *v1.Pod) []v1.Container {
	all := slices.Clip(k.Spec.Containers)
	for i := range k.Spec.InitContainers {
		if r := k.Spec.InitContainers[i].RestartPolicy; r != nil && *r == v1.ContainerRestartPolicyAlways {
			all = append(all, k.Spec.InitContainers[i])
		}
	}
	return all
}

// containerUsage is that of one container.
func (b *bubble) containerUsage(p *Pod, k *v1.Pod, of v1.ResourceName, container string) hpa.Usage {
	u := hpa.Usage{RequestMissing: container}
	if m, ok := p.metrics(b.at); ok && b.step.Resources == "" {
		u.At, u.Window = m.Timestamp.Time, m.Window.Duration
		for i := range m.Containers {
			if q, there := m.Containers[i].Usage[of]; there && m.Containers[i].Name == container {
				u.Known, u.Value = true, amount(q, of)
			}
		}
	}
	for _, c := range lasting(k) {
		if q, ok := c.Resources.Requests[of]; ok && c.Name == container {
			u.Request, u.RequestMissing = amount(q, of), ""
		}
	}
	return u
}

// reading returns what a source beside the resource metrics has delivered.
func (b *bubble) reading(source hpa.Source, selector labels.Selector, matching map[int]*v1.Pod, unavailable string) hpa.Reading {
	r := hpa.Reading{Source: source, Known: true}
	value := b.step.Values[source.Name]
	switch source.Type {
	case hpa.FromResource: // in the replicas
	case hpa.FromContainerResource:
		r.Known, r.Why = unavailable == "", unavailable
		for i := range b.step.Pods {
			if k := matching[i]; k != nil {
				r.Replicas = append(r.Replicas, b.containerUsage(&b.step.Pods[i], k, v1.ResourceName(source.Resource), source.Container))
			}
		}
	case hpa.FromPods:
		r.Known = false
		for i := range b.step.Pods {
			p := &b.step.Pods[i]
			v, ok := p.Values[source.Name]
			r.Known = r.Known || (ok && value.Fault == "" && selector.Matches(labels.Set{"app": p.App}))
			if matching[i] == nil {
				continue
			}
			u := hpa.Usage{Known: ok}
			if ok {
				u.Value, u.At, u.Window = v.Value.MilliValue(), b.at.Add(-v.Age), time.Minute
				if v.Window != nil {
					u.Window = time.Duration(*v.Window) * time.Second
				}
			}
			r.Replicas = append(r.Replicas, u)
		}
	case hpa.FromObject, hpa.FromExternal, hpa.FromPrometheus:
		r.Known = value.Fault == "" && len(value.Items) > 0
		for _, q := range value.Items {
			r.Value = plus(r.Value, q.MilliValue())
		}
	}
	if source.Selector == selectorBroken {
		r.Known = false
	}
	if !r.Known {
		r.Why, r.Value, r.Replicas = "the metrics API answers with nothing", 0, nil
	}
	return r
}

// amount in thousandths of a core, or bytes.
func amount(q resource.Quantity, of v1.ResourceName) int64 {
	if of == v1.ResourceCPU {
		return q.MilliValue()
	}
	return q.Value()
}

// plus adds and keeps within an int64.
func plus(a, b int64) int64 {
	switch {
	case a > 0 && b > math.MaxInt64-a:
		return math.MaxInt64
	case a < 0 && b < math.MinInt64-a:
		return math.MinInt64
	}
	return a + b
}
