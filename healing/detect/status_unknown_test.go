package detect

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

// lost is a death as the kubelet reports one that it knows nothing of.
func lost() *cluster.Termination {
	return &cluster.Termination{ExitCode: 137, Reason: cluster.ReasonStatusUnknown, Message: "The container could not be located when the pod was terminated"}
}

func TestStatusUnknown(t *testing.T) {
	check(t, []row{
		{
			name: "terminated, memory at the limit", replica: pod(terminated(lost())), memory: memory(127 * mib),
			want: []string{"StatusUnknown"}, confidence: 95, says: []string{"how container app of web-7c9 ended is not known"},
		},
		{name: "with times", replica: pod(terminated(dead(137, cluster.ReasonStatusUnknown))), memory: memory(127 * mib), want: []string{"StatusUnknown"}, confidence: 90},
		{name: "restarted", replica: pod(restarted(lost(), 1)), memory: memory(127 * mib), want: []string{"StatusUnknown"}},
		{
			name: "of a job that is over", want: []string{"StatusUnknown"},
			replica: pod(terminated(lost()), func(r *cluster.Replica, _ *cluster.Container) { r.Phase = cluster.PhaseFailed }),
		},
		{
			name: "on a node that ran out of memory", replica: pod(terminated(lost())),
			nodes: node(systemOOM("System OOM encountered, victim process: web, pid: 7")), want: []string{"StatusUnknown"},
		},
		{
			name:    "it was being deleted",
			replica: pod(terminated(lost()), func(r *cluster.Replica, _ *cluster.Container) { r.DeletedAt = ago(time.Minute) }),
		},
		{
			name: "in back-off nobody knows why", replica: pod(looping(lost(), 5)),
			want: []string{"StatusUnknown", "CrashLoop active"},
		},
	})
}

// TestUnknownEndHasATime verifies that an end without a time is placed where the status bounds it, so that an old one is no news.
func TestUnknownEndHasATime(t *testing.T) {
	for name, tt := range map[string]struct {
		replica cluster.Replica
		want    time.Time
	}{
		"it runs again": {pod(restarted(lost(), 1), func(_ *cluster.Replica, c *cluster.Container) { c.StartedAt = ago(50 * time.Minute) }), ago(50 * time.Minute)},
		"it is down":    {pod(terminated(lost()), func(r *cluster.Replica, _ *cluster.Container) { r.ReadySince = ago(40 * time.Minute) }), ago(40 * time.Minute)},
	} {
		f := Findings(&Look{Workload: &cluster.Workload{Replicas: []cluster.Replica{tt.replica}}, Now: now})
		if len(f) != 1 || !f[0].Since.Equal(tt.want) {
			t.Errorf("%s: findings %+v, want one since %s", name, f, tt.want)
		}
	}
}
