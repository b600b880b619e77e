package report

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// leak is an incident that has everything: a forecast, refusals, remedies on a replica and on the workload, a proposal.
func leak() incident.Incident {
	at := func(s int) time.Time { return now.Add(time.Duration(s) * time.Second) }
	return incident.Incident{
		Namespace: "demo", Name: "web-memoryleak-77", State: incident.Verifying, Kind: incident.MemoryLeak,
		Workload: cluster.Ref{Kind: "Deployment", Namespace: "demo", Name: "web"},
		Cause:    "memory of container app of web-1 grows by 1.1 MiB a minute, and load does not explain it", Confidence: 88,
		For: []string{"R² 0.97 over 35m0s"}, Against: []string{"a rollout was 40 min ago"},
		OpenedAt: at(-300), StartedAt: at(-2400), LastSeenAt: at(-10), Occurrences: 1,
		Subjects: []incident.Subject{{Replica: "web-1", Container: "app", At: at(-300)}},
		Forecast: &incident.Forecast{
			At: at(-10), OOMAt: at(3590), Earliest: at(3000), Latest: at(4200), Memory: 100 << 20, Limit: 128 << 20, Slope: 19000, Fit: 0.97, Span: 35 * time.Minute,
		},
		Evidence: []incident.Evidence{{
			Kind: incident.EvidenceLog, At: at(-299), Replica: "web-1", Container: "app", Message: "last 2 lines", Source: "kubelet", Lines: []string{"GET /cart 200", "cache holds 48211 entries"},
			Templates: []incident.LogTemplate{
				{Template: "cache holds <*> entries", Count: 12, Before: 0, Siblings: -1, Novelty: 95, Example: "cache holds 48211 entries"},
				{Template: "GET <*> <*>", Count: 900, Before: 4000, Siblings: 910, Novelty: 2, Example: "GET /cart 200"},
			},
		}},
		Timeline: []incident.Entry{
			{At: at(-300), Reason: "IncidentOpened", Message: "memory of container app of web-1 grows"},
			{At: at(-290), Reason: "MinHealthy", Message: "refused: 1 other replicas of 3 are ready, 2 must be (51 %)"},
			{At: at(-200), Reason: "MinHealthy", Message: "refused: 1 other replicas of 3 are ready, 2 must be (51 %)"},
			{At: at(-100), Reason: "RemediationStarted", Message: "restart all replicas of web one after the other"},
		},
		Remediations: []incident.Remediation{
			{Remedy: incident.RemedyCapture, Replica: "web-1", IntendedAt: at(-280), Outcome: incident.Done, Reason: "CarriedOut", Message: "heap profile, 12 lines", Call: "GET /api/v1/namespaces/demo/pods/web-1:6060/proxy/debug/pprof/heap"},
			{Remedy: incident.RemedyRestartWorkload, IntendedAt: at(-100), Outcome: incident.Done, Reason: "CarriedOut", Message: "rolling restart begun"},
		},
		Members:     []incident.Member{{Workload: cluster.Ref{Kind: "Deployment", Namespace: "demo", Name: "cart"}, Kind: incident.NotReady, Incident: "demo/cart-notready-1", Since: at(-50)}},
		MemberCount: 1,
		Proposal:    "# deployment demo/web: a higher limit\nspec:\n  template: {}\n",
		Reason:      "CarriedOut", Message: "rolling restart begun",
	}
}

func TestIncidentWithEverything(t *testing.T) {
	t.Parallel()
	golden(t, "incident_with_everything", func(w *bytes.Buffer) error { return Incident(w, leak(), now) })
}

