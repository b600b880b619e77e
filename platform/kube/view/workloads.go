package view

import (
	"cmp"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/homeostat/homeostat/internal/cluster"
)

// selfLabel and selfName mark Homeostat's own workload in its own namespace.
const (
	selfLabel = "app.kubernetes.io/name"
	selfName  = "homeostat"
)

// maxOwners bounds the walk up the chain of owners, which could be a ring.
const maxOwners = 8

// Self says which pod this process runs in; both fields are empty outside a cluster.
type Self struct {
	Namespace, Pod string
}

// Sources are the records of one look and what belongs to them. Events and Notes must not be nil; OOM and Throttled may be.
type Sources struct {
	Pods    []*Pod
	Owners  []*Owner
	History []*History
	Nodes   []*Node
	// Services and Slices are complete where EndpointsKnown is true.
	Services       []*Service
	Slices         []*Slice
	EndpointsKnown bool
	Budgets        []*Budget
	// Scalings name what scales; of two with one target the first counts.
	Scalings []Scaling
	VPAs     []VPA
	// VPAsUnread are the namespaces whose VPAs are not known; "" stands for all. Their workloads have an owner of that kind
	// without a name.
	VPAsUnread []string
	Events     *Events
	Notes      *Notes
	// OOM returns how many kills by the kernel were counted in a container, and when the last was.
	OOM func(namespace, pod, container string) (count int64, at time.Time, known bool)
	// Throttled returns the share of its CPU periods, in percent, in which its CPU limit held a container back.
	Throttled func(namespace, pod, container string) (percent float64, known bool)
	// Resizable is true where the memory of a running replica can be changed.
	Resizable bool
	Self      Self
}

// building is a workload on its way.
type building struct {
	workload *cluster.Workload
	top      *Owner   // nil for an owner that is only named, and for a bare pod
	sets     []*Owner // its ReplicaSets
	children []*Owner // the Jobs, or other owners, of an owner that is only named
	past     []*History
	pods     []*Pod
}

// Workloads groups the records under the top of their chain of owners.
func Workloads(s Sources, now time.Time) []*cluster.Workload {
	groups := group(&s)
	out := make([]*cluster.Workload, 0, len(groups))
	about := relate(&s)
	for _, b := range groups {
		if b.idle() {
			continue
		}
		b.finish(&s, now)
		about.add(b.workload)
		out = append(out, b.workload)
	}
	switched(&s, out)
	tracks(&s, groups, out)
	return out
}

// group finds the top of every chain of owners, and what belongs to it.
func group(s *Sources) map[cluster.Ref]*building {
	byUID := make(map[string]*Owner, len(s.Owners))
	for _, o := range s.Owners {
		byUID[o.UID] = o
	}
	groups := make(map[cluster.Ref]*building, len(s.Owners))
	of := func(ref cluster.Ref) *building {
		b := groups[ref]
		if b == nil {
			b = &building{workload: &cluster.Workload{Ref: ref}}
			groups[ref] = b
		}
		return b
	}
	for _, o := range s.Owners {
		if top, ref, ok := topOf(o, byUID); ok {
			of(ref).own(o, top)
		}
	}
	for _, h := range s.History {
		if o := byUID[h.Controller.UID]; o != nil {
			if b := groups[refOf(o)]; b != nil && b.top == o {
				b.past = append(b.past, h)
			}
		}
	}
	for _, p := range s.Pods {
		if ref, ok := podTop(p, byUID); ok {
			b := of(ref)
			b.pods = append(b.pods, p)
		}
	}
	return groups
}

// own adds an owner that belongs to the workload.
func (b *building) own(o, top *Owner) {
	switch {
	case top == o:
		b.top = o
	case o.Kind == cluster.KindReplicaSet:
		b.sets = append(b.sets, o)
	default:
		b.children = append(b.children, o)
	}
}

// watched reports whether the owners of that kind are among the records, so that one that is not there has not arrived yet.
func watched(kind string) bool {
	switch kind {
	case cluster.KindDeployment, cluster.KindReplicaSet, cluster.KindStatefulSet, cluster.KindDaemonSet, cluster.KindJob:
		return true
	default:
		return false
	}
}

// wholeWorkload reports whether an owner of that kind is a workload of its own, whoever controls it: an operator may have
// several. The ReplicaSets and the Jobs of one are its revisions and runs.
func wholeWorkload(kind string) bool {
	return kind == cluster.KindDeployment || kind == cluster.KindStatefulSet || kind == cluster.KindDaemonSet
}

