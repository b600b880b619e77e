package view

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
)

// born returns a running pod that started at noon and whose Ready condition has the status since the given time.
func born(name string, ready corev1.ConditionStatus, since time.Duration, owner ...string) *corev1.Pod {
	p := runningPod(name, owner...)
	p.Status.StartTime = new(metav1.NewTime(noon))
	p.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodReady, Status: ready, LastTransitionTime: metav1.NewTime(noon.Add(since)),
	}}
	return p
}

func TestNeverReady(t *testing.T) {
	pending := born("pending", corev1.ConditionFalse, 0)
	pending.Status = corev1.PodStatus{Phase: corev1.PodPending}
	unwatched := born("unwatched", corev1.ConditionFalse, 0)
	unwatched.Status.Conditions = nil
	for name, tc := range map[string]struct {
		pod  *corev1.Pod
		want bool
	}{
		"not ready since its start":              {born("a", corev1.ConditionFalse, 0), true},
		"the same, stamped in the next second":   {born("a", corev1.ConditionFalse, time.Second), true},
		"became not ready later":                 {born("a", corev1.ConditionFalse, time.Minute), false},
		"ready":                                  {born("a", corev1.ConditionTrue, time.Second), false},
		"its readiness is unknown":               {born("a", corev1.ConditionUnknown, 0), false},
		"no kubelet has taken it":                {pending, true},
		"runs, and nobody speaks of a readiness": {unwatched, false},
	} {
		rec := NewRecords().Pod(tc.pod)
		if rec.NeverReady != tc.want {
			t.Errorf("%s: never ready is %v", name, rec.NeverReady)
		}
		if rec.ReadyUnknown != (name == "its readiness is unknown") {
			t.Errorf("%s: unknown is %v", name, rec.ReadyUnknown)
		}
	}
}

func TestLooping(t *testing.T) {
	running := func(at time.Duration) corev1.ContainerState {
		return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(noon.Add(at))}}
	}
	died := func(code int32) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, FinishedAt: metav1.NewTime(noon.Add(time.Hour))}}
	}
	waits := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: cluster.ReasonCrashLoopBackOff}}
	for name, tc := range map[string]struct {
		ready    corev1.ConditionStatus
		since    time.Duration // of the condition
		now, was corev1.ContainerState
		want     bool
	}{
		"in the back-off":                             {corev1.ConditionFalse, time.Hour, waits, died(1), true},
		"runs again, and was not ready since":         {corev1.ConditionFalse, time.Hour, running(time.Hour + time.Second), died(1), true},
		"the same, started before that was written":   {corev1.ConditionFalse, time.Hour, running(time.Hour - 2*time.Second), died(1), true},
		"has just died":                               {corev1.ConditionFalse, time.Hour, died(1), corev1.ContainerState{}, true},
		"runs again and was ready since":              {corev1.ConditionFalse, 2 * time.Hour, running(time.Hour), died(1), false},
		"runs again and is ready":                     {corev1.ConditionTrue, time.Hour + time.Minute, running(time.Hour), died(1), false},
		"runs again, and nobody knows of a readiness": {corev1.ConditionUnknown, time.Hour, running(time.Hour), died(1), false},
		"had finished, and runs again":                {corev1.ConditionFalse, time.Hour, running(time.Hour), died(0), false},
		"has never died, and hangs":                   {corev1.ConditionFalse, time.Hour, running(0), corev1.ContainerState{}, false},
	} {
		p := born("a", tc.ready, tc.since)
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: p.Spec.Containers[0].Name, State: tc.now, LastTerminationState: tc.was, RestartCount: 1}}
		if got := NewRecords().Pod(p).Looping; got != tc.want {
			t.Errorf("%s: looping is %v", name, got)
		}
	}
}

