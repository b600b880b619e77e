//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
)

// load sends requests to the Service on a fixed schedule until the returned function is called.
func (s *space) load(perSecond int, path string, params map[string]string) (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			running.Go(func() {
				// A request that fails is load that is missing, which shows in the number of replicas.
				_, _ = env.kube.CoreV1().Services(s.name).ProxyGet("http", web, "80", path, params).DoRaw(ctx)
			})
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

func hasReplicas(n int32) func(*v1alpha1.AutoscalerStatus) error {
	return func(st *v1alpha1.AutoscalerStatus) error {
		if st.CurrentReplicas != n || st.DesiredReplicas != n {
			return fmt.Errorf("has %q replicas, %s, want %d", st.ReplicasSummary, st.MetricsSummary, n)
		}
		return nil
	}
}

// Load of 240 thousandths of a core, with 40 of 100 wanted per replica, asks for six replicas; four are allowed.
func TestScalesUpUnderLoadAndDownAfterIt(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "scale")
	s.deploy(workload{replicas: 2, change: func(p *corev1.PodTemplateSpec) {
		r := &p.Spec.Containers[0].Resources
		r.Requests[corev1.ResourceCPU], r.Limits[corev1.ResourceCPU] = resource.MustParse("100m"), resource.MustParse("500m")
	}})
	s.expose()
	s.scale(nil)
	s.awaitAutoscaler("two replicas at rest", time.Minute, func(st *v1alpha1.AutoscalerStatus) error {
		return errors.Join(hasReplicas(2)(st), conditionIs(st.Conditions, v1alpha1.ConditionScalingActive, metav1.ConditionTrue, ""),
			conditionIs(st.Conditions, v1alpha1.ConditionAccepted, metav1.ConditionTrue, ""))
	})

	stop := s.load(12, "cpu-load", map[string]string{"ms": "20"})
	defer stop()
	up := s.awaitAutoscaler("four replicas under load", 2*time.Minute, func(st *v1alpha1.AutoscalerStatus) error {
		return errors.Join(hasReplicas(4)(st),
			conditionIs(st.Conditions, v1alpha1.ConditionAbleToScale, metav1.ConditionTrue, ""),
			conditionIs(st.Conditions, v1alpha1.ConditionScalingLimited, metav1.ConditionTrue, string(hpa.ReasonTooManyReplicas)))
	})
	s.awaitReady(4)
	s.explains(&up.Status)
	time.Sleep(5 * time.Second) // five decisions at the upper bound

	stop()
	down := s.awaitAutoscaler("two replicas after the load", 2*time.Minute, hasReplicas(2))
	s.awaitReady(2)
	s.verifyChanges(&down.Status)
}

// explains checks that the status says what was decided and why.
func (s *space) explains(st *v1alpha1.AutoscalerStatus) {
	s.t.Helper()
	d := st.LastDecision
	if d == nil || d.Desired != 4 || d.Message == "" || len(d.Steps) == 0 || len(d.Metrics) != 1 {
		s.t.Fatalf("the last decision does not explain four replicas: %+v", d)
	}
	if m := d.Metrics[0]; m.Utilization <= 40 || m.Target != 40 || m.Ready < 2 || m.OldestSample == nil {
		s.t.Errorf("the metric's proposal is %+v", m)
	}
	if len(st.CurrentMetrics) != 1 || st.CurrentMetrics[0].Resource == nil || st.CurrentMetrics[0].Resource.Current.AverageUtilization == nil {
		s.t.Errorf("the current metrics are %+v", st.CurrentMetrics)
	}
	if c := st.LastChanges[0]; c.To != 4 || st.LastScaleTime == nil {
		s.t.Errorf("the last change is %+v at %v, want to 4", c, st.LastScaleTime)
	}
	if !strings.HasPrefix(st.MetricsSummary, "cpu: ") || !strings.HasSuffix(st.MetricsSummary, "%/40%") {
		s.t.Errorf("the summary is %q", st.MetricsSummary)
	}
}

// verifyChanges checks that the Deployment was written for changes of the number alone, never outside of the bounds, and
// that status and events tell of the same changes.
func (s *space) verifyChanges(st *v1alpha1.AutoscalerStatus) {
	s.t.Helper()
	scales := s.history.scaled()
	peak := int32(0)
	for i, c := range scales {
		peak = max(peak, c.replicas)
		if c.replicas < 2 || c.replicas > 4 {
			s.t.Errorf("the Deployment asked for %d replicas, allowed are 2 to 4", c.replicas)
		}
		if i > 0 && (c.replicas == scales[i-1].replicas || c.generation != scales[i-1].generation+1) {
			s.t.Errorf("the Deployment was written without a change of the number: %+v after %+v", c, scales[i-1])
		}
	}
	if peak != 4 || scales[len(scales)-1].replicas != 2 {
		s.t.Errorf("the numbers were %+v, want up to 4 and back to 2", scales)
	}
	changes := len(scales) - 1
	if len(st.LastChanges) != changes {
		s.t.Errorf("the status has %d changes, the Deployment %d: %+v", len(st.LastChanges), changes, scales)
	}
	s.await("one event for each change", 20*time.Second, func(ctx context.Context) error {
		n, _, err := s.events(ctx, v1alpha1.KindAutoscaler, web, "Scaled")
		if err == nil && int(n) != changes {
			err = fmt.Errorf("%d events Scaled, want %d", n, changes)
		}
		return err
	})
}

// Two autoscalers on one target would fight. The native one was there first and is named.
func TestTargetOfAnotherAutoscalerIsRefused(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "taken")
	s.deploy(workload{replicas: 1})
	if _, err := env.kube.AutoscalingV2().HorizontalPodAutoscalers(s.name).Create(t.Context(), &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "native"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: web}, MaxReplicas: 3,
		},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second) // for the controller to see it first
	s.scale(nil)
	s.awaitAutoscaler("the refusal", time.Minute, func(st *v1alpha1.AutoscalerStatus) error {
		if err := conditionIs(st.Conditions, v1alpha1.ConditionAccepted, metav1.ConditionFalse, "AmbiguousTarget"); err != nil {
			return err
		}
		if d := st.LastDecision; d == nil || !strings.Contains(d.Message, "HorizontalPodAutoscaler native") {
			return fmt.Errorf("the other is not named: %+v", d)
		}
		return nil
	})
	if scales := s.history.scaled(); len(scales) != 1 {
		t.Errorf("the target was scaled: %+v", scales)
	}
}
