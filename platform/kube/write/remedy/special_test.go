package remedy

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/policy"
	"github.com/homeostat/homeostat/platform/kube/internal/apitest"
)

// edit changes a stored object.
func (th *theatre) edit(t *testing.T, resource, name string, change func(o object)) {
	t.Helper()
	var o object
	if !th.Get(t, resource, "shop", name, &o) {
		t.Fatalf("no %s %s", resource, name)
	}
	change(o)
	th.Put(t, o)
}

func spec(o object) object     { return o["spec"].(object) }
func metadata(o object) object { return o["metadata"].(object) }

// What does not fit the action is left alone, and the message says what is there instead.
func TestWhatDoesNotFitIsLeftAlone(t *testing.T) {
	t.Parallel()
	all := deeds()
	with := func(name string, change func(*healing.Action)) healing.Action {
		a := all[name].action
		change(&a)
		return a
	}
	for name, tc := range map[string]struct {
		action  healing.Action
		prepare func(t *testing.T, th *theatre)
		reason  healing.Reason
		message string
	}{
		"a remedy that is none": {action: with("restart", func(a *healing.Action) { a.Remedy = "None" }), reason: healing.ReasonNotSupported, message: `"None"`},
		"quarantine in a statefulset": {
			action: with("quarantine", func(a *healing.Action) { a.Replica, a.ReplicaUID = "db-0", "p-db-0" }), reason: healing.ReasonNotSupported, message: "has no ReplicaSet",
		},
		"quarantine under another replicaset of that name": {
			action: all["quarantine"].action, prepare: func(t *testing.T, th *theatre) {
				t.Helper()
				th.edit(t, "replicasets", "web-new", func(o object) { metadata(o)["uid"] = "rs-again" })
			}, reason: healing.ReasonFailed, message: "is not the one that made pod web-1",
		},
		"a limit that was changed": {action: with("resize", func(a *healing.Action) { a.Change.FromMemory = 90 << 20 }), reason: healing.ReasonFailed, message: "it is 100Mi, not 90Mi"},
		"a limit that would fall":  {action: with("resize", func(a *healing.Action) { a.Change.ToMemory = 50 << 20 }), reason: healing.ReasonNotSupported, message: "only ever raised"},
		"no such container":        {action: with("resize", func(a *healing.Action) { a.Change.Container = "x" }), reason: healing.ReasonFailed, message: `no container "x"`},
		"a paused deployment": {
			action: all["restart workload"].action, prepare: func(t *testing.T, th *theatre) {
				t.Helper()
				th.edit(t, "deployments", "web", func(o object) { spec(o)["paused"] = true })
			}, reason: healing.ReasonFailed, message: "is paused",
		},
		"a restart that nothing would carry on": {
			action: all["restart a statefulset"].action, prepare: func(t *testing.T, th *theatre) {
				t.Helper()
				th.edit(t, "statefulsets", "db", func(o object) { spec(o)["updateStrategy"] = object{"type": "OnDelete"} })
			}, reason: healing.ReasonNotSupported, message: "OnDelete",
		},
		"a rollback of a paused deployment": {
			action: all["rollback"].action, prepare: func(t *testing.T, th *theatre) {
				t.Helper()
				th.edit(t, "deployments", "web", func(o object) { spec(o)["paused"] = true })
			}, reason: healing.ReasonFailed, message: "is paused",
		},
		"a newer revision": {
			action: with("rollback", func(a *healing.Action) { a.Change.FromRevision = "middle" }), reason: healing.ReasonFailed, message: "its newest revision is new, not middle",
		},
		"a revision that is gone": {
			action: with("rollback", func(a *healing.Action) { a.Change.ToRevision = "older" }), reason: healing.ReasonFailed, message: `revision "older" any more`,
		},
		"a change that no controller has seen": {
			action: all["rollback"].action, prepare: func(t *testing.T, th *theatre) {
				t.Helper()
				th.edit(t, "deployments", "web", func(o object) { metadata(o)["generation"] = 4 })
			}, reason: healing.ReasonFailed, message: "has not seen the change",
		},
		"another's replicaset": {
			action: all["rollback"].action, prepare: func(t *testing.T, th *theatre) {
				t.Helper()
				th.edit(t, "replicasets", "web-old", func(o object) { metadata(o)["ownerReferences"] = ownedBy("Deployment", "web", "d-other") })
			}, reason: healing.ReasonFailed, message: `revision "old" any more`,
		},
		"another number": {action: with("scale out", func(a *healing.Action) { a.Change.FromReplicas = 3 }), reason: healing.ReasonFailed, message: "asks for 2 replicas, not 3"},
		"fewer replicas": {action: with("scale out", func(a *healing.Action) { a.Change.ToReplicas = 1 }), reason: healing.ReasonNotSupported, message: "from 2 to 1"},
		"a daemonset has no scale": {
			action: with("scale out", func(a *healing.Action) { a.Workload.Kind = "DaemonSet" }), reason: healing.ReasonNotSupported, message: "no number of replicas",
		},
		"above the autoscaler's maximum": {
			action: with("scale out an autoscaler", func(a *healing.Action) { a.Change.ToReplicas = 11 }), reason: healing.ReasonFailed, message: "at most 10 replicas, not 11",
		},
		"an autoscaler of another kind": {
			action: with("scale out an autoscaler", func(a *healing.Action) { a.Change.Target.Kind = "HorizontalPodAutoscaler" }), reason: healing.ReasonNotSupported, message: "owns the number",
		},
		"a canary to one": {action: with("abort a canary", func(a *healing.Action) { a.Change.ToReplicas = 1 }), reason: healing.ReasonNotSupported, message: "scaling it to 0"},
		"another track": {
			action: with("switch a service back", func(a *healing.Action) { a.Change.FromRevision = "red" }), reason: healing.ReasonFailed, message: `selects track="blue", not "red"`,
		},
		"no tracks": {action: with("switch a service back", func(a *healing.Action) { a.Change.Key = "" }), reason: healing.ReasonNotSupported, message: "key of its selector"},
		"a job has no revisions": {
			action: with("restart workload", func(a *healing.Action) { a.Workload.Kind = "Job" }), reason: healing.ReasonNotSupported, message: "has no revisions",
		},
		"no profile": {action: with("restart", func(a *healing.Action) { a.Remedy = incident.RemedyCapture }), reason: healing.ReasonNotSupported, message: "offers no profile"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			th := newTheatre(t)
			if tc.prepare != nil {
				tc.prepare(t, th)
			}
			got := th.surgeon.Carry(t.Context(), tc.action)
			if got.Outcome != incident.Failed || got.Reason != tc.reason || !strings.Contains(got.Message, tc.message) {
				t.Errorf("result is %+v, want %s with %q", got, tc.reason, tc.message)
			}
			if w := th.written(); len(w) != 0 {
				t.Errorf("wrote %+v", w)
			}
		})
	}
}

