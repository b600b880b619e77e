package kube

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/healing/survey"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/policy/record"
)

const (
	// orphanAfter is how long an incident stays active when its workload does not exist, or is not watched, any more: so long is it
	// seen to be away, or was the incident not seen, beyond what the stored time of that may be behind.
	orphanAfter = 5 * time.Minute
	// maxExpired bounds the incidents that one call of Expire removes, and those that it resolves: some seconds of a slow API
	// server, and with a call a minute enough for 6,000 incidents an hour.
	maxExpired = 100
	// maxExpireErrors is how many errors a call of Expire returns; the rest are counted.
	maxExpireErrors = 3
)

// Expire removes resolved incidents that are too old or too many, resolves those whose workload does not exist or is not watched any
// more, and brings the statuses of the HealingPolicies up to date. A call resolves and removes at most 100 incidents each, the oldest
// first, and ends when ctx does, which has the deadline of the pass; the next call goes on. One that cannot be removed is passed over.
// It goes on after an error, and returns the first few and how many there were.
func (p *Platform) Expire(ctx context.Context, now time.Time) error {
	snap := p.Snapshot(now)
	if !snap.Synced {
		return nil
	}
	var run expiry
	p.reportPolicies(ctx, &run, snap, now)
	list, orphans := p.survivors(snap, now)
	run.each(ctx, orphans, func(o *v1alpha1.Incident) error { return p.resolveOrphan(ctx, record.ReadIncident(o), now) })
	run.each(ctx, p.overdue(list, now), func(o *v1alpha1.Incident) error {
		return p.writer.RemoveIncident(ctx, o) //nolint:wrapcheck // it names the incident
	})
	return run.err(ctx)
}

// orphans remembers since when the workloads of active incidents are away, by the incident's UID.
type orphans struct {
	mu   sync.Mutex
	away map[string]time.Time
}

// expiry is one call of Expire.
type expiry struct {
	errs []error
	more int
	left int // what there was no time for
}

// each does what is to be done about the incidents in order, as long as there is time and until enough of it is done.
func (e *expiry) each(ctx context.Context, list []*v1alpha1.Incident, do func(*v1alpha1.Incident) error) {
	done := 0
	for i, o := range list {
		if done == maxExpired {
			return
		}
		if ctx.Err() != nil {
			e.left += len(list) - i
			return
		}
		if e.note(ctx, do(o)) {
			done++
		}
	}
}

// note reports whether there was no error.
func (e *expiry) note(ctx context.Context, err error) bool {
	switch {
	case err == nil:
	case ctx.Err() != nil: // every call fails from now on
		e.left++
	case len(e.errs) < maxExpireErrors:
		e.errs = append(e.errs, err)
	default:
		e.more++
	}
	return err == nil
}

func (e *expiry) err(ctx context.Context) error {
	errs := e.errs
	if e.more > 0 {
		errs = append(errs, fmt.Errorf("expire incidents: %d more failed", e.more)) //nolint:err113 // only said
	}
	if e.left > 0 {
		errs = append(errs, fmt.Errorf("expire incidents: %d are left for the next time: %w", e.left, ctx.Err()))
	}
	return errors.Join(errs...)
}

// survivors returns the stored incidents, and apart from them the active ones that no pass will ever look at again, oldest first.
func (p *Platform) survivors(snap *cluster.Snapshot, now time.Time) (list, orphans []*v1alpha1.Incident) {
	watched := make(map[string]bool, len(snap.Workloads))
	for _, w := range snap.Workloads {
		_, watched[workloadKey(w.Ref)] = p.PolicyFor(w)
	}
	p.orphans.mu.Lock()
	defer p.orphans.mu.Unlock()
	away := map[string]time.Time{}
	for _, o := range records[*v1alpha1.Incident](p.feeds.incidents) {
		in := record.ReadIncident(o)
		// What is about a node or the cluster has an end of its own, which the survey sees.
		survives := watched[workloadKey(in.Workload)] || in.Workload.Kind == survey.KindNode || in.Workload.Kind == survey.KindCluster ||
			!p.watches(in.Namespace)
		if survives || !in.State.Active() {
			list = append(list, o)
			continue
		}
		away[string(o.UID)] = now
		if since, known := p.orphans.away[string(o.UID)]; known {
			away[string(o.UID)] = since
		}
		unseen := now.Sub(in.LastSeenAt)
		forgotten := unseen > orphanAfter && now.Sub(away[string(o.UID)]) > orphanAfter || unseen > control.LongestUnseen+orphanAfter
		if snap.Stale < orphanAfter && forgotten {
			orphans = append(orphans, o)
			continue
		}
		list = append(list, o)
	}
	p.orphans.away = away
	byAge(orphans, func(o *v1alpha1.Incident) int64 { return o.CreationTimestamp.Unix() })
	return list, orphans
}

