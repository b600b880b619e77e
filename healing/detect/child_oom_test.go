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
		{name: "the container lives on", replica: pod(counted(2, ago(10*time.Second))), want: []string{"ChildOOM"}, says: []string{"lives on", "2 kills"}},
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