func TestARefusedEvictionIsBlockedAndInADryRunFailed(t *testing.T) {
	t.Parallel()
	for dryRun, want := range map[bool]incident.Outcome{false: incident.Blocked, true: incident.Failed} {
		th := newTheatre(t)
		th.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/eviction") {
				return false
			}
			apitest.Refuse(rw, http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, "Cannot evict pod.", "The disruption budget web needs 2 healthy pods")
			return true
		})
		a := onPod(incident.RemedyRestart)
		a.DryRun = dryRun
		got := th.surgeon.Carry(t.Context(), a)
		if got.Outcome != want || got.Reason != healing.ReasonBlockedByPDB || !strings.Contains(got.Message, "needs 2 healthy pods") {
			t.Errorf("dry run %v: %+v", dryRun, got)
		}
	}
}

// A pod whose request is its limit has the QoS class Guaranteed, which Kubernetes does not let change.
func TestTheRequestOfAGuaranteedPodRisesWithTheLimit(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	th.edit(t, "pods", "web-1", func(o object) { o["status"].(object)["qosClass"] = "Guaranteed" })
	if got := th.surgeon.Carry(t.Context(), deeds()["resize"].action); got.Outcome != incident.Done {
		t.Fatalf("result is %+v", got)
	}
	check(t, "the pod", th.object(t, "pods", "web-1"), []string{`"limits":{"memory":"200Mi"},"requests":{"memory":"200Mi"}`})
}

