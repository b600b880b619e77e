package view

import (
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/homeostat/homeostat/internal/cluster"
)

// KindCronJob is the kind of an owner of Jobs. Its runs are one workload, of kind Job and with the CronJob's name: the
// failure of every run is the same incident.
const KindCronJob = "CronJob"

// revisionAnnotation counts a Deployment's ReplicaSets; a rollback gives an old ReplicaSet the newest number.
const revisionAnnotation = "deployment.kubernetes.io/revision"

// Reasons of a Deployment's Progressing condition (pkg/controller/deployment/util of Kubernetes 1.36).
const (
	reasonComplete = "NewReplicaSetAvailable"
	reasonLate     = "ProgressDeadlineExceeded"
	reasonPaused   = "DeploymentPaused"
	reasonResumed  = "DeploymentResumed"
)

// orOne is the default of every optional number of replicas.
func orOne(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

// selectorOf returns nil where there is no selector or it cannot be read, which then selects nothing.
func selectorOf(s *metav1.LabelSelector) labels.Selector {
	if s == nil {
		return nil
	}
	sel, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return nil
	}
	return sel
}

func (r *Records) owner(kind string, o metav1.Object, template *corev1.PodTemplateSpec, selector *metav1.LabelSelector) *Owner {
	created := o.GetCreationTimestamp()
	return &Owner{
		Meta: r.meta(o), Kind: kind, Controller: r.controller(o), CreatedAt: utc(created),
		Labels: r.internLabels(template.Labels), Selector: selectorOf(selector), Profile: r.profile(template.Annotations),
	}
}

// head adds what only the top of a chain has.
func (r *Records) head(out *Owner, o metav1.Object) *Head {
	out.Head = &Head{Writers: r.writers(o, out.Controller)}
	return out.Head
}

func (r *Records) deployment(d *appsv1.Deployment) *Owner {
	out := r.owner(cluster.KindDeployment, d, &d.Spec.Template, d.Spec.Selector)
	out.Desired, out.Existing = orOne(d.Spec.Replicas), d.Status.Replicas
	head := r.head(out, d)
	head.Paused, head.CanaryOf, head.Guarded = d.Spec.Paused, r.intern(d.Annotations[CanaryAnnotation]), guarded(d)
	head.RolloutTakes = rolloutTakes(d)
	head.SurgesFirst = head.RolloutTakes == 0
	for i := range d.Status.Conditions {
		c := &d.Status.Conditions[i]
		head.Conditions = append(head.Conditions, r.condition(string(c.Type), string(c.Status), c.Reason, c.Message, c.LastTransitionTime))
		switch c.Type {
		case appsv1.DeploymentProgressing:
			out.ProgressedAt = utc(c.LastUpdateTime)
			// Once a revision is complete the reason stays, whatever is scaled later; a pause says nothing about it.
			out.Unfinished = c.Reason != reasonComplete && c.Reason != reasonPaused && c.Reason != reasonResumed
			out.Late = c.Reason == reasonLate
			if c.Reason == reasonComplete {
				head.CompleteAt = out.ProgressedAt
			}
		case appsv1.DeploymentReplicaFailure:
			out.Refused = refused(string(c.Status), c.Message)
		case appsv1.DeploymentAvailable: // of the old and the new revision together
			if c.Status == corev1.ConditionTrue {
				head.AvailableSince = utc(c.LastTransitionTime)
			}
		}
	}
	return out
}

// guarded reports whether the Deployment waits for replicas of the newer revision before it takes the last of the older ones
// away: with a rolling update that may not make all of them unavailable (pkg/controller/deployment/util, MaxUnavailable).
func guarded(d *appsv1.Deployment) bool {
	u := d.Spec.Strategy.RollingUpdate
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType || u == nil || u.MaxUnavailable == nil {
		return false
	}
	desired := int(orOne(d.Spec.Replicas))
	most, err := intstr.GetScaledValueFromIntOrPercent(u.MaxUnavailable, desired, false)
	return err == nil && most < desired
}

