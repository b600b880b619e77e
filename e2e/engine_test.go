//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
)

// requests gives the demo app a request of 100 thousandths of a core.
func requests(p *corev1.PodTemplateSpec) {
	r := &p.Spec.Containers[0].Resources
	r.Requests[corev1.ResourceCPU], r.Limits[corev1.ResourceCPU] = resource.MustParse("100m"), resource.MustParse("500m")
}

// decided returns an error unless the last decision has the reason and its sentence each of the words.
func decided(reason hpa.Reason, words ...string) func(*v1alpha1.AutoscalerStatus) error {
	return func(st *v1alpha1.AutoscalerStatus) error {
		d := st.LastDecision
		if d == nil || d.Reason != string(reason) {
			return fmt.Errorf("the last decision is %+v, want the reason %s", d, reason)
		}
		for _, w := range words {
			if !strings.Contains(d.Message, w) {
				return fmt.Errorf("the decision says %q, want %q in it", d.Message, w)
			}
		}
		return nil
	}
}

// perReplica is a target of an average value.
func perReplica(value string) autoscalingv2.MetricTarget {
	return autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: new(resource.MustParse(value))}
}

// A schedule that is always active raises the minimum to three, and its name is the reason.
func TestScheduleRaisesTheMinimum(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "schedule")
	s.deploy(workload{replicas: 1})
	s.scale(func(a *v1alpha1.AutoscalerSpec) {
		// The end comes each minute, the start on the first of January: before that the end comes.
		a.Schedules = []v1alpha1.Schedule{{Name: "office-hours", Start: "0 0 1 1 *", End: "* * * * *", TimeZone: "Europe/Berlin", MinReplicas: 3}}
	})
	s.awaitAutoscaler("three replicas", time.Minute, hasReplicas(3))
	s.awaitAutoscaler("the schedule as the reason", time.Minute, decided(hpa.ReasonScheduledMinimum, "office-hours"))
}

// DryRun decides and writes nothing; a paused direction holds and says so, the other one goes on.
func TestDryRunAndPausedDirectionsWriteNothing(t *testing.T) {
	t.Parallel()
	dry, paused := newSpace(t, "dryrun"), newSpace(t, "paused")
	for _, s := range []*space{dry, paused} {
		s.deploy(workload{replicas: 1})
	}
	dry.scale(func(a *v1alpha1.AutoscalerSpec) { a.Mode = v1alpha1.ModeDryRun })
	paused.scale(func(a *v1alpha1.AutoscalerSpec) { a.Pause.ScaleUp = true })
	dry.awaitAutoscaler("what would be", time.Minute, func(st *v1alpha1.AutoscalerStatus) error {
		if st.CurrentReplicas != 1 || st.DesiredReplicas != 2 {
			return fmt.Errorf("has %q replicas, want 1→2", st.ReplicasSummary)
		}
		return nil
	})
	paused.awaitAutoscaler("the pause", time.Minute, decided(hpa.ReasonScaleUpPaused))
	time.Sleep(3 * time.Second) // three more decisions
	for _, s := range []*space{dry, paused} {
		if scales := s.history.scaled(); len(scales) != 1 {
			t.Errorf("%s was scaled: %+v", s.name, scales)
		}
	}
	a, err := env.own.Autoscalers(paused.name).Get(t.Context(), web, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	a.Spec.Pause.ScaleUp = false
	if _, err := env.own.Autoscalers(paused.name).Update(t.Context(), a, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	paused.awaitAutoscaler("two replicas after the pause", time.Minute, hasReplicas(2))
}

// The app's own page is fresher than the kubelet: the CPU usage comes from it, and so does any metric of type Pods.
func TestMetricsOfTheAppItself(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "app")
	s.deploy(workload{replicas: 2, change: requests})
	s.expose()
	s.scale(func(a *v1alpha1.AutoscalerSpec) {
		a.AppMetrics = &v1alpha1.AppMetrics{Port: intstr.FromInt32(8080)}
		a.Metrics = append(a.Metrics, v1alpha1.MetricSpec{
			Type: autoscalingv2.PodsMetricSourceType,
			Pods: &autoscalingv2.PodsMetricSource{
				Metric: autoscalingv2.MetricIdentifier{
					Name:     "demoapp_http_requests_total",
					Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"code": "200"}},
				},
				Target: perReplica("5"),
			},
		})
	})
	s.awaitAutoscaler("both metrics from the app's page", time.Minute, func(st *v1alpha1.AutoscalerStatus) error {
		d := st.LastDecision
		if d == nil || len(d.Metrics) != 2 {
			return fmt.Errorf("the last decision is %+v", d)
		}
		for _, m := range d.Metrics {
			if m.Error != "" || !strings.Contains(m.From, "app") {
				return fmt.Errorf("%+v is not from the app's page", m)
			}
		}
		return nil
	})
	// Twelve requests a second and the probes', five per replica, need three replicas; they cost next to no CPU.
	stop := s.load(12, "hostname", nil)
	defer stop()
	s.awaitAutoscaler("three replicas", 2*time.Minute, hasReplicas(3))
}

