//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/logs"
	"github.com/homeostat/homeostat/internal/logs/loki"
	"github.com/homeostat/homeostat/internal/logs/loki/lokitest"
	"github.com/homeostat/homeostat/internal/report"
)

// The lab's shipper sends the logs of the containers to a real Loki, and a controller reads them there and sends its own records. What a leak wrote is found
// when its pod is gone, and one id leads from a death, and from a scaling, through everything that tells of it. Not parallel: the controllers of all
// other tests are away meanwhile.
func TestLogsAndRecordsAreInLokiUnderOneID(t *testing.T) {
	if env.lab == "" {
		t.Skip("SKIPPED: this cluster is not a lab, so nothing ships the logs of its containers")
	}
	url := lokitest.Start(t, "..", false)
	if _, err := env.command(t.Context(), env.lab, "up", "--loki", url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the test's own context has ended
		if _, err := env.command(context.Background(), env.lab, "up", "--loki", "off"); err != nil {
			t.Errorf("end the shipper: %v", err)
		}
		if err := env.scaleControllers(context.Background(), replicas); err != nil {
			t.Errorf("bring the controllers back: %v", err)
		}
	})
	s := newSpace(t, "loki")
	s.deploy(workload{replicas: 1, memory: "80Mi", change: requests})
	if err := env.scaleControllers(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	journal, config := lokiConfig(t, url)
	outside := startOutside(t, env.kubeconfig, config)

	// A scaling: from one replica to the least number.
	s.scale(func(a *v1alpha1.AutoscalerSpec) { a.MinReplicas = new(int32(2)) })
	scaled := s.awaitAutoscaler("two replicas", time.Minute, hasReplicas(2))
	id := scaled.Status.LastChanges[0].ID
	if !strings.HasPrefix(id, "d-") {
		t.Fatalf("the id of the scaling is %q", id)
	}
	s.awaitChain(id, url, journal, report.MomentScaling, report.MomentEvent, report.MomentJournal, report.MomentLoki)

	// A death: the log of the container that leaked comes from Loki.
	pod := s.awaitReady(2)[0].Name
	in := s.leakUntilLokiTells(pod)
	s.awaitChain(in.Namespace+"/"+in.Name, url, journal, report.MomentIncident, report.MomentEvent, report.MomentJournal, report.MomentLoki)

	// The pod goes, and the kubelet's log with it.
	outside.kill(t)
	if _, err := env.kube.AppsV1().Deployments(s.name).UpdateScale(t.Context(), web, &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.name, Name: web},
	}, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
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
		t.Fatal(err)
	}
	defer r.Close()
	lines, err := r.Window(t.Context(), logs.Query{
		Namespace: s.name, Replicas: []string{pod}, Container: evidence(in, incident.EvidenceLog)[0].Container,
		From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Minute), MaxLines: 1000, MaxBytes: mib,
	})
	if err != nil || !strings.Contains(strings.Join(logs.Texts(lines), "\n"), "leaking memory") {
		t.Errorf("%d lines of the pod that is gone are in Loki, none of the leak (%v)", len(lines), err)
	}
}

// lokiConfig writes the configuration of a controller that reads from the Loki and pushes to it, and keeps a journal.
func lokiConfig(t *testing.T, url string) (journal, config string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(overlay, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	journal, config = filepath.Join(dir, "journal.jsonl"), filepath.Join(dir, "config.yaml")
	more := fmt.Sprintf("logs:\n  loki: {url: %q}\n  push: {url: %q, labels: {cluster: lab}}\njournal: {path: %q}\n", url, url, journal)
	if err := os.WriteFile(config, append(text, more...), 0o600); err != nil {
		t.Fatal(err)
	}
	return journal, config
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