// rolloutTakes returns how many replicas a rollout of the Deployment may take away before others are available: maxUnavailable,
// rounded down as the deployment controller does, or all at once with the strategy Recreate. It is 0 where a new one comes first.
// Defaults are 25 % each; what cannot be read takes all away.
func rolloutTakes(d *appsv1.Deployment) int32 {
	desired := orOne(d.Spec.Replicas)
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		return desired
	}
	var u appsv1.RollingUpdateDeployment
	if d.Spec.Strategy.RollingUpdate != nil {
		u = *d.Spec.Strategy.RollingUpdate
	}
	return takesAway(desired, or(u.MaxUnavailable, intstr.FromString("25%")), or(u.MaxSurge, intstr.FromString("25%")), false)
}

// takesAway returns how many of the replicas may be away beyond those that are made first; all where that cannot be read. The
// controllers round the surge up, and what may be unavailable as roundUp says.
func takesAway(desired int32, unavailable, surge intstr.IntOrString, roundUp bool) int32 {
	n, err := intstr.GetScaledValueFromIntOrPercent(&unavailable, int(desired), roundUp)
	more, surgeErr := intstr.GetScaledValueFromIntOrPercent(&surge, int(desired), true)
	switch {
	case err != nil || surgeErr != nil:
		return desired
	case n <= 0 && more <= 0: // the controllers take one away (ResolveFenceposts, updatedDesiredNodeCounts)
		return min(desired, 1)
	}
	return min(desired, int32(max(n, 0))) //nolint:gosec // it comes from an int32
}

// orderedTakes returns the same of a StatefulSet: one, or maxUnavailable, rounded down and one at least
// (getStatefulSetMaxUnavailable).
func orderedTakes(s *appsv1.StatefulSet) int32 {
	if u := s.Spec.UpdateStrategy.RollingUpdate; u != nil && u.MaxUnavailable != nil {
		return max(takesAway(orOne(s.Spec.Replicas), *u.MaxUnavailable, intstr.FromInt32(0), false), 1)
	}
	return 1
}

// daemonTakes returns the same of a DaemonSet: maxUnavailable, rounded up, and one by default (UnavailableCount).
func daemonTakes(d *appsv1.DaemonSet) int32 {
	var u appsv1.RollingUpdateDaemonSet
	if d.Spec.UpdateStrategy.RollingUpdate != nil {
		u = *d.Spec.UpdateStrategy.RollingUpdate
	}
	return takesAway(d.Status.DesiredNumberScheduled, or(u.MaxUnavailable, intstr.FromInt32(1)), or(u.MaxSurge, intstr.FromInt32(0)), true)
}

// or returns the value, or the default where none is given.
func or(given *intstr.IntOrString, otherwise intstr.IntOrString) intstr.IntOrString {
	if given != nil {
		return *given
	}
	return otherwise
}

func (r *Records) replicaSet(s *appsv1.ReplicaSet) *Owner {
	out := r.owner(cluster.KindReplicaSet, s, &s.Spec.Template, s.Spec.Selector)
	out.Desired, out.Existing = orOne(s.Spec.Replicas), s.Status.Replicas
	out.Revision = r.intern(hashOf(s.Labels))
	// Not a number means not made by a Deployment: then there is no revision to compare.
	out.Number, _ = strconv.ParseInt(s.Annotations[revisionAnnotation], 10, 64)
	out.Template = r.template(&s.Spec.Template)
	var head *Head
	if out.Controller.Kind == "" {
		head = r.head(out, s)
	} else {
		out.ScaledAt = scaledAt(s.ManagedFields)
	}
	for i := range s.Status.Conditions {
		c := &s.Status.Conditions[i]
		if c.Type == appsv1.ReplicaSetReplicaFailure {
			out.Refused = refused(string(c.Status), c.Message)
		}
		if head != nil {
			head.Conditions = append(head.Conditions, r.condition(string(c.Type), string(c.Status), c.Reason, c.Message, c.LastTransitionTime))
		}
	}
	return out
}

