package alerts

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/incident"
)

// The labels of an alert.
const (
	LabelAlertname    = "alertname" // NamePrefix and the kind
	LabelSeverity     = "severity"
	LabelNamespace    = "namespace"
	LabelWorkloadKind = "workload_kind"
	LabelWorkload     = "workload"
	LabelContainer    = "container" // left out where the incident is about whole replicas
	LabelKind         = "kind"
	LabelSource       = "source"
)

// The annotations of an alert. Those that have nothing to say are left out.
const (
	AnnotationSummary     = "summary"
	AnnotationDescription = "description"
	AnnotationLog         = "log"
	AnnotationDone        = "done"
	AnnotationMembers     = "members"
	AnnotationID          = "id"
	AnnotationRunbook     = "runbook_url"
	AnnotationLogs        = "logs_url"
	AnnotationDashboard   = "dashboard_url"
)

// NamePrefix begins the name of every alert.
const NamePrefix = "Homeostat"

// Source is the value of the label source.
const Source = "homeostat"

// The severities.
const (
	Critical = "critical" // a person is needed: nothing more is tried, or nothing is acted on at all
	Warning  = "warning"  // something fails, and is dealt with or watched
	Info     = "info"     // nothing fails now: a forecast, or what happened to a replica that is replaced
)

// Alert is one incident or decision as receivers see it. The maps are shared and never changed.
type Alert struct {
	// ID is the incident's "namespace/name", the id of a decision that scaled, or the name of a state with whose it is.
	ID          string
	Labels      map[string]string
	Annotations map[string]string
	// StartsAt is when the alert began, with these labels; EndsAt when it ended, zero while it fires.
	StartsAt time.Time
	EndsAt   time.Time
}

// Ended reports whether the alert does not fire any more.
func (a *Alert) Ended() bool { return !a.EndsAt.IsZero() }

// Status returns "firing" or "resolved".
func (a *Alert) Status() string {
	if a.Ended() {
		return "resolved"
	}
	return "firing"
}

// Fingerprint returns 16 hexadecimal digits that are the same for the same labels: those that Alertmanager makes of them (FNV-1a
// of 64 bits over sorted names and values, each ended by the byte 255).
func (a *Alert) Fingerprint() string {
	h := fnv.New64a()
	for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
		_, _ = h.Write([]byte(name + "\xff" + a.Labels[name] + "\xff")) // a hash takes everything
	}
	return fmt.Sprintf("%016x", h.Sum64())
}

// key tells alerts of one incident with other labels apart, and incidents with the same labels too.
func (a *Alert) key() string { return a.ID + " " + a.Fingerprint() }

// FromIncident returns the alert of the incident at the time. That of an incident which follows from another one has ended: the
// root's alert lists it.
func FromIncident(in *incident.Incident, l Links, now time.Time) Alert {
	level, since := severity(in)
	a := Alert{
		ID:       in.Namespace + "/" + in.Name,
		StartsAt: since,
		Labels: filled(map[string]string{
			LabelAlertname: NamePrefix + string(in.Kind), LabelSeverity: level, LabelNamespace: in.Namespace,
			LabelWorkloadKind: in.Workload.Kind, LabelWorkload: in.Workload.Name, LabelContainer: in.Container(),
			LabelKind: string(in.Kind), LabelSource: Source,
		}),
	}
	switch {
	case !in.State.Active():
		a.EndsAt = in.ResolvedAt
	case in.Root != "":
		a.EndsAt = noted(in, "RootFound")
	}
	if over := !in.State.Active() || in.Root != ""; over && a.EndsAt.IsZero() {
		a.EndsAt = now
	}
	if a.Ended() && a.EndsAt.Before(a.StartsAt) {
		a.EndsAt = a.StartsAt
	}
	a.Annotations = filled(map[string]string{
		AnnotationSummary: summary(in), AnnotationDescription: description(in), AnnotationLog: logLines(in), AnnotationDone: done(in),
		AnnotationMembers: members(in), AnnotationID: a.ID,
		AnnotationRunbook: l.runbook(a.Labels[LabelAlertname]), AnnotationLogs: l.logs(in), AnnotationDashboard: l.dashboard(in),
	})
	return a
}

// severity returns how bad it is, and since when it has been. What became critical stays so until it is over, so that the alert
// does not come and go with each step.
func severity(in *incident.Incident) (level string, since time.Time) {
	helpless := slices.IndexFunc(in.Timeline, func(e incident.Entry) bool { return isHelpless(e.Reason) })
	switch {
	case helpless >= 0:
		return Critical, in.Timeline[helpless].At
	case in.State == incident.Abandoned, in.Kind == incident.Storm, isHelpless(in.Reason):
		return Critical, in.OpenedAt
	case !in.Kind.Failure():
		return Info, in.OpenedAt
	default:
		return Warning, in.OpenedAt
	}
}

// isHelpless reports whether the reason of a step says that Homeostat can do no more.
func isHelpless(reason string) bool {
	return reason == "LadderExhausted" || reason == "BudgetExhausted" || reason == "ClusterBudgetExhausted"
}

// noted returns when the newest entry with the reason was made; zero: there is none.
func noted(in *incident.Incident, reason string) time.Time {
	for _, e := range slices.Backward(in.Timeline) {
		if e.Reason == reason {
			return e.At
		}
	}
	return time.Time{}
}

func filled(m map[string]string) map[string]string {
	maps.DeleteFunc(m, func(_, v string) bool { return v == "" })
	return m
}

// common returns what all the maps have in common.
func common(list []Alert, of func(*Alert) map[string]string) map[string]string {
	if len(list) == 0 {
		return map[string]string{}
	}
	out := maps.Clone(of(&list[0]))
	for i := range list[1:] {
		other := of(&list[1+i])
		maps.DeleteFunc(out, func(k, v string) bool { w, has := other[k]; return !has || w != v })
	}
	return out
}

// braced writes labels as Alertmanager does: {a="b", c="d"}.
func braced(labels map[string]string) string {
	parts := make([]string, 0, len(labels))
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, name+"="+strconv.Quote(labels[name]))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// byUrgency sorts what fires first, then what began first.
func byUrgency(a, b *Alert) int {
	if a.Ended() != b.Ended() {
		if b.Ended() {
			return -1
		}
		return 1
	}
	return cmp.Or(a.StartsAt.Compare(b.StartsAt), cmp.Compare(a.ID, b.ID))
}
