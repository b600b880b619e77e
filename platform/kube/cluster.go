package kube

import (
	"time"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/policy/record"
	"github.com/homeostat/homeostat/metrics"
)

// recent is how long a resolved incident is still among AllIncidents.
const recent = time.Hour

// Trend returns the long history of the usage of the containers of one namespace.
func (p *Platform) Trend(namespace string) healing.TrendView {
	return func(replica, container string) []metrics.TrendPoint {
		return p.opts.Store.Trend(metrics.Key{Namespace: namespace, Pod: replica, Container: container})
	}
}

// AllIncidents returns every stored incident that is active, and those that were resolved in the last hour. What was saved here
// is in it at once.
func (p *Platform) AllIncidents() []incident.Incident {
	now := time.Now()
	var out []incident.Incident
	for _, o := range p.own.allIncidents(records[*v1alpha1.Incident](p.feeds.incidents), now) {
		// A day of resolved ones is kept, and every pass asks: what is not wanted is not read.
		if at := o.Status.ResolvedAt; incident.State(o.Status.State).Active() || at != nil && now.Sub(at.Time) < recent {
			out = append(out, record.ReadIncident(o))
		}
	}
	return out
}

// Home returns the controller's own namespace.
func (p *Platform) Home() string { return p.opts.SelfNamespace }
