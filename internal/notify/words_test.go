package notify

import (
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/alerts"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/incident"
)

var (
	noObservation    hpa.Observation
	noHistory        hpa.History
	noRecommendation hpa.Recommendation
	noAction         healing.Action
	noResult         healing.Result
)

// TestAlertsKnowTheReasonsOfHealing verifies that package alerts, which may not import healing, means the same words.
func TestAlertsKnowTheReasonsOfHealing(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	of := func(r healing.Reason) alerts.Alert {
		in := incident.Incident{Kind: incident.OOMKilled, State: incident.Open, OpenedAt: at.Add(-time.Hour)}
		in.Note(at, string(r), "because")
		return alerts.FromIncident(&in, alerts.Links{}, at)
	}
	for _, r := range []healing.Reason{healing.ReasonLadderEnd, healing.ReasonBudgetExhausted, healing.ReasonClusterBudget} {
		if a := of(r); a.Labels[alerts.LabelSeverity] != alerts.Critical || !a.StartsAt.Equal(at) {
			t.Errorf("%s is %s since %s", r, a.Labels[alerts.LabelSeverity], a.StartsAt)
		}
	}
	for _, r := range []healing.Reason{
		healing.ReasonObserveOnly, healing.ReasonNoRemedy, healing.ReasonNotOwned, healing.ReasonProtected, healing.ReasonStaleSnapshot,
		healing.ReasonNoEvidence, healing.ReasonMinHealthy, healing.ReasonRollingOut, healing.ReasonCooldown, healing.ReasonBudgetExhausted,
		healing.ReasonAlreadyTried, healing.ReasonBlockedByPDB, healing.ReasonNodeNotReady, healing.ReasonBreakerOpen, healing.ReasonClusterBudget,
		healing.ReasonDependencyDown, healing.ReasonManagedElsewhere, healing.ReasonScaledElsewhere, healing.ReasonSizedElsewhere,
		healing.ReasonNotApplicable, healing.ReasonLowConfidence, healing.ReasonLadderEnd, healing.ReasonBlockedByBudget, healing.ReasonNotSupported,
		healing.ReasonForbidden,
	} {
		if got := of(r).Annotations[alerts.AnnotationDone]; !strings.Contains(got, "not done ("+string(r)+"): because") {
			t.Errorf("%s is no refusal: %q", r, got)
		}
	}
	for _, r := range []healing.Reason{healing.ReasonOpened, healing.ReasonSeenAgain, healing.ReasonSucceeded, healing.ReasonRootFound, healing.ReasonForecast} {
		if a := of(r); a.Annotations[alerts.AnnotationDone] != "Nothing was done." || a.Labels[alerts.LabelSeverity] != alerts.Warning {
			t.Errorf("%s is a refusal: %q", r, a.Annotations[alerts.AnnotationDone])
		}
	}
	in := incident.Incident{Kind: incident.OOMKilled, State: incident.Open, Root: "shop/db"}
	in.Note(at, string(healing.ReasonRootFound), "it follows")
	if a := alerts.FromIncident(&in, alerts.Links{}, at.Add(time.Hour)); !a.EndsAt.Equal(at) {
		t.Errorf("a member's alert ends at %s", a.EndsAt)
	}
}
