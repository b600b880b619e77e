package kube

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/policy"
	"github.com/homeostat/homeostat/internal/schedule"
	"github.com/homeostat/homeostat/platform/kube/sources"
	"github.com/homeostat/homeostat/platform/kube/view"
	"github.com/homeostat/homeostat/platform/kube/write"
)

// Observe returns what a decision about the target is made from. Targets of a watched kind come from the view; of any
// other kind the scale is read from the API server every few seconds. Metrics from elsewhere are the newest that
// their sources have: nothing here waits for one. control.ErrNotYet beside the observation where one has not answered yet.
func (p *Platform) Observe(ctx context.Context, a control.Autoscaler, now time.Time) (hpa.Observation, error) {
	s, err := p.scaler(a)
	if err != nil {
		return hpa.Observation{}, err
	}
	t, err := p.target(ctx, s.target, now)
	if err != nil {
		return hpa.Observation{}, err
	}
	obs := hpa.Observation{
		Current: t.replicas, StatusReplicas: t.existing, ScaledToZero: s.scaledToZero(),
		Selector: t.fault, Incident: p.openIncident(a.Target, now),
	}
	if obs.Current == 0 { // the status may not say so yet: the informer lags, or it could not be written
		obs.ScaledToZero = obs.ScaledToZero || p.contests.tookAway(workloadKey(a.Target), now)
	}
	var pods []*view.Pod
	if t.fault == nil {
		pods, obs.Selector = p.claimed(a, t.selector, now)
	}
	var rollout view.Rollout
	refusal := ""
	if t.owner != nil {
		sets := indexed[*view.Owner](p.feeds.owners, controllerIndex, t.owner.UID)
		rollout = view.RolloutOf(t.owner, sets)
		refusal = view.Refusal(t.owner, sets, p.events, now)
	}
	obs.Rollout, obs.Shortage = rollout.Describe(pods), view.Shortage(pods, refusal)
	if len(pods) > 0 {
		obs.Replicas = make([]hpa.Replica, len(pods))
	}
	for i, pod := range pods {
		p.observed(&obs.Replicas[i], pod, &rollout)
	}
	ask := sources.Ask{
		Namespace: a.Target.Namespace, Metrics: a.Policy.Metrics, Pods: pods, Selector: t.selector, Native: s.native != nil,
	}
	if s.own != nil {
		rule := p.rules.ofScaling(s.own)
		ask.Page, obs.Floor = rule.page, floorOf(s.own, rule.schedules, now)
	}
	obs.Readings = p.sources.Read(&ask, obs.Replicas, now)
	if known, reachable := p.opts.Store.Nodes(); known > 0 && reachable == 0 {
		obs.Unavailable = fmt.Sprintf("none of %d nodes could be scraped", known)
	}
	if ask.Pending {
		return obs, fmt.Errorf("read the metrics of %s: %w", a.Ref, control.ErrNotYet)
	}
	return obs, nil
}

// floorOf returns what raises the minimum of the Autoscaler now: a schedule, or healing that scaled out for a time. An annotation
// that cannot be read raises nothing; it makes the Autoscaler invalid.
func floorOf(o *v1alpha1.Autoscaler, set schedule.Set, now time.Time) *hpa.Floor {
	healed, _ := policy.ReadHealFloor(o.Annotations[v1alpha1.AnnotationHealFloor])
	return policy.HigherFloor(set.Floor(now), healed.Floor(now))
}

// scaled is a target as it is now.
type scaled struct {
	// replicas that it asks for, and those that its status counts.
	replicas, existing int32
	selector           labels.Selector
	// fault says what is wrong with the selector, which is then nil.
	fault *hpa.Fault
	// owner is its record; nil where it is of no watched kind.
	owner *view.Owner
}

// target returns the target of a scaler.
func (p *Platform) target(ctx context.Context, t write.Target, now time.Time) (scaled, error) {
	if !fromView(t) {
		return p.scales.get(ctx, t, now, p.running.Go, func(ctx context.Context) (scaled, error) { return p.readScale(ctx, t) })
	}
	o, ok := p.owner(t.Ref)
	if !ok {
		return scaled{}, fmt.Errorf("find target %s: it does not exist", t.Ref)
	}
	out := scaled{replicas: p.own.replicas(t.Ref, o.Desired, o.Version, now), existing: o.Existing, selector: o.Selector, owner: o}
	if o.Selector == nil || o.Selector.Empty() {
		out.selector, out.fault = nil, invalidSelector("the target %s has no selector, or one that cannot be read", t.Ref)
	}
	return out, nil
}

