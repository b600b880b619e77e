//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
)

// uids returns the pods' UIDs, sorted.
func uids(pods ...corev1.Pod) []string {
	var out []string
	for i := range pods {
		out = append(out, string(pods[i].UID))
	}
	slices.Sort(out)
	return out
}

// A replica that hangs is the one failure that nobody else restarts: evidence, budget, intent, eviction, verification.
func TestHangIsRestartedOnceAndVerified(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "hang")
	s.deploy(workload{replicas: 2})
	s.heal(nil)
	pods := s.awaitReady(2)
	s.hang(pods[0].Name)

	in := s.awaitIncident(incident.NotReady, 3*time.Minute, inState(incident.Resolved))
	s.verify(
		hasOutcome(incident.Succeeded)(in),
		inOrder(in, healing.ReasonOpened, healing.ReasonRemediationStart, healing.ReasonCarriedOut, healing.ReasonSucceeded, healing.ReasonResolved),
	)
	if diff := cmp.Diff(uids(pods[0]), s.history.evicted()); diff != "" {
		t.Errorf("evicted pods (-want +got):\n%s", diff)
	}
	now := uids(s.awaitReady(2)...)
	if slices.Contains(now, string(pods[0].UID)) || !slices.Contains(now, string(pods[1].UID)) {
		t.Errorf("now there are %v, want %s and a fresh one", now, pods[1].UID)
	}
	// The log would be gone with the pod, so it was captured before.
	if lines := logLines(in); !strings.Contains(lines, "{") {
		t.Errorf("the log of the replica is not in the incident:\n%s", describeIncident(in))
	}
	if spent := s.budget(); len(spent) != 1 || spent[0].ID != in.Status.Remediations[0].ID {
		t.Errorf("the budget has %v, want the one remediation %s", spent, in.Status.Remediations[0].ID)
	}
	for _, reason := range []healing.Reason{healing.ReasonOpened, healing.ReasonRemediationStart, healing.ReasonSucceeded, healing.ReasonResolved} {
		s.awaitEvent(string(reason))
	}
}

// In Observe mode the same record is written, with what would have been done, and nothing is done.
func TestObserveActsOnNothing(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "observe")
	s.deploy(workload{replicas: 2})
	s.heal(func(p *v1alpha1.HealingPolicySpec) { p.Mode = v1alpha1.HealingObserve })
	pods := s.awaitReady(2)
	s.hang(pods[0].Name)

	in := s.awaitIncident(incident.NotReady, 2*time.Minute, hasOutcome(incident.DryRun))
	if r := in.Status.Remediations[0]; r.ReplicaUID != string(pods[0].UID) || r.Reason != string(healing.ReasonObserveOnly) {
		t.Errorf("it would have restarted %s (%s), want %s", r.ReplicaUID, r.Reason, pods[0].UID)
	}
	time.Sleep(10 * time.Second) // ten passes in which nothing may happen
	if gone := s.history.deleted(); len(gone) > 0 {
		t.Errorf("pods were deleted: %s", s.history.pods())
	}
	if spent := s.budget(); len(spent) > 0 {
		t.Errorf("the budget was charged: %v", spent)
	}
	in = s.awaitIncident(incident.NotReady, time.Minute, inState(incident.Open))
	if len(in.Status.Remediations) != 1 {
		t.Errorf("want one record of what would be done:\n%s", describeIncident(in))
	}
	s.ask(pods[0].Name, "/hang?probe=readiness&seconds=0")
	s.awaitIncident(incident.NotReady, time.Minute, inState(incident.Resolved))
}

// What the budget does not allow is not done, and a person is told.
func TestBudgetExhaustedStopsAndSaysSo(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "budget")
	s.deploy(workload{replicas: 2})
	s.heal(func(p *v1alpha1.HealingPolicySpec) {
		p.Budget = v1alpha1.Budget{Actions: new(int32(1)), Period: span(time.Hour)}
		p.ResolveAfter = span(2 * time.Second)
	})
	pods := s.awaitReady(2)
	s.hang(pods[0].Name)
	s.awaitIncident(incident.NotReady, 3*time.Minute, inState(incident.Resolved))
	if diff := cmp.Diff(uids(pods[0]), s.history.evicted()); diff != "" {
		t.Fatalf("evicted pods (-want +got):\n%s", diff)
	}

	s.awaitReady(2)
	s.hang(pods[1].Name)
	in := s.awaitIncident(incident.NotReady, 2*time.Minute, inState(incident.Abandoned))
	if in.Status.Reason != string(healing.ReasonBudgetExhausted) || in.Status.Message == "" {
		t.Errorf("it stopped with %s: %s", in.Status.Reason, in.Status.Message)
	}
	s.awaitEvent(string(healing.ReasonBudgetExhausted))
	time.Sleep(8 * time.Second) // passes in which nothing may happen
	if diff := cmp.Diff(uids(pods[0]), s.history.deleted()); diff != "" {
		t.Errorf("deleted pods (-want +got):\n%s", diff)
	}
	if p := s.pod(pods[1].Name); p.UID != pods[1].UID {
		t.Errorf("pod %s is another one", p.Name)
	}
	if spent := s.budget(); len(spent) != 1 {
		t.Errorf("the budget has %v, want one action", spent)
	}
}

// A PodDisruptionBudget has the last word. It is named in the incident, and nothing is forced.
func TestEvictionBlockedByPDBIsReportedNotForced(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "pdb")
	s.deploy(workload{replicas: 2})
	if _, err := env.kube.PolicyV1().PodDisruptionBudgets(s.name).Create(t.Context(), &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "all-of-web"},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: new(intstr.FromString("100%")), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": web}},
		},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.heal(nil)
	pods := s.awaitReady(2)
	s.hang(pods[0].Name)

	in := s.awaitIncident(incident.NotReady, 2*time.Minute, func(in *v1alpha1.Incident) error {
		return inOrder(in, healing.ReasonOpened, healing.ReasonBlockedByBudget)
	})
	if st := &in.Status; st.Reason != string(healing.ReasonBlockedByBudget) || !strings.Contains(st.Message, "all-of-web") || len(st.Remediations) > 0 {
		t.Errorf("the refusal is not explained, or it was tried:\n%s", describeIncident(in))
	}
	s.verify(inState(incident.Open)(in))
	s.awaitEvent(string(healing.ReasonBlockedByBudget))
	if gone := s.history.deleted(); len(gone) > 0 {
		t.Fatalf("pods were deleted: %s", s.history.pods())
	}

	if err := env.kube.PolicyV1().PodDisruptionBudgets(s.name).Delete(t.Context(), "all-of-web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	in = s.awaitIncident(incident.NotReady, 3*time.Minute, inState(incident.Resolved))
	s.verify(hasOutcome(incident.Succeeded)(in))
	if diff := cmp.Diff(uids(pods[0]), s.history.evicted()); diff != "" {
		t.Errorf("evicted pods (-want +got):\n%s", diff)
	}
	if len(in.Status.Remediations) != 1 {
		t.Errorf("want one remediation:\n%s", describeIncident(in))
	}
	if spent := s.budget(); len(spent) != 1 {
		t.Errorf("the budget has %v, want one charge", spent)
	}
}
