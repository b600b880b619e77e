package remedy

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
)

// resize raises the memory limit of a running container by way of pods/resize, and with Change.Template that of the pod template
// too. The pod's QoS class stays, which Kubernetes demands: where it is Guaranteed the request is raised with the limit.
func (s *Surgeon) resize(ctx context.Context, a *healing.Action) healing.Result {
	var res healing.Result
	for range attempts { // the kubelet writes the pod's status at any time
		var again bool
		if res, again = s.tryResize(ctx, a); !again {
			break
		}
	}
	carried := res.Outcome == incident.Done && res.Reason == healing.ReasonCarriedOut || res.Outcome == incident.DryRun
	if !carried || !a.Change.Template {
		return res
	}
	templated := s.resizeTemplate(ctx, a)
	templated.Call = cut(res.Call+"; "+templated.Call, 2*maxCall)
	templated.Message = res.Message + "; " + templated.Message
	return templated
}

func (s *Surgeon) tryResize(ctx context.Context, a *healing.Action) (res healing.Result, again bool) {
	pod, res, ok := s.pod(ctx, a)
	if !ok {
		return res, false
	}
	field, container := containerOf(&pod.Spec, a.Change.Container)
	if container == nil {
		return failed(fmt.Sprintf("pod %s has no container %q", a.Replica, a.Change.Container)), false
	}
	if res, ok := fits(container, a); !ok {
		return res, false
	}
	c := &call{
		api: s.core.CoreV1().RESTClient(), verb: "PATCH", kind: types.StrategicMergePatchType, resource: "pods", namespace: pod.Namespace, name: pod.Name,
		sub: "resize",
		body: map[string]any{
			"metadata": map[string]any{"uid": pod.UID, "resourceVersion": pod.ResourceVersion},
			"spec":     map[string]any{field: []any{raised(container, a, pod.Status.QOSClass == corev1.PodQOSGuaranteed)}},
		},
		description: fmt.Sprintf("raise the memory limit of container %s of pod %s from %s to %s",
			a.Change.Container, a.Replica, inBytes(a.Change.FromMemory), inBytes(a.Change.ToMemory)),
	}
	err := c.send(ctx, a.DryRun)
	res = c.answered(a, err, fmt.Sprintf("the memory limit of container %s of pod %s was raised from %s to %s",
		a.Change.Container, a.Replica, inBytes(a.Change.FromMemory), inBytes(a.Change.ToMemory)))
	if apierrors.IsNotFound(err) && strings.Contains(details(err), "could not find the requested resource") { // not the pod
		res.Reason = healing.ReasonNotSupported
		res.Message = "the API server has no pods/resize: it needs Kubernetes 1.33 or newer"
	}
	return res, apierrors.IsConflict(err)
}

// resizeTemplate raises the limit in the pod template, so that the next pod has it too. It starts a rollout.
func (s *Surgeon) resizeTemplate(ctx context.Context, a *healing.Action) healing.Result {
	if a.Workload.UID == "" {
		return failed(fmt.Sprintf("%s: %v", a.Workload, errNoIdentity))
	}
	w, res, ok := s.workload(ctx, a)
	if !ok {
		return res
	}
	field, container := containerOf(&w.template.Spec, a.Change.Container)
	if container == nil {
		return failed(fmt.Sprintf("%s has no container %q", a.Workload, a.Change.Container))
	}
	// The pod may have more than its template by an earlier resize: any lower limit is raised.
	switch limit := container.Resources.Limits.Memory().Value(); {
	case limit <= 0:
		return unsupported(fmt.Sprintf("container %s of %s has no memory limit in its template", a.Change.Container, a.Workload))
	case limit >= a.Change.ToMemory:
		return already(fmt.Sprintf("the template of %s has a limit of %s already", a.Workload, inBytes(limit)))
	}
	request, limit := container.Resources.Requests[corev1.ResourceMemory], container.Resources.Limits[corev1.ResourceMemory]
	c := s.patch(w, types.StrategicMergePatchType, map[string]any{
		"metadata": w.guarded(a),
		"spec":     map[string]any{"template": map[string]any{"spec": map[string]any{field: []any{raised(container, a, request.Cmp(limit) == 0)}}}},
	}, fmt.Sprintf("raise the memory limit of container %s in the template of %s to %s", a.Change.Container, a.Workload, inBytes(a.Change.ToMemory)))
	return c.answered(a, c.send(ctx, a.DryRun), fmt.Sprintf("the template of %s was patched too", a.Workload))
}

// containerOf returns the container and the field of the spec that it is in. The limit of an init container cannot be changed
// but for a sidecar's; which it is the API server knows.
func containerOf(spec *corev1.PodSpec, name string) (field string, c *corev1.Container) {
	for i := range spec.Containers {
		if spec.Containers[i].Name == name {
			return "containers", &spec.Containers[i]
		}
	}
	for i := range spec.InitContainers {
		if spec.InitContainers[i].Name == name {
			return "initContainers", &spec.InitContainers[i]
		}
	}
	return "", nil
}

// fits reports whether the container's limit is the one that the decision was made from.
func fits(c *corev1.Container, a *healing.Action) (healing.Result, bool) {
	where, limit := "pod "+a.Replica, c.Resources.Limits.Memory().Value()
	switch {
	case a.Change.ToMemory <= a.Change.FromMemory || a.Change.FromMemory <= 0:
		return unsupported(fmt.Sprintf("a memory limit is only ever raised, not changed from %s to %s",
			inBytes(a.Change.FromMemory), inBytes(a.Change.ToMemory))), false
	case limit == a.Change.ToMemory:
		return already(fmt.Sprintf("the memory limit of container %s of %s is %s already", c.Name, where, inBytes(limit))), false
	case limit != a.Change.FromMemory:
		return failed(fmt.Sprintf("the memory limit of container %s of %s was changed in between: it is %s, not %s",
			c.Name, where, inBytes(limit), inBytes(a.Change.FromMemory))), false
	}
	return healing.Result{}, true
}

// raised returns the container of a patch.
func raised(c *corev1.Container, a *healing.Action, requestToo bool) map[string]any {
	memory := map[string]any{"memory": inBytes(a.Change.ToMemory)}
	resources := map[string]any{"limits": memory}
	if requestToo {
		resources["requests"] = memory
	}
	return map[string]any{"name": c.Name, "resources": resources}
}

// inBytes writes a number of bytes as Kubernetes does, such as 120Mi.
func inBytes(n int64) string { return resource.NewQuantity(n, resource.BinarySI).String() }
