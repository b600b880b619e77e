package write

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/policy/record"
	"github.com/homeostat/homeostat/platform/kube/internal/lag"
)

const (
	// minorEvery bounds how often a status is written in which only values and sentences have changed; an HPA's is
	// written every 15 s too. historyEvery is the same where the history has changed: so much of it may be lost when
	// another controller takes over.
	minorEvery   = 15 * time.Second
	historyEvery = 3 * time.Second
	// calmPerSecond bounds such writes over all Autoscalers: each is written as much less often as there are more.
	calmPerSecond = 20
	// stateBurst of what a person would call another state are written at once, and then one in stateEvery: a value at the
	// edge of its target makes another state of every decision. A scaling and another spec are always written at once.
	stateBurst = 5
	stateEvery = 3 * time.Second
	// noMetricsAfter is how long metrics must have been away before that is an event: a new target's first samples take
	// a few scrapes.
	noMetricsAfter = 30 * time.Second

	reasonAccepted     = "Accepted"
	reasonUpdateFailed = "FailedUpdateScale"

	eventScaled       = "Scaled"
	eventScaleLimited = "ScaleLimited"
	eventNoMetrics    = "NoMetrics"
)

// reported is what was last written of one Autoscaler.
type reported struct {
	object lag.Own[*v1alpha1.Autoscaler]
	at     time.Time // of the decision that was written, or could not be
	failed bool
	// full is when all of stateBurst may be written again; what lies ahead of now was spent.
	full time.Time
	// noMetricsSince is the beginning of the absence of metrics that was last said in an event.
	noMetricsSince metav1.Time
}

// Outcome is one decision and what became of it.
type Outcome struct {
	Autoscaler     control.Autoscaler
	Recommendation hpa.Recommendation
	// History is what the next decision goes on from.
	History hpa.History
	// Err is the error of the scale or of the observation, nil for none.
	Err error
}

// scaled reports whether the number of replicas was written.
func (o *Outcome) scaled() bool {
	return o.Err == nil && o.decided() && o.Recommendation.Change() && o.Autoscaler.Mode == control.Active
}

// failed reports whether the number could not be written, or not for certain: a conflict is no failure, and writes nothing.
func (o *Outcome) failed() bool {
	return o.Err != nil && o.decided() && !errors.Is(o.Err, control.ErrConflict)
}

// id names the decision; empty where it changes nothing.
func (o *Outcome) id() string {
	return cluster.DecisionID(o.Autoscaler.Ref, o.Recommendation.At, o.Recommendation.Current, o.Recommendation.Desired)
}

// decided reports whether a number was decided at all.
func (o *Outcome) decided() bool {
	return o.Autoscaler.Invalid == "" && o.Autoscaler.Mode != control.Paused &&
		o.Recommendation.Reason != control.ReasonTargetUnavailable
}

// Report writes the outcome into the status of the Autoscaler (cached is the object as the cache shows it) and emits
// events. A status that says the same is not written; one in which only values and sentences differ at most every 15 s, or
// every 3 s where the history does; and one that could not be written is tried again after 15 s.
func (w *Writer) Report(ctx context.Context, cached *v1alpha1.Autoscaler, o Outcome) error {
	key := cached.Namespace + "/" + cached.Name
	last := w.lastReport(key)
	known := cached
	// The informer may not show yet what was written a moment ago.
	if own, ok := last.object.Over(cached.ResourceVersion, time.Now()); ok && own.UID == cached.UID {
		known = own
	}
	if o.scaled() {
		w.emit(reference(cached), o.id(), corev1.EventTypeNormal, eventScaled, fmt.Sprintf("scaled %s from %d to %d: %s (decision %s)",
			o.Autoscaler.Target, o.Recommendation.Current, o.Recommendation.Desired, o.Recommendation.Message, o.id()))
	}
	next := statusAfter(&known.Status, &o)
	if !w.writes(&last, &known.Status, next, &o) {
		w.sayNoMetrics(key, cached, next, &o)
		return nil
	}
	stored, err := w.storeStatus(ctx, known, next, &o)
	if err != nil {
		if !errors.Is(err, control.ErrConflict) { // another writer is no reason to wait
			last.at, last.failed = o.Recommendation.At, true
			w.keepReport(key, last)
		}
		return err
	}
	last.at, last.failed = o.Recommendation.At, false
	last.object.Wrote(stored, stored.ResourceVersion, cached.ResourceVersion, time.Now())
	w.keepReport(key, last)
	w.sayLimited(cached, &known.Status, next)
	w.sayNoMetrics(key, cached, next, &o)
	return nil
}

