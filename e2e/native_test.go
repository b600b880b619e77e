//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// native creates a HorizontalPodAutoscaler of the workload: 2 to 4 replicas, CPU at 40 %, down after so many seconds.
func (s *space) native(window int32) {
	s.t.Helper()
	if _, err := env.kube.AutoscalingV2().HorizontalPodAutoscalers(s.name).Create(s.t.Context(), &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: web},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: web},
			MinReplicas:    new(int32(2)), MaxReplicas: 4,
			Metrics: []autoscalingv2.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
				Name:   corev1.ResourceCPU,
				Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: new(int32(40))},
			}}},
			Behavior: &autoscalingv2.HorizontalPodAutoscalerBehavior{
				ScaleDown: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: &window},
			},
		},
	}, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// A native HPA is shadowed: explain says what would be done, and nothing is written, neither to the target nor to the HPA.
func TestNativeHPAIsShadowed(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "shadow")
	s.deploy(workload{replicas: 1, change: requests})
	s.native(5)
	s.await("what would be done", time.Minute, func(ctx context.Context) error {
		out, err := env.command(ctx, env.homeostat, "explain", "hpa/"+web, "-n", s.name)
		if err != nil {
			return err
		}
		for _, want := range []string{web, "1 → 2", "minReplicas"} {
			if !strings.Contains(out, want) {
				return fmt.Errorf("%q is missing in\n%s", want, out)
			}
		}
		return nil
	})
	h, err := env.kube.AutoscalingV2().HorizontalPodAutoscalers(s.name).Get(t.Context(), web, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Status.Conditions) > 0 || h.Status.DesiredReplicas != 0 {
		t.Errorf("the status of the HPA was written: %+v", h.Status)
	}
	if scales := s.history.scaled(); len(scales) != 1 {
		t.Errorf("the target was scaled: %+v", scales)
	}
}

// adopt puts an Autoscaler in the place of an HPA without a jump in the number of replicas, and the Autoscaler goes on.
func TestAdoptSwapsAnHPAWithoutAJump(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "adopt")
	s.deploy(workload{replicas: 3, change: requests})
	s.native(30)
	printed, err := env.command(t.Context(), env.homeostat, "adopt", "hpa/"+web, "-n", s.name)
	if err != nil {
		t.Fatal(err)
	}
	if err := create(t.Context(), t, []byte(printed)); err != nil {
		t.Errorf("what adopt prints is refused: %v\n%s", err, printed)
	}
	if _, err := env.kube.AutoscalingV2().HorizontalPodAutoscalers(s.name).Get(t.Context(), web, metav1.GetOptions{}); err != nil {
		t.Fatalf("without --swap the HPA stays: %v", err)
	}
	out, err := env.command(t.Context(), env.homeostat, "adopt", "hpa/"+web, "-n", s.name, "--swap")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := env.kube.AutoscalingV2().HorizontalPodAutoscalers(s.name).Get(t.Context(), web, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the HPA is still there: %v\n%s", err, out)
	}
	before := s.history.scaled()
	if len(before) != 1 || before[0].replicas != 3 {
		t.Errorf("the numbers were %+v, want 3 all the time\n%s", before, out)
	}
	// At rest two are enough, and its window of 30 s lets it go there.
	s.awaitAutoscaler("the Autoscaler goes on", time.Minute, hasReplicas(2))
}

// Where the cluster's own HPA controller is switched off, Homeostat can be the one: it scales and writes the status that
// HPA's users know. Not parallel: the controllers of all other tests are away meanwhile.
func TestManagesNativeHPAs(t *testing.T) {
	if env.lab == "" {
		t.Skip("SKIPPED: this cluster is not a lab, so its own HPA controller may run")
	}
	t.Cleanup(func() {
		if err := env.scaleControllers(context.Background(), replicas); err != nil { // the test's own context has ended
			t.Errorf("bring the controllers back: %v", err)
		}
	})
	s := newSpace(t, "manage")
	s.deploy(workload{replicas: 1, change: requests})
	s.native(5)
	if err := env.scaleControllers(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(overlay, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(config, append(text, "nativeHPAs: Manage\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	outside := startOutside(t, env.kubeconfig, config)
	status := func(what string, check func(*autoscalingv2.HorizontalPodAutoscalerStatus) error) {
		t.Helper()
		s.await(what, 2*time.Minute, func(ctx context.Context) error {
			h, err := env.kube.AutoscalingV2().HorizontalPodAutoscalers(s.name).Get(ctx, web, metav1.GetOptions{})
			if err != nil {
				return err
			}
			return check(&h.Status)
		})
	}
	has := func(n int32, kind autoscalingv2.HorizontalPodAutoscalerConditionType, reason string) func(*autoscalingv2.HorizontalPodAutoscalerStatus) error {
		return func(st *autoscalingv2.HorizontalPodAutoscalerStatus) error {
			if st.CurrentReplicas != n || st.DesiredReplicas != n {
				return fmt.Errorf("the status has %d→%d replicas, want %d: %+v", st.CurrentReplicas, st.DesiredReplicas, n, st.Conditions)
			}
			for _, c := range st.Conditions {
				if c.Type == kind && c.Reason == reason {
					return nil
				}
			}
			return fmt.Errorf("no condition %s %s: %+v", kind, reason, st.Conditions)
		}
	}
	status("two replicas", func(st *autoscalingv2.HorizontalPodAutoscalerStatus) error {
		if st.LastScaleTime == nil {
			return errors.New("never scaled")
		}
		return has(2, autoscalingv2.ScalingActive, "ValidMetricFound")(st)
	})
	for _, p := range s.awaitReady(2) {
		s.ask(p.Name, "/cpu-load?millicores=200&seconds=3600")
	}
	status("four replicas under load", has(4, autoscalingv2.ScalingLimited, "TooManyReplicas"))
	outside.kill(t)
	if n, message, err := s.events(t.Context(), "HorizontalPodAutoscaler", web, "SuccessfulRescale"); err != nil || n == 0 {
		t.Errorf("no event SuccessfulRescale (%v)", err)
	} else if !strings.Contains(message, "New size: 4") {
		t.Errorf("the event says %q", message)
	}
}
