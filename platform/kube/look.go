package kube

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/platform/kube/view"
	"github.com/homeostat/homeostat/platform/kube/write"
)

// lookFor is how long one look at a namespace serves the decisions of one pass, or lookShare times as long as it took if
// that is longer: however many pods there are, looking at them is a small part of a pass.
const (
	lookFor   = 200 * time.Millisecond
	lookShare = 10
)

// looks keeps the last look at each namespace.
type looks struct {
	mu sync.Mutex
	by map[string]*look // by namespace
}

func newLooks() *looks { return &looks{by: map[string]*look{}} }

// look is one walk over the pods of a namespace, for all that scales there: which pods each selects, and who else
// selects them. One walk serves them all, so that a pass costs the pods once and not once for each that scales.
type look struct {
	pass   time.Time         // the decisions' time
	taken  time.Time         // when it was complete
	took   time.Duration     // how long it took
	claims map[string]*claim // by claimant
}

// claim is the selector of one scaled target.
type claim struct {
	by       cluster.Ref
	target   string // its workloadKey
	selector labels.Selector
	// writes is true where the claimant changes the number of replicas, so that it is in the way of others.
	writes bool
	pods   []*view.Pod
	// rival is another claimant of one of the pods, disputed that pod.
	rival    *claim
	disputed string
}

// against reports whether other is in the way of c. Two with one target are told apart by the target, where one of them is
// an Autoscaler: its mode may say that it only watches the other. Two HorizontalPodAutoscalers are ambiguous to Kubernetes.
func (c *claim) against(other *claim) bool {
	if c == other || !other.writes {
		return false
	}
	return c.target != other.target || c.by.Kind == kindNative && other.by.Kind == kindNative
}

// fault returns what stands in the way; nil: nothing does.
func (c *claim) fault() *hpa.Fault {
	if c.rival == nil {
		return nil
	}
	return &hpa.Fault{
		Reason: hpa.FaultAmbiguousSelector,
		Message: fmt.Sprintf("the target's selector %s selects pods that %s %s scales too, such as %s",
			c.selector, c.rival.by.Kind, c.rival.by.Name, c.disputed),
	}
}

// claimed returns the pods that the selector of a's target selects, sorted by name, and what keeps them from being a's
// alone.
func (p *Platform) claimed(a control.Autoscaler, selector labels.Selector, now time.Time) ([]*view.Pod, *hpa.Fault) {
	l := p.lookAt(a.Ref.Namespace, now)
	key := claimant(a.Ref)
	c := l.claims[key]
	if c == nil { // its selector was not known when the look was taken: the target is of a kind that is read now and then
		c = &claim{by: a.Ref, target: workloadKey(a.Target), selector: selector}
		all := make([]*claim, 0, len(l.claims)+1)
		for _, other := range l.claims {
			all = append(all, &claim{by: other.by, target: other.target, selector: other.selector, writes: other.writes})
		}
		walk(indexed[*view.Pod](p.feeds.pods, namespaceIndex, a.Ref.Namespace), append(all, c))
	}
	return c.pods, c.fault()
}

// lookAt returns the look at the namespace for the pass of that time.
func (p *Platform) lookAt(namespace string, now time.Time) *look {
	p.looks.mu.Lock()
	defer p.looks.mu.Unlock()
	l := p.looks.by[namespace]
	began := time.Now()
	if l != nil && l.serves(now, began) {
		return l
	}
	if l == nil { // a namespace that is new: the time to drop those in which nothing scales any more
		maps.DeleteFunc(p.looks.by, func(_ string, old *look) bool { return time.Since(old.taken) > time.Hour })
	}
	l = &look{pass: now, claims: map[string]*claim{}}
	all := p.claims(namespace, now)
	for _, c := range all {
		l.claims[claimant(c.by)] = c
	}
	walk(indexed[*view.Pod](p.feeds.pods, namespaceIndex, namespace), all)
	l.taken = time.Now()
	l.took = l.taken.Sub(began)
	p.looks.by[namespace] = l
	return l
}

// serves reports whether the look still serves the decisions of a pass.
func (l *look) serves(pass, at time.Time) bool {
	return l.pass.Equal(pass) && at.Sub(l.taken) < max(lookFor, lookShare*l.took)
}

func claimant(r cluster.Ref) string { return r.Kind + "/" + r.Name }

