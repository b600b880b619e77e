package kube

import (
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/metrics"
	"github.com/homeostat/homeostat/platform/kube/view"
)

// Snapshot returns the present view.
func (p *Platform) Snapshot(now time.Time) *cluster.Snapshot {
	s := view.Sources{
		Pods: records[*view.Pod](p.feeds.pods), Owners: records[*view.Owner](p.feeds.owners),
		History: records[*view.History](p.feeds.history), Nodes: records[*view.Node](p.feeds.nodes),
		Events: p.events, Notes: p.notes, OOM: p.oomEvents,
		Throttled: func(namespace, pod, container string) (float64, bool) {
			return p.opts.Store.Throttled(metrics.Key{Namespace: namespace, Pod: pod, Container: container}, now)
		},
		Self: view.Self{Namespace: p.opts.SelfNamespace, Pod: p.opts.SelfPod},
	}
	return &cluster.Snapshot{
		At: now, Synced: p.Synced(), Stale: p.contact.stale(now), Nodes: view.Nodes(s, now), Workloads: view.Workloads(s, now),
	}
}

func (p *Platform) oomEvents(namespace, pod, container string) (int64, time.Time, bool) {
	count, at, known := p.opts.Store.OOMEvents(metrics.Key{Namespace: namespace, Pod: pod, Container: container})
	return int64(count), at, known
}
