package view

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/homeostat/homeostat/internal/cluster"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func meta(kind, name string, owner ...string) metav1.ObjectMeta {
	m := metav1.ObjectMeta{
		Namespace: "shop", Name: name, UID: types.UID(kind + "/" + name), ResourceVersion: "1",
		CreationTimestamp: metav1.NewTime(noon.Add(-time.Hour)), Labels: map[string]string{"app": "web"},
	}
	if len(owner) == 2 {
		m.OwnerReferences = []metav1.OwnerReference{{
			Kind: owner[0], Name: owner[1], UID: types.UID(owner[0] + "/" + owner[1]), Controller: new(true),
		}}
	}
	return m
}

func template(image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: image}}},
	}
}

func deployment(name string, replicas int32) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: meta("Deployment", name),
		Spec:       appsv1.DeploymentSpec{Replicas: new(replicas), Template: template("web:2")},
	}
}

func replicaSet(name, deployment, number, image string, replicas int32, age time.Duration) *appsv1.ReplicaSet {
	s := &appsv1.ReplicaSet{
		ObjectMeta: meta("ReplicaSet", name, "Deployment", deployment),
		Spec:       appsv1.ReplicaSetSpec{Replicas: new(replicas), Template: template(image)},
		Status:     appsv1.ReplicaSetStatus{Replicas: replicas},
	}
	s.Annotations = map[string]string{revisionAnnotation: number}
	s.Labels = map[string]string{"pod-template-hash": "hash-" + number}
	s.CreationTimestamp = metav1.NewTime(noon.Add(-age))
	return s
}

func runningPod(name string, owner ...string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: meta("Pod", name, owner...),
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:2"}}},
		Status: corev1.PodStatus{
			Phase:      corev1.PodRunning,
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		},
	}
}

// sources makes the records of the objects.
func sources(tb testing.TB, objects ...any) Sources {
	tb.Helper()
	s := Sources{Events: NewEvents(), Notes: NewNotes()}
	records := NewRecords()
	for _, o := range objects {
		rec, err := records.Transform(o)
		if err != nil {
			tb.Fatal(err)
		}
		switch r := rec.(type) {
		case *Pod:
			s.Pods = append(s.Pods, r)
		case *Owner:
			s.Owners = append(s.Owners, r)
		case *History:
			s.History = append(s.History, r)
		case *Node:
			s.Nodes = append(s.Nodes, r)
		case *Service:
			s.Services = append(s.Services, r)
		case *Slice:
			s.Slices = append(s.Slices, r)
		case *Budget:
			s.Budgets = append(s.Budgets, r)
		default:
			tb.Fatalf("no record of %T", o)
		}
	}
	return s
}

