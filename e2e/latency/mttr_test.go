//go:build e2e

package latency

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/homeostat/homeostat/api/v1alpha1"
)

const (
	// mendCap is how long a failure is watched, and steady how long all replicas must be ready to be called mended.
	mendCap = 5 * time.Minute
	steady  = 15 * time.Second
)

// fault is one thing that goes wrong in a Deployment of two replicas.
type fault struct {
	name   string
	memory string // limit, default 128Mi
	change func(*appsv1.Deployment)
	// cause lets it happen; what it starts ends with the context.
	cause func(ctx context.Context, ns string) error
	// mended is true where the acting Homeostat has to bring the replicas back.
	mended bool
}

const app = "web"

func faults() []fault {
	patch := func(text string) func(context.Context, string) error {
		return func(ctx context.Context, ns string) error {
			_, err := env.kube.AppsV1().Deployments(ns).Patch(ctx, app, types.StrategicMergePatchType, []byte(text), metav1.PatchOptions{})
			return err
		}
	}
	onOne := func(path string, params map[string]string) func(context.Context, string) error {
		return func(ctx context.Context, ns string) error {
			pods, err := podsOf(ctx, ns)
			if err != nil || len(pods) == 0 {
				return errors.Join(err, errors.New("there is no pod"))
			}
			return ask(ctx, ns, pods[0].Name, path, params)
		}
	}
	noSurge := func(d *appsv1.Deployment) {
		d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{
			MaxSurge: new(intstr.FromInt32(0)), MaxUnavailable: new(intstr.FromInt32(1)),
		}}
	}
	return []fault{
		{name: "a replica exits with an error, once", cause: onOne("crash", map[string]string{"code": "1"})},
		{name: "a replica leaks until it is killed, once", memory: "64Mi", cause: onOne("memory-leak", map[string]string{"rate": "40", "size": "512"})},
		{name: "a replica hangs: its readiness probe fails", cause: onOne("hang", map[string]string{"probe": "readiness", "seconds": "3600"}), mended: true},
		{name: "memory too small for the load", memory: "64Mi", cause: fill, mended: true},
		{
			name: "release that crashes at its start", change: noSurge, mended: true,
			cause: patch(`{"spec":{"template":{"spec":{"containers":[{"name":"app","env":[{"name":"FAIL_ON_START","value":"3"}]}]}}}}`),
		},
		{
			name: "release with an image that does not exist", change: noSurge, mended: true,
			cause: patch(`{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"localhost/no-such-image:1"}]}}}}`),
		},
	}
}

// fill gives each life of each container 60 MiB to keep, as its load would.
func fill(ctx context.Context, ns string) error {
	go func() {
		filled := map[string]bool{}
		for ctx.Err() == nil {
			pods, err := podsOf(ctx, ns)
			for i := range pods {
				p := &pods[i]
				if err != nil || !isReady(p) || len(p.Status.ContainerStatuses) == 0 || filled[p.Status.ContainerStatuses[0].ContainerID] {
					continue
				}
				if ask(ctx, ns, p.Name, "memory-leak", map[string]string{"rate": "40", "size": "60"}) == nil {
					filled[p.Status.ContainerStatuses[0].ContainerID] = true
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(poll):
			}
		}
	}()
	return nil
}

func podsOf(ctx context.Context, ns string) ([]corev1.Pod, error) {
	list, err := env.kube.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: "app=" + app})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

func ask(ctx context.Context, ns, pod, path string, params map[string]string) error {
	_, err := env.kube.CoreV1().Pods(ns).ProxyGet("http", pod, "8080", path, params).DoRaw(ctx)
	return err
}

// column is one way to run Homeostat.
type column struct {
	name string
	// policy is nil where there is none.
	policy *v1alpha1.HealingPolicySpec
}

func columns() (off, on []column) {
	selector := metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
	return []column{{name: "off"}}, []column{
		{name: "observing", policy: &v1alpha1.HealingPolicySpec{Selector: selector, Mode: v1alpha1.HealingObserve}},
		{name: "acting, defaults", policy: &v1alpha1.HealingPolicySpec{Selector: selector, Mode: v1alpha1.HealingAct}},
		{name: "acting, notReadyAfter 10 s", policy: &v1alpha1.HealingPolicySpec{
			Selector: selector, Mode: v1alpha1.HealingAct, NotReadyAfter: &metav1.Duration{Duration: 10 * time.Second},
		}},
	}
}

