package detect

import (
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

func TestCrashLoop(t *testing.T) {
	young := func(r *cluster.Replica, _ *cluster.Container) {
		r.CreatedAt, r.StartedAt = ago(5*time.Minute), ago(5*time.Minute)
	}
	again := func(before, now int32, life time.Duration) func(*cluster.Replica, *cluster.Container) {
		return func(r *cluster.Replica, c *cluster.Container) {
			d := dead(now, "Error")
			d.StartedAt = d.FinishedAt.Add(-life)
			terminated(d)(r, c)
			c.Restarts, c.Last = 1, &cluster.Termination{ContainerID: "c0", ExitCode: before, Reason: "Error", StartedAt: d.StartedAt.Add(-time.Minute), FinishedAt: d.StartedAt.Add(-time.Second)}
		}
	}
	check(t, []row{
		{
			name: "in back-off", replica: pod(looping(dead(1, "Error"), 5)), want: []string{"CrashLoop active"}, confidence: 95,
			says: []string{"exits again and again (5 restarts), last with exit code 1: the application's general error", "it lived 60 s"},
		},
		{name: "its script ended with 127 after a while", replica: pod(looping(dead(127, "Error"), 2)), want: []string{"CrashLoop active"}, says: []string{"command was not found"}},
		{name: "it finishes", replica: pod(looping(dead(0, "Completed"), 2)), want: []string{"CrashLoop active"}, says: []string{"may be a job"}},
		{name: "bad memory access", replica: pod(looping(dead(139, "Error"), 2)), want: []string{"CrashLoop active"}, says: []string{"SIGSEGV"}},
		{name: "one death", replica: pod(restarted(dead(1, "Error"), 1))},
		{name: "many restarts of an old replica, when is not known", replica: pod(restarted(dead(1, "Error"), 7))},
		{name: "three restarts of a young replica", replica: pod(restarted(dead(1, "Error"), 3), young), want: []string{"CrashLoop"}},
		{
			name: "two deaths in the status and one that must lie between", want: []string{"CrashLoop active"},
			replica: pod(terminated(dead(1, "Error")), func(_ *cluster.Replica, c *cluster.Container) {
				c.Restarts = 9
				c.Last = &cluster.Termination{ContainerID: "c0", ExitCode: 1, Reason: "Error", StartedAt: ago(3 * time.Minute), FinishedAt: ago(90 * time.Second)}
			}),
		},
		{
			name: "it failed, was started again and failed at once", want: []string{"CrashLoop active"}, replica: pod(again(1, 1, 3*time.Second)),
			says: []string{"exits again and again (1 restart), last with exit code 1"},
		},
		{name: "the second life was longer", replica: pod(again(1, 1, 11*time.Second))},
		{name: "the second life was ended by somebody", replica: pod(again(1, 137, 3*time.Second))},
		{name: "the first life was ended by somebody", replica: pod(again(143, 1, 3*time.Second))},
		{
			name:    "nothing starts it again",
			replica: pod(again(1, 1, 3*time.Second), func(r *cluster.Replica, _ *cluster.Container) { r.Phase = cluster.PhaseFailed }),
		},
		{name: "an init container", replica: pod(looping(dead(1, "Error"), 2), kind(cluster.ContainerInit)), want: []string{"CrashLoop active"}, says: []string{"init container"}},
		{name: "an init container that is done", replica: pod(terminated(dead(0, "Completed")), kind(cluster.ContainerInit))},
		{
			name:    "a replica that is deleted",
			replica: pod(looping(dead(1, "Error"), 5), func(r *cluster.Replica, _ *cluster.Container) { r.DeletedAt = ago(time.Second) }),
		},
	})
}

// TestCrashLoopOverReplicas verifies what the exit codes of the other replicas say for and against one cause.
func TestCrashLoopOverReplicas(t *testing.T) {
	look := func(others ...cluster.Replica) string {
		all := append([]cluster.Replica{pod(named("web-1", "n1"), looping(dead(3, "Error"), 4))}, others...)
		f := Findings(lookAt(owner(withReplicas(all...)), nil))
		return strings.Join(f[0].For, "; ") + " | " + strings.Join(f[0].Against, "; ")
	}
	same, other := pod(named("web-2", "n1"), looping(dead(3, "Error"), 7)), pod(named("web-3", "n1"), looping(dead(1, "Error"), 2))
	well, unknown := pod(named("web-4", "n1")), pod(named("web-5", "n1"), looping(lost(), 2))
	for _, tt := range []struct {
		got, want string
		is        bool
	}{
		{look(same, well, unknown), "the same exit code in 2 replicas", true},
		{look(same, other), "the same exit code", false},
		{look(same, other), "| other exit codes in 1 replica", true},
		{look(well), "exit code in", false},
	} {
		if strings.Contains(tt.got, tt.want) != tt.is {
			t.Errorf("%q: says %q: %t, want %t", tt.got, tt.want, !tt.is, tt.is)
		}
	}
}

// TestBackOffIsRead verifies that a wait is read and never assumed: a kubelet may have any, from 1 s to 300 s.
func TestBackOffIsRead(t *testing.T) {
	for message, want := range map[string]time.Duration{
		"back-off 40s restarting failed container=app pod=web-7c9_demo(u1)": 40 * time.Second, "back-off 2m40s restarting failed container=app": 160 * time.Second,
		"back-off 1s restarting failed container=app": time.Second, "back-off soon": 0, "": 0, "back-off -5s restarting": 0,
	} {
		if got := backOff(message); got != want {
			t.Errorf("%q: %s, want %s", message, got, want)
		}
	}
}
