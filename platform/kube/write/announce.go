package write

import (
	"fmt"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/healing/survey"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// maxEventMessage is what the API server takes as an event's message (validation of core/v1 events), and maxEventLine how much of it
// a line of a log may take, in bytes.
const (
	maxEventMessage = 1024
	maxEventLine    = 256
)

// Announce emits an event about the incident on the object that the workload is (its kind and name, which for the runs
// of a CronJob are not those of the incident's workload) and on the incident itself. That of a new incident says how sure its cause is,
// and the line that tells most in the log. It does not block.
func (w *Writer) Announce(in *incident.Incident, workload cluster.Ref, uid string, reason healing.Reason, message string) {
	kind, id := eventType(reason), cluster.IncidentID(in.Namespace, in.Name)
	end := ""
	if reason == healing.ReasonOpened {
		end = findings(in)
	}
	if version := apiVersionOf(workload.Kind); version != "" {
		w.emit(&corev1.ObjectReference{
			APIVersion: version, Kind: workload.Kind, Namespace: workload.Namespace, Name: workload.Name, UID: types.UID(workload.UID),
		}, id, kind, string(reason), withEnd(message, end+" (incident "+in.Name+")"))
	}
	w.emit(&corev1.ObjectReference{
		APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindIncident, Namespace: in.Namespace, Name: in.Name, UID: types.UID(uid),
	}, id, kind, string(reason), withEnd(message, end))
}

// findings words what else is known of the incident at its beginning.
func findings(in *incident.Incident) string {
	out := ""
	if in.Confidence > 0 {
		out = fmt.Sprintf("; sure to %d %%", in.Confidence)
	}
	if line := in.TellingLine(); line != "" {
		out += "; its log: " + cut(line, maxEventLine)
	}
	return out
}

// withEnd returns the text with the end, which is whole whatever the length of the text.
func withEnd(text, end string) string { return cut(text, maxEventMessage-len(end)) + end }

// emit hands the event over, with the id of the decision or incident that it tells of as its annotation; empty: it has none. Events that say the same
// of the same object are one with a count, and then the annotation is the first one's.
func (w *Writer) emit(of *corev1.ObjectReference, id, kind, reason, message string) {
	var annotations map[string]string
	if id != "" {
		annotations = map[string]string{cluster.IDAnnotation: id}
	}
	w.events.AnnotatedEventf(of, annotations, kind, reason, "%s", shorten(message))
}

// eventType is Normal for what went as intended and Warning for everything else.
func eventType(r healing.Reason) string {
	switch r { //nolint:exhaustive // the others are warnings
	case healing.ReasonResolved, healing.ReasonRemediationStart, healing.ReasonSucceeded, healing.ReasonCarriedOut,
		healing.ReasonRecovered, healing.ReasonReplicaGone, healing.ReasonTakenOver:
		return corev1.EventTypeNormal
	default:
		return corev1.EventTypeWarning
	}
}

// apiVersionOf returns the version of a watched kind, empty for one that is only named.
func apiVersionOf(kind string) string {
	switch kind {
	case cluster.KindDeployment, cluster.KindReplicaSet, cluster.KindStatefulSet, cluster.KindDaemonSet:
		return "apps/v1"
	case cluster.KindJob, "CronJob":
		return "batch/v1"
	case cluster.KindPod, survey.KindNode:
		return "v1"
	default:
		return ""
	}
}

func shorten(s string) string { return cut(s, maxEventMessage) }

// cut returns at most n bytes of the text, whole letters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	end := n - len("…")
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
