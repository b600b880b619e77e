//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
)

// missing is a release whose image is nowhere.
func missing(p *corev1.PodTemplateSpec) { p.Spec.Containers[0].Image = "localhost/demoapp:missing" }

// crashing is a release that ends at its start. It has a label too, which a rollback has to take away again.
func crashing(p *corev1.PodTemplateSpec) {
	p.Labels["release"] = "broken"
	c := &p.Spec.Containers[0]
	c.Env = append(c.Env, corev1.EnvVar{Name: "FAIL_ON_START", Value: "3"})
}

// A release that cannot run goes back to the revision that was healthy. The Deployment's strategy keeps the old replicas until new
// ones are ready, so nobody notices.
func TestRemedyBadReleaseIsRolledBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		release func(*corev1.PodTemplateSpec)
		kind    incident.Kind
	}{
		{"image", missing, incident.ImagePull},
		{"crashing", crashing, incident.CrashLoop},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSpace(t, c.name)
			s.deploy(workload{replicas: 2, change: drains})
			s.expose()
			s.heal(nil)
			before := s.awaitReady(2)
			was, err := s.deployment(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			users := s.send(10, "hostname", nil)
			s.release(c.release)

			in := s.awaitIncident(c.kind, 4*time.Minute, inState(incident.Resolved))
			s.verify(healed(in, incident.RemedyRollback))
			s.awaitRollout()
			s.verify(users.answered(50))
			if diff := cmp.Diff(uids(before...), uids(s.awaitReady(2)...)); diff != "" {
				t.Errorf("the healthy replicas are others (-want +got):\n%s", diff)
			}
			now, err := s.deployment(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(was.Spec.Template, now.Spec.Template); diff != "" {
				t.Errorf("the template is not what it was (-want +got):\n%s", diff)
			}
			r := in.Status.Remediations[0]
			if r.Change == nil || r.Change.ToRevision != hash(&before[0]) || r.Change.FromRevision == r.Change.ToRevision {
				t.Errorf("it went %+v, want back to %s", r.Change, hash(&before[0]))
			}
			s.verify(calls(&r, "PATCH", "/deployments/web"))
			if spent := s.budget(); len(spent) != 1 || spent[0].ID != r.ID {
				t.Errorf("the budget has %v, want the one remediation %s", spent, r.ID)
			}
		})
	}
}

// In Observe mode the API server is asked whether it would accept the call, and nothing is changed.
func TestRemedyIsRehearsedInObserveMode(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "rehearsed")
	s.deploy(workload{replicas: 2})
	s.heal(func(p *v1alpha1.HealingPolicySpec) { p.Mode = v1alpha1.HealingObserve })
	before := s.awaitReady(2)
	s.release(missing)
	was, err := s.deployment(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	in := s.awaitIncident(incident.ImagePull, 2*time.Minute, func(in *v1alpha1.Incident) error {
		if err := ended(incident.RemedyRollback, incident.DryRun, healing.ReasonObserveOnly)(in); err != nil {
			return err
		}
		return calls(&in.Status.Remediations[0], "PATCH", "/namespaces/"+s.name+"/deployments/web")
	})
	if r := in.Status.Remediations[0]; !strings.Contains(r.Message, "the platform would accept it") || r.Change.ToRevision != hash(&before[0]) {
		t.Errorf("the dry run to %+v says %q", r.Change, r.Message)
	}
	time.Sleep(10 * time.Second) // ten passes in which nothing may happen
	s.unwritten(was)
	if gone := s.history.deleted(); len(gone) > 0 {
		t.Errorf("pods were deleted: %s", s.history.pods())
	}
	if spent := s.budget(); len(spent) > 0 {
		t.Errorf("the budget was charged: %v", spent)
	}
	in = s.awaitIncident(incident.ImagePull, time.Minute, inState(incident.Open))
	if len(in.Status.Remediations) != 1 {
		t.Errorf("want one record of what would be done:\n%s", describeIncident(in))
	}
}

// What Argo CD or Helm owns would be written back by them. The patch is proposed, and nothing is written.
func TestRemedyIsProposedWhereSomebodyElseOwnsTheSpec(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                string
		labels, annotations map[string]string
		owner               string
	}{
		{name: "argocd", annotations: map[string]string{"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/web"}, owner: "ArgoCD application shop"},
		{
			name: "helm", labels: map[string]string{"app.kubernetes.io/managed-by": "Helm"},
			annotations: map[string]string{"meta.helm.sh/release-name": "shop"}, owner: "Helm release shop",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSpace(t, c.name)
			s.deploy(workload{replicas: 2})
			s.own(c.labels, c.annotations)
			s.heal(nil)
			before := s.awaitReady(2)
			s.release(missing)
			was, err := s.deployment(t.Context())
			if err != nil {
				t.Fatal(err)
			}

			in := s.awaitIncident(incident.ImagePull, 2*time.Minute, func(in *v1alpha1.Incident) error {
				return inOrder(in, healing.ReasonOpened, healing.ReasonProposed, healing.ReasonManagedElsewhere)
			})
			if st := &in.Status; st.State != string(incident.Open) || st.Reason != string(healing.ReasonManagedElsewhere) || !strings.Contains(st.Message, c.owner) {
				t.Errorf("it is %s for %s: %q, want %q in it", st.State, st.Reason, st.Message, c.owner)
			}
			for _, want := range []string{"Rollback", "kind: Deployment", env.image, c.owner} {
				if !strings.Contains(in.Status.Proposal, want) {
					t.Errorf("the proposal lacks %q:\n%s", want, in.Status.Proposal)
				}
			}
			// What is proposed is a patch that the API server takes.
			s.applies(in.Status.Proposal)
			time.Sleep(8 * time.Second) // passes in which nothing may happen
			s.unwritten(was)
			in = s.awaitIncident(incident.ImagePull, time.Minute, inState(incident.Open))
			s.untouched(in)
			pods, err := s.pods(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range before {
				if !slices.Contains(uids(pods...), string(p.UID)) {
					t.Errorf("pod %s is gone", p.Name)
				}
			}
		})
	}
}