func TestRestartsAndKills(t *testing.T) {
	death := func(reason string, begin, end time.Duration) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			Reason: reason, StartedAt: metav1.NewTime(noon.Add(begin)), FinishedAt: metav1.NewTime(noon.Add(end)),
		}}
	}
	running := func(since time.Duration) corev1.ContainerState {
		return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(noon.Add(since))}}
	}
	waiting := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: cluster.ReasonCrashLoopBackOff}}
	at := func(d time.Duration) time.Time { return noon.Add(d) }
	for name, tc := range map[string]struct {
		status         corev1.ContainerStatus
		oom, restarted time.Time
	}{
		"first life": {corev1.ContainerStatus{State: running(1)}, time.Time{}, time.Time{}},
		"first death, by the kernel": {
			corev1.ContainerStatus{State: death(cluster.ReasonOOMKilled, 0, time.Minute)}, at(time.Minute), time.Time{},
		},
		"waits after its first death": {
			corev1.ContainerStatus{State: waiting, LastTerminationState: death("Error", 0, time.Minute)}, time.Time{}, time.Time{},
		},
		"second life": {
			corev1.ContainerStatus{RestartCount: 1, State: running(2 * time.Minute), LastTerminationState: death(cluster.ReasonOOMKilled, 0, time.Minute)},
			at(time.Minute), at(2 * time.Minute),
		},
		"waits after its second death": {
			corev1.ContainerStatus{RestartCount: 1, State: waiting, LastTerminationState: death("Error", 2*time.Minute, 3*time.Minute)},
			time.Time{},
			at(2 * time.Minute),
		},
		"two kills on show": {
			corev1.ContainerStatus{
				RestartCount: 1, State: death(cluster.ReasonOOMKilled, 2*time.Minute, 3*time.Minute),
				LastTerminationState: death(cluster.ReasonOOMKilled, 0, time.Minute),
			},
			at(3 * time.Minute), at(2 * time.Minute),
		},
	} {
		p := runningPod("a")
		tc.status.Name = "web"
		p.Status.ContainerStatuses = []corev1.ContainerStatus{tc.status}
		rec := NewRecords().Pod(p)
		if !rec.OOMKilledAt.Equal(tc.oom) || !rec.RestartedAt.Equal(tc.restarted) {
			t.Errorf("%s: killed at %v and restarted at %v, want %v and %v", name, rec.OOMKilledAt, rec.RestartedAt, tc.oom, tc.restarted)
		}
	}
}

