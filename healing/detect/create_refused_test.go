package detect

import (
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

const overQuota = `pods "web-r2-x" is forbidden: exceeded quota: compute, requested: limits.memory=1Gi, used: limits.memory=4Gi, limited: limits.memory=4Gi`

func TestCreateRefused(t *testing.T) {
	refused := []string{"CreateRefused - active"}
	failure := func(message string, age time.Duration) func(*cluster.Workload) {
		return condition("ReplicaFailure", "True", "FailedCreate", message, age)
	}
	webhook := `Error creating: admission webhook "policy.example.com" denied the request: image is not signed`
	checkWorkload(t, []workloadRow{
		{
			name: "a quota", workload: owner(failure(overQuota, time.Minute), desired(3)), want: refused, confidence: 95,
			says: []string{"refuses new replicas of web (1 of 3 are there): quota compute is used up: each asks for limits.memory=1Gi, limits.memory=4Gi is used of limits.memory=4Gi"},
		},
		{name: "not for long", workload: owner(failure(overQuota, 10*time.Second), desired(3))},
		{name: "it is over", workload: owner(condition("ReplicaFailure", "False", "FailedCreate", overQuota, time.Minute), desired(3))},
		{name: "a deletion", workload: owner(condition("ReplicaFailure", "True", "FailedDelete", "x", time.Minute), desired(3))},
		{name: "a message of no known form", workload: owner(failure("something new", time.Minute), desired(2)), want: refused, confidence: 70, says: []string{"something new"}},
		{
			name: "a StatefulSet's event", want: refused, says: []string{"service account demo/app does not exist"},
			workload: owner(ofKind(cluster.KindStatefulSet), desired(2), told("FailedCreate",
				`create Pod web-1 in StatefulSet web failed error: pods "web-1" is forbidden: error looking up service account demo/app: serviceaccount "app" not found`, 5*time.Minute, time.Minute)),
		},
		{name: "a DaemonSet's event", workload: owner(ofKind(cluster.KindDaemonSet), desired(2), told("FailedCreate", webhook, 5*time.Minute, time.Minute)), want: refused, says: []string{"policy.example.com denies them: image is not signed"}},
		{name: "a Job's event", workload: owner(ofKind(cluster.KindJob), desired(2), told("FailedCreate", webhook, 5*time.Minute, time.Minute)), want: refused},
		{
			name: "those that are leaving do not count", want: refused, says: []string{"(0 of 1 are there)"},
			workload: owner(ofKind(cluster.KindStatefulSet), told("FailedCreate", webhook, time.Hour, time.Minute), withReplicas(pod(func(r *cluster.Replica, _ *cluster.Container) { r.DeletedAt = ago(time.Second) }))),
		},
		{name: "none is missing", workload: owner(ofKind(cluster.KindStatefulSet), told("FailedCreate", webhook, 5*time.Minute, time.Minute))},
		{name: "an old event", workload: owner(ofKind(cluster.KindStatefulSet), desired(2), told("FailedCreate", webhook, time.Hour, 21*time.Minute))},
		{name: "not for long, by an event", workload: owner(ofKind(cluster.KindStatefulSet), desired(2), told("FailedCreate", webhook, 10*time.Second, time.Second))},
		{name: "created since", workload: owner(ofKind(cluster.KindStatefulSet), desired(2), told("FailedCreate", webhook, 5*time.Minute, time.Minute), told("SuccessfulCreate", "", time.Second, time.Second))},
		{name: "a race", workload: owner(ofKind(cluster.KindStatefulSet), desired(2), told("FailedCreate", `create Pod web-1 in StatefulSet web failed error: pods "web-1" already exists`, 5*time.Minute, time.Minute))},
		{name: "another event", workload: owner(ofKind(cluster.KindStatefulSet), desired(2), told("FailedDelete", webhook, 5*time.Minute, time.Minute))},
		{name: "a bare pod", workload: owner(ofKind(cluster.KindPod), desired(2), failure(overQuota, time.Minute), told("FailedCreate", webhook, 5*time.Minute, time.Minute))},
	})
}

// TestCreateRefusedSince verifies that a refusal that goes on has the fingerprint of its first event.
func TestCreateRefusedSince(t *testing.T) {
	first := Findings(lookAt(owner(ofKind(cluster.KindStatefulSet), desired(2), told("FailedCreate", overQuota, 10*time.Minute, 10*time.Minute)), nil))
	later := Findings(lookAt(owner(ofKind(cluster.KindStatefulSet), desired(2), told("FailedCreate", overQuota, time.Minute, time.Second), told("FailedCreate", overQuota, 10*time.Minute, 10*time.Minute)), nil))
	if len(first) != 1 || len(later) != 1 || first[0].Fingerprint != later[0].Fingerprint || !later[0].Since.Equal(ago(10*time.Minute)) {
		t.Errorf("%+v\n%+v", first, later)
	}
}

func TestRefusal(t *testing.T) {
	for _, tt := range []struct {
		message, says string
		known         bool
	}{
		{overQuota, "quota compute is used up", true},
		{`pods "a" is forbidden: failed quota: compute: must specify limits.memory for: app`, "quota compute wants what the template does not say: must specify limits.memory for: app", true},
		{`Internal error occurred: failed calling webhook "inject.example.com": failed to call webhook: Post "https://inject.svc:443/": dial tcp 10.0.0.1:443: connect: connection refused`, "inject.example.com cannot be called: connect: connection refused", true},
		{`admission webhook "a.b" denied the request`, "a.b denies them", true},
		{`pods "a" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false`, "pod security of the namespace forbids them: violates PodSecurity", true},
		{`pods "a" is forbidden: unable to create new content in namespace demo because it is being terminated`, "namespace is being deleted", true},
		{`pods "a" is forbidden: no PriorityClass with name high was found`, "priority class does not exist", true},
		{`pods "a" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi`, "a limit range forbids them: maximum memory usage", true},
		{`Pod "a" is invalid: spec.containers[0].image: Required value`, "template is not valid", true},
		{"connection refused", "connection refused", false},
		{"", "no reason is given", false},
	} {
		why, known := Refusal(tt.message)
		if known != tt.known || !strings.Contains(why, tt.says) {
			t.Errorf("%q: %t, %q does not say %q", tt.message, known, why, tt.says)
		}
	}
}
