package remedy

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/homeostat/homeostat/api/client"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/platform/kube/internal/apitest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type object = apitest.Object

// written is one request that was to change something.
type written struct {
	call   string // method and path
	dryRun bool
	body   string
}

// theatre is an API server with a Deployment, a StatefulSet and what belongs to them in the namespace shop.
type theatre struct {
	*apitest.Server
	surgeon *Surgeon

	mu     sync.Mutex
	writes []written
	before func(call string) // is called once, before the first write
}

func newTheatre(t *testing.T) *theatre {
	t.Helper()
	th := &theatre{Server: apitest.New(t)}
	cfg := th.Config()
	hc := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(hc.CloseIdleConnections)
	core, err := kubernetes.NewForConfigAndClient(cfg, hc)
	if err != nil {
		t.Fatal(err)
	}
	own, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	th.surgeon = New(core, own)
	th.furnish(t)
	th.Hook(th.note)
	return th
}

// note remembers a write.
func (th *theatre) note(_ http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet {
		return false
	}
	raw, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(raw))
	th.mu.Lock()
	th.writes = append(th.writes, written{
		call: r.Method + " " + r.URL.Path, body: string(raw),
		dryRun: r.URL.Query().Get("dryRun") == "All" && (!strings.Contains(string(raw), "deleteOptions") || strings.Contains(string(raw), `"dryRun":["All"]`)),
	})
	before := th.before
	th.before = nil
	th.mu.Unlock()
	if before != nil {
		before(r.URL.Path)
	}
	return false
}

func (th *theatre) written() []written {
	th.mu.Lock()
	defer th.mu.Unlock()
	return slices.Clone(th.writes)
}

