//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/incident"
)

// incidents returns the incidents of the namespace, oldest first.
func (s *space) incidents(ctx context.Context) ([]v1alpha1.Incident, error) {
	list, err := env.own.Incidents(s.name).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// awaitIncident waits for the one incident of a kind that check accepts, and returns it. An incident of a kind that is
// none of allowed (and not this one) fails the test at once.
func (s *space) awaitIncident(kind incident.Kind, limit time.Duration, check func(*v1alpha1.Incident) error, allowed ...incident.Kind) *v1alpha1.Incident {
	s.t.Helper()
	var found *v1alpha1.Incident
	s.await(fmt.Sprintf("incident %s", kind), limit, func(ctx context.Context) error {
		list, err := s.incidents(ctx)
		if err != nil {
			return err
		}
		last := fmt.Errorf("there is none among %d", len(list))
		for i := range list {
			in := &list[i]
			k := incident.Kind(in.Status.Finding)
			if k == kind {
				if last = check(in); last == nil {
					found = in
				} else {
					last = fmt.Errorf("%s: %w", in.Name, last)
				}
				continue
			}
			if !contains(allowed, k) {
				return never("an incident of another kind: %s", describeIncident(in))
			}
		}
		if found != nil {
			return nil
		}
		return last
	})
	return found
}

func contains[T comparable](list []T, v T) bool {
	return slices.Contains(list, v)
}

// inState accepts an incident that is in one of the states.
func inState(states ...incident.State) func(*v1alpha1.Incident) error {
	return func(in *v1alpha1.Incident) error {
		if !contains(states, incident.State(in.Status.State)) {
			return fmt.Errorf("is %s (%s: %s), want %q", in.Status.State, in.Status.Reason, in.Status.Message, states)
		}
		return nil
	}
}

// hasOutcome accepts an incident whose last remediation has the outcome.
func hasOutcome(o incident.Outcome) func(*v1alpha1.Incident) error {
	return func(in *v1alpha1.Incident) error {
		r := in.Status.Remediations
		if len(r) == 0 {
			return fmt.Errorf("has no remediation (%s: %s)", in.Status.Reason, in.Status.Message)
		}
		if last := r[len(r)-1]; last.Outcome != string(o) {
			return fmt.Errorf("the remediation is %s %s (%s), want %s", last.Outcome, last.Reason, last.Message, o)
		}
		return nil
	}
}

// evidence returns the pieces of a kind.
func evidence(in *v1alpha1.Incident, kind incident.EvidenceKind) []v1alpha1.IncidentEvidence {
	var out []v1alpha1.IncidentEvidence
	for _, e := range in.Status.Evidence {
		if e.Kind == string(kind) {
			out = append(out, e)
		}
	}
	return out
}

// logLines returns every line of every log in the incident.
func logLines(in *v1alpha1.Incident) string {
	var out []string
	for _, e := range evidence(in, incident.EvidenceLog) {
		out = append(out, e.Lines...)
	}
	return strings.Join(out, "\n")
}

// inOrder returns an error unless the timeline has the reasons in this order, others between them.
func inOrder(in *v1alpha1.Incident, reasons ...healing.Reason) error {
	next := 0
	for _, e := range in.Status.Timeline {
		if next < len(reasons) && e.Reason == string(reasons[next]) {
			next++
		}
	}
	if next < len(reasons) {
		return fmt.Errorf("the timeline lacks %s after %v:\n%s", reasons[next], reasons[:next], describeIncident(in))
	}
	return nil
}

// died returns an error unless the incident has a death with the exit code and the reason.
func died(in *v1alpha1.Incident, code int32, reason string) error {
	for _, e := range evidence(in, incident.EvidenceTermination) {
		if t := e.Termination; t != nil && t.ExitCode == code && t.Reason == reason {
			return nil
		}
	}
	return fmt.Errorf("no evidence of a death with exit code %d and reason %s:\n%s", code, reason, describeIncident(in))
}

// untouched fails the test unless no pod of the namespace was deleted or evicted, and no remediation is recorded.
func (s *space) untouched(in *v1alpha1.Incident) {
	s.t.Helper()
	if gone := s.history.deleted(); len(gone) > 0 {
		s.t.Errorf("pods were deleted: %s", s.history.pods())
	}
	if len(in.Status.Remediations) > 0 {
		s.t.Errorf("there are remediations:\n%s", describeIncident(in))
	}
}

// verify fails the test for each error that is not nil.
func (s *space) verify(errs ...error) {
	s.t.Helper()
	for _, err := range errs {
		if err != nil {
			s.t.Error(err)
		}
	}
}
