package view

import (
	"container/list"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/logs"
)

// Bounds of Events: what one object keeps, for how long, and how many objects there are. Together at most about 40 MB,
// and only in a cluster in which ten thousand objects fail at once.
const (
	MaxEventsPerObject = 20
	MaxEventAge        = time.Hour
	maxEventObjects    = 10_000
	maxEventMessage    = 512
)

// eventReasons are the reasons that say something about a failure or a change (pkg/kubelet/events/event.go and the
// controllers of Kubernetes 1.36).
var eventReasons = map[string]struct{}{ //nolint:gochecknoglobals // read only
	"Killing": {}, "Unhealthy": {}, "BackOff": {}, "Failed": {}, "FailedMount": {}, "FailedAttachVolume": {},
	"FailedScheduling": {}, "Evicted": {}, "Preempting": {}, "Preempted": {}, "ScalingReplicaSet": {}, "FailedCreate": {},
	"FailedCreatePodSandBox": {}, "FailedPostStartHook": {}, "FailedPreStopHook": {}, "ExceededGracePeriod": {},
	"InspectFailed": {}, "ErrImageNeverPull": {}, "FailedSync": {}, "FailedKillPod": {}, "NetworkNotReady": {},
	"NodeNotReady": {}, "BackoffLimitExceeded": {}, "DeadlineExceeded": {}, "FailedDelete": {},
	"FailedPodSandBoxStatus": {}, "SandboxChanged": {}, "FailedMapVolume": {}, "FailedCreatePodContainer": {},
	"ResizeDeferred": {}, "ResizeInfeasible": {}, "ResizeError": {},
}

// nodeReasons are those of the events about nodes: of the kubelet, the node controllers and the node-problem-detector.
var nodeReasons = map[string]struct{}{ //nolint:gochecknoglobals // read only
	"SystemOOM": {}, "OOMKilling": {}, "Rebooted": {}, "NodeNotReady": {}, "NodeReady": {}, "EvictionThresholdMet": {},
	"FreeDiskSpaceFailed": {}, "ImageGCFailed": {}, "ContainerGCFailed": {}, "InvalidDiskCapacity": {}, "Starting": {},
	"Shutdown": {}, "NodeHasDiskPressure": {}, "NodeHasInsufficientMemory": {}, "NodeHasInsufficientPID": {},
	"NodeNotSchedulable": {}, "DeletingNode": {}, "KernelOops": {}, "TaskHung": {}, "KubeletSetupFailed": {},
	"KernelDeadlock": {}, "ReadonlyFilesystem": {}, "FilesystemIsReadOnly": {}, "DockerHung": {}, "DeletingAllPods": {},
}

// EventSelectors are the field selectors of the watches that together deliver every event about pods and owners that is
// kept: the warnings, and the two reasons of normal events. The flood of normal ones stays at the API server.
func EventSelectors() []string {
	return []string{"type=Warning", "reason=Killing", "reason=ScalingReplicaSet"}
}

// NodeEventNamespace is where the events about nodes are, which have no namespace of their own, and NodeEventSelector the
// field selector of the watch that delivers those that are no warnings: "NodeNotReady" is a normal one.
const (
	NodeEventNamespace = metav1.NamespaceDefault
	NodeEventSelector  = "involvedObject.kind=Node"
)

type eventObject struct{ kind, namespace, name string }

// storedEvent is an event with what tells it from others.
type storedEvent struct {
	uid, about string // UID of the event and of the object that it is about
	event      cluster.Event
}

// objectEvents are the events about one object, newest first.
type objectEvents struct {
	object eventObject
	events []storedEvent
}

// Events is a bounded store of events that several reflectors can feed. An update (a count that grew) replaces what was
// known. A deletion is ignored: the API server forgets events after an hour, so does the store. It has no clock: the
// time for which it was last asked is its time, and never that of an event, for one node's clock may be hours ahead. Safe
// for concurrent use; make one with NewEvents.
type Events struct {
	mu      sync.Mutex
	objects map[eventObject]*list.Element // of *objectEvents
	recent  *list.List                    // the object with the newest arrival first
	asked   time.Time
}

// NewEvents returns an empty store.
func NewEvents() *Events {
	return &Events{objects: map[eventObject]*list.Element{}, recent: list.New()}
}

var _ cache.ReflectorStore = (*Events)(nil)

// Add keeps an event if it is of a kind that is kept. The error is nil unless obj is no event.
func (e *Events) Add(obj any) error {
	ev, ok := obj.(*corev1.Event)
	if !ok {
		return fmt.Errorf("keep event: got a %T", obj)
	}
	if !relevant(ev) {
		return nil
	}
	kept := storedEvent{uid: string(ev.UID), about: string(ev.InvolvedObject.UID), event: eventOf(ev)}
	object := eventObject{ev.InvolvedObject.Kind, ev.Namespace, ev.InvolvedObject.Name}
	e.mu.Lock()
	defer e.mu.Unlock()
	if kept.event.Last.Before(e.asked.Add(-MaxEventAge)) {
		return nil
	}
	el := e.objects[object]
	if el == nil {
		el = e.recent.PushFront(&objectEvents{object: object})
		e.objects[object] = el
	}
	e.recent.MoveToFront(el)
	el.Value.(*objectEvents).put(kept) //nolint:forcetypeassert // the list holds nothing else
	e.trim()
	return nil
}

