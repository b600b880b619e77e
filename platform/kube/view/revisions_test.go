package view

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/homeostat/homeostat/internal/cluster"
)

// workload returns the only workload of that name.
func workload(t *testing.T, ws []*cluster.Workload, name string) *cluster.Workload {
	t.Helper()
	for _, w := range ws {
		if w.Ref.Name == name {
			return w
		}
	}
	t.Fatalf("no workload %s in %v", name, shape(ws))
	return nil
}

// readyPod is a pod of an owner that became ready at some time, or is not.
func readyPod(name string, since time.Time, ready bool, owner ...string) *corev1.Pod {
	p := runningPod(name, owner...)
	c := &p.Status.Conditions[0]
	c.LastTransitionTime = metav1.NewTime(since)
	if !ready {
		c.Status = corev1.ConditionFalse
	}
	return p
}

// history is a ControllerRevision as the controllers write it.
func history(t *testing.T, kind, owner, name, hash, image string, number int64, age time.Duration) *appsv1.ControllerRevision {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{
		"$patch":   "replace",
		"metadata": map[string]any{"labels": map[string]string{"app": "web"}},
		"spec": map[string]any{"containers": []any{map[string]any{
			"name": "web", "image": image, "resources": map[string]any{"limits": map[string]string{"memory": "64Mi"}},
		}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	r := &appsv1.ControllerRevision{ObjectMeta: meta("ControllerRevision", name, kind, owner), Revision: number}
	r.Data.Raw = patch
	r.CreationTimestamp = metav1.NewTime(noon.Add(-age))
	if hash != "" {
		r.Labels = map[string]string{appsv1.ControllerRevisionHashLabelKey: hash}
	}
	return r
}

func TestRevisionsOfADeployment(t *testing.T) {
	old, newest := replicaSet("web-1", "web", "1", "web:1", 1, time.Hour), replicaSet("web-2", "web", "2", "web:2", 2, 5*time.Minute)
	old.Spec.Template.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("128Mi")}
	s := sources(t, deployment("web", 2), old, newest,
		readyPod("web-1-a", noon.Add(-30*time.Minute), true, "ReplicaSet", "web-1"),
		readyPod("web-2-a", noon.Add(-2*time.Minute), true, "ReplicaSet", "web-2"),
		readyPod("web-2-b", noon.Add(-2*time.Minute), false, "ReplicaSet", "web-2"))
	want := []cluster.Revision{
		{
			Name: "hash-2", Object: "web-2", Number: 2, CreatedAt: noon.Add(-5 * time.Minute), Desired: 2, Ready: 1,
			Images: []string{"web=web:2"}, MemoryLimits: map[string]int64{"web": 0},
		},
		{
			Name: "hash-1", Object: "web-1", Number: 1, CreatedAt: noon.Add(-time.Hour), Desired: 1, Ready: 1, HealthyAt: noon,
			Images: []string{"web=web:1"}, MemoryLimits: map[string]int64{"web": 128 << 20},
		},
	}
	if diff := cmp.Diff(want, Workloads(s, noon)[0].Revisions); diff != "" {
		t.Fatalf("revisions (-want +got):\n%s", diff)
	}

	// What was seen stays known when the older one has no replicas any more, and ends with the object.
	later := sources(t, deployment("web", 2), replicaSet("web-1", "web", "1", "web:1", 0, time.Hour), newest,
		readyPod("web-2-a", noon.Add(-30*time.Second), true, "ReplicaSet", "web-2"),
		readyPod("web-2-b", noon.Add(-30*time.Second), true, "ReplicaSet", "web-2"))
	later.Notes = s.Notes
	got := Workloads(later, noon.Add(10*time.Second))[0].Revisions
	if !got[0].HealthyAt.IsZero() || !got[1].HealthyAt.Equal(noon) {
		t.Errorf("after 40 s of readiness: healthy at %v and %v, want never and %v", got[0].HealthyAt, got[1].HealthyAt, noon)
	}
	later.Notes.Deleted("ReplicaSet/web-1")
	got = Workloads(later, noon.Add(time.Minute))[0].Revisions
	if !got[0].HealthyAt.Equal(noon.Add(time.Minute)) || !got[1].HealthyAt.IsZero() {
		t.Errorf("after 90 s of readiness: healthy at %v and %v, want now and never", got[0].HealthyAt, got[1].HealthyAt)
	}
}

// TestRevisionsThatWereLeftBehind has no memory: what the objects tell must do.
func TestRevisionsThatWereLeftBehind(t *testing.T) {
	ago := func(minutes int) time.Time { return noon.Add(-time.Duration(minutes) * time.Minute) }
	scaled := func(s *appsv1.ReplicaSet, at time.Time) *appsv1.ReplicaSet {
		s.ManagedFields = []metav1.ManagedFieldsEntry{
			{
				Manager: "kube-controller-manager", Operation: metav1.ManagedFieldsOperationUpdate, Time: new(metav1.NewTime(at)),
				FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:replicas":{},"f:selector":{}}}`),
			},
			{
				Manager: "kube-controller-manager", Subresource: "status", Time: new(metav1.NewTime(noon)),
				FieldsV1: metav1.NewFieldsV1(`{"f:status":{"f:replicas":{}}}`),
			},
		}
		return s
	}
	conditions := func(available, complete time.Time) []appsv1.DeploymentCondition {
		return []appsv1.DeploymentCondition{
			{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(available)},
			{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: reasonComplete, LastUpdateTime: metav1.NewTime(complete)},
		}
	}
	for name, tc := range map[string]struct {
		change          func(d *appsv1.Deployment)
		available       time.Time // of all together, without a break
		first           time.Time // when the last replicas of revision 1 were taken away
		second, newest  time.Time // when revision 2 and 3 came
		want3, want2, w time.Time
	}{
		"each rollout had come to its end": {
			available: ago(50), first: ago(28), second: ago(30), newest: ago(10), want3: ago(8), want2: ago(28), w: ago(50),
		},
		"revision 2 never took over": {
			available: ago(50), first: ago(9), second: ago(30), newest: ago(10), want3: ago(8), w: ago(50),
		},
		"it was away meanwhile": {
			available: ago(20), first: ago(28), second: ago(30), newest: ago(10), want3: ago(8), want2: ago(28),
		},
		"nobody says when replicas were taken away": {
			available: ago(50), second: ago(30), newest: ago(10), want3: ago(8), w: ago(50),
		},
		"its controller has not looked at revision 3 yet": {
			available: ago(50), first: ago(28), second: ago(30), newest: ago(7), want2: ago(28), w: ago(50),
		},
		"the older ones are taken away first": {
			change: func(d *appsv1.Deployment) {
				d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
			},
			available: ago(50), first: ago(28), second: ago(30), newest: ago(10), want3: ago(8),
		},
		"all may be unavailable": {
			change: func(d *appsv1.Deployment) {
				d.Spec.Strategy.RollingUpdate.MaxUnavailable = new(intstr.FromString("100%"))
			},
			available: ago(50), first: ago(28), second: ago(30), newest: ago(10), want3: ago(8),
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := deployment("web", 2)
			d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxUnavailable: new(intstr.FromString("25%"))}
			d.Status.Conditions = conditions(tc.available, ago(8))
			if tc.change != nil {
				tc.change(d)
			}
			one := replicaSet("web-1", "web", "1", "web:1", 0, time.Hour)
			if !tc.first.IsZero() {
				scaled(one, tc.first)
			}
			two := scaled(replicaSet("web-2", "web", "2", "web:2", 0, noon.Sub(tc.second)), ago(8))
			three := scaled(replicaSet("web-3", "web", "3", "web:3", 2, noon.Sub(tc.newest)), tc.newest)
			got := Workloads(sources(t, d, one, two, three), noon)[0].Revisions
			for i, want := range []time.Time{tc.want3, tc.want2, tc.w} {
				if !got[i].HealthyAt.Equal(want) {
					t.Errorf("revision %d was healthy at %v, want %v", got[i].Number, got[i].HealthyAt, want)
				}
			}
		})
	}
}

