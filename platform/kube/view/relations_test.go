package view

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/homeostat/homeostat/internal/cluster"
)

type labelSet = map[string]string

func service(name string, selector labelSet) *corev1.Service {
	return &corev1.Service{ObjectMeta: meta("Service", name), Spec: corev1.ServiceSpec{Selector: selector}}
}

// slice has one endpoint for each of the states: ready, not ready or not said.
func slice(name, service string, family discoveryv1.AddressType, ready ...*bool) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{ObjectMeta: meta("EndpointSlice", name), AddressType: family}
	s.Labels = labelSet{discoveryv1.LabelServiceName: service}
	for _, r := range ready {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Conditions: discoveryv1.EndpointConditions{Ready: r}})
	}
	return s
}

// coloured is a Deployment whose pods have the labels.
func coloured(name string, labels labelSet) any {
	d := deployment(name, 2)
	d.Spec.Template.Labels = labels
	return d
}

func TestServicesAndTheirEndpoints(t *testing.T) {
	elsewhere := service("web", labelSet{"app": "web"})
	elsewhere.Namespace, elsewhere.UID = "other", "other/web"
	external := service("mail", labelSet{"app": "web"})
	external.Spec.Type = corev1.ServiceTypeExternalName
	s := sources(t, deployment("web", 2), coloured("api", labelSet{"app": "api", "tier": "back"}),
		service("web", labelSet{"app": "web"}), service("all", labelSet{"tier": "back"}), service("none", labelSet{"app": "web", "tier": "front"}),
		service("manual", nil), external, elsewhere,
		slice("web-1", "web", discoveryv1.AddressTypeIPv4, new(true), nil, new(false)), slice("web-2", "web", discoveryv1.AddressTypeIPv4, new(true)),
		slice("web-6", "web", discoveryv1.AddressTypeIPv6, new(true), new(true), new(true)), // the same endpoints again
		slice("manual-1", "manual", discoveryv1.AddressTypeIPv4, new(true)))
	ws := Workloads(s, noon)
	if got := workload(t, ws, "web").Services; cmp.Diff([]string{"web"}, got) != "" {
		t.Errorf("web is behind %v", got)
	}
	if got := workload(t, ws, "api").Services; cmp.Diff([]string{"all"}, got) != "" {
		t.Errorf("api is behind %v", got)
	}
	if got := Services(s, ws, noon); got != nil {
		t.Errorf("without endpoints the services are %v", got)
	}
	s.EndpointsKnown = true
	api, web := workload(t, ws, "api").Ref, workload(t, ws, "web").Ref
	want := map[string]cluster.Service{
		"shop/web":    {Namespace: "shop", Name: "web", Ready: 3, Selects: true, Workloads: []cluster.Ref{web}},
		"shop/all":    {Namespace: "shop", Name: "all", Selects: true, Workloads: []cluster.Ref{api}},
		"shop/none":   {Namespace: "shop", Name: "none", Selects: true},
		"shop/manual": {Namespace: "shop", Name: "manual", Ready: 1},
		"shop/mail":   {Namespace: "shop", Name: "mail"},
		"other/web":   {Namespace: "other", Name: "web", Selects: true},
	}
	if diff := cmp.Diff(want, Snapshot(s, noon).Services); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
}

func TestSinceWhenAServiceIsDown(t *testing.T) {
	up := sources(t, service("web", labelSet{"app": "web"}), slice("a", "web", discoveryv1.AddressTypeIPv4, new(true)))
	down := sources(t, service("web", labelSet{"app": "web"}), slice("a", "web", discoveryv1.AddressTypeIPv4, new(false)))
	notes := NewNotes()
	look := func(s Sources, minute int) time.Time {
		s.Notes, s.EndpointsKnown = notes, true
		return Services(s, nil, noon.Add(time.Duration(minute)*time.Minute))["shop/web"].DownSince
	}
	for i, step := range []struct {
		s    Sources
		want time.Time
	}{
		{down, time.Time{}}, // never seen with an endpoint
		{up, time.Time{}},
		{down, noon.Add(2 * time.Minute)},
		{down, noon.Add(2 * time.Minute)},
		{up, time.Time{}},
		{down, noon.Add(5 * time.Minute)},
	} {
		if got := look(step.s, i); !got.Equal(step.want) {
			t.Errorf("minute %d: down since %v, want %v", i, got, step.want)
		}
	}
	notes.Deleted("Service/web")
	if got := look(down, 9); !got.IsZero() {
		t.Errorf("made again it is down since %v", got)
	}
}