func TestPodLevelRequests(t *testing.T) {
	cpu := func(v string) corev1.ResourceList {
		if v == "" {
			return nil
		}
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(v)}
	}
	container := func(name, v string) corev1.Container {
		return corev1.Container{Name: name, Resources: corev1.ResourceRequirements{Requests: cpu(v)}}
	}
	sidecar := func(name, v string) corev1.Container {
		c := container(name, v)
		c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
		return c
	}
	memoryOnly := &corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}}
	for name, tc := range map[string]struct {
		spec corev1.PodSpec
		want Request
	}{
		"the sum":              {corev1.PodSpec{Containers: []corev1.Container{container("a", "100m"), container("b", "50m")}}, Request{Value: 150}},
		"a container has none": {corev1.PodSpec{Containers: []corev1.Container{container("a", "100m"), container("b", "")}}, Request{Missing: "b"}},
		"a sidecar has none": {
			corev1.PodSpec{Containers: []corev1.Container{container("a", "100m")}, InitContainers: []corev1.Container{sidecar("s", "")}}, Request{Missing: "s"},
		},
		"an init container does not count": {
			corev1.PodSpec{Containers: []corev1.Container{container("a", "100m")}, InitContainers: []corev1.Container{container("i", "1")}}, Request{Value: 100},
		},
		"the pod's own": {
			corev1.PodSpec{
				Containers: []corev1.Container{container("a", "")}, Overhead: cpu("10m"),
				Resources: &corev1.ResourceRequirements{Requests: cpu("2")},
			}, Request{Value: 2010},
		},
		"the pod has another resource: those that ask count": {
			corev1.PodSpec{Containers: []corev1.Container{container("a", "100m"), container("b", "")}, Resources: memoryOnly}, Request{Value: 100},
		},
		"the pod has another resource: what starts counts too": {
			corev1.PodSpec{
				Containers:     []corev1.Container{container("a", "100m")},
				InitContainers: []corev1.Container{sidecar("s", "20m"), container("i", "300m")}, Resources: memoryOnly,
			}, Request{Value: 320},
		},
		"the pod has another resource, and none asks": {
			corev1.PodSpec{Containers: []corev1.Container{container("a", "")}, Resources: memoryOnly}, Request{Missing: "a"},
		},
	} {
		p := runningPod("x")
		p.Spec = tc.spec
		if got := NewRecords().Pod(p).CPU; got != tc.want {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
}

func TestRolloutOfADeployment(t *testing.T) {
	complete := func(d *appsv1.Deployment, reason string) *appsv1.Deployment {
		d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: reason}}
		return d
	}
	bad := func(name, waiting string) *corev1.Pod {
		p := born(name, corev1.ConditionFalse, 0, "ReplicaSet", "web-2")
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: "web", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: waiting}},
		}}
		return p
	}
	restarted := born("web-2-r", corev1.ConditionFalse, 0, "ReplicaSet", "web-2")
	restarted.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "web", RestartCount: 1}}
	old := born("web-1-a", corev1.ConditionTrue, 0, "ReplicaSet", "web-1")
	good := func(name string) *corev1.Pod { return born(name, corev1.ConditionTrue, 0, "ReplicaSet", "web-2") }
	slow := born("web-2-s", corev1.ConditionFalse, 0, "ReplicaSet", "web-2")
	for name, tc := range map[string]struct {
		reason string // of Progressing
		old    int32  // replicas of the old ReplicaSet
		pods   []*corev1.Pod
		want   *hpa.Rollout
		words  []string // of the pods
	}{
		"none":                         {"NewReplicaSetAvailable", 0, []*corev1.Pod{good("web-2-a")}, nil, []string{""}},
		"none, whatever a pod suffers": {"NewReplicaSetAvailable", 0, []*corev1.Pod{bad("web-2-a", "CrashLoopBackOff")}, nil, []string{""}},
		"goes well": {
			"ReplicaSetUpdated", 1,
			[]*corev1.Pod{old, good("web-2-a"), slow},
			&hpa.Rollout{Revision: "hash-2", New: 2, Ready: 1},
			[]string{"", "", ""},
		},
		"the old one still has replicas": {
			"NewReplicaSetAvailable", 1, []*corev1.Pod{old, good("web-2-a")}, &hpa.Rollout{Revision: "hash-2", New: 1, Ready: 1}, []string{"", ""},
		},
		"fails": {
			"ReplicaSetUpdated", 1,
			[]*corev1.Pod{old, bad("web-2-a", "ErrImagePull"), bad("web-2-b", "CrashLoopBackOff")},
			&hpa.Rollout{Revision: "hash-2", New: 2, Failing: "2 of 2 replicas of revision hash-2 fail, web-2-a: image cannot be pulled"},
			[]string{"", "image cannot be pulled", "crash loop"},
		},
		"one of many fails": {
			"ReplicaSetUpdated", 1,
			[]*corev1.Pod{good("web-2-a"), good("web-2-b"), restarted},
			&hpa.Rollout{Revision: "hash-2", New: 3, Ready: 2},
			[]string{"", "", "restarted and not ready"},
		},
		"is late": {
			"ProgressDeadlineExceeded", 1,
			[]*corev1.Pod{old, slow},
			&hpa.Rollout{Revision: "hash-2", New: 1, Failing: "1 of 1 replicas of revision hash-2 fail, web-2-s: not ready within the progress deadline"},
			[]string{"", "not ready within the progress deadline"},
		},
		"the configuration is missing": {
			"ReplicaSetUpdated", 0,
			[]*corev1.Pod{bad("web-2-a", "CreateContainerConfigError"), bad("web-2-b", "ContainerCreating")},
			&hpa.Rollout{Revision: "hash-2", New: 2, Failing: "1 of 2 replicas of revision hash-2 fail, web-2-a: configuration missing"},
			[]string{"configuration missing", ""},
		},
	} {
		objects := []any{
			complete(deployment("web", 2), tc.reason),
			replicaSet("web-1", "web", "1", "web:1", tc.old, time.Hour), replicaSet("web-2", "web", "2", "web:2", 2, time.Minute),
		}
		for _, p := range tc.pods {
			objects = append(objects, p.DeepCopy())
		}
		s := sources(t, objects...)
		r := RolloutOf(s.Owners[0], s.Owners[1:])
		if diff := cmp.Diff(tc.want, r.Describe(s.Pods)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		for i, p := range s.Pods {
			if got := r.Failing(p); got != tc.words[i] {
				t.Errorf("%s: %s fails with %q, want %q", name, p.Name, got, tc.words[i])
			}
		}
	}
}

