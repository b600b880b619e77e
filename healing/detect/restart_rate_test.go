package detect

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

func TestRestartRate(t *testing.T) {
	death := func(code int32, reason string, age time.Duration) *cluster.Termination {
		return &cluster.Termination{ContainerID: "c1", ExitCode: code, Reason: reason, StartedAt: ago(age + 12*time.Minute), FinishedAt: ago(age)}
	}
	born := func(age time.Duration) func(*cluster.Replica, *cluster.Container) {
		return func(r *cluster.Replica, _ *cluster.Container) { r.CreatedAt, r.StartedAt = ago(age), ago(age) }
	}
	starts := func(n int32, first time.Duration) func(*cluster.Replica, *cluster.Container) {
		return func(r *cluster.Replica, _ *cluster.Container) {
			r.Events = append(r.Events, cluster.Event{Reason: "Started", Message: "Container started", Count: n, First: ago(first), Last: ago(2 * time.Minute)})
		}
	}
	check(t, []row{
		{
			name: "a young replica, twelve minutes a life", replica: pod(born(50*time.Minute), restarted(death(1, "Error", 2*time.Minute), 3)),
			want: []string{"RestartRate active"}, confidence: 80, says: []string{"restarted 3 times within the last hour"},
		},
		{name: "two restarts", replica: pod(born(50*time.Minute), restarted(death(1, "Error", 2*time.Minute), 2))},
		{name: "an old replica, when is not known", replica: pod(born(5*time.Hour), restarted(death(1, "Error", 2*time.Minute), 9))},
		{
			name: "an old replica whose starts are counted", replica: pod(born(5*time.Hour), restarted(death(1, "Error", 2*time.Minute), 9), starts(4, 50*time.Minute)),
			want: []string{"RestartRate active"}, says: []string{"4 times"},
		},
		{name: "counted over more than an hour", replica: pod(born(5*time.Hour), restarted(death(1, "Error", 2*time.Minute), 9), starts(4, 3*time.Hour))},
		{
			name: "whose starts they are is not said", replica: pod(born(5*time.Hour), restarted(death(1, "Error", 2*time.Minute), 9), starts(4, 50*time.Minute),
				func(r *cluster.Replica, _ *cluster.Container) {
					r.Containers = append(r.Containers, cluster.Container{Name: "proxy", State: cluster.StateRunning, Ready: true})
				}),
		},
		{name: "it has lasted longer than that since", replica: pod(born(50*time.Minute), restarted(death(1, "Error", 21*time.Minute), 5))},
		{name: "it is in a crash loop", replica: pod(born(50*time.Minute), looping(death(1, "Error", time.Minute), 5)), want: []string{"CrashLoop active"}},
		{name: "another kind knows why", replica: pod(born(50*time.Minute), restarted(death(137, "OOMKilled", 2*time.Minute), 5)), want: []string{"OOMKilled"}},
		{name: "nobody knows why", replica: pod(born(50*time.Minute), restarted(lost(), 5), func(_ *cluster.Replica, c *cluster.Container) { c.StartedAt = ago(time.Minute) }), want: []string{"StatusUnknown", "RestartRate active"}},
	})
}