// A look that began before a deletion notes what is gone by then.
func TestNotesOfWhatIsGoneEnd(t *testing.T) {
	old := sources(t, deployment("web", 1), replicaSet("web-1", "web", "1", "web:1", 1, time.Hour), runningPod("web-1-a", "ReplicaSet", "web-1"),
		service("web", labelSet{"app": "web"}), slice("web-x", "web", discoveryv1.AddressTypeIPv4, new(true)))
	old.EndpointsKnown = true
	Snapshot(old, noon)
	if len(old.Notes.served) != 1 || len(old.Notes.healthyAt) != 1 {
		t.Fatalf("noted are %d services and %d revisions", len(old.Notes.served), len(old.Notes.healthyAt))
	}
	for _, o := range old.Owners {
		old.Notes.Deleted(o.UID)
	}
	old.Notes.Deleted(old.Services[0].UID)
	Snapshot(old, noon)
	now := sources(t, service("other", labelSet{"app": "other"}))
	now.EndpointsKnown, now.Notes = true, old.Notes
	Snapshot(now, noon.Add(time.Second))
	if len(now.Notes.served) != 1 || now.Notes.served[now.Services[0].UID] == nil || len(now.Notes.healthyAt) != 0 {
		t.Errorf("kept are %v and %v", now.Notes.served, now.Notes.healthyAt)
	}
}

func TestAServiceThatSelectsAnother(t *testing.T) {
	s := sources(t, service("web", labelSet{"app": "web", "version": "green"}), coloured("green", labelSet{"app": "web", "version": "green"}),
		coloured("blue", labelSet{"app": "web", "version": "blue"}), coloured("db", labelSet{"app": "db"}))
	before, after := *s.Services[0], *s.Services[0]
	before.Selector = labelSet{"app": "web", "version": "blue"}
	s.Notes.Reselected(&before, &after, noon.Add(-time.Minute))
	s.Notes.Reselected(&after, &after, noon) // another change of the object
	ws := Workloads(s, noon)
	want := []cluster.Change{{
		At: noon.Add(-time.Minute), Kind: cluster.ChangeSwitch, Message: "service web selects version=green instead of version=blue",
	}}
	for _, name := range []string{"green", "blue"} {
		if diff := cmp.Diff(want, workload(t, ws, name).Changes); diff != "" {
			t.Errorf("changes of %s (-want +got):\n%s", name, diff)
		}
	}
	if got := workload(t, ws, "db").Changes; len(got) != 0 {
		t.Errorf("changes of another are %+v", got)
	}
}

