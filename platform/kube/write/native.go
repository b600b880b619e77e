package write

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/policy/record"
	"github.com/homeostat/homeostat/platform/kube/internal/lag"
	"github.com/homeostat/homeostat/platform/kube/view"
)

// Reasons of conditions and events of a HorizontalPodAutoscaler, as Kubernetes' own controller gives them
// (pkg/controller/podautoscaler/horizontal.go at 1.36.3).
const (
	reasonRescaled    = "SucceededRescale"
	eventRescaled     = "SuccessfulRescale"
	eventRescaleFails = "FailedRescale"
)

// reportedNative is what was last written of one HorizontalPodAutoscaler.
type reportedNative struct {
	status lag.Own[*autoscalingv2.HorizontalPodAutoscalerStatus]
	at     time.Time // of the decision that was written, or could not be
	failed bool
}

// ReportNative writes the outcome into the status of a HorizontalPodAutoscaler (shown is the object as the cache shows it) and
// emits events, as Kubernetes' own controller does. A status that says the same is not written; one in which only values
// and sentences differ at most every 15 s, and one that could not be written is tried again after that time. wrote is true
// where it was written. control.ErrConflict if the object is gone.
func (w *Writer) ReportNative(ctx context.Context, shown *view.NativeHPA, o Outcome) (wrote bool, err error) {
	key := shown.Namespace + "/" + shown.Name
	w.mu.Lock()
	last := w.natives[key]
	w.mu.Unlock()
	known := shown.Status
	// The informer may not show yet what was written a moment ago.
	if own, ok := last.status.Over(shown.Version, time.Now()); ok {
		known = own
	}
	next := nativeStatus(known, shown.Generation, &o)
	if o.scaled() {
		w.emit(referenceNative(shown), o.id(), corev1.EventTypeNormal, eventRescaled, fmt.Sprintf("New size: %d; reason: %s", o.Recommendation.Desired, o.Recommendation.Message))
	}
	differs, minor := nativeDiffers(known, next)
	soon := o.Recommendation.At.Sub(last.at) < minorEvery
	if !differs || soon && (minor || last.failed && !o.scaled()) {
		return false, nil
	}
	version, err := w.patchNative(ctx, shown, next)
	last.at, last.failed = o.Recommendation.At, err != nil
	if err == nil {
		last.status.Wrote(next, version, shown.Version, time.Now())
		w.sayHindered(shown, known, next, &o)
	}
	w.mu.Lock()
	w.natives[key] = last
	w.mu.Unlock()
	return err == nil, err
}

// ForgetNative drops what is remembered of a HorizontalPodAutoscaler that is gone.
func (w *Writer) ForgetNative(namespace, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.natives, namespace+"/"+name)
}

// SayNative emits an event about a HorizontalPodAutoscaler.
func (w *Writer) SayNative(n *view.NativeHPA, kind, reason, message string) {
	w.emit(referenceNative(n), "", kind, reason, message)
}

func referenceNative(n *view.NativeHPA) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler", Namespace: n.Namespace, Name: n.Name, UID: types.UID(n.UID),
		ResourceVersion: n.Version,
	}
}