// writes reports whether the next status is written now.
func (w *Writer) writes(last *reported, old, next *v1alpha1.AutoscalerStatus, o *Outcome) bool {
	d := differs(old, next)
	every, write := w.due(d)
	since := o.Recommendation.At.Sub(last.at)
	switch {
	case !write || since < every:
		return false
	case o.scaled():
		return true
	case last.failed && since < minorEvery:
		return false
	case d != state || old.ObservedGeneration != next.ObservedGeneration:
		return true
	}
	full := o.Recommendation.At.Add(stateEvery)
	if last.full.After(o.Recommendation.At) {
		full = last.full.Add(stateEvery)
	}
	if full.Sub(o.Recommendation.At) > stateBurst*stateEvery {
		return false
	}
	last.full = full
	return true
}

// due returns how long ago the status must have been written last for such a difference to be written.
func (w *Writer) due(d difference) (every time.Duration, write bool) {
	w.mu.Lock()
	calm := time.Duration(len(w.reported)) * time.Second / calmPerSecond
	w.mu.Unlock()
	switch d {
	case state:
		return 0, true
	case history:
		return max(historyEvery, calm), true
	case values:
		return max(minorEvery, calm), true
	case same:
	}
	return 0, false
}

// Forget drops what is remembered of an Autoscaler that is gone.
func (w *Writer) Forget(namespace, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.reported, namespace+"/"+name)
}

func (w *Writer) lastReport(key string) reported {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reported[key]
}

func (w *Writer) keepReport(key string, r reported) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reported[key] = r
}

// storeStatus writes the status, and once more over what somebody else wrote meanwhile.
func (w *Writer) storeStatus(ctx context.Context, known *v1alpha1.Autoscaler, next *v1alpha1.AutoscalerStatus, o *Outcome) (*v1alpha1.Autoscaler, error) {
	autoscalers := w.own.Autoscalers(known.Namespace)
	obj := known.DeepCopy()
	obj.Status = *next
	for range casAttempts {
		stored, err := autoscalers.UpdateStatus(ctx, obj, metav1.UpdateOptions{})
		switch {
		case err == nil:
			return stored, nil
		case apierrors.IsNotFound(err):
			return nil, fmt.Errorf("write status of %s: %w", o.Autoscaler.Ref, control.ErrConflict)
		case !apierrors.IsConflict(err):
			return nil, fmt.Errorf("write status of %s: %w", o.Autoscaler.Ref, err)
		}
		if obj, err = autoscalers.Get(ctx, known.Name, metav1.GetOptions{}); err != nil {
			return nil, fmt.Errorf("write status of %s: %w", o.Autoscaler.Ref, err)
		}
		if obj.UID != known.UID {
			break // another object of that name
		}
		obj.Status = *statusAfter(&obj.Status, o)
	}
	return nil, fmt.Errorf("write status of %s: %w", o.Autoscaler.Ref, control.ErrConflict)
}