// shape is what the tests compare: "demo/deployment/web desired 2: web-1 web-2".
func shape(ws []*cluster.Workload) []string {
	var out []string
	for _, w := range ws {
		s := fmt.Sprintf("%s desired %d:", w.Ref, w.Desired)
		for _, r := range w.Replicas {
			s += " " + r.Name
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

func TestWorkloadsAreTheTopOfTheChain(t *testing.T) {
	stateful := &appsv1.StatefulSet{
		ObjectMeta: meta("StatefulSet", "db"), Spec: appsv1.StatefulSetSpec{Template: template("db:1")},
		Status: appsv1.StatefulSetStatus{CurrentRevision: "db-1", UpdateRevision: "db-2", UpdatedReplicas: 0},
	}
	daemon := &appsv1.DaemonSet{
		ObjectMeta: meta("DaemonSet", "agent"), Spec: appsv1.DaemonSetSpec{Template: template("a")},
		Status: appsv1.DaemonSetStatus{DesiredNumberScheduled: 3, UpdatedNumberScheduled: 3},
	}
	job := &batchv1.Job{ObjectMeta: meta("Job", "import"), Spec: batchv1.JobSpec{
		Parallelism: new(int32(3)), Completions: new(int32(2)), Template: template("i"),
	}}
	done := &batchv1.Job{
		ObjectMeta: meta("Job", "old"), Spec: batchv1.JobSpec{Template: template("i")},
		Status: batchv1.JobStatus{Conditions: []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}},
	}
	night := &batchv1.Job{ObjectMeta: meta("Job", "night-1", "CronJob", "night"), Spec: batchv1.JobSpec{Template: template("n")}}
	mirror := runningPod("static-node-1", "Node", "node-1")
	mirror.Annotations = map[string]string{mirrorAnnotation: "x"}
	rollout := replicaSet("argo-1", "x", "1", "web:1", 2, time.Hour)
	rollout.OwnerReferences = []metav1.OwnerReference{{Kind: "Rollout", Name: "argo", UID: "u", Controller: new(true)}}
	s := sources(
		t,
		deployment("web", 2), deployment("empty", 0),
		replicaSet("web-1", "web", "1", "web:1", 0, time.Hour), replicaSet("web-2", "web", "2", "web:2", 2, time.Minute),
		stateful, daemon, job, done, night, rollout,
		runningPod("web-2-b", "ReplicaSet", "web-2"), runningPod("web-2-a", "ReplicaSet", "web-2"),
		runningPod("db-0", "StatefulSet", "db"), runningPod("import-x", "Job", "import"), runningPod("night-x", "Job", "night-1"),
		runningPod("argo-x", "ReplicaSet", "argo-1"), runningPod("bare"), mirror,
		runningPod("kafka-0", "KafkaSet", "kafka"), runningPod("kafka-1", "KafkaSet", "kafka"),
		runningPod("early-x", "ReplicaSet", "not-here-yet"),
	)
	ws := Workloads(s, noon)
	want := []string{
		"shop/daemonset/agent desired 3:",
		"shop/deployment/empty desired 0:",
		"shop/deployment/web desired 2: web-2-a web-2-b",
		"shop/job/import desired 2: import-x",
		"shop/job/night desired 1: night-x",
		"shop/kafkaset/kafka desired 2: kafka-0 kafka-1",
		"shop/pod/bare desired 1: bare",
		"shop/pod/static-node-1 desired 1: static-node-1",
		"shop/rollout/argo desired 2: argo-x",
		"shop/statefulset/db desired 1: db-0",
	}
	if diff := cmp.Diff(want, shape(ws)); diff != "" {
		t.Errorf("workloads (-want +got):\n%s", diff)
	}
	for _, w := range ws {
		switch w.Ref.Name {
		case "web":
			if w.Revision != "hash-2" || w.RollingOut {
				t.Errorf("web is at %q, rolling out %v", w.Revision, w.RollingOut)
			}
		case "db":
			if w.Revision != "db-2" || !w.RollingOut {
				t.Errorf("db is at %q, rolling out %v", w.Revision, w.RollingOut)
			}
		case "static-node-1":
			if !w.System {
				t.Error("a static pod is not marked as part of the system")
			}
		}
		if w.System != (w.Ref.Name == "static-node-1") {
			t.Errorf("%s is marked as part of the system", w.Ref)
		}
	}
}

func TestRollingOutAndChanges(t *testing.T) {
	old, newest := replicaSet("web-1", "web", "1", "web:1", 1, time.Hour), replicaSet("web-2", "web", "2", "web:2", 1, time.Minute)
	s := sources(t, deployment("web", 2), old, newest)
	before, after := *s.Owners[0], *s.Owners[0]
	before.Desired, after.Desired = 4, 2
	s.Notes.Updated(&before, &after, noon.Add(-2*time.Minute))
	w := Workloads(s, noon)[0]
	if !w.RollingOut {
		t.Error("not rolling out while the old ReplicaSet has replicas")
	}
	want := []cluster.Change{
		{At: noon.Add(-time.Minute), Kind: cluster.ChangeRollout, Message: "rollout to revision hash-2: image web:1 -> web:2"},
		{At: noon.Add(-2 * time.Minute), Kind: cluster.ChangeScaling, Message: "scaled from 4 to 2"},
	}
	if diff := cmp.Diff(want, w.Changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}

	// kubectl rollout undo: the old ReplicaSet gets the number 3.
	records := NewRecords()
	first := records.replicaSet(old)
	old.Annotations[revisionAnnotation] = "3"
	again := records.replicaSet(old)
	s.Notes.Updated(first, again, noon.Add(-10*time.Second))
	for i, o := range s.Owners {
		if o.Name == "web-1" {
			s.Owners[i] = again
		}
	}
	w = Workloads(s, noon)[0]
	if w.Changes[0].Message != "rollback to revision hash-1: image web:2 -> web:1" || !w.Changes[0].At.Equal(noon.Add(-10*time.Second)) {
		t.Errorf("a rollback is %+v", w.Changes[0])
	}
}

func TestTemplateDiff(t *testing.T) {
	records := NewRecords()
	make := func(change func(*corev1.PodTemplateSpec)) *Template {
		p := template("web:1")
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "proxy", Image: "proxy:1"})
		change(&p)
		return records.template(&p)
	}
	base := make(func(*corev1.PodTemplateSpec) {})
	for want, change := range map[string]func(*corev1.PodTemplateSpec){
		"":                              func(*corev1.PodTemplateSpec) {},
		"image of proxy proxy:1 -> p:2": func(p *corev1.PodTemplateSpec) { p.Spec.Containers[1].Image = "p:2" },
		"environment of web changed":    func(p *corev1.PodTemplateSpec) { p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A"}} },
		"command of web changed":        func(p *corev1.PodTemplateSpec) { p.Spec.Containers[0].Args = []string{"x"} },
		"container proxy removed":       func(p *corev1.PodTemplateSpec) { p.Spec.Containers = p.Spec.Containers[:1] },
		"volumes changed":               func(p *corev1.PodTemplateSpec) { p.Spec.Volumes = []corev1.Volume{{Name: "v"}} },
		"new container x with image x:1": func(p *corev1.PodTemplateSpec) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "x", Image: "x:1"})
		},
		"restarted by kubectl rollout restart": func(p *corev1.PodTemplateSpec) {
			p.Annotations = map[string]string{restartedAnnotation: "now"}
		},
		"resources of web changed, probes of web changed": func(p *corev1.PodTemplateSpec) {
			p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{}
			p.Spec.Containers[0].LivenessProbe = &corev1.Probe{PeriodSeconds: 1}
			p.Spec.Containers[0].Resources.Claims = []corev1.ResourceClaim{{Name: "x"}}
		},
	} {
		if got := make(change).diff(base); got != want {
			t.Errorf("diff is %q, want %q", got, want)
		}
	}
}

