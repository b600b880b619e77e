package detect

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

func TestJobFailed(t *testing.T) {
	job := ofKind(cluster.KindJob)
	failed := func(reason string) func(*cluster.Workload) {
		return condition("Failed", "True", reason, "Job has failed", time.Minute)
	}
	done := func(code int32, at time.Duration) func(*cluster.Replica, *cluster.Container) {
		return func(r *cluster.Replica, c *cluster.Container) {
			ended(cluster.PhaseFailed)(r, c)
			c.Terminated.ExitCode, c.Terminated.Reason, c.Terminated.FinishedAt = code, "Error", ago(at)
		}
	}
	none := withReplicas()
	found := []string{"JobFailed - active"}
	checkWorkload(t, []workloadRow{
		{
			name: "the back-off limit", want: found, confidence: 95,
			workload: owner(job, failed("BackoffLimitExceeded"), withReplicas(pod(named("a", "n1"), done(1, 2*time.Minute)), pod(named("b", "n1"), done(3, time.Minute)))),
			says:     []string{"job web has failed: its pods failed more often than its back-off limit allows; container app of b ended with exit code 3"},
		},
		{name: "the deadline, and its pods are gone", workload: owner(job, failed("DeadlineExceeded"), none), want: found, says: []string{"longer than its deadline"}},
		{name: "the pod failure policy", workload: owner(job, failed("PodFailurePolicy"), none), want: found, says: []string{"pod failure policy"}},
		{name: "too many indexes", workload: owner(job, failed("MaxFailedIndexesExceeded"), none), want: found, says: []string{"more of its indexes"}},
		{name: "indexes", workload: owner(job, failed("FailedIndexes"), none), want: found, says: []string{"some of its indexes"}},
		{name: "a reason of later days", workload: owner(job, failed("Bored"), none), want: found, says: []string{"has failed: Bored"}},
		{name: "no reason", workload: owner(job, failed(""), none), want: found, says: []string{"no reason given"}},
		{name: "no news", workload: owner(job, condition("Failed", "True", "BackoffLimitExceeded", "", 11*time.Minute), none)},
		{name: "since when is not known", workload: owner(job, none, func(w *cluster.Workload) {
			w.Conditions = []cluster.Condition{{Type: "Failed", Status: "True", Reason: "BackoffLimitExceeded"}}
		})},
		{name: "about to fail", workload: owner(job, condition("FailureTarget", "True", "BackoffLimitExceeded", "", time.Minute), none)},
		{name: "it tries again", workload: owner(job, withReplicas(pod(done(1, time.Minute))))},
		{name: "complete", workload: owner(job, condition("Complete", "True", "", "", time.Minute), withReplicas(pod(ended(cluster.PhaseSucceeded))))},
		{name: "no Job", workload: owner(failed("BackoffLimitExceeded"))},
	})
}
