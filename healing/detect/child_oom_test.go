package detect

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

func TestChildOOM(t *testing.T) {
	counted := func(n int64, at time.Time) func(*cluster.Replica, *cluster.Container) {
		return func(_ *cluster.Replica, c *cluster.Container) {
			c.OOMEvents, c.OOMEventsKnown, c.LastOOMEvent = n, true, at
		}
	}
	check(t, []row{
		{
			name: "the container lives on", replica: pod(counted(2, ago(15*time.Second))), memory: memory(126*mib, 20*mib), want: []string{"ChildOOM"}, confidence: 90,
			says: []string{"lives on", "2 kills"},
		},
		{name: "nothing is left in it", replica: pod(counted(1, ago(15*time.Second))), memory: memory(126*mib, 270<<10)},
		{name: "the next sample will tell", replica: pod(counted(1, ago(9*time.Second))), memory: memory(126*mib, 126*mib)},
		{name: "no sample came", replica: pod(counted(1, ago(16*time.Second))), want: []string{"ChildOOM"}, confidence: 75},
		{name: "none", replica: pod(counted(0, time.Time{}))},
		{name: "long ago", replica: pod(counted(1, ago(20*time.Minute)))},
		{name: "in the life before", replica: pod(counted(1, ago(2*time.Hour)))},
		{
			name: "not known", replica: pod(counted(1, ago(time.Second)), func(_ *cluster.Replica, c *cluster.Container) { c.OOMEventsKnown = false }),
		},
		{
			name: "the main process, counted after its restart", want: []string{"OOMKilled"},
			replica: pod(restarted(dead(137, "OOMKilled"), 1), counted(1, now)),
		},
		{name: "the container is dead", replica: pod(terminated(dead(137, "OOMKilled")), counted(1, now)), want: []string{"OOMKilled active"}},
	})
}
