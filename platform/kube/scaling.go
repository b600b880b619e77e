package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/platform/kube/view"
	"github.com/homeostat/homeostat/platform/kube/write"
)

// Observe returns what a decision about the Autoscaler's target is made from. Targets of a watched kind come from the
// view; of any other kind the scale is read from the API server and kept for a few seconds.
func (p *Platform) Observe(ctx context.Context, a control.Autoscaler, now time.Time) (hpa.Observation, error) {
	s, err := p.scaler(a)
	if err != nil {
		return hpa.Observation{}, err
	}
	current, selector, err := p.target(ctx, s.target, now)
	if err != nil {
		return hpa.Observation{}, err
	}
	obs := hpa.Observation{Current: current, ScaledToZero: s.scaledToZero(), Incident: p.openIncident(a.Target, now)}
	for _, pod := range indexed[*view.Pod](p.feeds.pods, namespaceIndex, a.Target.Namespace) {
		if selector.Matches(labels.Set(pod.Labels)) {
			obs.Replicas = append(obs.Replicas, p.observed(pod, now))
		}
	}
	slices.SortFunc(obs.Replicas, func(x, y hpa.Replica) int { return strings.Compare(x.Name, y.Name) })
	if known, reachable := p.opts.Store.Nodes(); known > 0 && reachable == 0 {
		obs.Unavailable = fmt.Sprintf("none of %d nodes could be scraped", known)
	}
	return obs, nil
}

// target returns the number of replicas that the target asks for and the selector of its pods.
func (p *Platform) target(ctx context.Context, t write.Target, now time.Time) (int32, labels.Selector, error) {
	if fromView(t) {
		o, ok := named(p.feeds.owners, t.Ref.Namespace, t.Ref.Name, func(o *view.Owner) bool { return o.Kind == t.Ref.Kind })
		if !ok {
			return 0, nil, fmt.Errorf("find target %s: it does not exist", t.Ref)
		}
		if o.Selector == nil || o.Selector.Empty() {
			return 0, nil, fmt.Errorf("read target %s: its selector is missing", t.Ref)
		}
		return p.own.replicas(t.Ref, o.Desired, o.Version, now), o.Selector, nil
	}
	s, err := p.scales.get(t, now, func() (scaleRead, error) { return p.readScale(ctx, t) })
	return s.replicas, s.selector, err
}

// fromView reports whether the target is of a kind that is watched and has a scale.
func fromView(t write.Target) bool {
	if group, _, _ := strings.Cut(t.APIVersion, "/"); group != "apps" {
		return false
	}
	return t.Ref.Kind == cluster.KindDeployment || t.Ref.Kind == cluster.KindStatefulSet || t.Ref.Kind == cluster.KindReplicaSet
}

func (p *Platform) readScale(ctx context.Context, t write.Target) (scaleRead, error) {
	s, err := p.writer.GetScale(ctx, t)
	if apierrors.IsNotFound(err) {
		return scaleRead{}, fmt.Errorf("find target %s: it does not exist, or its kind has no scale", t.Ref)
	}
	if err != nil {
		return scaleRead{}, err
	}
	if s.Status.Selector == "" {
		return scaleRead{}, fmt.Errorf("read target %s: its scale has no selector", t.Ref)
	}
	selector, err := labels.Parse(s.Status.Selector)
	if err != nil {
		return scaleRead{}, fmt.Errorf("read selector of %s: %w", t.Ref, err)
	}
	return scaleRead{replicas: s.Spec.Replicas, selector: selector}, nil
}

// observed returns what a decision needs to know of one pod.
func (p *Platform) observed(pod *view.Pod, now time.Time) hpa.Replica {
	r := &pod.Replica
	out := hpa.Replica{
		Name: r.Name, Phase: r.Phase, Deleting: r.Deleting(), StartedAt: r.StartedAt,
		Ready: r.Ready, ReadyKnown: pod.ReadyKnown, ReadySince: r.ReadySince, CrashLooping: r.CrashLooping(),
	}
	out.CPU, out.Memory = usage(pod, p.opts.Store, now)
	return out
}

// Scale writes the target's number of replicas.
func (p *Platform) Scale(ctx context.Context, a control.Autoscaler, rec hpa.Recommendation) error {
	s, err := p.scaler(a)
	if err != nil {
		return err
	}
	t := s.target
	shown, inView := named(p.feeds.owners, t.Ref.Namespace, t.Ref.Name, func(o *view.Owner) bool { return o.Kind == t.Ref.Kind })
	if err := p.writer.Scale(ctx, t, rec.Current, rec.Desired); err != nil {
		p.scales.forget(t)
		return err //nolint:wrapcheck // it names the target
	}
	p.scales.forget(t)
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
	if s.own == nil {
		return nil
	}
	//nolint:wrapcheck // it names the Autoscaler
	return p.writer.Report(ctx, s.own, write.Outcome{Autoscaler: a, Recommendation: rec, History: h, Err: err})
}

// scaleFor is how long a scale that was read from the API server is used, also one that could not be read: as often as
// Kubernetes' own controller looks at it, three times over.
const scaleFor = 5 * time.Second

// scaleRead is the scale of a target of any kind.
type scaleRead struct {
	replicas int32
	selector labels.Selector
}

type scaleEntry struct {
	read scaleRead
	err  error
	at   time.Time
}

// scaleCache keeps scales that are not in the view.
type scaleCache struct {
	mu      sync.Mutex
	entries map[string]scaleEntry
}

func newScaleCache() *scaleCache { return &scaleCache{entries: map[string]scaleEntry{}} }

func (c *scaleCache) get(t write.Target, now time.Time, read func() (scaleRead, error)) (scaleRead, error) {
	key := t.APIVersion + "/" + workloadKey(t.Ref)
	c.mu.Lock()
	e, ok := c.entries[key]
	c.mu.Unlock()
	if ok && now.Sub(e.at) < scaleFor {
		return e.read, e.err
	}
	e.read, e.err = read()
	e.at = now
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, old := range c.entries { // of targets that nobody asks for any more
		if now.Sub(old.at) > time.Minute {
			delete(c.entries, k)
		}
	}
	c.entries[key] = e
	return e.read, e.err
}

func (c *scaleCache) forget(t write.Target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.entries, t.APIVersion+"/"+workloadKey(t.Ref))
}
