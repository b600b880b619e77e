//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/internal/incident"
)

// What a person is told where Prometheus scrapes the controllers in their pods and the cluster, evaluates the committed rules and tells Alertmanager, which
// calls a webhook. A container that leaks is killed at its limit: one page, and one when it is over. Later a person is needed about the same workload, and is
// told so with the urgency that it has; that a container dies of its memory meanwhile is no page of its own.
func TestAnOOMKillPagesThroughPrometheusAndAlertmanager(t *testing.T) {
	t.Parallel()
	hook := listen(t, nil)
	alertmanager := startAlertmanager(t, hook.url)
	rules := startRules(t, alertmanager)
	s := newSpace(t, "page")
	s.deploy(workload{replicas: 2, memory: "80Mi"})
	s.heal(func(p *v1alpha1.HealingPolicySpec) {
		p.Budget = v1alpha1.Budget{Actions: new(int32(1)), Period: span(time.Hour)}
		p.Remedies = []v1alpha1.FindingRemedy{{Finding: v1alpha1.FindingKind(incident.OOMKilled), Remedy: v1alpha1.Remedy(incident.RemedyNone)}}
		p.ResolveAfter = span(20 * time.Second) // several scrapes
	})
	pods := s.awaitReady(2)

	killed := s.leakToDeath(pods[0].Name)
	page := hook.await(s, "HomeostatOOMKilled", "firing", 2*time.Minute)
	t.Logf("from the kill, by the kubelet's clock of whole seconds, to the page: %.1f s", page.at.Sub(killed).Seconds())
	in := s.awaitIncident(incident.OOMKilled, time.Minute, inState(incident.Open, incident.Resolved))
	want := map[string]string{
		"alertname": "HomeostatOOMKilled", "severity": "warning", "namespace": s.name, "workload_kind": "Deployment", "workload": web,
		"kind": "OOMKilled", "role": "root", "root": s.name + "/" + in.Name, "cluster": "lab",
	}
	if diff := cmp.Diff(want, page.Labels); diff != "" || page.receiver != "people" {
		t.Errorf("labels of the page to %s (-want +got):\n%s", page.receiver, diff)
	}
	hasRunbook(t, &page)
	rules.seesTheLab(t, s.name)

	s.awaitIncident(incident.OOMKilled, 2*time.Minute, inState(incident.Resolved))
	over := hook.await(s, "HomeostatOOMKilled", "resolved", time.Minute)
	if over.Fingerprint != page.Fingerprint || over.EndsAt.Before(over.StartsAt) {
		t.Errorf("the end is %+v, of the page %+v", over, page)
	}

	// The budget is spent on one restart, so that the next one needs a person.
	s.hang(pods[1].Name)
	s.awaitIncident(incident.NotReady, 3*time.Minute, inState(incident.Resolved), incident.OOMKilled)
	pods = s.awaitReady(2)
	s.hang(pods[0].Name)
	urgent := hook.await(s, "HomeostatBudgetExhausted", "firing", 2*time.Minute)
	if urgent.receiver != "pager" || urgent.Labels["severity"] != "critical" || urgent.Labels["kind"] != "NotReady" || urgent.Labels["workload"] != web {
		t.Errorf("the page to %s has the labels %v", urgent.receiver, urgent.Labels)
	}
	hasRunbook(t, &urgent)

	s.leakToDeath(pods[1].Name)
	s.await("the alert that is inhibited", 2*time.Minute, func(ctx context.Context) error {
		all, err := known(ctx, alertmanager, s.name, "HomeostatOOMKilled")
		if err == nil && (len(all) != 1 || all[0].Status.State != "suppressed" || !contains(all[0].Status.InhibitedBy, urgent.Fingerprint)) {
			err = fmt.Errorf("alertmanager has %+v, want one that %s inhibits", all, urgent.Fingerprint)
		}
		return err
	})
	time.Sleep(5 * time.Second) // in which the group is looked at several times

	pages, expected := names(hook.about(s.name)), []string{
		"people firing HomeostatOOMKilled", "people resolved HomeostatOOMKilled", "pager firing HomeostatBudgetExhausted",
	}
	missed, err := rules.ask(t.Context(), `sum(count_over_time(up{job="homeostat"}[15m]) - sum_over_time(up{job="homeostat"}[15m]))`)
	if err != nil {
		t.Fatal(err)
	}
	if missed > 0 { // an alert ends with the series that it was made of, and begins anew with them
		t.Logf("%g scrapes of the controllers failed, so the same may have been told twice", missed)
		slices.Sort(pages)
		slices.Sort(expected)
		pages = slices.Compact(pages)
	}
	if diff := cmp.Diff(expected, pages); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
}

// leakToDeath lets the pod's container leak until it is killed once more, and returns when that was.
func (s *space) leakToDeath(pod string) (at time.Time) {
	s.t.Helper()
	before := restarts(s.pod(pod))
	s.ask(pod, "/memory-leak?rate=4&size=512")
	s.await("the OOM kill", 2*time.Minute, func(context.Context) error {
		c := &s.pod(pod).Status.ContainerStatuses[0]
		for _, end := range []*corev1.ContainerStateTerminated{c.State.Terminated, c.LastTerminationState.Terminated} {
			if end != nil && end.Reason == "OOMKilled" && (c.RestartCount > before || c.State.Terminated != nil) {
				at = end.FinishedAt.Time
				return nil
			}
		}
		return errors.New("it lives on")
	})
	return at
}

// hasRunbook fails the test unless the page leads to a runbook that is there, and says something in its summary.
func hasRunbook(t *testing.T, page *told) {
	t.Helper()
	file := filepath.Join("../alerts/runbooks", path.Base(page.Annotations["runbook_url"]))
	if s, err := os.Stat(file); err != nil || s.IsDir() {
		t.Errorf("the runbook %q is not there: %v", page.Annotations["runbook_url"], err)
	}
	if page.Annotations["summary"] == "" || page.Annotations["description"] == "" {
		t.Errorf("the page says nothing: %v", page.Annotations)
	}
}

// seesTheLab fails the test unless Prometheus has the cluster's own metrics too: those of the kubelets about the workload, and those of the API server.
func (p *prometheus) seesTheLab(t *testing.T, namespace string) {
	t.Helper()
	for query, want := range map[string]func(float64) bool{
		fmt.Sprintf(`max(container_spec_memory_limit_bytes{namespace=%q,container=%q})`, namespace, web):                      func(v float64) bool { return v == 80*mib },
		fmt.Sprintf(`max(max_over_time(container_memory_working_set_bytes{namespace=%q,container=%q}[10m]))`, namespace, web): func(v float64) bool { return v > 0 && v <= 80*mib },
		`sum(apiserver_request_total)`: func(v float64) bool { return v > 0 },
	} {
		if v, err := p.ask(t.Context(), query); err != nil || !want(v) {
			t.Errorf("%s is %g (%v)", query, v, err)
		}
	}
}
