package write

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
)

// casAttempts bounds how often a compare-and-swap is tried again after somebody else was faster.
const casAttempts = 4

// errNoPolicy says that there is no place to store a budget.
var errNoPolicy = errors.New("the default policy has no stored budget, so that nothing may be done under it")

// BudgetKey names a workload in the stored budgets of a policy: kind/name.
func BudgetKey(w cluster.Ref) string { return strings.ToLower(w.Kind) + "/" + w.Name }

// Spent returns the times of the actions that the policy's status charges to the workload within the period, oldest
// first.
func Spent(policy *v1alpha1.HealingPolicy, workload cluster.Ref) []time.Time {
	for i := range policy.Status.Budgets {
		b := &policy.Status.Budgets[i]
		if b.Workload != BudgetKey(workload) {
			continue
		}
		out := make([]time.Time, 0, len(b.Actions))
		for _, a := range b.Actions {
			out = append(out, a.At.Time)
		}
		return out
	}
	return nil
}

// Charge takes one action from the workload's budget, which is stored in the status of the HealingPolicy, and returns
// the policy as it is stored then. What has left the period is dropped on the way. The same remediation is charged once.
// control.ErrBudget if nothing is left, control.ErrConflict if others were faster every time.
func (w *Writer) Charge(ctx context.Context, p healing.Policy, workload cluster.Ref, remediationID string, now time.Time) (*v1alpha1.HealingPolicy, error) {
	if p.Name == "" {
		return nil, fmt.Errorf("charge budget of %s: %w", workload, errNoPolicy)
	}
	policies := w.own.HealingPolicies(p.Namespace)
	for range casAttempts {
		stored, err := policies.Get(ctx, p.Name, metav1.GetOptions{})
		if err != nil {
			return nil, fmt.Errorf("charge budget of %s: %w", workload, err)
		}
		changed, err := charge(stored, p, workload, remediationID, now)
		if err != nil {
			return nil, err
		}
		if !changed {
			return stored, nil
		}
		stored, err = policies.UpdateStatus(ctx, stored, metav1.UpdateOptions{})
		switch {
		case err == nil:
			return stored, nil
		case !apierrors.IsConflict(err):
			return nil, fmt.Errorf("charge budget of %s: %w", workload, err)
		}
	}
	return nil, fmt.Errorf("charge budget of %s: %w", workload, control.ErrConflict)
}

// charge changes the policy's status in place; changed is false where the remediation is charged already.
func charge(stored *v1alpha1.HealingPolicy, p healing.Policy, workload cluster.Ref, id string, now time.Time) (changed bool, err error) {
	prune(stored, p.BudgetPeriod, now)
	key := BudgetKey(workload)
	i := slices.IndexFunc(stored.Status.Budgets, func(b v1alpha1.WorkloadBudget) bool { return b.Workload == key })
	if i < 0 {
		stored.Status.Budgets = append(stored.Status.Budgets, v1alpha1.WorkloadBudget{Workload: key})
		i = len(stored.Status.Budgets) - 1
	}
	b := &stored.Status.Budgets[i]
	if slices.ContainsFunc(b.Actions, func(a v1alpha1.SpentAction) bool { return a.ID == id }) {
		return false, nil
	}
	if len(b.Actions) >= int(p.BudgetActions) {
		return false, fmt.Errorf("charge budget of %s: %d of %d actions are spent in %s: %w",
			workload, len(b.Actions), p.BudgetActions, p.BudgetPeriod, control.ErrBudget)
	}
	b.Actions = append(b.Actions, v1alpha1.SpentAction{ID: id, At: metav1.NewMicroTime(now)})
	return true, nil
}

// prune drops the actions that have left the period, and the workloads without any.
func prune(stored *v1alpha1.HealingPolicy, period time.Duration, now time.Time) {
	for i := range stored.Status.Budgets {
		b := &stored.Status.Budgets[i]
		b.Actions = slices.DeleteFunc(b.Actions, func(a v1alpha1.SpentAction) bool { return now.Sub(a.At.Time) >= period })
	}
	stored.Status.Budgets = slices.DeleteFunc(stored.Status.Budgets, func(b v1alpha1.WorkloadBudget) bool { return len(b.Actions) == 0 })
}
