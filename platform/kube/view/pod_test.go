package view

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/transcript"
)

func readPod(tb testing.TB, path string) *corev1.Pod {
	tb.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	var p corev1.Pod
	if err := json.Unmarshal(raw, &p); err != nil {
		tb.Fatalf("%s: %v", path, err)
	}
	return &p
}

func podFiles(tb testing.TB) []string {
	tb.Helper()
	files, err := filepath.Glob("testdata/pods/*.json")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no pods: %v", err)
	}
	return files
}

// TestPodRecords compares the record of each recorded pod with the one beside it.
func TestPodRecords(t *testing.T) {
	for _, file := range podFiles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			rec := NewRecords().Pod(readPod(t, file))
			got, err := json.MarshalIndent(rec, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			transcript.Compare(t, strings.TrimSuffix(file, ".json")+".record", string(got)+"\n")
		})
	}
}

func TestPodRecordTellsWhatElseKeepsAPodFromServing(t *testing.T) {
	at := metav1.NewTime(noon.Add(-time.Minute))
	p := runningPod("web")
	p.Finalizers, p.DeletionTimestamp, p.DeletionGracePeriodSeconds = []string{"example.dev/drain"}, new(metav1.NewTime(noon)), new(int64(45))
	p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.dev/balancer"}}
	p.Spec.RestartPolicy = corev1.RestartPolicyAlways
	p.Spec.Containers[0].LivenessProbe, p.Spec.Containers[0].StartupProbe = &corev1.Probe{}, &corev1.Probe{}
	p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "plain"})
	p.Status.Conditions = []corev1.PodCondition{
		{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "ReadinessGatesNotReady"},
		{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonSchedulingGated},
		{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI", Message: "drained", LastTransitionTime: at},
		{Type: "example.dev/balancer", Status: corev1.ConditionFalse, Reason: "NotRegistered", Message: "target unknown", LastTransitionTime: at},
		{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionFalse},
		{Type: corev1.PodResizePending, Status: corev1.ConditionTrue, Reason: "Infeasible", Message: "node has 2Gi"},
	}
	got := NewRecords().Pod(p).Replica
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"gates", got.Gates, []string{"example.dev/balancer"}},
		{"scheduling gated", got.SchedulingGated, true},
		{"unschedulable", got.Unschedulable, false},
		{"disruption", got.Disruption + ": " + got.DisruptionMessage, "EvictionByEvictionAPI: drained"},
		{"disruption since", got.DisruptionSince, at.UTC()},
		{"grace", got.GraceSeconds, int64(45)},
		{"finalizers", got.Finalizers, []string{"example.dev/drain"}},
		{"deleted at", got.DeletedAt, noon.Add(-45 * time.Second)},
		{"restarts always", got.RestartsAlways, true},
		{"probes", []bool{got.Containers[0].LivenessProbe, got.Containers[0].StartupProbe, got.Containers[1].LivenessProbe, got.Containers[1].StartupProbe}, []bool{true, true, false, false}},
		{"conditions", got.Conditions, []cluster.Condition{
			{Type: "example.dev/balancer", Status: "False", Reason: "NotRegistered", Message: "target unknown", Since: at.UTC()},
			{Type: "PodReadyToStartContainers", Status: "False"},
			{Type: "PodResizePending", Status: "True", Reason: "Infeasible", Message: "node has 2Gi"},
		}},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
	p.Spec.RestartPolicy, p.DeletionGracePeriodSeconds, p.Spec.TerminationGracePeriodSeconds = corev1.RestartPolicyNever, nil, new(int64(7))
	if got := NewRecords().Pod(p).Replica; got.RestartsAlways || got.GraceSeconds != 7 {
		t.Errorf("restarts always %v, grace %d", got.RestartsAlways, got.GraceSeconds)
	}
}

func TestPodRecordSaysWhatIsRelied(t *testing.T) {
	pod := func(name string) *Pod { return NewRecords().Pod(readPod(t, "testdata/pods/"+name+".json")) }

	if got := pod("oom-killed").Replica.Containers[0]; got.Last == nil || got.Last.Reason != cluster.ReasonOOMKilled ||
		got.Last.ExitCode != 137 || got.Last.ContainerID != "containerd://c1" || got.Restarts != 1 {
		t.Errorf("an OOM kill is %+v", got)
	}
	if got := pod("crash-loop"); !got.Replica.CrashLooping() || got.Replica.Ready {
		t.Errorf("a crash loop is %+v", got.Replica)
	}
	if got := pod("unschedulable").Replica; !got.Unschedulable || got.UnschedulableSince.IsZero() || got.Phase != cluster.PhasePending {
		t.Errorf("an unschedulable pod is %+v", got)
	}
	if got := pod("unschedulable"); got.ReadyKnown {
		t.Error("a pod without a Ready condition has a known readiness")
	}
	if got := pod("status-unknown").Replica.Containers[0].Terminated; got == nil || !got.StartedAt.IsZero() || !got.FinishedAt.IsZero() {
		t.Errorf("a death at an unknown time is %+v", got)
	}
	deleting := pod("deleting-critical")
	if want := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC); !deleting.Replica.DeletedAt.Equal(want) {
		t.Errorf("deleted at %v, want %v: the grace period is not part of it", deleting.Replica.DeletedAt, want)
	}
	if !deleting.Critical || !pod("static").Critical || pod("running").Critical {
		t.Error("critical is not told by priority class and mirror annotation")
	}
	if got := pod("resized").Replica.Containers[0].MemoryLimit; got != 256<<20 {
		t.Errorf("memory limit is %d, want what is in force on the node", got)
	}
}