// put keeps the events sorted and bounded.
func (o *objectEvents) put(kept storedEvent) {
	o.events = slices.DeleteFunc(o.events, func(x storedEvent) bool { return x.uid == kept.uid })
	at, _ := slices.BinarySearchFunc(o.events, kept, func(x, kept storedEvent) int { return kept.event.Last.Compare(x.event.Last) })
	o.events = slices.Insert(o.events, at, kept)
	if len(o.events) > MaxEventsPerObject {
		clear(o.events[MaxEventsPerObject:])
		o.events = o.events[:MaxEventsPerObject]
	}
}

// trim drops the objects that were not heard of for too long, and those beyond the bound. The lock must be held.
func (e *Events) trim() {
	oldest := e.asked.Add(-MaxEventAge)
	for el := e.recent.Back(); el != nil; el = e.recent.Back() {
		o := el.Value.(*objectEvents) //nolint:forcetypeassert // the list holds nothing else
		if e.recent.Len() <= maxEventObjects && len(o.events) > 0 && !o.events[0].event.Last.Before(oldest) {
			return
		}
		e.recent.Remove(el)
		delete(e.objects, o.object)
	}
}

// Update is Add.
func (e *Events) Update(obj any) error { return e.Add(obj) }

// Delete does nothing: events run out by age.
func (e *Events) Delete(any) error { return nil }

// Replace adds the events of a fresh list; it drops none.
func (e *Events) Replace(list []any, _ string) error {
	for _, obj := range list {
		if err := e.Add(obj); err != nil {
			return err
		}
	}
	return nil
}

// Resync does nothing.
func (e *Events) Resync() error { return nil }

// About returns the events about an object that are not older than MaxEventAge at now, newest first; nil for none. With
// a UID only those about that very object, for names come again.
func (e *Events) About(kind, namespace, name, uid string, now time.Time) []cluster.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = now
	el := e.objects[eventObject{kind, namespace, name}]
	if el == nil {
		return nil
	}
	var out []cluster.Event
	for _, x := range el.Value.(*objectEvents).events { //nolint:forcetypeassert // the list holds nothing else
		if uid != "" && x.about != "" && x.about != uid {
			continue
		}
		if now.Sub(x.event.Last) <= MaxEventAge {
			out = append(out, x.event)
		}
	}
	return out
}

func relevant(ev *corev1.Event) bool {
	if ev.InvolvedObject.Kind == kindNode {
		_, ok := nodeReasons[ev.Reason]
		return ok && ev.Namespace == NodeEventNamespace
	}
	if _, ok := eventReasons[ev.Reason]; !ok {
		return false
	}
	switch ev.InvolvedObject.Kind {
	case cluster.KindPod, cluster.KindDeployment, cluster.KindReplicaSet, cluster.KindStatefulSet, cluster.KindDaemonSet,
		cluster.KindJob, KindCronJob:
		return true
	default:
		return false
	}
}

// quotesApplication reports whether events of that reason quote what an application wrote: the answer to a probe, the output of
// a hook. In the platform's own words, such as "secret \"db\" not found", there is nothing to mask.
func quotesApplication(reason string) bool {
	return reason == "Unhealthy" || reason == "FailedPostStartHook" || reason == "FailedPreStopHook"
}

// eventOf reads both ways of writing an event: with a count (core/v1) and as a series (events.k8s.io/v1).
func eventOf(ev *corev1.Event) cluster.Event {
	message := ev.Message
	if quotesApplication(ev.Reason) {
		message = logs.MaskText(message)
	}
	out := cluster.Event{
		Type: ev.Type, Reason: ev.Reason, Message: shorten(message, maxEventMessage), Count: max(1, ev.Count),
		First: utc(ev.FirstTimestamp), Last: utc(ev.LastTimestamp),
	}
	at := ev.EventTime.Time
	if at.IsZero() {
		at = ev.CreationTimestamp.Time
	}
	if out.First.IsZero() {
		out.First = at.UTC()
	}
	if at.After(out.Last) && ev.LastTimestamp.IsZero() {
		out.Last = at.UTC()
	}
	if s := ev.Series; s != nil {
		out.Count = max(out.Count, s.Count)
		if s.LastObservedTime.After(out.Last) {
			out.Last = s.LastObservedTime.UTC()
		}
	}
	return out
}

// shorten bounds a message at the border of a character.
func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	end := most
	for end > 0 && s[end]&0xC0 == 0x80 {
		end--
	}
	return s[:end] + "…"
}
