//go:build e2e

package e2e

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/internal/incident"
)

// Where the policy says so the template's own limit is raised: the change outlives the pods, all of which a rollout replaces, and
// nothing is left to propose.
func TestRemedyMemoryOfTheTemplateIsRaised(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "template")
	s.deploy(workload{replicas: 3, memory: "64Mi", change: drains})
	s.heal(func(p *v1alpha1.HealingPolicySpec) {
		p.PatchTemplate, p.VerifyWithin = true, span(time.Minute)
		p.Remedies = []v1alpha1.FindingRemedy{{
			Finding: v1alpha1.FindingKind(incident.OOMKilled), Ladder: []v1alpha1.Remedy{v1alpha1.Remedy(incident.RemedyResizeMemory)},
		}}
	})
	before := s.awaitReady(3)
	s.ask(before[0].Name, "/memory-leak?rate=60&size=512")

	in := s.awaitIncident(incident.OOMKilled, 4*time.Minute, inState(incident.Resolved))
	s.verify(healed(in, incident.RemedyResizeMemory))
	r := in.Status.Remediations[0]
	s.verify(calls(&r, "PATCH", "/deployments/web", "128Mi"))
	if c := r.Change; c == nil || c.FromMemoryBytes != 64*mib || c.ToMemoryBytes != 128*mib {
		t.Errorf("the change is %+v, want the template's limit from 64 to 128 MiB", r.Change)
	}
	if in.Status.Proposal != "" {
		t.Errorf("what was done is proposed:\n%s", in.Status.Proposal)
	}
	s.awaitRollout()
	for _, p := range s.awaitReady(3) {
		if got := limitOf(&p.Spec); got != 128*mib || slices.Contains(uids(before...), string(p.UID)) || restarts(&p) != 0 {
			t.Errorf("pod %s has a limit of %d MiB, want a new one with 128: %s", p.Name, got/mib, describePod(&p))
		}
	}
	d, err := s.deployment(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := limitOf(&d.Spec.Template.Spec); got != 128*mib {
		t.Errorf("the template's limit is %d MiB, want 128", got/mib)
	}
}

func limitOf(p *corev1.PodSpec) int64 { return p.Containers[0].Resources.Limits.Memory().Value() }
