package view

import (
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

// bornUnready is how far the first Ready condition may lie from the pod's start. The kubelet writes both in one status
// (pkg/kubelet/status, updateStatusInternal), and changes the condition's time only with its status; times have whole
// seconds. A readiness that came and went within it was none to speak of.
const bornUnready = 5 * time.Second

// neverReady reports whether the pod's status alone shows that it has never been ready: it is not, and that has not
// changed since its start. It needs no memory, so that it is the same right after a start of the controller.
func neverReady(p *Pod) bool {
	r := &p.Replica
	if r.StartedAt.IsZero() {
		return r.Phase == cluster.PhasePending // no kubelet has taken it yet
	}
	return p.ReadyKnown && !r.Ready && !p.ReadyUnknown && r.ReadySince.Sub(r.StartedAt) <= bornUnready
}

// looping reports whether a container of the pod has failed and is in the back-off of a crash loop, or runs again and the
// pod has not been ready since: between two crashes of a loop the container runs, idles and is counted by Kubernetes, because
// it was ready once. A pod that was ready in the present life of all its containers is in no loop, whatever it is now.
func looping(p *Pod) bool {
	r := &p.Replica
	if r.CrashLooping() {
		return true
	}
	if r.Ready || !p.ReadyKnown || p.ReadyUnknown {
		return false
	}
	for i := range r.Containers {
		c := &r.Containers[i]
		if c.Kind != cluster.ContainerMain && c.Kind != cluster.ContainerSidecar {
			continue
		}
		if d := c.LatestDeath(); d == nil || d.ExitCode == 0 {
			continue
		}
		// The kubelet may start the container before it has written that the pod is not ready.
		if c.State != cluster.StateRunning || !c.StartedAt.Before(r.ReadySince.Add(-bornUnready)) {
			return true
		}
	}
	return false
}

// oomKilledAt returns the last OOM kill that the states of main containers and sidecars show. One whose time is not known
// does not count.
func oomKilledAt(containers []cluster.Container) time.Time {
	var at time.Time
	for i := range containers {
		if k := containers[i].Kind; k != cluster.ContainerMain && k != cluster.ContainerSidecar {
			continue // an init container's does not empty what serves
		}
		for _, t := range []*cluster.Termination{containers[i].Terminated, containers[i].Last} {
			if t != nil && t.Reason == cluster.ReasonOOMKilled && t.FinishedAt.After(at) {
				at = t.FinishedAt
			}
		}
	}
	return at
}

// restartedAt returns the last start of a main container or a sidecar after its first.
func restartedAt(containers []cluster.Container) time.Time {
	var at time.Time
	for i := range containers {
		c := &containers[i]
		if c.Restarts == 0 || c.Kind != cluster.ContainerMain && c.Kind != cluster.ContainerSidecar {
			continue
		}
		start := c.StartedAt
		if d := c.LatestDeath(); c.State != cluster.StateRunning && d != nil { // the life that has just ended was not the first
			start = d.StartedAt
		}
		if start.After(at) {
			at = start
		}
	}
	return at
}
