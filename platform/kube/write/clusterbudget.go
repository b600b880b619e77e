package write

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/control"
)

// BudgetName is the ConfigMap in the controller's namespace in which the budget of the cluster is stored, under the key
// BudgetActions as JSON.
const (
	BudgetName    = "homeostat-budget"
	BudgetActions = "actions"
)

// maxQuoted bounds what an error quotes of a ConfigMap, which may have a megabyte, in bytes.
const maxQuoted = 80

// Spending is one action that was charged to the budget of the cluster.
type Spending struct {
	// ID of the remediation: the same remediation is charged once.
	ID string    `json:"id"`
	At time.Time `json:"at"`
}

// ClusterSpent reads what is charged to the budget of the cluster, oldest first; nothing where nothing was stored yet.
func (w *Writer) ClusterSpent(ctx context.Context, namespace string) ([]Spending, error) {
	_, spent, err := w.readBudget(ctx, namespace)
	return spent, err
}

// ChargeCluster takes one action from the budget of the cluster, and returns all that is charged then. What has left the period is
// dropped on the way. The same remediation is charged once. control.ErrBudget if nothing is left, control.ErrConflict if others
// were faster every time.
func (w *Writer) ChargeCluster(ctx context.Context, namespace string, b healing.ClusterBudget, id string, now time.Time) ([]Spending, error) {
	for range casAttempts {
		stored, spent, err := w.readBudget(ctx, namespace)
		if err != nil {
			return nil, err
		}
		spent, changed, err := Spend(spent, b, id, now)
		if err != nil || !changed {
			return spent, err
		}
		switch err := w.writeBudget(ctx, namespace, stored, spent); {
		case err == nil:
			return spent, nil
		case !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err):
			return nil, fmt.Errorf("charge budget of the cluster: %w", err)
		}
	}
	return nil, fmt.Errorf("charge budget of the cluster: %w", control.ErrConflict)
}

// Spend returns the list with one more action, without those that have left the period; changed is false where the remediation was
// charged within the period already. The list that is given is not changed.
func Spend(spent []Spending, b healing.ClusterBudget, id string, now time.Time) (list []Spending, changed bool, err error) {
	list = slices.DeleteFunc(slices.Clone(spent), func(s Spending) bool { return now.Sub(s.At) >= b.Period })
	if slices.ContainsFunc(list, func(s Spending) bool { return s.ID == id }) {
		return spent, false, nil
	}
	if len(list) >= int(b.Actions) {
		return list, false, fmt.Errorf("charge budget of the cluster: %d of %d actions are spent in %s: %w", len(list), b.Actions, b.Period, control.ErrBudget)
	}
	return append(list, Spending{ID: id, At: now.UTC()}), true, nil
}

// readBudget returns the ConfigMap too, nil where there is none.
func (w *Writer) readBudget(ctx context.Context, namespace string) (*corev1.ConfigMap, []Spending, error) {
	stored, err := w.core.CoreV1().ConfigMaps(namespace).Get(ctx, BudgetName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil, nil
	case err != nil:
		return nil, nil, fmt.Errorf("read budget of the cluster: %w", err)
	}
	var spent []Spending
	if text := stored.Data[BudgetActions]; text != "" {
		if err := json.Unmarshal([]byte(text), &spent); err != nil {
			// Nothing is done on a budget that is not known.
			return nil, nil, fmt.Errorf("read budget of the cluster: configmap %s/%s: data.%s: %q is not allowed (%s), it must be a JSON list "+
				`such as [{"id":"restart-1","at":"2026-01-02T15:04:05Z"}]; delete the ConfigMap to begin anew`,
				namespace, BudgetName, BudgetActions, cut(text, maxQuoted), cut(err.Error(), maxQuoted))
		}
	}
	return stored, spent, nil
}

func (w *Writer) writeBudget(ctx context.Context, namespace string, stored *corev1.ConfigMap, spent []Spending) error {
	text, err := json.Marshal(spent)
	if err != nil {
		return fmt.Errorf("write budget: %w", err)
	}
	maps := w.core.CoreV1().ConfigMaps(namespace)
	if stored == nil {
		_, err = maps.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: namespace, Name: BudgetName, Labels: map[string]string{"app.kubernetes.io/name": "homeostat", "app.kubernetes.io/part-of": "homeostat"},
			},
			Data: map[string]string{BudgetActions: string(text)},
		}, metav1.CreateOptions{FieldManager: FieldManager})
		return err //nolint:wrapcheck // the caller tells conflicts apart
	}
	stored = stored.DeepCopy()
	if stored.Data == nil {
		stored.Data = map[string]string{}
	}
	stored.Data[BudgetActions] = string(text)
	_, err = maps.Update(ctx, stored, metav1.UpdateOptions{FieldManager: FieldManager})
	return err //nolint:wrapcheck // the caller tells conflicts apart
}