// refused returns the message of a ReplicaFailure condition that is True.
func refused(status, message string) string {
	if status != string(corev1.ConditionTrue) {
		return ""
	}
	return message
}

func (r *Records) statefulSet(s *appsv1.StatefulSet) *Owner {
	out := r.owner(cluster.KindStatefulSet, s, &s.Spec.Template, s.Spec.Selector)
	out.Desired, out.Existing = orOne(s.Spec.Replicas), s.Status.Replicas
	out.Revision = r.intern(s.Status.UpdateRevision)
	var kept int32 // below the partition the old revision stays on purpose
	if u := s.Spec.UpdateStrategy.RollingUpdate; u != nil && u.Partition != nil {
		kept = *u.Partition
	}
	head := r.head(out, s)
	head.Current, head.Kept = r.intern(s.Status.CurrentRevision), kept
	head.RolloutTakes = orderedTakes(s)
	coming := s.Spec.UpdateStrategy.Type != appsv1.OnDeleteStatefulSetStrategyType && s.Status.UpdateRevision != s.Status.CurrentRevision
	out.RollingOut = coming && s.Status.UpdatedReplicas < out.Desired-kept
	// The last replica has the new revision before it is ready; only then is it the current one.
	out.Unfinished = coming && kept <= 0
	return out
}

func (r *Records) daemonSet(s *appsv1.DaemonSet) *Owner {
	out := r.owner(cluster.KindDaemonSet, s, &s.Spec.Template, s.Spec.Selector)
	out.Desired, out.Existing = s.Status.DesiredNumberScheduled, s.Status.CurrentNumberScheduled
	out.RollingOut = s.Spec.UpdateStrategy.Type != appsv1.OnDeleteDaemonSetStrategyType &&
		s.Status.UpdatedNumberScheduled < s.Status.DesiredNumberScheduled
	head := r.head(out, s)
	head.RolloutTakes = daemonTakes(s)
	head.SurgesFirst = out.Desired > 0 && head.RolloutTakes == 0
	return out
}

func (r *Records) job(j *batchv1.Job) *Owner {
	out := r.owner(cluster.KindJob, j, &j.Spec.Template, j.Spec.Selector)
	head := r.head(out, j)
	for i := range j.Status.Conditions {
		c := &j.Status.Conditions[i]
		head.Conditions = append(head.Conditions, r.condition(string(c.Type), string(c.Status), c.Reason, c.Message, c.LastTransitionTime))
		if c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) {
			out.Finished = true
		}
	}
	suspended := j.Spec.Suspend != nil && *j.Spec.Suspend
	if !out.Finished && !suspended {
		out.Desired = orOne(j.Spec.Parallelism)
		if j.Spec.Completions != nil {
			out.Desired = max(0, min(out.Desired, *j.Spec.Completions-j.Status.Succeeded))
		}
	}
	out.Existing = j.Status.Active
	return out
}

// Node returns the record of a node.
func (r *Records) Node(n *corev1.Node) *Node {
	out := &Node{Meta: r.meta(n), Port: n.Status.DaemonEndpoints.KubeletEndpoint.Port}
	out.Node = cluster.Node{
		Name: n.Name, Ready: string(corev1.ConditionUnknown), Cordoned: n.Spec.Unschedulable, CreatedAt: utc(n.CreationTimestamp),
	}
	for i := range n.Status.Conditions {
		c := &n.Status.Conditions[i]
		switch c.Type { //nolint:exhaustive // the others say nothing that is read
		case corev1.NodeReady:
			out.Node.Ready = string(c.Status)
			out.Node.Reason, out.Node.Message = c.Reason, c.Message
			out.Node.Since = utc(c.LastTransitionTime)
		case corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure:
			if c.Status == corev1.ConditionTrue {
				out.Node.Pressures = append(out.Node.Pressures, r.intern(string(c.Type)))
			}
		}
	}
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			out.Address = a.Address
			break
		}
		if out.Address == "" {
			out.Address = a.Address
		}
	}
	return out
}
