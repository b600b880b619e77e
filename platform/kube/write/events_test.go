package write

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/record"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/platform/kube/view"
)

// heard is a recorder that keeps kind, annotation and message of each event.
type heard struct {
	record.EventRecorder
	events []string
}

func (h *heard) AnnotatedEventf(of runtime.Object, annotations map[string]string, _, reason, format string, args ...any) {
	ref, _ := of.(*corev1.ObjectReference)
	h.events = append(h.events, ref.Kind+" "+reason+" "+annotations[cluster.IDAnnotation]+": "+fmt.Sprintf(format, args...))
}

func TestEventsHaveTheIDOfTheirChain(t *testing.T) {
	h := &heard{}
	w := &Writer{events: h}
	w.Announce(&incident.Incident{Namespace: "shop", Name: "web-oomkilled-1"}, cluster.Ref{Kind: cluster.KindDeployment, Namespace: "shop", Name: "web"}, "u1",
		healing.ReasonOpened, "killed at 100% of its limit")
	w.SayNative(&view.NativeHPA{}, corev1.EventTypeWarning, "FailedGetScale", "no scale")
	want := []string{
		"Deployment IncidentOpened shop/web-oomkilled-1: killed at 100% of its limit (incident web-oomkilled-1)",
		"Incident IncidentOpened shop/web-oomkilled-1: killed at 100% of its limit",
		"HorizontalPodAutoscaler FailedGetScale : no scale",
	}
	if diff := cmp.Diff(want, h.events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestTheEventOfANewIncidentTellsCauseAndLog verifies that who describes the workload reads why, and finds the incident, however long the
// sentence is.
func TestTheEventOfANewIncidentTellsCauseAndLog(t *testing.T) {
	h := &heard{}
	w := &Writer{events: h}
	in := &incident.Incident{Namespace: "shop", Name: "web-oomkilled-1", Confidence: 95, Evidence: []incident.Evidence{
		{Kind: incident.EvidenceLog, Lines: []string{"GET /", "cache is full:\n 128 MiB"}},
		{Kind: incident.EvidenceLog, Message: "no log: the container is gone"},
		{Kind: incident.EvidenceStatus, Message: "not ready"},
	}}
	web := cluster.Ref{Kind: cluster.KindDeployment, Namespace: "shop", Name: "web"}
	w.Announce(in, web, "u1", healing.ReasonOpened, "killed at its limit")
	in.Evidence[0].Templates = []incident.LogTemplate{{Template: "evicting <*>", Example: "evicting 7"}, {Template: "GET <*>", Example: "GET /"}}
	w.Announce(in, web, "u1", healing.ReasonOpened, strings.Repeat("x", 2000))
	w.Announce(in, web, "u1", healing.ReasonResolved, "resolved")
	const name, known = " shop/web-oomkilled-1: ", "; sure to 95 %; its log: evicting 7"
	want := []string{
		"Deployment IncidentOpened" + name + "killed at its limit; sure to 95 %; its log: cache is full: 128 MiB (incident web-oomkilled-1)",
		"Incident IncidentOpened" + name + "killed at its limit; sure to 95 %; its log: cache is full: 128 MiB",
		"Deployment IncidentOpened" + name + strings.Repeat("x", 1024-len("…"+known+" (incident web-oomkilled-1)")) + "…" + known + " (incident web-oomkilled-1)",
		"Incident IncidentOpened" + name + strings.Repeat("x", 1024-len("…"+known)) + "…" + known,
		"Deployment IncidentResolved" + name + "resolved (incident web-oomkilled-1)",
		"Incident IncidentResolved" + name + "resolved",
	}
	if diff := cmp.Diff(want, h.events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
