//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
)

// A node is lost with replicas of several workloads on it. That is one incident, about the node, and the workloads are its
// members; the control plane moves their replicas, and Homeostat touches none. The test has the cluster for itself until the
// node is back.
func TestALostNodeIsOneIncident(t *testing.T) {
	node, began := secondNode(t), time.Now()
	s := newSpace(t, "node")
	parts := []string{"api", "page", "worker"}
	spread := func(d *appsv1.Deployment) {
		d.Spec.Template.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: d.Spec.Selector,
		}}
	}
	for _, name := range parts {
		s.run(part{name: name, replicas: 2, change: spread})
	}
	for _, name := range parts {
		pods := s.awaitPart(name, 2)
		if !slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.Spec.NodeName == node }) {
			t.Fatalf("no pod of %s is on node %s, which has room", name, node)
		}
	}
	s.healParts(nil)

	back := func(ctx context.Context) error {
		_, err := env.command(ctx, env.lab, "start", "kubelet-"+node)
		return err
	}
	t.Cleanup(func() {
		if err := back(context.Background()); err != nil { // the test's own context has ended
			t.Error(err)
		}
	})
	if _, err := env.command(t.Context(), env.lab, "stop", "kubelet-"+node); err != nil {
		t.Fatal(err)
	}
	in := awaitIncidentIn(t, system, node, incident.NodeNotReady, 3*time.Minute, all(openedSince(began), inState(incident.Open), func(in *v1alpha1.Incident) error {
		for _, name := range parts {
			if !slices.ContainsFunc(in.Status.Members, func(m v1alpha1.IncidentMember) bool {
				return m.Workload.Namespace == s.name && m.Workload.Name == name
			}) {
				return fmt.Errorf("%s is no member of it", name)
			}
		}
		return nil
	}))
	if ref := in.Status.Workload; ref.Kind != "Node" || in.Status.Reason != string(healing.ReasonNodeNotReady) {
		t.Errorf("the incident is about %s %s, reason %s", ref.Kind, ref.Name, in.Status.Reason)
	}
	// The control plane moves them, so the other node has two of each by now.
	for _, name := range parts {
		s.awaitPart(name, 2)
	}
	s.noRemediation(t, node)

	if err := back(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := within(t.Context(), 2*time.Minute, func(ctx context.Context) error {
		n, err := env.kube.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue {
				return fmt.Errorf("node %s is not ready: %s", node, c.Message)
			}
		}
		return env.controllersWell(ctx)
	}); err != nil {
		t.Fatal(err)
	}
	t.Parallel() // what is left disturbs nobody: its incident is resolved once it was ready for two minutes
	awaitIncidentIn(t, system, node, incident.NodeNotReady, 4*time.Minute, all(openedSince(began), inState(incident.Resolved), func(now *v1alpha1.Incident) error {
		if now.Name != in.Name {
			return never("there is a second incident about the node: %s", describeIncident(now))
		}
		return nil
	}))
	s.noRemediation(t, node)
	if evicted := s.history.evicted(); len(evicted) > 0 {
		t.Errorf("pods were evicted: %s", s.history.pods())
	}
}

// secondNode returns a node beside the one on which the control plane of a lab runs.
func secondNode(t *testing.T) string {
	t.Helper()
	if env.lab == "" {
		t.Skip("SKIPPED: this cluster is not a lab, so no node of it can be stopped")
	}
	nodes, err := env.kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(nodes.Items) < 2 {
		t.Skip("SKIPPED: this lab has one node, and the control plane needs it: NODES=2 makes two")
	}
	return nodes.Items[len(nodes.Items)-1].Name
}

// noRemediation fails the test where a workload of the namespace has an incident for the node or where anything was done.
func (s *space) noRemediation(t *testing.T, node string) {
	t.Helper()
	list, err := s.incidents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		// That a replica was disrupted is a notice, which nothing follows from.
		if in := &list[i]; incident.Kind(in.Status.Finding) != incident.Disrupted || len(in.Status.Remediations) > 0 {
			t.Errorf("beside the incident about node %s there is: %s", node, describeIncident(in))
		}
	}
}
