// Package spec reads the Service document of the local platform: the one command whose replicas it runs. It has the words
// of Kubernetes where there are some, but is no Kubernetes object.
//
// It reads strictly and knows no other document; the Autoscaler and the HealingPolicy are read by internal/policy.
package spec

import (
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
)

// APIVersion and Kind of the document that Parse reads.
const (
	APIVersion = "local.homeostat.dev/v1alpha1"
	Kind       = "Service"
)

// Bounds of a Service document.
const (
	MaxReplicas    = 100
	minMemoryLimit = 1 << 20
)

// Service is one Service document: a command and how to keep its replicas running. Parse fills in the defaults.
type Service struct {
	// Name is a DNS label of at most 40 characters; replicas are called NAME-xxxx, and their one container NAME.
	Name string
	// Labels are what a HealingPolicy selects on.
	Labels map[string]string
	// Command and its arguments. Required.
	Command []string
	// WorkingDir of the replicas; empty: that of this program.
	WorkingDir string
	// Env is added to the environment of this program, in this order. PORT, POD_NAME, POD_UID, POD_NAMESPACE and
	// HOSTNAME_OVERRIDE are set for each replica and win.
	Env []EnvVar
	// Replicas to start with, 0 to MaxReplicas. Default 1.
	Replicas int32
	// Listen is the address of the load balancer, host:port. Default 127.0.0.1:0, a port that is free.
	Listen string
	// Readiness says who gets requests. Without a path a replica is ready as soon as it runs.
	Readiness Probe
	// Liveness says who is restarted. Without a path nobody is.
	Liveness Probe
	// CPURequestMilli in thousandths of a core, MemoryRequest and MemoryLimit in bytes; 0 is none.
	CPURequestMilli, MemoryRequest, MemoryLimit int64
	// TerminationGracePeriod from the request to stop to SIGKILL; 0s to 10m. Default 30s, as in Kubernetes.
	TerminationGracePeriod time.Duration
	Restart                Restart
	// MinAvailable is what a PodDisruptionBudget's field of that name is: so many replicas, or such a share of the desired
	// ones, rounded up, must be ready after a replica was restarted for healing. Nil: no limit.
	MinAvailable *intstr.IntOrString
}

// EnvVar is one environment variable.
type EnvVar struct{ Name, Value string }

// Probe is an HTTP GET to a replica; a status from 200 to 399 passes.
type Probe struct {
	// Path such as /readyz; empty: no probe.
	Path string
	// Period between two probes, 50ms to 5m. Default 500ms for readiness, 10s for liveness.
	Period time.Duration
	// Timeout of one probe, 10ms to 1m. Default 1s, as in Kubernetes.
	Timeout time.Duration
	// InitialDelay before the first one, 0s to 10m. Default 0s.
	InitialDelay time.Duration
	// FailureThreshold is how many failures in a row count, 1 to 100. Default 3, as in Kubernetes.
	FailureThreshold int
}

// Restart is the back-off between an end and the next start. The first restart comes at once, the next after InitialBackoff,
// and so on with twice the time up to MaxBackoff. A life of ResetAfter clears it.
type Restart struct {
	// InitialBackoff is 10ms to 1h. Default 10s, the kubelet's.
	InitialBackoff time.Duration
	// MaxBackoff is InitialBackoff to 1h. Default 300s, the kubelet's.
	MaxBackoff time.Duration
	// ResetAfter is 10ms to 24h. Default 10m, the kubelet's.
	ResetAfter time.Duration
}

// Default returns a Service with the defaults and without what is required.
func Default() Service {
	return Service{
		Replicas: 1, Listen: "127.0.0.1:0", TerminationGracePeriod: 30 * time.Second,
		Readiness: Probe{Period: 500 * time.Millisecond, Timeout: time.Second, FailureThreshold: 3},
		Liveness:  Probe{Period: 10 * time.Second, Timeout: time.Second, FailureThreshold: 3},
		Restart:   Restart{InitialBackoff: 10 * time.Second, MaxBackoff: 300 * time.Second, ResetAfter: 10 * time.Minute},
	}
}

// MustStay returns how many replicas must stay ready, by MinAvailable, where so many are desired.
func (s *Service) MustStay(desired int32) int32 {
	if s.MinAvailable == nil {
		return 0
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(s.MinAvailable, int(desired), true)
	if err != nil {
		return desired // Parse lets nothing else through than a number and a percentage
	}
	return int32(n)
}
