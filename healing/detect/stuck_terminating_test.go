package detect

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

func TestStuckTerminating(t *testing.T) {
	deleted := func(age time.Duration, grace int64, finalizers ...string) func(*cluster.Replica, *cluster.Container) {
		return func(r *cluster.Replica, _ *cluster.Container) {
			r.DeletedAt, r.GraceSeconds, r.Finalizers = ago(age), grace, finalizers
		}
	}
	stuck := []string{"StuckTerminating active"}
	late := deleted(2*time.Minute, 30)
	down := terminated(&cluster.Termination{ContainerID: "c1", StartedAt: ago(time.Hour), FinishedAt: ago(100 * time.Second)})
	node := func(ready string) map[string]cluster.Node {
		return map[string]cluster.Node{"n1": {Name: "n1", Ready: ready}}
	}
	check(t, []row{
		{name: "a container runs on", replica: pod(late), nodes: node("True"), want: stuck, says: []string{"still running on node n1: app"}, confidence: 95},
		{name: "finalizers", replica: pod(deleted(2*time.Minute, 30, "example.com/hold"), down), want: stuck, says: []string{"held by the finalizers example.com/hold"}},
		{name: "its node is not ready", replica: pod(late), nodes: node("Unknown"), want: stuck, says: []string{"its node n1 is not ready"}},
		{name: "its node is gone", replica: pod(late), nodes: map[string]cluster.Node{"n2": {Ready: "True"}}, want: stuck, says: []string{"n1 does not exist any more"}},
		{name: "its node came back a moment ago", replica: pod(late), nodes: map[string]cluster.Node{"n1": {Name: "n1", Ready: "True", Since: ago(time.Minute)}}},
		{
			name: "its node came back a while ago", replica: pod(late), want: stuck,
			nodes: map[string]cluster.Node{"n1": {Name: "n1", Ready: "True", Since: ago(61 * time.Second)}},
		},
		{name: "not known why", replica: pod(late, down), nodes: node("True"), want: stuck, says: []string{"what holds it is not known"}},
		{name: "it has ended", replica: pod(deleted(2*time.Minute, 0, "batch.kubernetes.io/job-tracking"), ended(cluster.PhaseSucceeded)), want: stuck, says: []string{"job-tracking"}},
		{name: "a grace that is not known", replica: pod(deleted(61*time.Second, -1)), want: stuck},
		{name: "within its margin", replica: pod(deleted(89*time.Second, 30))},
		{name: "within a long grace", replica: pod(deleted(10*time.Minute, 3600))},
		{name: "not deleted", replica: pod(func(r *cluster.Replica, _ *cluster.Container) { r.Finalizers = []string{"example.com/hold"} })},
	})
}