// overdue returns the incidents of all namespaces that have to go, those first that ended first.
func (p *Platform) overdue(list []*v1alpha1.Incident, now time.Time) []*v1alpha1.Incident {
	byNamespace := map[string][]*v1alpha1.Incident{}
	for _, o := range list {
		byNamespace[o.Namespace] = append(byNamespace[o.Namespace], o)
	}
	var out []*v1alpha1.Incident
	for _, one := range byNamespace {
		out = append(out, expired(one, p.opts.KeepIncidents, p.opts.MaxIncidents, now)...)
	}
	byAge(out, func(o *v1alpha1.Incident) int64 { return resolvedAt(o).UnixNano() })
	return out
}

// resolveOrphan ends an incident that no pass will ever look at again.
func (p *Platform) resolveOrphan(ctx context.Context, in incident.Incident, now time.Time) error {
	in = in.Clone()
	in.State, in.ResolvedAt = incident.Resolved, now
	in.Note(now, string(healing.ReasonResolved), fmt.Sprintf("%s does not exist, or is not watched any more", in.Workload))
	in.Say(string(healing.ReasonResolved), in.Timeline[len(in.Timeline)-1].Message)
	if _, err := p.Save(ctx, in); err != nil && !errors.Is(err, control.ErrConflict) {
		return err
	}
	return nil
}

// expired returns the resolved incidents of one namespace that have to go: those resolved longer than keep ago, and the
// oldest of the rest until at most most are left. An active one never does.
func expired(list []*v1alpha1.Incident, keep time.Duration, most int, now time.Time) []*v1alpha1.Incident {
	var out, resolved []*v1alpha1.Incident
	left := len(list)
	for _, o := range list {
		if incident.State(o.Status.State).Active() {
			continue
		}
		if now.Sub(resolvedAt(o)) > keep {
			out = append(out, o)
			left--
			continue
		}
		resolved = append(resolved, o)
	}
	byAge(resolved, func(o *v1alpha1.Incident) int64 { return resolvedAt(o).UnixNano() })
	over := min(max(0, left-most), len(resolved))
	return append(out, resolved[:over]...)
}

// resolvedAt is when the incident ended; one without that time counts from its creation.
func resolvedAt(o *v1alpha1.Incident) time.Time {
	if t := o.Status.ResolvedAt; t != nil {
		return t.Time
	}
	return o.CreationTimestamp.Time
}

// reportPolicies brings the statuses of the HealingPolicies up to date.
func (p *Platform) reportPolicies(ctx context.Context, run *expiry, snap *cluster.Snapshot, now time.Time) {
	governs := map[string]int32{}
	for _, w := range snap.Workloads {
		if o := p.governing(w); o != nil {
			governs[o.Namespace+"/"+o.Name]++
		}
	}
	for _, o := range records[*v1alpha1.HealingPolicy](p.feeds.policies) {
		if ctx.Err() != nil {
			return // it is written only where it changed, so that the next call knows what is left
		}
		o = p.own.policy(o, now)
		err := p.writer.ReportPolicy(ctx, o, governs[o.Namespace+"/"+o.Name], p.rules.ofHealing(o).invalid, now)
		if !errors.Is(err, control.ErrConflict) {
			run.note(ctx, err)
		}
	}
}