// Each failure happens once without Homeostat and once beside each of its ways to run. What is measured is how long not all
// replicas were ready.
func TestTimeToMend(t *testing.T) {
	off, on := columns()
	var mu sync.Mutex
	cells := map[string]string{}
	run := func(name string, list []column) {
		t.Run(name, func(t *testing.T) { // it returns when all of its parallel ones have ended
			for _, c := range list {
				for _, f := range faults() {
					t.Run(c.name+"/"+f.name, func(t *testing.T) {
						t.Parallel()
						text := measure(t, &f, &c)
						mu.Lock()
						defer mu.Unlock()
						cells[f.name+c.name] = text
					})
				}
			}
		})
	}
	before := load()
	run("on", on)
	if err := env.controllers(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	run("off", off)
	t.Logf("load averages of the machine before and after: %s; %s", before, load())
	all := append(off, on...)
	head := []string{"failure"}
	for _, c := range all {
		head = append(head, c.name)
	}
	t.Logf("| %s |", strings.Join(head, " | "))
	for _, f := range faults() {
		row := []string{f.name}
		for _, c := range all {
			row = append(row, cells[f.name+c.name])
		}
		t.Logf("| %s |", strings.Join(row, " | "))
	}
}

// measure lets the failure happen and returns how long not all replicas were ready.
func measure(t *testing.T, f *fault, c *column) string {
	t.Helper()
	ns := namespace(t, "mttr")
	memory := f.memory
	if memory == "" {
		memory = "128Mi"
	}
	d := deployment(app, 2, memory, nil)
	if f.change != nil {
		f.change(d)
	}
	create(t, ns, d)
	if err := within(t.Context(), 3*time.Minute, func(ctx context.Context) error { return whole(ctx, ns) }); err != nil {
		t.Fatal(err)
	}
	if c.policy != nil {
		if _, err := env.own.HealingPolicies(ns).Create(t.Context(), &v1alpha1.HealingPolicy{
			TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindHealingPolicy},
			ObjectMeta: metav1.ObjectMeta{Name: app}, Spec: *c.policy,
		}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := within(t.Context(), 30*time.Second, func(context.Context) error { return f.cause(t.Context(), ns) }); err != nil {
		t.Fatal(err)
	}
	short := false
	if err := within(t.Context(), 2*time.Minute, func(ctx context.Context) error {
		if whole(ctx, ns) != nil {
			return nil //nolint:nilerr // that it is not whole is what is waited for
		}
		pods, err := podsOf(ctx, ns)
		for i := range pods {
			short = short || len(pods[i].Status.ContainerStatuses) > 0 && pods[i].Status.ContainerStatuses[0].RestartCount > 0
		}
		if err == nil && !short {
			err = errors.New("all replicas are ready all the time: nothing failed")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if short && whole(t.Context(), ns) == nil {
		return "less than 1 s" // it came and went between two looks
	}
	return until(t, f, c, ns, time.Now())
}

// until waits until all replicas are ready and stay so, and says how long after the beginning that was.
func until(t *testing.T, f *fault, c *column, ns string, began time.Time) string {
	t.Helper()
	var since time.Time
	err := within(t.Context(), mendCap+steady, func(ctx context.Context) error {
		now := time.Now()
		if err := whole(ctx, ns); err != nil {
			since = time.Time{}
			return err
		}
		if since.IsZero() {
			since = now
		}
		if now.Sub(since) < steady {
			return errors.New("all replicas are ready, and were not before")
		}
		return nil
	})
	if err == nil && since.Sub(began) <= mendCap {
		return fmt.Sprintf("%.0f s", since.Sub(began).Seconds())
	}
	if c.policy != nil && c.policy.NotReadyAfter != nil && f.mended {
		t.Errorf("it was not mended: %v", err)
		if list, err := env.own.Incidents(ns).List(context.Background(), metav1.ListOptions{}); err == nil {
			for i := range list.Items {
				st := &list.Items[i].Status
				t.Logf("incident %s %s: %s: %s (%s)", st.Finding, st.State, st.Reason, st.Message, st.Cause)
				for _, e := range st.Timeline {
					t.Logf("  %s %s: %s", e.At.Format(time.TimeOnly), e.Reason, e.Message)
				}
			}
		}
	}
	return "not within 5 min"
}

// whole returns nil if the Deployment is rolled out and all its replicas are ready.
func whole(ctx context.Context, ns string) error {
	d, err := env.kube.AppsV1().Deployments(ns).Get(ctx, app, metav1.GetOptions{})
	if err != nil {
		return err
	}
	n, st := *d.Spec.Replicas, &d.Status
	if st.ObservedGeneration < d.Generation || st.ReadyReplicas != n || st.UpdatedReplicas != n || st.Replicas != n {
		return fmt.Errorf("%d of %d replicas are ready, %d of the newest revision", st.ReadyReplicas, n, st.UpdatedReplicas)
	}
	return nil
}
