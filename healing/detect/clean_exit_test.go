package detect

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

func TestCleanExit(t *testing.T) {
	always := func(r *cluster.Replica, _ *cluster.Container) { r.RestartsAlways = true }
	young := func(r *cluster.Replica, _ *cluster.Container) { r.CreatedAt = ago(5 * time.Minute) }
	check(t, []row{
		{
			name: "in back-off", replica: pod(looping(dead(0, "Completed"), 2), always), want: []string{"CleanExit active"}, confidence: 95,
			says: []string{"finishes without an error", "should be a Job"},
		},
		{name: "between two lives", replica: pod(restarted(dead(0, "Completed"), 3), always, young), want: []string{"CleanExit"}, confidence: 95},
		{name: "once", replica: pod(restarted(dead(0, "Completed"), 1), always, young)},
		{name: "now and then, when is not known", replica: pod(restarted(dead(0, "Completed"), 9), always)},
		{name: "another restart policy, or not known", replica: pod(looping(dead(0, "Completed"), 2)), want: []string{"CrashLoop active"}, says: []string{"may be a job"}},
		{name: "a sidecar is restarted always", replica: pod(looping(dead(0, "Completed"), 2), kind(cluster.ContainerSidecar)), want: []string{"CleanExit active"}},
		{name: "with an error", replica: pod(looping(dead(1, "Error"), 2), always), want: []string{"CrashLoop active"}},
		{
			name: "it handles SIGTERM, and was killed for its probe", want: []string{"LivenessKill active"},
			replica: pod(looping(dead(0, "Completed"), 4), always, event("Killing", "Container app failed liveness probe, will be restarted", ago(5*time.Second))),
		},
		{
			name: "it may handle SIGTERM", want: []string{"CleanExit active"}, confidence: 60,
			replica: pod(looping(dead(0, "Completed"), 4), always, event("Unhealthy", "Liveness probe failed: timeout", ago(5*time.Second))),
		},
	})
	checkWorkload(t, []workloadRow{{
		name: "another replica runs on", confidence: 75, want: []string{"CleanExit a active"},
		workload: owner(withReplicas(pod(named("a", "n1"), looping(dead(0, "Completed"), 2), always), pod(named("b", "n1"), always))),
	}})
}
