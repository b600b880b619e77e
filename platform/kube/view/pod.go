package view

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/logs"
)

const (
	// mirrorAnnotation marks the API server's image of a pod that a kubelet runs from a file.
	mirrorAnnotation = "kubernetes.io/config.mirror"
	// reasonHookFailed is the kubelet's reason of a container that waits because its postStart hook failed.
	reasonHookFailed = "PostStartHookError"
	// SystemNamespace is where the cluster keeps its own parts.
	SystemNamespace = "kube-system"
)

// criticalClasses are the priority classes that belong to the cluster itself.
var criticalClasses = [...]string{"system-cluster-critical", "system-node-critical"} //nolint:gochecknoglobals // read only

// Pod returns the record of a pod. Any pod gives a record, however odd its status is.
func (r *Records) Pod(p *corev1.Pod) *Pod {
	rec := &Pod{Meta: r.meta(p), Labels: r.internLabels(p.Labels), Controller: r.controller(p)}
	_, mirror := p.Annotations[mirrorAnnotation]
	rec.Critical = mirror || slices.Contains(criticalClasses[:], p.Spec.PriorityClassName)
	rec.Hash = r.intern(hashOf(p.Labels))
	rec.CPU = podRequest(p, corev1.ResourceCPU)
	rec.Memory = podRequest(p, corev1.ResourceMemory)
	rec.Requests = r.containerRequests(p)
	rec.Replica = cluster.Replica{
		Name: rec.Name, UID: rec.UID, Node: r.intern(p.Spec.NodeName), Revision: rec.Hash, Phase: phaseOf(p.Status.Phase),
		Reason: r.intern(p.Status.Reason), Message: p.Status.Message,
		CreatedAt: utc(p.CreationTimestamp), StartedAt: utcPtr(p.Status.StartTime), DeletedAt: deletedAt(p),
		GraceSeconds: graceOf(p), Finalizers: r.internList(p.Finalizers),
		RestartsAlways: p.Spec.RestartPolicy == corev1.RestartPolicyAlways || p.Spec.RestartPolicy == "",
	}
	for i := range p.Spec.ReadinessGates {
		rec.Replica.Gates = append(rec.Replica.Gates, r.intern(string(p.Spec.ReadinessGates[i].ConditionType)))
	}
	rec.Profile = r.profile(p.Annotations)
	r.page(rec, p)
	r.conditions(rec, p.Status.Conditions)
	rec.Replica.Containers = r.containers(p)
	rec.Measured = measured(p.Spec.RestartPolicy, rec.Replica.Containers)
	rec.NeverReady, rec.Looping = neverReady(rec), looping(rec)
	rec.OOMKilledAt, rec.RestartedAt = oomKilledAt(rec.Replica.Containers), restartedAt(rec.Replica.Containers)
	return rec
}

// deletedAt returns when the deletion was asked for. The deletion timestamp is the end of the grace period.
func deletedAt(p *corev1.Pod) time.Time {
	at := utcPtr(p.DeletionTimestamp)
	if at.IsZero() || p.DeletionGracePeriodSeconds == nil {
		return at
	}
	return at.Add(-time.Duration(*p.DeletionGracePeriodSeconds) * time.Second)
}

// graceOf returns the grace period of a deletion that is under way, else that of one that would be.
func graceOf(p *corev1.Pod) int64 {
	switch {
	case p.DeletionGracePeriodSeconds != nil:
		return *p.DeletionGracePeriodSeconds
	case p.Spec.TerminationGracePeriodSeconds != nil:
		return *p.Spec.TerminationGracePeriodSeconds
	}
	return corev1.DefaultTerminationGracePeriodSeconds
}

func hashOf(labels map[string]string) string {
	if h := labels[appsv1.DefaultDeploymentUniqueLabelKey]; h != "" {
		return h
	}
	return labels[appsv1.ControllerRevisionHashLabelKey]
}

func phaseOf(p corev1.PodPhase) cluster.Phase {
	switch p {
	case corev1.PodRunning:
		return cluster.PhaseRunning
	case corev1.PodSucceeded:
		return cluster.PhaseSucceeded
	case corev1.PodFailed:
		return cluster.PhaseFailed
	case corev1.PodPending, "": // not yet written by anybody
		return cluster.PhasePending
	case corev1.PodUnknown:
		return cluster.PhaseUnknown
	default:
		return cluster.PhaseUnknown
	}
}

func (r *Records) conditions(rec *Pod, conditions []corev1.PodCondition) {
	rep := &rec.Replica
	for i := range conditions {
		c := &conditions[i]
		switch c.Type { //nolint:exhaustive // the others are told as they are
		case corev1.PodReady:
			rec.ReadyKnown = true
			rep.Ready = c.Status == corev1.ConditionTrue
			rec.ReadyUnknown = c.Status == corev1.ConditionUnknown
			rep.ReadySince = utc(c.LastTransitionTime)
			rep.ReadyReason, rep.ReadyMessage = r.intern(c.Reason), c.Message
		case corev1.PodScheduled:
			rep.SchedulingGated = c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonSchedulingGated
			if c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
				rep.Unschedulable = true
				rep.UnschedulableMessage = r.intern(c.Message)
				rep.UnschedulableSince = utc(c.LastTransitionTime)
			}
		case corev1.DisruptionTarget:
			if c.Status == corev1.ConditionTrue {
				rep.Disruption, rep.DisruptionMessage = r.intern(c.Reason), c.Message
				rep.DisruptionSince = utc(c.LastTransitionTime)
			}
		default:
			if rep.Conditions == nil {
				rep.Conditions = make([]cluster.Condition, 0, len(conditions)-i)
			}
			rep.Conditions = append(rep.Conditions, r.condition(string(c.Type), string(c.Status), c.Reason, c.Message, c.LastTransitionTime))
		}
	}
}

