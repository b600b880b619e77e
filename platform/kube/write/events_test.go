package write

import (
	"fmt"
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