func ownedBy(kind, name, uid string) []object {
	return []object{{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": true}}
}

func selecting(l object) object { return object{"matchLabels": l} }

func template(image string, labels object) object {
	return object{
		"metadata": object{"labels": labels},
		"spec": object{"containers": []object{
			{"name": "app", "image": image, "resources": object{"limits": object{"memory": "100Mi"}, "requests": object{"memory": "50Mi"}}},
			{"name": "side", "image": "side:1"},
		}},
	}
}

// furnish puts what the remedies work on: Deployment web with revisions old and new, StatefulSet db with db-1 and db-2.
func (th *theatre) furnish(t *testing.T) {
	t.Helper()
	app := object{"app": "web"}
	set := func(hash, revision, image string, replicas int) object {
		labels := object{"app": "web", "pod-template-hash": hash}
		return object{
			"apiVersion": "apps/v1", "kind": "ReplicaSet",
			"metadata": object{
				"namespace": "shop", "name": "web-" + hash, "uid": "rs-" + hash, "labels": labels,
				"annotations": object{"deployment.kubernetes.io/revision": revision}, "ownerReferences": ownedBy("Deployment", "web", "d-web"),
			},
			"spec": object{"replicas": replicas, "selector": selecting(labels), "template": template(image, labels)},
		}
	}
	revision := func(name, image string, number int) object {
		return object{
			"apiVersion": "apps/v1", "kind": "ControllerRevision",
			"metadata": object{
				"namespace": "shop", "name": name, "uid": "cr-" + name, "labels": object{"app": "db", "controller.kubernetes.io/hash": name[3:]},
				"ownerReferences": ownedBy("StatefulSet", "db", "s-db"),
			},
			"revision": number,
			"data": object{"spec": object{"template": object{
				"$patch": "replace", "metadata": object{"labels": object{"app": "db"}}, "spec": object{"containers": []object{{"name": "db", "image": image}}},
			}}},
		}
	}
	pod := func(name, hash, kind, owner, uid string, labels object, ready string) object {
		return object{
			"apiVersion": "v1", "kind": "Pod",
			"metadata": object{"namespace": "shop", "name": name, "uid": "p-" + name, "labels": labels, "ownerReferences": ownedBy(kind, owner, uid)},
			"spec":     template("web:2", nil)["spec"],
			"status":   object{"qosClass": "Burstable", "conditions": []object{{"type": "Ready", "status": ready}}},
		}
	}
	for _, o := range []object{
		{
			"apiVersion": "apps/v1", "kind": "Deployment",
			"metadata": object{"namespace": "shop", "name": "web", "uid": "d-web", "generation": 3, "annotations": object{"deployment.kubernetes.io/revision": "2"}},
			"spec":     object{"replicas": 2, "selector": selecting(app), "template": template("web:2", object{"app": "web", "extra": "new"})},
			"status":   object{"observedGeneration": 3},
		},
		set("old", "1", "web:1", 0), set("new", "2", "web:2", 2),
		pod("web-1", "new", "ReplicaSet", "web-new", "rs-new", object{"app": "web", "pod-template-hash": "new", "track": "blue", "team": "a"}, "True"),
		{
			"apiVersion": "v1", "kind": "Service", "metadata": object{"namespace": "shop", "name": "web", "uid": "svc-web"},
			"spec": object{"selector": object{"app": "web", "track": "blue"}},
		},
		{"apiVersion": "v1", "kind": "Service", "metadata": object{"namespace": "shop", "name": "bare", "uid": "svc-bare"}, "spec": object{}},
		{
			"apiVersion": "apps/v1", "kind": "StatefulSet",
			"metadata": object{"namespace": "shop", "name": "db", "uid": "s-db", "generation": 2},
			"spec":     object{"replicas": 2, "selector": selecting(object{"app": "db"}), "template": template("db:2", object{"app": "db"})},
			"status":   object{"observedGeneration": 2},
		},
		revision("db-old", "db:1", 1), revision("db-new", "db:2", 2),
		pod("db-0", "db-new", "StatefulSet", "db", "s-db", object{"app": "db", "controller-revision-hash": "db-new"}, "True"),
		pod("db-1", "db-new", "StatefulSet", "db", "s-db", object{"app": "db", "controller-revision-hash": "db-new"}, "False"),
		{
			"apiVersion": "homeostat.dev/v1alpha1", "kind": "Autoscaler", "metadata": object{"namespace": "shop", "name": "web", "uid": "as-web"},
			"spec": object{"maxReplicas": 10, "scaleTargetRef": object{"kind": "Deployment", "name": "web"}},
		},
	} {
		th.Put(t, o)
	}
}

// touch changes the version of an object, as a controller that writes its status does.
func (th *theatre) touch(t *testing.T, resource, name string) {
	t.Helper()
	var o object
	if !th.Get(t, resource, "shop", name, &o) {
		t.Fatalf("no %s %s", resource, name)
	}
	th.Put(t, o)
}

// replace makes the object another one of the same name.
func (th *theatre) replace(t *testing.T, resource, name string) {
	t.Helper()
	var o object
	th.Get(t, resource, "shop", name, &o)
	o["metadata"].(object)["uid"] = "another"
	th.Put(t, o)
}

func (th *theatre) object(t *testing.T, resource, name string) string {
	t.Helper()
	var o object
	if !th.Get(t, resource, "shop", name, &o) {
		return ""
	}
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func onPod(remedy incident.Remedy) healing.Action {
	return healing.Action{
		Incident: "web-oom", RemediationID: "r1", Remedy: remedy, Replica: "web-1", ReplicaUID: "p-web-1",
		Workload: cluster.Ref{Kind: "Deployment", Namespace: "shop", Name: "web", UID: "d-web"},
	}
}

func onWorkload(remedy incident.Remedy, c incident.Change) healing.Action {
	a := onPod(remedy)
	a.Replica, a.ReplicaUID, a.Change = "", "", c
	return a
}

func onDB(remedy incident.Remedy, c incident.Change) healing.Action {
	a := onWorkload(remedy, c)
	a.Workload = cluster.Ref{Kind: "StatefulSet", Namespace: "shop", Name: "db", UID: "s-db"}
	return a
}

// deed is one remedy with what it is to write.
type deed struct {
	action         healing.Action
	resource, name string   // what is written
	call           string   // the last request
	body           []string // what its body has
	stored         []string // what the object has afterwards, and with a minus before it what it has not
	// patient is true where a write of somebody else in between is no reason to give up.
	patient bool
}

func deeds() map[string]deed {
	memory := incident.Change{Container: "app", FromMemory: 100 << 20, ToMemory: 200 << 20}
	return map[string]deed{
		"restart": {
			action: onPod(incident.RemedyRestart), resource: "pods", name: "web-1", call: "POST /api/v1/namespaces/shop/pods/web-1/eviction",
			body: []string{`"preconditions":{"uid":"p-web-1"}`}, patient: true,
		},
		"quarantine": {
			action: onPod(incident.RemedyQuarantine), resource: "pods", name: "web-1", call: "PATCH /api/v1/namespaces/shop/pods/web-1",
			body: []string{`"uid":"p-web-1"`, `"resourceVersion":`, `"app":null`, `"pod-template-hash":null`, `"track":null`},
			stored: []string{
				`"labels":{"homeostat.dev/quarantined":"web-oom","team":"a"}`, `{\"app\":\"web\",\"pod-template-hash\":\"new\",\"track\":\"blue\"}`,
				`"ownerReferences"`, // the ReplicaSet gives it up by itself
			}, patient: true,
		},
		"resize": {
			action: func() healing.Action { a := onPod(incident.RemedyResizeMemory); a.Change = memory; return a }(), resource: "pods", name: "web-1",
			call:    "PATCH /api/v1/namespaces/shop/pods/web-1/resize",
			body:    []string{`"uid":"p-web-1"`, `"resourceVersion":`, `"containers":[{"name":"app","resources":{"limits":{"memory":"200Mi"}}}]`},
			stored:  []string{`"limits":{"memory":"200Mi"},"requests":{"memory":"50Mi"}`, `"name":"side"`},
			patient: true,
		},
		"restart workload": {
			action: onWorkload(incident.RemedyRestartWorkload, incident.Change{}), resource: "deployments", name: "web",
			call:   "PATCH /apis/apps/v1/namespaces/shop/deployments/web",
			body:   []string{`"uid":"d-web"`, `"resourceVersion":`, `"kubectl.kubernetes.io/restartedAt":"2`},
			stored: []string{`"homeostat.dev/remediation":"r1"`, `"kubectl.kubernetes.io/restartedAt"`, `"image":"web:2"`},
		},
		"restart a statefulset": {
			action: onDB(incident.RemedyRestartWorkload, incident.Change{}), resource: "statefulsets", name: "db",
			call:   "PATCH /apis/apps/v1/namespaces/shop/statefulsets/db",
			body:   []string{`"uid":"s-db"`, `"kubectl.kubernetes.io/restartedAt":"2`},
			stored: []string{`"homeostat.dev/remediation":"r1"`},
		},
		"scale out": {
			action: onWorkload(incident.RemedyScaleOut, incident.Change{FromReplicas: 2, ToReplicas: 4}), resource: "deployments", name: "web",
			call: "PUT /apis/apps/v1/namespaces/shop/deployments/web/scale", body: []string{`"uid":"d-web"`, `"resourceVersion":`, `"replicas":4`},
			stored: []string{`"replicas":4`},
		},
		"scale out an autoscaler": {
			action: onWorkload(incident.RemedyScaleOut, incident.Change{
				FromReplicas: 2, ToReplicas: 4, Target: cluster.Ref{Kind: "Autoscaler", Namespace: "shop", Name: "web", UID: "as-web"},
			}), resource: "autoscalers", name: "web",
			call: "PATCH /apis/homeostat.dev/v1alpha1/namespaces/shop/autoscalers/web", body: []string{`"uid":"as-web"`, `"resourceVersion":`, `"homeostat.dev/heal-floor":"4 until 2`},
			stored: []string{`"homeostat.dev/heal-floor":"4 until 2`, `"maxReplicas":10`},
		},
		"rollback": {
			action: onWorkload(incident.RemedyRollback, incident.Change{FromRevision: "new", ToRevision: "old"}), resource: "deployments", name: "web",
			call:   "PATCH /apis/apps/v1/namespaces/shop/deployments/web",
			body:   []string{`"path":"/metadata/uid","value":"d-web"`, `"path":"/metadata/resourceVersion"`, `"image":"web:1"`},
			stored: []string{`"image":"web:1"`, `"homeostat.dev/remediation":"r1"`, `-"extra"`, `-"pod-template-hash"`},
		},
		"rollback of a statefulset": {
			action: onDB(incident.RemedyRollback, incident.Change{FromRevision: "db-new", ToRevision: "db-old"}), resource: "statefulsets", name: "db",
			call:   "PATCH /apis/apps/v1/namespaces/shop/statefulsets/db",
			body:   []string{`"uid":"s-db"`, `"resourceVersion":`, `"$patch":"replace"`, `"image":"db:1"`},
			stored: []string{`"image":"db:1"`, `-"image":"side:1"`, `"homeostat.dev/remediation":"r1"`},
		},
		"abort a canary": {
			action: onWorkload(incident.RemedyAbortCanary, incident.Change{FromReplicas: 2}), resource: "deployments", name: "web",
			call: "PUT /apis/apps/v1/namespaces/shop/deployments/web/scale", body: []string{`"replicas":0`},
			stored: []string{`"replicas":0`, `"homeostat.dev/replicas-before":"2"`},
		},
		"switch a service back": {
			action: onWorkload(incident.RemedyAbortCanary, incident.Change{
				FromRevision: "blue", ToRevision: "green", Key: "track", Target: cluster.Ref{Kind: "Service", Namespace: "shop", Name: "web", UID: "svc-web"},
			}), resource: "services", name: "web",
			call:   "PATCH /api/v1/namespaces/shop/services/web",
			body:   []string{`{"op":"test","path":"/metadata/uid","value":"svc-web"}`, `{"op":"test","path":"/spec/selector/track","value":"blue"}`},
			stored: []string{`"track":"green"`, `"app":"web"`}, patient: true,
		},
	}
}

func check(t *testing.T, what, text string, want []string) {
	t.Helper()
	for _, w := range want {
		if not, is := strings.CutPrefix(w, "-"); is == strings.Contains(text, strings.TrimPrefix(w, "-")) {
			t.Errorf("%s has %q: %v, in %s", what, strings.TrimPrefix(not, "-"), !is, text)
		}
	}
}

// last returns the last write that is the deed's own: a rollback of a StatefulSet evicts afterwards.
func (d *deed) last(writes []written) written {
	for _, w := range slices.Backward(writes) {
		if w.call == d.call {
			return w
		}
	}
	return written{}
}

func TestEveryRemedyIsCarriedOutOnce(t *testing.T) {
	t.Parallel()
	for name, d := range deeds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			th := newTheatre(t)
			got := th.surgeon.Carry(t.Context(), d.action)
			if got.Outcome != incident.Done || got.Reason != healing.ReasonCarriedOut || got.Message == "" {
				t.Fatalf("result is %+v", got)
			}
			if !strings.HasPrefix(got.Call, d.call) || len(got.Call) > 2*maxCall {
				t.Errorf("call is %q, want that of %s", got.Call, d.call)
			}
			check(t, "the request", d.last(th.written()).body, d.body)
			if stored := th.object(t, d.resource, d.name); d.action.Remedy == incident.RemedyRestart {
				if stored != "" {
					t.Error("the pod is still there")
				}
			} else {
				check(t, "the object", stored, d.stored)
			}
			// A second time, such as by a new leader that does not know how it ended.
			writes := len(th.written())
			again := th.surgeon.Carry(t.Context(), d.action)
			if again.Outcome != incident.Done {
				t.Errorf("a second time: %+v", again)
			}
			for _, w := range th.written()[writes:] {
				if !strings.HasSuffix(w.call, "/eviction") {
					t.Errorf("a second time it wrote %+v", w)
				}
			}
			for _, w := range th.written() {
				if w.dryRun || strings.HasPrefix(w.call, "DELETE") {
					t.Errorf("wrote %+v", w)
				}
			}
		})
	}
}

