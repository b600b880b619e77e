//go:build e2e

package beside

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
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

const web = "web"

// Who scales a Deployment.
const (
	stock     = "stock"     // a HorizontalPodAutoscaler
	homeostat = "homeostat" // an Autoscaler
	app       = "app"       // an Autoscaler that also reads the app's own metrics page
)

// plan is what is the same on all sides.
type plan struct {
	replicas, min, max int32
	metric             corev1.ResourceName
	target             int32 // percent of the requests
	behavior           *autoscalingv2.HorizontalPodAutoscalerBehavior
	cpu, memory        string // requests of each replica
	cpuLimit           string // empty: none
	memoryLimit        string
	env                map[string]string
	sidecarCPU         string // request of a second container; empty: there is none
}

// side is one namespace with a Deployment of demoapp and whoever scales it.
type side struct {
	t    *testing.T
	by   string
	name string // of the namespace
	plan *plan
}

func newSide(t *testing.T, scenario, by string, p *plan) *side {
	t.Helper()
	ns, err := env.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "beside-" + scenario + "-" + by + "-", Labels: map[string]string{ownLabel: "true"},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := &side{t: t, by: by, name: ns.Name, plan: p}
	t.Cleanup(func() {
		if t.Failed() && by != stock {
			t.Logf("the controllers about %s:\n%s", s.name, env.controllerLogs(context.Background(), s.name, 30))
		}
		s.remove(context.Background()) // the test's own has ended
	})
	s.deploy()
	s.expose()
	return s
}

// remove deletes everything of this side.
func (s *side) remove(ctx context.Context) {
	if env.keep {
		return
	}
	if err := env.kube.CoreV1().Namespaces().Delete(ctx, s.name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}); err != nil {
		s.t.Logf("clean up %s: %v", s.name, err)
	}
}

func quantities(pairs ...string) corev1.ResourceList {
	out := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
		}
	}
	return out
}

func (s *side) deploy() {
	s.t.Helper()
	p := s.plan
	labels := map[string]string{"app": web}
	settings := map[string]string{"DRAIN": "0s"}
	maps.Copy(settings, p.env)
	vars := []corev1.EnvVar{
		{Name: "POD_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
	}
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		vars = append(vars, corev1.EnvVar{Name: k, Value: settings[k]})
	}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
		TerminationGracePeriodSeconds: new(int64(2)), AutomountServiceAccountToken: new(false), EnableServiceLinks: new(false),
		Containers: []corev1.Container{{
			Name: web, Image: env.image, ImagePullPolicy: corev1.PullIfNotPresent, Env: vars,
			// A replica at its limit answers slowly, and is ready.
			ReadinessProbe: &corev1.Probe{
				ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/readyz", Port: intstr.FromInt32(8080)}},
				PeriodSeconds: 2, TimeoutSeconds: 5, FailureThreshold: 3,
			},
			Resources: corev1.ResourceRequirements{
				Requests: quantities("cpu", p.cpu, "memory", p.memory), Limits: quantities("cpu", p.cpuLimit, "memory", p.memoryLimit),
			},
		}},
	}}
	if p.sidecarCPU != "" {
		template.Spec.Containers = append(template.Spec.Containers, corev1.Container{
			Name: "sidecar", Image: env.image, ImagePullPolicy: corev1.PullIfNotPresent,
			Env:       []corev1.EnvVar{{Name: "PORT", Value: "8081"}},
			Resources: corev1.ResourceRequirements{Requests: quantities("cpu", p.sidecarCPU, "memory", "16Mi")},
		})
	}
	_, err := env.kube.AppsV1().Deployments(s.name).Create(s.t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: web},
		Spec:       appsv1.DeploymentSpec{Replicas: &p.replicas, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template},
	}, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *side) expose() {
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

// autoscale creates the autoscaler of this side. Both kinds get the same spec; what the native controller has as a flag for
// all of them stands in the Autoscaler's timing.
func (s *side) autoscale() {
	s.t.Helper()
	p := s.plan
	target := autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: web}
	metric := &autoscalingv2.ResourceMetricSource{
		Name: p.metric, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &p.target},
	}
	var err error
	if s.by == stock {
		_, err = env.kube.AutoscalingV2().HorizontalPodAutoscalers(s.name).Create(s.t.Context(), &autoscalingv2.HorizontalPodAutoscaler{
			ObjectMeta: metav1.ObjectMeta{Name: web},
			Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
				ScaleTargetRef: target, MinReplicas: &p.min, MaxReplicas: p.max, Behavior: p.behavior,
				Metrics: []autoscalingv2.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType, Resource: metric}},
			},
		}, metav1.CreateOptions{})
	} else {
		a := &v1alpha1.Autoscaler{
			TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindAutoscaler},
			ObjectMeta: metav1.ObjectMeta{Name: web},
			Spec: v1alpha1.AutoscalerSpec{
				ScaleTargetRef: target, MinReplicas: &p.min, MaxReplicas: p.max, Behavior: p.behavior,
				Metrics: []v1alpha1.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType, Resource: metric}},
				Timing:  v1alpha1.AutoscalerTiming{CPUInitializationPeriod: &metav1.Duration{Duration: env.cpuInit}},
			},
		}
		if s.by == app {
			a.Spec.AppMetrics = &v1alpha1.AppMetrics{Port: intstr.FromInt32(8080)}
		}
		_, err = env.own.Autoscalers(s.name).Create(s.t.Context(), a, metav1.CreateOptions{})
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// judged returns the average utilization that the autoscaler has last seen and the sentence that it says about it.
func (s *side) judged(ctx context.Context) (utilization *int32, says string, err error) {
	var metrics []autoscalingv2.MetricStatus
	if s.by == stock {
		h, err := env.kube.AutoscalingV2().HorizontalPodAutoscalers(s.name).Get(ctx, web, metav1.GetOptions{})
		if err != nil {
			return nil, "", err
		}
		metrics = h.Status.CurrentMetrics
		for i := range h.Status.Conditions {
			if c := &h.Status.Conditions[i]; c.Status == corev1.ConditionTrue || c.Type == autoscalingv2.ScalingActive {
				says += fmt.Sprintf("%s: %s. ", c.Reason, c.Message)
			}
		}
	} else {
		a, err := env.own.Autoscalers(s.name).Get(ctx, web, metav1.GetOptions{})
		if err != nil {
			return nil, "", err
		}
		metrics = a.Status.CurrentMetrics
		if d := a.Status.LastDecision; d != nil {
			says = d.Reason + ": " + d.Message
		}
	}
	for i := range metrics {
		if r := metrics[i].Resource; r != nil {
			utilization = r.Current.AverageUtilization
		}
	}
	return utilization, strings.TrimSpace(says), nil
}