func TestRevisionsOfAStatefulSet(t *testing.T) {
	set := &appsv1.StatefulSet{
		ObjectMeta: meta("StatefulSet", "db"),
		Spec:       appsv1.StatefulSetSpec{Replicas: new(int32(3)), Template: template("db:3")},
		Status: appsv1.StatefulSetStatus{
			Replicas: 3, CurrentRevision: "db-b", UpdateRevision: "db-c", UpdatedReplicas: 1,
		},
	}
	pod := func(name, hash string, ready bool) *corev1.Pod {
		p := readyPod(name, noon.Add(-10*time.Minute), ready, "StatefulSet", "db")
		p.Labels = map[string]string{"app": "web", appsv1.ControllerRevisionHashLabelKey: hash}
		return p
	}
	objects := []any{
		set, history(t, "StatefulSet", "db", "db-a", "", "db:1", 1, 3*time.Hour), history(t, "StatefulSet", "db", "db-b", "", "db:2", 2, 2*time.Hour),
		history(t, "StatefulSet", "db", "db-c", "", "db:3", 3, time.Minute), pod("db-0", "db-b", false), pod("db-2", "db-c", false),
	}
	w := Workloads(sources(t, objects...), noon)[0]
	var got []string
	for _, r := range w.Revisions {
		got = append(got, fmt.Sprintf("%s %s number %d desired %d ready %d healthy %v %v %v", r.Name, r.Object, r.Number, r.Desired, r.Ready,
			r.HealthyAt.Equal(noon.Add(-2*time.Hour)), r.Images, r.MemoryLimits))
	}
	want := []string{
		"db-c db-c number 3 desired 3 ready 0 healthy false [web=db:3] map[web:67108864]",
		"db-b db-b number 2 desired 0 ready 0 healthy true [web=db:2] map[web:67108864]", // it was rolled out in full
		"db-a db-a number 1 desired 0 ready 0 healthy false [web=db:1] map[web:67108864]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("revisions (-want +got):\n%s", diff)
	}
	if !w.RollingOut || w.Revision != "db-c" {
		t.Errorf("rolling out %v at %q", w.RollingOut, w.Revision)
	}
	if c := w.Changes[0]; c.Kind != cluster.ChangeRollout || c.Message != "rollout to revision db-c: image db:2 -> db:3" || !c.At.Equal(noon.Add(-time.Minute)) {
		t.Errorf("the rollout is %+v", c)
	}

	// A partition keeps replicas at the current revision on purpose.
	set.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: new(int32(2))}
	w = Workloads(sources(t, objects...), noon)[0]
	if w.Revisions[0].Desired != 1 || w.Revisions[1].Desired != 2 || w.RollingOut {
		t.Errorf("with a partition: %+v", w.Revisions)
	}
}