// statusAfter returns the status after the outcome.
func statusAfter(old *v1alpha1.AutoscalerStatus, o *Outcome) *v1alpha1.AutoscalerStatus {
	next, rec, a := old.DeepCopy(), &o.Recommendation, &o.Autoscaler
	next.ObservedGeneration = a.Generation
	accepted := metav1.Condition{
		Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionTrue, Reason: reasonAccepted,
		Message:            "the spec is valid, and nothing else scales the target",
		ObservedGeneration: a.Generation, LastTransitionTime: metav1.NewTime(rec.At),
	}
	if a.Invalid != "" {
		accepted.Status, accepted.Reason, accepted.Message = metav1.ConditionFalse, a.InvalidReason, a.Invalid
		if accepted.Reason == "" {
			accepted.Reason = string(control.ReasonInvalidSpec)
		}
	}
	meta.SetStatusCondition(&next.Conditions, accepted)
	record.SetConditions(&next.Conditions, rec, a.Generation)
	settleZero(old, next, o)
	next.LastDecision = record.Decision(rec)
	if !o.decided() {
		next.LastDecision.Current, next.LastDecision.Proposed = old.CurrentReplicas, old.CurrentReplicas
		next.LastDecision.Desired = old.CurrentReplicas
		return next
	}
	next.CurrentReplicas, next.DesiredReplicas = rec.Current, rec.Desired
	next.CurrentMetrics, next.MetricsSummary = record.CurrentMetrics(rec), record.MetricsSummary(rec)
	next.History = record.History(o.History)
	repairZero(next, o)
	switch {
	case o.scaled():
		next.CurrentReplicas = rec.Desired
		at := metav1.NewTime(rec.At)
		next.LastScaleTime = &at
		if len(old.LastChanges) == 0 || !old.LastChanges[0].Time.Time.Equal(next.LastDecision.Time.Time) {
			next.LastChanges = record.AddChange(old.LastChanges, a.Ref, rec)
		}
		meta.SetStatusCondition(&next.Conditions, metav1.Condition{
			Type: v1alpha1.ConditionAbleToScale, Status: metav1.ConditionTrue, Reason: reasonRescaled,
			Message:            fmt.Sprintf("%s was scaled to %d replicas", a.Target, rec.Desired),
			ObservedGeneration: a.Generation, LastTransitionTime: metav1.NewTime(rec.At),
		})
	case o.failed():
		meta.SetStatusCondition(&next.Conditions, metav1.Condition{
			Type: v1alpha1.ConditionAbleToScale, Status: metav1.ConditionFalse, Reason: reasonUpdateFailed, Message: o.Err.Error(),
			ObservedGeneration: a.Generation, LastTransitionTime: metav1.NewTime(rec.At),
		})
	}
	next.ReplicasSummary = record.ReplicasSummary(next.CurrentReplicas, next.DesiredReplicas)
	return next
}

// difference is the weightiest one between two statuses.
type difference int

const (
	same    difference = iota // a decision that was made later, from later samples, is no difference
	values                    // values and sentences
	history                   // what the next decision goes on from
	state                     // what a person would call another state
)

// differs compares two statuses.
func differs(old, next *v1alpha1.AutoscalerStatus) difference {
	if outline(old) != outline(next) {
		return state
	}
	a, b := old.DeepCopy(), next.DeepCopy()
	if !apiequality.Semantic.DeepEqual(lasting(a.History), lasting(b.History)) {
		return history
	}
	for _, s := range []*v1alpha1.AutoscalerStatus{a, b} {
		s.History = &v1alpha1.AutoscalerHistory{LastGood: lastGood(s.History)}
		if s.LastDecision == nil {
			continue
		}
		s.LastDecision.Time = metav1.MicroTime{}
		for i := range s.LastDecision.Metrics {
			s.LastDecision.Metrics[i].OldestSample = nil
		}
	}
	if !apiequality.Semantic.DeepEqual(a, b) {
		return values
	}
	return same
}

// lasting returns what makes a history another one. The newest recommendation moves with every decision, and so does what a
// metric last asked for while it can be computed.
func lasting(h *v1alpha1.AutoscalerHistory) v1alpha1.AutoscalerHistory {
	if h == nil {
		return v1alpha1.AutoscalerHistory{}
	}
	out := v1alpha1.AutoscalerHistory{Recommendations: slices.Clone(h.Recommendations), Ups: h.Ups, Downs: h.Downs, LastGood: slices.Clone(h.LastGood)}
	if n := len(out.Recommendations); n > 0 {
		out.Recommendations[n-1].Time = metav1.MicroTime{}
	}
	for i := range out.LastGood {
		out.LastGood[i].Time = metav1.MicroTime{}
	}
	return out
}

