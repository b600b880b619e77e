package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/policy/record"
)

// ward is an API server with one workload that was OOM-killed after a rollout, and was scaled before. Its pod web-1 is there, web-0
// is gone.
type ward struct {
	began     time.Time
	forbidden string // a path that answers 403
	onlyDemo  bool   // incidents may be listed in the namespace demo alone
}

func (s *ward) start(t *testing.T) {
	t.Helper()
	at := func(d time.Duration) metav1.Time { return metav1.NewTime(s.began.Add(d).Truncate(time.Second)) }
	mux := http.NewServeMux()
	refuse := func(w http.ResponseWriter, code int, reason string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(metav1.Status{
			TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Reason: metav1.StatusReason(reason), Code: int32(code), Message: reason, //nolint:gosec // an HTTP code
		})
	}
	serve := func(path string, v any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			if path == s.forbidden || s.onlyDemo && path == "/apis/homeostat.dev/v1alpha1/incidents" {
				refuse(w, http.StatusForbidden, "Forbidden")
				return
			}
			if list, ok := v.(*corev1.EventList); ok {
				v := list.DeepCopy()
				v.Items = nil
				for _, e := range list.Items {
					if s := r.URL.Query().Get("fieldSelector"); s == "" || s == "involvedObject.kind="+e.InvolvedObject.Kind+",involvedObject.name="+e.InvolvedObject.Name {
						v.Items = append(v.Items, e)
					}
				}
				w.Header().Set("Content-Type", "application/json")
				_ = json.NewEncoder(w).Encode(v)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(v)
		})
	}
	in := incident.Incident{
		Namespace: "demo", Name: "web-oomkilled-1", State: incident.Open, Kind: incident.OOMKilled,
		Workload: cluster.Ref{Kind: cluster.KindDeployment, Namespace: "demo", Name: "web"}, Cause: "container app of web-0 was killed at its memory limit",
		OpenedAt: s.began.Add(2 * time.Minute), StartedAt: s.began.Add(2 * time.Minute),
		Subjects: []incident.Subject{{Replica: "web-0", Container: "app", At: s.began}},
		Timeline: []incident.Entry{{At: s.began.Add(2 * time.Minute), Reason: "IncidentOpened", Message: "killed at its limit"}},
	}
	incidents := &v1alpha1.IncidentList{Items: []v1alpha1.Incident{*record.Incident(&in)}}
	serve("/apis/homeostat.dev/v1alpha1/incidents", incidents)
	serve("/apis/homeostat.dev/v1alpha1/namespaces/demo/incidents", incidents)
	serve("/apis/homeostat.dev/v1alpha1/namespaces/quiet/incidents", &v1alpha1.IncidentList{})
	autoscaler := v1alpha1.Autoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "web"}}
	autoscaler.Spec.ScaleTargetRef.Kind, autoscaler.Spec.ScaleTargetRef.Name = "Deployment", "web"
	autoscaler.Status.LastChanges = []v1alpha1.ScaleChange{{Time: metav1.NewMicroTime(s.began.Add(time.Minute)), From: 2, To: 4, Reason: "CPU", Message: "cpu is at 81 %", ID: "d-846b76909f"}}
	serve("/apis/homeostat.dev/v1alpha1/namespaces/demo/autoscalers", &v1alpha1.AutoscalerList{Items: []v1alpha1.Autoscaler{autoscaler}})
	set := func(name, revision, image string, age time.Duration) appsv1.ReplicaSet {
		r := appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
			Namespace: "demo", Name: name, CreationTimestamp: at(age), Annotations: map[string]string{"deployment.kubernetes.io/revision": revision},
			OwnerReferences: []metav1.OwnerReference{{Kind: "Deployment", Name: "web"}},
		}}
		r.Spec.Template.Spec.Containers = []corev1.Container{{Name: "app", Image: image}}
		return r
	}
	other := set("other-1", "1", "other:1", 0)
	other.OwnerReferences[0].Name = "other"
	serve("/apis/apps/v1/namespaces/demo/replicasets", &appsv1.ReplicaSetList{Items: []appsv1.ReplicaSet{
		set("web-b", "2", "web:1.5", 90*time.Second), set("web-a", "1", "web:1.4", -time.Hour), other,
	}})
	event := func(kind, name, reason, message string, age time.Duration) corev1.Event {
		return corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: reason}, Reason: reason, Message: message,
			InvolvedObject: corev1.ObjectReference{Kind: kind, Namespace: "demo", Name: name}, FirstTimestamp: at(age), LastTimestamp: at(age), Count: 1,
		}
	}
	scaled := event("Autoscaler", "web", "Scaled", "scaled demo/deployment/web from 2 to 4 (decision d-846b76909f)", 61*time.Second)
	scaled.Annotations = map[string]string{cluster.IDAnnotation: "d-846b76909f"}
	opened := event("Incident", "web-oomkilled-1", "IncidentOpened", "killed at its limit, says the event", 121*time.Second)
	opened.Annotations = map[string]string{cluster.IDAnnotation: "demo/web-oomkilled-1"}
	serve("/api/v1/namespaces/demo/events", &corev1.EventList{Items: []corev1.Event{
		scaled, opened, event("Deployment", "web", "ScalingReplicaSet", "Scaled up", 91*time.Second), event("Pod", "web-0", "Killing", "Stopping container app", 3*time.Minute),
	}})
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "web-1", UID: "u1", CreationTimestamp: at(0)}}
	pod.Spec.Containers = []corev1.Container{{Name: "app", Image: "web:1.5"}}
	pod.Status.Phase = corev1.PodRunning
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "app", RestartCount: 3, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
		LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", FinishedAt: at(4 * time.Minute), ContainerID: "containerd://3"}},
	}}
	serve("/api/v1/namespaces/demo/pods/web-1", pod)
	mux.HandleFunc("GET /api/v1/namespaces/demo/pods/", func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusNotFound, "NotFound") })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	useCluster(t, server.URL)
}

func inOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	rest := text
	for _, p := range parts {
		_, after, found := strings.Cut(rest, p)
		if !found {
			t.Fatalf("%q is not where it should be in:\n%s", p, text)
		}
		rest = after
	}
}

func TestAClusterThatDoesNotAnswerIsAskedOnce(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		http.Error(w, "no", http.StatusBadGateway)
	}))
	t.Cleanup(server.Close)
	useCluster(t, server.URL)
	for _, args := range [][]string{{"timeline", "deploy/web"}, {"why", "pod/web-1"}} {
		asked = 0
		if code, _, errs := call(t, args...); code != 1 || asked != 1 || strings.Count(errs, "list incidents") != 1 {
			t.Errorf("%q exits with %d, asks %d times, and says %s", args, code, asked, errs)
		}
	}
}

func TestTimelineTellsScalingsRolloutsIncidentsAndEventsInOrder(t *testing.T) {
	(&ward{began: time.Now().Add(-10 * time.Minute)}).start(t)
	code, out, errs := call(t, "timeline", "deploy/web")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	inOrder(t, out, "demo/deployment/web", "revision 1 (web-a): image web:1.4", "2 → 4 replicas", "revision 2 (web-b): image web:1.4 ->",
		"ScalingReplicaSet", "IncidentOpened")
	if strings.Contains(out, "other") {
		t.Errorf("another workload's rollout is in it:\n%s", out)
	}
	if _, out, _ = call(t, "timeline", "deployment/web", "--since", "30m"); strings.Contains(out, "web-a") || !strings.Contains(out, "web-b") {
		t.Errorf("--since 30m gives\n%s", out)
	}
	var v struct {
		Moments []struct{ Kind, Reason, Incident string }
	}
	_, out, _ = call(t, "timeline", "deploy/web", "-o", "json")
	if err := json.Unmarshal([]byte(out), &v); err != nil || len(v.Moments) != 5 || v.Moments[4].Incident != "web-oomkilled-1" {
		t.Errorf("as JSON: %v, %+v", err, v)
	}
}

// Whoever was woken up and asks in the wrong namespace must not read that all is well.
func TestNoIncidentsNamesTheNamespace(t *testing.T) {
	(&ward{began: time.Now()}).start(t)
	if _, out, _ := call(t, "incidents", "-n", "quiet"); !strings.Contains(out, `namespace "quiet"`) || !strings.Contains(out, "-A") {
		t.Errorf("in a namespace without any: %q", out)
	}
	if _, out, _ := call(t, "incidents", "-n", "quiet", "-o", "json"); out != "[]\n" {
		t.Errorf("for machines: %q", out)
	}
}

func TestWhatMayNotBeReadIsSaidAndTheRestIsShown(t *testing.T) {
	(&ward{began: time.Now(), forbidden: "/apis/apps/v1/namespaces/demo/replicasets", onlyDemo: true}).start(t)
	code, out, errs := call(t, "timeline", "deploy/web")
	if code != 0 || !strings.Contains(out, "rollouts may not be read") || !strings.Contains(out, "IncidentOpened") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}