func TestTheTemplateIsResizedToo(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	a := deeds()["resize"].action
	a.Change.Template = true
	got := th.surgeon.Carry(t.Context(), a)
	if got.Outcome != incident.Done || !strings.Contains(got.Call, "pods/web-1/resize") || !strings.Contains(got.Call, "deployments/web") {
		t.Fatalf("result is %+v", got)
	}
	check(t, "the deployment", th.object(t, "deployments", "web"), []string{`"limits":{"memory":"200Mi"},"requests":{"memory":"50Mi"}`, `"homeostat.dev/remediation":"r1"`})
	// A pod may have more than its template: by an earlier resize of the pod alone.
	more := newTheatre(t)
	more.edit(t, "pods", "web-1", func(o object) {
		spec(o)["containers"].([]any)[0].(object)["resources"] = object{"limits": object{"memory": "150Mi"}}
	})
	higher := a
	higher.Change.FromMemory = 150 << 20
	if got := more.surgeon.Carry(t.Context(), higher); got.Outcome != incident.Done || len(more.written()) != 2 {
		t.Errorf("result is %+v after %+v", got, more.written())
	}
	more.edit(t, "deployments", "web", func(o object) {
		spec(o)["template"].(object)["spec"].(object)["containers"].([]any)[0].(object)["resources"] = object{}
	})
	if got := more.surgeon.Carry(t.Context(), higher); got.Reason != healing.ReasonNotSupported {
		t.Errorf("a template without a limit: %+v", got)
	}
	// Where the pod was resized and the template was not, the second time does the rest.
	other := newTheatre(t)
	other.edit(t, "pods", "web-1", func(o object) {
		spec(o)["containers"].([]any)[0].(object)["resources"] = object{"limits": object{"memory": "200Mi"}}
	})
	if got := other.surgeon.Carry(t.Context(), a); got.Outcome != incident.Done || len(other.written()) != 1 {
		t.Errorf("result is %+v after %+v", got, other.written())
	}
}

func TestAServerWithoutResizeIsNamed(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	th.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/resize") {
			return false
		}
		http.NotFound(rw, r)
		return true
	})
	if got := th.surgeon.Carry(t.Context(), deeds()["resize"].action); got.Reason != healing.ReasonNotSupported || !strings.Contains(got.Message, "Kubernetes 1.33") {
		t.Errorf("result is %+v", got)
	}
}

// A pod that has no label of the template's hash is given up by all the labels that its ReplicaSet selects by.
func TestAReplicaSetWithoutADeploymentGivesItsPodUp(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	th.edit(t, "replicasets", "web-new", func(o object) { spec(o)["selector"] = selecting(object{"app": "web", "team": "a"}) })
	th.edit(t, "services", "web", func(o object) { spec(o)["selector"] = object{"app": "other"} })
	if got := th.surgeon.Carry(t.Context(), onPod(incident.RemedyQuarantine)); got.Outcome != incident.Done {
		t.Fatalf("result is %+v", got)
	}
	check(t, "the pod", th.object(t, "pods", "web-1"), []string{`"labels":{"homeostat.dev/quarantined":"web-oom","pod-template-hash":"new","track":"blue"}`})
	never := newTheatre(t)
	never.edit(t, "replicasets", "web-new", func(o object) {
		spec(o)["selector"] = object{"matchExpressions": []object{{"key": "gone", "operator": "DoesNotExist"}}}
	})
	if got := never.surgeon.Carry(t.Context(), onPod(incident.RemedyQuarantine)); got.Reason != healing.ReasonNotSupported || len(never.written()) != 0 {
		t.Errorf("a selector that matches without labels: %+v", got)
	}
}

