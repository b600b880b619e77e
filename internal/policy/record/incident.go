package record

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing/survey"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

// Incident returns the object that stores the incident, with its labels; the incident's Version is the resourceVersion
// to compare with. The workload's namespace is the object's: an incident is stored beside its workload; what a node and the cluster
// are about is in the controller's own, and they have none. An object above
// MaxBytes is made smaller: the oldest lines of the longest logs go first.
func Incident(in *incident.Incident) *v1alpha1.Incident {
	o := &v1alpha1.Incident{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindIncident},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: in.Namespace, Name: in.Name, ResourceVersion: in.Version,
			Labels: IncidentLabels(in.Workload, in.Kind),
		},
		Status: v1alpha1.IncidentStatus{
			Workload:     v1alpha1.WorkloadRef{Kind: in.Workload.Kind, Name: in.Workload.Name, UID: in.Workload.UID},
			Finding:      v1alpha1.FindingKind(in.Kind),
			State:        string(in.State),
			Policy:       in.Policy,
			Cause:        in.Cause,
			Confidence:   in.Confidence,
			For:          in.For,
			Against:      in.Against,
			OpenedAt:     microOrNone(in.OpenedAt),
			StartedAt:    microOrNone(in.StartedAt),
			LastSeenAt:   microOrNone(in.LastSeenAt),
			HealthySince: microOrNone(in.HealthySince),
			ResolvedAt:   microOrNone(in.ResolvedAt),
			Occurrences:  in.Occurrences,
			Reason:       in.Reason,
			Message:      in.Message,
			Subjects:     each(in.Subjects, fromSubject),
			Evidence:     each(in.Evidence, fromEvidence),
			Timeline:     each(in.Timeline, fromEntry),
			Remediations: each(in.Remediations, fromRemediation),
			Fingerprints: in.Fingerprints,

			ForgottenUntil: microOrNone(in.ForgottenUntil),

			Root: in.Root, Members: each(in.Members, fromMember), MemberCount: in.MemberCount,
			Forecast: fromForecast(in.Forecast), Proposal: in.Proposal,
		},
	}
	fit(o)
	return o
}

// ReadIncident returns the incident that the object stores. It shares slices of strings with it.
func ReadIncident(o *v1alpha1.Incident) incident.Incident {
	s := &o.Status
	return incident.Incident{
		Namespace:    o.Namespace,
		Name:         o.Name,
		Version:      o.ResourceVersion,
		Workload:     workloadOf(o),
		Kind:         incident.Kind(s.Finding),
		State:        incident.State(s.State),
		Policy:       s.Policy,
		Cause:        s.Cause,
		Confidence:   s.Confidence,
		For:          s.For,
		Against:      s.Against,
		OpenedAt:     timeOf(s.OpenedAt),
		StartedAt:    timeOf(s.StartedAt),
		LastSeenAt:   timeOf(s.LastSeenAt),
		HealthySince: timeOf(s.HealthySince),
		ResolvedAt:   timeOf(s.ResolvedAt),
		Occurrences:  s.Occurrences,
		Subjects:     each(s.Subjects, toSubject),
		Fingerprints: s.Fingerprints,

		ForgottenUntil: timeOf(s.ForgottenUntil),

		Evidence:     each(s.Evidence, toEvidence),
		Timeline:     each(s.Timeline, toEntry),
		Remediations: each(s.Remediations, toRemediation),
		Reason:       s.Reason,
		Message:      s.Message,

		Root: s.Root, Members: each(s.Members, toMember), MemberCount: s.MemberCount,
		Forecast: toForecast(s.Forecast), Proposal: s.Proposal,
	}
}

// workloadOf returns what the incident is about.
func workloadOf(o *v1alpha1.Incident) cluster.Ref {
	w := &o.Status.Workload
	ref := cluster.Ref{Kind: w.Kind, Namespace: o.Namespace, Name: w.Name, UID: w.UID}
	if ref.Kind == survey.KindNode || ref.Kind == survey.KindCluster {
		ref.Namespace = ""
	}
	return ref
}

// IncidentLabels returns the labels of an incident about that workload with that finding.
func IncidentLabels(w cluster.Ref, k incident.Kind) map[string]string {
	return map[string]string{
		v1alpha1.LabelWorkloadKind: LabelValue(w.Kind),
		v1alpha1.LabelWorkloadName: LabelValue(w.Name),
		v1alpha1.LabelFinding:      LabelValue(string(k)),
	}
}

// LabelValue returns s where it is a valid label value (at most 63 characters), else its beginning and a hash of all of
// it, which is the same every time.
func LabelValue(s string) string {
	if len(validation.IsValidLabelValue(s)) == 0 {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	var b strings.Builder
	for _, r := range s {
		if b.Len() >= 50 {
			break
		}
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || (b.Len() > 0 && strings.ContainsRune("-_.", r)) {
			b.WriteRune(r)
		}
	}
	if b.Len() > 0 {
		b.WriteByte('-')
	}
	b.WriteString(hex.EncodeToString(sum[:6]))
	return b.String()
}

func fromSubject(s *incident.Subject) v1alpha1.IncidentSubject {
	return v1alpha1.IncidentSubject{
		Replica: s.Replica, UID: s.UID, Node: s.Node, Container: s.Container, At: microOrNone(s.At), Restarts: s.Restarts, Deaths: s.Deaths,
	}
}

func toSubject(s *v1alpha1.IncidentSubject) incident.Subject {
	return incident.Subject{
		Replica: s.Replica, UID: s.UID, Node: s.Node, Container: s.Container, At: timeOf(s.At), Restarts: s.Restarts, Deaths: s.Deaths,
	}
}

func fromEntry(e *incident.Entry) v1alpha1.TimelineEntry {
	return v1alpha1.TimelineEntry{At: micro(e.At), Reason: e.Reason, Message: e.Message}
}

func toEntry(e *v1alpha1.TimelineEntry) incident.Entry {
	return incident.Entry{At: timeOf(&e.At), Reason: e.Reason, Message: e.Message}
}

func fromPoint(p *metrics.Point) v1alpha1.UsagePoint {
	out := v1alpha1.UsagePoint{At: micro(p.At)}
	if p.CPUMilli != metrics.NotKnown {
		out.CPUMillis = &p.CPUMilli
	}
	if p.MemoryBytes != metrics.NotKnown {
		out.MemoryBytes = &p.MemoryBytes
	}
	return *out.DeepCopy() // the numbers are the object's own from here on
}

func toPoint(p *v1alpha1.UsagePoint) metrics.Point {
	out := metrics.Point{At: timeOf(&p.At), CPUMilli: metrics.NotKnown, MemoryBytes: metrics.NotKnown}
	if p.CPUMillis != nil {
		out.CPUMilli = *p.CPUMillis
	}
	if p.MemoryBytes != nil {
		out.MemoryBytes = *p.MemoryBytes
	}
	return out
}
