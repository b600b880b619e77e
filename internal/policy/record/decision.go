package record

import (
	"strconv"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
)

// Decision returns the recommendation as an Autoscaler's status keeps it. Its conditions are not in it; SetConditions
// writes those.
func Decision(rec *hpa.Recommendation) *v1alpha1.Decision {
	return &v1alpha1.Decision{
		Time: micro(rec.At), Current: rec.Current, Proposed: rec.Proposed, Desired: rec.Desired,
		Reason: string(rec.Reason), Message: rec.Message,
		Metrics: each(rec.Metrics, fromProposal),
		Steps: each(rec.Steps, func(s *hpa.Step) v1alpha1.DecisionStep {
			return v1alpha1.DecisionStep{Name: string(s.Name), Before: s.Before, After: s.After, Reason: string(s.Reason), Message: s.Message, Cause: s.Cause}
		}),
	}
}

// Recommendation returns the last decision that the status keeps, with its conditions; ok is false where there was none.
// Ratios and pressures have at most four decimals then.
func Recommendation(s *v1alpha1.AutoscalerStatus) (rec hpa.Recommendation, ok bool) {
	d := s.LastDecision
	if d == nil {
		return hpa.Recommendation{}, false
	}
	rec = hpa.Recommendation{
		At: timeOf(&d.Time), Current: d.Current, Proposed: d.Proposed, Desired: d.Desired,
		Reason: hpa.Reason(d.Reason), Message: d.Message,
		Metrics: each(d.Metrics, toProposal),
		Steps: each(d.Steps, func(s *v1alpha1.DecisionStep) hpa.Step {
			return hpa.Step{Name: hpa.StepName(s.Name), Before: s.Before, After: s.After, Reason: hpa.Reason(s.Reason), Message: s.Message, Cause: s.Cause}
		}),
	}
	for _, c := range Conditions(s.Conditions) {
		if c.Type != v1alpha1.ConditionAccepted {
			rec.Conditions = append(rec.Conditions, c)
		}
	}
	return rec, true
}

// Conditions returns every condition of a status, in its order.
func Conditions(list []metav1.Condition) []hpa.Condition {
	return each(list, func(c *metav1.Condition) hpa.Condition {
		return hpa.Condition{Type: c.Type, Status: c.Status == metav1.ConditionTrue, Reason: c.Reason, Message: c.Message}
	})
}

// SetConditions sets the recommendation's conditions among list; a transition's time is the decision's. It reports
// whether anything changed.
func SetConditions(list *[]metav1.Condition, rec *hpa.Recommendation, generation int64) bool {
	changed := false
	for _, c := range rec.Conditions {
		status := metav1.ConditionFalse
		if c.Status {
			status = metav1.ConditionTrue
		}
		if meta.SetStatusCondition(list, metav1.Condition{
			Type: c.Type, Status: status, Reason: c.Reason, Message: c.Message,
			ObservedGeneration: generation, LastTransitionTime: metav1.NewTime(rec.At),
		}) {
			changed = true
		}
	}
	return changed
}

// ReplicasSummary returns "2", or "2→4" where desired differs from current.
func ReplicasSummary(current, desired int32) string {
	s := strconv.FormatInt(int64(current), 10)
	if desired != current {
		s += "→" + strconv.FormatInt(int64(desired), 10)
	}
	return s
}

// AddChange returns the changes with the autoscaler's recommendation in front, at most v1alpha1.MaxLastChanges.
func AddChange(changes []v1alpha1.ScaleChange, autoscaler cluster.Ref, rec *hpa.Recommendation) []v1alpha1.ScaleChange {
	first := v1alpha1.ScaleChange{
		Time: micro(rec.At), From: rec.Current, To: rec.Desired, Reason: string(rec.Reason), Message: rec.Message,
		ID: cluster.DecisionID(autoscaler, rec.At, rec.Current, rec.Desired),
	}
	out := append(make([]v1alpha1.ScaleChange, 0, len(changes)+1), first)
	out = append(out, changes...)
	return out[:min(len(out), v1alpha1.MaxLastChanges)]
}

func fromProposal(m *hpa.MetricProposal) v1alpha1.DecisionMetric {
	return v1alpha1.DecisionMetric{
		Source: fromSource(m.Metric.Source), From: m.From, Type: string(m.Metric.Type), Target: m.Metric.Target,
		Fallback: string(m.Fallback), LastGood: microOrNone(m.LastGood),
		Replicas: m.Replicas, Ratio: decimal(m.Ratio), AdjustedRatio: decimal(m.AdjustedRatio),
		Value: m.Value, Utilization: m.Utilization, CPUPressure: decimal(m.CPUPressure), WithinTolerance: m.WithinTolerance,
		Ready: m.Ready, ReadyFirst: m.ReadyFirst, Unready: fromNames(m.Unready), Missing: fromNames(m.Missing), Ignored: fromNames(m.Ignored),
		Error: m.Err, ErrorReason: m.ErrReason, Message: m.Message, OldestSample: microOrNone(m.Oldest),
	}
}

func toProposal(m *v1alpha1.DecisionMetric) hpa.MetricProposal {
	return hpa.MetricProposal{
		Metric: hpa.Metric{Source: toSource(&m.Source), Type: hpa.TargetType(m.Type), Target: m.Target},
		From:   m.From, Fallback: hpa.FallbackType(m.Fallback), LastGood: timeOf(m.LastGood),
		Replicas: m.Replicas, Ratio: ratio(m.Ratio), AdjustedRatio: ratio(m.AdjustedRatio),
		Value: m.Value, Utilization: m.Utilization, CPUPressure: ratio(m.CPUPressure), WithinTolerance: m.WithinTolerance,
		Ready: m.Ready, ReadyFirst: m.ReadyFirst, Unready: toNames(m.Unready), Missing: toNames(m.Missing), Ignored: toNames(m.Ignored),
		Err: m.Error, ErrReason: m.ErrorReason, Message: m.Message, Oldest: timeOf(m.OldestSample),
	}
}

func fromNames(n hpa.Names) *v1alpha1.ReplicaNames {
	if n.Count == 0 && len(n.First) == 0 {
		return nil
	}
	return &v1alpha1.ReplicaNames{Count: n.Count, First: n.First}
}

func toNames(n *v1alpha1.ReplicaNames) hpa.Names {
	if n == nil {
		return hpa.Names{}
	}
	return hpa.Names{Count: n.Count, First: n.First}
}
