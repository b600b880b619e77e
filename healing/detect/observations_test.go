package detect

import (
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// TestObservations verifies what is said for a kind beside the message: what a person would look up next.
func TestObservations(t *testing.T) {
	notReady := func(r *cluster.Replica, c *cluster.Container) {
		r.Ready, r.ReadySince, c.Ready = false, ago(time.Hour), false
	}
	late := func(finalizers ...string) func(*cluster.Replica, *cluster.Container) {
		return func(r *cluster.Replica, _ *cluster.Container) {
			r.DeletedAt, r.GraceSeconds, r.Finalizers = ago(time.Hour), 30, finalizers
		}
	}
	gate := func(r *cluster.Replica, _ *cluster.Container) {
		r.Ready, r.ReadySince, r.ReadyReason, r.ReadyMessage, r.Gates = false, ago(time.Hour), reasonGates, "gate x is not True", []string{"x"}
	}
	failed := pod(ended(cluster.PhaseFailed), func(_ *cluster.Replica, c *cluster.Container) {
		c.Terminated.ExitCode, c.Terminated.Message = 3, "no such table"
	})
	for _, tt := range []struct {
		name     string
		workload *cluster.Workload
		kind     incident.Kind
		has, not []string
	}{
		{
			"the readiness probe", owner(withReplicas(pod(notReady, event("Unhealthy", "Liveness probe failed: x", ago(time.Second)), event("Unhealthy", "Readiness probe failed: 503", ago(time.Minute))))),
			incident.NotReady,
			[]string{"Readiness probe failed: 503", "not ready: app"},
			[]string{"Liveness"},
		},
		{"another event is no probe's", owner(withReplicas(pod(notReady, event("Pulled", "Readiness probe", ago(time.Minute))))), incident.NotReady, nil, []string{"Readiness"}},
		{"the gate's own words", owner(withReplicas(pod(gate))), incident.ReadinessGate, []string{"gate x is not True"}, nil},
		{
			"finalizers beside a container that runs", owner(withReplicas(pod(late("a/b"), event("FailedKillPod", "it hangs", ago(time.Minute))))),
			incident.StuckTerminating,
			[]string{"finalizers: a/b", "FailedKillPod: it hangs"},
			nil,
		},
		{"a hook that failed", owner(withReplicas(pod(late(), event("FailedPreStopHook", "exit 1", ago(time.Minute))))), incident.StuckTerminating, []string{"FailedPreStopHook: exit 1"}, []string{"finalizers"}},
		{"a grace that was not enough", owner(withReplicas(pod(late(), event("ExceededGracePeriod", "killed", ago(time.Minute)), event("Pulled", "x", ago(time.Minute))))), incident.StuckTerminating, []string{"ExceededGracePeriod: killed"}, []string{"Pulled"}},
		{"the kubelet's eviction message", owner(withReplicas(pod(ended(cluster.PhaseFailed), status("Evicted", lowMemory)))), incident.Evicted, []string{"Threshold quantity: 100Mi"}, nil},
		{"the condition's message", owner(withReplicas(pod(disruption("PreemptionByScheduler", "s: preempting", time.Minute)))), incident.Disrupted, []string{"s: preempting"}, nil},
		{
			"a Job's pods", owner(ofKind(cluster.KindJob), condition("Failed", "True", "BackoffLimitExceeded", "too often", time.Minute), withReplicas(failed, pod(ended(cluster.PhaseSucceeded)))),
			incident.JobFailed,
			[]string{"too often", "1 pod of it failed", "its last words: no such table"},
			nil,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, f := range Findings(lookAt(tt.workload, nil)) {
				if f.Kind != tt.kind {
					continue
				}
				all := strings.Join(f.For, "; ")
				for _, part := range tt.has {
					if !strings.Contains(all, part) {
						t.Errorf("%q does not say %q", all, part)
					}
				}
				for _, part := range tt.not {
					if strings.Contains(all, part) {
						t.Errorf("%q says %q", all, part)
					}
				}
				return
			}
			t.Errorf("no %s", tt.kind)
		})
	}
}