// condition returns the condition as the engines read it. Most have no message of their own, or one of few.
func (r *Records) condition(kind, status, reason, message string, since metav1.Time) cluster.Condition {
	return cluster.Condition{
		Type: r.intern(kind), Status: r.intern(status), Reason: r.intern(reason), Message: message, Since: utc(since),
	}
}

// containers returns the containers in the order init, main, ephemeral, each with its status where it has one.
func (r *Records) containers(p *corev1.Pod) []cluster.Container {
	out := make([]cluster.Container, 0, len(p.Spec.InitContainers)+len(p.Spec.Containers)+len(p.Spec.EphemeralContainers))
	for i := range p.Spec.InitContainers {
		c := &p.Spec.InitContainers[i]
		kind := cluster.ContainerInit
		if restartsAlways(c) {
			kind = cluster.ContainerSidecar
		}
		out = append(out, r.container(c, kind, p.Status.InitContainerStatuses))
	}
	for i := range p.Spec.Containers {
		out = append(out, r.container(&p.Spec.Containers[i], cluster.ContainerMain, p.Status.ContainerStatuses))
	}
	for i := range p.Spec.EphemeralContainers {
		c := corev1.Container(p.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		out = append(out, r.container(&c, cluster.ContainerEphemeral, p.Status.EphemeralContainerStatuses))
	}
	return out
}

func restartsAlways(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

func (r *Records) container(c *corev1.Container, kind cluster.ContainerKind, statuses []corev1.ContainerStatus) cluster.Container {
	out := cluster.Container{
		Name: r.intern(c.Name), Kind: kind, Image: r.intern(c.Image),
		LivenessProbe: c.LivenessProbe != nil, StartupProbe: c.StartupProbe != nil, Interactive: c.Stdin && c.TTY,
	}
	resources := &c.Resources
	for i := range statuses {
		s := &statuses[i]
		if s.Name != c.Name {
			continue
		}
		if s.Resources != nil { // what is in force on the node, which an in-place resize changes later than the spec
			resources = s.Resources
		}
		out.Restarts, out.Ready = s.RestartCount, s.Ready
		out.Started = s.Started != nil && *s.Started
		r.state(&out, &s.State)
		out.Last = r.termination(s.LastTerminationState.Terminated)
		break
	}
	out.CPURequestMilli = resources.Requests.Cpu().MilliValue()
	out.CPULimitMilli = resources.Limits.Cpu().MilliValue()
	out.MemoryRequest = resources.Requests.Memory().Value()
	out.MemoryLimit = resources.Limits.Memory().Value()
	return out
}

func (r *Records) state(out *cluster.Container, s *corev1.ContainerState) {
	switch {
	case s.Running != nil:
		out.State = cluster.StateRunning
		out.StartedAt = utc(s.Running.StartedAt)
	case s.Terminated != nil:
		out.State = cluster.StateTerminated
		out.Terminated = r.termination(s.Terminated)
	case s.Waiting != nil:
		out.State = cluster.StateWaiting
		out.WaitingReason, out.WaitingMessage = r.intern(s.Waiting.Reason), s.Waiting.Message
		if s.Waiting.Reason == reasonHookFailed { // it quotes what the hook wrote
			out.WaitingMessage = logs.MaskText(out.WaitingMessage)
		}
	}
}

func (r *Records) termination(t *corev1.ContainerStateTerminated) *cluster.Termination {
	if t == nil {
		return nil
	}
	// The message is the application's, or the end of its log, and becomes evidence as that does.
	return &cluster.Termination{
		ContainerID: t.ContainerID, ExitCode: t.ExitCode, Signal: t.Signal, Reason: r.intern(t.Reason), Message: logs.MaskText(t.Message),
		StartedAt: utc(t.StartedAt), FinishedAt: utc(t.FinishedAt),
	}
}

// measured names the containers that use something as long as the pod lives. One that has come to its end and is not
// started again uses nothing and is not missed.
func measured(policy corev1.RestartPolicy, containers []cluster.Container) []string {
	var out []string
	for i := range containers {
		c := &containers[i]
		if c.Kind != cluster.ContainerMain && c.Kind != cluster.ContainerSidecar {
			continue
		}
		if t := c.Terminated; t != nil && c.Kind == cluster.ContainerMain &&
			(policy == corev1.RestartPolicyNever || policy == corev1.RestartPolicyOnFailure && t.ExitCode == 0) {
			continue
		}
		out = append(out, c.Name)
	}
	return out
}