func TestSelfAndSystem(t *testing.T) {
	own := deployment("homeostat", 2)
	own.Spec.Template.Labels = map[string]string{selfLabel: selfName}
	fork := deployment("fork", 1)
	s := sources(t, own, fork, replicaSet("fork-1", "fork", "1", "x", 1, time.Hour), runningPod("fork-x", "ReplicaSet", "fork-1"))
	s.Self = Self{Namespace: "shop", Pod: "fork-x"}
	for _, w := range Workloads(s, noon) {
		if !w.Self {
			t.Errorf("%s is not known as this controller's own", w.Ref)
		}
	}
	s.Self = Self{Namespace: "elsewhere", Pod: "fork-x"}
	for _, w := range Workloads(s, noon) {
		if w.Self {
			t.Errorf("%s in another namespace is taken for this controller's own", w.Ref)
		}
	}
}

func TestOOMCountsAndEventsAreAttachedToCopies(t *testing.T) {
	s := sources(t, runningPod("bare"))
	s.OOM = func(namespace, pod, container string) (int64, time.Time, bool) {
		return 2, noon, namespace == "shop" && pod == "bare" && container == "web"
	}
	if err := s.Events.Add(event("Pod", "bare", "Pod/bare", "BackOff", 3, noon)); err != nil {
		t.Fatal(err)
	}
	r := Workloads(s, noon)[0].Replicas[0]
	if c := r.Containers[0]; !c.OOMEventsKnown || c.OOMEvents != 2 || !c.LastOOMEvent.Equal(noon) {
		t.Errorf("container is %+v, want its OOM count", c)
	}
	if len(r.Events) != 1 || r.Events[0].Reason != "BackOff" || r.Events[0].Count != 3 {
		t.Errorf("events are %+v", r.Events)
	}
	s.OOM = nil
	s.Pods[0].Replica.Containers[0].CPULimitMilli = 500
	s.Throttled = func(_, pod, container string) (float64, bool) { return 40, pod == "bare" && container == "web" }
	if c := Workloads(s, noon)[0].Replicas[0].Containers[0]; !c.ThrottledKnown || c.ThrottledPercent != 40 || c.OOMEventsKnown {
		t.Errorf("container is %+v, want how much it is throttled", c)
	}
	if c := s.Pods[0].Replica.Containers[0]; c.ThrottledKnown {
		t.Error("the shared record was changed")
	}
	if s.Pods[0].Replica.Containers[0].OOMEventsKnown || s.Pods[0].Replica.Events != nil {
		t.Error("the shared record was changed")
	}
}

