package podlog

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/platform/kube/internal/apitest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var died = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// pod is restarted: life 1 is dead, life 2 runs.
func pod(last, present string, state corev1.ContainerState) *corev1.Pod {
	s := corev1.ContainerStatus{Name: "web", ContainerID: present, State: state}
	if last != "" {
		s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ContainerID: last, ExitCode: 137}
	}
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1", UID: "u1"},
		Status:     corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{s}},
	}
}

var (
	running = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	waiting = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
)

func dead(id string) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ContainerID: id}}
}

func TestCapture(t *testing.T) {
	// text serves one log for the present and one for the previous life.
	text := func(present, previous string) apitest.Hook {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/log") {
				return false
			}
			q := r.URL.Query()
			if q.Get("container") != "web" || q.Get("tailLines") == "" || q.Get("limitBytes") == "" {
				apitest.Refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, "unbounded: "+r.URL.RawQuery)
				return true
			}
			body := present
			if q.Get("previous") == "true" {
				body = previous
			}
			_, _ = w.Write([]byte(body))
			return true
		}
	}
	broken := func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/log") {
			apitest.Refuse(w, http.StatusInternalServerError, metav1.StatusReasonInternalError, "dial tcp 10.0.0.1:10250: no route to host")
			return true
		}
		return false
	}
	want := healing.Capture{Replica: "web-1", ReplicaUID: "u1", Container: "web", ContainerID: "containerd://life1"}
	for name, tc := range map[string]struct {
		pod     *corev1.Pod
		hook    apitest.Hook
		capture healing.Capture
		fell    string // the termination message
		lines   []string
		message string
	}{
		"the life before the present one": {
			pod: pod("containerd://life1", "containerd://life2", running), hook: text("new\n", "boom\npassword=hunter2\n"), capture: want,
			lines: []string{"boom", "password=***"}, message: "last lines of container web, life life1",
		},
		"the life that is just dead": {
			pod: pod("containerd://life0", "containerd://life1", dead("containerd://life1")), hook: text("boom\n", "older\n"), capture: want,
			lines: []string{"boom"}, message: "last lines of container web, life life1",
		},
		"in back-off": {
			pod: pod("containerd://life1", "containerd://life1", waiting), hook: text("?", "boom"), capture: want,
			lines: []string{"boom"}, message: "last lines of container web, life life1",
		},
		"the life is over and another died since": {
			pod: pod("containerd://life2", "containerd://life3", running), hook: text("x", "y"), capture: want,
			message: "no log: the container has been started again since, and its log is gone",
		},
		"the same, with a termination message": {
			pod: pod("containerd://life2", "containerd://life3", running), hook: text("x", "y"), capture: want, fell: "panic: no DSN\ntoken=abcdef\n",
			lines: []string{"panic: no DSN", "token=***"}, message: "the kubelet's termination message, because the container has been started again since, and its log is gone",
		},
		"another pod of that name": {
			pod: func() *corev1.Pod { p := pod("containerd://life1", "", running); p.UID = "u2"; return p }(), hook: text("x", "y"), capture: want,
			message: "no log: the pod is gone, another one has its name",
		},
		"the pod is gone": {capture: want, message: "no log: the pod or its container is gone"},
		"the log file is gone": {
			pod: pod("containerd://life1", "containerd://life2", running), capture: want,
			hook:    text("", "unable to retrieve container logs for containerd://life1"),
			message: "no log: the container's log file is gone from the node",
		},
		"nothing was written": {
			pod: pod("containerd://life1", "containerd://life2", running), hook: text("x", "\n"), capture: want,
			message: "no log: the container wrote nothing",
		},
		"the node does not answer": {
			pod: pod("containerd://life1", "containerd://life2", running), hook: broken, capture: want,
			message: "no log: read log of web: dial tcp 10.0.0.1:10250: no route to host",
		},
		"whatever lives now": {
			pod: pod("", "containerd://life1", running), hook: text("alive\n", "y"),
			capture: healing.Capture{Replica: "web-1", ReplicaUID: "u1", Container: "web"},
			lines:   []string{"alive"}, message: "last lines of the present log of container web",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := apitest.New(t)
			if tc.pod != nil {
				s.Put(t, tc.pod)
			}
			if tc.hook != nil {
				s.Hook(tc.hook)
			}
			client, err := kubernetes.NewForConfig(s.Config())
			if err != nil {
				t.Fatal(err)
			}
			w := &cluster.Workload{Ref: cluster.Ref{Kind: "Deployment", Namespace: "shop", Name: "web"}, Replicas: []cluster.Replica{{
				Name: "web-1", UID: "u1", Containers: []cluster.Container{{Name: "web", Last: &cluster.Termination{
					ContainerID: "containerd://life1", FinishedAt: died, Message: tc.fell,
				}}},
			}}}
			got := New(client).Capture(t.Context(), w, tc.capture)
			if got.Kind != incident.EvidenceLog || got.Replica != "web-1" || got.Container != "web" {
				t.Errorf("evidence is %+v", got)
			}
			if tc.capture.ContainerID != "" && !got.At.Equal(died) {
				t.Errorf("evidence is of %v, want the time of the death", got.At)
			}
			if diff := cmp.Diff(tc.lines, got.Lines); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
			if got.Message != tc.message {
				t.Errorf("message is %q, want %q", got.Message, tc.message)
			}
		})
	}
}

// TestTheNextLifesLinesAreNotTaken lets the container be started again between the look and the read.
func TestTheNextLifesLinesAreNotTaken(t *testing.T) {
	s := apitest.New(t)
	s.Put(t, pod("", "containerd://life1", dead("containerd://life1")))
	s.Hook(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/log") {
			return false
		}
		if r.URL.Query().Get("previous") == "true" {
			_, _ = w.Write([]byte("of life 1\n"))
			return true
		}
		s.Put(t, pod("containerd://life1", "containerd://life2", running))
		_, _ = w.Write([]byte("of life 2\n"))
		return true
	})
	client, err := kubernetes.NewForConfig(s.Config())
	if err != nil {
		t.Fatal(err)
	}
	w := &cluster.Workload{Ref: cluster.Ref{Namespace: "shop"}}
	got := New(client).Capture(t.Context(), w, healing.Capture{Replica: "web-1", ReplicaUID: "u1", Container: "web", ContainerID: "containerd://life1"})
	if diff := cmp.Diff([]string{"of life 1"}, got.Lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}
