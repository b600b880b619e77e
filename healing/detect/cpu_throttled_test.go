package detect

import (
	"math"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

func TestCPUThrottled(t *testing.T) {
	held := func(percent float64, limit int64) func(*cluster.Replica, *cluster.Container) {
		return func(_ *cluster.Replica, c *cluster.Container) {
			c.ThrottledPercent, c.ThrottledKnown, c.CPULimitMilli = percent, true, limit
		}
	}
	check(t, []row{
		{
			name: "for much of the time", replica: pod(held(41.4, 500)), want: []string{"CPUThrottled active"}, confidence: 95,
			says: []string{"by its CPU limit of 500 m in 41 % of its CPU periods"},
		},
		{name: "at the threshold", replica: pod(held(25, 500)), want: []string{"CPUThrottled active"}},
		{name: "below it", replica: pod(held(24.9, 500))},
		{name: "no limit of its own", replica: pod(held(60, 0)), want: []string{"CPUThrottled active"}, confidence: 85},
		{name: "no number", replica: pod(held(math.NaN(), 500))},
		{name: "not known", replica: pod(held(60, 500), func(_ *cluster.Replica, c *cluster.Container) { c.ThrottledKnown = false })},
		{name: "it does not serve", replica: pod(held(60, 500), func(r *cluster.Replica, c *cluster.Container) {
			r.Ready, r.ReadySince, c.Ready = false, ago(time.Minute), false
		})},
		{name: "it has failed", replica: pod(held(60, 500), looping(dead(1, "Error"), 4)), want: []string{"CrashLoop active"}},
		{name: "an OOM kill that is over hides nothing", replica: pod(restarted(dead(137, "OOMKilled"), 1), held(60, 500)), want: []string{"OOMKilled", "CPUThrottled active"}},
	})
}
