//go:build e2e

package e2e

import (
	"context"
	"errors"
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
// members; the control plane moves their replicas, and Homeostat touches none. One of them fits nowhere else: that follows from the
// node too, until it is back. The test has the cluster for itself until then.
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
	s.run(part{name: "pair", replicas: 2, change: func(d *appsv1.Deployment) { // never two of it on one node
		d.Spec.Template.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{TopologyKey: corev1.LabelHostname, LabelSelector: d.Spec.Selector}},
		}}
	}})
	for _, name := range append([]string{"pair"}, parts...) {
		pods := s.awaitPart(name, 2)
		if !slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.Spec.NodeName == node }) {
			t.Fatalf("no pod of %s is on node %s, which has room", name, node)
		}
	}
	// It is also how long a node that came back is given to take its replicas.
	pendingAfter := 20 * time.Second
	s.healParts(func(p *v1alpha1.HealingPolicySpec) { p.PendingAfter = span(pendingAfter) })

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
		for _, name := range append([]string{"pair"}, parts...) {
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
	s.awaitNowhere("pair", node, in.Name, pendingAfter+5*time.Second)
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
	s.awaitPart("pair", 2)
	s.noRemediation(t, node)
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

// awaitNowhere waits until the part has had a replica that fits on no node for that long, and the incident about the node says so of the
// part.
func (s *space) awaitNowhere(name, node, incidentName string, long time.Duration) {
	s.t.Helper()
	s.await("a replica of "+name+" without a place that the incident about "+node+" tells of", 2*time.Minute, func(ctx context.Context) error {
		pods, err := s.podsOf(ctx, name)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(pods, func(p corev1.Pod) bool {
			return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
				return c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable && time.Since(c.LastTransitionTime.Time) > long
			})
		}) {
			return errors.New("no pod of it has waited for long enough")
		}
		in, err := env.own.Incidents(system).Get(ctx, incidentName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, m := range in.Status.Members {
			if m.Workload.Name == name && m.Workload.Namespace == s.name && incident.Kind(m.Finding) == incident.Unschedulable {
				return nil
			}
		}
		return fmt.Errorf("its members are %+v", in.Status.Members)
	})
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