// The incident is its workload's, and names the pod.
func TestTimelineOfAPodHasTheIncidentsThatNameIt(t *testing.T) {
	(&ward{began: time.Now().Add(-10 * time.Minute)}).start(t)
	code, out, errs := call(t, "timeline", "pod/web-0")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	inOrder(t, out, "IncidentOpened", "Stopping container app")
	if _, out, _ = call(t, "timeline", "pod/web-1"); strings.Contains(out, "IncidentOpened") {
		t.Errorf("another pod's incident is in it:\n%s", out)
	}
}

func TestWhyOfAPodThatIsThereAndOfOneThatIsGone(t *testing.T) {
	(&ward{began: time.Now().Add(-5 * time.Minute)}).start(t)
	code, out, errs := call(t, "why", "pod/web-1")
	if code != 0 || !strings.Contains(out, "CrashLoop") || !strings.Contains(out, "restarted 3 times") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if _, out, _ = call(t, "why", "pod/web-0"); !strings.Contains(out, "pod web-0 is gone") || !strings.Contains(out, "killed at its memory limit") || !strings.Contains(out, "Stopping container app") {
		t.Errorf("of the one that is gone: %s", out)
	}
	if _, out, _ = call(t, "why", "pod/nobody"); !strings.Contains(out, "nothing is known of it") {
		t.Errorf("of one that never was: %s", out)
	}
}

// A pod that may not be read is not one that is gone.
func TestWhyOfAPodThatMayNotBeRead(t *testing.T) {
	(&ward{began: time.Now().Add(-5 * time.Minute), forbidden: "/api/v1/namespaces/demo/pods/web-1"}).start(t)
	code, out, errs := call(t, "why", "pod/web-1")
	if code != 0 || !strings.Contains(out, "may not be read") || !strings.Contains(out, "nothing is known of web-1") || strings.Contains(out, "does not exist") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}

// A local run stores no replicas: one that was killed and started again in place must not be called gone.
func TestWhyOfALocalReplicaDoesNotSayThatItIsGone(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "incidents"), 0o700); err != nil {
		t.Fatal(err)
	}
	stored := `{"version":1,"incident":{"namespace":"local","name":"web-oomkilled-1","cause":"web-33af was killed at its memory limit","subjects":[{"replica":"web-33af"}]}}`
	for name, content := range map[string]string{"lock": "", "incidents/web-oomkilled-1.json": stored} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, out, errs := call(t, "why", "pod/web-33af", "--state", dir)
	if code != 0 || strings.Contains(out, "is gone") || !strings.Contains(out, "killed at its memory limit") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if _, out, _ = call(t, "why", "pod/web-1111", "--state", dir); strings.Contains(out, "does not exist") {
		t.Errorf("of one that no incident names: %s", out)
	}
}

func TestPostmortemAndIncident(t *testing.T) {
	(&ward{began: time.Now().Add(-5 * time.Minute)}).start(t)
	code, out, errs := call(t, "postmortem", "web-oomkilled-1", "-o", "markdown")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	inOrder(t, out, "OOMKilled on demo/deployment/web", "## What happened", "## What was done", "## Timeline", "revision 2 (web-b)", "IncidentOpened")
	if strings.Contains(out, "web-a") {
		t.Errorf("a rollout of long before is in it:\n%s", out)
	}
	if code, out, _ = call(t, "incident", "web-oomkilled-1"); code != 0 || !strings.Contains(out, "killed at its memory limit") {
		t.Errorf("incident: exit %d: %s", code, out)
	}
	if code, _, errs = call(t, "postmortem", "nobody"); code != 1 || !strings.Contains(errs, `"nobody" not found`) {
		t.Errorf("exit %d: %s", code, errs)
	}
}

// What --since leaves out is not unknown.
func TestSinceSaysWhatItLeavesOut(t *testing.T) {
	(&ward{began: time.Now().Add(-10 * time.Minute)}).start(t)
	for _, args := range [][]string{{"timeline", "deploy/web"}, {"timeline", "--id", "web-oomkilled-1"}} {
		code, out, errs := call(t, append(args, "--since", "1s")...)
		if code != 0 || !strings.Contains(out, "older than --since 1s") || strings.Contains(out, "Nothing is known") {
			t.Errorf("%q exits with %d: %s%s", args, code, out, errs)
		}
	}
}
