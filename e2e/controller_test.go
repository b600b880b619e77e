//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/homeostat/homeostat/api/v1alpha1"
)

// Where the manifests put the controller.
const (
	system      = "homeostat-system"
	controller  = "homeostat" // Deployment, Lease and service account
	ownLabel    = "homeostat.dev/e2e"
	overlay     = "testdata/overlay"
	podSelector = "app.kubernetes.io/name=homeostat"
	replicas    = 2
)

// install applies the manifests and waits for both controllers and a leader. An installation that is not the tests' own
// is left alone.
func (c *cluster) install(ctx context.Context) error {
	ns, err := c.kube.CoreV1().Namespaces().Get(ctx, system, metav1.GetOptions{})
	existed := err == nil
	switch {
	case existed && ns.Labels[ownLabel] == "":
		return fmt.Errorf("namespace %s exists and was not made by these tests, which would replace what is in it: use another cluster", system)
	case err != nil && !apierrors.IsNotFound(err):
		return err
	case !existed:
		// Whoever removes the CRDs removes every object of theirs, so they must be the tests' own too.
		if _, err := c.kube.Discovery().ServerResourcesForGroupVersion(v1alpha1.APIVersion); err == nil {
			return fmt.Errorf("the cluster has the CRDs of %s, and they were not made by these tests: use another cluster", v1alpha1.APIVersion)
		} else if !apierrors.IsNotFound(err) {
			return err
		}
	}
	if err := within(ctx, time.Minute, func(ctx context.Context) error {
		// The first try can come before the namespace or the CRDs are there to be used.
		_, err := c.command(ctx, c.kubectl, "apply", "--server-side", "--force-conflicts", "-k", overlay)
		return err
	}); err != nil {
		return err
	}
	if existed { // the image may be another one under the same name
		if _, err := c.command(ctx, c.kubectl, "-n", system, "rollout", "restart", "deployment/"+controller); err != nil {
			return err
		}
		if _, err := c.command(ctx, c.kubectl, "-n", system, "rollout", "status", "deployment/"+controller, "--timeout=2m"); err != nil {
			return err
		}
	}
	return within(ctx, 2*time.Minute, c.controllersWell)
}

func (c *cluster) uninstall(ctx context.Context) error {
	_, err := c.command(ctx, c.kubectl, "delete", "--ignore-not-found", "--timeout=100s", "-k", overlay)
	return err
}

// controllersWell returns nil if both controllers are ready and exactly one of them leads, by the Lease and by its own
// account.
func (c *cluster) controllersWell(ctx context.Context) error {
	pods, err := c.controllers(ctx)
	if err != nil {
		return err
	}
	if len(pods) != replicas {
		return fmt.Errorf("%d controllers, want %d", len(pods), replicas)
	}
	var leaders []string
	for i := range pods {
		if p := &pods[i]; !isReady(p) {
			return fmt.Errorf("controller %s is not ready: %s", p.Name, describePod(p))
		}
		page, err := c.kube.CoreV1().Pods(system).ProxyGet("http", pods[i].Name, "8080", "metrics", nil).DoRaw(ctx)
		if err != nil {
			return fmt.Errorf("read /metrics of %s: %w", pods[i].Name, err)
		}
		if regexp.MustCompile(`(?m)^homeostat_platform_leader 1$`).Match(page) {
			leaders = append(leaders, pods[i].Name)
		}
	}
	lease, err := c.lease(ctx)
	if err != nil {
		return err
	}
	if h := holder(lease); len(leaders) != 1 || leaders[0] != h {
		return fmt.Errorf("the Lease is held by %q, and %q say that they lead", h, leaders)
	}
	return nil
}

// controllers returns the controllers' pods that are not on their way out, by name.
func (c *cluster) controllers(ctx context.Context) ([]corev1.Pod, error) {
	list, err := c.kube.CoreV1().Pods(system).List(ctx, metav1.ListOptions{LabelSelector: podSelector})
	if err != nil {
		return nil, err
	}
	pods := slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
	slices.SortFunc(pods, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return pods, nil
}

func (c *cluster) lease(ctx context.Context) (*coordinationv1.Lease, error) {
	return c.kube.CoordinationV1().Leases(system).Get(ctx, controller, metav1.GetOptions{})
}

// holder returns who holds the Lease, empty for nobody.
func holder(l *coordinationv1.Lease) string {
	if l.Spec.HolderIdentity == nil {
		return ""
	}
	return *l.Spec.HolderIdentity
}

// scaleControllers sets the number of controllers and waits until it is so; 0 also means that the Lease was given back.
func (c *cluster) scaleControllers(ctx context.Context, n int) error {
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, n)
	if _, err := c.kube.AppsV1().Deployments(system).Patch(ctx, controller, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return err
	}
	if n > 0 {
		return within(ctx, 2*time.Minute, c.controllersWell)
	}
	return within(ctx, time.Minute, func(ctx context.Context) error {
		list, err := c.kube.CoreV1().Pods(system).List(ctx, metav1.ListOptions{LabelSelector: podSelector})
		if err != nil {
			return err
		}
		if len(list.Items) > 0 {
			return fmt.Errorf("%d controllers still run", len(list.Items))
		}
		lease, err := c.lease(ctx)
		if err != nil {
			return err
		}
		if h := holder(lease); h != "" {
			return fmt.Errorf("the Lease was not given back by %s", h)
		}
		return nil
	})
}

// controllerLogs returns the last lines of the controllers' logs, also those of lives that ended; where about is given,
// only those that contain it.
func (c *cluster) controllerLogs(ctx context.Context, about string, lines int) string {
	list, err := c.kube.CoreV1().Pods(system).List(ctx, metav1.ListOptions{LabelSelector: podSelector})
	if err != nil {
		return err.Error()
	}
	var out strings.Builder
	for i := range list.Items {
		p := &list.Items[i]
		fmt.Fprintf(&out, "%s: %s\n", p.Name, describePod(p))
		for _, previous := range []bool{true, false} {
			log, err := c.kube.CoreV1().Pods(system).GetLogs(p.Name, &corev1.PodLogOptions{Previous: previous}).DoRaw(ctx)
			if err != nil {
				continue // there was no earlier life, or there is none yet
			}
			var kept []string
			for line := range strings.Lines(string(log)) {
				if strings.Contains(line, about) {
					kept = append(kept, "  "+line)
				}
			}
			out.WriteString(strings.Join(kept[max(0, len(kept)-lines):], ""))
		}
	}
	return out.String()
}

// lives says of each controller which pod it is and how often it was restarted.
func (c *cluster) lives(t *testing.T) map[string]int32 {
	t.Helper()
	pods, err := c.controllers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int32{}
	for i := range pods {
		out[string(pods[i].UID)] = restarts(&pods[i])
	}
	return out
}
