package view

import (
	"fmt"
	"slices"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
)

// Rollout is a rollout that is under way: which revision comes, and which pods have it. Its zero value is none.
type Rollout struct {
	// Revision that is rolled out; empty: there is no rollout.
	Revision string
	// controller of the new pods is a Deployment's newest ReplicaSet; hash is their revision's in a StatefulSet.
	controller, hash string
	late             bool
}

// RolloutOf returns the rollout of a Deployment, whose ReplicaSets must be given, or of a StatefulSet. A Deployment's is
// under way until every replica was available in the newest revision once, or while an old ReplicaSet has replicas; a
// StatefulSet's until every replica above its partition has the newest revision, and is ready where there is no partition.
func RolloutOf(top *Owner, sets []*Owner) Rollout {
	switch top.Kind {
	case cluster.KindDeployment:
		if len(sets) == 0 {
			return Rollout{}
		}
		sets = slices.SortedFunc(slices.Values(sets), byNumber)
		if top.Unfinished || outdated(sets) {
			return Rollout{Revision: sets[0].Revision, controller: sets[0].UID, late: top.Late}
		}
	case cluster.KindStatefulSet:
		if top.RollingOut || top.Unfinished {
			return Rollout{Revision: top.Revision, hash: top.Revision}
		}
	}
	return Rollout{}
}

// Has reports whether the pod is of the revision that is rolled out.
func (r *Rollout) Has(p *Pod) bool {
	if r.controller != "" {
		return p.Controller.UID == r.controller
	}
	return r.hash != "" && p.Hash == r.hash
}

// Failing says in a few words how a pod of the new revision fails; empty: it does not, or is of no new revision.
func (r *Rollout) Failing(p *Pod) string {
	rep := &p.Replica
	if !r.Has(p) || rep.Deleting() || rep.Phase == cluster.PhaseSucceeded || rep.Phase == cluster.PhaseFailed {
		return ""
	}
	restarted := false
	for i := range rep.Containers {
		c := &rep.Containers[i]
		if c.Kind == cluster.ContainerEphemeral {
			continue
		}
		if c.State == cluster.StateWaiting {
			if why := waitsInVain(c.WaitingReason); why != "" {
				return why
			}
		}
		restarted = restarted || c.Restarts > 0
	}
	switch {
	case rep.Ready:
		return ""
	case restarted:
		return "restarted and not ready"
	case r.late && rep.Phase == cluster.PhaseRunning:
		return "not ready within the progress deadline"
	}
	return ""
}

// waitsInVain sorts the kubelet's reasons of a waiting container; empty: it may still begin.
func waitsInVain(reason string) string {
	switch reason {
	case cluster.ReasonCrashLoopBackOff:
		return "crash loop"
	case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable":
		return "image cannot be pulled"
	case "CreateContainerConfigError":
		return "configuration missing"
	case "CreateContainerError", "RunContainerError", "PostStartHookError":
		return "container cannot be started"
	}
	return ""
}

// Describe returns the state of the rollout over the pods of the target; nil where there is none. It fails where at least
// as many of the new replicas fail as are ready: one that fails among many that serve is left to the count of capacity.
func (r *Rollout) Describe(pods []*Pod) *hpa.Rollout {
	if r.Revision == "" {
		return nil
	}
	out := &hpa.Rollout{Revision: r.Revision}
	var failing int32
	first, why := "", ""
	for _, p := range pods {
		rep := &p.Replica
		if !r.Has(p) || rep.Deleting() || rep.Phase == cluster.PhaseSucceeded || rep.Phase == cluster.PhaseFailed {
			continue
		}
		out.New++
		if rep.Ready {
			out.Ready++
		}
		if word := r.Failing(p); word != "" {
			failing++
			if first == "" {
				first, why = p.Name, word
			}
		}
	}
	if failing > 0 && failing >= out.Ready {
		out.Failing = fmt.Sprintf("%d of %d replicas of revision %s fail, %s: %s", failing, out.New, r.Revision, first, why)
	}
	return out
}