// owner returns the record of a target of a watched kind.
func (p *Platform) owner(r cluster.Ref) (*view.Owner, bool) {
	return named(p.feeds.owners, r.Namespace, r.Name, func(o *view.Owner) bool { return o.Kind == r.Kind })
}

func invalidSelector(format string, args ...any) *hpa.Fault {
	return &hpa.Fault{Reason: hpa.FaultInvalidSelector, Message: fmt.Sprintf(format, args...)}
}

// fromView reports whether the target is of a kind that is watched and has a scale.
func fromView(t write.Target) bool {
	if group, _, _ := strings.Cut(t.APIVersion, "/"); group != "apps" {
		return false
	}
	return t.Ref.Kind == cluster.KindDeployment || t.Ref.Kind == cluster.KindStatefulSet || t.Ref.Kind == cluster.KindReplicaSet
}

func (p *Platform) readScale(ctx context.Context, t write.Target) (scaled, error) {
	s, err := p.writer.GetScale(ctx, t)
	if apierrors.IsNotFound(err) {
		return scaled{}, fmt.Errorf("find target %s: it does not exist, or its kind has no scale", t.Ref)
	}
	if err != nil {
		return scaled{}, err
	}
	out := scaled{replicas: s.Spec.Replicas, existing: s.Status.Replicas}
	if s.Status.Selector == "" {
		out.fault = invalidSelector("the scale of %s has no selector", t.Ref)
		return out, nil
	}
	if out.selector, err = labels.Parse(s.Status.Selector); err != nil {
		out.selector, out.fault = nil, invalidSelector("the selector %q of the scale of %s cannot be read: %v", s.Status.Selector, t.Ref, err)
	}
	return out, nil
}

// observed fills in what a decision needs to know of one pod, but for its usage.
func (p *Platform) observed(out *hpa.Replica, pod *view.Pod, rollout *view.Rollout) {
	r := &pod.Replica
	*out = hpa.Replica{
		Name: r.Name, Phase: r.Phase, Deleting: r.Deleting(), StartedAt: r.StartedAt,
		Ready: r.Ready, ReadyKnown: pod.ReadyKnown, ReadySince: r.ReadySince, ReadyUnknown: pod.ReadyUnknown,
		NeverReady: pod.NeverReady, CrashLooping: pod.Looping, RestartedAt: pod.RestartedAt, Failing: rollout.Failing(pod),
		OOMKilledAt: pod.OOMKilledAt,
	}
	for i := range r.Containers { // the kernel's counters also know of kills that the container has survived
		if _, at, _ := p.oomEvents(pod.Namespace, pod.Name, r.Containers[i].Name); at.After(out.OOMKilledAt) {
			out.OOMKilledAt = at
		}
	}
}

// Scale writes the target's number of replicas.
func (p *Platform) Scale(ctx context.Context, a control.Autoscaler, rec hpa.Recommendation) error {
	s, err := p.scaler(a)
	if err != nil {
		return err
	}
	t := s.target
	if err := p.contested(ctx, t, rec.Current, time.Now()); err != nil {
		return err
	}
	shown, inView := p.owner(t.Ref)
	if err := p.writer.Scale(ctx, t, rec.Current, rec.Desired); err != nil {
		p.scales.forget(t)
		return err //nolint:wrapcheck // it names the target
	}
	p.scales.forget(t)
	p.contests.wrote(workloadKey(t.Ref), rec.Desired, time.Now())
	if inView && fromView(t) {
		p.own.scaled(t.Ref, rec.Desired, shown.Version, time.Now())
	}
	return nil
}

// Report stores what was decided in the Autoscaler's status and emits events.
func (p *Platform) Report(ctx context.Context, a control.Autoscaler, rec hpa.Recommendation, h hpa.History, err error) error {
	s, gone := p.scaler(a)
	if gone != nil {
		return gone
	}
	if s.native != nil {
		return p.reportNative(ctx, s.native, write.Outcome{Autoscaler: a, Recommendation: rec, History: h, Err: err})
	}
	//nolint:wrapcheck // it names the Autoscaler
	return p.writer.Report(ctx, s.own, write.Outcome{Autoscaler: a, Recommendation: p.withConflict(s, a, rec), History: h, Err: err})
}