func TestADryRunChangesNothing(t *testing.T) {
	t.Parallel()
	for name, d := range deeds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			th := newTheatre(t)
			before := th.object(t, d.resource, d.name)
			d.action.DryRun = true
			got := th.surgeon.Carry(t.Context(), d.action)
			if got.Outcome != incident.DryRun || got.Reason != healing.ReasonObserveOnly || !strings.HasPrefix(got.Call, d.call) {
				t.Errorf("result is %+v", got)
			}
			in := incident.Incident{Remediations: []incident.Remediation{{ID: "1", Remedy: d.action.Remedy, Outcome: incident.DryRun}}}
			in = healing.Complete(in, "1", got, time.Now())
			if said := in.Remediations[0].Message; strings.Count(said, "accept") > 1 || got.Message == "" || !strings.HasSuffix(said, got.Message) {
				t.Errorf("the incident says %q, want once that it would be accepted, and what", said)
			}
			for _, w := range th.written() {
				if !w.dryRun {
					t.Errorf("%s was no dry run", w.call)
				}
			}
			check(t, "the request", d.last(th.written()).body, d.body)
			if after := th.object(t, d.resource, d.name); after != before {
				t.Errorf("the object was changed from %s to %s", before, after)
			}
		})
	}
}

func TestAWriteInBetweenIsNotOverwritten(t *testing.T) {
	t.Parallel()
	for name, d := range deeds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			th := newTheatre(t)
			th.before = func(string) { th.touch(t, d.resource, d.name) }
			got := th.surgeon.Carry(t.Context(), d.action)
			switch {
			case d.patient && got.Outcome != incident.Done:
				t.Errorf("a write that does not matter: %+v", got)
			case !d.patient && (got.Outcome != incident.Failed || !strings.Contains(got.Message, "changed in between")):
				t.Errorf("result is %+v", got)
			}
		})
	}
}

