package healing

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

// A limit is raised in a life that has some time before it: what is raised between two lives never takes effect.
func TestWhenALimitCanBeRaised(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	lived := func(d time.Duration) *cluster.Termination {
		return &cluster.Termination{StartedAt: now.Add(-2*time.Minute - d), FinishedAt: now.Add(-2 * time.Minute)}
	}
	for _, tt := range []struct {
		name string
		c    cluster.Container
		want bool
	}{
		{"it waits", cluster.Container{State: cluster.StateWaiting, Last: lived(5 * time.Second)}, false},
		{"it ended", cluster.Container{State: cluster.StateTerminated, Terminated: lived(5 * time.Second)}, false},
		{"it never died", cluster.Container{State: cluster.StateRunning, StartedAt: now.Add(-time.Hour)}, true},
		{"early in a short life", cluster.Container{State: cluster.StateRunning, StartedAt: now.Add(-2 * time.Second), Last: lived(5 * time.Second)}, true},
		{"late in a short life", cluster.Container{State: cluster.StateRunning, StartedAt: now.Add(-4 * time.Second), Last: lived(5 * time.Second)}, false},
		{"longer than the short life", cluster.Container{State: cluster.StateRunning, StartedAt: now.Add(-10 * time.Second), Last: lived(5 * time.Second)}, true},
		{"a long life before", cluster.Container{State: cluster.StateRunning, StartedAt: now.Add(-time.Hour), Last: lived(80 * time.Minute)}, true},
		{"times are not known", cluster.Container{State: cluster.StateRunning, Last: &cluster.Termination{}}, true},
		{"another container", cluster.Container{Name: "sidecar", State: cluster.StateRunning}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.c.Name == "" {
				tt.c.Name = "app"
			}
			p := &pass{now: now}
			if got := p.raisableNow(&cluster.Replica{Containers: []cluster.Container{tt.c}}, "app"); got != tt.want {
				t.Errorf("it can be raised: %t, want %t", got, tt.want)
			}
		})
	}
}