// A person's tool in a pod is told apart from what the pod is made of, and what becomes of it says nothing about the pod.
func TestPodRecordTellsEphemeralContainersApart(t *testing.T) {
	p := readPod(t, "testdata/pods/ephemeral.json")
	rec := NewRecords().Pod(p)
	c := rec.Replica.Container("debugger")
	if c == nil || c.Kind != cluster.ContainerEphemeral || c.Terminated == nil || c.Terminated.Reason != cluster.ReasonOOMKilled || c.MemoryLimit != 0 || c.Interactive {
		t.Fatalf("the tool is %+v", c)
	}
	if rec.Looping || rec.NeverReady || !rec.OOMKilledAt.IsZero() || !rec.RestartedAt.IsZero() || !rec.Replica.Ready || slices.Contains(rec.Measured, "debugger") {
		t.Errorf("the pod is taken for one that fails: %+v", rec)
	}
	for _, tt := range []struct{ stdin, tty, want bool }{{true, true, true}, {true, false, false}, {false, true, false}} {
		p.Spec.EphemeralContainers[0].Stdin, p.Spec.EphemeralContainers[0].TTY = tt.stdin, tt.tty
		if got := NewRecords().Pod(p).Replica.Container("debugger").Interactive; got != tt.want {
			t.Errorf("stdin %t, tty %t: interactive %t, want %t", tt.stdin, tt.tty, got, tt.want)
		}
	}
}

func TestRequests(t *testing.T) {
	pod := func(name string) *Pod { return NewRecords().Pod(readPod(t, "testdata/pods/"+name+".json")) }
	for _, tc := range []struct {
		pod         string
		cpu, memory Request
	}{
		{"running", Request{Value: 100}, Request{Value: 64 << 20}},
		{"sidecar", Request{Value: 150}, Request{Value: 96 << 20}}, // the init container that ends is not counted
		{"pod-level-request", Request{Value: 1500}, Request{Missing: "web"}},
		{"finished-container", Request{Value: 110}, Request{Missing: "done"}},
	} {
		if got := pod(tc.pod); got.CPU != tc.cpu || got.Memory != tc.memory {
			t.Errorf("%s requests %+v and %+v, want %+v and %+v", tc.pod, got.CPU, got.Memory, tc.cpu, tc.memory)
		}
	}
	if diff := cmp.Diff([]string{"proxy", "web"}, pod("sidecar").Measured); diff != "" {
		t.Errorf("measured (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"web"}, pod("finished-container").Measured); diff != "" {
		t.Errorf("a container that has ended is missed (-want +got):\n%s", diff)
	}
}

// FuzzPod feeds any pod: every one gives a record, and the record a workload.
func FuzzPod(f *testing.F) {
	for _, file := range podFiles(f) {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte(`{"spec":{"containers":[{"resources":{"requests":{"cpu":"1e99"}}}]},"status":{"containerStatuses":[{}]}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var p corev1.Pod
		if json.Unmarshal(raw, &p) != nil {
			t.Skip()
		}
		rec := NewRecords().Pod(&p)
		if len(rec.Replica.Containers) != len(p.Spec.Containers)+len(p.Spec.InitContainers)+len(p.Spec.EphemeralContainers) {
			t.Fatalf("%d containers became %d", len(p.Spec.Containers), len(rec.Replica.Containers))
		}
		for _, c := range rec.Replica.Containers {
			if (c.State == cluster.StateTerminated) != (c.Terminated != nil) {
				t.Fatalf("state %q with termination %v", c.State, c.Terminated)
			}
		}
		Workloads(Sources{Pods: []*Pod{rec}, Events: NewEvents(), Notes: NewNotes()}, time.Unix(0, 0))
	})
}

// What an application wrote becomes evidence and is masked as its log is; the platform's own words stay.
func TestWhatApplicationsWroteIsMasked(t *testing.T) {
	const dsn, hidden = "cannot connect to postgres://app:hunter2@db/app\n", "cannot connect to postgres://app:***@db/app\n"
	end := &corev1.ContainerStateTerminated{ExitCode: 1, Message: dsn}
	status := func(reason, message string) cluster.Container {
		p := &corev1.Pod{
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web"}}},
			Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
				Name: "web", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
				LastTerminationState: corev1.ContainerState{Terminated: end},
			}}},
		}
		return NewRecords().Pod(p).Replica.Containers[0]
	}
	const missing = `secret "db" not found`
	got := status("CreateContainerConfigError", missing)
	if got.Last.Message != hidden || got.WaitingMessage != missing {
		t.Errorf("the container died with %q and waits with %q", got.Last.Message, got.WaitingMessage)
	}
	if got := status("PostStartHookError", dsn); got.WaitingMessage != hidden {
		t.Errorf("the hook wrote %q", got.WaitingMessage)
	}
	e := NewEvents()
	for reason, message := range map[string]string{"Unhealthy": dsn, "FailedMount": missing} {
		ev := event("Pod", "web-0", "u", reason, 1, noon)
		ev.Message = message
		add(t, e, ev)
	}
	for _, ev := range e.About("Pod", "shop", "web-0", "u", noon) {
		if want := map[string]string{"Unhealthy": hidden, "FailedMount": missing}[ev.Reason]; ev.Message != want {
			t.Errorf("event %s says %q, want %q", ev.Reason, ev.Message, want)
		}
	}
}
