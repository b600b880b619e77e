package detect

import (
	"math"
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
	waited := func(wait time.Duration) func(*cluster.Replica, *cluster.Container) {
		return func(_ *cluster.Replica, c *cluster.Container) { c.StartedAt = c.Last.FinishedAt.Add(wait) }
	}
	check(t, []row{
		{
			name: "an old replica, twelve minutes a life", replica: pod(born(5*time.Hour), restarted(death(1, "Error", 2*time.Minute), 9)),
			want: []string{"RestartRate active"}, confidence: 95,
			says: []string{"restarted 2 times within the last 14 min", "again within the hour (96 %), 1 to 22 times"},
		},
		{
			name: "at a rate of three an hour", replica: pod(born(5*time.Hour), restarted(death(1, "Error", 28*time.Minute-time.Second), 9)),
			want: []string{"RestartRate active"}, confidence: 84, says: []string{"within the last 39 min", "(84 %), 0 to 8 times"},
		},
		{name: "at less", replica: pod(born(5*time.Hour), restarted(death(1, "Error", 29*time.Minute), 9))},
		{name: "two restarts", replica: pod(born(50*time.Minute), restarted(death(1, "Error", 2*time.Minute), 2))},
		{
			name: "one container of two", replica: pod(born(5*time.Hour), restarted(death(1, "Error", 2*time.Minute), 9),
				func(r *cluster.Replica, _ *cluster.Container) {
					r.Containers = append(r.Containers, cluster.Container{Name: "proxy", State: cluster.StateRunning, Ready: true})
				}),
			want: []string{"RestartRate active"}, says: []string{"container app of web-7c9"},
		},
		{
			name:    "a back-off of its first kind",
			replica: pod(born(5*time.Hour), restarted(death(1, "Error", 2*time.Minute), 9), waited(21*time.Second)), want: []string{"RestartRate active"},
		},
		{name: "a back-off held it, as in a crash loop", replica: pod(born(5*time.Hour), restarted(death(1, "Error", 2*time.Minute), 9), waited(41*time.Second))},
		{name: "it has not come back yet", replica: pod(born(5*time.Hour), restarted(death(1, "Error", 10*time.Second), 9))},
		{
			name: "it has outlived the life before it five times", replica: pod(born(5*time.Hour), restarted(&cluster.Termination{
				ContainerID: "c1", ExitCode: 1, Reason: "Error", StartedAt: ago(8 * time.Minute), FinishedAt: ago(7 * time.Minute),
			}, 4)),
		},
		{
			name: "or not yet", replica: pod(born(5*time.Hour), restarted(&cluster.Termination{
				ContainerID: "c1", ExitCode: 1, Reason: "Error", StartedAt: ago(9 * time.Minute), FinishedAt: ago(7 * time.Minute),
			}, 4)), want: []string{"RestartRate active"},
		},
		{name: "it is in a crash loop", replica: pod(born(50*time.Minute), looping(death(1, "Error", time.Minute), 5)), want: []string{"CrashLoop active"}},
		{name: "another kind knows why", replica: pod(born(50*time.Minute), restarted(death(137, "OOMKilled", 2*time.Minute), 5)), want: []string{"OOMKilled"}},
		{name: "nobody knows why", replica: pod(born(50*time.Minute), restarted(lost(), 5), func(_ *cluster.Replica, c *cluster.Container) { c.StartedAt = ago(time.Minute) }), want: []string{"StatusUnknown", "RestartRate active"}},
		{name: "nobody knows when either", replica: pod(born(5*time.Hour), restarted(lost(), 5), func(_ *cluster.Replica, c *cluster.Container) { c.StartedAt = ago(time.Minute) }), want: []string{"StatusUnknown"}},
		{name: "nobody knows why, and it lasts", replica: pod(born(50*time.Minute), restarted(lost(), 5), func(_ *cluster.Replica, c *cluster.Container) { c.StartedAt = ago(21 * time.Minute) }), want: []string{"StatusUnknown"}},
	})
}

// TestNextHour holds the outlook against closed forms: with two restarts in T hours none follows within an hour with (T/(T+1))²,
// and one with 2 (T/(T+1))² / (T+1). What cannot be counted is bounded.
func TestNextHour(t *testing.T) {
	for _, tt := range []struct {
		n           int32
		span        time.Duration
		again       float64
		least, most int
	}{
		{2, time.Hour, 0.75, 0, 6},                 // 0.25, 0.5, 0.6875, 0.8125, 0.8906, 0.9375, 0.9648
		{2, 20 * time.Minute, 0.9375, 0, 16},       // 1/16 is more than 5 %
		{2, 15 * time.Minute, 0.96, 1, 20},         // 1/25 is less, 1/25 + 2/25 * 4/5 is more
		{1, time.Hour, 0.5, 0, 4},                  // geometric: 0.5, 0.75, 0.875, 0.9375, 0.96875
		{3, 0, 1, 48, 379},                         // as within a minute
		{math.MaxInt32, time.Minute, 1, 792, 1677}, // 20 within a minute
	} {
		got := nextHour(tt.n, tt.span)
		if math.Abs(got.again-tt.again) > 1e-4 || got.least != tt.least || got.most != tt.most {
			t.Errorf("%d within %s: %+v, want %+v", tt.n, tt.span, got, tt)
		}
	}
	// The distribution function of two restarts: P(N <= n) = 1 - (1-p)^(n+1) (1 + (n+1) p).
	for span := 2 * time.Minute; span <= rateSpan; span += time.Minute {
		p := span.Hours() / (span.Hours() + 1)
		upTo := func(n int) float64 { return 1 - math.Pow(1-p, float64(n+1))*(1+float64(n+1)*p) }
		if got := nextHour(2, span); upTo(got.least-1) > 0.05 || upTo(got.least) <= 0.05 || upTo(got.most) < 0.95 || upTo(got.most-1) >= 0.95 {
			t.Errorf("2 within %s: %+v is not the 90 %% interval", span, got)
		}
	}
}
