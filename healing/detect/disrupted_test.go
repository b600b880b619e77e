package detect

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

func TestDisrupted(t *testing.T) {
	leaving := func(r *cluster.Replica, _ *cluster.Container) { r.DeletedAt, r.GraceSeconds = ago(10*time.Second), 30 }
	node := func(ready string, cordoned bool) map[string]cluster.Node {
		return map[string]cluster.Node{"n1": {Name: "n1", Ready: ready, Cordoned: cordoned}}
	}
	by := func(reason, message string) func(*cluster.Replica, *cluster.Container) {
		return disruption(reason, message, 10*time.Second)
	}
	news := []string{"Disrupted"}
	check(t, []row{
		{name: "the eviction API", replica: pod(leaving, by("EvictionByEvictionAPI", "Eviction API: evicting")), want: news, says: []string{"through the eviction API, as a drain"}, confidence: 95},
		{name: "a drain", replica: pod(leaving, by("EvictionByEvictionAPI", "")), nodes: node("True", true), want: news, says: []string{"node n1 is cordoned", "probably being drained"}},
		{name: "no drain", replica: pod(leaving, by("EvictionByEvictionAPI", "")), nodes: node("True", false), want: news, says: []string{"a descheduler or a person"}},
		{
			name: "preemption", replica: pod(leaving, by("PreemptionByScheduler", "my-scheduler: preempting to accommodate a higher priority pod")),
			want: news, says: []string{"preempted by my-scheduler", "higher priority"},
		},
		{name: "before it is deleted", replica: pod(by("PreemptionByScheduler", "")), want: news, says: []string{"preempted by the scheduler"}},
		{name: "a taint", replica: pod(leaving, by("DeletionByTaintManager", "")), nodes: node("Unknown", false), want: news, says: []string{"node n1 has a NoExecute taint", "not ready"}},
		{name: "a node that is gone", replica: pod(leaving, by("DeletionByPodGC", "PodGC: node no longer exists")), nodes: map[string]cluster.Node{"n2": {Ready: "True"}}, want: news, says: []string{"node n1 does not exist any more"}},
		{name: "an orphan", replica: pod(leaving, by("DeletionByPodGC", "")), want: news, says: []string{"orphaned"}},
		{
			name: "a shutdown", replica: pod(ended(cluster.PhaseFailed), by(terminationByKubelet, "Pod was terminated in response to imminent node shutdown.")),
			want: news, says: []string{"node n1 shuts down"},
		},
		{
			name: "a critical pod", replica: pod(ended(cluster.PhaseFailed), by(terminationByKubelet, "Pod was preempted by Kubelet to accommodate a critical pod.")),
			want: news, says: []string{"preempted by the kubelet of node n1"},
		},
		{name: "the kubelet, for another reason", replica: pod(ended(cluster.PhaseFailed), by(terminationByKubelet, "because")), want: news, says: []string{"ended by the kubelet: because"}},
		{name: "the kubelet, without a word", replica: pod(ended(cluster.PhaseFailed), by(terminationByKubelet, "")), want: news, says: []string{"does not say why"}},
		{name: "a reason of later days", replica: pod(leaving, by("EvictionByDrainer", "")), want: news, says: []string{"EvictionByDrainer"}},
		{
			name: "when is told by the deletion only", want: news,
			replica: pod(leaving, func(r *cluster.Replica, _ *cluster.Container) { r.Disruption = "EvictionByEvictionAPI" }),
		},
		{name: "pressure is an eviction", replica: pod(ended(cluster.PhaseFailed), by(terminationByKubelet, lowMemory)), want: []string{"Evicted"}},
		{name: "pressure, and it has not ended yet", replica: pod(by(terminationByKubelet, lowMemory))},
		{name: "no news", replica: pod(disruption("PreemptionByScheduler", "", 11*time.Minute))},
		{name: "when is not known", replica: pod(func(r *cluster.Replica, _ *cluster.Container) { r.Disruption = "EvictionByEvictionAPI" })},
		{name: "deleted by somebody", replica: pod(leaving)},
	})
}