func lastGood(h *v1alpha1.AutoscalerHistory) []v1alpha1.HistoryProposal {
	if h == nil {
		return nil
	}
	return h.LastGood
}

// outline is what a person would call another state.
func outline(s *v1alpha1.AutoscalerStatus) string {
	parts := []any{s.ObservedGeneration, s.CurrentReplicas, s.DesiredReplicas, len(s.LastChanges)}
	if len(s.LastChanges) > 0 {
		parts = append(parts, s.LastChanges[0].Time)
	}
	if s.LastDecision != nil {
		parts = append(parts, s.LastDecision.Reason)
	}
	for _, c := range s.Conditions {
		if c.Reason == reasonRescaled { // said of one decision, and no longer of the next
			c.Reason = hpa.CondReadyForNewScale
		}
		parts = append(parts, c.Type, c.Status, c.Reason)
	}
	return fmt.Sprintln(parts...)
}

// repairZero says that a decision took the target to zero, where the write that said so was lost: at zero nothing is decided about
// any other.
func repairZero(next *v1alpha1.AutoscalerStatus, o *Outcome) {
	rec := &o.Recommendation
	if rec.Current != 0 || rec.Change() || rec.Reason == hpa.ReasonScalingDisabled {
		return
	}
	meta.SetStatusCondition(&next.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionScaledToZero, Status: metav1.ConditionTrue, Reason: hpa.CondScaledToZero, Message: "the metrics ask for no replica",
		ObservedGeneration: o.Autoscaler.Generation, LastTransitionTime: metav1.NewTime(rec.At),
	})
}

// sayLimited emits an event when another limit begins to hold the number.
func (w *Writer) sayLimited(a *v1alpha1.Autoscaler, old, next *v1alpha1.AutoscalerStatus) {
	was := meta.FindStatusCondition(old.Conditions, v1alpha1.ConditionScalingLimited)
	is := meta.FindStatusCondition(next.Conditions, v1alpha1.ConditionScalingLimited)
	if is == nil || is.Status != metav1.ConditionTrue || was != nil && was.Status == is.Status && was.Reason == is.Reason {
		return
	}
	w.say(a, corev1.EventTypeNormal, eventScaleLimited, is.Reason+": "+is.Message)
}

// sayNoMetrics emits an event, once, when metrics have been away for noMetricsAfter.
func (w *Writer) sayNoMetrics(key string, a *v1alpha1.Autoscaler, next *v1alpha1.AutoscalerStatus, o *Outcome) {
	is := meta.FindStatusCondition(next.Conditions, v1alpha1.ConditionScalingActive)
	if is == nil || is.Status != metav1.ConditionFalse || !o.decided() || is.Reason == string(hpa.ReasonScalingDisabled) ||
		o.Recommendation.At.Sub(is.LastTransitionTime.Time) < noMetricsAfter {
		return
	}
	w.mu.Lock()
	last := w.reported[key]
	said := last.noMetricsSince.Equal(&is.LastTransitionTime)
	last.noMetricsSince = is.LastTransitionTime
	w.reported[key] = last
	w.mu.Unlock()
	if !said {
		w.say(a, corev1.EventTypeWarning, eventNoMetrics, is.Message)
	}
}

func (w *Writer) say(a *v1alpha1.Autoscaler, kind, reason, message string) {
	w.emit(reference(a), "", kind, reason, message)
}

func reference(a *v1alpha1.Autoscaler) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindAutoscaler, Namespace: a.Namespace, Name: a.Name, UID: a.UID,
		ResourceVersion: a.ResourceVersion,
	}
}
