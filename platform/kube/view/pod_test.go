package view

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/homeostat/homeostat/internal/cluster"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the expected records")

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
			got = append(got, '\n')
			golden := strings.TrimSuffix(file, ".json") + ".record"
			if *rewrite {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
		})
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