// A StatefulSet waits for ever for a pod that does not become ready, also after the template was put right.
func TestABrokenPodOfARolledBackStatefulSetIsEvicted(t *testing.T) {
	t.Parallel()
	d := deeds()["rollback of a statefulset"]
	th := newTheatre(t)
	got := th.surgeon.Carry(t.Context(), d.action)
	if got.Outcome != incident.Done || !strings.Contains(got.Message, "pod db-1") || strings.Contains(got.Message, "db-0") {
		t.Errorf("result is %+v", got)
	}
	if th.object(t, "pods", "db-1") != "" || th.object(t, "pods", "db-0") == "" {
		t.Errorf("pods that are left: %v", th.Names("pods"))
	}
	parallel := newTheatre(t)
	parallel.edit(t, "statefulsets", "db", func(o object) { spec(o)["podManagementPolicy"] = "Parallel" })
	parallel.surgeon.Carry(t.Context(), d.action)
	if parallel.object(t, "pods", "db-1") == "" {
		t.Error("a pod was evicted that the StatefulSet replaces by itself")
	}
	blocked := newTheatre(t)
	blocked.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/eviction") {
			return false
		}
		apitest.Refuse(rw, http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, "the disruption budget says no")
		return true
	})
	if got := blocked.surgeon.Carry(t.Context(), d.action); got.Outcome != incident.Done || !strings.Contains(got.Message, "was not evicted: the disruption budget says no") {
		t.Errorf("a refused eviction: %+v", got)
	}
}

func TestAFloorThatIsOverIsRaisedAgain(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	a := deeds()["scale out an autoscaler"].action
	floor := func(value string) {
		th.edit(t, "autoscalers", "web", func(o object) { metadata(o)["annotations"] = object{v1alpha1.AnnotationHealFloor: value} })
	}
	for _, value := range []string{"6 until 2020-01-01T00:00:00Z", "nonsense", "3 until " + time.Now().Add(time.Hour).UTC().Format(time.RFC3339)} {
		floor(value)
		if got := th.surgeon.Carry(t.Context(), a); got.Outcome != incident.Done {
			t.Fatalf("%s: %+v", value, got)
		}
		var o v1alpha1.Autoscaler
		th.Get(t, "autoscalers", "shop", "web", &o)
		now, err := policy.ReadHealFloor(o.Annotations[v1alpha1.AnnotationHealFloor])
		if err != nil || now.Replicas != 4 || time.Until(now.Until) < 50*time.Minute || time.Until(now.Until) > 61*time.Minute {
			t.Errorf("over %q the floor is %+v, %v", value, now, err)
		}
	}
	floor("6 until " + time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	writes := len(th.written())
	if got := th.surgeon.Carry(t.Context(), a); got.Outcome != incident.Done || len(th.written()) != writes {
		t.Errorf("a higher floor that holds: %+v", got)
	}
}

// What stopped between the two writes of an abort goes on with the second.
func TestAnAbortGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	a := deeds()["abort a canary"].action
	broken := true
	th.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
		if !broken || r.Method != http.MethodPut {
			return false
		}
		apitest.Refuse(rw, http.StatusInternalServerError, metav1.StatusReasonInternalError, "etcd is away")
		return true
	})
	if got := th.surgeon.Carry(t.Context(), a); got.Outcome != incident.Failed || !strings.Contains(got.Message, "etcd is away") {
		t.Fatalf("result is %+v", got)
	}
	broken = false
	before := len(th.Writes())
	if got := th.surgeon.Carry(t.Context(), a); got.Outcome != incident.Done || len(th.Writes()) != before+1 {
		t.Errorf("result is %+v after %v", got, th.Writes())
	}
	check(t, "the deployment", th.object(t, "deployments", "web"), []string{`"replicas":0`, `"homeostat.dev/replicas-before":"2"`})
}

func capturing() healing.Action {
	a := onPod(incident.RemedyCapture)
	a.ProfilePort = 6060
	return a
}

