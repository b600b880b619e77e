package kube

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/metrics"
	"github.com/homeostat/homeostat/platform/kube/view"
)

// Snapshot returns the present view.
func (p *Platform) Snapshot(now time.Time) *cluster.Snapshot {
	vpas, unread, resizable := p.served.known()
	out := view.Snapshot(view.Sources{
		Pods: records[*view.Pod](p.feeds.pods), Owners: records[*view.Owner](p.feeds.owners),
		History: records[*view.History](p.feeds.history), Nodes: records[*view.Node](p.feeds.nodes),
		Services: records[*view.Service](p.feeds.services), Slices: records[*view.Slice](p.feeds.slices),
		EndpointsKnown: open(p.feeds.services) && open(p.feeds.slices),
		Budgets:        records[*view.Budget](p.feeds.budgets),
		Scalings:       p.scalings(), VPAs: vpas, VPAsUnread: unread, Resizable: resizable,
		Events: p.events, Notes: p.notes, OOM: p.oomEvents,
		Throttled: func(namespace, pod, container string) (float64, bool) {
			return p.opts.Store.Throttled(metrics.Key{Namespace: namespace, Pod: pod, Container: container}, now)
		},
		Self: view.Self{Namespace: p.opts.SelfNamespace, Pod: p.opts.SelfPod},
	}, now)
	out.Synced, out.Stale = p.Synced(), p.contact.stale(now)
	return out
}

// noteEvery is how often the view is looked at for what nothing but looking tells, whoever leads.
const noteEvery = 10 * time.Second

// keepNotes looks at the view at every tick until ctx is done: when each revision was last healthy and since when a Service has no
// endpoint is remembered by who looks, and a standby that takes over in the middle of a failure could not look back. On a view that is
// old nothing is noted.
func (p *Platform) keepNotes(ctx context.Context, tick <-chan time.Time) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
		if now := time.Now(); p.Synced() && p.contact.stale(now) < noteEvery {
			p.Snapshot(now)
		}
	}
}

// open reports whether every feed has been read and may be.
func open(list []*feed) bool {
	return !slices.ContainsFunc(list, func(f *feed) bool { return !f.informer.HasSynced() || f.link.isExcused() })
}

func (p *Platform) oomEvents(namespace, pod, container string) (int64, time.Time, bool) {
	count, at, known := p.opts.Store.OOMEvents(metrics.Key{Namespace: namespace, Pod: pod, Container: container})
	return int64(count), at, known
}

// scalings lists what scales: the Autoscalers that write, oldest first, and then the HorizontalPodAutoscalers.
func (p *Platform) scalings() []view.Scaling {
	own := records[*v1alpha1.Autoscaler](p.feeds.autoscalers)
	own = slices.DeleteFunc(own, func(o *v1alpha1.Autoscaler) bool {
		return o.Spec.Mode == v1alpha1.ModeDryRun || o.Spec.Mode == v1alpha1.ModePaused
	})
	byAge(own, func(o *v1alpha1.Autoscaler) int64 { return o.CreationTimestamp.Unix() })
	natives := records[*view.NativeHPA](p.feeds.natives)
	slices.SortFunc(natives, func(a, b *view.NativeHPA) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.Name, b.Name))
	})
	out := make([]view.Scaling, 0, len(own)+len(natives))
	for _, o := range own {
		out = append(out, scalingOf(o))
	}
	for _, n := range natives {
		out = append(out, n.Scaling())
	}
	return out
}

func scalingOf(o *v1alpha1.Autoscaler) view.Scaling {
	s := &cluster.Scaler{
		Ref: cluster.Ref{Kind: v1alpha1.KindAutoscaler, Namespace: o.Namespace, Name: o.Name, UID: string(o.UID)},
		Min: 1, Max: o.Spec.MaxReplicas,
	}
	if n := o.Spec.MinReplicas; n != nil {
		s.Min = *n
	}
	for i := range o.Status.Conditions {
		if c := &o.Status.Conditions[i]; c.Type == v1alpha1.ConditionScalingActive {
			s.Active = &cluster.Condition{
				Type: c.Type, Status: string(c.Status), Reason: c.Reason, Message: c.Message, Since: c.LastTransitionTime.UTC(),
			}
		}
	}
	return view.Scaling{Namespace: o.Namespace, TargetKind: o.Spec.ScaleTargetRef.Kind, TargetName: o.Spec.ScaleTargetRef.Name, Scaler: s}
}
