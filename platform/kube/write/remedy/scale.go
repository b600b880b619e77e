package remedy

import (
	"context"
	"fmt"
	"strconv"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/policy"
)

// floorFor is how long a ScaleOut raises the minimum of an Autoscaler: afterwards its metrics decide again.
const floorFor = time.Hour

// scaleOut asks for more replicas: of the Autoscaler that owns the number, where there is one, else of the workload.
func (s *Surgeon) scaleOut(ctx context.Context, a *healing.Action) healing.Result {
	if a.Change.ToReplicas <= a.Change.FromReplicas {
		return unsupported(fmt.Sprintf("scaling out is to more replicas, not from %d to %d", a.Change.FromReplicas, a.Change.ToReplicas))
	}
	switch a.Change.Target.Kind {
	case "":
		return s.scale(ctx, a, "scaled out")
	case v1alpha1.KindAutoscaler:
		return s.raiseFloor(ctx, a)
	default:
		return unsupported(fmt.Sprintf("%s owns the number of replicas of %s and has no minimum that may be raised for a time", a.Change.Target, a.Workload))
	}
}

// resourceOf returns the resource of a kind with a scale.
func resourceOf(kind string) (string, bool) {
	switch kind {
	case cluster.KindDeployment:
		return "deployments", true
	case cluster.KindStatefulSet:
		return "statefulsets", true
	case cluster.KindReplicaSet:
		return "replicasets", true
	default:
		return "", false
	}
}

// scale writes the number of replicas through the scale subresource.
func (s *Surgeon) scale(ctx context.Context, a *healing.Action, done string) healing.Result {
	resource, ok := resourceOf(a.Workload.Kind)
	if !ok {
		return unsupported(fmt.Sprintf("%s has no number of replicas", a.Workload))
	}
	present := &autoscalingv1.Scale{}
	err := s.core.AppsV1().RESTClient().Get().Namespace(a.Workload.Namespace).Resource(resource).Name(a.Workload.Name).SubResource("scale").
		Do(ctx).Into(present)
	switch {
	case apierrors.IsNotFound(err), err == nil && string(present.UID) != a.Workload.UID:
		return healing.Result{
			Outcome: incident.Failed, Reason: healing.ReasonWorkloadGone, Message: fmt.Sprintf("%s (UID %s) is gone", a.Workload, a.Workload.UID),
		}
	case err != nil:
		return refused("read scale of "+a.Workload.String(), err)
	case present.Spec.Replicas == a.Change.ToReplicas:
		return already(fmt.Sprintf("%s asks for %d replicas already", a.Workload, a.Change.ToReplicas))
	case present.Spec.Replicas != a.Change.FromReplicas:
		return failed(fmt.Sprintf("%s was changed in between: it asks for %d replicas, not %d", a.Workload, present.Spec.Replicas, a.Change.FromReplicas))
	}
	c := &call{
		api: s.core.AppsV1().RESTClient(), verb: "PUT", resource: resource, namespace: a.Workload.Namespace, name: a.Workload.Name, sub: "scale",
		body: map[string]any{ // the type would leave a 0 out
			"apiVersion": "autoscaling/v1", "kind": "Scale",
			"metadata": map[string]any{
				"namespace": a.Workload.Namespace, "name": a.Workload.Name, "uid": present.UID, "resourceVersion": present.ResourceVersion,
			},
			"spec": map[string]any{"replicas": a.Change.ToReplicas},
		},
		short:       fmt.Sprintf(`{"spec":{"replicas":%d}}`, a.Change.ToReplicas),
		description: fmt.Sprintf("scale %s from %d to %d replicas", a.Workload, a.Change.FromReplicas, a.Change.ToReplicas),
	}
	return c.answered(a, c.send(ctx, a.DryRun), fmt.Sprintf("%s was %s from %d to %d replicas", a.Workload, done, a.Change.FromReplicas, a.Change.ToReplicas))
}

