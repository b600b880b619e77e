package alerts

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

// The names of the alerts about decisions. NameMaxedOut is also that of the rule for Prometheus about the same.
const (
	NameScaled     = NamePrefix + "Scaled"     // a number of replicas was written
	NameMaxedOut   = NamePrefix + "MaxedOut"   // the metrics ask for more than maxReplicas, and go on doing so
	NameNotScaling = NamePrefix + "NotScaling" // the autoscaler is refused, or its numbers cannot be written
)

// The labels that only alerts about decisions have: the autoscaler's name, whose kind is LabelKind, and of NameScaled the decision's
// id, so that receivers tell one change from the next.
const (
	LabelName     = "name"
	LabelDecision = "decision"
)

// Decision is one pass over an autoscaler, as alerts tell of it.
type Decision struct {
	Autoscaler, Target cluster.Ref
	// ID is that of the decision (cluster.DecisionID) where its number was written, else empty.
	ID string
	// At is the time of the pass, and Period the least time between two of them; 0: there is none.
	At     time.Time
	Period time.Duration
	// Decided is true where the pass came to a number; Proposed is then what the metrics ask for, Desired what was decided.
	Decided                         bool
	Current, Proposed, Desired, Max int32
	// Reason and Message of the decision, or why there is none.
	Reason, Message string
	// Asking says which metric asks for the most, and how much; empty: none does.
	Asking string
	// DryRun is true where numbers are only recorded, and Paused where nothing is decided on purpose.
	DryRun, Paused bool
	// Stuck says why the target does not follow what is decided, where nothing else tells of it; empty: it does.
	Stuck string
}

// decisionAlert returns what the alerts about the decision have in common.
func decisionAlert(d *Decision, name, severity string, l *Links) Alert {
	return Alert{
		Labels: filled(map[string]string{
			LabelAlertname: name, LabelSeverity: severity, LabelNamespace: cmp.Or(d.Target.Namespace, d.Autoscaler.Namespace),
			LabelWorkloadKind: d.Target.Kind, LabelWorkload: d.Target.Name,
			LabelKind: d.Autoscaler.Kind, LabelName: d.Autoscaler.Name, LabelSource: Source,
		}),
		Annotations: map[string]string{AnnotationRunbook: l.runbook(name)},
	}
}

// scaledAlert is the alert of the change; a zero end: it fires.
func scaledAlert(d *Decision, ends time.Time, l *Links) Alert {
	a := decisionAlert(d, NameScaled, Info, l)
	a.ID, a.StartsAt, a.EndsAt = d.ID, d.At, ends
	a.Labels[LabelDecision] = d.ID
	a.Annotations[AnnotationSummary] = cut(fmt.Sprintf("%s: scaled from %d to %d replicas", d.Target, d.Current, d.Desired), maxSummary)
	a.Annotations[AnnotationDescription] = lines(
		d.Reason+": "+d.Message,
		"Written at "+clock(d.At)+" by "+d.Autoscaler.String(),
	)
	a.Annotations[AnnotationID] = d.ID
	a.Annotations[AnnotationDashboard] = l.autoscaling(d, d.At, time.Time{})
	a.Annotations = filled(a.Annotations)
	return a
}

// lastingAlert is the alert of a state that lasts since the given time; a zero end: it fires.
func lastingAlert(name string, s *lasting, ends time.Time, l *Links) Alert {
	d := &s.last
	a := decisionAlert(d, name, Warning, l)
	a.ID, a.StartsAt, a.EndsAt = name+" "+d.Autoscaler.String(), s.fires, ends
	since := "Since " + clock(s.since) + ", last seen " + clock(d.At) + ", by " + d.Autoscaler.String()
	dry := ""
	if d.DryRun {
		dry = "Its decisions are only recorded: Homeostat does not scale it"
	}
	var summary, text string
	if name == NameMaxedOut {
		summary = fmt.Sprintf("%s: %d replicas are asked for, maxReplicas is %d", d.Target, d.Proposed, d.Max)
		asking := ""
		if d.Asking != "" {
			asking = "Asked for by: " + d.Asking
		}
		text = lines(asking, since, fmt.Sprintf("Last decision, at %d replicas (%s): %s", d.Current, d.Reason, d.Message), dry)
	} else {
		summary = fmt.Sprintf("%s: %s does not scale it: %s", d.Target, d.Autoscaler, d.Stuck)
		text = lines("It keeps its number of replicas whatever the load is ("+d.Reason+"): "+d.Stuck, since)
	}
	a.Annotations[AnnotationSummary] = cut(oneLine(summary), maxSummary)
	a.Annotations[AnnotationDescription] = text
	a.Annotations[AnnotationID] = s.id
	a.Annotations[AnnotationDashboard] = l.autoscaling(d, s.since, ends)
	a.Annotations = filled(a.Annotations)
	return a
}

// lines is a description of the lines that are not empty.
func lines(all ...string) string {
	var out []string
	for _, s := range all {
		if s = oneLine(s); s != "" {
			out = append(out, s)
		}
	}
	return cut(strings.Join(out, "\n"), maxDescription)
}
