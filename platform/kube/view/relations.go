package view

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/homeostat/homeostat/internal/cluster"
)

// Service is the record of a Service.
type Service struct {
	Meta
	// Selector is empty where somebody else writes the endpoints.
	Selector map[string]string
	// BlueGreen is the key of the selector that tells the tracks apart, empty for none.
	BlueGreen string
	needs     []need
}

// Slice is the record of an EndpointSlice: how many of its endpoints are ready.
type Slice struct {
	Meta
	Service string
	// Family of the addresses: a Service with two has each endpoint once in each.
	Family string
	Ready  int32
}

// Budget is the record of a PodDisruptionBudget.
type Budget struct {
	Meta
	// Selector is nil where nothing is selected.
	Selector labels.Selector
	Shown    cluster.DisruptionBudget
	needs    []need
}

// Scaling is what scales a workload: an autoscaler with what it scales.
type Scaling struct {
	Namespace, TargetKind, TargetName string
	Scaler                            *cluster.Scaler
}

// VPA is what is kept of a VerticalPodAutoscaler that may change what it targets.
type VPA struct {
	Namespace, Name, TargetKind, TargetName string
}

func (r *Records) service(o *corev1.Service) *Service {
	out := &Service{Meta: r.meta(o), BlueGreen: r.intern(o.Annotations[BlueGreenAnnotation])}
	if o.Spec.Type != corev1.ServiceTypeExternalName { // its selector is ignored
		out.Selector = r.internLabels(o.Spec.Selector)
	}
	for k, v := range out.Selector {
		out.needs = append(out.needs, need{key: k, values: []string{v}})
	}
	return out
}

func (r *Records) slice(o *discoveryv1.EndpointSlice) *Slice {
	out := &Slice{Meta: r.meta(o), Service: r.intern(o.Labels[discoveryv1.LabelServiceName]), Family: r.intern(string(o.AddressType))}
	for i := range o.Endpoints {
		if ready := o.Endpoints[i].Conditions.Ready; ready == nil || *ready { // nil is to be taken for ready
			out.Ready++
		}
	}
	return out
}

func (r *Records) budget(o *policyv1.PodDisruptionBudget) *Budget {
	out := &Budget{Meta: r.meta(o), Selector: selectorOf(o.Spec.Selector), Shown: cluster.DisruptionBudget{
		Name: o.Name, Allowed: o.Status.DisruptionsAllowed, Healthy: o.Status.CurrentHealthy, Desired: o.Status.DesiredHealthy,
	}}
	if out.Selector != nil {
		out.needs = needsOf(out.Selector)
	}
	return out
}

// Scaling returns what a HorizontalPodAutoscaler scales.
func (n *NativeHPA) Scaling() Scaling {
	s := &cluster.Scaler{
		Ref: cluster.Ref{Kind: "HorizontalPodAutoscaler", Namespace: n.Namespace, Name: n.Name, UID: n.UID},
		Min: orOne(n.Spec.MinReplicas), Max: n.Spec.MaxReplicas,
	}
	for i := range n.Status.Conditions {
		if c := &n.Status.Conditions[i]; c.Type == "ScalingActive" {
			s.Active = &cluster.Condition{
				Type: string(c.Type), Status: string(c.Status), Reason: c.Reason, Message: c.Message, Since: utc(c.LastTransitionTime),
			}
		}
	}
	return Scaling{Namespace: n.Namespace, TargetKind: n.TargetKind, TargetName: n.TargetName, Scaler: s}
}

// target names a workload whatever its UID.
type target struct{ namespace, kind, name string }

// relations are the records of one look that say something about workloads of others, found by what they are about.
type relations struct {
	services filing[*Service]
	budgets  filing[*Budget]
	scalers  map[target]*cluster.Scaler
	vpas     map[target][]string
	unread   []string
}

func relate(s *Sources) *relations {
	r := &relations{
		services: file(s.Services, func(x *Service) (string, []need) {
			if len(x.Selector) == 0 {
				return "", nil
			}
			return x.Namespace, x.needs
		}),
		budgets: file(s.Budgets, func(x *Budget) (string, []need) {
			if x.Selector == nil {
				return "", nil
			}
			return x.Namespace, x.needs
		}),
		scalers: make(map[target]*cluster.Scaler, len(s.Scalings)), vpas: map[target][]string{}, unread: s.VPAsUnread,
	}
	for _, x := range s.Scalings {
		key := target{x.Namespace, x.TargetKind, x.TargetName}
		if _, taken := r.scalers[key]; !taken {
			r.scalers[key] = x.Scaler
		}
	}
	for _, x := range s.VPAs {
		key := target{x.Namespace, x.TargetKind, x.TargetName}
		r.vpas[key] = append(r.vpas[key], x.Name)
	}
	return r
}

