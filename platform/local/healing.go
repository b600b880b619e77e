package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/logs"
	"github.com/homeostat/homeostat/internal/policy"
	"github.com/homeostat/homeostat/metrics"
	"github.com/homeostat/homeostat/platform/local/service"
)

var (
	_ control.HealingSource = (*Platform)(nil)
	_ control.IncidentStore = (*Platform)(nil)
	_ control.Surgeon       = (*Platform)(nil)
)

// Snapshot returns the present view. It is never stale: the replicas are this program's own children.
func (p *Platform) Snapshot(now time.Time) *cluster.Snapshot {
	return &cluster.Snapshot{At: now, Synced: p.Addr() != "", Workloads: []*cluster.Workload{p.service.Workload()}}
}

// Memory returns the samples of the containers of the namespace.
func (p *Platform) Memory(namespace string) healing.MemoryView {
	return func(replica, container string) []metrics.Point {
		return p.opts.Store.Points(metrics.Key{Namespace: namespace, Pod: replica, Container: container})
	}
}

// PolicyFor returns the first HealingPolicy of the configuration that selects the workload, or the default, which
// observes, unless only selected workloads are watched.
func (p *Platform) PolicyFor(w *cluster.Workload) (healing.Policy, bool) {
	for i := range p.opts.Config.Policies {
		one := &p.opts.Config.Policies[i]
		if one.selects(w.Labels) {
			return one.Policy, true
		}
	}
	return healing.DefaultPolicy(), !p.opts.WatchSelected
}

// Spent returns the times of the actions charged to the workload under the policy.
func (p *Platform) Spent(pol healing.Policy, w cluster.Ref) []time.Time {
	return p.store.spent(pol, w)
}

// Save stores an incident by compare-and-swap.
func (p *Platform) Save(_ context.Context, in incident.Incident) (incident.Incident, error) {
	return p.store.save(in)
}

// Expire removes resolved incidents that are older than Options.KeepIncidents or more than Options.MaxIncidents.
func (p *Platform) Expire(_ context.Context, now time.Time) error {
	return p.store.expire(now.Add(-p.opts.KeepIncidents), p.opts.MaxIncidents)
}

// Announce adds an event about the service.
func (p *Platform) Announce(_ context.Context, in incident.Incident, reason healing.Reason, message string) {
	kind := service.Normal
	if in.State == incident.Open || in.State == incident.Abandoned {
		kind = service.Warning
	}
	p.service.Announce(kind, string(reason), message)
}

// Capture returns what the life that is asked for printed last. It reads memory and does not block.
func (p *Platform) Capture(_ context.Context, _ *cluster.Workload, c healing.Capture) incident.Evidence {
	e := incident.Evidence{Kind: incident.EvidenceLog, At: time.Now(), Replica: c.Replica, Container: c.Container}
	out, err := p.service.Output(c.ReplicaUID, c.ContainerID, c.Previous)
	if err != nil {
		e.Message = "no log: " + err.Error()
		return e
	}
	life := "the present life"
	if !out.EndedAt.IsZero() {
		e.At, life = out.EndedAt, "the life that ended at "+out.EndedAt.Format(time.TimeOnly)
	}
	e.Lines = logs.Tail([]byte(strings.Join(out.Lines, "\n")), incident.MaxLogLines, incident.MaxLogBytes)
	if len(e.Lines) == 0 {
		e.Message = "no log: the container printed nothing in " + life
		return e
	}
	e.Message = fmt.Sprintf("the last %d of %d lines that container %s printed in %s", len(e.Lines), out.Total, c.Container, life)
	return e
}

// Charge takes one action from the budget in the state folder.
func (p *Platform) Charge(_ context.Context, pol healing.Policy, w cluster.Ref, remediationID string, now time.Time) error {
	return p.store.charge(pol, w, remediationID, now)
}

// floorFor is how long a ScaleOut raises the minimum of the autoscaler, as on Kubernetes.
const floorFor = time.Hour

