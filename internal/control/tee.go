package control

import (
	"slices"
	"time"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/incident"
)

// tee gives every record to several Recorders, one after the other.
type tee []Recorder

// Tee returns a Recorder that passes every record on to each of the Recorders, in their order and on the caller's goroutine; nil ones
// are left out. As each of them returns at once, so does it. They share what they are given and must not change it.
func Tee(recorders ...Recorder) Recorder {
	return tee(slices.DeleteFunc(slices.Clone(recorders), func(r Recorder) bool { return r == nil }))
}

// Decided passes a decision on.
func (t tee) Decided(a Autoscaler, obs hpa.Observation, before hpa.History, rec hpa.Recommendation, err error) {
	for _, r := range t {
		r.Decided(a, obs, before, rec, err)
	}
}

// Incident passes a stored change of an incident on.
func (t tee) Incident(in incident.Incident) {
	for _, r := range t {
		r.Incident(in)
	}
}

// Acted passes an action on.
func (t tee) Acted(a healing.Action, res healing.Result, at time.Time) {
	for _, r := range t {
		r.Acted(a, res, at)
	}
}

// Healed passes on what a healing pass knows.
func (t tee) Healed(v HealingView) {
	for _, r := range t {
		r.Healed(v)
	}
}

// Turned passes the end of a pass on.
func (t tee) Turned(loop string, took time.Duration, err error) {
	for _, r := range t {
		r.Turned(loop, took, err)
	}
}
