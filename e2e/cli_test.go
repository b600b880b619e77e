//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/report"
)

// lacks fails the test unless the text has every one of the parts.
func lacks(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s lacks %q:\n%s", what, p, text)
		}
	}
}

// What people type when they are woken up: the plugin's commands and plain kubectl, on the same objects.
func TestCommandLineShowsIncidentsAndDecisions(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "cli")
	s.deploy(workload{replicas: 1})
	s.scale(nil)
	s.awaitAutoscaler("two replicas and their CPU", time.Minute, func(st *v1alpha1.AutoscalerStatus) error {
		if err := hasReplicas(2)(st); err != nil || strings.HasSuffix(st.MetricsSummary, "%/40%") {
			return err
		}
		return fmt.Errorf("the metrics are %q", st.MetricsSummary)
	})
	pods := s.awaitReady(2)
	s.heal(func(p *v1alpha1.HealingPolicySpec) { p.ResolveAfter = span(time.Minute) })
	s.ask(pods[0].Name, "/crash?code=7")
	s.await("the restart", time.Minute, func(context.Context) error {
		if p := s.pod(pods[0].Name); restarts(p) == 0 || !isReady(p) {
			return errors.New(describePod(p))
		}
		return nil
	})
	s.ask(pods[0].Name, "/crash?code=7") // now the kubelet waits before it starts it again
	in := s.awaitIncident(incident.CrashLoop, 2*time.Minute, inState(incident.Open))

	cli := func(args ...string) string {
		t.Helper()
		out, err := env.command(t.Context(), env.homeostat, args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	lacks(t, "incidents -A", cli("incidents", "-A"), "NAMESPACE", s.name, in.Name, "CrashLoop")
	lacks(t, "incidents -n", cli("incidents", "-n", s.name), in.Name)
	lacks(t, "incidents NAME", cli("incidents", in.Name, "-n", s.name), in.Name, "CrashLoop", "Cause", "exit code 7", "IncidentOpened")
	lacks(t, "explain", cli("explain", "autoscaler/"+web, "-n", s.name), web, "stays at 2", "cpu", "Steps", "Last changes", "1 → 2")

	var list []incident.Incident
	parse(t, cli("incidents", "-n", s.name, "-o", "json"), &list)
	if len(list) != 1 || list[0].Name != in.Name || list[0].Kind != incident.CrashLoop {
		t.Errorf("incidents -o json has %+v", list)
	}
	var one incident.Incident
	parse(t, cli("incidents", in.Name, "-n", s.name, "-o", "json"), &one)
	if one.Name != in.Name || len(one.Evidence) == 0 || len(one.Timeline) == 0 {
		t.Errorf("incidents NAME -o json has %+v", one)
	}
	var a report.Autoscaler
	parse(t, cli("explain", "autoscaler/"+web, "-n", s.name, "-o", "json"), &a)
	if a.Ref.Name != web || a.Decision == nil || len(a.Decision.Steps) == 0 || a.Min != 2 || a.Max != 4 {
		t.Errorf("explain -o json has %+v", a)
	}

	kubectl := func(args ...string) string {
		t.Helper()
		out, err := env.command(t.Context(), env.kubectl, append([]string{"-n", s.name}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	lacks(t, "kubectl get incidents", kubectl("get", "incidents"), "WORKLOAD", "FINDING", "STATE", "REASON", "COUNT", in.Name, "CrashLoop", "Open")
	lacks(t, "kubectl get incidents -o wide", kubectl("get", "inc", "-o", "wide"), "CAUSE", "exit code 7")
	lacks(t, "kubectl get incidents by field", kubectl("get", "inc", "--field-selector", "status.finding=CrashLoop"), in.Name)
	lacks(t, "kubectl get autoscalers", kubectl("get", "autoscalers"), "TARGET", "MIN", "MAX", "REPLICAS", "METRICS", "REASON", web, "/40%")
	lacks(t, "kubectl get healingpolicies", kubectl("get", "hp"), "MODE", "BUDGET", "Act")
}

func parse(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("no JSON: %v\n%s", err, text)
	}
}