func TestTracks(t *testing.T) {
	canaryOf := func(name, stable string) any {
		d := deployment(name, 1)
		d.Annotations = labelSet{CanaryAnnotation: stable}
		return d
	}
	blueGreen := func(selected, key string) any {
		s := service("web", labelSet{"app": "web", "version": selected})
		s.Annotations = labelSet{BlueGreenAnnotation: key}
		return s
	}
	colour := func(c string) any { return coloured(c, labelSet{"app": "web", "version": c}) }
	ref := func(name string) cluster.Ref {
		return cluster.Ref{Kind: "Deployment", Namespace: "shop", Name: name, UID: "Deployment/" + name}
	}
	toBlue := &cluster.Track{
		Kind: cluster.TrackBlueGreen, Other: ref("blue"), OtherDesired: 2, Service: "web", Key: "version", Value: "green", OtherValue: "blue",
	}
	for name, tc := range map[string]struct {
		objects []any
		before  string // the value that the Service selected before
		want    map[string]*cluster.Track
	}{
		"canary": {
			objects: []any{
				deployment("stable", 3), canaryOf("canary", "stable"), replicaSet("stable-1", "stable", "1", "web:1", 3, 0),
				runningPod("s-1", "ReplicaSet", "stable-1"), runningPod("s-2", "ReplicaSet", "stable-1"),
			},
			want: map[string]*cluster.Track{"canary": {Kind: cluster.TrackCanary, Other: ref("stable"), OtherReady: 2, OtherDesired: 3}},
		},
		"canary of nobody":   {objects: []any{canaryOf("canary", "gone")}},
		"canary of itself":   {objects: []any{canaryOf("canary", "canary")}},
		"blue and green":     {objects: []any{blueGreen("green", "version"), colour("green"), colour("blue")}, want: map[string]*cluster.Track{"green": toBlue}},
		"only one colour":    {objects: []any{blueGreen("green", "version"), colour("green")}},
		"three colours":      {objects: []any{blueGreen("green", "version"), colour("green"), colour("blue"), colour("red")}},
		"no such key":        {objects: []any{blueGreen("green", "colour"), colour("green"), colour("blue")}},
		"two of one colour":  {objects: []any{blueGreen("green", "version"), colour("green"), coloured("more", labelSet{"app": "web", "version": "green"}), colour("blue")}},
		"three, blue before": {objects: []any{blueGreen("green", "version"), colour("green"), colour("blue"), colour("red")}, before: "blue", want: map[string]*cluster.Track{"green": toBlue}},
	} {
		t.Run(name, func(t *testing.T) {
			s := sources(t, tc.objects...)
			if tc.before != "" {
				before := *s.Services[0]
				before.Selector = maps.Clone(before.Selector)
				before.Selector["version"] = tc.before
				s.Notes.Reselected(&before, s.Services[0], noon)
			}
			got := map[string]*cluster.Track{}
			for _, w := range Workloads(s, noon) {
				if w.Track != nil {
					got[w.Ref.Name] = w.Track
				}
			}
			if len(got)+len(tc.want) > 0 {
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("tracks (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestDisruptionBudgets(t *testing.T) {
	budget := func(name string, selector *metav1.LabelSelector) *policyv1.PodDisruptionBudget {
		return &policyv1.PodDisruptionBudget{
			ObjectMeta: meta("PodDisruptionBudget", name), Spec: policyv1.PodDisruptionBudgetSpec{Selector: selector},
			Status: policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: 1, CurrentHealthy: 3, DesiredHealthy: 2},
		}
	}
	in := []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpIn, Values: []string{"web", "db"}}}
	not := []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"web"}}}
	ws := Workloads(sources(t, deployment("web", 3), coloured("api", labelSet{"app": "api"}),
		budget("by-label", &metav1.LabelSelector{MatchLabels: labelSet{"app": "web"}}), budget("one-of", &metav1.LabelSelector{MatchExpressions: in}),
		budget("others", &metav1.LabelSelector{MatchExpressions: not}), budget("everything", &metav1.LabelSelector{}), budget("nothing", nil)), noon)
	for name, names := range map[string][]string{"web": {"by-label", "everything", "one-of"}, "api": {"everything", "others"}} {
		var want []cluster.DisruptionBudget
		for _, n := range names {
			want = append(want, cluster.DisruptionBudget{Name: n, Allowed: 1, Healthy: 3, Desired: 2})
		}
		if diff := cmp.Diff(want, workload(t, ws, name).Budgets); diff != "" {
			t.Errorf("budgets of %s (-want +got):\n%s", name, diff)
		}
	}
}