// add fills in what others say about the workload.
func (r *relations) add(w *cluster.Workload) {
	key := target{w.Ref.Namespace, w.Ref.Kind, w.Ref.Name}
	w.Scaler = r.scalers[key]
	unread := slices.Contains(r.unread, "") || slices.Contains(r.unread, w.Ref.Namespace)
	if names := r.vpas[key]; len(names) > 0 || unread {
		w.Owners = slices.Clone(w.Owners) // the record's own are shared
		for _, name := range names {
			w.Owners = append(w.Owners, cluster.Owner{Kind: cluster.OwnerVPA, Name: name})
		}
		if unread {
			w.Owners = append(w.Owners, cluster.Owner{Kind: cluster.OwnerVPA})
		}
	}
	r.services.each(w.Ref.Namespace, w.Labels, func(x *Service) {
		if includes(w.Labels, x.Selector) {
			w.Services = append(w.Services, x.Name)
		}
	})
	slices.Sort(w.Services)
	r.budgets.each(w.Ref.Namespace, w.Labels, func(x *Budget) {
		if x.Selector.Matches(labels.Set(w.Labels)) {
			w.Budgets = append(w.Budgets, x.Shown)
		}
	})
	slices.SortFunc(w.Budgets, func(a, b cluster.DisruptionBudget) int { return cmp.Compare(a.Name, b.Name) })
}

// includes reports whether a set of labels has all of a selector, which must not be empty.
func includes(set, selector map[string]string) bool {
	if len(selector) == 0 {
		return false
	}
	for k, v := range selector {
		if got, ok := set[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// need is a label that a set must have with one of the values to be selected.
type need struct {
	key    string
	values []string
}

// needsOf returns what a selector needs; none where it asks for no value in particular.
func needsOf(s labels.Selector) []need {
	list, _ := s.Requirements()
	out := make([]need, 0, len(list))
	for i := range list {
		switch list[i].Operator() { //nolint:exhaustive // the others ask for no value in particular
		case selection.Equals, selection.DoubleEquals, selection.In:
			out = append(out, need{key: list[i].Key(), values: list[i].ValuesUnsorted()})
		}
	}
	return out
}

// place is a label of the objects of one namespace.
type place struct{ namespace, key, value string }

// filing has each selecting object under the label that the fewest others ask for, so that a set of labels meets few of
// them: of a thousand Services of one namespace, of which each asks for part-of and name, those of its name.
type filing[T any] struct {
	under map[place][]T
	rest  map[string][]T // by namespace: those that ask for no label in particular
}

// file makes a filing. needs returns an object's namespace, empty for one that selects nothing.
func file[T any](list []T, needs func(T) (namespace string, needs []need)) filing[T] {
	f := filing[T]{under: make(map[place][]T, len(list)), rest: map[string][]T{}}
	type one struct {
		namespace string
		needs     []need
	}
	all := make([]one, len(list))
	asked := make(map[place]int, len(list))
	for i, x := range list {
		all[i].namespace, all[i].needs = needs(x)
		for _, n := range all[i].needs {
			for _, v := range n.values {
				asked[place{all[i].namespace, n.key, v}]++
			}
		}
	}
	for i, x := range list {
		ns := all[i].namespace
		if ns == "" {
			continue
		}
		if len(all[i].needs) == 0 {
			f.rest[ns] = append(f.rest[ns], x)
			continue
		}
		rarest := slices.MinFunc(all[i].needs, func(a, b need) int { return mostAsked(asked, ns, a) - mostAsked(asked, ns, b) })
		for _, v := range rarest.values {
			p := place{ns, rarest.key, v}
			f.under[p] = append(f.under[p], x)
		}
	}
	return f
}

func mostAsked(asked map[place]int, namespace string, n need) int {
	most := 0
	for _, v := range n.values {
		most = max(most, asked[place{namespace, n.key, v}])
	}
	return most
}

// each calls found with every object that may select the labels, once.
func (f *filing[T]) each(namespace string, set map[string]string, found func(T)) {
	if len(f.under) > 0 {
		for k, v := range set {
			for _, x := range f.under[place{namespace, k, v}] {
				found(x)
			}
		}
	}
	for _, x := range f.rest[namespace] {
		found(x)
	}
}
