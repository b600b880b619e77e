package kube

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/homeostat/homeostat/metrics"
)

// What ails a pod: by its image, or for a while.
const (
	well     = ""
	crashes  = "crash"
	oom      = "oom"
	unpulled = "pull"
	unready  = "unready"
)

// soakPod is a pod with one container, as its kubelet knows it.
type soakPod struct {
	name, uid, hash, image, id string
	node                       *soakNode
	born, started, readySince  time.Time
	wake                       time.Time // when something happens next
	state, reason              string    // running or waiting, and why
	ready, changed, kept       bool
	restarts                   int32
	last                       *corev1.ContainerStateTerminated
	memory, limit              int64
	cpu, ooms                  float64
	ails                       string
	until                      time.Time
}

func (s *soak) newPod(l *soakLoad, name string) *soakPod {
	set := l.newest()
	p := &soakPod{
		name: name, uid: s.id("pod"), hash: set.hash, image: set.image, node: s.nodes[s.rng.IntN(len(s.nodes))], born: s.now, readySince: s.now,
		started: s.now, state: "waiting", reason: "ContainerCreating", wake: s.now.Add(2 * time.Second), limit: set.limit, memory: set.limit / 4, changed: true,
	}
	return p
}

// ailment of the pod at this time.
func (p *soakPod) ailment(l *soakLoad, now time.Time) string {
	if a := ailmentOf(p.image); a != well {
		return a
	}
	if now.Before(p.until) {
		return p.ails
	}
	if now.Before(l.until) {
		return l.ails
	}
	return well
}

// ailmentOf returns what ails every pod with the image.
func ailmentOf(image string) string {
	for _, a := range []string{crashes, oom, unpulled, unready} {
		if strings.HasSuffix(image, "-"+a) {
			return a
		}
	}
	return well
}

// step lets a second pass in the life of the pod.
func (s *soak) step(l *soakLoad, p *soakPod) {
	ails := p.ailment(l, s.now)
	switch {
	case p.node.down:
		p.beReady(s.now, false)
	case p.state == "waiting":
		s.start(p, ails)
	case ails == crashes && s.now.Sub(p.started) >= 8*time.Second:
		s.die(p, 1, "Error")
	case ails == oom && p.memory >= p.limit:
		p.ooms++
		s.die(p, 137, "OOMKilled")
	case ails == oom:
		p.memory += p.limit / 20
		p.beReady(s.now, true)
	case ails == unready:
		p.beReady(s.now, false)
	case s.now.After(p.wake):
		p.beReady(s.now, true)
	}
	p.cpu += 0.05
}

func (p *soakPod) beReady(now time.Time, yes bool) {
	if p.ready != yes {
		p.ready, p.readySince, p.changed = yes, now, true
	}
}

func (s *soak) start(p *soakPod, ails string) {
	switch {
	case s.now.Before(p.wake):
	case ails == unpulled:
		if p.reason != "ImagePullBackOff" {
			p.reason, p.changed = "ImagePullBackOff", true
		}
	default:
		p.state, p.reason, p.started, p.id, p.changed = "running", "", s.now, "containerd://"+s.id("life"), true
		p.wake, p.memory = s.now.Add(3*time.Second), p.limit/4
	}
}

func (s *soak) die(p *soakPod, code int32, reason string) {
	p.last = &corev1.ContainerStateTerminated{
		ExitCode: code, Reason: reason, ContainerID: p.id, Message: "life " + p.id + " is over",
		StartedAt: metav1.NewTime(p.started), FinishedAt: metav1.NewTime(s.now),
	}
	p.restarts++
	p.state, p.reason, p.changed = "waiting", "CrashLoopBackOff", true
	p.wake = s.now.Add(min(10*time.Second<<min(p.restarts, 4), time.Minute))
	p.beReady(s.now, false)
	s.deaths++
}

// object is the pod as the API server has it.
func (p *soakPod) object(l *soakLoad, labels map[string]string) *corev1.Pod {
	memory := resource.NewQuantity(p.limit, resource.BinarySI)
	resources := corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceMemory: *resource.NewQuantity(p.limit/2, resource.BinarySI), corev1.ResourceCPU: resource.MustParse("100m")},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: *memory},
	}
	status := corev1.ContainerStatus{
		Name: "app", Image: p.image, Ready: p.ready, RestartCount: p.restarts, ContainerID: p.id, Resources: &resources,
		Started: new(p.state == "running"),
	}
	phase := corev1.PodRunning
	if p.state == "running" {
		status.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(p.started)}
	} else {
		status.State.Waiting = &corev1.ContainerStateWaiting{Reason: p.reason, Message: "back-off of " + p.name}
		if p.restarts == 0 {
			phase = corev1.PodPending
		}
	}
	status.LastTerminationState.Terminated = p.last
	is := corev1.ConditionFalse
	if p.ready {
		is = corev1.ConditionTrue
	}
	out := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: l.space.name, Name: p.name, UID: types.UID(p.uid), Labels: labels, CreationTimestamp: metav1.NewTime(p.born),
		},
		Spec: corev1.PodSpec{
			NodeName: p.node.name, RestartPolicy: corev1.RestartPolicyAlways,
			Containers: []corev1.Container{{Name: "app", Image: p.image, Resources: resources}},
		},
		Status: corev1.PodStatus{
			Phase: phase, StartTime: &metav1.Time{Time: p.born}, QOSClass: corev1.PodQOSBurstable, ContainerStatuses: []corev1.ContainerStatus{status},
			Conditions: []corev1.PodCondition{{
				Type: corev1.PodReady, Status: is, LastTransitionTime: metav1.NewTime(p.readySince),
			}},
		},
	}
	if !p.kept {
		out.OwnerReferences = l.controls(p.hash)
	}
	return out
}

// put writes the pod where it changed, and what the kubelet says about it.
func (s *soak) putPod(l *soakLoad, p *soakPod) {
	if !p.changed {
		return
	}
	p.changed = false
	labels := l.labels(p.hash)
	if p.kept {
		labels = p.keptLabels(s, l)
	}
	s.Put(s.t, p.object(l, labels))
	if p.reason == "CrashLoopBackOff" || p.reason == "ImagePullBackOff" {
		s.event(l.space.name, "Pod", p.name, p.uid, "BackOff", p.reason+" of "+p.name)
	}
}

// keptLabels are those that a quarantined pod has now.
func (p *soakPod) keptLabels(s *soak, l *soakLoad) map[string]string {
	var now corev1.Pod
	s.Get(s.t, "pods", l.space.name, p.name, &now)
	return now.Labels
}

// measure adds what a scrape of all kubelets gives.
func (s *soak) measure() {
	for _, l := range s.loads {
		for _, p := range l.pods {
			if p.state != "running" || p.node.down {
				continue
			}
			key := metrics.Key{Namespace: l.space.name, Pod: p.name, Container: "app"}
			s.store.Add(key, p.node.name, metrics.Sample{At: s.now, CPUSeconds: p.cpu, MemoryBytes: p.memory, Start: p.started})
			s.store.AddOOMEvents(key, p.uid, s.now, p.ooms)
		}
	}
	for _, n := range s.nodes {
		var err error
		if n.down {
			err = fmt.Errorf("scrape %s: no route", n.name)
		}
		s.store.NodeScraped(n.name, s.now, err)
	}
}
