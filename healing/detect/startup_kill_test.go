package detect

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

func TestStartupKill(t *testing.T) {
	failed := func(r *cluster.Replica, _ *cluster.Container) {
		r.Events = append(r.Events, cluster.Event{
			Reason: "Unhealthy", Message: "Startup probe failed: connection refused", Count: 30, First: ago(55 * time.Second), Last: ago(5 * time.Second),
		})
	}
	killing := event("Killing", "Container app failed startup probe, will be restarted", ago(5*time.Second))
	probes := func(r *cluster.Replica, c *cluster.Container) {
		c.StartupProbe, c.LivenessProbe, c.Started = true, true, false
		r.ReadySince = ago(2 * time.Minute) // before the life that ended
	}
	check(t, []row{
		{
			name: "both events", replica: pod(terminated(dead(137, "Error")), failed, killing), memory: memory(127 * mib),
			want: []string{"StartupKill active"}, confidence: 98, says: []string{"startup probe failed"},
		},
		{name: "the probe's event alone", replica: pod(terminated(dead(143, "Error")), failed, probes), want: []string{"StartupKill active"}, confidence: 80},
		{
			name:    "it was ready in that life, so its startup probe had passed",
			replica: pod(terminated(dead(143, "Error")), failed, probes, func(r *cluster.Replica, _ *cluster.Container) { r.ReadySince = ago(30 * time.Second) }),
		},
		{name: "it has no such probe", replica: pod(terminated(dead(143, "Error")), failed)},
		{name: "it handles SIGTERM", replica: pod(terminated(dead(0, "Completed")), killing), want: []string{"StartupKill active"}, confidence: 95},
		{
			name: "the liveness probe failed in the life before", want: []string{"StartupKill active"}, confidence: 80,
			replica: pod(terminated(dead(137, "Error")), failed, probes, event("Unhealthy", "Liveness probe failed: timeout", ago(55*time.Second))),
		},
		{
			name: "the startup probe failed in the life before", want: []string{"LivenessKill active"},
			replica: pod(terminated(dead(137, "Error")), probes, event("Unhealthy", "Startup probe failed: timeout", ago(50*time.Second)),
				event("Unhealthy", "Liveness probe failed: timeout", ago(5*time.Second))),
		},
		{name: "in back-off", replica: pod(looping(dead(137, "Error"), 6), killing), want: []string{"StartupKill active"}, says: []string{"crash loop after 6 restarts"}},
		{name: "a platform without events", replica: pod(terminated(dead(137, ReasonStartupProbe))), want: []string{"StartupKill active"}, confidence: 95},
	})
}