// raiseFloor writes the annotation by which the Autoscaler's minimum is higher for a time.
func (s *Surgeon) raiseFloor(ctx context.Context, a *healing.Action) healing.Result {
	t, now := a.Change.Target, time.Now()
	o, err := s.own.Autoscalers(t.Namespace).Get(ctx, t.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), err == nil && t.UID != "" && string(o.UID) != t.UID:
		return failed(fmt.Sprintf("%s is gone", t))
	case err != nil:
		return refused("read "+t.String(), err)
	case o.Spec.MaxReplicas < a.Change.ToReplicas:
		return failed(fmt.Sprintf("%s allows at most %d replicas, not %d", t, o.Spec.MaxReplicas, a.Change.ToReplicas))
	}
	if present, err := policy.ReadHealFloor(o.Annotations[v1alpha1.AnnotationHealFloor]); err == nil &&
		present.Replicas >= a.Change.ToReplicas && now.Before(present.Until) {
		return already(fmt.Sprintf("%s has a minimum of %s already", t, present))
	}
	floor := policy.HealFloor{Replicas: a.Change.ToReplicas, Until: now.Add(floorFor)}
	value := map[string]any{v1alpha1.AnnotationHealFloor: floor.String(), v1alpha1.AnnotationRemediation: a.RemediationID}
	c := &call{
		verb: "PATCH", path: fmt.Sprintf("/apis/%s/namespaces/%s/%s/%s", v1alpha1.APIVersion, t.Namespace, v1alpha1.ResourceAutoscalers, t.Name),
		do: func(ctx context.Context, raw []byte, dryRun []string) error {
			_, err := s.own.Autoscalers(t.Namespace).Patch(ctx, t.Name, types.MergePatchType, raw, metav1.PatchOptions{
				FieldManager: FieldManager, DryRun: dryRun,
			})
			return err //nolint:wrapcheck // answered gives it its words
		},
		body: map[string]any{"metadata": map[string]any{
			"uid": o.UID, "resourceVersion": o.ResourceVersion, "annotations": value,
		}},
		description: fmt.Sprintf("raise the minimum of %s to %s", t, floor),
	}
	return c.answered(a, c.send(ctx, a.DryRun), fmt.Sprintf("the minimum of %s was raised to %s", t, floor))
}

// abortCanary takes the traffic from a track that fails: a canary is scaled to zero, a Service is switched back.
func (s *Surgeon) abortCanary(ctx context.Context, a *healing.Action) healing.Result {
	switch {
	case a.Change.Target.Kind == cluster.KindService:
		return s.switchBack(ctx, a)
	case a.Change.ToReplicas != 0 || a.Change.FromReplicas <= 0:
		return unsupported(fmt.Sprintf("a canary is aborted by scaling it to 0, not from %d to %d", a.Change.FromReplicas, a.Change.ToReplicas))
	}
	w, res, ok := s.workload(ctx, a)
	if !ok {
		return res
	}
	if _, scales := resourceOf(a.Workload.Kind); !scales {
		return unsupported(fmt.Sprintf("%s has no number of replicas", a.Workload))
	}
	// The old number first: whatever comes in between, it is not lost.
	if before := strconv.Itoa(int(a.Change.FromReplicas)); !w.by(a) || w.meta.Annotations[v1alpha1.AnnotationReplicasBefore] != before {
		metadata := w.guarded(a)
		metadata["annotations"] = map[string]any{
			v1alpha1.AnnotationReplicasBefore: before, v1alpha1.AnnotationRemediation: a.RemediationID,
		}
		c := s.patch(w, types.MergePatchType, map[string]any{"metadata": metadata}, fmt.Sprintf("note the %s replicas of %s", before, a.Workload))
		if err := c.send(ctx, a.DryRun); err != nil {
			return c.answered(a, err, "")
		}
	}
	return s.scale(ctx, a, "aborted: the canary was scaled")
}

// switchBack gives the Service's selector the value of the other track.
func (s *Surgeon) switchBack(ctx context.Context, a *healing.Action) healing.Result {
	t, key, from, to := a.Change.Target, a.Change.Key, a.Change.FromRevision, a.Change.ToRevision
	if key == "" || from == "" || to == "" || from == to {
		return unsupported(fmt.Sprintf("%s cannot be switched back: the key of its selector and two values must be known", t))
	}
	o, err := s.core.CoreV1().Services(t.Namespace).Get(ctx, t.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), err == nil && t.UID != "" && string(o.UID) != t.UID:
		return failed(fmt.Sprintf("%s is gone", t))
	case err != nil:
		return refused("read "+t.String(), err)
	case o.Spec.Selector[key] == to:
		return already(fmt.Sprintf("%s selects %s=%s already", t, key, to))
	case o.Spec.Selector[key] != from:
		return failed(fmt.Sprintf("%s was changed in between: it selects %s=%q, not %q", t, key, o.Spec.Selector[key], from))
	}
	path := "/spec/selector/" + pointer(key)
	c := &call{
		api: s.core.CoreV1().RESTClient(), verb: "PATCH", kind: types.JSONPatchType, resource: "services", namespace: t.Namespace, name: t.Name,
		body: []map[string]any{
			{"op": "test", "path": "/metadata/uid", "value": o.UID},
			{"op": "test", "path": path, "value": from},
			{"op": "replace", "path": path, "value": to},
		},
		description: fmt.Sprintf("switch %s back from %s=%s to %s", t, key, from, to),
	}
	return c.answered(a, c.send(ctx, a.DryRun), fmt.Sprintf("%s was switched back from %s=%s to %s", t, key, from, to))
}