func TestTheTablesOfSharedStringsAreBounded(t *testing.T) {
	r := NewRecords()
	for i := range 2*maxInterned + 10 {
		name := fmt.Sprint("job-", i)
		if set := r.internLabels(labelSet{"job-name": name}); set["job-name"] != name {
			t.Fatalf("the labels of %s are %v", name, set)
		}
		r.intern(name)
		r.internLimits(map[string]int64{name: 1})
	}
	if len(r.labels) > maxInterned || len(r.strings) > maxInterned || len(r.limits) > maxInterned {
		t.Errorf("the tables hold %d, %d and %d, %d at most is allowed", len(r.labels), len(r.strings), len(r.limits), maxInterned)
	}
}

func TestARingOfOwnersEnds(t *testing.T) {
	a, b := replicaSet("a", "b", "1", "x", 1, 0), deployment("b", 1)
	b.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "a", UID: "ReplicaSet/a", Controller: new(true)}}
	if got := Workloads(sources(t, a, b, runningPod("x", "ReplicaSet", "a")), noon); len(got) != 0 {
		t.Errorf("a ring of owners gives %v", shape(got))
	}
}

// BenchmarkSnapshot1000 has 100 Deployments of ten pods, each with a Service, its endpoints and a PodDisruptionBudget.
func BenchmarkSnapshot1000(b *testing.B) {
	var objects []any
	for d := range 100 {
		name := fmt.Sprint("web-", d)
		set := labelSet{"app": name, "part": "shop", "tier": "front"}
		selector := labelSet{"app": name, "part": "shop"}
		objects = append(objects, coloured(name, set), service(name, selector), slice(name, name, discoveryv1.AddressTypeIPv4, new(true)),
			&policyv1.PodDisruptionBudget{
				ObjectMeta: meta("PodDisruptionBudget", name),
				Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: selector}},
			})
		for n := range 5 {
			objects = append(objects, replicaSet(fmt.Sprint(name, "-", n), name, fmt.Sprint(n+1), fmt.Sprint("web:", n), 0, time.Duration(5-n)*time.Hour))
		}
		for p := range 10 {
			objects = append(objects, runningPod(fmt.Sprint(name, "-4-", p), "ReplicaSet", name+"-4"))
		}
	}
	s := sources(b, objects...)
	s.EndpointsKnown = true
	s.OOM = func(string, string, string) (int64, time.Time, bool) { return 0, time.Time{}, true }
	b.ReportAllocs()
	for b.Loop() {
		snap := Snapshot(s, noon)
		if len(snap.Workloads) != 100 || len(snap.Services) != 100 || len(snap.Workloads[0].Budgets) != 1 || len(snap.Workloads[0].Services) != 1 {
			b.Fatal("something is missing")
		}
	}
}

// TestBytesPerPod holds what the record of a pod costs, with the conditions of a real one.
func TestBytesPerPod(t *testing.T) {
	const most, pods = 2048, 2000
	recorded, records := readPod(t, "testdata/pods/running.json"), NewRecords()
	for _, c := range []corev1.PodConditionType{corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.ContainersReady} {
		recorded.Status.Conditions = append(recorded.Status.Conditions, corev1.PodCondition{Type: c, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(noon)})
	}
	kept := make([]*Pod, 0, pods)
	before := heap()
	for i := range pods {
		p := recorded.DeepCopy() // as if each came from the API server by itself
		p.Name = fmt.Sprint(p.Name, i)
		p.UID = types.UID(p.Name)
		kept = append(kept, records.Pod(p))
	}
	each := (heap() - before) / pods
	t.Logf("%d bytes per pod", each)
	if each > most {
		t.Errorf("the record of a pod of one container costs %d bytes, at most %d are allowed", each, most)
	}
	runtime.KeepAlive(kept)
	runtime.KeepAlive(recorded)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkPodRecord(b *testing.B) {
	p, records := readPod(b, "testdata/pods/oom-killed.json"), NewRecords()
	b.ReportAllocs()
	for b.Loop() {
		records.Pod(p)
	}
}
