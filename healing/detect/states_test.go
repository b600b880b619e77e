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
		{name: "a volume for another reason", replica: pod(waiting("ContainerCreating", ""), mount("MountVolume.MountDevice failed: timed out"))},
		{
			name: "not for long",
			replica: pod(waiting("CreateContainerConfigError", `secret "x" not found`), func(r *cluster.Replica, _ *cluster.Container) {
				r.CreatedAt, r.StartedAt = ago(10*time.Second), ago(10*time.Second)
			}),
		},
	})
}

func TestUnschedulable(t *testing.T) {
	held := func(message string, since time.Duration) func(*cluster.Replica, *cluster.Container) {
		return func(r *cluster.Replica, c *cluster.Container) {
			waiting("", "")(r, c)
			r.Node, r.Phase, r.StartedAt, r.ReadySince = "", cluster.PhasePending, time.Time{}, time.Time{}
			r.CreatedAt = ago(since)
			r.Unschedulable, r.UnschedulableMessage, r.UnschedulableSince = true, message, ago(since)
		}
	}
	check(t, []row{
		{
			name:    "what binds, the most nodes first",
			replica: pod(held("0/6 nodes are available: 1 node(s) had untolerated taint {dedicated: db}, 2 Insufficient cpu, 3 Insufficient memory. preemption: 0/6 nodes are available: 6 No preemption victims found for incoming pod.", time.Minute)),
			want:    []string{"Unschedulable active"}, confidence: 95,
			says: []string{"Insufficient memory (3 of 6 nodes), Insufficient cpu (2 of 6 nodes), had untolerated taint {dedicated: db} (1 of 6 nodes)"},
		},
		{name: "another message", replica: pod(held("no nodes available to schedule pods", time.Minute)), want: []string{"Unschedulable active"}, says: []string{"no nodes available"}},
		{name: "not for long", replica: pod(held("0/1 nodes are available: 1 Insufficient cpu.", 10*time.Second))},
		{
			name:    "held back on purpose",
			replica: pod(held("", time.Hour), func(r *cluster.Replica, _ *cluster.Container) { r.Unschedulable = false }),
		},
	})
}

func TestNotReady(t *testing.T) {
	since := func(d time.Duration) func(*cluster.Replica, *cluster.Container) {
		return func(r *cluster.Replica, c *cluster.Container) {
			r.Ready, r.ReadySince, r.ReadyReason, c.Ready = false, ago(d), "ContainersNotReady", false
		}
	}
	check(t, []row{
		{name: "for long", replica: pod(since(4 * time.Minute)), want: []string{"NotReady active"}, says: []string{"more than 3 min"}},
		{name: "not for long", replica: pod(since(2 * time.Minute))},
		{name: "it restarted lately", replica: pod(since(4*time.Minute), restarted(dead(1, "Error"), 1))},
		{name: "it is dead", replica: pod(since(4*time.Minute), terminated(dead(1, "Error")))},
		{name: "a readiness gate", replica: pod(since(time.Hour), func(r *cluster.Replica, _ *cluster.Container) { r.ReadyReason = "ReadinessGatesNotReady" })},
		{name: "deleted", replica: pod(since(time.Hour), func(r *cluster.Replica, _ *cluster.Container) { r.DeletedAt = ago(time.Second) })},
		{name: "pending", replica: pod(since(time.Hour), func(r *cluster.Replica, _ *cluster.Container) { r.Phase = cluster.PhasePending })},
		{name: "ready", replica: pod()},
	})
}

func TestNodeNotReady(t *testing.T) {
	node := func(ready string) map[string]cluster.Node {
		return map[string]cluster.Node{"n1": {Name: "n1", Ready: ready, Since: ago(time.Minute), Message: "Kubelet stopped posting node status."}}
	}
	broken := pod(terminated(dead(137, "OOMKilled")), event("Unhealthy", "Liveness probe failed: timeout", ago(time.Second)))
	check(t, []row{
		{name: "it hides everything else", replica: broken, nodes: node("Unknown"), want: []string{"NodeNotReady active"}, says: []string{"does not report"}},
		{name: "not ready", replica: pod(), nodes: node("False"), want: []string{"NodeNotReady active"}, says: []string{"is not ready"}},
		{name: "gone", replica: pod(), nodes: map[string]cluster.Node{"n2": {Name: "n2", Ready: "True"}}, want: []string{"NodeNotReady active"}, says: []string{"does not exist"}},
		{name: "ready", replica: broken, nodes: node("True"), want: []string{"OOMKilled active"}},
		{name: "a platform without nodes", replica: broken, want: []string{"OOMKilled active"}},
		{name: "a replica that is deleted", replica: pod(func(r *cluster.Replica, _ *cluster.Container) { r.DeletedAt = ago(time.Second) }), nodes: node("False")},
	})
}