func TestRolloutOfAStatefulSet(t *testing.T) {
	db := &appsv1.StatefulSet{
		ObjectMeta: meta("StatefulSet", "db"), Spec: appsv1.StatefulSetSpec{Replicas: new(int32(2)), Template: template("db:1")},
		Status: appsv1.StatefulSetStatus{CurrentRevision: "db-1", UpdateRevision: "db-2", UpdatedReplicas: 1},
	}
	pod := func(name, hash string, ready corev1.ConditionStatus, restarts int32) *corev1.Pod {
		p := born(name, ready, time.Minute, "StatefulSet", "db")
		p.Labels = map[string]string{appsv1.ControllerRevisionHashLabelKey: hash}
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "web", RestartCount: restarts}}
		return p
	}
	s := sources(t, db, pod("db-0", "db-1", corev1.ConditionFalse, 3), pod("db-1", "db-2", corev1.ConditionFalse, 3))
	r := RolloutOf(s.Owners[0], nil)
	want := &hpa.Rollout{Revision: "db-2", New: 1, Failing: "1 of 1 replicas of revision db-2 fail, db-1: restarted and not ready"}
	if diff := cmp.Diff(want, r.Describe(s.Pods)); diff != "" {
		t.Errorf("rollout (-want +got):\n%s", diff)
	}
	if r.Failing(s.Pods[0]) != "" {
		t.Error("a replica of the old revision fails as a new one")
	}
	// The replica with the smallest ordinal comes last, and fails.
	db.Status.UpdatedReplicas = 2
	s = sources(t, db, pod("db-0", "db-2", corev1.ConditionFalse, 3), pod("db-1", "db-2", corev1.ConditionTrue, 0))
	r = RolloutOf(s.Owners[0], nil)
	if got := r.Describe(s.Pods); got == nil || got.New != 2 || got.Ready != 1 || got.Failing == "" {
		t.Errorf("a rollout whose last replica fails is %+v", got)
	}
	kept := db.DeepCopy()
	kept.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: new(int32(1))}
	kept.Status.UpdatedReplicas = 1
	s = sources(t, kept)
	if r := RolloutOf(s.Owners[0], nil); r.Describe(nil) != nil {
		t.Errorf("a rollout that has reached its partition is %+v", r)
	}
	db.Status.CurrentRevision = "db-2"
	s = sources(t, db)
	if r := RolloutOf(s.Owners[0], nil); r.Describe(nil) != nil {
		t.Errorf("a rollout that is complete is %+v", r)
	}
}