func TestProfilesAreEvidence(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	th.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
		switch r.URL.Path + "?" + r.URL.RawQuery {
		case "/api/v1/namespaces/shop/pods/web-1:6060/proxy/debug/pprof/goroutine?debug=1":
			fmt.Fprint(rw, "goroutine profile: total 1003\n1 @ 0x1\n#\t0x1\tmain.main+0x1\t/src/main.go:1\n\n1002 @ 0x2\n#\t0x2\tmain.wait+0x2\t/src/main.go:2\n")
		case "/api/v1/namespaces/shop/pods/web-1:6060/proxy/debug/pprof/heap?debug=1":
			http.NotFound(rw, r)
		default:
			return false
		}
		return true
	})
	got := th.surgeon.Carry(t.Context(), capturing())
	if got.Outcome != incident.Done || len(got.Evidence) != 1 || !strings.Contains(got.Message, "gave a goroutine dump; no heap profile") {
		t.Fatalf("result is %+v", got)
	}
	e := got.Evidence[0]
	if e.Kind != incident.EvidenceProfile || e.Replica != "web-1" || e.At.IsZero() || !strings.Contains(e.Message, "1003 goroutines") ||
		e.Lines[0] != "1002 goroutines at" || e.Lines[1] != "  main.wait+0x2 /src/main.go:2" {
		t.Errorf("evidence is %+v", e)
	}
}

func TestACaptureSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	th := newTheatre(t)
	th.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/proxy/") {
			return false
		}
		apitest.Refuse(rw, http.StatusForbidden, metav1.StatusReasonForbidden, `pods "web-1:6060" is forbidden: User "me" cannot get resource "pods/proxy"`)
		return true
	})
	got := th.surgeon.Carry(t.Context(), capturing())
	if got.Outcome != incident.Failed || !strings.Contains(got.Message, `cannot get resource "pods/proxy"`) || !strings.Contains(got.Message, "deploy/remedies") {
		t.Errorf("result is %+v", got)
	}
	gone := capturing()
	gone.ReplicaUID = "other"
	if got := th.surgeon.Carry(t.Context(), gone); got.Outcome != incident.Failed || got.Reason != healing.ReasonReplicaGone {
		t.Errorf("another pod's profile: %+v", got)
	}
}

// An application is not bothered for a dry run: whether the request would be allowed is asked instead.
func TestADryRunOfACaptureAsksForTheRight(t *testing.T) {
	t.Parallel()
	for allowed, want := range map[bool]incident.Outcome{true: incident.DryRun, false: incident.Failed} {
		th := newTheatre(t)
		asked := 0
		th.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
			switch {
			case strings.HasSuffix(r.URL.Path, "/selfsubjectaccessreviews"):
				rw.Header().Set("Content-Type", "application/json")
				fmt.Fprintf(rw, `{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","status":{"allowed":%v}}`, allowed)
			case strings.Contains(r.URL.Path, "/proxy/"):
				asked++
				return false
			default:
				return false
			}
			return true
		})
		a := capturing()
		a.DryRun, a.ProfilePath = true, "/internal/pprof/"
		got := th.surgeon.Carry(t.Context(), a)
		if got.Outcome != want || !strings.Contains(got.Call, "GET /api/v1/namespaces/shop/pods/web-1:6060/proxy/internal/pprof/") || asked != 0 {
			t.Errorf("allowed %v: %+v, asked %d times", allowed, got, asked)
		}
	}
}

func TestAWorkloadThatIsGoneIsNamed(t *testing.T) {
	t.Parallel()
	for name, d := range deeds() {
		if d.action.Remedy.OnReplica() || d.action.Change.Target != (cluster.Ref{}) {
			continue
		}
		th := newTheatre(t)
		th.Remove(t, d.resource, "shop", d.name)
		if got := th.surgeon.Carry(t.Context(), d.action); got.Outcome != incident.Failed || got.Reason != healing.ReasonWorkloadGone {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
