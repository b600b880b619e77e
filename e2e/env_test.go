//go:build e2e

package e2e

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

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/homeostat/homeostat/api/client"
)

// The environment of the tests. hack/e2e.sh sets all of it.
const (
	envKubectl   = "KUBECTL"       // default: kubectl of the PATH
	envHomeostat = "HOMEOSTAT"     // default: bin/homeostat of the checkout
	envLab       = "E2E_LAB"       // the lab's tool, where the cluster is a lab: it can restart the API server
	envImage     = "DEMOAPP_IMAGE" // default: localhost/demoapp:dev
	envKeep      = "KEEP"          // 1: leave everything in the cluster
)

// cluster is the cluster under test and the programs to reach it with.
type cluster struct {
	rest    *rest.Config
	kube    kubernetes.Interface
	own     *client.Client
	objects dynamic.Interface

	kubeconfig, kubectl, homeostat, lab, image string

	keep bool
}

// env is set before any test runs.
var env *cluster

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Getenv(envAdapter) != "" {
		return runAdapter()
	}
	var err error
	if env, err = connect(); err != nil {
		fmt.Fprintf(os.Stderr, "e2e: %v\n", err)
		return 1
	}
	ctx := context.Background()
	began := time.Now()
	if err := env.install(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "e2e: install Homeostat: %v\n%s\n", err, env.controllerLogs(ctx, "", 60))
		return 1
	}
	fmt.Printf("    Homeostat is installed and has a leader (%.1fs)\n", time.Since(began).Seconds())
	code := m.Run()
	if code != 0 {
		fmt.Printf("=== the controllers' logs, last lines\n%s\n", env.controllerLogs(ctx, "", 60))
	}
	if !env.keep {
		if err := env.uninstall(ctx); err != nil {
			fmt.Fprintf(os.Stderr, "e2e: remove Homeostat: %v\n", err)
			return max(code, 1)
		}
	}
	return code
}

func connect() (*cluster, error) {
	root, err := filepath.Abs("..")
	if err != nil {
		return nil, err
	}
	c := &cluster{
		kubeconfig: os.Getenv("KUBECONFIG"), kubectl: fromEnv(envKubectl, "kubectl"), lab: os.Getenv(envLab),
		homeostat: fromEnv(envHomeostat, filepath.Join(root, "bin", "homeostat")),
		image:     fromEnv(envImage, "localhost/demoapp:dev"), keep: os.Getenv(envKeep) == "1",
	}
	if c.kubeconfig == "" {
		return nil, errors.New("KUBECONFIG is not set: run hack/e2e.sh, which makes a cluster, or give it the one to use")
	}
	for name, program := range map[string]string{envKubectl: c.kubectl, envHomeostat: c.homeostat} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if c.rest, err = clientcmd.BuildConfigFromFlags("", c.kubeconfig); err != nil {
		return nil, fmt.Errorf("KUBECONFIG: %w", err)
	}
	c.rest.QPS = -1 // the tests send load through this client
	if c.kube, err = kubernetes.NewForConfig(c.rest); err != nil {
		return nil, err
	}
	if c.own, err = client.New(c.rest); err != nil {
		return nil, err
	}
	if c.objects, err = dynamic.NewForConfig(c.rest); err != nil {
		return nil, err
	}
	nodes, err := c.kube.CoreV1().Nodes().List(context.Background(), metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("reach the cluster of KUBECONFIG %s: %w", c.kubeconfig, err)
	}
	if len(nodes.Items) == 0 {
		return nil, fmt.Errorf("the cluster of KUBECONFIG %s has no node", c.kubeconfig)
	}
	return c, nil
}

func fromEnv(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// command runs a program against the cluster and returns what it wrote to its standard output.
func (c *cluster) command(ctx context.Context, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}
