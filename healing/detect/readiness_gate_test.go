package detect

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

func TestReadinessGate(t *testing.T) {
	const gate = "target-health.elbv2.k8s.aws/tg-1"
	held := func(reason string, age time.Duration, gates ...string) func(*cluster.Replica, *cluster.Container) {
		return func(r *cluster.Replica, _ *cluster.Container) {
			r.Ready, r.ReadySince, r.ReadyReason, r.Gates = false, ago(age), reason, gates
		}
	}
	check(t, []row{
		{
			name: "nobody sets it", replica: pod(held(reasonGates, 4*time.Minute, gate)),
			want: []string{"ReadinessGate active"}, says: []string{gate + " (nobody has set it)"}, confidence: 95,
		},
		{
			name: "it is False", replica: pod(held(reasonGates, time.Hour, gate), holds(gate, "False", "Target.Timeout", "", 5*time.Minute)),
			want: []string{"ReadinessGate active"}, says: []string{gate + " (False: Target.Timeout)"},
		},
		{
			name: "only those that are closed", replica: pod(held(reasonGates, time.Hour, "open", gate), holds("open", "True", "", "", time.Hour)),
			want: []string{"ReadinessGate active"}, says: []string{"holds it back: " + gate},
		},
		{
			name: "another reason, and all containers are ready", replica: pod(held("", time.Hour, gate)),
			want: []string{"ReadinessGate active"}, confidence: 85,
		},
		{
			name: "gates that are not told",
			replica: pod(held(reasonGates, time.Hour), func(r *cluster.Replica, _ *cluster.Container) {
				r.ReadyMessage = `corresponding condition of pod readiness gate "x" does not exist.`
			}),
			want: []string{"ReadinessGate active"}, says: []string{`readiness gate "x" does not exist`},
		},
		{
			name: "it is False, and all containers are ready", replica: pod(held("", time.Hour, gate), holds(gate, "False", "", "", time.Hour)),
			want: []string{"ReadinessGate active"}, confidence: 85, says: []string{gate + " (False)"},
		},
		{name: "a container began lately", replica: pod(held(reasonGates, time.Hour, gate), func(_ *cluster.Replica, c *cluster.Container) { c.StartedAt = ago(time.Minute) })},
		{name: "not for long", replica: pod(held(reasonGates, 2*time.Minute, gate))},
		{
			name:    "the containers got ready lately",
			replica: pod(held(reasonGates, time.Hour, gate), holds("ContainersReady", "True", "", "", time.Minute)),
		},
		{name: "the gate was closed lately", replica: pod(held(reasonGates, time.Hour, gate), holds(gate, "False", "", "", time.Minute))},
		{
			name:    "the gate is open and a container is not ready",
			replica: pod(held("ContainersNotReady", time.Hour, gate), holds(gate, "True", "", "", time.Hour), func(_ *cluster.Replica, c *cluster.Container) { c.Ready = false }),
			want:    []string{"NotReady active"},
		},
		{name: "it is deleted", replica: pod(held(reasonGates, time.Hour, gate), func(r *cluster.Replica, _ *cluster.Container) { r.DeletedAt = ago(time.Second) })},
		{name: "ready", replica: pod(func(r *cluster.Replica, _ *cluster.Container) { r.Gates = []string{gate} })},
	})
}
