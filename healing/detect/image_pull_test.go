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
		{name: "back-off", replica: pod(waiting("ImagePullBackOff", "Back-off pulling image")), want: []string{"ImagePull active"}, confidence: 90},
		{
			name: "back-off, an event tells why", want: []string{"ImagePull active"}, confidence: 95, says: []string{"does not exist (404)"},
			replica: pod(waiting("ImagePullBackOff", `Back-off pulling image "web:1.5"`), event("Failed", `Failed to pull image "other:1": 429 Too Many Requests`, ago(time.Second)),
				event("Failed", `Failed to pull image "web:1.5": manifest unknown`, ago(time.Second))),
		},
		{
			name: "the image's name is no error", want: []string{"ImagePull active"}, says: []string{"cannot be reached"},
			replica: pod(waiting("ErrImagePull", `failed to resolve reference "docker.io/team/x509-forbidden:404": connection refused`), func(_ *cluster.Replica, c *cluster.Container) {
				c.Image = "team/x509-forbidden:404"
			}),
		},
		{name: "the node's copy cannot be read", replica: pod(waiting("ImageInspectError", "")), want: []string{"ImagePull active"}, says: []string{"cannot be read"}},
		{name: "the registry is down", replica: pod(waiting("RegistryUnavailable", "")), want: []string{"ImagePull active"}, says: []string{"cannot be reached"}},
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
		"dial tcp 10.88.0.99:5000: connect: no route to host": "no route", "dial tcp 10.0.4.29:404: i/o timeout": "cannot be reached",
		"web@sha256:a4290f403: pull QPS exceeded": "kubelet's own limit", "no match for platform in manifest: not found": "platform",
		"unexpected status from HEAD request to https://reg/v2/: 403 Forbidden": "401 or 403", "unexpected status: 429": "429",
		"write /var/lib: no space left on device": "disk is full",
	} {
		if got := PullError("ErrImagePull", message); !strings.Contains(got, want) {
			t.Errorf("%q: %q does not say %q", message, got, want)
		}
	}
}