func TestRevisionsOfADaemonSet(t *testing.T) {
	set := &appsv1.DaemonSet{
		ObjectMeta: meta("DaemonSet", "agent"), Spec: appsv1.DaemonSetSpec{Template: template("agent:1")},
		Status: appsv1.DaemonSetStatus{DesiredNumberScheduled: 2, CurrentNumberScheduled: 2, UpdatedNumberScheduled: 2},
	}
	pod := func(name string) *corev1.Pod {
		p := readyPod(name, noon.Add(-time.Minute), true, "DaemonSet", "agent")
		p.Labels = map[string]string{"app": "web", appsv1.ControllerRevisionHashLabelKey: "7c9d"}
		return p
	}
	first, second := history(t, "DaemonSet", "agent", "agent-7c9d", "7c9d", "agent:1", 1, 2*time.Hour), history(t, "DaemonSet", "agent", "agent-55f6", "55f6", "agent:2", 2, time.Hour)
	s := sources(t, set, first, second, pod("agent-a"), pod("agent-b"))
	if w := Workloads(s, noon)[0]; w.Revision != "55f6" || w.Changes[0].Message != "rollout to revision 55f6: image agent:1 -> agent:2" {
		t.Errorf("agent is at %q with %+v", w.Revision, w.Changes)
	}
	// kubectl rollout undo gives the older one the newest number.
	again := *s.History[0]
	again.Number = 3
	s.Notes.Renumbered(s.History[0], &again, noon.Add(-2*time.Minute))
	s.History[0] = &again
	w := Workloads(s, noon)[0]
	if w.Revision != "7c9d" || w.Revisions[0].Object != "agent-7c9d" || w.Revisions[0].Ready != 2 || !w.Revisions[0].HealthyAt.Equal(noon) {
		t.Errorf("after the rollback agent is at %q with %+v", w.Revision, w.Revisions[0])
	}
	if c := w.Changes[0]; c.Message != "rollback to revision 7c9d: image agent:2 -> agent:1" || !c.At.Equal(noon.Add(-2*time.Minute)) {
		t.Errorf("the rollback is %+v", c)
	}
}

