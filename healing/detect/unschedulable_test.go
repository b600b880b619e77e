package detect

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/cluster"
)

func TestUnschedulable(t *testing.T) {
	held := func(message string, since time.Duration) func(*cluster.Replica, *cluster.Container) {
		return func(r *cluster.Replica, c *cluster.Container) {
			waiting("", "")(r, c)
			r.Node, r.Phase, r.StartedAt, r.ReadySince = "", cluster.PhasePending, time.Time{}, time.Time{}
			r.CreatedAt = ago(since)
			r.Unschedulable, r.UnschedulableMessage, r.UnschedulableSince = true, message, ago(since)
		}
	}
	check(t, []row{
		{
			name:    "what binds, the most nodes first",
			replica: pod(held("0/6 nodes are available: 1 node(s) had untolerated taint {dedicated: db}, 2 Insufficient cpu, 3 Insufficient memory. preemption: 0/6 nodes are available: 6 No preemption victims found for incoming pod.", time.Minute)),
			want:    []string{"Unschedulable active"}, confidence: 95,
			says: []string{"because of memory: Insufficient memory (3 of 6 nodes), Insufficient cpu (2 of 6 nodes), had untolerated taint {dedicated: db} (1 of 6 nodes)"},
		},
		{
			name:    "a claim that is not bound",
			replica: pod(held("0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.", time.Minute)),
			want:    []string{"Unschedulable active"}, says: []string{"because of a volume claim: pod has unbound immediate PersistentVolumeClaims"},
		},
		{name: "another message", replica: pod(held("no nodes available to schedule pods", time.Minute)), want: []string{"Unschedulable active"}, says: []string{"no nodes available"}},
		{name: "not for long", replica: pod(held("0/1 nodes are available: 1 Insufficient cpu.", 10*time.Second))},
		{
			name:    "held back on purpose",
			replica: pod(held("", time.Hour), func(r *cluster.Replica, _ *cluster.Container) { r.Unschedulable = false }),
		},
		{
			name: "a scheduling gate",
			replica: pod(held("Scheduling is blocked due to non-empty scheduling gates", time.Hour), func(r *cluster.Replica, _ *cluster.Container) {
				r.SchedulingGated = true
			}),
		},
		{name: "deleted", replica: pod(held("0/1 nodes are available: 1 Insufficient cpu.", time.Hour), func(r *cluster.Replica, _ *cluster.Container) { r.DeletedAt = ago(time.Second) })},
	})
}

// TestBinding has the texts of the scheduler's plugins.
func TestBinding(t *testing.T) {
	got, want := map[string]string{}, map[string]string{
		"Insufficient cpu":                                       "cpu",
		"Insufficient ephemeral-storage":                         "ephemeral-storage",
		"Insufficient nvidia.com/gpu":                            "nvidia.com/gpu",
		"Too many pods":                                          "the number of pods on a node",
		"node(s) had untolerated taint(s)":                       "taints",
		"node(s) were unschedulable":                             "cordoned nodes",
		"node(s) didn't match Pod's node affinity/selector":      "node affinity or selector",
		"node(s) didn't match PersistentVolume's node affinity":  "volume node affinity",
		"node(s) had volume node affinity conflict":              "volume node affinity",
		"node(s) didn't match pod anti-affinity rules":           "pod anti-affinity",
		"node(s) didn't match pod affinity rules":                "pod affinity",
		"node(s) didn't match pod topology spread constraints":   "topology spread",
		"node(s) didn't have free ports for the requested ports": "ports",
		"node(s) exceed max volume count":                        "the number of volumes on a node",
		`persistentvolumeclaim "data" not found`:                 "a volume claim",
		"node(s) had something new":                              "",
	}
	for text := range want {
		got[text] = Binding(text)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("binding (-want +got):\n%s", d)
	}
}
