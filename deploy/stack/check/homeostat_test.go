package check

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// The component replaces the configuration, rolls the pods for it, and mounts the token where the configuration looks for it.
func TestTheComponentConfiguresHomeostat(t *testing.T) {
	t.Parallel()
	objects := withHomeostat(t)
	d := of[*appsv1.Deployment](objects)["homeostat"]
	w := workload{d.Namespace, d.Name, d.Spec.Template.Labels, d.Spec.Template.Spec}
	want, err := os.ReadFile("../homeostat/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got := mounted(t, w, of[*corev1.ConfigMap](objects)); string(got["/etc/homeostat/config.yaml"]) != string(want) {
		t.Errorf("its configuration is %q", got)
	}
	plain := of[*appsv1.Deployment](build(t, filepath.Join(root, "deploy/base")))["homeostat"]
	if old, now := configured(plain.Spec.Template.Spec), configured(w.spec); old == "" || old == now {
		t.Errorf("the pods are not rolled: the ConfigMap was %q and is %q", old, now)
	}
	if !slices.ContainsFunc(w.spec.Containers[0].VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == "/etc/homeostat-grafana" && m.ReadOnly }) {
		t.Errorf("the token is not mounted: %+v", w.spec.Containers[0].VolumeMounts)
	}
}

// configured returns the name of the ConfigMap in the volume config.
func configured(spec corev1.PodSpec) string {
	for _, v := range spec.Volumes {
		if v.Name == "config" && v.ConfigMap != nil {
			return v.ConfigMap.Name
		}
	}
	return ""
}