func TestHistoryThatCannotBeRead(t *testing.T) {
	h := history(t, "DaemonSet", "agent", "x", "1", "a", 1, 0)
	h.Data.Raw = []byte("not json")
	stray := history(t, "Kafka", "kafka", "y", "2", "b", 1, 0)
	set := &appsv1.DaemonSet{ObjectMeta: meta("DaemonSet", "agent"), Spec: appsv1.DaemonSetSpec{Template: template("a")}}
	ws := Workloads(sources(t, set, h, stray), noon)
	if len(ws) != 1 || len(ws[0].Revisions) != 1 || ws[0].Revisions[0].Images != nil {
		t.Errorf("workloads are %v, revisions %+v", shape(ws), ws[0].Revisions)
	}
}

func TestConditionsOfOwners(t *testing.T) {
	at := metav1.NewTime(noon.Add(-time.Minute))
	d := deployment("web", 2)
	d.Spec.Paused = true
	d.Status.Conditions = []appsv1.DeploymentCondition{{
		Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: reasonLate, Message: "too late", LastTransitionTime: at,
	}}
	gone := &batchv1.Job{ObjectMeta: meta("Job", "import"), Spec: batchv1.JobSpec{Template: template("i")}}
	gone.Status.Conditions = []batchv1.JobCondition{{
		Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: "DeadlineExceeded", Message: "too long", LastTransitionTime: at,
	}}
	run := func(name string, age time.Duration, kind batchv1.JobConditionType) *batchv1.Job {
		j := &batchv1.Job{ObjectMeta: meta("Job", name, "CronJob", "night"), Spec: batchv1.JobSpec{Template: template("n")}}
		j.CreationTimestamp = metav1.NewTime(noon.Add(-age))
		j.Status.Conditions = []batchv1.JobCondition{{Type: kind, Status: corev1.ConditionTrue, Reason: "R", LastTransitionTime: at}}
		return j
	}
	ws := Workloads(sources(t, d, gone, run("night-1", time.Hour, batchv1.JobComplete), run("night-2", time.Minute, batchv1.JobFailed)), noon)
	since := at.UTC()
	if w := workload(t, ws, "web"); !w.Paused || cmp.Diff([]cluster.Condition{
		{Type: "Progressing", Status: "False", Reason: "ProgressDeadlineExceeded", Message: "too late", Since: since},
	}, w.Conditions) != "" {
		t.Errorf("web is paused %v with %+v", w.Paused, w.Conditions)
	}
	for name, reason := range map[string]string{"import": "DeadlineExceeded", "night": "R"} {
		if c := workload(t, ws, name).Condition("Failed"); c == nil || c.Reason != reason || !c.Since.Equal(since) {
			t.Errorf("%s, whose pods are gone, has the condition %+v", name, c)
		}
	}
	if ws := Workloads(sources(t, run("night-1", time.Hour, batchv1.JobFailed), run("night-2", time.Minute, batchv1.JobComplete)), noon); len(ws) != 0 {
		t.Errorf("a run that failed before one that did not is still there: %v", shape(ws))
	}
}
