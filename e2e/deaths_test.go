//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
)

const mib = 1 << 20

// A container that leaks is killed at its limit. The incident keeps what the kubelet will forget: the exit code, the log
// of the life that ended and its memory on the way up. The kubelet restarts the container, so nothing is evicted.
func TestOOMKillIsExplainedAndLeftToTheKubelet(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "oom")
	s.deploy(workload{replicas: 1, memory: "80Mi"})
	s.heal(func(p *v1alpha1.HealingPolicySpec) {
		p.ResolveAfter = span(10 * time.Second)
		p.Remedies = []v1alpha1.FindingRemedy{{Finding: v1alpha1.FindingKind(incident.OOMKilled), Remedy: v1alpha1.Remedy(incident.RemedyNone)}}
	})
	pod := s.awaitReady(1)[0]
	s.ask(pod.Name, "/memory-leak?rate=4&size=512")

	in := s.awaitIncident(incident.OOMKilled, 2*time.Minute, inState(incident.Open))
	s.verify(died(in, 137, "OOMKilled"))
	if lines := logLines(in); !strings.Contains(lines, "leaking memory") || !strings.Contains(lines, `"leaked_mib":`) {
		t.Errorf("the log of the container that died is not in the incident, but\n%s", lines)
	}
	peak, limit := int64(0), int64(0)
	for _, e := range evidence(in, incident.EvidenceUsage) {
		limit = max(limit, e.MemoryLimit)
		for _, p := range e.Points {
			if p.MemoryBytes != nil {
				peak = max(peak, *p.MemoryBytes)
			}
		}
	}
	// Between the last sample and the kill lie a few seconds of 4 MiB each.
	if limit != 80*mib || peak < 56*mib {
		t.Errorf("the memory window reaches %d MiB of a limit of %d MiB, want at least 56 of 80", peak/mib, limit/mib)
	}
	if s := &in.Status; s.Confidence < 90 || !strings.Contains(s.Cause, "memory") {
		t.Errorf("the cause is %q, %d %% sure", s.Cause, s.Confidence)
	}
	s.awaitEvent(string(healing.ReasonOpened))

	in = s.awaitIncident(incident.OOMKilled, 2*time.Minute, inState(incident.Resolved))
	if p := s.pod(pod.Name); p.UID != pod.UID || restarts(p) != 1 {
		t.Errorf("pod is %s with %d restarts, want %s with 1, by the kubelet", p.UID, restarts(p), pod.UID)
	}
	s.untouched(in)
	s.awaitEvent(string(healing.ReasonResolved))
}

// A child process is killed at the limit and the container lives on, which no status of Kubernetes shows.
func TestChildOOMIsFoundThoughNothingRestarts(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "childoom")
	s.deploy(workload{replicas: 1, memory: "80Mi"})
	s.heal(nil)
	pod := s.awaitReady(1)[0]
	// The counter must have been read once before it can be seen to grow.
	time.Sleep(12 * time.Second)
	s.ask(pod.Name, "/child-leak?rate=64&size=512")

	var whole bool // the node kills all processes of a container together
	s.await("the child's death", time.Minute, func(ctx context.Context) error {
		if p := s.pod(pod.Name); restarts(p) > 0 {
			whole = true
			return nil
		}
		page := s.ask(pod.Name, "/metrics")
		if !strings.Contains(page, "\ndemoapp_children_killed_total 1") {
			return errors.New("no child was killed")
		}
		return nil
	})
	if whole {
		t.Skip("SKIPPED: this node kills the whole container with the child (cgroup v2 without singleProcessOOMKill), which is an OOM kill like any other")
	}
	in := s.awaitIncident(incident.ChildOOM, time.Minute, inState(incident.Open, incident.Resolved))
	s.awaitIncident(incident.ChildOOM, time.Minute, inState(incident.Resolved))
	if p := s.pod(pod.Name); p.UID != pod.UID || restarts(p) != 0 {
		t.Errorf("pod is %s with %d restarts, want %s with 0", p.UID, restarts(p), pod.UID)
	}
	s.untouched(in) // it serves on, and the policy names no remedy
}

// A container that exits again and again: deleting its pod would reset the back-off and lose the log.
func TestCrashLoopIsNeverActedOn(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "crash")
	s.heal(nil)
	s.deploy(workload{replicas: 1, fails: true, env: map[string]string{"FAIL_ON_START": "3"}})
	in := s.awaitIncident(incident.CrashLoop, 2*time.Minute, inState(incident.Open))
	s.verify(died(in, 3, "Error"))
	if lines := logLines(in); !strings.Contains(lines, "fail") {
		t.Errorf("the log does not say why it failed:\n%s", lines)
	}
	first := in.Status.Occurrences
	in = s.awaitIncident(incident.CrashLoop, 3*time.Minute, func(in *v1alpha1.Incident) error {
		if in.Status.Occurrences < first+2 {
			return fmt.Errorf("seen %d times, want %d", in.Status.Occurrences, first+2)
		}
		return nil
	})
	// There is no older revision to go back to, and nothing else mends it.
	if in.Status.State != string(incident.Open) || inOrder(in, healing.ReasonOpened, healing.ReasonNotApplicable) != nil {
		t.Errorf("want it open, with the reason why nothing is done:\n%s", describeIncident(in))
	}
	s.untouched(in)
}

// A container that the kubelet kills for its liveness probe, and that does not end in time, dies with 137 as one does that
// is out of memory. The two need different people.
func TestLivenessKillIsToldApartFromOOM(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "liveness")
	s.deploy(workload{
		replicas: 1,
		// It serves on for longer than the kubelet waits, so that SIGKILL ends it.
		env: map[string]string{"DRAIN": "60s"},
		change: func(p *corev1.PodTemplateSpec) {
			p.Spec.Containers[0].LivenessProbe = &corev1.Probe{
				ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(8080)}},
				PeriodSeconds: 2, TimeoutSeconds: 2, FailureThreshold: 2,
			}
		},
	})
	s.heal(nil)
	pod := s.awaitReady(1)[0]
	s.ask(pod.Name, "/hang?probe=liveness&seconds=3600")

	in := s.awaitIncident(incident.LivenessKill, 2*time.Minute, inState(incident.Open))
	s.verify(died(in, 137, "Error"))
	if !strings.Contains(strings.ToLower(in.Status.Cause), "liveness") {
		t.Errorf("the cause is %q", in.Status.Cause)
	}
	in = s.awaitIncident(incident.LivenessKill, 2*time.Minute, inState(incident.Resolved))
	if p := s.pod(pod.Name); p.UID != pod.UID || restarts(p) != 1 {
		t.Errorf("pod is %s with %d restarts, want %s with 1, by the kubelet", p.UID, restarts(p), pod.UID)
	}
	s.untouched(in)
}
