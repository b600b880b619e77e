package record

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

func fromRemediation(r *incident.Remediation) v1alpha1.Remediation {
	return v1alpha1.Remediation{
		ID: r.ID, Remedy: v1alpha1.Remedy(r.Remedy), Replica: r.Replica, ReplicaUID: r.ReplicaUID,
		Change: fromRemedyChange(&r.Change), Call: r.Call,
		IntendedAt: microOrNone(r.IntendedAt), AttemptedAt: microOrNone(r.AttemptedAt), FinishedAt: microOrNone(r.FinishedAt), Attempts: r.Attempts,
		By: r.By, Outcome: string(r.Outcome), Reason: r.Reason, Message: r.Message,
	}
}

func toRemediation(r *v1alpha1.Remediation) incident.Remediation {
	return incident.Remediation{
		ID: r.ID, Remedy: incident.Remedy(r.Remedy), Replica: r.Replica, ReplicaUID: r.ReplicaUID,
		Change: toRemedyChange(r.Change), Call: r.Call,
		IntendedAt: timeOf(r.IntendedAt), AttemptedAt: timeOf(r.AttemptedAt), FinishedAt: timeOf(r.FinishedAt), Attempts: r.Attempts,
		By: r.By, Outcome: incident.Outcome(r.Outcome), Reason: r.Reason, Message: r.Message,
	}
}

// fromRemedyChange returns nil for a remedy that changes no number.
func fromRemedyChange(c *incident.Change) *v1alpha1.RemediationChange {
	if *c == (incident.Change{}) {
		return nil
	}
	out := &v1alpha1.RemediationChange{
		Container: c.Container, FromMemoryBytes: c.FromMemory, ToMemoryBytes: c.ToMemory,
		FromReplicas: c.FromReplicas, ToReplicas: c.ToReplicas, FromRevision: c.FromRevision, ToRevision: c.ToRevision,
		Key: c.Key, Template: c.Template,
	}
	if c.Target != (cluster.Ref{}) {
		target := fromRef(c.Target)
		out.Target = &target
	}
	return out
}

func toRemedyChange(c *v1alpha1.RemediationChange) incident.Change {
	if c == nil {
		return incident.Change{}
	}
	out := incident.Change{
		Container: c.Container, FromMemory: c.FromMemoryBytes, ToMemory: c.ToMemoryBytes,
		FromReplicas: c.FromReplicas, ToReplicas: c.ToReplicas, FromRevision: c.FromRevision, ToRevision: c.ToRevision,
		Key: c.Key, Template: c.Template,
	}
	if c.Target != nil {
		out.Target = toRef(*c.Target)
	}
	return out
}

func fromRef(r cluster.Ref) v1alpha1.ObjectRef {
	return v1alpha1.ObjectRef{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name, UID: r.UID}
}

func toRef(r v1alpha1.ObjectRef) cluster.Ref {
	return cluster.Ref{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name, UID: r.UID}
}

func fromMember(m *incident.Member) v1alpha1.IncidentMember {
	return v1alpha1.IncidentMember{
		Workload: fromRef(m.Workload), Incident: m.Incident, Finding: v1alpha1.FindingKind(m.Kind), Since: microOrNone(m.Since),
	}
}

func toMember(m *v1alpha1.IncidentMember) incident.Member {
	return incident.Member{
		Workload: toRef(m.Workload), Incident: m.Incident, Kind: incident.Kind(m.Finding), Since: timeOf(m.Since),
	}
}

func fromForecast(f *incident.Forecast) *v1alpha1.MemoryForecast {
	if f == nil {
		return nil
	}
	out := &v1alpha1.MemoryForecast{
		At: microOrNone(f.At), OOMAt: microOrNone(f.OOMAt), Earliest: microOrNone(f.Earliest), Latest: microOrNone(f.Latest),
		MemoryBytes: f.Memory, LimitBytes: f.Limit, BytesPerSecond: decimal(f.Slope), Fit: decimal(f.Fit),
	}
	if f.Span != 0 {
		out.Span = &metav1.Duration{Duration: f.Span}
	}
	return out
}

func toForecast(f *v1alpha1.MemoryForecast) *incident.Forecast {
	if f == nil {
		return nil
	}
	out := &incident.Forecast{
		At: timeOf(f.At), OOMAt: timeOf(f.OOMAt), Earliest: timeOf(f.Earliest), Latest: timeOf(f.Latest),
		Memory: f.MemoryBytes, Limit: f.LimitBytes, Slope: ratio(f.BytesPerSecond), Fit: ratio(f.Fit),
	}
	if f.Span != nil {
		out.Span = f.Span.Duration
	}
	return out
}