// claims lists what scales in the namespace, as far as its targets' selectors are known without a request.
func (p *Platform) claims(namespace string, now time.Time) []*claim {
	var out []*claim
	add := func(by cluster.Ref, t write.Target, writes bool) {
		selector := p.knownSelector(t, now)
		if selector == nil {
			return
		}
		out = append(out, &claim{by: by, target: workloadKey(t.Ref), selector: selector, writes: writes})
	}
	for _, o := range indexed[*v1alpha1.Autoscaler](p.feeds.autoscalers, namespaceIndex, namespace) {
		ref := o.Spec.ScaleTargetRef
		rule := p.rules.ofScaling(o)
		add(cluster.Ref{Kind: v1alpha1.KindAutoscaler, Namespace: namespace, Name: o.Name},
			write.Target{APIVersion: ref.APIVersion, Ref: cluster.Ref{Kind: ref.Kind, Namespace: namespace, Name: ref.Name}},
			rule.invalid == "" && rule.mode == control.Active)
	}
	for _, n := range indexed[*view.NativeHPA](p.feeds.natives, namespaceIndex, namespace) {
		add(cluster.Ref{Kind: kindNative, Namespace: namespace, Name: n.Name},
			write.Target{APIVersion: n.TargetAPIVersion, Ref: cluster.Ref{Kind: n.TargetKind, Namespace: namespace, Name: n.TargetName}}, true)
	}
	slices.SortFunc(out, func(a, b *claim) int { return strings.Compare(claimant(a.by), claimant(b.by)) })
	return out
}

// knownSelector returns the selector of a target's pods, nil where it is not known or there is none.
func (p *Platform) knownSelector(t write.Target, now time.Time) labels.Selector {
	if !fromView(t) {
		return p.scales.selector(t, now)
	}
	o, ok := p.owner(t.Ref)
	if !ok || o.Selector == nil || o.Selector.Empty() {
		return nil
	}
	return o.Selector
}

// walk gives each claim its pods, and its rival where a pod has several claimants. A pod in quarantine is nobody's: it has no owner
// any more and gets no traffic, though the target's selector can go on selecting it by the labels that were left to it. Its usage
// would be averaged with that of those that serve, and it would count as capacity that is missing.
func walk(pods []*view.Pod, claims []*claim) {
	f := file(claims)
	var met []*claim
	for _, pod := range pods {
		if _, quarantined := pod.Labels[v1alpha1.LabelQuarantined]; quarantined {
			continue
		}
		met = f.meets(met[:0], pod.Labels)
		for _, c := range met {
			c.pods = append(c.pods, pod)
			c.dispute(met, pod)
		}
	}
	for _, c := range claims {
		slices.SortFunc(c.pods, func(x, y *view.Pod) int { return strings.Compare(x.Name, y.Name) })
	}
}

// filing has each claim under the labels that a pod must have one of, so that a pod meets few of them.
type filing struct {
	under map[label][]*claim
	rest  []*claim // those that ask for no label in particular
}

type label struct{ key, value string }

func file(claims []*claim) filing {
	f := filing{under: make(map[label][]*claim, len(claims))}
	for _, c := range claims {
		key, values := required(c.selector)
		for _, v := range values {
			f.under[label{key, v}] = append(f.under[label{key, v}], c)
		}
		if len(values) == 0 {
			f.rest = append(f.rest, c)
		}
	}
	return f
}

// meets appends the claims that select the labels to met.
func (f *filing) meets(met []*claim, set map[string]string) []*claim {
	for k, v := range set {
		met = selecting(met, f.under[label{k, v}], set)
	}
	return selecting(met, f.rest, set)
}

func selecting(met, claims []*claim, set labels.Set) []*claim {
	for _, c := range claims {
		if c.selector.Matches(set) {
			met = append(met, c)
		}
	}
	return met
}

// dispute notes the first of the others in the way, by pod and then by name, so that its name is the same at every look.
func (c *claim) dispute(met []*claim, pod *view.Pod) {
	for _, other := range met {
		if !c.against(other) {
			continue
		}
		if c.rival == nil || pod.Name < c.disputed || pod.Name == c.disputed && claimant(other.by) < claimant(c.rival.by) {
			c.rival, c.disputed = other, pod.Name
		}
	}
}

// required returns a label of which every pod under the selector has one of the values; no values where there is none.
func required(s labels.Selector) (key string, values []string) {
	list, selectable := s.Requirements()
	if !selectable {
		return "", nil
	}
	for i := range list {
		switch list[i].Operator() { //nolint:exhaustive // the others ask for no value in particular
		case selection.Equals, selection.DoubleEquals, selection.In:
			if v := list[i].ValuesUnsorted(); len(values) == 0 || len(v) < len(values) {
				key, values = list[i].Key(), v
			}
		}
	}
	return key, values
}