// patchNative replaces the status and nothing else: labels and annotations belong to others. It returns the new version.
func (w *Writer) patchNative(ctx context.Context, n *view.NativeHPA, s *autoscalingv2.HorizontalPodAutoscalerStatus) (string, error) {
	status := map[string]any{ // a merge patch keeps what is not given, so that every field is
		"currentReplicas": s.CurrentReplicas, "desiredReplicas": s.DesiredReplicas, "lastScaleTime": s.LastScaleTime,
		"currentMetrics": s.CurrentMetrics, "conditions": s.Conditions,
	}
	if s.ObservedGeneration != nil {
		status["observedGeneration"] = *s.ObservedGeneration
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": n.UID}, "status": status})
	if err != nil {
		return "", fmt.Errorf("write status of horizontalpodautoscaler %s/%s: %w", n.Namespace, n.Name, err)
	}
	stored, err := w.core.AutoscalingV2().HorizontalPodAutoscalers(n.Namespace).Patch(ctx, n.Name, types.MergePatchType, body,
		metav1.PatchOptions{FieldManager: FieldManager}, "status")
	switch {
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		return "", fmt.Errorf("write status of horizontalpodautoscaler %s/%s: %w", n.Namespace, n.Name, control.ErrConflict)
	case err != nil:
		return "", fmt.Errorf("write status of horizontalpodautoscaler %s/%s: %w", n.Namespace, n.Name, err)
	}
	return stored.ResourceVersion, nil
}

// nativeStatus returns the status after the outcome. As in Kubernetes, currentReplicas is the number before a scaling, and a
// decision without metrics leaves desiredReplicas as it was.
func nativeStatus(old *autoscalingv2.HorizontalPodAutoscalerStatus, generation int64, o *Outcome) *autoscalingv2.HorizontalPodAutoscalerStatus {
	next, rec := old.DeepCopy(), &o.Recommendation
	if generation > 0 {
		next.ObservedGeneration = &generation
	}
	for _, c := range rec.Conditions {
		if c.Type == hpa.ScaledToZero && !saysZero(old, c, o) {
			continue
		}
		setNative(next, c, rec.At)
	}
	if !o.decided() {
		return next
	}
	next.CurrentReplicas, next.CurrentMetrics = rec.Current, record.CurrentMetrics(rec)
	switch {
	case o.scaled():
		at := metav1.NewTime(rec.At).Rfc3339Copy()
		next.DesiredReplicas, next.LastScaleTime = rec.Desired, &at
		setNative(next, hpa.Condition{
			Type: hpa.AbleToScale, Status: true, Reason: reasonRescaled,
			Message: fmt.Sprintf("the HPA controller was able to update the target scale to %d", rec.Desired),
		}, rec.At)
	case o.failed():
		setNative(next, hpa.Condition{
			Type: hpa.AbleToScale, Reason: reasonUpdateFailed,
			Message: fmt.Sprintf("the HPA controller was unable to update the target scale: %v", o.Err),
		}, rec.At)
	case !rec.Change() && rec.Reason != hpa.ReasonNoMetrics && rec.Reason != hpa.ReasonInvalidMetrics:
		next.DesiredReplicas = rec.Desired
	}
	return next
}

// saysZero reports whether a condition ScaledToZero is to be written: after a scaling, and where there is no such condition yet only
// one that is true. Kubernetes has it behind a feature gate that is off, so that few know it.
func saysZero(old *autoscalingv2.HorizontalPodAutoscalerStatus, c hpa.Condition, o *Outcome) bool {
	if o.Recommendation.Change() && !o.scaled() {
		return false
	}
	return c.Status || nativeCondition(old, autoscalingv2.ScaledToZero).Type != ""
}

// settleZero leaves an Autoscaler's condition ScaledToZero as it was where the number is what it was. A failed write may have been carried out
// all the same: a target that is at zero by it must not be taken for switched off.
func settleZero(old, next *v1alpha1.AutoscalerStatus, o *Outcome) {
	rec := &o.Recommendation
	if !rec.Change() || o.scaled() || rec.Desired == 0 && o.failed() {
		return
	}
	if was := meta.FindStatusCondition(old.Conditions, v1alpha1.ConditionScaledToZero); was != nil {
		meta.SetStatusCondition(&next.Conditions, *was)
	} else {
		meta.RemoveStatusCondition(&next.Conditions, v1alpha1.ConditionScaledToZero)
	}
}

// setNative sets a condition; a transition's time is the decision's.
func setNative(s *autoscalingv2.HorizontalPodAutoscalerStatus, c hpa.Condition, at time.Time) {
	set := autoscalingv2.HorizontalPodAutoscalerCondition{
		Type: autoscalingv2.HorizontalPodAutoscalerConditionType(c.Type), Status: corev1.ConditionFalse,
		LastTransitionTime: metav1.NewTime(at).Rfc3339Copy(), Reason: c.Reason, Message: c.Message,
	}
	if c.Status {
		set.Status = corev1.ConditionTrue
	}
	for i := range s.Conditions {
		if old := &s.Conditions[i]; old.Type == set.Type {
			if old.Status == set.Status {
				set.LastTransitionTime = old.LastTransitionTime
			}
			*old = set
			return
		}
	}
	s.Conditions = append(s.Conditions, set)
}

// nativeDiffers reports whether the status has to be written, and whether only values and sentences differ.
func nativeDiffers(old, next *autoscalingv2.HorizontalPodAutoscalerStatus) (differs, minor bool) {
	if apiequality.Semantic.DeepEqual(old, next) {
		return false, false
	}
	a, b := old.DeepCopy(), next.DeepCopy()
	for _, s := range []*autoscalingv2.HorizontalPodAutoscalerStatus{a, b} {
		s.CurrentMetrics = nil
		for i := range s.Conditions {
			s.Conditions[i].Message = ""
		}
	}
	return true, apiequality.Semantic.DeepEqual(a, b)
}

// sayHindered emits an event, once, about what begins to stand in the way of scaling, as Kubernetes' own controller does at
// every sync.
func (w *Writer) sayHindered(n *view.NativeHPA, old, next *autoscalingv2.HorizontalPodAutoscalerStatus, o *Outcome) {
	rec := &o.Recommendation
	for _, kind := range []autoscalingv2.HorizontalPodAutoscalerConditionType{autoscalingv2.AbleToScale, autoscalingv2.ScalingActive} {
		was, is := nativeCondition(old, kind), nativeCondition(next, kind)
		if is.Status != corev1.ConditionFalse || is.Reason == was.Reason || is.Reason == string(hpa.ReasonScalingDisabled) {
			continue
		}
		reason, message := is.Reason, is.Message
		if is.Reason == reasonUpdateFailed {
			reason, message = eventRescaleFails, fmt.Sprintf("New size: %d; reason: %s; error: %v", rec.Desired, rec.Message, o.Err)
		}
		w.SayNative(n, corev1.EventTypeWarning, reason, message)
	}
}

func nativeCondition(s *autoscalingv2.HorizontalPodAutoscalerStatus, kind autoscalingv2.HorizontalPodAutoscalerConditionType) autoscalingv2.HorizontalPodAutoscalerCondition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == kind {
			return s.Conditions[i]
		}
	}
	return autoscalingv2.HorizontalPodAutoscalerCondition{}
}
