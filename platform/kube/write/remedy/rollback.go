package remedy

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// revisionAnnotation counts a Deployment's rollouts, on it and on its ReplicaSets.
const revisionAnnotation = "deployment.kubernetes.io/revision"

// revision is one pod template that the workload keeps.
type revision struct {
	// name is the hash that the pods carry, object what holds it.
	name, object string
	number       int64
	// patch makes the workload have the template: a JSON patch's value for a Deployment, a strategic merge patch for the others.
	template *corev1.PodTemplateSpec
	patch    json.RawMessage
}

// rollback gives the workload the template of an older revision, as kubectl rollout undo does. The revision that the decision was
// made against must still be the newest.
func (s *Surgeon) rollback(ctx context.Context, a *healing.Action) healing.Result {
	w, res, ok := s.workload(ctx, a)
	switch {
	case !ok:
		return res
	case w.by(a):
		return s.unstick(ctx, a, w, already(fmt.Sprintf("%s is being rolled back already", a.Workload)))
	case w.paused:
		return failed(fmt.Sprintf("%s is paused: nothing would be rolled out", a.Workload))
	case !w.observed: // what it is made of now is not among its revisions yet
		return failed(fmt.Sprintf("%s was changed in between: its controller has not seen the change yet", a.Workload))
	}
	kept, err := s.revisions(ctx, w)
	if err != nil {
		return refused("read revisions of "+a.Workload.String(), err)
	}
	newest, to := newestOf(kept), named(kept, a.Change.ToRevision)
	switch {
	case newest == nil || to == nil:
		return failed(fmt.Sprintf("%s does not keep the revision %q any more", a.Workload, a.Change.ToRevision))
	case newest == to:
		return already(fmt.Sprintf("%s has the revision %s already", a.Workload, to.name))
	case newest.name != a.Change.FromRevision:
		return failed(fmt.Sprintf("%s was changed in between: its newest revision is %s, not %s", a.Workload, newest.name, a.Change.FromRevision))
	}
	c, err := s.undo(w, a, to)
	if err != nil {
		return failed(fmt.Sprintf("read revision %s of %s: %v", to.name, a.Workload, err))
	}
	c.short = fmt.Sprintf(`{"spec":{"template": that of %s}}`, to.object)
	c.description = fmt.Sprintf("roll %s back from revision %s to %s", a.Workload, newest.name, to.name)
	res = c.answered(a, c.send(ctx, a.DryRun), fmt.Sprintf("%s was rolled back from revision %s to %s", a.Workload, newest.name, to.name))
	return s.unstick(ctx, a, w, res)
}

// undo returns the call that gives the workload the template.
func (s *Surgeon) undo(w *workload, a *healing.Action, to *revision) (*call, error) {
	if w.ref.Kind == cluster.KindDeployment {
		template := to.template.DeepCopy()
		delete(template.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
		// A replacement, not a merge: what the newer template added must go.
		ops := []map[string]any{
			{"op": "test", "path": "/metadata/uid", "value": w.meta.UID},
			{"op": "replace", "path": "/metadata/resourceVersion", "value": w.meta.ResourceVersion},
			{"op": "replace", "path": "/spec/template", "value": template},
		}
		if len(w.meta.Annotations) == 0 {
			ops = append(ops, map[string]any{"op": "add", "path": "/metadata/annotations", "value": map[string]any{}})
		}
		ops = append(ops, map[string]any{
			"op": "add", "path": "/metadata/annotations/" + pointer(v1alpha1.AnnotationRemediation), "value": a.RemediationID,
		})
		return s.patch(w, types.JSONPatchType, ops, ""), nil
	}
	var body map[string]any
	if err := json.Unmarshal(to.patch, &body); err != nil {
		return nil, fmt.Errorf("read patch: %w", err)
	}
	body["metadata"] = w.guarded(a)
	return s.patch(w, types.StrategicMergePatchType, body, ""), nil
}

// pointer escapes a key for a JSON pointer (RFC 6901).
func pointer(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}

// revisions returns what the workload keeps.
func (s *Surgeon) revisions(ctx context.Context, w *workload) ([]revision, error) {
	selector := metav1.FormatLabelSelector(w.selector)
	var out []revision
	if w.ref.Kind == cluster.KindDeployment {
		sets, err := s.core.AppsV1().ReplicaSets(w.meta.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return nil, err //nolint:wrapcheck // the caller says what was read
		}
		for i := range sets.Items {
			o := &sets.Items[i]
			number, err := strconv.ParseInt(o.Annotations[revisionAnnotation], 10, 64)
			if err != nil || !metav1.IsControlledBy(o, &w.meta) {
				continue
			}
			out = append(out, revision{
				name: o.Labels[appsv1.DefaultDeploymentUniqueLabelKey], object: "replicaset " + o.Name, number: number, template: &o.Spec.Template,
			})
		}
		return out, nil
	}
	history, err := s.core.AppsV1().ControllerRevisions(w.meta.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller says what was read
	}
	for i := range history.Items {
		o := &history.Items[i]
		if !metav1.IsControlledBy(o, &w.meta) {
			continue
		}
		name := o.Labels[appsv1.ControllerRevisionHashLabelKey]
		if name == "" { // of a StatefulSet, whose pods are labelled with the name
			name = o.Name
		}
		out = append(out, revision{name: name, object: "controllerrevision " + o.Name, number: o.Revision, patch: o.Data.Raw})
	}
	return out, nil
}

func newestOf(list []revision) *revision {
	var newest *revision
	for i := range list {
		if newest == nil || list[i].number > newest.number {
			newest = &list[i]
		}
	}
	return newest
}

func named(list []revision, name string) *revision {
	for i := range list {
		if list[i].name == name && name != "" {
			return &list[i]
		}
	}
	return nil
}

// unstick evicts the replicas of the bad revision that are not ready, where the workload would wait for them for ever: a
// StatefulSet that replaces its pods in order does not replace one that does not become ready (kubernetes/kubernetes#67250).
func (s *Surgeon) unstick(ctx context.Context, a *healing.Action, w *workload, res healing.Result) healing.Result {
	if !w.ordered || a.DryRun || res.Outcome != incident.Done {
		return res
	}
	pods, err := s.core.CoreV1().Pods(w.meta.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: appsv1.ControllerRevisionHashLabelKey + "=" + a.Change.FromRevision,
	})
	if err != nil {
		res.Message += "; its broken pods could not be listed: " + explain(err)
		return res
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if !metav1.IsControlledBy(pod, &w.meta) || pod.DeletionTimestamp != nil || ready(pod) {
			continue
		}
		_, err := s.sendEviction(ctx, pod.Namespace, pod.Name, string(pod.UID), false)
		switch {
		case err == nil, gone(err):
			res.Message += fmt.Sprintf("; pod %s, which is not ready and which it would wait for, was evicted", pod.Name)
		default:
			res.Message += fmt.Sprintf("; pod %s is not ready and was not evicted: %s", pod.Name, explain(err))
		}
	}
	return res
}

func ready(pod *corev1.Pod) bool {
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
