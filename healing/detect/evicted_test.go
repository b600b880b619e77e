package detect

import (
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

const lowMemory = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 51396Ki. Container app was using 300Mi, request is 100Mi, has larger consumption of memory. "

// disruption sets the condition DisruptionTarget.
func disruption(reason, message string, age time.Duration) func(*cluster.Replica, *cluster.Container) {
	return func(r *cluster.Replica, _ *cluster.Container) {
		r.Disruption, r.DisruptionMessage, r.DisruptionSince = reason, message, ago(age)
	}
}

func status(reason, message string) func(*cluster.Replica, *cluster.Container) {
	return func(r *cluster.Replica, _ *cluster.Container) { r.Reason, r.Message = reason, message }
}

func TestEvicted(t *testing.T) {
	failed := ended(cluster.PhaseFailed)
	killed := func(_ *cluster.Replica, c *cluster.Container) {
		c.Terminated.ExitCode, c.Terminated.Reason = 137, "Error"
	}
	check(t, []row{
		{
			name: "under memory pressure", replica: pod(failed, killed, status("Evicted", lowMemory), disruption(terminationByKubelet, lowMemory, time.Minute)),
			want: []string{"Evicted"}, confidence: 95,
			says: []string{"web-7c9 was evicted from node n1: the node was low on memory (51396Ki left); Container app was using 300Mi, request is 100Mi"},
		},
		{name: "the reason is lost", replica: pod(failed, killed, disruption(terminationByKubelet, lowMemory, time.Minute)), want: []string{"Evicted"}, confidence: 90, says: []string{"low on memory"}},
		{name: "reason and condition are lost", replica: pod(failed, status("", lowMemory)), want: []string{"Evicted"}, confidence: 75},
		{
			name: "it used more storage than it may", replica: pod(failed, status("Evicted", `Container app exceeded its local ephemeral storage limit "1Gi". `)),
			want: []string{"Evicted"}, says: []string{`exceeded its local ephemeral storage limit "1Gi"`},
		},
		{
			name: "refused by a node under pressure", want: []string{"Evicted"}, says: []string{"the node had the condition MemoryPressure"},
			replica: pod(failed, status("Evicted", "The node had condition: [MemoryPressure]. "), func(r *cluster.Replica, _ *cluster.Container) {
				r.Containers, r.ReadySince, r.StartedAt, r.CreatedAt = nil, time.Time{}, ago(time.Minute), ago(time.Minute)
			}),
		},
		{
			name: "it is being deleted", want: []string{"Evicted"},
			replica: pod(failed, status("Evicted", lowMemory), func(r *cluster.Replica, _ *cluster.Container) { r.DeletedAt = ago(time.Second) }),
		},
		{
			name: "no news", replica: pod(failed, status("Evicted", lowMemory), func(r *cluster.Replica, c *cluster.Container) {
				r.ReadySince, c.Terminated.FinishedAt = ago(time.Hour), ago(time.Hour)
			}),
		},
		{name: "failed by itself", replica: pod(failed)},
		{name: "it still runs", replica: pod(status("Evicted", lowMemory))},
		{name: "a shutdown of the node", replica: pod(failed, status("Terminated", "Pod was terminated in response to imminent node shutdown."))},
	})
}

func TestEvictedTellsPressure(t *testing.T) {
	w := owner(withReplicas(pod(ended(cluster.PhaseFailed), status("Evicted", lowMemory))))
	found := Findings(lookAt(w, map[string]cluster.Node{"n1": {Name: "n1", Ready: "True", Pressures: []string{"MemoryPressure"}}}))
	if len(found) != 1 || !strings.Contains(strings.Join(found[0].For, "; "), "still shows MemoryPressure") {
		t.Errorf("the node's pressure is not told: %+v", found)
	}
}