func TestAnotherObjectOfTheSameNameIsLeftAlone(t *testing.T) {
	t.Parallel()
	for name, d := range deeds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			th := newTheatre(t)
			th.replace(t, d.resource, d.name)
			before := th.object(t, d.resource, d.name)
			got := th.surgeon.Carry(t.Context(), d.action)
			if got.Reason == healing.ReasonCarriedOut {
				t.Errorf("result is %+v", got)
			}
			if after := th.object(t, d.resource, d.name); after != before {
				t.Errorf("the other object was changed: %s", after)
			}
			d.action.DryRun = true
			if got := th.surgeon.Carry(t.Context(), d.action); got.Outcome != incident.Failed {
				t.Errorf("the dry run says %+v", got)
			}
			d.action.Workload.UID, d.action.ReplicaUID = "", ""
			if got := th.surgeon.Carry(t.Context(), d.action); got.Outcome != incident.Failed || !strings.Contains(got.Message, "UID is not known") {
				t.Errorf("without an identity: %+v", got)
			}
		})
	}
}

func TestAMissingRightIsNamed(t *testing.T) {
	t.Parallel()
	for name, d := range deeds() {
		for _, dryRun := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				th := newTheatre(t)
				th.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
					if r.Method == http.MethodGet {
						return false
					}
					apitest.Refuse(rw, http.StatusForbidden, metav1.StatusReasonForbidden, `x is forbidden: User "me" cannot patch resource "x"`)
					return true
				})
				action := d.action
				action.DryRun = dryRun
				got := th.surgeon.Carry(t.Context(), action)
				if got.Outcome != incident.Failed || got.Reason != healing.ReasonForbidden || !strings.Contains(got.Message, `User "me" cannot patch`) || !strings.Contains(got.Message, "deploy/remedies") {
					t.Errorf("result is %+v", got)
				}
				if len(th.Writes()) != 1 {
					t.Errorf("it was tried again: %v", th.Writes())
				}
			})
		}
	}
}

