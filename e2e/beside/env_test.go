//go:build e2e

package beside

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/homeostat/homeostat/api/client"
)

// The environment of the tests. hack/beside.sh sets all of it.
const (
	envBeside  = "BESIDE"        // 1: run; the cluster of the other end-to-end tests has no native controller to be beside
	envKubectl = "KUBECTL"       // default: kubectl of the PATH
	envImage   = "DEMOAPP_IMAGE" // default: localhost/demoapp:dev
	envResults = "RESULTS"       // folder of what was recorded; default: dist/beside of the checkout
	envKeep    = "KEEP"          // 1: leave everything in the cluster
	// envCPUInit is the cpu initialization period that the native controller runs with. It has it as a flag, Homeostat
	// has it per object.
	envCPUInit = "CPU_INITIALIZATION_PERIOD" // default: 5m, Kubernetes' own
	envRuns    = "REACTION_RUNS"             // number of measured steps of load; without it there is no measurement
	envAtOnce  = "REACTION_AT_ONCE"          // how many of them side by side, default 2
)

const (
	system   = "homeostat-system"
	ownLabel = "homeostat.dev/e2e"
	overlay  = "testdata/overlay"
	poll     = 500 * time.Millisecond
)

// cluster is the cluster under test and the ways to reach it.
type cluster struct {
	kube kubernetes.Interface
	own  *client.Client

	kubeconfig, kubectl, image, results, version string

	cpuInit time.Duration
	keep    bool
}

// env is set before any test runs.
var env *cluster

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Getenv(envBeside) != "1" {
		fmt.Println("beside the native HPA: left out, hack/beside.sh runs it on a lab of its own")
		return 0
	}
	ctx := context.Background()
	var err error
	if env, err = connect(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "beside: %v\n", err)
		return 1
	}
	if err := env.install(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "beside: install Homeostat: %v\n%s\n", err, env.controllerLogs(ctx, "", 60))
		return 1
	}
	code := m.Run()
	if !env.keep {
		if _, err := env.command(ctx, env.kubectl, "delete", "--ignore-not-found", "--timeout=100s", "-k", overlay); err != nil {
			fmt.Fprintf(os.Stderr, "beside: remove Homeostat: %v\n", err)
			return max(code, 1)
		}
	}
	return code
}

func connect(ctx context.Context) (*cluster, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	c := &cluster{
		kubeconfig: os.Getenv("KUBECONFIG"), kubectl: fromEnv(envKubectl, "kubectl"), image: fromEnv(envImage, "localhost/demoapp:dev"),
		results: fromEnv(envResults, filepath.Join(root, "dist", "beside")), keep: os.Getenv(envKeep) == "1",
	}
	if c.kubeconfig == "" {
		return nil, errors.New("KUBECONFIG is not set: run hack/beside.sh, which makes a cluster, or give it the one to use")
	}
	if c.cpuInit, err = time.ParseDuration(fromEnv(envCPUInit, "5m")); err != nil {
		return nil, fmt.Errorf("%s: %w", envCPUInit, err)
	}
	if err := os.MkdirAll(c.results, 0o755); err != nil {
		return nil, fmt.Errorf("%s: %w", envResults, err)
	}
	rest, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("KUBECONFIG: %w", err)
	}
	rest.QPS = -1 // the load goes through this client
	if c.kube, err = kubernetes.NewForConfig(rest); err != nil {
		return nil, err
	}
	if c.own, err = client.New(rest); err != nil {
		return nil, err
	}
	version, err := c.kube.Discovery().ServerVersion()
	if err != nil {
		return nil, fmt.Errorf("reach the cluster of KUBECONFIG %s: %w", c.kubeconfig, err)
	}
	c.version = version.GitVersion
	return c, within(ctx, time.Minute, func(ctx context.Context) error {
		_, err := c.usages(ctx, metav1.NamespaceAll)
		return err
	})
}

func fromEnv(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// install applies the manifests as users do and waits for the controllers. An installation that is not the tests' own is
// left alone.
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
		_, err := c.command(ctx, c.kubectl, "apply", "--server-side", "--force-conflicts", "-k", overlay)
		return err
	}); err != nil {
		return err
	}
	_, err = c.command(ctx, c.kubectl, "-n", system, "rollout", "status", "deployment/homeostat", "--timeout=2m")
	return err
}

// command runs a program against the cluster and returns what it wrote to its standard output.
func (c *cluster) command(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// controllerLogs returns the last lines of the controllers' logs that contain a text.
func (c *cluster) controllerLogs(ctx context.Context, about string, lines int) string {
	list, err := c.kube.CoreV1().Pods(system).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=homeostat"})
	if err != nil {
		return err.Error()
	}
	var out strings.Builder
	for i := range list.Items {
		log, err := c.kube.CoreV1().Pods(system).GetLogs(list.Items[i].Name, &corev1.PodLogOptions{}).DoRaw(ctx)
		if err != nil {
			continue // there is none yet
		}
		var kept []string
		for line := range strings.Lines(string(log)) {
			if strings.Contains(line, about) {
				kept = append(kept, line)
			}
		}
		fmt.Fprintf(&out, "%s:\n%s", list.Items[i].Name, strings.Join(kept[max(0, len(kept)-lines):], ""))
	}
	return out.String()
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
		if !pause(ctx, poll) {
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}

// pause waits; it returns false if the context ended first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
