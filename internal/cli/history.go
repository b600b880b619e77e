package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	appsclient "k8s.io/client-go/kubernetes/typed/apps/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/report"
)

// mostEvents bounds the events of one object that are shown.
const mostEvents = 30

// kindsOf are the kinds that may be named, with their short names as kubectl has them.
var kindsOf = map[string]string{ //nolint:gochecknoglobals // read only
	"deploy": cluster.KindDeployment, "deployment": cluster.KindDeployment, "deployments": cluster.KindDeployment,
	"sts": cluster.KindStatefulSet, "statefulset": cluster.KindStatefulSet, "statefulsets": cluster.KindStatefulSet,
	"ds": cluster.KindDaemonSet, "daemonset": cluster.KindDaemonSet, "daemonsets": cluster.KindDaemonSet,
	"job": cluster.KindJob, "jobs": cluster.KindJob, "po": cluster.KindPod, "pod": cluster.KindPod, "pods": cluster.KindPod,
	"service": cluster.KindService, "node": "Node",
}

// workloadArg reads an argument such as deploy/web.
func workloadArg(command string, args []string, allowed ...string) (cluster.Ref, error) {
	if len(args) != 1 {
		return cluster.Ref{}, usagef("%s takes one argument such as %s, got %d", command, allowed[0], len(args))
	}
	short, name, found := strings.Cut(args[0], "/")
	kind := kindsOf[strings.ToLower(short)]
	fits := slices.ContainsFunc(allowed, func(a string) bool {
		prefix, _, _ := strings.Cut(a, "/")
		return kindsOf[prefix] == kind
	})
	if !found || name == "" || kind == "" || !fits {
		return cluster.Ref{}, usagef("%s %q is not allowed: %s", command, args[0], strings.Join(allowed, ", "))
	}
	return cluster.Ref{Kind: kind, Name: name}, nil
}

// history reads what a cluster itself remembers of a workload: events for an hour, and the revisions that its owner keeps.
type history struct {
	core coreclient.CoreV1Interface
	apps appsclient.AppsV1Interface
}

func openHistory(cfg *rest.Config) (history, error) {
	core, err := coreclient.NewForConfig(cfg)
	if err != nil {
		return history{}, fmt.Errorf("make client: %w", err)
	}
	apps, err := appsclient.NewForConfig(cfg)
	if err != nil {
		return history{}, fmt.Errorf("make client: %w", err)
	}
	return history{core: core, apps: apps}, nil
}

// events returns the newest events about the object, oldest first; a note where they may not be read.
func (h history) events(ctx context.Context, ref cluster.Ref) (list []cluster.Event, note string, err error) {
	got, err := h.core.Events(ref.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.Set{"involvedObject.kind": ref.Kind, "involvedObject.name": ref.Name}.String(),
	})
	if apierrors.IsForbidden(err) {
		return nil, "events of " + ref.String() + " may not be read: " + err.Error(), nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("list events: %w", err)
	}
	list = newest(got.Items, mostEvents)
	slices.Reverse(list)
	return list, "", nil
}

// moments returns what the cluster itself remembers of the workload: rollouts, and the events about it.
func (h history) moments(ctx context.Context, ref cluster.Ref) (out []report.Moment, notes []string, err error) {
	events, note, err := h.events(ctx, ref)
	if err != nil {
		return nil, nil, err
	}
	if note != "" {
		notes = append(notes, note)
	}
	for _, e := range events {
		message := e.Message
		if e.Count > 1 {
			message += fmt.Sprintf(" (%d times since %s)", e.Count, e.First.Local().Format("15:04:05"))
		}
		out = append(out, report.Moment{At: e.Last, Kind: report.MomentEvent, Reason: e.Reason, Message: message})
	}
	rollouts, err := h.rollouts(ctx, ref)
	if apierrors.IsForbidden(err) {
		return out, append(notes, "rollouts may not be read: "+err.Error()), nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list rollouts: %w", err)
	}
	return append(out, rollouts...), notes, nil
}

