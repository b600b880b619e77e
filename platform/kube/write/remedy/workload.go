package remedy

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// restartedAt is the annotation of a pod template by which kubectl rollout restart makes a new revision of the same.
const restartedAt = "kubectl.kubernetes.io/restartedAt"

// workload is a Deployment, StatefulSet or DaemonSet as it is now.
type workload struct {
	ref      cluster.Ref
	resource string
	meta     metav1.ObjectMeta
	template *corev1.PodTemplateSpec
	selector *metav1.LabelSelector
	paused   bool
	// onDelete is true where a pod gets the newest template only when somebody deletes it.
	onDelete bool
	// observed is true where its controller has seen the newest spec.
	observed bool
	// ordered is true for a StatefulSet that replaces its pods one after the other, each only when those before it are ready.
	ordered bool
}

// workload reads the workload of the action; res says why it cannot be acted on where ok is false.
func (s *Surgeon) workload(ctx context.Context, a *healing.Action) (w *workload, res healing.Result, ok bool) {
	apps, name, get := s.core.AppsV1(), a.Workload.Name, metav1.GetOptions{}
	w = &workload{ref: a.Workload}
	var err error
	switch a.Workload.Kind {
	case cluster.KindDeployment:
		var o *appsv1.Deployment
		if o, err = apps.Deployments(a.Workload.Namespace).Get(ctx, name, get); err == nil {
			w.resource, w.meta, w.template, w.selector, w.paused = "deployments", o.ObjectMeta, &o.Spec.Template, o.Spec.Selector, o.Spec.Paused
			w.observed = o.Status.ObservedGeneration >= o.Generation
		}
	case cluster.KindStatefulSet:
		var o *appsv1.StatefulSet
		if o, err = apps.StatefulSets(a.Workload.Namespace).Get(ctx, name, get); err == nil {
			w.resource, w.meta, w.template, w.selector = "statefulsets", o.ObjectMeta, &o.Spec.Template, o.Spec.Selector
			w.observed = o.Status.ObservedGeneration >= o.Generation
			w.ordered = o.Spec.PodManagementPolicy != appsv1.ParallelPodManagement
			w.onDelete = o.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType
		}
	case cluster.KindDaemonSet:
		var o *appsv1.DaemonSet
		if o, err = apps.DaemonSets(a.Workload.Namespace).Get(ctx, name, get); err == nil {
			w.resource, w.meta, w.template, w.selector = "daemonsets", o.ObjectMeta, &o.Spec.Template, o.Spec.Selector
			w.observed = o.Status.ObservedGeneration >= o.Generation
			w.onDelete = o.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType
		}
	default:
		return nil, unsupported(fmt.Sprintf("%s has no revisions: only a Deployment, a StatefulSet and a DaemonSet have", a.Workload)), false
	}
	switch {
	case apierrors.IsNotFound(err), err == nil && string(w.meta.UID) != a.Workload.UID:
		return nil, healing.Result{
			Outcome: incident.Failed, Reason: healing.ReasonWorkloadGone,
			Message: fmt.Sprintf("%s (UID %s) is gone", a.Workload, a.Workload.UID),
		}, false
	case err != nil:
		return nil, refused("read "+a.Workload.String(), err), false
	}
	return w, healing.Result{}, true
}

// by reports whether the remediation has changed the object already.
func (w *workload) by(a *healing.Action) bool {
	return w.meta.Annotations[v1alpha1.AnnotationRemediation] == a.RemediationID
}

// guarded returns the metadata of a patch: what must not have changed, and who patches.
func (w *workload) guarded(a *healing.Action) map[string]any {
	return map[string]any{
		"uid": w.meta.UID, "resourceVersion": w.meta.ResourceVersion,
		"annotations": map[string]any{v1alpha1.AnnotationRemediation: a.RemediationID},
	}
}

// patch returns the call that patches the workload.
func (s *Surgeon) patch(w *workload, kind types.PatchType, body any, description string) *call {
	return &call{
		api: s.core.AppsV1().RESTClient(), verb: "PATCH", kind: kind, resource: w.resource, namespace: w.meta.Namespace, name: w.meta.Name,
		body: body, description: description,
	}
}

// restartWorkload replaces all replicas as kubectl rollout restart does, by the workload's own strategy.
func (s *Surgeon) restartWorkload(ctx context.Context, a *healing.Action) healing.Result {
	w, res, ok := s.workload(ctx, a)
	switch {
	case !ok:
		return res
	case w.by(a):
		return already(fmt.Sprintf("%s is being restarted already", a.Workload))
	case w.paused:
		return failed(fmt.Sprintf("%s is paused: nothing would be rolled out", a.Workload))
	case w.onDelete:
		return unsupported(fmt.Sprintf("%s has the update strategy OnDelete: its pods would go on until somebody deletes them", a.Workload))
	}
	at := time.Now().UTC().Format(time.RFC3339)
	c := s.patch(w, types.StrategicMergePatchType, map[string]any{
		"metadata": w.guarded(a),
		"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{
			"annotations": map[string]any{restartedAt: at},
		}}},
	}, fmt.Sprintf("restart %s", a.Workload))
	return c.answered(a, c.send(ctx, a.DryRun), fmt.Sprintf("a rolling restart of %s was started", a.Workload))
}
