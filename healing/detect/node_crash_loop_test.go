package detect

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

func TestNodeCrashLoop(t *testing.T) {
	type change = func(*cluster.Replica, *cluster.Container)
	of := func(name, node string, change ...change) cluster.Replica {
		return pod(append([]func(*cluster.Replica, *cluster.Container){named(name, node), ofRevision("r2")}, change...)...)
	}
	loop := looping(dead(1, "Error"), 5)
	since := func(d time.Duration) change {
		return func(r *cluster.Replica, _ *cluster.Container) { r.ReadySince = ago(d) }
	}
	checkWorkload(t, []workloadRow{
		{
			name: "all that crash are on one node", workload: owner(withReplicas(of("a", "n2", loop), of("b", "n2", loop), of("c", "n1"), of("d", "n3"))),
			want: []string{"NodeCrashLoop a active", "NodeCrashLoop b active"}, confidence: 80, says: []string{"on other nodes 2 replicas of the same revision run well"},
		},
		{name: "only one crashes", workload: owner(withReplicas(of("a", "n2", loop), of("c", "n1"))), want: []string{"NodeCrashLoop a active"}, confidence: 60},
		{
			name: "a StatefulSet's replica has a volume of its own", confidence: 40, want: []string{"NodeCrashLoop a active"},
			workload: owner(ofKind(cluster.KindStatefulSet), withReplicas(of("a", "n2", loop), of("c", "n1"))),
		},
		{
			name: "one crashes elsewhere too", workload: owner(withReplicas(of("a", "n2", loop), of("b", "n1", loop), of("c", "n1"))),
			want: []string{"CrashLoop a active", "CrashLoop b active"},
		},
		{name: "one is well on the same node", workload: owner(withReplicas(of("a", "n2", loop), of("b", "n2"), of("c", "n1"))), want: []string{"CrashLoop a active"}},
		{
			name: "those that are well are of another revision", want: []string{"CrashLoop a active"},
			workload: owner(withReplicas(of("a", "n2", loop), of("c", "n1", ofRevision("r1")))),
		},
		{name: "the other one has not been ready for long", workload: owner(withReplicas(of("a", "n2", loop), of("c", "n1", since(40*time.Second)))), want: []string{"CrashLoop a active"}},
		{
			name: "the other one restarted a moment ago", want: []string{"CrashLoop a active"},
			workload: owner(withReplicas(of("a", "n2", loop), of("c", "n1", restarted(dead(1, "Error"), 3)))),
		},
		{
			name: "what an OOM explains is no node's", want: []string{"OOMKilled a active"},
			workload: owner(withReplicas(of("a", "n2", looping(dead(137, "OOMKilled"), 5)), of("c", "n1"))),
		},
		{name: "alone", workload: owner(withReplicas(of("a", "n2", loop))), want: []string{"CrashLoop a active"}},
	})
}
