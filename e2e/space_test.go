//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/homeostat/homeostat/api/v1alpha1"
)

// space is one scenario's namespace. It goes with the test; if the test failed, what is in it is shown first.
type space struct {
	t       *testing.T
	name    string
	history *history
}

func newSpace(t *testing.T, name string) *space {
	t.Helper()
	ns, err := env.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "e2e-" + name + "-", Labels: map[string]string{ownLabel: "true"},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := &space{t: t, name: ns.Name}
	t.Cleanup(func() {
		ctx := context.Background() // the test's own has ended
		if t.Failed() {
			s.report(ctx)
		}
		s.history.end()
		if env.keep {
			return
		}
		if err := env.kube.CoreV1().Namespaces().Delete(ctx, s.name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	s.history = record(t, s.name)
	return s
}

// workload is a Deployment of demoapp, of the name "web".
type workload struct {
	replicas int32
	env      map[string]string
	memory   string // limit, default 128Mi
	// fails is true where the pods are not meant to get ready.
	fails  bool
	change func(*corev1.PodTemplateSpec)
}

const web = "web"

// deploy creates the Deployment and, unless it is meant to fail, waits until it is ready.
func (s *space) deploy(w workload) {
	s.t.Helper()
	labels := map[string]string{"app": web}
	probe := func(path string) *corev1.Probe {
		return &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt32(8080)}},
			PeriodSeconds: 2, TimeoutSeconds: 2, FailureThreshold: 2,
		}
	}
	if w.memory == "" {
		w.memory = "128Mi"
	}
	vars := []corev1.EnvVar{
		{Name: "POD_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
	}
	settings := map[string]string{"DRAIN": "0s"}
	maps.Copy(settings, w.env)
	for k, v := range settings {
		vars = append(vars, corev1.EnvVar{Name: k, Value: v})
	}
	pod := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
		TerminationGracePeriodSeconds: new(int64(2)), AutomountServiceAccountToken: new(false), EnableServiceLinks: new(false),
		Containers: []corev1.Container{{
			Name: web, Image: env.image, ImagePullPolicy: corev1.PullIfNotPresent, Env: vars, ReadinessProbe: probe("/readyz"),
			Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{"cpu": resource.MustParse("10m"), "memory": resource.MustParse("16Mi")},
				Limits:   corev1.ResourceList{"memory": resource.MustParse(w.memory)},
			},
		}},
	}}
	if w.change != nil {
		w.change(&pod)
	}
	_, err := env.kube.AppsV1().Deployments(s.name).Create(s.t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: web},
		Spec:       appsv1.DeploymentSpec{Replicas: &w.replicas, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: pod},
	}, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	if !w.fails {
		s.awaitReady(int(w.replicas))
	}
}

// expose creates a Service of the workload.
func (s *space) expose() {
	s.t.Helper()
	_, err := env.kube.CoreV1().Services(s.name).Create(s.t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: web},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": web},
			Ports:    []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
}

