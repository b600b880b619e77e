package kube

import (
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/record"
)

// taken are events that the API server took.
type taken struct {
	record.EventSink
	made int
}

func (s *taken) Create(e *corev1.Event) (*corev1.Event, error) { s.made++; return e, nil }

func (s *taken) Patch(e *corev1.Event, _ []byte) (*corev1.Event, error) { s.made++; return e, nil }

// Sixty changes of one autoscaler in a row are sixty events.
func TestEachScalingOfABusyAutoscalerHasItsEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, to := newBroadcaster(), &taken{}
		watch := b.StartRecordingToSink(to)
		r := b.NewRecorder(runtime.NewScheme(), corev1.EventSource{Component: component})
		for i := range 60 {
			r.Eventf(&corev1.ObjectReference{Kind: "Autoscaler", Namespace: "demo", Name: "web"}, corev1.EventTypeNormal, "Scaled", "to %d replicas", i)
			synctest.Wait()
		}
		watch.Stop()
		b.Shutdown()
		synctest.Wait()
		if to.made != 60 {
			t.Errorf("%d events were made, want 60", to.made)
		}
	})
}