func TestScalers(t *testing.T) {
	hpa := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: meta("HPA", "web"), Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{Kind: "Deployment", Name: "web"}, MaxReplicas: 9,
		},
		Status: autoscalingv2.HorizontalPodAutoscalerStatus{Conditions: []autoscalingv2.HorizontalPodAutoscalerCondition{{
			Type: autoscalingv2.ScalingActive, Status: corev1.ConditionFalse, Reason: "FailedGetResourceMetric", LastTransitionTime: metav1.NewTime(noon),
		}}},
	}
	s := sources(t, deployment("web", 3), deployment("api", 1))
	native := NewRecords().native(hpa).Scaling()
	s.Scalings = []Scaling{native}
	want := &cluster.Scaler{
		Ref: cluster.Ref{Kind: "HorizontalPodAutoscaler", Namespace: "shop", Name: "web", UID: "HPA/web"}, Min: 1, Max: 9,
		Active: &cluster.Condition{Type: "ScalingActive", Status: "False", Reason: "FailedGetResourceMetric", Since: noon},
	}
	ws := Workloads(s, noon)
	if diff := cmp.Diff(want, workload(t, ws, "web").Scaler); diff != "" {
		t.Errorf("scaler (-want +got):\n%s", diff)
	}
	if got := workload(t, ws, "api").Scaler; got != nil {
		t.Errorf("api is scaled by %+v", got)
	}
	own := native
	own.Scaler = &cluster.Scaler{Max: 4}
	s.Scalings = []Scaling{own, native}
	if got := workload(t, Workloads(s, noon), "web").Scaler; got.Max != 4 {
		t.Errorf("of two the second counts: %+v", got)
	}
}

// TestFilingFindsAll compares the filing with a look at every Service, in a namespace in which labels repeat.
func TestFilingFindsAll(t *testing.T) {
	var objects []any
	for i := range 60 {
		objects = append(objects, service(fmt.Sprint("s-", i), labelSet{"app": fmt.Sprint(i % 7), "part": fmt.Sprint(i % 3)}))
		objects = append(objects, coloured(fmt.Sprint("d-", i), labelSet{"app": fmt.Sprint(i % 5), "part": fmt.Sprint(i % 4), "x": "y"}))
	}
	s := sources(t, objects...)
	found := 0
	for _, w := range Workloads(s, noon) {
		got := map[string]bool{}
		for _, name := range w.Services {
			if got[name] {
				t.Fatalf("%s is twice behind %s", w.Ref, name)
			}
			got[name] = true
		}
		found += len(got)
		for _, x := range s.Services {
			if includes(w.Labels, x.Selector) != got[x.Name] {
				t.Errorf("%s with %v and %s with %v: found %v", w.Ref, w.Labels, x.Name, x.Selector, got[x.Name])
			}
		}
	}
	if found == 0 {
		t.Error("nothing is selected")
	}
}

func TestNodes(t *testing.T) {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1", UID: "real"}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
		{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady"},
		{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionTrue},
		{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse},
		{Type: corev1.NodePIDPressure, Status: corev1.ConditionTrue},
		{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue},
	}}}
	s := sources(t, n)
	for i, reason := range []string{"SystemOOM", "NodeNotReady", "NodeAllocatableEnforced"} {
		e := event("Node", "node-1", "node-1", reason, 1, noon.Add(-time.Duration(i)*time.Minute)) // the kubelet's UID is the name
		e.Namespace = "default"
		if err := s.Events.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	stranger := event("Node", "node-1", "node-1", "SystemOOM", 9, noon)
	stranger.Namespace = "shop" // who may write events there may say anything
	if err := s.Events.Add(stranger); err != nil {
		t.Fatal(err)
	}
	got := Snapshot(s, noon).Nodes["node-1"]
	if diff := cmp.Diff([]string{"MemoryPressure", "PIDPressure"}, got.Pressures); diff != "" || got.Ready != "True" {
		t.Errorf("ready is %s, pressures (-want +got):\n%s", got.Ready, diff)
	}
	if len(got.Events) != 2 || got.Events[0].Reason != "SystemOOM" || got.Events[1].Reason != "NodeNotReady" {
		t.Errorf("events are %+v", got.Events)
	}
}

