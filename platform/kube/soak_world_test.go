package kube

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/metrics"
	"github.com/homeostat/homeostat/platform/kube/internal/apitest"
)

// soak is a cluster that changes all the time: kubelets, controllers and people, as far as the healing can see them. All names
// are new ones, so that what remembers by a name that is gone is found out.
type soak struct {
	*apitest.Server

	t      *testing.T
	rng    *rand.Rand
	store  *metrics.Store
	now    time.Time
	serial int
	spaces []*soakSpace
	nodes  []*soakNode
	loads  []*soakLoad
	jobs   []soakJob
	events []soakEvent

	mu       sync.Mutex
	touched  map[string]bool // "resource namespace/name" that the healing wrote
	told     int             // events that it sent
	written  int             // requests of it that change something, events and all
	deaths   int
	replaced int // pods, nodes, workloads and namespaces
}

type soakSpace struct{ name string }

type soakNode struct {
	name string
	down bool
	back time.Time
}

type soakJob struct {
	namespace, name, pod string
	ends                 time.Time
}

type soakEvent struct {
	namespace, name string
	at              time.Time
}

func newSoak(t *testing.T, workloads int) *soak {
	t.Helper()
	store, err := metrics.NewStore(metrics.Config{Keep: 20, TrendSpan: 10 * time.Minute}) // full at a third of the hour
	if err != nil {
		t.Fatal(err)
	}
	s := &soak{
		Server: apitest.NewInMemory(t), t: t, rng: rand.New(rand.NewPCG(1, 2)), store: store, now: time.Now(), touched: map[string]bool{}, //nolint:gosec // the same every time
	}
	s.Hook(resizable)
	s.Hook(s.overhear)
	for range max(4, workloads/10) {
		s.addNode()
	}
	for range max(3, workloads/30) {
		s.addSpace()
	}
	for i := range workloads {
		s.addLoad(s.spaces[i%len(s.spaces)])
	}
	return s
}

func (s *soak) id(kind string) string {
	s.serial++
	return kind + "-" + strconv.Itoa(s.serial)
}

// overhear answers what needs no store, and notes which objects the healing writes.
func (s *soak) overhear(w http.ResponseWriter, r *http.Request) bool {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	n := slices.Index(parts, "namespaces")
	switch {
	case strings.HasSuffix(r.URL.Path, "/log"):
		for i := range 60 {
			fmt.Fprintf(w, "%s request %d failed: connection %s refused after %d ms\n", time.Now().Format(time.RFC3339Nano), i, r.URL.Path, 7*i)
		}
		return true
	case n < 0 || len(parts) < n+3 || r.Method == http.MethodGet:
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if parts[n+2] == "events" { // a real server forgets them after an hour
		s.told++
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(apitest.Object{"apiVersion": "v1", "kind": "Event", "metadata": apitest.Object{"name": "e", "namespace": parts[n+1]}})
		return true
	}
	if len(parts) > n+3 {
		s.touched[parts[n+2]+" "+parts[n+1]+"/"+parts[n+3]] = true
	}
	return false
}

// take returns what was touched since.
func (s *soak) take() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.touched
	s.touched = map[string]bool{}
	return out
}

func (s *soak) addNode() {
	s.nodes = append(s.nodes, &soakNode{name: s.id("node")})
	s.putNode(s.nodes[len(s.nodes)-1])
}

func (s *soak) putNode(n *soakNode) {
	ready := corev1.ConditionTrue
	if n.down {
		ready = corev1.ConditionUnknown
	}
	s.Put(s.t, &corev1.Node{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}, ObjectMeta: metav1.ObjectMeta{Name: n.name, UID: types.UID(n.name)},
		Status: corev1.NodeStatus{
			Conditions: []corev1.NodeCondition{{
				Type: corev1.NodeReady, Status: ready, Reason: "NodeStatusUnknown", LastTransitionTime: metav1.NewTime(s.now),
			}},
			Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}},
		},
	})
	s.event("default", "Node", n.name, n.name, "NodeNotReady", n.name)
}

func (s *soak) addSpace() *soakSpace {
	sp := &soakSpace{name: s.id("space")}
	s.spaces = append(s.spaces, sp)
	s.putPolicy(sp)
	return sp
}

func (s *soak) putPolicy(sp *soakSpace) {
	s.Put(s.t, &v1alpha1.HealingPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindHealingPolicy},
		ObjectMeta: metav1.ObjectMeta{Namespace: sp.name, Name: "heal", UID: types.UID(s.id("policy")), Generation: 1},
		Spec: v1alpha1.HealingPolicySpec{
			Mode: v1alpha1.HealingAct, Selector: metav1.LabelSelector{MatchLabels: map[string]string{"tier": "soak"}}, PatchTemplate: true,
			Budget: v1alpha1.Budget{Actions: new(int32(5)), Period: &metav1.Duration{Duration: 15 * time.Minute}},
			Remedies: []v1alpha1.FindingRemedy{
				{Finding: "NotReady", Ladder: []v1alpha1.Remedy{"Quarantine", "Restart"}},
				{Finding: "OOMKilled", Ladder: []v1alpha1.Remedy{"Rollback", "ResizeMemory", "RestartWorkload"}},
			},
		},
	})
}

// event is one that a part of the cluster sends; an old one is forgotten.
func (s *soak) event(namespace, kind, name, uid, reason, message string) {
	e := soakEvent{namespace, s.id("event"), s.now}
	s.events = append(s.events, e)
	s.Put(s.t, apitest.Object{
		"apiVersion": "v1", "kind": "Event", "metadata": apitest.Object{"namespace": namespace, "name": e.name}, "type": "Warning",
		"reason": reason, "message": message, "count": 1, "lastTimestamp": s.now.Format(time.RFC3339),
		"involvedObject": apitest.Object{"kind": kind, "namespace": namespace, "name": name, "uid": uid},
	})
	for len(s.events) > 0 && s.now.Sub(s.events[0].at) > 2*time.Minute {
		s.Remove(s.t, "events", s.events[0].namespace, s.events[0].name)
		s.events = s.events[1:]
	}
}

// dropSpace deletes a namespace with all that is in it, as the namespace controller does, and makes a new one of that size.
func (s *soak) dropSpace() {
	sp := s.spaces[0]
	s.spaces = s.spaces[1:]
	next, n := s.addSpace(), 0
	for _, l := range slices.Clone(s.loads) {
		if l.space == sp {
			s.dropLoad(l)
			n++
		}
	}
	for _, resource := range []string{"pods", "jobs", "incidents", "healingpolicies", "services", "endpointslices"} {
		for _, name := range s.Names(resource) {
			if ns, rest, _ := strings.Cut(name, "/"); ns == sp.name {
				s.Remove(s.t, resource, ns, rest)
			}
		}
	}
	for range n {
		s.addLoad(next)
	}
	s.replaced++
}

// failJob adds a Job that has failed; one that is old is deleted with its pod.
func (s *soak) failJob() {
	sp := s.spaces[s.rng.IntN(len(s.spaces))]
	j := soakJob{namespace: sp.name, name: s.id("job"), ends: s.now.Add(4 * time.Minute)}
	j.pod = j.name + "-x"
	s.jobs = append(s.jobs, j)
	labels := map[string]string{"job": j.name, "tier": "soak"}
	meta := metav1.ObjectMeta{Namespace: j.namespace, Name: j.name, UID: types.UID("uid-" + j.name), CreationTimestamp: metav1.NewTime(s.now)}
	spec := corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "app", Image: "registry.local/job:1"}}}
	s.Put(s.t, &batchv1.Job{
		TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"}, ObjectMeta: meta,
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}},
		Status: batchv1.JobStatus{Failed: 1, Conditions: []batchv1.JobCondition{{
			Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: "BackoffLimitExceeded", LastTransitionTime: metav1.NewTime(s.now),
		}}},
	})
	end := &corev1.ContainerStateTerminated{
		ExitCode: 3, Reason: "Error", ContainerID: "containerd://" + j.name, StartedAt: metav1.NewTime(s.now.Add(-time.Second)), FinishedAt: metav1.NewTime(s.now),
	}
	meta.Name, meta.UID, meta.Labels = j.pod, types.UID("uid-"+j.pod), labels
	meta.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: j.name, UID: types.UID("uid-" + j.name), Controller: new(true)}}
	spec.NodeName = s.nodes[0].name
	s.Put(s.t, &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: meta, Spec: spec,
		Status: corev1.PodStatus{Phase: corev1.PodFailed, StartTime: &metav1.Time{Time: s.now}, ContainerStatuses: []corev1.ContainerStatus{{
			Name: "app", State: corev1.ContainerState{Terminated: end},
		}}},
	})
}

func (s *soak) endJobs(all bool) {
	s.jobs = slices.DeleteFunc(s.jobs, func(j soakJob) bool {
		if !all && s.now.Before(j.ends) {
			return false
		}
		s.Remove(s.t, "jobs", j.namespace, j.name)
		s.Remove(s.t, "pods", j.namespace, j.pod)
		return true
	})
}

// flap takes a node down for a while; some never come back, and another one takes their place.
func (s *soak) flap() {
	n := s.nodes[s.rng.IntN(len(s.nodes))]
	n.down, n.back = true, s.now.Add(time.Minute+time.Duration(s.rng.IntN(60))*time.Second)
	s.putNode(n)
}

func (s *soak) mendNodes() {
	for _, n := range slices.Clone(s.nodes) {
		if !n.down || s.now.Before(n.back) {
			continue
		}
		if n.down = false; s.rng.IntN(2) == 0 {
			s.putNode(n)
			continue
		}
		s.addNode()
		s.nodes = slices.DeleteFunc(s.nodes, func(x *soakNode) bool { return x == n })
		s.Remove(s.t, "nodes", "", n.name)
		for _, l := range s.loads {
			for _, p := range slices.Clone(l.pods) {
				if p.node == n {
					s.dropPod(l, p)
				}
			}
		}
		s.replaced++
	}
}
