package detect

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

func TestConfigMissing(t *testing.T) {
	mount := func(message string) func(*cluster.Replica, *cluster.Container) {
		return event("FailedMount", message, ago(20*time.Second))
	}
	check(t, []row{
		{
			name: "a ConfigMap", replica: pod(waiting("CreateContainerConfigError", `configmap "web-config" not found`)),
			want: []string{"ConfigMissing active"}, confidence: 95, says: []string{"ConfigMap web-config does not exist"},
		},
		{
			name: "a key", replica: pod(waiting("CreateContainerConfigError", `couldn't find key url in Secret demo/db`)),
			want: []string{"ConfigMissing active"}, says: []string{"key url is missing in Secret demo/db"},
		},
		{
			name: "something else", replica: pod(waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root")),
			want: []string{"ConfigMissing active"}, confidence: 40, says: []string{"runAsNonRoot"},
		},
		{name: "another error of creation", replica: pod(waiting("CreateContainerError", "context deadline exceeded"))},
		{
			name:    "a volume's Secret",
			replica: pod(waiting("ContainerCreating", ""), mount(`MountVolume.SetUp failed for volume "tls" : secret "web-tls" not found`)),
			want:    []string{"ConfigMissing active"}, says: []string{"Secret web-tls does not exist"},
		},
		{
			name:    "a volume's key",
			replica: pod(waiting("ContainerCreating", ""), mount(`MountVolume.SetUp failed for volume "tls" : references non-existent secret key: tls.crt`)),
			want:    []string{"ConfigMissing active"}, says: []string{"key tls.crt is missing in a Secret"},
		},
		{
			name:    "a volume's ConfigMap's key",
			replica: pod(waiting("ContainerCreating", ""), mount(`MountVolume.SetUp failed for volume "conf" : configmap references non-existent config key: app.yaml`)),
			want:    []string{"ConfigMissing active"}, says: []string{"key app.yaml is missing in a ConfigMap"},
		},
		{
			name:    "a volume for another reason",
			replica: pod(waiting("ContainerCreating", ""), mount("MountVolume.MountDevice failed: timed out")), want: []string{"VolumeStuck active"},
		},
		{
			name: "not for long",
			replica: pod(waiting("CreateContainerConfigError", `secret "x" not found`), func(r *cluster.Replica, _ *cluster.Container) {
				r.CreatedAt, r.StartedAt = ago(10*time.Second), ago(10*time.Second)
			}),
		},
	})
}
