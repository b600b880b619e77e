package local

import (
	"context"
	"time"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

// Trend returns the long history of the containers of the namespace.
func (p *Platform) Trend(namespace string) healing.TrendView {
	return func(replica, container string) []metrics.TrendPoint {
		return p.opts.Store.Trend(metrics.Key{Namespace: namespace, Pod: replica, Container: container})
	}
}

// AllIncidents returns every stored incident.
func (p *Platform) AllIncidents() []incident.Incident {
	return p.Incidents(p.service.Workload().Ref)
}

// ClusterSpent returns nothing: one workload has the budget of its policy alone.
func (p *Platform) ClusterSpent() []time.Time { return nil }

// ChargeCluster charges nothing.
func (p *Platform) ChargeCluster(context.Context, healing.ClusterBudget, string, time.Time) error {
	return nil
}

// Home returns "": there is no cluster beside the one workload.
func (p *Platform) Home() string { return "" }

// Trouble returns "": the platform is this program.
func (p *Platform) Trouble(time.Time) string { return "" }
