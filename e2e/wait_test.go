//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
)

// poll is the time between two looks.
const poll = 300 * time.Millisecond

// within looks until check returns nil. The error is the last one of check and names the limit.
func within(ctx context.Context, limit time.Duration, check func(context.Context) error) error {
	deadline := time.Now().Add(limit)
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if _, ok := errors.AsType[*finalError](err); ok {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s: %w", limit, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-time.After(poll):
		}
	}
}

// finalError is one that waiting does not mend.
type finalError struct{ error }

func never(format string, args ...any) error { return &finalError{fmt.Errorf(format, args...)} }

// await looks until check returns nil; if it does not, the test fails with the last error, and the end of the test shows
// everything in the namespace.
func (s *space) await(what string, limit time.Duration, check func(context.Context) error) {
	s.t.Helper()
	if err := within(s.t.Context(), limit, check); err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
}

// report shows what is in the namespace, for the log of a test that failed.
func (s *space) report(ctx context.Context) {
	var out strings.Builder
	if list, err := env.own.Incidents(s.name).List(ctx, metav1.ListOptions{}); err == nil {
		for i := range list.Items {
			out.WriteString(describeIncident(&list.Items[i]))
		}
	}
	if list, err := env.own.Autoscalers(s.name).List(ctx, metav1.ListOptions{}); err == nil {
		for i := range list.Items {
			out.WriteString(describeAutoscaler(&list.Items[i]))
		}
	}
	if list, err := env.kube.CoreV1().Pods(s.name).List(ctx, metav1.ListOptions{}); err == nil {
		for i := range list.Items {
			fmt.Fprintf(&out, "pod %s %s: %s\n", list.Items[i].Name, list.Items[i].UID, describePod(&list.Items[i]))
		}
	}
	fmt.Fprintf(&out, "pods seen: %s\n", s.history.pods())
	if list, err := env.kube.CoreV1().Events(s.name).List(ctx, metav1.ListOptions{}); err == nil {
		slices.SortFunc(list.Items, func(a, b corev1.Event) int { return a.LastTimestamp.Compare(b.LastTimestamp.Time) })
		for i := range list.Items {
			e := &list.Items[i]
			fmt.Fprintf(&out, "event %s %s/%s %s x%d: %s\n", e.LastTimestamp.Format(time.TimeOnly), e.InvolvedObject.Kind,
				e.InvolvedObject.Name, e.Reason, max(e.Count, 1), e.Message)
		}
	}
	out.WriteString(env.controllerLogs(ctx, s.name, 40))
	s.t.Logf("what is in namespace %s:\n%s", s.name, out.String())
}

func describePod(p *corev1.Pod) string {
	parts := []string{string(p.Status.Phase)}
	if p.DeletionTimestamp != nil {
		parts = append(parts, "is being deleted")
	}
	for i := range p.Status.Conditions {
		if c := &p.Status.Conditions[i]; c.Status != corev1.ConditionTrue || c.Type == corev1.DisruptionTarget {
			parts = append(parts, strings.TrimSpace(fmt.Sprintf("%s=%s %s", c.Type, c.Status, c.Message)))
		}
	}
	for i := range p.Status.ContainerStatuses {
		c := &p.Status.ContainerStatuses[i]
		text := fmt.Sprintf("%s %d restarts", c.Name, c.RestartCount)
		if w := c.State.Waiting; w != nil {
			text += ", waits: " + w.Reason + " " + w.Message
		}
		for _, t := range []*corev1.ContainerStateTerminated{c.State.Terminated, c.LastTerminationState.Terminated} {
			if t != nil {
				text += fmt.Sprintf(", died: %s %d", t.Reason, t.ExitCode)
			}
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

func describeIncident(in *v1alpha1.Incident) string {
	var out strings.Builder
	st := &in.Status
	fmt.Fprintf(&out, "incident %s: %s %s, %s: %s\n", in.Name, st.Finding, st.State, st.Reason, st.Cause)
	for i := range st.Timeline {
		e := &st.Timeline[i]
		fmt.Fprintf(&out, "  %s %s: %s\n", e.At.Format("15:04:05.000"), e.Reason, e.Message)
	}
	for _, o := range st.For {
		fmt.Fprintf(&out, "  for: %s\n", o)
	}
	for _, o := range st.Against {
		fmt.Fprintf(&out, "  against: %s\n", o)
	}
	for i := range st.Remediations {
		r := &st.Remediations[i]
		fmt.Fprintf(&out, "  remediation %s of %s (%s) by %s: %s %s: %s\n", r.ID, r.Replica, r.ReplicaUID, r.By, r.Outcome, r.Reason, r.Message)
	}
	for i := range st.Evidence {
		e := &st.Evidence[i]
		fmt.Fprintf(&out, "  evidence %s %s: %s (%d lines, %d points)\n", e.Kind, e.Replica, e.Message, len(e.Lines), len(e.Points))
	}
	return out.String()
}

func describeAutoscaler(a *v1alpha1.Autoscaler) string {
	var out strings.Builder
	st := &a.Status
	fmt.Fprintf(&out, "autoscaler %s: replicas %s, metrics %s\n", a.Name, st.ReplicasSummary, st.MetricsSummary)
	if d := st.LastDecision; d != nil {
		fmt.Fprintf(&out, "  %s %s: %s\n", d.Time.Format(time.TimeOnly), d.Reason, d.Message)
	}
	for i := range st.LastChanges {
		c := &st.LastChanges[i]
		fmt.Fprintf(&out, "  %s %d to %d, %s: %s\n", c.Time.Format(time.TimeOnly), c.From, c.To, c.Reason, c.Message)
	}
	for i := range st.Conditions {
		c := &st.Conditions[i]
		fmt.Fprintf(&out, "  %s=%s %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
	}
	return out.String()
}

func isReady(p *corev1.Pod) bool {
	for i := range p.Status.Conditions {
		if c := &p.Status.Conditions[i]; c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func restarts(p *corev1.Pod) int32 {
	n := int32(0)
	for i := range p.Status.ContainerStatuses {
		n += p.Status.ContainerStatuses[i].RestartCount
	}
	return n
}

// conditionIs returns an error unless the condition has the status and, where one is given, the reason.
func conditionIs(list []metav1.Condition, kind string, status metav1.ConditionStatus, reason string) error {
	c := meta.FindStatusCondition(list, kind)
	if c == nil {
		return fmt.Errorf("condition %s is missing", kind)
	}
	if c.Status != status || reason != "" && c.Reason != reason {
		return fmt.Errorf("condition %s is %s %s (%s), want %s %s", kind, c.Status, c.Reason, c.Message, status, reason)
	}
	return nil
}