// rollouts returns the revisions that the owner keeps, as moments at which each was first rolled out.
func (h history) rollouts(ctx context.Context, ref cluster.Ref) ([]report.Moment, error) {
	switch ref.Kind {
	case cluster.KindDeployment:
		return h.replicaSets(ctx, ref)
	case cluster.KindStatefulSet, cluster.KindDaemonSet:
		return h.controllerRevisions(ctx, ref)
	default:
		return nil, nil
	}
}

func (h history) replicaSets(ctx context.Context, ref cluster.Ref) ([]report.Moment, error) {
	list, err := h.apps.ReplicaSets(ref.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err //nolint:wrapcheck // wrapped by the caller, which tells one kind of error from others
	}
	sets := slices.DeleteFunc(list.Items, func(s appsv1.ReplicaSet) bool { return !owned(s.OwnerReferences, ref) })
	slices.SortFunc(sets, func(a, b appsv1.ReplicaSet) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	out := make([]report.Moment, 0, len(sets))
	var before map[string]string
	for i := range sets {
		s := &sets[i]
		now := images(&s.Spec.Template)
		m := "revision " + s.Annotations["deployment.kubernetes.io/revision"] + " (" + s.Name + ")" + changed(before, now)
		if s.Annotations["kubernetes.io/change-cause"] != "" {
			m += ": " + s.Annotations["kubernetes.io/change-cause"]
		}
		out = append(out, report.Moment{At: s.CreationTimestamp.Time, Kind: report.MomentRollout, Reason: "NewRevision", Message: m})
		before = now
	}
	return out, nil
}

func (h history) controllerRevisions(ctx context.Context, ref cluster.Ref) ([]report.Moment, error) {
	list, err := h.apps.ControllerRevisions(ref.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err //nolint:wrapcheck // wrapped by the caller, which tells one kind of error from others
	}
	var out []report.Moment
	for i := range list.Items {
		r := &list.Items[i]
		if owned(r.OwnerReferences, ref) {
			out = append(out, report.Moment{
				At: r.CreationTimestamp.Time, Kind: report.MomentRollout, Reason: "NewRevision", Message: fmt.Sprintf("revision %d (%s)", r.Revision, r.Name),
			})
		}
	}
	return out, nil
}

func owned(refs []metav1.OwnerReference, ref cluster.Ref) bool {
	return slices.ContainsFunc(refs, func(o metav1.OwnerReference) bool { return o.Kind == ref.Kind && o.Name == ref.Name })
}

func images(t *corev1.PodTemplateSpec) map[string]string {
	out := map[string]string{}
	for i := range t.Spec.Containers {
		out[t.Spec.Containers[i].Name] = t.Spec.Containers[i].Image
	}
	return out
}

// changed words what of the images is another one than before.
func changed(before, now map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(now)) {
		switch was := before[name]; {
		case before == nil:
			parts = append(parts, "image "+now[name])
		case was != now[name]:
			parts = append(parts, "image "+was+" -> "+now[name])
		}
	}
	if len(parts) == 0 {
		return ": the images are the same, something else of the template changed"
	}
	return ": " + strings.Join(parts, ", ")
}

// about returns the incidents of the workload, and those that name it as a member; of a pod, those that name it as a replica, too.
func about(list []incident.Incident, ref cluster.Ref) []incident.Incident {
	return slices.DeleteFunc(slices.Clone(list), func(in incident.Incident) bool {
		return !in.Workload.Same(ref) && !namesPod(&in, ref) && !slices.ContainsFunc(in.Members, func(m incident.Member) bool { return m.Workload.Same(ref) })
	})
}

// namesPod reports whether ref is a pod and the incident is about it as a replica of its workload. A local run has one namespace.
func namesPod(in *incident.Incident, ref cluster.Ref) bool {
	return ref.Kind == cluster.KindPod && (ref.Namespace == "" || in.Namespace == ref.Namespace) && report.Names(in, ref.Name)
}
