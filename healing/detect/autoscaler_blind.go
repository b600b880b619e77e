package detect

import (
	"strings"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/incident"
)

// blindFor is how long an autoscaler may be without its metrics: eight of its loops (15 s), which a restart of the metrics
// server or of the replicas takes.
const blindFor = 2 * time.Minute

// autoscalerBlind finds an autoscaler that cannot compute a number of replicas, so that the workload follows no load. One
// that was switched off on purpose (ScalingDisabled, a pause) is none.
func autoscalerBlind(l *Look, _ []incident.Finding) (incident.Finding, bool) {
	s := l.Workload.Scaler
	if !l.owned() || s == nil || s.Active == nil || s.Active.Status != "False" {
		return incident.Finding{}, false
	}
	why := blindness(s.Active.Reason)
	if why == "" || s.Active.Since.IsZero() || l.Now.Sub(s.Active.Since) <= blindFor {
		return incident.Finding{}, false
	}
	f := incident.Finding{
		Since: s.Active.Since, Active: true, Confidence: 95,
		Fingerprint: l.workloadPrint("AutoscalerBlind", s.Ref.Kind, s.Ref.Name, stamp(s.Active.Since)),
		Message:     strings.ToLower(s.Ref.Kind) + " " + s.Ref.Name + " does not scale " + l.Workload.Ref.Name + ": " + why,
		For:         []string{"its condition ScalingActive is False with the reason " + s.Active.Reason},
	}
	if s.Active.Message != "" {
		f.Message += ": " + phrase.Cut(s.Active.Message, quoted)
	}
	return f, true
}

// blindness words a reason of the condition ScalingActive by which the autoscaler cannot work, of Kubernetes 1.36 and of
// Homeostat; empty for any other reason.
func blindness(reason string) string {
	switch reason {
	case "FailedGetResourceMetric", "FailedGetContainerResourceMetric":
		return "the use of its pods cannot be read"
	case "FailedGetPodsMetric":
		return "a metric of its pods cannot be read"
	case "FailedGetObjectMetric":
		return "a metric of an object cannot be read"
	case "FailedGetExternalMetric":
		return "an external metric cannot be read"
	case "InvalidSelector":
		return "the pods that belong to it cannot be told"
	case "AmbiguousSelector":
		return "its pods belong to another autoscaler too"
	case "InvalidMetricSourceType":
		return "the type of a metric is not known"
	case "NoMetrics", "InvalidMetrics":
		return "a metric cannot be computed"
	}
	if strings.HasPrefix(reason, "Failed") || strings.HasPrefix(reason, "Invalid") {
		return phrase.Cut(reason, 80)
	}
	return ""
}
