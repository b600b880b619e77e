package detect

import (
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

func TestImagePull(t *testing.T) {
	check(t, []row{
		{
			name: "not found", replica: pod(waiting("ErrImagePull", "failed to resolve reference: docker.io/library/web:1.5: not found")),
			want: []string{"ImagePull active"}, says: []string{"image web:1.5", "does not exist (404)"},
		},
		{name: "back-off", replica: pod(waiting("ImagePullBackOff", "Back-off pulling image")), want: []string{"ImagePull active"}},
		{name: "bad name", replica: pod(waiting("InvalidImageName", "couldn't parse")), want: []string{"ImagePull active"}, says: []string{"name is not valid"}},
		{name: "never", replica: pod(waiting("ErrImageNeverPull", "")), want: []string{"ImagePull active"}, says: []string{"pull policy is Never"}},
		{
			name: "an init container's", replica: pod(waiting("ErrImagePull", "x509: certificate signed by unknown authority"), kind(cluster.ContainerInit)),
			want: []string{"ImagePull active"}, says: []string{"x509"},
		},
		{
			name: "not for long",
			replica: pod(waiting("ErrImagePull", "not found"), func(r *cluster.Replica, _ *cluster.Container) {
				r.CreatedAt, r.StartedAt = ago(29*time.Second), ago(29*time.Second)
			}),
		},
		{name: "a restart of an old replica, not for long", replica: pod(waiting("ErrImagePull", "not found"), func(_ *cluster.Replica, c *cluster.Container) {
			c.Last, c.Restarts = dead(1, "Error"), 1
		})},
		{name: "it is being pulled", replica: pod(waiting("ContainerCreating", ""))},
	})
}

func TestPullError(t *testing.T) {
	for message, want := range map[string]string{
		"manifest unknown": "404", "repository does not exist or may require 'docker login': denied: requested access": "401",
		"unexpected status code 401 Unauthorized": "401", "pull access denied, 403 Forbidden": "401", "toomanyrequests: You have reached your pull rate limit": "429",
		"tls: failed to verify certificate: x509: unknown authority": "x509", "dial tcp: lookup reg.example: no such host": "resolved",
		"dial tcp 10.0.0.1:5000: connect: connection refused": "reached", "net/http: TLS handshake timeout": "reached", "": "no class",
	} {
		if got := PullError("ErrImagePull", message); !strings.Contains(got, want) {
			t.Errorf("%q: %q does not say %q", message, got, want)
		}
	}
}

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