func TestShortage(t *testing.T) {
	quota := `pods "web-2-x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2`
	failure := func(s *appsv1.ReplicaSet, status corev1.ConditionStatus, message string) *appsv1.ReplicaSet {
		s.Status.Conditions = []appsv1.ReplicaSetCondition{{Type: appsv1.ReplicaSetReplicaFailure, Status: status, Reason: "FailedCreate", Message: message}}
		s.Status.Replicas = 1
		return s
	}
	top := deployment("web", 2)
	for name, tc := range map[string]struct {
		set  *appsv1.ReplicaSet
		want string
	}{
		"a quota":                  {failure(replicaSet("web-2", "web", "2", "x", 2, 0), corev1.ConditionTrue, quota), quota},
		"something else":           {failure(replicaSet("web-2", "web", "2", "x", 2, 0), corev1.ConditionTrue, "denied by a webhook"), ""},
		"the condition is over":    {failure(replicaSet("web-2", "web", "2", "x", 2, 0), corev1.ConditionFalse, quota), ""},
		"all its pods are there":   {failure(replicaSet("web-2", "web", "2", "x", 1, 0), corev1.ConditionTrue, quota), ""},
		"nothing was ever refused": {replicaSet("web-2", "web", "2", "x", 2, 0), ""},
	} {
		s := sources(t, top, tc.set)
		if got := Refusal(s.Owners[0], s.Owners[1:], s.Events, noon); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
	refusedTop := top.DeepCopy()
	refusedTop.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: quota}}
	if got := Refusal(sources(t, refusedTop).Owners[0], nil, NewEvents(), noon); got != quota {
		t.Errorf("the Deployment's own condition gives %q", got)
	}

	if f := Shortage(nil, quota); f == nil || f.Reason != hpa.FaultQuotaExceeded || !strings.HasSuffix(f.Message, quota) {
		t.Errorf("a quota is %+v", f)
	}
	if f := Shortage(nil, quota+strings.Repeat("ü", 1000)); len(f.Message) > 400 {
		t.Errorf("a message of %d bytes", len(f.Message))
	}
	nofit := NewRecords().Pod(readPod(t, "testdata/pods/unschedulable.json"))
	going := *nofit
	going.Replica.DeletedAt = noon
	fits := NewRecords().Pod(readPod(t, "testdata/pods/running.json"))
	f := Shortage([]*Pod{fits, nofit, &going}, "")
	if f == nil || f.Reason != hpa.FaultUnschedulable || !strings.HasPrefix(f.Message, "1 of 3 replicas cannot be placed, web-5d9c7f8b6-nofit: 0/") {
		t.Errorf("a pod without a node is %+v", f)
	}
	if f := Shortage([]*Pod{fits, &going}, ""); f != nil {
		t.Errorf("with every pod placed: %+v", f)
	}
}

func TestAStatefulSetIsRefusedByAnEvent(t *testing.T) {
	db := &appsv1.StatefulSet{
		ObjectMeta: meta("StatefulSet", "db"), Spec: appsv1.StatefulSetSpec{Replicas: new(int32(2)), Template: template("db:1")},
		Status: appsv1.StatefulSetStatus{Replicas: 1},
	}
	s := sources(t, db)
	if err := s.Events.Add(event("StatefulSet", "db", "StatefulSet/db", "FailedCreate", 1, noon)); err != nil {
		t.Fatal(err)
	}
	if got := Refusal(s.Owners[0], nil, s.Events, noon); got != "" {
		t.Errorf("an event about something else gives %q", got)
	}
	e := event("StatefulSet", "db", "StatefulSet/db", "FailedCreate", 1, noon.Add(time.Second))
	e.Name, e.UID, e.Message = "later", "later", "create Pod db-1 in StatefulSet db failed error: exceeded quota: small"
	if err := s.Events.Add(e); err != nil {
		t.Fatal(err)
	}
	if got := Refusal(s.Owners[0], nil, s.Events, noon.Add(time.Minute)); got != e.Message {
		t.Errorf("a quota's event gives %q", got)
	}
	if got := Refusal(s.Owners[0], nil, s.Events, noon.Add(20*time.Minute)); got != "" {
		t.Errorf("an old event gives %q", got)
	}
	whole := *s.Owners[0]
	whole.Existing = 2
	if got := Refusal(&whole, nil, s.Events, noon.Add(time.Minute)); got != "" {
		t.Errorf("with every replica there: %q", got)
	}
}
