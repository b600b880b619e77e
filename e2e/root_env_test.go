//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
)

// part is one of several Deployments of demoapp in a namespace: what a workload is to a test of one, by name.
type part struct {
	name     string
	replicas int32
	env      map[string]string
	labels   map[string]string // beside app: NAME
	change   func(*appsv1.Deployment)
}

// run creates the Deployment. All parts have the label heal, which a policy of parts selects.
func (s *space) run(p part) {
	s.t.Helper()
	labels := map[string]string{"app": p.name, "heal": "parts"}
	maps.Copy(labels, p.labels)
	vars := []corev1.EnvVar{
		{Name: "POD_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
		{Name: "DRAIN", Value: "0s"},
	}
	for _, k := range slices.Sorted(maps.Keys(p.env)) {
		vars = append(vars, corev1.EnvVar{Name: k, Value: p.env[k]})
	}
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: p.name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &p.replicas, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": p.name}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				TerminationGracePeriodSeconds: new(int64(2)), AutomountServiceAccountToken: new(false), EnableServiceLinks: new(false),
				Containers: []corev1.Container{{
					Name: "app", Image: env.image, ImagePullPolicy: corev1.PullIfNotPresent, Env: vars,
					ReadinessProbe: &corev1.Probe{
						ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/readyz", Port: intstr.FromInt32(8080)}},
						PeriodSeconds: 2, TimeoutSeconds: 2, FailureThreshold: 2,
					},
					Resources: corev1.ResourceRequirements{
						Requests: corev1.ResourceList{"cpu": resource.MustParse("10m"), "memory": resource.MustParse("16Mi")},
						Limits:   corev1.ResourceList{"memory": resource.MustParse("128Mi")},
					},
				}},
			}},
		},
	}
	if p.change != nil {
		p.change(d)
	}
	if _, err := env.kube.AppsV1().Deployments(s.name).Create(s.t.Context(), d, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// serve creates a Service of what the selector selects, on port 80, and returns its address.
func (s *space) serve(name string, selector, annotations map[string]string) (ip string) {
	s.t.Helper()
	svc, err := env.kube.CoreV1().Services(s.name).Create(s.t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations},
		Spec:       corev1.ServiceSpec{Selector: selector, Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}}},
	}, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return svc.Spec.ClusterIP
}

// healParts creates a policy over all parts.
func (s *space) healParts(change func(*v1alpha1.HealingPolicySpec)) {
	s.t.Helper()
	s.heal(func(p *v1alpha1.HealingPolicySpec) {
		p.Selector = metav1.LabelSelector{MatchLabels: map[string]string{"heal": "parts"}}
		if change != nil {
			change(p)
		}
	})
}

// podsOf returns the part's pods that are not on their way out.
func (s *space) podsOf(ctx context.Context, name string) ([]corev1.Pod, error) {
	list, err := env.kube.CoreV1().Pods(s.name).List(ctx, metav1.ListOptions{LabelSelector: "app=" + name})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil }), nil
}

// awaitPart waits until exactly n pods of the part exist and are ready, and returns them.
func (s *space) awaitPart(name string, n int) []corev1.Pod {
	s.t.Helper()
	var pods []corev1.Pod
	s.await(fmt.Sprintf("%d ready pods of %s", n, name), 2*time.Minute, func(ctx context.Context) (err error) {
		if pods, err = s.podsOf(ctx, name); err != nil {
			return err
		}
		if len(pods) != n {
			return fmt.Errorf("there are %d pods", len(pods))
		}
		for i := range pods {
			if !isReady(&pods[i]) {
				return fmt.Errorf("pod %s: %s", pods[i].Name, describePod(&pods[i]))
			}
		}
		return nil
	})
	return pods
}

// awaitAbout waits for the one incident about a workload that check accepts, and returns it. Others about the same workload
// must be of an allowed kind.
func (s *space) awaitAbout(name string, kind incident.Kind, limit time.Duration, check func(*v1alpha1.Incident) error, allowed ...incident.Kind) *v1alpha1.Incident {
	s.t.Helper()
	return awaitIncidentIn(s.t, s.name, name, kind, limit, check, allowed...)
}

// awaitIncidentIn is awaitAbout for any namespace.
func awaitIncidentIn(
	t *testing.T, namespace, about string, kind incident.Kind, limit time.Duration, check func(*v1alpha1.Incident) error, allowed ...incident.Kind,
) *v1alpha1.Incident {
	t.Helper()
	var found *v1alpha1.Incident
	if err := within(t.Context(), limit, func(ctx context.Context) error {
		list, err := env.own.Incidents(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		last := fmt.Errorf("there is none among %d", len(list.Items))
		for i := range list.Items {
			in := &list.Items[i]
			k := incident.Kind(in.Status.Finding)
			switch {
			case in.Status.Workload.Name != about:
			case k == kind:
				if last = check(in); last == nil {
					found = in
					return nil
				}
				last = fmt.Errorf("%w\n%s", last, describeIncident(in))
			case !contains(allowed, k):
				return never("an incident of another kind: %s", describeIncident(in))
			}
		}
		return last
	}); err != nil {
		t.Fatalf("incident %s about %s: %v", kind, about, err)
	}
	return found
}

// all accepts what every check accepts.
func all(checks ...func(*v1alpha1.Incident) error) func(*v1alpha1.Incident) error {
	return func(in *v1alpha1.Incident) error {
		for _, check := range checks {
			if err := check(in); err != nil {
				return err
			}
		}
		return nil
	}
}

// hasMembers accepts an incident with exactly these workloads as members, sorted by name.
func hasMembers(want ...string) func(*v1alpha1.Incident) error {
	return func(in *v1alpha1.Incident) error {
		var got []string
		for _, m := range in.Status.Members {
			got = append(got, m.Workload.Name)
		}
		if slices.Sort(got); !slices.Equal(got, want) || int(in.Status.MemberCount) != len(want) {
			return fmt.Errorf("its members are %v (%d), want %v", got, in.Status.MemberCount, want)
		}
		return nil
	}
}

// waitsFor accepts an incident that follows from the root and is left alone for that.
func waitsFor(root string, reason healing.Reason) func(*v1alpha1.Incident) error {
	return func(in *v1alpha1.Incident) error {
		if in.Status.Root != root || in.Status.Reason != string(reason) {
			return fmt.Errorf("its root is %q and its reason %s (%s), want %q and %s", in.Status.Root, in.Status.Reason, in.Status.Message, root, reason)
		}
		return nil
	}
}

// openedSince accepts an incident of this test: one of an earlier run may still be kept.
func openedSince(began time.Time) func(*v1alpha1.Incident) error {
	return func(in *v1alpha1.Incident) error {
		if in.Status.OpenedAt == nil || in.Status.OpenedAt.Time.Before(began) {
			return errors.New("it is an older one")
		}
		return nil
	}
}