// Carry restarts a replica by having it replaced (a fresh one is started, the old one drained and ended), or scales out: the
// minimum of the autoscaler is raised for an hour, or more replicas are started where there is none. It waits for neither. Every
// other remedy needs what only a cluster has.
func (p *Platform) Carry(ctx context.Context, a healing.Action) healing.Result {
	switch {
	case a.Remedy == incident.RemedyRestart && a.DryRun:
		return p.dryRun("evict replica "+a.Replica, slices.ContainsFunc(p.service.Workload().Replicas, func(r cluster.Replica) bool {
			return r.Name == a.Replica && r.UID == a.ReplicaUID
		}), "replica "+a.Replica+" is gone already")
	case a.Remedy == incident.RemedyRestart:
		return p.restart(ctx, a)
	case a.Remedy == incident.RemedyScaleOut && a.DryRun:
		desired := p.service.Workload().Desired
		return p.dryRun(fmt.Sprintf("scale %s from %d to %d replicas", a.Workload, a.Change.FromReplicas, a.Change.ToReplicas),
			desired == a.Change.FromReplicas, fmt.Sprintf("%s asks for %d replicas, not %d", a.Workload, desired, a.Change.FromReplicas))
	case a.Remedy == incident.RemedyScaleOut:
		return p.scaleOut(ctx, a)
	}
	return healing.Result{
		Outcome: incident.Failed, Reason: healing.ReasonNotSupported,
		Message: fmt.Sprintf("remedy %q needs a cluster: on this platform only Restart and ScaleOut are carried out", a.Remedy),
	}
}

// dryRun says what would be done, or why it would not be.
func (p *Platform) dryRun(call string, would bool, otherwise string) healing.Result {
	if !would {
		return healing.Result{Outcome: incident.Failed, Reason: healing.ReasonFailed, Message: otherwise, Call: call}
	}
	return healing.Result{Outcome: incident.DryRun, Reason: healing.ReasonObserveOnly, Message: "it would be carried out: " + call, Call: call}
}

func (p *Platform) restart(ctx context.Context, a healing.Action) healing.Result {
	call := "evict replica " + a.Replica
	err := p.service.Evict(ctx, a.Replica, a.ReplicaUID)
	switch {
	case err == nil:
		return healing.Result{
			Outcome: incident.Done, Reason: healing.ReasonCarriedOut, Call: call,
			Message: "replica " + a.Replica + " is being replaced by a fresh one",
		}
	case errors.Is(err, service.ErrGone):
		return healing.Result{
			Outcome: incident.Done, Reason: healing.ReasonReplicaGone, Call: call, Message: "replica " + a.Replica + " is gone already",
		}
	case errors.Is(err, service.ErrBlocked):
		return healing.Result{Outcome: incident.Blocked, Reason: healing.ReasonBlockedByPDB, Call: call, Message: err.Error()}
	default:
		return healing.Result{Outcome: incident.Failed, Reason: healing.ReasonFailed, Call: call, Message: err.Error()}
	}
}

func (p *Platform) scaleOut(ctx context.Context, a healing.Action) healing.Result {
	from, to := a.Change.FromReplicas, a.Change.ToReplicas
	res := healing.Result{
		Outcome: incident.Done, Reason: healing.ReasonCarriedOut, Call: fmt.Sprintf("scale %s from %d to %d replicas", a.Workload, from, to),
		Message: fmt.Sprintf("%s was scaled out from %d to %d replicas", a.Workload, from, to),
	}
	switch {
	case to <= from:
		res.Outcome, res.Reason = incident.Failed, healing.ReasonNotSupported
		res.Message = fmt.Sprintf("scaling out is to more replicas, not from %d to %d", from, to)
	case len(p.opts.Config.Autoscalers) > 0:
		until := time.Now().Add(floorFor)
		p.mu.Lock()
		p.healed = hpa.Floor{Replicas: to, By: "healing until " + until.UTC().Format(time.RFC3339)}
		p.healedUntil = until
		p.mu.Unlock()
		res.Message = fmt.Sprintf("the minimum of the autoscaler was raised to %d for %s", to, floorFor)
	case p.service.Workload().Desired == to:
		res.Message = fmt.Sprintf("%s asks for %d replicas already", a.Workload, to)
	default:
		if err := p.service.Scale(ctx, from, to, "healing"); err != nil {
			res.Outcome, res.Reason, res.Message = incident.Failed, healing.ReasonFailed, err.Error()
		}
	}
	return res
}

// floor returns what raises the minimum now: a schedule, or a ScaleOut.
func (p *Platform) floor(now time.Time) *hpa.Floor {
	p.mu.Lock()
	defer p.mu.Unlock()
	var healed *hpa.Floor
	if now.Before(p.healedUntil) {
		healed = &hpa.Floor{Replicas: p.healed.Replicas, By: p.healed.By}
	}
	return policy.HigherFloor(p.opts.Config.Schedules.Floor(now), healed)
}
