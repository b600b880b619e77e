package remedy

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/policy/record"
)

// evict sends one eviction through the Eviction API, with the pod's UID as its precondition. It is never a deletion and never
// forced. A pod that is gone, or whose name another one has, is done.
func (s *Surgeon) evict(ctx context.Context, a *healing.Action) healing.Result {
	c, err := s.sendEviction(ctx, a.Workload.Namespace, a.Replica, a.ReplicaUID, a.DryRun)
	res := c.answered(a, err, fmt.Sprintf("pod %s was evicted; its owner makes a fresh one", a.Replica))
	switch {
	case err == nil:
	case gone(err):
		res.Outcome, res.Reason = incident.Done, healing.ReasonReplicaGone
		res.Message = fmt.Sprintf("pod %s (UID %s) is gone already", a.Replica, a.ReplicaUID)
	case apierrors.IsTooManyRequests(err), severalBudgets(err):
		res.Outcome, res.Reason = incident.Blocked, healing.ReasonBlockedByPDB
		res.Message = fmt.Sprintf("eviction of pod %s was refused: %s", a.Replica, details(err))
	}
	return res
}

func (s *Surgeon) sendEviction(ctx context.Context, namespace, pod, uid string, dryRun bool) (*call, error) {
	precondition := types.UID(uid)
	options := &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &precondition}}
	if dryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	c := &call{
		api: s.core.CoreV1().RESTClient(), verb: "POST", resource: "pods", namespace: namespace, name: pod, sub: "eviction",
		body: &policyv1.Eviction{
			TypeMeta:   metav1.TypeMeta{APIVersion: "policy/v1", Kind: "Eviction"},
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: pod}, DeleteOptions: options,
		},
		short:       fmt.Sprintf(`{"deleteOptions":{"preconditions":{"uid":%q}}}`, uid),
		description: "evict pod " + pod,
	}
	return c, c.send(ctx, dryRun)
}

// gone reads the API server's answer as the Eviction API documents it: 409 a precondition that does not hold, 404 no such pod.
func gone(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.IsConflict(err) && strings.Contains(err.Error(), "UID")
}

// severalBudgets tells the refusal of a pod with more than one PodDisruptionBudget from a server that is broken.
func severalBudgets(err error) bool {
	return apierrors.IsInternalError(err) && strings.Contains(err.Error(), "PodDisruptionBudget")
}

// pod reads the replica; res says why it cannot be acted on where ok is false.
func (s *Surgeon) pod(ctx context.Context, a *healing.Action) (pod *corev1.Pod, res healing.Result, ok bool) {
	pod, err := s.core.CoreV1().Pods(a.Workload.Namespace).Get(ctx, a.Replica, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), err == nil && string(pod.UID) != a.ReplicaUID:
		return nil, healing.Result{
			Outcome: incident.Failed, Reason: healing.ReasonReplicaGone,
			Message: fmt.Sprintf("pod %s (UID %s) is gone already", a.Replica, a.ReplicaUID),
		}, false
	case err != nil:
		return nil, refused("read pod "+a.Replica, err), false
	}
	return pod, healing.Result{}, true
}

// quarantine takes away the labels by which the pod's ReplicaSet and its Services know it. The ReplicaSet then gives it up by
// itself and makes another one; the pod stays as it is, with its log and its memory, until a person deletes it.
func (s *Surgeon) quarantine(ctx context.Context, a *healing.Action) healing.Result {
	var res healing.Result
	for range attempts { // the kubelet writes the pod's status at any time
		var again bool
		if res, again = s.tryQuarantine(ctx, a); !again {
			return res
		}
	}
	return res
}