// A target whose new replicas cannot be placed is not asked for more.
func TestShortageIsNotAnsweredWithMoreReplicas(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "shortage")
	s.deploy(workload{replicas: 1, change: func(p *corev1.PodTemplateSpec) {
		requests(p)
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
				LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": web}}, TopologyKey: "kubernetes.io/hostname",
			}},
		}}
	}})
	nodes, err := env.kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(nodes.Items) > 2 {
		t.Skipf("SKIPPED: this scenario needs at most two nodes, there are %d (%v)", len(nodes.Items), err)
	}
	s.scale(func(a *v1alpha1.AutoscalerSpec) { a.MinReplicas, a.MaxReplicas = new(int32(1)), 8 })
	pod := s.awaitPod()
	s.ask(pod.Name, "/cpu-load?millicores=300&seconds=600")
	s.awaitAutoscaler("the shortage as the reason", 2*time.Minute, decided(hpa.ReasonShortageHold))
	held := len(s.history.scaled())
	time.Sleep(5 * time.Second)
	if scales := s.history.scaled(); len(scales) != held {
		t.Errorf("more was asked for while nothing can be placed: %+v", scales)
	}
}

// The same where a quota refuses the replicas.
func TestExceededQuotaIsNotAnsweredWithMoreReplicas(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "quota")
	s.deploy(workload{replicas: 1, change: requests})
	if _, err := env.kube.CoreV1().ResourceQuotas(s.name).Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "few"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("2")}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.scale(func(a *v1alpha1.AutoscalerSpec) { a.MinReplicas, a.MaxReplicas = new(int32(1)), 8 })
	pod := s.awaitPod()
	s.ask(pod.Name, "/cpu-load?millicores=300&seconds=600")
	s.awaitAutoscaler("the quota as the reason", 2*time.Minute, decided(hpa.ReasonShortageHold, "quota"))
	held := len(s.history.scaled())
	time.Sleep(5 * time.Second)
	if scales := s.history.scaled(); len(scales) != held {
		t.Errorf("more was asked for while the quota is used up: %+v", scales)
	}
}

// A rollout whose new replicas fail holds the number where it is, also under load.
func TestFailingRolloutHolds(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "rollout")
	s.deploy(workload{replicas: 2, change: requests})
	s.scale(nil)
	s.awaitAutoscaler("two replicas", time.Minute, hasReplicas(2))
	d, err := env.kube.AppsV1().Deployments(s.name).Get(t.Context(), web, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d.Spec.Template.Spec.Containers[0].Image = "localhost/demoapp:missing"
	if _, err := env.kube.AppsV1().Deployments(s.name).Update(t.Context(), d, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	pods, err := s.pods(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pods {
		if isReady(&p) {
			s.ask(p.Name, "/cpu-load?millicores=200&seconds=600")
		}
	}
	s.awaitAutoscaler("the rollout as the reason", 2*time.Minute, decided(hpa.ReasonRolloutHold))
	if scales := s.history.scaled(); scales[len(scales)-1].replicas != 2 {
		t.Errorf("the numbers were %+v, want 2 all the time", scales)
	}
}

// The history that stabilization needs outlives the leader: the next one neither scales down at once nor begins the
// window anew. Not parallel: it ends the leader.
func TestStabilizationOutlivesTheLeader(t *testing.T) {
	const window = 60 * time.Second
	s := newSpace(t, "window")
	s.deploy(workload{replicas: 2, change: requests})
	s.scale(func(a *v1alpha1.AutoscalerSpec) {
		a.Behavior.ScaleDown.StabilizationWindowSeconds = new(int32(window / time.Second))
	})
	for _, p := range s.awaitReady(2) {
		s.ask(p.Name, "/cpu-load?millicores=90&seconds=3600")
	}
	s.awaitAutoscaler("four replicas under load", 2*time.Minute, hasReplicas(4))
	for _, p := range s.awaitReady(4) {
		s.ask(p.Name, "/cpu-load?stop=1")
	}
	fallen := s.awaitAutoscaler("a proposal of two that the window holds", time.Minute, func(st *v1alpha1.AutoscalerStatus) error {
		if d := st.LastDecision; d == nil || d.Proposed > 2 || d.Desired != 4 {
			return fmt.Errorf("the last decision is %+v", d)
		}
		return decided(hpa.ReasonScaleDownStable)(st)
	}).Status.LastDecision.Time.Time

	time.Sleep(time.Until(fallen.Add(window / 2)))
	lease, err := env.lease(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := env.kube.CoreV1().Pods(system).Delete(t.Context(), holder(lease), metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}); err != nil {
		t.Fatal(err)
	}
	s.awaitAutoscaler("fewer replicas after the window", 2*time.Minute, func(st *v1alpha1.AutoscalerStatus) error {
		if st.DesiredReplicas >= 4 {
			return errors.New("four are still asked for")
		}
		return nil
	})
	// A proposal is seen up to a status write late, and the last high one was before the first low one.
	took := time.Since(fallen)
	if took < window-20*time.Second {
		t.Errorf("the number went down %s after the proposal did, the window is %s", took.Round(time.Second), window)
	}
	// A window that began anew with the next leader would end no sooner than this.
	if took > window/2+window-5*time.Second {
		t.Errorf("the number went down %s after the proposal did: the window of %s began anew", took.Round(time.Second), window)
	}
	if err := within(context.Background(), 2*time.Minute, env.controllersWell); err != nil {
		t.Fatal(err)
	}
}