// A quota, a webhook and the namespace's end are forbidden with the same code, and may be allowed a moment later: no right is missing.
func TestWhatAdmissionForbidsIsNoMissingRight(t *testing.T) {
	t.Parallel()
	for name, said := range map[string]string{
		"quota":     `pods "web-1" is forbidden: exceeded quota: compute, requested: limits.memory=228Mi, used: limits.memory=1Gi, limited: limits.memory=1Gi`,
		"webhook":   `admission webhook "limits.example.com" denied the request: the limits of a "web" pod cannot be changed on a Friday`,
		"namespace": `pods "web-1" is forbidden: unable to create new content in namespace shop because it is being terminated`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			th := newTheatre(t)
			th.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodGet {
					return false
				}
				apitest.Refuse(rw, http.StatusForbidden, metav1.StatusReasonForbidden, said)
				return true
			})
			for deed, d := range deeds() {
				got := th.surgeon.Carry(t.Context(), d.action)
				if got.Outcome != incident.Failed || got.Reason != healing.ReasonFailed || !strings.Contains(got.Message, said) || strings.Contains(got.Message, "deploy/") {
					t.Errorf("%s: result is %+v", deed, got)
				}
			}
		})
	}
}

// A read on the way to the write takes a right too.
func TestAMissingRightToReadIsNamed(t *testing.T) {
	t.Parallel()
	for name, d := range deeds() {
		if d.action.Remedy == incident.RemedyRestart { // an eviction reads nothing before
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			th := newTheatre(t)
			th.Hook(func(rw http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodGet {
					return false
				}
				apitest.Refuse(rw, http.StatusForbidden, metav1.StatusReasonForbidden, `x is forbidden: User "me" cannot get resource "x"`)
				return true
			})
			got := th.surgeon.Carry(t.Context(), d.action)
			if got.Outcome != incident.Failed || got.Reason != healing.ReasonForbidden || !strings.Contains(got.Message, `User "me" cannot get`) {
				t.Errorf("result is %+v", got)
			}
			if len(th.Writes()) != 0 {
				t.Errorf("it was written: %v", th.Writes())
			}
		})
	}
}