// awaitJudged waits until the autoscaler has seen the usage of its target.
func (s *side) awaitJudged() {
	s.t.Helper()
	if err := within(s.t.Context(), 3*time.Minute, func(ctx context.Context) error {
		u, says, err := s.judged(ctx)
		if err == nil && u == nil {
			err = fmt.Errorf("it knows of no usage: %s", says)
		}
		return err
	}); err != nil {
		s.t.Fatalf("the autoscaler of %s: %v", s.name, err)
	}
}

// pods returns the pods that are not on their way out, by name.
func (s *side) pods(ctx context.Context) ([]corev1.Pod, error) {
	list, err := env.kube.CoreV1().Pods(s.name).List(ctx, metav1.ListOptions{LabelSelector: "app=" + web})
	if err != nil {
		return nil, err
	}
	out := slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
	slices.SortFunc(out, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// awaitReady waits until the Deployment asks for n replicas and has them ready, and returns them.
func (s *side) awaitReady(n int32, limit time.Duration) (pods []corev1.Pod, err error) {
	return pods, within(s.t.Context(), limit, func(ctx context.Context) error {
		d, err := env.kube.AppsV1().Deployments(s.name).Get(ctx, web, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if *d.Spec.Replicas != n || d.Status.ReadyReplicas != n || d.Status.Replicas != n {
			return fmt.Errorf("%d wanted, %d there, %d ready", *d.Spec.Replicas, d.Status.Replicas, d.Status.ReadyReplicas)
		}
		if pods, err = s.pods(ctx); err == nil && len(pods) != int(n) {
			err = fmt.Errorf("%d pods", len(pods))
		}
		return err
	})
}

// ask sends a request to one pod, such as "/crash?code=1".
func (s *side) ask(ctx context.Context, pod, request string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	path, params := parts(request)
	_, err := env.kube.CoreV1().Pods(s.name).ProxyGet("http", pod, "8080", path, params).DoRaw(ctx)
	return err
}

func parts(request string) (path string, params map[string]string) {
	path, query, _ := strings.Cut(request, "?")
	params = map[string]string{}
	for pair := range strings.SplitSeq(query, "&") {
		if k, v, ok := strings.Cut(pair, "="); ok {
			params[k] = v
		}
	}
	return path, params
}

// traffic sends requests to the Service at a fixed rate, each of which costs as much CPU time, until the returned function
// is called. At most inFlight of them wait for an answer; those that are due beyond are lost, as with clients that give up.
func (s *side) traffic(perSecond int, cost time.Duration, inFlight int) (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	var running sync.WaitGroup
	params := map[string]string{"ms": strconv.FormatInt(cost.Milliseconds(), 10)}
	slots := make(chan struct{}, inFlight)
	send := func() {
		select {
		case slots <- struct{}{}:
		default:
			return
		}
		running.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
			defer cancel()
			// One that fails is load that is missing, which shows in what is recorded.
			_, _ = env.kube.CoreV1().Services(s.name).ProxyGet("http", web, "80", "cpu-load", params).DoRaw(ctx)
		})
	}
	running.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		for ctx.Err() == nil {
			send()
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// usages returns what metrics-server says of each pod of the namespace: thousandths of a core and bytes, by container.
func (c *cluster) usages(ctx context.Context, namespace string) (map[string]map[string]usage, error) {
	path := "/apis/metrics.k8s.io/v1beta1/pods"
	if namespace != metav1.NamespaceAll {
		path = "/apis/metrics.k8s.io/v1beta1/namespaces/" + namespace + "/pods"
	}
	raw, err := c.kube.Discovery().RESTClient().Get().AbsPath(path).DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("read metrics.k8s.io, which the native controller reads: %w", err)
	}
	var list struct {
		Items []struct {
			Metadata   metav1.ObjectMeta `json:"metadata"`
			Containers []struct {
				Name  string              `json:"name"`
				Usage corev1.ResourceList `json:"usage"`
			} `json:"containers"`
		} `json:"items"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, errors.Join(errors.New("read metrics.k8s.io"), err)
	}
	out := map[string]map[string]usage{}
	for i := range list.Items {
		of := map[string]usage{}
		for _, c := range list.Items[i].Containers {
			of[c.Name] = usage{CPU: c.Usage.Cpu().MilliValue(), Memory: c.Usage.Memory().Value()}
		}
		out[list.Items[i].Metadata.Name] = of
	}
	return out, nil
}

// usage of one container.
type usage struct {
	CPU    int64 `json:"cpu"`    // thousandths of a core
	Memory int64 `json:"memory"` // bytes
}
