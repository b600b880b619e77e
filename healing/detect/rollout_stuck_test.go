package detect

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

func TestRolloutStuck(t *testing.T) {
	late := condition("Progressing", "False", "ProgressDeadlineExceeded", `ReplicaSet "web-r2" has timed out progressing.`, time.Minute)
	young := func(r *cluster.Replica, c *cluster.Container) { // not ready, and not for long enough to be told
		r.Ready, r.ReadySince, r.ReadyReason, c.Ready = false, ago(time.Minute), "ContainersNotReady", false
	}
	slow := pod(named("web-new", "n1"), ofRevision("r2"), young)
	old := pod(named("web-old", "n1"), ofRevision("r1"))
	pull := func(r *cluster.Replica, c *cluster.Container) { waiting("ErrImagePull", "manifest unknown")(r, c) }
	rolled := func(age time.Duration) func(*cluster.Workload) {
		return func(w *cluster.Workload) {
			w.RollingOut = true
			w.Changes = []cluster.Change{{At: ago(age), Kind: cluster.ChangeRollout}, {At: ago(time.Second), Kind: cluster.ChangeScaling}}
		}
	}
	// The replicas of a StatefulSet, of which nothing has moved for an hour.
	sts := withReplicas(pod(named("db-0", "n1"), ofRevision("r1")), pod(named("db-1", "n1"), ofRevision("r2")))
	checkWorkload(t, []workloadRow{
		{
			name: "nothing else explains it", workload: owner(late, withReplicas(slow, old)), want: []string{"RolloutStuck - active"},
			says: []string{"the rollout of web to revision r2 has passed its progress deadline"}, confidence: 95,
		},
		{name: "an image", workload: owner(late, withReplicas(pod(ofRevision("r2"), pull), old)), want: []string{"ImagePull web-7c9 active"}},
		{
			name: "a death of the newest revision, over", want: []string{"OOMKilled web-7c9"},
			workload: owner(late, withReplicas(pod(ofRevision("r2"), restarted(dead(137, "OOMKilled"), 1)), old)),
		},
		{
			name: "trouble of the old revision", workload: owner(late, withReplicas(slow, pod(ofRevision("r1"), pull))),
			want: []string{"ImagePull web-7c9 active", "RolloutStuck - active"},
		},
		{
			name: "the newest revision is not known", want: []string{"ImagePull web-7c9 active"},
			workload: owner(late, withReplicas(slow, pod(ofRevision("r1"), pull)), func(w *cluster.Workload) { w.Revision = "" }),
		},
		{
			name: "a notice explains nothing", want: []string{"Disrupted web-7c9", "RolloutStuck - active"},
			workload: owner(late, withReplicas(pod(ofRevision("r2"), young, disruption("PreemptionByScheduler", "", time.Minute)))),
		},
		{
			name: "its replicas are refused", want: []string{"CreateRefused - active"},
			workload: owner(late, condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota: q", time.Minute), withReplicas(old)),
		},
		{name: "paused", workload: owner(late, withReplicas(slow), func(w *cluster.Workload) { w.Paused = true })},
		{name: "progressing", workload: owner(condition("Progressing", "True", "ReplicaSetUpdated", "", time.Hour), withReplicas(slow))},
		{name: "its first try failed", workload: owner(condition("Progressing", "False", "FailedCreate", "", time.Hour), withReplicas(slow))},
		{name: "late, and it goes on", workload: owner(condition("Progressing", "True", "ProgressDeadlineExceeded", "", time.Hour), withReplicas(slow))},
		{
			name: "what the container lives through explains nothing", want: []string{"ChildOOM web-7c9", "RolloutStuck - active"},
			workload: owner(late, withReplicas(pod(ofRevision("r2"), young, func(_ *cluster.Replica, c *cluster.Container) {
				c.OOMEvents, c.OOMEventsKnown, c.LastOOMEvent = 1, true, ago(time.Minute)
			}))),
		},
		{name: "not progressing for another reason", workload: owner(condition("Progressing", "Unknown", "DeploymentPaused", "", time.Hour), withReplicas(slow))},
		{name: "a bare pod", workload: owner(late, withReplicas(slow), ofKind(cluster.KindPod))},
		{
			name: "a StatefulSet that stands still", workload: owner(ofKind(cluster.KindStatefulSet), sts, rolled(11*time.Minute)),
			want: []string{"RolloutStuck - active"}, says: []string{"stands still for more than 10 min"}, confidence: 70,
		},
		{name: "a DaemonSet that stands still", workload: owner(ofKind(cluster.KindDaemonSet), sts, rolled(11*time.Minute)), want: []string{"RolloutStuck - active"}},
		{name: "a StatefulSet that moved", workload: owner(ofKind(cluster.KindStatefulSet), sts, rolled(9*time.Minute))},
		{
			name: "a StatefulSet with a new replica",
			workload: owner(ofKind(cluster.KindStatefulSet), rolled(time.Hour), withReplicas(
				pod(named("db-0", "n1"), ofRevision("r1")), pod(named("db-1", "n1"), ofRevision("r2"), func(r *cluster.Replica, _ *cluster.Container) { r.CreatedAt = ago(time.Minute) }))),
		},
		{
			name: "a StatefulSet that waits for an old replica", want: []string{"ImagePull db-0 active"},
			workload: owner(ofKind(cluster.KindStatefulSet), rolled(11*time.Minute), withReplicas(
				pod(named("db-0", "n1"), ofRevision("r1"), pull), pod(named("db-1", "n1"), ofRevision("r2")))),
		},
		{name: "a StatefulSet whose rollout has ended", workload: owner(ofKind(cluster.KindStatefulSet), sts, rolled(time.Hour), func(w *cluster.Workload) { w.RollingOut = false })},
		{name: "when it began is not known", workload: owner(ofKind(cluster.KindStatefulSet), sts, func(w *cluster.Workload) { w.RollingOut = true })},
		{name: "a Deployment has its own deadline", workload: owner(withReplicas(slow, old), rolled(time.Hour))},
	})
}

// TestRolloutStuckCounts verifies what is said of the replicas.
func TestRolloutStuckCounts(t *testing.T) {
	w := owner(condition("Progressing", "False", "ProgressDeadlineExceeded", "", time.Minute), withReplicas(
		pod(named("a", "n1"), ofRevision("r2")), pod(named("b", "n1"), ofRevision("r1")),
		pod(named("c", "n1"), ofRevision("r2"), func(r *cluster.Replica, _ *cluster.Container) { r.DeletedAt = ago(time.Second) })))
	found := Findings(lookAt(w, nil))
	if len(found) != 1 || len(found[0].For) != 2 || found[0].For[1] != "1 of 3 replicas are of the newest revision, 1 of them ready" {
		t.Errorf("%+v", found)
	}
}
