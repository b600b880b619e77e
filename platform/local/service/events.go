package service

import (
	"slices"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

// Bounds of what a snapshot carries.
const (
	maxEvents  = 20
	maxChanges = 20
)

// Types of events.
const (
	Normal  = "Normal"
	Warning = "Warning"
)

// Event is one thing that happened, for people who watch.
type Event struct {
	At time.Time
	// Replica that it happened to; empty: the service.
	Replica string
	// Type is Normal or Warning, Reason one of the kubelet's words where it has one.
	Type, Reason, Message string
}

// eventLog keeps the last events about one object, newest first; a repeated one is counted. Not safe for concurrent use.
type eventLog []cluster.Event

// add reports whether the event was there already.
func (l *eventLog) add(e Event) (again bool) {
	for i := range *l {
		old := &(*l)[i]
		if old.Type == e.Type && old.Reason == e.Reason && old.Message == e.Message {
			moved := *old
			moved.Count++
			moved.Last = e.At
			*l = slices.Insert(slices.Delete(*l, i, i+1), 0, moved)
			return true
		}
	}
	*l = slices.Insert(*l, 0, cluster.Event{Type: e.Type, Reason: e.Reason, Message: e.Message, Count: 1, First: e.At, Last: e.At})
	if len(*l) > maxEvents {
		*l = (*l)[:maxEvents]
	}
	return false
}
