package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/policy/record"
	"github.com/homeostat/homeostat/metrics"
	"github.com/homeostat/homeostat/platform/kube/view"
	"github.com/homeostat/homeostat/platform/kube/write"
)

// selfLabel and selfName mark the pods of this controller in its own namespace, as package view knows them too.
const (
	selfLabel = "app.kubernetes.io/name"
	selfName  = "homeostat"
)

// Memory returns the view on the usage of the containers of one namespace.
func (p *Platform) Memory(namespace string) healing.MemoryView {
	return func(replica, container string) []metrics.Point {
		return p.opts.Store.Points(metrics.Key{Namespace: namespace, Pod: replica, Container: container})
	}
}

// PolicyFor returns the policy that governs the workload: the oldest HealingPolicy of its namespace that selects the
// labels of its pod template. Under one that is not valid, and where none selects it, the default policy only observes.
func (p *Platform) PolicyFor(w *cluster.Workload) (healing.Policy, bool) {
	if _, quarantined := w.Labels[v1alpha1.LabelQuarantined]; quarantined {
		return healing.Policy{}, false // it is kept broken on purpose, and its incident is the workload's that it was taken from
	}
	o := p.governing(w)
	if o == nil {
		return p.opts.Default, p.opts.WatchAll
	}
	if rule := p.rules.ofHealing(o); rule.invalid == "" {
		return rule.policy, true
	}
	return p.opts.Default, true
}

// governing returns the HealingPolicy that governs the workload, nil for none.
func (p *Platform) governing(w *cluster.Workload) *v1alpha1.HealingPolicy {
	list := indexed[*v1alpha1.HealingPolicy](p.feeds.policies, namespaceIndex, w.Ref.Namespace)
	byAge(list, func(o *v1alpha1.HealingPolicy) int64 { return o.CreationTimestamp.Unix() })
	for _, o := range list {
		if p.rules.ofHealing(o).selector.Matches(labels.Set(w.Labels)) {
			return o
		}
	}
	return nil
}

