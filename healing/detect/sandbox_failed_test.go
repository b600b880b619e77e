package detect

import (
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

const noNetwork = `Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "a1": plugin type="calico" failed (add): error getting ClusterInformation: connection is unauthorized`

func TestSandboxFailed(t *testing.T) {
	minute := creating(time.Minute)
	failed := event("FailedCreatePodSandBox", noNetwork, ago(time.Second))
	check(t, []row{
		{
			name: "the condition says so too", replica: pod(minute, failed, holds(conditionSandbox, "False", "", "", time.Minute)),
			want: []string{"SandboxFailed active"}, confidence: 95, says: []string{"node n1 cannot make the sandbox of web-7c9", "(plugin calico)", "connection is unauthorized"},
		},
		{name: "no condition is told", replica: pod(minute, failed), want: []string{"SandboxFailed active"}, confidence: 85},
		{
			name: "the node's network is not ready", want: []string{"SandboxFailed active"}, says: []string{"network plugin is not ready"},
			replica: pod(minute, event("NetworkNotReady", "network is not ready: cni plugin not initialized", ago(time.Second))),
		},
		{
			name: "its sandbox was lost", want: []string{"SandboxFailed active"},
			replica: pod(failed, holds(conditionSandbox, "False", "", "", time.Minute), terminated(dead(255, "Unknown"))),
		},
		{
			name: "its volumes came before", want: []string{"SandboxFailed active"},
			replica: pod(minute, failed, event("FailedMount", badDisk, ago(30*time.Second))),
		},
		{name: "not for long", replica: pod(creating(20*time.Second), failed)},
		{name: "no event", replica: pod(minute, holds(conditionSandbox, "False", "", "", time.Minute))},
		{name: "an old event and no condition: a slow pull", replica: pod(creating(20*time.Minute), event("FailedCreatePodSandBox", noNetwork, ago(15*time.Minute)))},
		{name: "it is made", replica: pod(minute, failed, holds(conditionSandbox, "True", "", "", time.Second))},
		{name: "an image is pulled since", replica: pod(minute, event("FailedCreatePodSandBox", noNetwork, ago(20*time.Second)), event("Pulling", "", ago(time.Second)))},
		{name: "it has ended", replica: pod(failed, ended(cluster.PhaseSucceeded), holds(conditionSandbox, "False", "", "", time.Minute))},
		{name: "it runs", replica: pod(failed)},
	})
}

// TestSandboxFailedOnNode verifies that the message counts the replicas on the same node only.
func TestSandboxFailedOnNode(t *testing.T) {
	failed := event("FailedCreatePodSandBox", noNetwork, ago(time.Second))
	checkWorkload(t, []workloadRow{{
		name: "two of three on n1",
		workload: owner(withReplicas(
			pod(named("a", "n1")), pod(named("b", "n2")),
			pod(named("c", "n1"), creating(time.Minute), failed), pod(named("d", "n1"), creating(time.Minute), failed))),
		want: []string{"SandboxFailed c active", "SandboxFailed d active"}, says: []string{"2 of 3 replicas on that node"},
	}})
}

func TestSandboxError(t *testing.T) {
	for message, says := range map[string]string{
		noNetwork: "network could not be set up (plugin calico)",
		`plugin type="host-local" failed (add): failed to allocate for range 0: no IP addresses available in range set: 10.244.0.1-10.244.0.254`: "no address is left for it (plugin host-local)",
		`add cmd: failed to assign an IP address to container`:                                        "no address is left",
		`rpc error: code = Unknown desc = no runtime for "gvisor" is configured`:                      "runtime class",
		`failed to get sandbox image "registry.k8s.io/pause:3.10": failed to pull image`:              "image of the sandbox",
		`failed to create containerd task: write /run/x: no space left on device`:                     "disk is full",
		`failed to create shim task: OCI runtime create failed: unable to apply cgroup configuration`: "cgroup",
		`rpc error: code = DeadlineExceeded desc = context deadline exceeded`:                         "does not answer in time",
		`one: two: three: four`: "three: four",
		"":                      "does not say why",
	} {
		if got := SandboxError(message); !strings.Contains(got, says) {
			t.Errorf("%q: %q does not say %q", message, got, says)
		}
	}
}
