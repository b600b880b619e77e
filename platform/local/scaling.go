package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
	"github.com/homeostat/homeostat/platform/local/service"
)

var (
	_ control.ScalingSource = (*Platform)(nil)
	_ control.ScalingWriter = (*Platform)(nil)
)

// Autoscalers returns those of the configuration.
func (p *Platform) Autoscalers(context.Context) ([]control.Autoscaler, error) {
	return slices.Clone(p.opts.Config.Autoscalers), nil
}

// Observe returns what the service's replicas use, the minimum of the schedules, and the incident that is open. It never fails: every autoscaler's
// target was checked when the configuration was read.
func (p *Platform) Observe(_ context.Context, _ control.Autoscaler, now time.Time) (hpa.Observation, error) {
	w := p.service.Workload()
	obs := hpa.Observation{
		Current: w.Desired, Replicas: make([]hpa.Replica, len(w.Replicas)), StatusReplicas: int32(len(w.Replicas)), //nolint:gosec // few on one machine
		Floor: p.floor(now),
	}
	for i := range w.Replicas {
		obs.Replicas[i] = p.observe(&w.Replicas[i], now)
	}
	for _, in := range p.Incidents(w.Ref) {
		if in.State.Active() && in.Kind.Failure() {
			obs.Incident = in.Name
			break
		}
	}
	return obs, nil
}

func (p *Platform) observe(r *cluster.Replica, now time.Time) hpa.Replica {
	c := &r.Containers[0]
	u := p.opts.Store.Container(metrics.Key{Namespace: Namespace, Pod: r.Name, Container: c.Name}, now)
	cpu := hpa.Usage{Known: u.OK(), Request: c.CPURequestMilli, At: u.At, Window: u.Window}
	memory := hpa.Usage{Known: u.HasMemory(), Request: c.MemoryRequest, At: u.At}
	if cpu.Known {
		cpu.Value = u.CPUMilli
	} else {
		cpu.Why = string(u.Reason)
	}
	if memory.Known {
		memory.Value = u.MemoryBytes
	} else {
		memory.Why = string(u.Reason)
	}
	for _, usage := range []*hpa.Usage{&cpu, &memory} {
		if usage.Request == 0 {
			usage.RequestMissing = c.Name
		}
	}
	return hpa.Replica{
		Name: r.Name, Phase: r.Phase, Deleting: r.Deleting(), StartedAt: r.StartedAt,
		Ready: r.Ready, ReadyKnown: true, ReadySince: r.ReadySince, CrashLooping: r.CrashLooping(), CPU: cpu, Memory: memory,
	}
}

// Scale starts or ends replicas. control.ErrConflict if the service does not ask for rec.Current.
func (p *Platform) Scale(ctx context.Context, _ control.Autoscaler, rec hpa.Recommendation) error {
	err := p.service.Scale(ctx, rec.Current, rec.Desired, rec.Message)
	if errors.Is(err, service.ErrChanged) {
		return fmt.Errorf("%w: %w", control.ErrConflict, err)
	}
	return err
}

// Report keeps the decision in the state folder: at once where it says something else than the one before, otherwise
// every five seconds. The event of a scaling comes from Scale.
func (p *Platform) Report(ctx context.Context, a control.Autoscaler, rec hpa.Recommendation, _ hpa.History, err error) error {
	next := AutoscalerStatus{
		Ref: a.Ref, Target: a.Target, Mode: a.Mode, Min: a.Policy.Min, Max: a.Policy.Max, Decision: &rec,
	}
	var change *ScaleChange
	switch {
	case err != nil:
		next.Error = err.Error()
	case rec.Change() && a.Mode == control.Active:
		change = &ScaleChange{
			At: rec.At, From: rec.Current, To: rec.Desired, Reason: rec.Reason, Message: rec.Message,
			ID: cluster.DecisionID(a.Ref, rec.At, rec.Current, rec.Desired),
		}
	}
	return p.store.report(ctx, next, change)
}

// Incidents returns the stored incidents of the workload, the oldest first.
func (p *Platform) Incidents(w cluster.Ref) []incident.Incident {
	return p.store.list(func(in *incident.Incident) bool { return in.Workload.Same(w) })
}
