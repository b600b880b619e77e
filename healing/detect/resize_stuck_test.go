package detect

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

func TestResizeStuck(t *testing.T) {
	stuck := []string{"ResizeStuck active"}
	check(t, []row{
		{
			name: "infeasible", replica: pod(holds("PodResizePending", "True", "Infeasible", "Node didn't have enough capacity: memory, requested: 64Gi, capacity: 8Gi", time.Minute)),
			want: stuck, says: []string{"of web-7c9 can never be done on node n1: Node didn't have enough capacity"}, confidence: 95,
		},
		{name: "infeasible, not for long", replica: pod(holds("PodResizePending", "True", "Infeasible", "", 10*time.Second))},
		{name: "deferred for long", replica: pod(holds("PodResizePending", "True", "Deferred", "Node didn't have enough resource: memory", 6*time.Minute)), want: stuck, says: []string{"waits for room on node n1"}},
		{name: "deferred", replica: pod(holds("PodResizePending", "True", "Deferred", "", 4*time.Minute))},
		{name: "an error", replica: pod(holds("PodResizeInProgress", "True", "Error", "write memory.max: device or resource busy", time.Minute)), want: stuck, says: []string{"fails: write memory.max"}},
		{
			name: "what cannot be done is worse than what failed", want: stuck, says: []string{"can never be done"},
			replica: pod(holds("PodResizeInProgress", "True", "Error", "", time.Minute), holds("PodResizePending", "True", "Infeasible", "", time.Minute)),
		},
		{name: "in progress", replica: pod(holds("PodResizeInProgress", "True", "", "", time.Hour))},
		{name: "over", replica: pod(holds("PodResizePending", "False", "Deferred", "", time.Hour))},
		{name: "since when is not known", replica: pod(func(r *cluster.Replica, _ *cluster.Container) {
			r.Conditions = []cluster.Condition{{Type: "PodResizePending", Status: "True", Reason: "Infeasible"}}
		})},
		{name: "it has ended", replica: pod(ended(cluster.PhaseSucceeded), holds("PodResizePending", "True", "Infeasible", "", time.Hour))},
	})
}
