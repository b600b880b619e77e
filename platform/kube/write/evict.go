package write

import (
	"context"
	"errors"
	"fmt"
	"strings"

	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
)

// Carry carries out the action: a restart is one eviction through the Eviction API, with the replica's UID as its
// precondition. It is never a deletion and never forced. It is safe to call again: a pod that is gone, or whose name
// another one has, is done.
func (w *Writer) Carry(ctx context.Context, a healing.Action) healing.Result {
	if a.Remedy != incident.RemedyRestart {
		return failed(fmt.Sprintf("remedy %q is not known here", a.Remedy))
	}
	if a.ReplicaUID == "" {
		return failed(errNoIdentity.Error())
	}
	uid := types.UID(a.ReplicaUID)
	// The typed client would try again by itself after a 429 that says when: a refusal is an outcome, and the next try
	// is decided anew.
	err := w.core.CoreV1().RESTClient().Post().Namespace(a.Workload.Namespace).Resource("pods").Name(a.Replica).
		SubResource("eviction").MaxRetries(0).Body(&policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: a.Workload.Namespace, Name: a.Replica},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}},
	}).Do(ctx).Error()
	return evicted(a, err)
}

// evicted reads the API server's answer as the Eviction API documents it: 429 is a PodDisruptionBudget (or the server
// asking for patience), 500 a pod with several budgets, 409 a precondition that does not hold, 404 no such pod.
func evicted(a healing.Action, err error) healing.Result {
	switch {
	case err == nil:
		return healing.Result{
			Outcome: incident.Done, Reason: healing.ReasonCarriedOut,
			Message: fmt.Sprintf("pod %s was evicted; its owner makes a fresh one", a.Replica),
		}
	case apierrors.IsNotFound(err), apierrors.IsConflict(err) && strings.Contains(err.Error(), "UID"):
		return healing.Result{
			Outcome: incident.Done, Reason: healing.ReasonReplicaGone,
			Message: fmt.Sprintf("pod %s (UID %s) is gone already", a.Replica, a.ReplicaUID),
		}
	case apierrors.IsTooManyRequests(err), severalBudgets(err):
		return healing.Result{
			Outcome: incident.Blocked, Reason: healing.ReasonBlockedByPDB,
			Message: fmt.Sprintf("eviction of pod %s was refused: %s", a.Replica, details(err)),
		}
	default:
		return failed(fmt.Sprintf("evict pod %s: %s", a.Replica, details(err)))
	}
}

// severalBudgets tells the refusal of a pod with more than one PodDisruptionBudget from a server that is broken.
func severalBudgets(err error) bool {
	return apierrors.IsInternalError(err) && strings.Contains(err.Error(), "PodDisruptionBudget")
}

// details returns the server's message with its causes, which name the PodDisruptionBudget and its numbers.
func details(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return err.Error()
	}
	s := status.Status()
	parts := []string{s.Message}
	if s.Details != nil {
		for _, c := range s.Details.Causes {
			if c.Message != "" && !strings.Contains(s.Message, c.Message) {
				parts = append(parts, c.Message)
			}
		}
	}
	return strings.Join(parts, " ")
}

func failed(message string) healing.Result {
	return healing.Result{Outcome: incident.Failed, Reason: healing.ReasonFailed, Message: message}
}