// TestEndedWhen verifies that an eviction is dated by what says most of it.
func TestEndedWhen(t *testing.T) {
	failed := pod(ended(cluster.PhaseFailed), status("Evicted", lowMemory), event("Pulled", "", ago(time.Second)))
	failed.ReadySince = ago(time.Second)
	for name, tt := range map[string]struct {
		change func(*cluster.Replica, *cluster.Container)
		want   time.Duration
	}{
		"the last container's end": {func(*cluster.Replica, *cluster.Container) {}, time.Minute},
		"the eviction's event":     {event(reasonEvicted, "", ago(30*time.Second)), 30 * time.Second},
		"the condition":            {disruption(terminationByKubelet, lowMemory, 20*time.Second), 20 * time.Second},
		"the loss of Ready":        {func(r *cluster.Replica, _ *cluster.Container) { r.Containers = nil }, time.Second},
	} {
		r := failed
		r.Containers = []cluster.Container{failed.Containers[0]}
		tt.change(&r, &r.Containers[0])
		found := Findings(lookAt(owner(withReplicas(r)), nil))
		if len(found) == 0 || found[0].Kind != incident.Evicted || !found[0].Since.Equal(ago(tt.want)) {
			t.Errorf("%s: %+v, want since %s ago", name, found, tt.want)
		}
	}
}

// TestPassingContainers verifies that init containers that are done and ephemeral ones say nothing about being ready.
func TestPassingContainers(t *testing.T) {
	for _, k := range []cluster.ContainerKind{cluster.ContainerInit, cluster.ContainerEphemeral} {
		extra := cluster.Container{Name: "extra", Kind: k, State: cluster.StateTerminated, Terminated: &cluster.Termination{ContainerID: "x", FinishedAt: ago(time.Hour)}}
		slow := pod(func(r *cluster.Replica, c *cluster.Container) {
			r.Ready, r.ReadySince, c.Ready = false, ago(time.Hour), false
			r.Containers = append(r.Containers, extra)
		})
		gated := pod(func(r *cluster.Replica, _ *cluster.Container) {
			r.Ready, r.ReadySince, r.Gates = false, ago(time.Hour), []string{"x"}
			r.Containers = append(r.Containers, extra)
		})
		for want, r := range map[incident.Kind]cluster.Replica{incident.NotReady: slow, incident.ReadinessGate: gated} {
			if found := Findings(lookAt(owner(withReplicas(r)), nil)); len(found) != 1 || found[0].Kind != want {
				t.Errorf("with a container of kind %s: %+v, want %s", k, found, want)
			}
		}
	}
}

// TestWorkloadPrints verifies that two workloads, and one that was made again, never share a fingerprint.
func TestWorkloadPrints(t *testing.T) {
	late := condition("Progressing", "False", "ProgressDeadlineExceeded", "", time.Minute)
	seen := map[string]string{}
	for name, ref := range map[string]cluster.Ref{
		"web": {Kind: "Deployment", Namespace: "demo", Name: "web", UID: "w1"}, "web again": {Kind: "Deployment", Namespace: "demo", Name: "web", UID: "w2"},
		"a without UID": {Kind: "Deployment", Namespace: "demo", Name: "a"}, "b without UID": {Kind: "Deployment", Namespace: "demo", Name: "b"},
	} {
		found := Findings(lookAt(owner(late, func(w *cluster.Workload) { w.Ref = ref }), nil))
		if len(found) != 1 {
			t.Fatalf("%s: %d findings", name, len(found))
		}
		if other := seen[found[0].Fingerprint]; other != "" {
			t.Errorf("%s and %s share a fingerprint", name, other)
		}
		seen[found[0].Fingerprint] = name
	}
}
