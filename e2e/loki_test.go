//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/logs"
	"github.com/homeostat/homeostat/internal/logs/loki"
	"github.com/homeostat/homeostat/internal/report"
)

// logsOutliveThePod fails the test unless the lines of the pod's leak are in Loki when it is gone, and the kubelet's log with it.
func (s *space) logsOutliveThePod(pod, container, url string) {
	s.t.Helper()
	if _, err := env.kube.AppsV1().Deployments(s.name).UpdateScale(s.t.Context(), web, &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.name, Name: web},
	}, metav1.UpdateOptions{}); err != nil {
		s.t.Fatal(err)
	}
	s.await("no pod", time.Minute, func(ctx context.Context) error {
		pods, err := s.pods(ctx)
		if err == nil && len(pods) > 0 {
			err = fmt.Errorf("there are %d", len(pods))
		}
		return err
	})
	r, err := loki.New(loki.Options{URL: url, Timeout: 20 * time.Second, Now: time.Now})
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	lines, err := r.Window(s.t.Context(), logs.Query{
		Namespace: s.name, Replicas: []string{pod}, Container: container,
		From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Minute), MaxLines: 1000, MaxBytes: mib,
	})
	if err != nil || !strings.Contains(strings.Join(logs.Texts(lines), "\n"), "leaking memory") {
		s.t.Errorf("%d lines of the pod that is gone are in Loki, none of the leak (%v)", len(lines), err)
	}
}

// leakUntilLokiTells lets the pod run into its memory limit until the evidence of a death is Loki's, and returns the incident. On a machine that is busy
// the lines may come later than the death is looked at, and then the kubelet's are taken; another death is another try.
func (s *space) leakUntilLokiTells(pod string) *v1alpha1.Incident {
	s.t.Helper()
	told := 0 // logs that are no news
	for range 4 {
		var found *v1alpha1.Incident
		s.await("the pod is ready to leak", 2*time.Minute, func(context.Context) error {
			for _, c := range s.pod(pod).Status.Conditions {
				if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
					return nil
				}
			}
			return errors.New("it is not")
		})
		s.ask(pod, "/memory-leak?rate=4&size=512")
		s.await("the log of a death", 2*time.Minute, func(ctx context.Context) error {
			list, err := s.incidents(ctx)
			for i := range list {
				if in := &list[i]; incident.Kind(in.Status.Finding) == incident.OOMKilled && len(evidence(in, incident.EvidenceLog)) > told {
					found = in
					return nil
				}
			}
			return errors.Join(err, errors.New("there is none"))
		})
		all := evidence(found, incident.EvidenceLog)
		told = len(all)
		from := slices.IndexFunc(all, func(e v1alpha1.IncidentEvidence) bool { return e.Source == "loki" })
		if from < 0 {
			s.t.Logf("the log of a death is not Loki's: %s", all[told-1].Message)
			continue
		}
		if !strings.Contains(strings.Join(all[from].Lines, "\n"), "leaking memory") {
			s.t.Errorf("the lines from Loki do not tell of the leak: %q", all[from].Lines)
		}
		return found
	}
	s.t.Fatal("no death's log came from Loki")
	return nil
}

// awaitChain waits until the command line shows moments of all these kinds for the id.
func (s *space) awaitChain(id, url, journal string, kinds ...string) {
	s.t.Helper()
	s.await("the chain of "+id, time.Minute, func(ctx context.Context) error {
		text, err := env.command(ctx, env.homeostat, "timeline", "--id", id, "-n", s.name, "--loki", url, "--journal", journal, "-o", "json")
		if err != nil {
			return err
		}
		var out struct{ Moments []report.Moment }
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			return err
		}
		for _, kind := range kinds {
			if !slices.ContainsFunc(out.Moments, func(m report.Moment) bool { return m.Kind == kind }) {
				return fmt.Errorf("nothing of kind %s in\n%s", kind, text)
			}
		}
		return nil
	})
}
