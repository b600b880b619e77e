package detect

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

func TestNotReady(t *testing.T) {
	since := func(d time.Duration) func(*cluster.Replica, *cluster.Container) {
		return func(r *cluster.Replica, c *cluster.Container) {
			r.Ready, r.ReadySince, r.ReadyReason, c.Ready = false, ago(d), "ContainersNotReady", false
		}
	}
	check(t, []row{
		{name: "for long", replica: pod(since(4 * time.Minute)), want: []string{"NotReady active"}, says: []string{"more than 3 min"}, confidence: 90},
		{
			name: "every container is ready", replica: pod(since(4*time.Minute), func(_ *cluster.Replica, c *cluster.Container) { c.Ready = true }),
			want: []string{"NotReady active"}, confidence: 60,
		},
		{name: "not for long", replica: pod(since(2 * time.Minute))},
		{name: "it restarted lately", replica: pod(since(4*time.Minute), restarted(dead(1, "Error"), 1))},
		{name: "it is dead", replica: pod(since(4*time.Minute), terminated(dead(1, "Error")))},
		{
			name:    "it is still starting",
			replica: pod(since(time.Hour), func(_ *cluster.Replica, c *cluster.Container) { c.StartupProbe, c.Started = true, false }),
		},
		{
			name: "it has started", replica: pod(since(time.Hour), func(_ *cluster.Replica, c *cluster.Container) { c.StartupProbe = true }),
			want: []string{"NotReady active"},
		},
		{
			name: "a readiness gate", replica: pod(since(time.Hour), func(r *cluster.Replica, _ *cluster.Container) { r.ReadyReason = reasonGates }),
			want: []string{"ReadinessGate active"},
		},
		{
			name: "its node is not ready", replica: pod(since(time.Hour)), nodes: map[string]cluster.Node{"n1": {Name: "n1", Ready: "False"}},
			want: []string{"NodeNotReady active"},
		},
		{name: "deleted", replica: pod(since(time.Hour), func(r *cluster.Replica, _ *cluster.Container) { r.DeletedAt = ago(time.Second) })},
		{name: "pending", replica: pod(since(time.Hour), func(r *cluster.Replica, _ *cluster.Container) { r.Phase = cluster.PhasePending })},
		{name: "ready", replica: pod()},
	})
}