// Incidents returns the stored incidents of a workload, oldest first. What was saved here is in it at once. Workloads
// are the same if kind and name are: an incident outlives a Deployment that is made again.
func (p *Platform) Incidents(w cluster.Ref) []incident.Incident {
	list := p.incidentsOf(w, time.Now())
	if len(list) == 0 {
		return nil
	}
	out := make([]incident.Incident, len(list))
	for i, o := range list {
		out[i] = record.ReadIncident(o)
	}
	slices.SortFunc(out, func(a, b incident.Incident) int {
		if c := a.OpenedAt.Compare(b.OpenedAt); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out
}

func (p *Platform) incidentsOf(w cluster.Ref, now time.Time) []*v1alpha1.Incident {
	return p.own.incidentsOf(indexed[*v1alpha1.Incident](p.feeds.incidents, workloadIndex, workloadKey(w)), w, now)
}

// openIncident names an active incident of the workload in which something fails, the one with the smallest name; empty for none.
// Forecasts, which can last for days, and notices of what happened to replicas that are replaced are none: nothing fails by them, so
// that no load is missing.
func (p *Platform) openIncident(w cluster.Ref, now time.Time) string {
	name := ""
	for _, o := range p.incidentsOf(w, now) {
		if !incident.Kind(o.Status.Finding).Failure() {
			continue
		}
		if incident.State(o.Status.State).Active() && (name == "" || o.Name < name) {
			name = o.Name
		}
	}
	return name
}

// Spent returns the times of the actions charged to the workload under the policy.
func (p *Platform) Spent(pol healing.Policy, w cluster.Ref) []time.Time {
	o, ok := named[*v1alpha1.HealingPolicy](p.feeds.policies, pol.Namespace, pol.Name, nil)
	if pol.Name == "" || !ok {
		return nil
	}
	return write.Spent(p.own.policy(o, time.Now()), w)
}

// Save creates the incident or replaces the version that it names.
func (p *Platform) Save(ctx context.Context, in incident.Incident) (incident.Incident, error) {
	now := time.Now()
	shown, version := p.shownIncident(in.Namespace, in.Name)
	stored, err := p.writer.SaveIncident(ctx, &in, p.own.incident(in.Namespace, in.Name, shown, now))
	if err != nil {
		return in, err //nolint:wrapcheck // it names the incident
	}
	p.own.saved(stored, version, now)
	return record.ReadIncident(stored), nil
}

// shownIncident returns what the informer shows, nil and no version for nothing.
func (p *Platform) shownIncident(namespace, name string) (o *v1alpha1.Incident, version string) {
	if o, ok := named[*v1alpha1.Incident](p.feeds.incidents, namespace, name, nil); ok {
		return o, o.ResourceVersion
	}
	return nil, ""
}

// Announce emits an event about the incident, on its workload and on the incident.
func (p *Platform) Announce(_ context.Context, in incident.Incident, reason healing.Reason, message string) {
	shown, _ := p.shownIncident(in.Namespace, in.Name)
	uid := ""
	if o := p.own.incident(in.Namespace, in.Name, shown, time.Now()); o != nil {
		uid = string(o.UID)
	}
	p.writer.Announce(&in, p.objectOf(in.Workload), uid, reason, message)
}

// objectOf returns the object that a workload is: the runs of a CronJob are one workload of kind Job with its name.
func (p *Platform) objectOf(w cluster.Ref) cluster.Ref {
	if w.Kind != cluster.KindJob {
		return w
	}
	if _, ok := named(p.feeds.owners, w.Namespace, w.Name, func(o *view.Owner) bool { return o.Kind == cluster.KindJob }); !ok {
		w.Kind = view.KindCronJob
	}
	return w
}

// Capture fetches the log that is asked for.
func (p *Platform) Capture(ctx context.Context, w *cluster.Workload, c healing.Capture) incident.Evidence {
	return p.logs.Capture(ctx, w, c)
}

// Charge takes one action from the workload's budget, which is stored in the status of its HealingPolicy.
func (p *Platform) Charge(ctx context.Context, pol healing.Policy, w cluster.Ref, remediationID string, now time.Time) error {
	shown, ok := named[*v1alpha1.HealingPolicy](p.feeds.policies, pol.Namespace, pol.Name, nil)
	stored, err := p.writer.Charge(ctx, pol, w, remediationID, now)
	if err != nil {
		return err //nolint:wrapcheck // it names the workload
	}
	if ok && stored.ResourceVersion != shown.ResourceVersion {
		p.own.charged(stored, shown.ResourceVersion, time.Now())
	}
	return nil
}

// Carry carries out the action. What belongs to the cluster or to this controller was refused long before; here the last look
// says so again.
func (p *Platform) Carry(ctx context.Context, a healing.Action) healing.Result {
	if why := p.forbidden(&a); why != "" {
		return healing.Result{
			Outcome: incident.Failed, Reason: healing.ReasonProtected,
			Message: why + " belongs to the cluster or to this controller and is never acted on",
		}
	}
	if t := a.Change.Target; t.Name != "" && t.Namespace != a.Workload.Namespace {
		return healing.Result{
			Outcome: incident.Failed, Reason: healing.ReasonProtected,
			Message: fmt.Sprintf("%s is not in the namespace of %s and is not acted on", t, a.Workload),
		}
	}
	res := p.writer.Carry(ctx, a)
	scales := a.Remedy == incident.RemedyScaleOut || a.Remedy == incident.RemedyAbortCanary
	if scales && a.Change.Target.Name == "" && res.Outcome == incident.Done {
		p.scaledByRemedy(a.Workload, a.Change.ToReplicas, time.Now())
	}
	return res
}

// forbidden names what must not be acted on, empty where it may.
func (p *Platform) forbidden(a *healing.Action) string {
	ns, self := a.Workload.Namespace, p.opts.SelfNamespace
	if a.Remedy.OnReplica() {
		pod, ok := named[*view.Pod](p.feeds.pods, ns, a.Replica, nil)
		if ns == view.SystemNamespace || ns == self && a.Replica == p.opts.SelfPod || ok && (pod.Critical || p.isSelf(ns, pod.Labels)) {
			return "pod " + a.Replica
		}
		return ""
	}
	if ns == view.SystemNamespace {
		return a.Workload.String()
	}
	owner, ok := named(p.feeds.owners, ns, a.Workload.Name, func(o *view.Owner) bool { return o.Kind == a.Workload.Kind })
	if !ok || owner.Selector == nil {
		return ""
	}
	if p.isSelf(ns, owner.Labels) {
		return a.Workload.String()
	}
	for _, pod := range indexed[*view.Pod](p.feeds.pods, namespaceIndex, ns) {
		if owner.Selector.Matches(labels.Set(pod.Labels)) && (pod.Critical || ns == self && pod.Name == p.opts.SelfPod) {
			return a.Workload.String()
		}
	}
	return ""
}

// isSelf reports whether a pod with the labels is one of this controller's.
func (p *Platform) isSelf(namespace string, podLabels map[string]string) bool {
	return namespace == p.opts.SelfNamespace && podLabels[selfLabel] == selfName
}

// scaledByRemedy notes that the number of replicas of a workload was written, so that the scaling goes on from it and takes it for
// nobody else's.
func (p *Platform) scaledByRemedy(w cluster.Ref, replicas int32, now time.Time) {
	t := write.Target{APIVersion: "apps/v1", Ref: w}
	p.scales.forget(t)
	p.contests.wrote(workloadKey(w), replicas, now)
	if shown, ok := p.owner(w); ok && fromView(t) {
		p.own.scaled(w, replicas, shown.Version, now)
	}
}