func (s *Surgeon) tryQuarantine(ctx context.Context, a *healing.Action) (res healing.Result, again bool) {
	pod, res, ok := s.pod(ctx, a)
	if !ok {
		if res.Reason == healing.ReasonReplicaGone {
			res.Outcome = incident.Done // whatever it was, it serves nobody any more
		}
		return res, false
	}
	if by := pod.Labels[v1alpha1.LabelQuarantined]; by != "" {
		return already(fmt.Sprintf("pod %s is in quarantine already, for incident %s", a.Replica, by)), false
	}
	removed, res, ok := s.binding(ctx, pod)
	if !ok {
		return res, false
	}
	kept, err := json.Marshal(removed)
	if err != nil {
		return failed(fmt.Sprintf("write labels of pod %s: %v", a.Replica, err)), false
	}
	set := map[string]any{v1alpha1.LabelQuarantined: record.LabelValue(a.Incident)}
	for key := range removed {
		set[key] = nil
	}
	names := strings.Join(slices.Sorted(maps.Keys(removed)), ", ")
	c := &call{
		api: s.core.CoreV1().RESTClient(), verb: "PATCH", kind: types.MergePatchType, resource: "pods", namespace: pod.Namespace, name: pod.Name,
		body: map[string]any{"metadata": map[string]any{
			"uid": pod.UID, "resourceVersion": pod.ResourceVersion, "labels": set,
			"annotations": map[string]any{v1alpha1.AnnotationQuarantinedLabels: string(kept)},
		}},
		description: fmt.Sprintf("quarantine pod %s by removing the labels %s", pod.Name, names),
	}
	err = c.send(ctx, a.DryRun)
	res = c.answered(a, err, fmt.Sprintf("pod %s was taken out of its ReplicaSet and Services by removing the labels %s; "+
		"it stays until a person deletes it", pod.Name, names))
	return res, apierrors.IsConflict(err)
}

// binding returns the labels by which the pod's ReplicaSet and Services know it, so that none does without them.
func (s *Surgeon) binding(ctx context.Context, pod *corev1.Pod) (removed map[string]string, res healing.Result, ok bool) {
	owner := metav1.GetControllerOf(pod)
	if owner == nil || owner.Kind != cluster.KindReplicaSet {
		return nil, unsupported(fmt.Sprintf("pod %s has no ReplicaSet: only a ReplicaSet makes another pod in the place of one that is kept", pod.Name)), false
	}
	set, err := s.core.AppsV1().ReplicaSets(pod.Namespace).Get(ctx, owner.Name, metav1.GetOptions{})
	if err != nil {
		return nil, refused("read replicaset "+owner.Name, err), false
	}
	services, err := s.core.CoreV1().Services(pod.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, refused("list services of pod "+pod.Name, err), false
	}
	if set.UID != owner.UID || set.Spec.Selector == nil {
		return nil, failed(fmt.Sprintf("replicaset %s is not the one that made pod %s any more", owner.Name, pod.Name)), false
	}
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		return nil, failed(fmt.Sprintf("read selector of replicaset %s: %v", set.Name, err)), false
	}
	selectors := []labels.Selector{selector}
	if _, has := set.Spec.Selector.MatchLabels["pod-template-hash"]; has {
		// One label is enough for the ReplicaSet; the others stay for whoever searches by them.
		removed = map[string]string{"pod-template-hash": pod.Labels["pod-template-hash"]}
	} else {
		removed = wanted(selector, pod.Labels)
	}
	for i := range services.Items {
		if len(services.Items[i].Spec.Selector) == 0 {
			continue
		}
		if one := labels.SelectorFromSet(services.Items[i].Spec.Selector); one.Matches(labels.Set(pod.Labels)) {
			selectors = append(selectors, one)
			maps.Copy(removed, wanted(one, pod.Labels))
		}
	}
	left := maps.Clone(pod.Labels)
	maps.DeleteFunc(left, func(key, _ string) bool { _, is := removed[key]; return is })
	for _, one := range selectors {
		if one.Matches(labels.Set(left)) {
			return nil, unsupported(fmt.Sprintf("pod %s: the selector %s matches whatever labels are removed", pod.Name, one)), false
		}
	}
	return removed, healing.Result{}, true
}

// wanted returns those of the labels that the selector asks for.
func wanted(s labels.Selector, have map[string]string) map[string]string {
	out := map[string]string{}
	requirements, _ := s.Requirements()
	for _, r := range requirements {
		if value, is := have[r.Key()]; is {
			out[r.Key()] = value
		}
	}
	return out
}
