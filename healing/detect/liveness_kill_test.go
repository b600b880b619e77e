package detect

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

func TestLivenessKill(t *testing.T) {
	failed := event("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500", ago(5*time.Second))
	thrice := func(r *cluster.Replica, _ *cluster.Container) {
		r.Events = append(r.Events, cluster.Event{
			Reason: "Unhealthy", Message: "Liveness probe errored and resulted in unknown state: timeout", Count: 3, First: ago(25 * time.Second), Last: ago(5 * time.Second),
		})
	}
	probes := func(_ *cluster.Replica, c *cluster.Container) { c.LivenessProbe = true }
	killing := event("Killing", "Container app failed liveness probe, will be restarted", ago(5*time.Second))
	check(t, []row{
		{
			name: "both events", replica: pod(terminated(dead(137, "Error")), failed, killing), memory: memory(127 * mib),
			want: []string{"LivenessKill active"}, confidence: 98, says: []string{"liveness probe failed"},
		},
		{name: "SIGTERM", replica: pod(terminated(dead(143, "Error")), probes, thrice), want: []string{"LivenessKill active"}, confidence: 80},
		{name: "one failure is fewer than usual", replica: pod(terminated(dead(143, "Error")), probes, failed), want: []string{"LivenessKill active"}, confidence: 65},
		{name: "it has no such probe", replica: pod(terminated(dead(143, "Error")), thrice)},
		{
			name: "which container's probe failed is not said", want: []string{"LivenessKill active"}, confidence: 70,
			replica: pod(terminated(dead(143, "Error")), probes, thrice, func(r *cluster.Replica, _ *cluster.Container) {
				r.Containers = append(r.Containers, cluster.Container{Name: "proxy", Kind: cluster.ContainerMain, State: cluster.StateRunning, Ready: true, LivenessProbe: true})
			}),
		},
		{
			name: "memory was at the limit too", replica: pod(terminated(dead(137, "Error")), probes, thrice), memory: memory(127 * mib),
			want: []string{"LivenessKill active"}, confidence: 65,
		},
		{
			name: "it took its long grace period", want: []string{"LivenessKill active"}, confidence: 95,
			replica: pod(terminated(&cluster.Termination{ContainerID: "c1", ExitCode: 137, Reason: "Error", StartedAt: ago(time.Hour), FinishedAt: ago(2 * time.Second)}),
				event("Killing", "Container app failed liveness probe, will be restarted", ago(5*time.Minute))),
		},
		{name: "it handles SIGTERM", replica: pod(terminated(dead(0, "Completed")), killing), want: []string{"LivenessKill active"}, confidence: 95},
		{name: "it handles SIGTERM and only the probe's event came", replica: pod(terminated(dead(0, "Completed")), probes, failed)},
		{
			name:    "another container was killed for its probe",
			replica: pod(terminated(dead(1, "Error")), event("Killing", "Container sidecar failed liveness probe, will be restarted", ago(5*time.Second))),
		},
		{name: "an old event", replica: pod(terminated(dead(137, "Error")), probes, event("Unhealthy", "Liveness probe failed: timeout", ago(10*time.Minute)))},
		{name: "a readiness probe kills nobody", replica: pod(terminated(dead(137, "Error")), probes, event("Unhealthy", "Readiness probe failed: timeout", ago(time.Second)))},
		{
			name: "in back-off", replica: pod(looping(dead(137, "Error"), 6), killing), want: []string{"LivenessKill active"},
			says: []string{"crash loop after 6 restarts"},
		},
		{name: "an OOM kill is none", replica: pod(terminated(dead(137, "OOMKilled")), failed), want: []string{"OOMKilled active"}},
		{name: "a platform without events", replica: pod(terminated(dead(137, ReasonLivenessProbe))), want: []string{"LivenessKill active"}, confidence: 95},
	})
}