// topOf walks up from an owner. top is nil where the end of the chain is only named.
func topOf(o *Owner, byUID map[string]*Owner) (top *Owner, ref cluster.Ref, ok bool) {
	for range maxOwners {
		c := o.Controller
		if c.Kind == "" {
			return o, refOf(o), true
		}
		parent := byUID[c.UID]
		if parent == nil {
			if watched(c.Kind) {
				return nil, cluster.Ref{}, false
			}
			if wholeWorkload(o.Kind) {
				return o, refOf(o), true
			}
			return nil, named(c, o.Namespace), true
		}
		o = parent
	}
	return nil, cluster.Ref{}, false
}

// podTop walks up from a pod.
func podTop(p *Pod, byUID map[string]*Owner) (cluster.Ref, bool) {
	c := p.Controller
	if c.Kind == "" || c.Kind == "Node" { // a node "owns" the pods that its kubelet runs from files
		return cluster.Ref{Kind: cluster.KindPod, Namespace: p.Namespace, Name: p.Name, UID: p.UID}, true
	}
	if o := byUID[c.UID]; o != nil {
		_, ref, ok := topOf(o, byUID)
		return ref, ok
	}
	if watched(c.Kind) {
		return cluster.Ref{}, false
	}
	return named(c, p.Namespace), true
}

func refOf(o *Owner) cluster.Ref {
	return cluster.Ref{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name, UID: o.UID}
}

// named is the reference of an owner that is not watched.
func named(c Controller, namespace string) cluster.Ref {
	kind := c.Kind
	if kind == KindCronJob {
		kind = cluster.KindJob
	}
	return cluster.Ref{Kind: kind, Namespace: namespace, Name: c.Name, UID: c.UID}
}

// idle reports whether nothing runs and nothing shall run: a Job at its end, an old ReplicaSet.
func (b *building) idle() bool {
	if len(b.pods) > 0 {
		return false
	}
	if b.top == nil {
		for _, c := range b.children {
			if c.Desired > 0 {
				return false
			}
		}
		if last := newestJob(b.children); last != nil && failed(last) {
			return false
		}
		return !slices.ContainsFunc(b.sets, func(o *Owner) bool { return o.Desired > 0 })
	}
	switch b.top.Kind {
	case cluster.KindJob: // a failed one is there to be seen, also where its pods are gone
		return b.top.Finished && !failed(b.top)
	case cluster.KindReplicaSet:
		return b.top.Desired == 0
	default:
		return false
	}
}

// failed reports whether a Job has come to a bad end.
func failed(o *Owner) bool {
	return o.Finished && o.Head != nil && slices.ContainsFunc(o.Head.Conditions, func(c cluster.Condition) bool {
		return c.Type == string(batchv1.JobFailed) && c.Status == string(corev1.ConditionTrue)
	})
}

// finish fills in the workload.
func (b *building) finish(s *Sources, now time.Time) {
	w := b.workload
	slices.SortFunc(b.sets, byNumber)
	slices.SortFunc(b.past, byRevision)
	b.describe()
	w.Resizable = s.Resizable
	w.System = w.Ref.Namespace == SystemNamespace
	w.Self = s.Self.Namespace != "" && s.Self.Namespace == w.Ref.Namespace && w.Labels[selfLabel] == selfName
	w.Replicas = make([]cluster.Replica, len(b.pods))
	slices.SortFunc(b.pods, func(x, y *Pod) int { return cmp.Compare(x.Name, y.Name) })
	for i, p := range b.pods {
		w.System = w.System || p.Critical
		w.Self = w.Self || s.Self.Pod != "" && s.Self.Pod == p.Name && s.Self.Namespace == p.Namespace
		w.Replicas[i] = replica(p, s, now)
	}
	b.history(s, now)
}

// describe sets what the owner says of itself.
func (b *building) describe() {
	w := b.workload
	if b.top != nil {
		w.Labels, w.Desired, w.Revision, w.RollingOut = b.top.Labels, b.top.Desired, b.top.Revision, b.top.RollingOut
		if len(b.sets) > 0 {
			w.Revision = b.sets[0].Revision
		}
		if w.Revision == "" && len(b.past) > 0 {
			w.Revision = b.past[0].Hash
		}
		w.RollingOut = w.RollingOut || outdated(b.sets)
		setProfile(w, b.top.Profile)
		if head := b.top.Head; head != nil {
			w.Conditions, w.Paused, w.Owners = head.Conditions, head.Paused, head.Writers
			w.SurgesFirst, w.RolloutTakes = head.SurgesFirst, head.RolloutTakes
		}
		return
	}
	b.describeNamed()
}

