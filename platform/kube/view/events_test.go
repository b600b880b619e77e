package view

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/homeostat/homeostat/internal/cluster"
)

func event(kind, name, uid, reason string, count int32, last time.Time) *corev1.Event {
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: "shop", Name: name + "." + reason, UID: types.UID(name + reason)},
		InvolvedObject: corev1.ObjectReference{Kind: kind, Namespace: "shop", Name: name, UID: types.UID(uid)},
		Type:           corev1.EventTypeWarning, Reason: reason, Message: "m", Count: count,
		FirstTimestamp: metav1.NewTime(last.Add(-time.Minute)), LastTimestamp: metav1.NewTime(last),
	}
}

func add(t *testing.T, e *Events, evs ...*corev1.Event) {
	t.Helper()
	for _, ev := range evs {
		if err := e.Add(ev); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEventsHonourUpdatesAndNames(t *testing.T) {
	e := NewEvents()
	add(t, e,
		event("Pod", "web-0", "new", "BackOff", 1, noon.Add(-3*time.Minute)),
		event("Pod", "web-0", "new", "Unhealthy", 1, noon.Add(-2*time.Minute)),
		event("Pod", "web-0", "new", "BackOff", 7, noon.Add(-time.Minute)), // the same event, counted up
		event("Pod", "web-0", "new", "Pulled", 1, noon),                    // says nothing
		event("Node", "web-0", "new", "BackOff", 1, noon),
	)
	gone := event("Pod", "web-0", "old", "Killing", 1, noon.Add(-4*time.Minute))
	add(t, e, gone)
	if err := e.Delete(gone); err != nil {
		t.Fatal(err)
	}
	got := e.About("Pod", "shop", "web-0", "new", noon)
	want := []cluster.Event{
		{Type: "Warning", Reason: "BackOff", Message: "m", Count: 7, First: noon.Add(-2 * time.Minute), Last: noon.Add(-time.Minute)},
		{Type: "Warning", Reason: "Unhealthy", Message: "m", Count: 1, First: noon.Add(-3 * time.Minute), Last: noon.Add(-2 * time.Minute)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if got := e.About("Pod", "shop", "web-0", "old", noon); len(got) != 1 || got[0].Reason != "Killing" {
		t.Errorf("events of the pod that had the name before are %+v", got)
	}
	if got := e.About("Pod", "shop", "web-0", "new", noon.Add(MaxEventAge)); len(got) != 0 {
		t.Errorf("%d events after their time", len(got))
	}
}

func TestEventsAreBounded(t *testing.T) {
	e := NewEvents()
	for i := range 50 {
		ev := event("Pod", "web-0", "u", "BackOff", 1, noon.Add(time.Duration(i)*time.Second))
		ev.UID = types.UID(fmt.Sprint(i))
		ev.Message = strings.Repeat("é", 1000)
		add(t, e, ev)
	}
	got := e.About("Pod", "shop", "web-0", "u", noon)
	if len(got) != MaxEventsPerObject || !got[0].Last.Equal(noon.Add(49*time.Second)) {
		t.Errorf("%d events, the newest %v", len(got), got[0].Last)
	}
	if len(got[0].Message) > maxEventMessage+len("…") || strings.ContainsRune(got[0].Message, '\uFFFD') {
		t.Errorf("message has %d bytes", len(got[0].Message))
	}
	for i := range maxEventObjects + 10 {
		add(t, e, event("Pod", fmt.Sprint("p-", i), "u", "BackOff", 1, noon))
	}
	if len(e.objects) != maxEventObjects || e.recent.Len() != maxEventObjects {
		t.Errorf("%d objects are kept, at most %d may be", len(e.objects), maxEventObjects)
	}
	e.About("Pod", "shop", "later", "u", noon.Add(2*MaxEventAge))
	add(t, e, event("Pod", "later", "u", "BackOff", 1, noon.Add(2*MaxEventAge)))
	if len(e.objects) != 1 {
		t.Errorf("%d objects are kept after their time", len(e.objects))
	}
	add(t, e, event("Pod", "p-0", "u", "BackOff", 1, noon))
	if len(e.objects) != 1 {
		t.Error("an event that is too old was kept")
	}
}

func TestEventsOfTheNewKind(t *testing.T) {
	e := NewEvents()
	ev := event("Pod", "web-0", "u", "FailedScheduling", 0, noon)
	ev.FirstTimestamp, ev.LastTimestamp = metav1.Time{}, metav1.Time{}
	ev.EventTime = metav1.NewMicroTime(noon.Add(-time.Minute))
	ev.Series = &corev1.EventSeries{Count: 4, LastObservedTime: metav1.NewMicroTime(noon)}
	if err := e.Replace([]any{ev}, ""); err != nil {
		t.Fatal(err)
	}
	want := []cluster.Event{{Type: "Warning", Reason: "FailedScheduling", Message: "m", Count: 4, First: noon.Add(-time.Minute), Last: noon}}
	if diff := cmp.Diff(want, e.About("Pod", "shop", "web-0", "u", noon)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if e.Add("x") == nil {
		t.Error("what is no event was taken")
	}
}

// An event has the time of the clock that made it. One node's that is hours ahead must not have the events of all others taken for
// long past.
func TestAClockThatIsAheadDropsNoEventsOfOthers(t *testing.T) {
	e := NewEvents()
	add(t, e, event("Pod", "before", "u", "BackOff", 1, noon.Add(-time.Minute)))
	add(t, e, event("Pod", "ahead", "u", "BackOff", 1, noon.Add(3*MaxEventAge)))
	add(t, e, event("Pod", "after", "u", "BackOff", 1, noon))
	for _, name := range []string{"before", "ahead", "after"} {
		if got := e.About("Pod", "shop", name, "u", noon); len(got) != 1 {
			t.Errorf("%d events are known about %s, want 1", len(got), name)
		}
	}
	add(t, e, event("Pod", "ahead", "u", "Unhealthy", 1, noon.Add(3*MaxEventAge)), event("Pod", "later", "u", "BackOff", 1, noon.Add(time.Minute)))
	if got := e.About("Pod", "shop", "later", "u", noon.Add(time.Minute)); len(got) != 1 {
		t.Errorf("%d events are known about what came later, want 1", len(got))
	}
}
