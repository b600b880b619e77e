package score

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/corpus"
	"github.com/homeostat/homeostat/internal/incident"
)

// minHealthyPercent of the desired replicas must be ready after an action: about half, as the node controller and medik8s ask.
const minHealthyPercent = 51

// Helps returns the remedies that can help against a kind of failure and do no harm where they do not. It is written down here
// a second time, from what each kind is and not from what package healing does, so that a mistake there is seen:
//
//   - A restart helps only what hangs or degrades while it runs; a container that died was restarted by the kubelet already,
//     and a new pod resets the back-off and loses the log.
//   - A rollback helps only what a release brought.
//   - More memory or replicas help only where memory ran out.
//   - Nothing helps from inside a workload against its node, its quota, its scheduler, or against what somebody did to it on
//     purpose.
func Helps(kind string) []incident.Remedy {
	back := []incident.Remedy{incident.RemedyRollback, incident.RemedyAbortCanary}
	switch incident.Kind(kind) {
	case incident.OOMKilled, incident.ProbableOOM:
		return append(back, incident.RemedyResizeMemory, incident.RemedyScaleOut)
	case incident.ChildOOM:
		return []incident.Remedy{incident.RemedyCapture, incident.RemedyRestart}
	case incident.MemoryLeak:
		return []incident.Remedy{
			incident.RemedyCapture, incident.RemedyRestart, incident.RemedyRestartWorkload, incident.RemedyResizeMemory,
		}
	case incident.CrashLoop, incident.BadCommand, incident.StartupKill, incident.ImagePull, incident.ConfigMissing, incident.RolloutStuck:
		return back
	case incident.NodeCrashLoop:
		return []incident.Remedy{incident.RemedyRestart}
	case incident.LivenessKill:
		return append(back, incident.RemedyScaleOut)
	case incident.NotReady:
		return []incident.Remedy{incident.RemedyCapture, incident.RemedyRestart, incident.RemedyQuarantine}
	case incident.ResizeStuck:
		return []incident.Remedy{incident.RemedyRestart}
	case incident.NodeNotReady, incident.NodeOOM, incident.StatusUnknown, incident.CleanExit, incident.VolumeStuck,
		incident.SandboxFailed, incident.Evicted, incident.Disrupted, incident.Unschedulable, incident.ReadinessGate,
		incident.StuckTerminating, incident.CreateRefused, incident.JobFailed, incident.AutoscalerBlind, incident.CPUThrottled,
		incident.RestartRate, incident.Storm:
		return nil
	default:
		return nil
	}
}

// judgeBy returns why an action does harm in a recording with that label, empty where it does none.
func judgeBy(l *corpus.Label) func(*world, healing.Action, incident.Kind) string {
	return func(w *world, a healing.Action, k incident.Kind) string {
		if len(l.Want) == 0 {
			return fmt.Sprintf("%s on a workload that is well (taken for %s)", a.Remedy, k)
		}
		if !slices.Contains(helps(l), a.Remedy) {
			return fmt.Sprintf("%s does not help against %s (taken for %s)", a.Remedy, l.Want[0].Kind, k)
		}
		switch a.Remedy {
		case incident.RemedyRestart, incident.RemedyQuarantine:
			return w.tooFew(a)
		case incident.RemedyRollback:
			return w.nowhere(a)
		case incident.RemedyNone, incident.RemedyCapture, incident.RemedyResizeMemory, incident.RemedyRestartWorkload,
			incident.RemedyScaleOut, incident.RemedyAbortCanary:
		}
		return ""
	}
}

// helps returns what helps against the failure, and against what else is right to find in it.
func helps(l *corpus.Label) []incident.Remedy {
	var out []incident.Remedy
	for _, want := range l.Want {
		out = append(out, Helps(want.Kind)...)
	}
	for _, kind := range l.Also {
		out = append(out, Helps(kind)...)
	}
	return out
}

// tooFew says that the action takes a ready replica away and leaves too few.
func (w *world) tooFew(a healing.Action) string {
	i := slices.IndexFunc(w.view.Workloads, func(x *cluster.Workload) bool { return x.Ref.Same(a.Workload) })
	if i < 0 {
		return fmt.Sprintf("%s on a workload that is not there", a.Remedy)
	}
	load := w.view.Workloads[i]
	others, ready := load.ReadyReplicas(), false
	for j := range load.Replicas {
		if r := &load.Replicas[j]; r.UID == a.ReplicaUID && r.Ready && !r.Deleting() {
			ready = true
			others--
		}
	}
	if need := (minHealthyPercent*load.Desired + 99) / 100; ready && others < need {
		return fmt.Sprintf("%s of a ready replica leaves %d of %d ready, %d must be", a.Remedy, others, load.Desired, need)
	}
	return ""
}

// nowhere says that there is no revision to go back to that was ever healthy.
func (w *world) nowhere(a healing.Action) string {
	if a.Workload.Kind != cluster.KindDeployment {
		return "" // revisions of the others are not recorded
	}
	for uid := range w.objects.healthy {
		set, is := w.objects.raw[uid].(*appsv1.ReplicaSet)
		if is && set.Labels[appsv1.DefaultDeploymentUniqueLabelKey] == a.Change.ToRevision {
			return ""
		}
	}
	return fmt.Sprintf("Rollback to revision %q, which was never healthy", a.Change.ToRevision)
}

// pod returns the recorded pod with that UID, nil if it is gone.
func (o *objects) pod(uid string) *corev1.Pod {
	pod, _ := o.raw[uid].(*corev1.Pod)
	return pod
}

func podReady(c corev1.PodCondition) bool {
	return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
}
