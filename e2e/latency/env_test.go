//go:build e2e

package latency

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/homeostat/homeostat/api/client"
)

// The environment of the tests. hack/latency.sh and hack/mttr.sh set all of it.
const (
	envKubectl = "KUBECTL"        // default: kubectl of the PATH
	envImage   = "DEMOAPP_IMAGE"  // default: localhost/demoapp:dev
	envDeaths  = "LATENCY_DEATHS" // number of deaths that are measured, default 50
)

const (
	system   = "homeostat-system"
	ownLabel = "homeostat.dev/e2e"
	overlay  = "testdata/overlay"
	poll     = 200 * time.Millisecond
)

// cluster is the cluster under test and the ways to reach it.
type cluster struct {
	kube kubernetes.Interface
	own  *client.Client

	kubeconfig, kubectl, image string
}

// env is set before any test runs.
var env *cluster

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx := context.Background()
	var err error
	if env, err = connect(); err == nil {
		err = env.install(ctx)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "latency: %v\n", err)
		return 1
	}
	code := m.Run()
	if _, err := env.command(ctx, "delete", "--ignore-not-found", "--timeout=100s", "-k", overlay); err != nil {
		fmt.Fprintf(os.Stderr, "latency: remove Homeostat: %v\n", err)
		return max(code, 1)
	}
	return code
}

func connect() (*cluster, error) {
	c := &cluster{kubeconfig: os.Getenv("KUBECONFIG"), kubectl: fromEnv(envKubectl, "kubectl"), image: fromEnv(envImage, "localhost/demoapp:dev")}
	if c.kubeconfig == "" {
		return nil, errors.New("KUBECONFIG is not set: run hack/latency.sh or hack/mttr.sh, which make a cluster, or give it the one to use")
	}
	rest, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("KUBECONFIG: %w", err)
	}
	rest.QPS = -1
	if c.kube, err = kubernetes.NewForConfig(rest); err != nil {
		return nil, err
	}
	c.own, err = client.New(rest)
	return c, err
}

func fromEnv(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// install applies the manifests as users do and waits for the controllers. An installation that is not the tests' own is left alone.
func (c *cluster) install(ctx context.Context) error {
	ns, err := c.kube.CoreV1().Namespaces().Get(ctx, system, metav1.GetOptions{})
	switch {
	case err == nil && ns.Labels[ownLabel] == "":
		return fmt.Errorf("namespace %s exists and was not made by these tests, which would replace what is in it: use another cluster", system)
	case err != nil && !apierrors.IsNotFound(err):
		return err
	}
	if err := within(ctx, time.Minute, func(ctx context.Context) error {
		// The first try can come before the namespace or the CRDs are there to be used.
		_, err := c.command(ctx, "apply", "--server-side", "--force-conflicts", "-k", overlay)
		return err
	}); err != nil {
		return err
	}
	return c.controllers(ctx, 2)
}

// controllers sets the number of controllers and waits until it is so.
func (c *cluster) controllers(ctx context.Context, n int) error {
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, n)
	if _, err := c.kube.AppsV1().Deployments(system).Patch(ctx, "homeostat", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return err
	}
	return within(ctx, 2*time.Minute, func(ctx context.Context) error {
		list, err := c.kube.CoreV1().Pods(system).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=homeostat"})
		if err != nil {
			return err
		}
		ready := 0
		for i := range list.Items {
			if isReady(&list.Items[i]) {
				ready++
			}
		}
		if len(list.Items) != n || ready != n {
			return fmt.Errorf("%d controllers, %d of them ready, want %d", len(list.Items), ready, n)
		}
		if n == 0 {
			return nil
		}
		lease, err := c.kube.CoordinationV1().Leases(system).Get(ctx, "homeostat", metav1.GetOptions{})
		if err == nil && (lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "") {
			err = errors.New("no controller leads")
		}
		return err
	})
}

// command runs kubectl and returns what it wrote to its standard output.
func (c *cluster) command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.kubectl, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// within looks until check returns nil. The error is the last one of check and names the limit.
func within(ctx context.Context, limit time.Duration, check func(context.Context) error) error {
	deadline := time.Now().Add(limit)
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s: %w", limit, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-time.After(poll):
		}
	}
}

// namespace makes a namespace that goes with the test.
func namespace(t *testing.T, name string) string {
	t.Helper()
	ns, err := env.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "latency-" + name + "-", Labels: map[string]string{ownLabel: "true"},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The test's own context has ended.
		if err := env.kube.CoreV1().Namespaces().Delete(context.Background(), ns.Name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return ns.Name
}

// deployment is one of demoapp, with a readiness probe.
func deployment(name string, replicas int32, memory string, vars map[string]string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	settings := []corev1.EnvVar{{Name: "DRAIN", Value: "0s"}}
	for k, v := range vars {
		settings = append(settings, corev1.EnvVar{Name: k, Value: v})
	}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				TerminationGracePeriodSeconds: new(int64(2)), AutomountServiceAccountToken: new(false), EnableServiceLinks: new(false),
				DNSPolicy: corev1.DNSDefault,
				Containers: []corev1.Container{{
					Name: "app", Image: env.image, ImagePullPolicy: corev1.PullIfNotPresent, Env: settings,
					ReadinessProbe: &corev1.Probe{
						ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/readyz", Port: intstr.FromInt32(8080)}},
						PeriodSeconds: 2, TimeoutSeconds: 2, FailureThreshold: 2,
					},
					Resources: corev1.ResourceRequirements{
						Requests: corev1.ResourceList{"cpu": resource.MustParse("5m"), "memory": resource.MustParse("16Mi")},
						Limits:   corev1.ResourceList{"memory": resource.MustParse(memory)},
					},
				}},
			}},
		},
	}
}

func create(t *testing.T, ns string, d *appsv1.Deployment) {
	t.Helper()
	if _, err := env.kube.AppsV1().Deployments(ns).Create(t.Context(), d, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func isReady(p *corev1.Pod) bool {
	for i := range p.Status.Conditions {
		if c := &p.Status.Conditions[i]; c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// load is the machine's load averages.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "not known"
	}
	return strings.Join(strings.Fields(string(text))[:3], ", ")
}
