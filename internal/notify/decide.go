package notify

import (
	"errors"
	"maps"
	"strings"
	"time"

	"github.com/homeostat/homeostat/alerts"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/control"
)

// Decided takes in what a pass made of an autoscaler; Run tells what is an alert of it.
func (t *Term) Decided(a control.Autoscaler, _ hpa.Observation, _ hpa.History, rec hpa.Recommendation, err error) {
	if t.n.o.Decisions == (alerts.DecisionOptions{}) {
		return
	}
	d := decisionOf(&a, &rec, err)
	t.mu.Lock()
	news := t.decisions.Take(&d)
	t.mu.Unlock()
	if !news {
		return
	}
	select {
	case t.decided <- struct{}{}:
	default:
	}
}

// decisionOf says what alerts have to know of a decision. It is called in every pass for every autoscaler: what costs is only made
// where an alert tells it.
func decisionOf(a *control.Autoscaler, rec *hpa.Recommendation, err error) alerts.Decision {
	d := alerts.Decision{
		Autoscaler: a.Ref, Target: a.Target, At: rec.At, Period: a.Period,
		Decided: len(rec.Steps) > 0, Current: rec.Current, Proposed: rec.Proposed, Desired: rec.Desired, Max: a.Policy.Max,
		Reason: string(rec.Reason), Message: rec.Message, DryRun: a.Mode == control.DryRun, Paused: a.Mode == control.Paused,
	}
	writes := d.Decided && a.Mode == control.Active && rec.Change()
	if writes && err == nil {
		d.ID = cluster.DecisionID(a.Ref, rec.At, rec.Current, rec.Desired)
	}
	if d.Decided && d.Proposed > d.Max {
		d.Asking = asking(rec)
	}
	switch {
	case a.Invalid != "" && !isBlind(d.Reason):
		d.Stuck = a.Invalid
	case writes && err != nil && !errors.Is(err, control.ErrConflict):
		d.Stuck = "its number is not written: " + err.Error()
	}
	return d
}

// asking is what the metric says that asks for the most; empty: none was computed.
func asking(rec *hpa.Recommendation) string {
	var most *hpa.MetricProposal
	for i := range rec.Metrics {
		if m := &rec.Metrics[i]; most == nil || m.Replicas > most.Replicas {
			most = m
		}
	}
	if most == nil {
		return ""
	}
	return most.Message
}

// isBlind reports whether the reason is one of those that are an incident, AutoscalerBlind.
func isBlind(reason string) bool {
	return strings.HasPrefix(reason, "Failed") || strings.HasPrefix(reason, "Invalid")
}

// decide takes in what is new of decisions, and returns when there is more to take in if none is made; false: never. What a process
// before this one has told of them is not known, so it begins after the first whole view, and nothing of them is restored.
func (l *loop) decide(now time.Time) (time.Time, bool) {
	if !l.restored {
		return time.Time{}, false
	}
	l.mu.Lock()
	list := l.decisions.News(now)
	next, ok := l.decisions.Next()
	l.mu.Unlock()
	l.d.Update(l.labelled(list), now)
	l.count()
	return next, ok
}

// firing are the alerts of decisions that the dispatcher knows of.
func (l *loop) firing() []alerts.Alert {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.labelled(l.decisions.Firing())
}

// labelled adds the labels that are added to all.
func (l *loop) labelled(list []alerts.Alert) []alerts.Alert {
	for i := range list {
		maps.Copy(list[i].Labels, l.n.o.Labels)
	}
	return list
}
