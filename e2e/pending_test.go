//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/internal/incident"
)

// Pods that never start. Each incident says what is missing, by name; nothing is deleted, since that would mend nothing.

func TestImagePullNamesTheImage(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "image")
	s.heal(nil)
	const image = "localhost/nowhere:v9"
	s.deploy(workload{replicas: 1, fails: true, change: func(p *corev1.PodTemplateSpec) {
		p.Spec.Containers[0].Image, p.Spec.Containers[0].ImagePullPolicy = image, corev1.PullIfNotPresent
	}})
	in := s.awaitIncident(incident.ImagePull, 2*time.Minute, inState(incident.Open))
	if !strings.Contains(in.Status.Cause, image) {
		t.Errorf("the cause does not name the image: %q", in.Status.Cause)
	}
	s.untouched(in)
}

// Once the ConfigMap is there the kubelet starts the container, and the incident ends by itself.
func TestMissingConfigMapIsNamedAndResolvedOnceItIsThere(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "config")
	s.heal(nil)
	s.deploy(workload{replicas: 1, fails: true, change: func(p *corev1.PodTemplateSpec) {
		p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{
			ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "shop-settings"}},
		}}
	}})
	in := s.awaitIncident(incident.ConfigMissing, 2*time.Minute, inState(incident.Open))
	if !strings.Contains(in.Status.Cause, "ConfigMap shop-settings does not exist") {
		t.Errorf("the cause does not name the ConfigMap: %q", in.Status.Cause)
	}
	pod := s.awaitPod()
	if _, err := env.kube.CoreV1().ConfigMaps(s.name).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "shop-settings"},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	in = s.awaitIncident(incident.ConfigMissing, 2*time.Minute, inState(incident.Resolved))
	if ready := s.awaitReady(1)[0]; ready.UID != pod.UID {
		t.Errorf("another pod is ready: %s, was %s", ready.UID, pod.UID)
	}
	s.untouched(in)
}

func TestUnschedulableSaysWhatNoNodeHas(t *testing.T) {
	t.Parallel()
	s := newSpace(t, "unsched")
	s.heal(nil)
	s.deploy(workload{replicas: 1, fails: true, change: func(p *corev1.PodTemplateSpec) {
		p.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("1000")
	}})
	in := s.awaitIncident(incident.Unschedulable, time.Minute, inState(incident.Open))
	if text := describeIncident(in) + strings.Join(in.Status.For, "\n"); !strings.Contains(strings.ToLower(text), "cpu") {
		t.Errorf("nothing says that it is the CPU:\n%s", text)
	}
	s.untouched(in)
}