// heal creates a HealingPolicy over the workload: it acts, and its times are short. Call it when the workload is ready,
// so that a slow start is no finding.
func (s *space) heal(change func(*v1alpha1.HealingPolicySpec)) {
	s.t.Helper()
	p := &v1alpha1.HealingPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindHealingPolicy},
		ObjectMeta: metav1.ObjectMeta{Name: web},
		Spec: v1alpha1.HealingPolicySpec{
			Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": web}},
			Mode:     v1alpha1.HealingAct, Cooldown: span(time.Second), VerifyWithin: span(2 * time.Minute),
			ResolveAfter: span(5 * time.Second), NotReadyAfter: span(8 * time.Second), PendingAfter: span(2 * time.Second),
		},
	}
	if change != nil {
		change(&p.Spec)
	}
	if _, err := env.own.HealingPolicies(s.name).Create(s.t.Context(), p, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// scale creates an Autoscaler of the workload: 2 to 4 replicas, CPU at 40 % of the requests, down after five seconds.
func (s *space) scale(change func(*v1alpha1.AutoscalerSpec)) {
	s.t.Helper()
	a := &v1alpha1.Autoscaler{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindAutoscaler},
		ObjectMeta: metav1.ObjectMeta{Name: web},
		Spec: v1alpha1.AutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: web},
			MinReplicas:    new(int32(2)), MaxReplicas: 4,
			Metrics: []v1alpha1.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
				Name:   corev1.ResourceCPU,
				Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: new(int32(40))},
			}}},
			Behavior: &autoscalingv2.HorizontalPodAutoscalerBehavior{
				ScaleDown: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: new(int32(5))},
			},
			Timing: v1alpha1.AutoscalerTiming{CPUInitializationPeriod: span(10 * time.Second), InitialReadinessDelay: span(5 * time.Second)},
		},
	}
	if change != nil {
		change(&a.Spec)
	}
	if _, err := env.own.Autoscalers(s.name).Create(s.t.Context(), a, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// awaitAutoscaler waits until check accepts the Autoscaler, and returns it.
func (s *space) awaitAutoscaler(what string, limit time.Duration, check func(*v1alpha1.AutoscalerStatus) error) *v1alpha1.Autoscaler {
	s.t.Helper()
	var found *v1alpha1.Autoscaler
	s.await(what, limit, func(ctx context.Context) error {
		a, err := env.own.Autoscalers(s.name).Get(ctx, web, metav1.GetOptions{})
		if err != nil {
			return err
		}
		found = a
		return check(&a.Status)
	})
	return found
}

// pods returns the pods that are not on their way out.
func (s *space) pods(ctx context.Context) ([]corev1.Pod, error) {
	list, err := env.kube.CoreV1().Pods(s.name).List(ctx, metav1.ListOptions{LabelSelector: "app=" + web})
	if err != nil {
		return nil, err
	}
	var out []corev1.Pod
	for i := range list.Items {
		if list.Items[i].DeletionTimestamp == nil {
			out = append(out, list.Items[i])
		}
	}
	return out, nil
}

// awaitReady waits until exactly n pods exist and are ready, and returns them.
func (s *space) awaitReady(n int) []corev1.Pod {
	s.t.Helper()
	var pods []corev1.Pod
	s.await(fmt.Sprintf("%d ready pods", n), 2*time.Minute, func(ctx context.Context) (err error) {
		if pods, err = s.pods(ctx); err != nil {
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

// awaitPod waits until there is a pod, and returns it.
func (s *space) awaitPod() corev1.Pod {
	s.t.Helper()
	var pod corev1.Pod
	s.await("a pod", time.Minute, func(ctx context.Context) error {
		pods, err := s.pods(ctx)
		if err == nil && len(pods) == 0 {
			err = errors.New("there is none")
		}
		if err == nil {
			pod = pods[0]
		}
		return err
	})
	return pod
}

// pod returns the pod of that name; a test that lost it fails.
func (s *space) pod(name string) *corev1.Pod {
	s.t.Helper()
	p, err := env.kube.CoreV1().Pods(s.name).Get(s.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// ask sends a request to one pod, such as "/hang?probe=readiness".
func (s *space) ask(pod, request string) string {
	s.t.Helper()
	path, query, _ := strings.Cut(request, "?")
	params := map[string]string{}
	for pair := range strings.SplitSeq(query, "&") {
		if k, v, ok := strings.Cut(pair, "="); ok {
			params[k] = v
		}
	}
	var body []byte
	s.await("GET "+request, 20*time.Second, func(ctx context.Context) (err error) {
		body, err = env.kube.CoreV1().Pods(s.name).ProxyGet("http", pod, "8080", path, params).DoRaw(ctx)
		return err
	})
	return string(body)
}

// hang makes a pod stop answering its readiness probe, for longer than any test takes.
func (s *space) hang(pod string) {
	s.t.Helper()
	s.ask(pod, "/hang?probe=readiness&seconds=3600")
}

// budget returns the actions that the policy's status charges to the workload.
func (s *space) budget() []v1alpha1.SpentAction {
	s.t.Helper()
	p, err := env.own.HealingPolicies(s.name).Get(s.t.Context(), web, metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	var out []v1alpha1.SpentAction
	for _, b := range p.Status.Budgets {
		out = append(out, b.Actions...)
	}
	return out
}

// events returns how often an event of that reason was emitted about the object, and its last message.
func (s *space) events(ctx context.Context, kind, name, reason string) (n int32, message string, err error) {
	list, err := env.kube.CoreV1().Events(s.name).List(ctx, metav1.ListOptions{
		FieldSelector: fmt.Sprintf("involvedObject.kind=%s,involvedObject.name=%s,reason=%s", kind, name, reason),
	})
	if err != nil {
		return 0, "", err
	}
	for i := range list.Items {
		n += max(list.Items[i].Count, 1)
		message = list.Items[i].Message
	}
	return n, message, nil
}

// awaitEvent waits for an event about the workload and returns its message.
func (s *space) awaitEvent(reason string) string {
	s.t.Helper()
	var message string
	s.await("event "+reason, 20*time.Second, func(ctx context.Context) error {
		n, m, err := s.events(ctx, "Deployment", web, reason)
		if err == nil && n == 0 {
			err = errors.New("there is none")
		}
		message = m
		return err
	})
	return message
}

func span(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }
