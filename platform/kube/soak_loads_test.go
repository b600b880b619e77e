package kube

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/homeostat/homeostat/platform/kube/internal/apitest"
)

// keptSets is how many revisions a workload keeps.
const keptSets = 4

// soakLoad is a Deployment or a StatefulSet, as its controller knows it.
type soakLoad struct {
	space      *soakSpace
	name, uid  string
	stateful   bool
	replicas   int32
	revision   int64
	generation int64
	sets       []*soakSet // the newest last
	pods       []*soakPod
	kept       []*soakPod // in quarantine
	began      time.Time  // of the rollout
	complete   bool
	changed    bool
	served     int // ready endpoints that are written
	ails       string
	until      time.Time
}

// soakSet is a ReplicaSet or a ControllerRevision.
type soakSet struct {
	name, uid, hash, image, restarted string
	limit                             int64
	number                            int64
	born                              time.Time
	pods                              int // that are written
}

func (l *soakLoad) newest() *soakSet { return l.sets[len(l.sets)-1] }

func (l *soakLoad) labels(hash string) map[string]string {
	if l.stateful {
		return map[string]string{"app": l.name, "tier": "soak", "controller-revision-hash": hash}
	}
	return map[string]string{"app": l.name, "tier": "soak", "pod-template-hash": hash}
}

// controls returns what controls a pod of that revision.
func (l *soakLoad) controls(hash string) []metav1.OwnerReference {
	if l.stateful {
		return []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: l.name, UID: types.UID(l.uid), Controller: new(true)}}
	}
	for _, set := range l.sets {
		if set.hash == hash {
			return []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: set.name, UID: types.UID(set.uid), Controller: new(true)}}
		}
	}
	return nil
}

func (s *soak) addLoad(sp *soakSpace) {
	l := &soakLoad{space: sp, name: s.id("load"), replicas: 2 + int32(s.rng.IntN(3)), stateful: s.rng.IntN(5) == 0} //nolint:gosec // small
	l.uid, l.served = "uid-"+l.name, -1
	s.loads = append(s.loads, l)
	s.release(l, "registry.local/"+l.name+":"+s.id("v"), "", 128<<20)
	meta := apitest.Object{"namespace": sp.name, "name": l.name, "uid": "svc-" + l.name}
	s.Put(s.t, apitest.Object{"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": apitest.Object{"selector": apitest.Object{"app": l.name}}})
	s.Put(s.t, apitest.Object{
		"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": apitest.Object{"namespace": sp.name, "name": l.name, "uid": "pdb-" + l.name},
		"spec":   apitest.Object{"selector": apitest.Object{"matchLabels": apitest.Object{"app": l.name}}},
		"status": apitest.Object{"disruptionsAllowed": 1, "currentHealthy": l.replicas, "desiredHealthy": l.replicas - 1},
	})
}

// release begins a rollout to the template; one that a kept revision has gives that one the newest number.
func (s *soak) release(l *soakLoad, image, restarted string, limit int64) {
	l.revision++
	l.generation++
	l.began, l.complete, l.changed = s.now, false, true
	at := slices.IndexFunc(l.sets, func(x *soakSet) bool { return x.image == image && x.restarted == restarted && x.limit == limit })
	set := &soakSet{hash: s.id("h"), image: image, restarted: restarted, limit: limit, born: s.now}
	if at >= 0 {
		set = l.sets[at]
		l.sets = slices.Delete(l.sets, at, at+1)
	} else {
		set.name, set.uid = l.name+"-"+set.hash, "uid-"+set.hash
		if l.stateful {
			set.hash = set.name
		}
	}
	set.number, set.pods = l.revision, -1
	l.sets = append(l.sets, set)
	if len(l.sets) > keptSets {
		old := l.sets[0]
		for _, p := range slices.Clone(l.pods) {
			if p.hash == old.hash {
				s.dropPod(l, p)
			}
		}
		l.sets = l.sets[1:]
		s.Remove(s.t, l.history(), l.space.name, old.name)
	}
}

// history is the resource that keeps the revisions.
func (l *soakLoad) history() string {
	if l.stateful {
		return "controllerrevisions"
	}
	return "replicasets"
}

func (l *soakLoad) resource() string {
	if l.stateful {
		return "statefulsets"
	}
	return "deployments"
}

func (s *soak) dropPod(l *soakLoad, p *soakPod) {
	l.pods = slices.DeleteFunc(l.pods, func(x *soakPod) bool { return x == p })
	l.kept = slices.DeleteFunc(l.kept, func(x *soakPod) bool { return x == p })
	s.Remove(s.t, "pods", l.space.name, p.name)
	s.replaced++
}

func (s *soak) dropLoad(l *soakLoad) {
	s.loads = slices.DeleteFunc(s.loads, func(x *soakLoad) bool { return x == l })
	for _, p := range slices.Concat(l.pods, l.kept) {
		s.dropPod(l, p)
	}
	for _, set := range l.sets {
		s.Remove(s.t, l.history(), l.space.name, set.name)
	}
	for _, r := range []string{l.resource(), "services", "poddisruptionbudgets", "endpointslices"} {
		s.Remove(s.t, r, l.space.name, l.name)
	}
	s.replaced++
}

// control does what the workload's controller does in a second.
func (s *soak) control(l *soakLoad) {
	newest, fresh, ready := l.newest(), 0, 0
	for _, p := range l.pods {
		if p.hash == newest.hash {
			if fresh++; p.ready {
				ready++
			}
		}
	}
	if !l.complete && ready >= int(l.replicas) {
		l.complete, l.changed = true, true
	}
	if l.stateful {
		s.controlOrdered(l)
	} else {
		for range int(l.replicas) - fresh {
			l.pods = append(l.pods, s.newPod(l, newest.name+"-"+s.id("p")))
		}
		for _, p := range slices.Clone(l.pods) {
			switch {
			case p.hash == newest.hash && fresh > int(l.replicas):
				fresh--
				s.dropPod(l, p)
			case p.hash != newest.hash && l.complete:
				s.dropPod(l, p)
			}
		}
	}
	if !l.complete && s.now.Sub(l.began) == 2*time.Minute {
		l.changed = true // the progress deadline
	}
	s.putLoad(l)
}

// controlOrdered keeps the names of the pods, and goes on only where all others are ready.
func (s *soak) controlOrdered(l *soakLoad) {
	for i := range int(l.replicas) {
		name := l.name + "-" + strconv.Itoa(i)
		at := slices.IndexFunc(l.pods, func(p *soakPod) bool { return p.name == name })
		if at < 0 {
			l.pods = append(l.pods, s.newPod(l, name))
			return
		}
		p := l.pods[at]
		if p.hash != l.newest().hash && p.ready {
			if i%2 == 0 { // seen as one change, as by a watch that was away meanwhile
				l.pods[at] = s.newPod(l, name)
				s.replaced++
			} else {
				s.dropPod(l, p)
			}
			return
		}
		if !p.ready {
			return
		}
	}
	for _, p := range slices.Clone(l.pods) {
		n, _ := strconv.Atoi(strings.TrimPrefix(p.name, l.name+"-"))
		if n >= int(l.replicas) {
			s.dropPod(l, p)
		}
	}
}

func (s *soak) putLoad(l *soakLoad) {
	ready := 0
	count := map[string]int{}
	for _, p := range l.pods {
		count[p.hash]++
		if p.ready {
			ready++
		}
	}
	for _, set := range l.sets {
		if set.pods != count[set.hash] {
			set.pods = count[set.hash]
			s.Put(s.t, l.setObject(set))
			l.changed = true
		}
	}
	if l.served != ready {
		l.served, l.changed = ready, true
		s.Put(s.t, l.slice(ready))
	}
	if l.changed {
		l.changed = false
		s.Put(s.t, l.object(s.now, ready))
	}
}

func (l *soakLoad) slice(ready int) apitest.Object {
	list := []apitest.Object{}
	for i := range l.pods {
		list = append(list, apitest.Object{"addresses": []string{fmt.Sprintf("10.1.0.%d", i)}, "conditions": apitest.Object{"ready": i < ready}})
	}
	return apitest.Object{
		"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "endpoints": list,
		"metadata": apitest.Object{
			"namespace": l.space.name, "name": l.name, "uid": "slice-" + l.name, "labels": apitest.Object{"kubernetes.io/service-name": l.name},
		},
	}
}

func (l *soakLoad) template(set *soakSet, hash bool) corev1.PodTemplateSpec {
	out := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": l.name, "tier": "soak"}}}
	if hash {
		out.Labels = l.labels(set.hash)
	}
	if set.restarted != "" {
		out.Annotations = map[string]string{"kubectl.kubernetes.io/restartedAt": set.restarted}
	}
	out.Spec.Containers = []corev1.Container{{Name: "app", Image: set.image, Resources: corev1.ResourceRequirements{
		Limits: corev1.ResourceList{corev1.ResourceMemory: *resource.NewQuantity(set.limit, resource.BinarySI)},
	}}}
	return out
}

func (l *soakLoad) meta(kind, name, uid string, at time.Time) (metav1.TypeMeta, metav1.ObjectMeta) {
	return metav1.TypeMeta{APIVersion: "apps/v1", Kind: kind}, metav1.ObjectMeta{
		Namespace: l.space.name, Name: name, UID: types.UID(uid), CreationTimestamp: metav1.NewTime(at), Generation: l.generation,
	}
}

func (l *soakLoad) setObject(set *soakSet) any {
	owner := []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: l.name, UID: types.UID(l.uid), Controller: new(true)}}
	if l.stateful {
		owner[0].Kind = "StatefulSet"
		template := l.template(set, false)
		return apitest.Object{
			"apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": set.number, "data": apitest.Object{"spec": apitest.Object{"template": template}},
			"metadata": apitest.Object{
				"namespace": l.space.name, "name": set.name, "uid": set.uid, "ownerReferences": owner, "creationTimestamp": set.born.Format(time.RFC3339),
			},
		}
	}
	out := &appsv1.ReplicaSet{}
	out.TypeMeta, out.ObjectMeta = l.meta("ReplicaSet", set.name, set.uid, set.born)
	out.OwnerReferences, out.Labels = owner, l.labels(set.hash)
	out.Annotations = map[string]string{"deployment.kubernetes.io/revision": strconv.FormatInt(set.number, 10)}
	out.Spec = appsv1.ReplicaSetSpec{
		Replicas: new(int32(set.pods)), Template: l.template(set, true), Selector: &metav1.LabelSelector{MatchLabels: l.labels(set.hash)}, //nolint:gosec // few
	}
	out.Status.Replicas = int32(set.pods) //nolint:gosec // few
	return out
}

func (l *soakLoad) object(now time.Time, ready int) any {
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": l.name}}
	if l.stateful {
		out := &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{Replicas: new(l.replicas), Selector: selector, Template: l.template(l.newest(), false)}}
		out.TypeMeta, out.ObjectMeta = l.meta("StatefulSet", l.name, l.uid, l.sets[0].born)
		out.Status = appsv1.StatefulSetStatus{
			ObservedGeneration: l.generation, Replicas: int32(len(l.pods)), ReadyReplicas: int32(ready), UpdatedReplicas: int32(l.newest().pods), //nolint:gosec // few
			UpdateRevision: l.newest().hash, CurrentRevision: l.newest().hash,
		}
		if !l.complete && len(l.sets) > 1 {
			out.Status.CurrentRevision = l.sets[len(l.sets)-2].hash
		}
		return out
	}
	out := &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: new(l.replicas), Selector: selector, Template: l.template(l.newest(), false)}}
	out.TypeMeta, out.ObjectMeta = l.meta("Deployment", l.name, l.uid, l.sets[0].born)
	out.Annotations = map[string]string{"deployment.kubernetes.io/revision": strconv.FormatInt(l.revision, 10)}
	progress := appsv1.DeploymentCondition{
		Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: "ReplicaSetUpdated", LastUpdateTime: metav1.NewTime(now),
	}
	switch {
	case l.complete:
		progress.Reason = "NewReplicaSetAvailable"
	case now.Sub(l.began) >= 2*time.Minute:
		progress.Status, progress.Reason = corev1.ConditionFalse, "ProgressDeadlineExceeded"
	}
	out.Status = appsv1.DeploymentStatus{
		ObservedGeneration: l.generation, Replicas: int32(len(l.pods)), ReadyReplicas: int32(ready), //nolint:gosec // few
		Conditions: []appsv1.DeploymentCondition{progress},
	}
	return out
}

// heed lets the controllers see what the healing wrote.
func (s *soak) heed() {
	touched := s.take()
	for _, l := range s.loads {
		if touched[l.resource()+" "+l.space.name+"/"+l.name] {
			s.heedLoad(l)
		}
		for _, p := range slices.Clone(l.pods) {
			if touched["pods "+l.space.name+"/"+p.name] {
				s.heedPod(l, p)
			}
		}
	}
}

func (s *soak) heedLoad(l *soakLoad) {
	var now struct {
		Spec struct {
			Replicas int32                  `json:"replicas"`
			Template corev1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}
	if !s.Get(s.t, l.resource(), l.space.name, l.name, &now) {
		return
	}
	c := &now.Spec.Template.Spec.Containers[0]
	image, restarted, limit := c.Image, now.Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"], c.Resources.Limits.Memory().Value()
	if is := l.newest(); is.image != image || is.restarted != restarted || is.limit != limit {
		s.release(l, image, restarted, limit)
	}
	if l.replicas != now.Spec.Replicas {
		l.replicas, l.changed = now.Spec.Replicas, true
	}
}

func (s *soak) heedPod(l *soakLoad, p *soakPod) {
	var now corev1.Pod
	switch {
	case !s.Get(s.t, "pods", l.space.name, p.name, &now): // evicted
		s.dropPod(l, p)
	case now.Labels["homeostat.dev/quarantined"] != "":
		l.pods = slices.DeleteFunc(l.pods, func(x *soakPod) bool { return x == p })
		l.kept = append(l.kept, p)
		p.kept, p.changed, p.until = true, true, s.now.Add(3*time.Minute)
	default:
		if limit := now.Spec.Containers[0].Resources.Limits.Memory().Value(); limit != p.limit {
			p.limit, p.changed = limit, true
		}
	}
}