// describeNamed sets what the children and the pods of an owner that is only named say, or a bare pod of itself.
func (b *building) describeNamed() {
	w := b.workload
	for _, list := range [][]*Owner{b.sets, b.children} {
		for _, o := range list {
			w.Desired += o.Desired
			if w.Labels == nil {
				w.Labels = o.Labels
				setProfile(w, o.Profile)
			}
		}
	}
	if len(b.sets) > 0 {
		w.Revision = b.sets[0].Revision
	}
	if last := newestJob(b.children); last != nil && last.Head != nil {
		w.Conditions = last.Head.Conditions
	}
	for _, p := range b.pods {
		if w.Labels == nil {
			w.Labels = p.Labels
			setProfile(w, p.Profile)
		}
		live := p.Replica.Phase != cluster.PhaseSucceeded && p.Replica.Phase != cluster.PhaseFailed && !p.Replica.Deleting()
		if len(b.sets)+len(b.children) == 0 && live {
			w.Desired++
		}
	}
	if kind := w.Ref.Kind; !builtIn(kind) {
		w.Owners = []cluster.Owner{{Kind: cluster.OwnerOperator, Name: strings.ToLower(kind) + " " + w.Ref.Name}}
	}
}

func setProfile(w *cluster.Workload, p *Profile) {
	if p != nil {
		w.ProfilePort, w.ProfilePath = p.Port, p.Path
	}
}

// outdated reports whether a ReplicaSet other than the newest still has or wants replicas.
func outdated(sets []*Owner) bool {
	for i, o := range sets {
		if i > 0 && (o.Desired > 0 || o.Existing > 0) {
			return true
		}
	}
	return false
}

// history adds the changes of the owner and the events about it and its newest ReplicaSet (which is what an event about
// a refused creation is about).
func (b *building) history(s *Sources, now time.Time) {
	w := b.workload
	kind := w.Ref.Kind
	if kind == cluster.KindJob && b.top == nil {
		kind = KindCronJob
	}
	w.Events = s.Events.About(kind, w.Ref.Namespace, w.Ref.Name, w.Ref.UID, now)
	if b.top == nil {
		if w.Ref.Kind == cluster.KindPod {
			w.Events = nil // they are the replica's
		}
		return
	}
	if len(b.sets) > 0 {
		newest := b.sets[0]
		w.Events = append(w.Events, s.Events.About(newest.Kind, newest.Namespace, newest.Name, newest.UID, now)...)
		slices.SortStableFunc(w.Events, func(x, y cluster.Event) int { return y.Last.Compare(x.Last) })
		w.Events = w.Events[:min(len(w.Events), MaxEventsPerObject)]
	}
	w.Changes = s.Notes.Scalings(w.Ref.UID)
	b.revise(s, now)
	slices.SortStableFunc(w.Changes, func(x, y cluster.Change) int { return y.At.Compare(x.At) })
	w.Changes = w.Changes[:min(len(w.Changes), MaxChanges)]
}

// replica completes a pod's replica. The record's own containers are shared and stay as they are.
func replica(p *Pod, s *Sources, now time.Time) cluster.Replica {
	out := p.Replica
	out.Events = s.Events.About(cluster.KindPod, p.Namespace, p.Name, p.UID, now)
	copied := false
	for i := range out.Containers {
		name := out.Containers[i].Name
		var count int64
		var at time.Time
		var percent float64
		var counted, throttled bool
		if s.OOM != nil {
			count, at, counted = s.OOM(p.Namespace, p.Name, name)
		}
		if s.Throttled != nil && out.Containers[i].CPULimitMilli > 0 {
			percent, throttled = s.Throttled(p.Namespace, p.Name, name)
		}
		if !counted && !throttled {
			continue
		}
		if !copied {
			out.Containers, copied = slices.Clone(out.Containers), true
		}
		c := &out.Containers[i]
		c.OOMEvents, c.LastOOMEvent, c.OOMEventsKnown = count, at, counted
		c.ThrottledPercent, c.ThrottledKnown = percent, throttled
	}
	return out
}