// As the deployment controller resolves them: maxUnavailable is rounded down, maxSurge up, and both at zero take one away.
func TestWhatARolloutTakesAway(t *testing.T) {
	number, share := func(n int32) *intstr.IntOrString { v := intstr.FromInt32(n); return &v }, func(s string) *intstr.IntOrString { v := intstr.FromString(s); return &v }
	for _, tt := range []struct {
		name               string
		replicas           int32
		kind               appsv1.DeploymentStrategyType
		unavailable, surge *intstr.IntOrString
		want               int32
	}{
		{"the defaults with one", 1, "", nil, nil, 0},
		{"the defaults with three", 3, "", nil, nil, 0},
		{"the defaults with four take one away", 4, "", nil, nil, 1},
		{"recreate", 1, appsv1.RecreateDeploymentStrategyType, nil, nil, 1},
		{"recreate takes all", 6, appsv1.RecreateDeploymentStrategyType, nil, nil, 6},
		{"half at once", 9, appsv1.RollingUpdateDeploymentStrategyType, share("50%"), number(1), 4},
		{"a surge of one alone", 8, appsv1.RollingUpdateDeploymentStrategyType, number(0), number(1), 0},
		{"no surge", 8, appsv1.RollingUpdateDeploymentStrategyType, number(1), number(0), 1},
		{"both at zero", 2, appsv1.RollingUpdateDeploymentStrategyType, share("10%"), number(0), 1},
		{"unreadable", 2, appsv1.RollingUpdateDeploymentStrategyType, share("some"), nil, 2},
	} {
		d := &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: &tt.replicas, Strategy: appsv1.DeploymentStrategy{Type: tt.kind}}}
		if tt.unavailable != nil || tt.surge != nil {
			d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxUnavailable: tt.unavailable, MaxSurge: tt.surge}
		}
		if got := NewRecords().deployment(d).Head; got.RolloutTakes != tt.want || got.SurgesFirst != (tt.want == 0) {
			t.Errorf("%s: a rollout takes %d away, surges first is %v; want %d", tt.name, got.RolloutTakes, got.SurgesFirst, tt.want)
		}
	}
}

// A DaemonSet's maxUnavailable is rounded up, a StatefulSet's down to one at least; by default both take one away.
func TestWhatARolloutOfOtherKindsTakesAway(t *testing.T) {
	number, share := func(n int32) *intstr.IntOrString { v := intstr.FromInt32(n); return &v }, func(s string) *intstr.IntOrString { v := intstr.FromString(s); return &v }
	for _, tt := range []struct {
		name               string
		replicas           int32
		unavailable, surge *intstr.IntOrString
		daemons, ordered   int32
	}{
		{"the defaults", 5, nil, nil, 1, 1},
		{"all at once", 5, share("100%"), nil, 5, 5},
		{"a share", 5, share("50%"), nil, 3, 2},
		{"a small share", 5, share("10%"), nil, 1, 1},
		{"more than there are", 3, number(7), nil, 3, 3},
		{"a surge alone", 5, number(0), number(1), 0, 1},
		{"unreadable", 4, share("some"), nil, 4, 4},
	} {
		d := &appsv1.DaemonSet{Status: appsv1.DaemonSetStatus{DesiredNumberScheduled: tt.replicas}}
		s := &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{Replicas: &tt.replicas}}
		if tt.unavailable != nil || tt.surge != nil {
			d.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateDaemonSet{MaxUnavailable: tt.unavailable, MaxSurge: tt.surge}
			s.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{MaxUnavailable: tt.unavailable}
		}
		if got := NewRecords().daemonSet(d).Head; got.RolloutTakes != tt.daemons || got.SurgesFirst != (tt.daemons == 0) {
			t.Errorf("%s: a rollout of a DaemonSet takes %d away, surges first is %v; want %d", tt.name, got.RolloutTakes, got.SurgesFirst, tt.daemons)
		}
		if got := NewRecords().statefulSet(s).Head; got.RolloutTakes != tt.ordered || got.SurgesFirst {
			t.Errorf("%s: a rollout of a StatefulSet takes %d away, surges first is %v; want %d", tt.name, got.RolloutTakes, got.SurgesFirst, tt.ordered)
		}
	}
}