// An incident may be days old, and a leak may reach its limit tomorrow: a time of day alone would be taken for today's.
func TestTimesOfAnotherDayHaveTheirDay(t *testing.T) {
	t.Parallel()
	in := leak()
	in.Timeline[0].At = now.Add(-26 * time.Hour)
	in.Forecast.OOMAt, in.Forecast.Latest = now.Add(22*time.Hour), now.Add(30*time.Hour)
	var out bytes.Buffer
	if err := Incident(&out, in, now); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"  2026-02-28 01:00:00  IncidentOpened", "out of memory at 2026-03-02 01:00:00 (in 22h0m), between 03:50:00 and 2026-03-02 09:00:00 with 90 %",
		"  02:58:20             RemediationStarted",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestPostmortem(t *testing.T) {
	t.Parallel()
	in := leak()
	in.For = append(in.For, "a `tick`, a | pipe and <b>")
	moments := append(MomentsOf(&in), Moment{At: now.Add(-40 * time.Minute), Kind: MomentRollout, Reason: "NewRevision", Message: "revision 3 (web-5d9c): image web:1.4 -> web:1.5"})
	golden(t, "postmortem", func(w *bytes.Buffer) error {
		return Postmortem(w, &in, moments, []string{"events may not be read"}, now)
	})
}

func TestTimelineOfOneWorkload(t *testing.T) {
	t.Parallel()
	in := leak()
	moments := append(MomentsOf(&in),
		Moment{At: now.Add(-26 * time.Hour), Kind: MomentRollout, Reason: "NewRevision", Message: "revision 3 (web-5d9c): image web:1.4 -> web:1.5"},
		Moment{At: now.Add(-3 * time.Minute), Kind: MomentEvent, Reason: "Unhealthy", Message: "Readiness probe failed", Object: "web-1"})
	moments = append(moments, MomentsOfChanges([]Change{{At: now.Add(-250 * time.Second), From: 2, To: 4, Reason: "CPU", Message: "cpu is at 81 % of 40 %"}})...)
	golden(t, "timeline", func(w *bytes.Buffer) error {
		return Timeline(w, in.Workload, moments, []string{"rollouts may not be read"}, now)
	})
	golden(t, "timeline_of_nothing", func(w *bytes.Buffer) error { return Timeline(w, in.Workload, nil, nil, now) })
}

// An incident is listed below its root, and none is lost, not even one whose root is gone or that is in a circle.
func TestIncidentsAreListedBelowTheirRoots(t *testing.T) {
	t.Parallel()
	one := func(name, root string) incident.Incident {
		return incident.Incident{Namespace: "demo", Name: name, Root: root, State: incident.Open, OpenedAt: now}
	}
	list := []incident.Incident{one("a", "demo/db"), one("b", "demo/gone"), one("x", "demo/y"), one("y", "demo/x"), one("db", ""), one("c", "demo/a")}
	var order []string
	for _, in := range underRoots(list) {
		order = append(order, in.Name)
	}
	if got := strings.Join(order, " "); got != "b db a c x y" {
		t.Errorf("the order is %s", got)
	}
}

func TestWhy(t *testing.T) {
	t.Parallel()
	ref := cluster.Ref{Kind: "Pod", Namespace: "demo", Name: "web-1"}
	death := &cluster.Termination{ExitCode: 137, Reason: "OOMKilled", FinishedAt: now.Add(-time.Minute)}
	pod := &cluster.Replica{Name: "web-1", Phase: cluster.PhaseRunning, Containers: []cluster.Container{
		{Name: "app", State: cluster.StateRunning, Restarts: 2, Last: death}, {Name: "proxy", State: cluster.StateRunning},
	}}
	killed := oom()
	killed.Subjects = []incident.Subject{{Replica: "web-1", Container: "app"}}
	evicted := oom()
	evicted.Remediations = []incident.Remediation{{Remedy: incident.RemedyRestart, Replica: "web-1", Outcome: incident.Succeeded}}
	blocked := oom()
	blocked.Remediations = []incident.Remediation{{Remedy: incident.RemedyRestart, Replica: "web-1", Outcome: incident.Blocked, Attempts: 3}}
	failed := oom()
	failed.Remediations = []incident.Remediation{{Remedy: incident.RemedyRestart, Replica: "web-1", Outcome: incident.Failed, Reason: "RemediationFailed", Attempts: 3}}
	gone := &cluster.Replica{Name: "web-1", Disruption: "PreemptionByScheduler", DisruptionMessage: "default-scheduler: preempting to accommodate a higher priority pod"}
	events := []cluster.Event{{Reason: "Killing", Message: "Stopping container app", First: now, Last: now}}
	for _, tt := range []struct {
		name string
		why  Why
		want string
	}{
		{"an incident knows the cause", Why{Exists: true, Pod: pod, Incidents: []incident.Incident{killed}}, "container app of web-1 was killed at its memory limit of 128Mi"},
		{"the status alone", Why{Exists: true, Pod: pod}, "container app of web-1 was restarted 2 times; the last life ended with exit code 137, reason OOMKilled"},
		{"what is found now comes first", Why{Exists: true, Pod: pod, Findings: []incident.Finding{{Message: "found now"}}, Incidents: []incident.Incident{killed}}, "found now"},
		{"it never restarted", Why{Exists: true, Pod: &cluster.Replica{Containers: []cluster.Container{{Name: "app"}}}}, "pod web-1 has not restarted: it runs since it was created"},
		{
			"it did not start yet",
			Why{Exists: true, Pod: &cluster.Replica{Phase: cluster.PhasePending, Containers: []cluster.Container{{Name: "app", State: cluster.StateWaiting, WaitingReason: "ContainerCreating"}}}},
			"pod web-1 has not started yet: container app waits (ContainerCreating)",
		},
		{"no node has it yet", Why{Exists: true, Pod: &cluster.Replica{Phase: cluster.PhasePending}}, "pod web-1 has not started yet"},
		{"it ended and is not restarted", Why{Exists: true, Pod: &cluster.Replica{Phase: cluster.PhaseFailed, Containers: []cluster.Container{
			{Name: "app", State: cluster.StateTerminated, Terminated: &cluster.Termination{ExitCode: 3, Reason: "Error", FinishedAt: now}},
		}}}, "pod web-1 has ended (Failed) and is not started again: container app ended with exit code 3, reason Error"},
		{
			"it was refused by its node",
			Why{Exists: true, Pod: &cluster.Replica{Phase: cluster.PhaseFailed, Reason: "NodeAffinity", Message: "Predicate NodeAffinity failed"}},
			"pod web-1 has ended (Failed) and is not started again: NodeAffinity: Predicate NodeAffinity failed",
		},
		{
			"the status forgot how it ended",
			Why{Exists: true, Pod: &cluster.Replica{Phase: cluster.PhaseRunning, Containers: []cluster.Container{{Name: "app", State: cluster.StateRunning, Restarts: 3}}}},
			"container app of web-1 was restarted 3 times; how its last life ended is not known any more",
		},
		{"we did it", Why{Incidents: []incident.Incident{evicted}}, "Homeostat evicted pod web-1 for incident web-oomkilled-1a2b: container app of web-1 was killed at its memory limit of 128Mi"},
		{"we tried and were refused", Why{Exists: true, Pod: pod, Incidents: []incident.Incident{blocked}}, "container app of web-1 was restarted 2 times; the last life ended with exit code 137, reason OOMKilled"},
		{"our call failed", Why{Incidents: []incident.Incident{failed}}, "pod web-1 is gone; the last that is known of it: container app of web-1 was killed at its memory limit of 128Mi"},
		{"it was another pod of that name", Why{Exists: true, Pod: pod, Incidents: []incident.Incident{evicted}}, "container app of web-1 was restarted 2 times; the last life ended with exit code 137, reason OOMKilled"},
		{"the scheduler did it", Why{Exists: true, Pod: gone}, "pod web-1 was preempted by the scheduler for a pod of higher priority: default-scheduler: preempting to accommodate a higher priority pod"},
		{"gone with an event", Why{Events: events}, "pod web-1 is gone; its last event was Killing: Stopping container app"},
		{"it may be there", Why{Unseen: true, Incidents: []incident.Incident{killed}}, "the last that is known of web-1: container app of web-1 was killed at its memory limit of 128Mi"},
		{"it may be there, with an event", Why{Unseen: true, Events: events}, "no incident names web-1; its last event was Killing: Stopping container app"},
		{"it may be there, nothing known", Why{Unseen: true}, "nothing is known of web-1: no incident and no event names it"},
		{"gone for good", Why{}, "pod web-1 does not exist, and nothing is known of it: no incident names it, and its events are gone (they are kept for an hour)"},
	} {
		tt.why.Replica = ref
		if got := tt.why.Answer(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	y := Why{Replica: ref, Exists: true, Pod: pod, Incidents: []incident.Incident{killed}, Events: events, Notes: []string{"a note"}}
	golden(t, "why", func(w *bytes.Buffer) error { return ExplainPod(w, &y, now) })
}
