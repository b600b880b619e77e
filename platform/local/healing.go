package local

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/logs"
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
func (p *Platform) Spent(policy healing.Policy, w cluster.Ref) []time.Time {
	return p.store.spent(policy, w)
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
func (p *Platform) Charge(_ context.Context, policy healing.Policy, w cluster.Ref, remediationID string, now time.Time) error {
	return p.store.charge(policy, w, remediationID, now)
}

// Carry restarts a replica by having it replaced: a fresh one is started, the old one drained and ended. It does not wait
// for that.
func (p *Platform) Carry(ctx context.Context, a healing.Action) healing.Result {
	if a.Remedy != incident.RemedyRestart {
		return healing.Result{
			Outcome: incident.Failed, Reason: healing.ReasonFailed,
			Message: fmt.Sprintf("remedy %q is not known on this platform, only Restart is", a.Remedy),
		}
	}
	err := p.service.Evict(ctx, a.Replica, a.ReplicaUID)
	switch {
	case err == nil:
		return healing.Result{
			Outcome: incident.Done, Reason: healing.ReasonCarriedOut,
			Message: "replica " + a.Replica + " is being replaced by a fresh one",
		}
	case errors.Is(err, service.ErrGone):
		return healing.Result{Outcome: incident.Done, Reason: healing.ReasonReplicaGone, Message: "replica " + a.Replica + " is gone already"}
	case errors.Is(err, service.ErrBlocked):
		return healing.Result{Outcome: incident.Blocked, Reason: healing.ReasonBlockedByPDB, Message: err.Error()}
	default:
		return healing.Result{Outcome: incident.Failed, Reason: healing.ReasonFailed, Message: err.Error()}
	}
}
