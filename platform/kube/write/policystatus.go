package write

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/internal/control"
)

// ReportPolicy writes into the HealingPolicy's status how many workloads it governs and whether its spec is accepted
// (invalid says why not, empty: it is), if that is not what cached shows. control.ErrConflict if somebody else was
// faster; the next time will do.
func (w *Writer) ReportPolicy(ctx context.Context, cached *v1alpha1.HealingPolicy, workloads int32, invalid string, now time.Time) error {
	obj := cached.DeepCopy()
	c := metav1.Condition{
		Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionTrue, Reason: reasonAccepted, Message: "the spec is valid",
		ObservedGeneration: cached.Generation, LastTransitionTime: metav1.NewTime(now),
	}
	if invalid != "" {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, string(control.ReasonInvalidSpec), invalid
	}
	changed := meta.SetStatusCondition(&obj.Status.Conditions, c)
	if !changed && obj.Status.WatchedWorkloads == workloads && obj.Status.ObservedGeneration == cached.Generation {
		return nil
	}
	obj.Status.WatchedWorkloads, obj.Status.ObservedGeneration = workloads, cached.Generation
	_, err := w.own.HealingPolicies(cached.Namespace).UpdateStatus(ctx, obj, metav1.UpdateOptions{})
	switch {
	case err == nil:
		return nil
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return fmt.Errorf("write status of healingpolicy %s/%s: %w", cached.Namespace, cached.Name, control.ErrConflict)
	default:
		return fmt.Errorf("write status of healingpolicy %s/%s: %w", cached.Namespace, cached.Name, err)
	}
}
