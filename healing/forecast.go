package healing

import (
	"slices"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/incident"
)

const (
	// forecastEvery is how often a forecast that goes on changing is worth a line, and forecastChange the share of the time that
	// was left by which it has to change so that it is stored.
	forecastEvery  = 5 * time.Minute
	forecastChange = 0.1
)

// forecast keeps the newest forecast of the incident: that of the replica that will fail first.
func (p *pass) forecast(t *tracked) {
	var next *incident.Forecast
	var who string
	for i := range t.findings {
		f := &t.findings[i]
		if f.Forecast != nil && (next == nil || f.Forecast.OOMAt.Before(next.OOMAt)) {
			next, who = f.Forecast, f.Replica
		}
	}
	if next == nil {
		return
	}
	old := t.inc.Forecast
	if old != nil {
		left, moved := old.OOMAt.Sub(p.now), next.OOMAt.Sub(old.OOMAt)
		if moved.Abs() <= time.Duration(forecastChange*float64(max(left, time.Minute))) {
			return
		}
		if last := lastNoted(&t.inc, ReasonForecast); p.now.Sub(last) < forecastEvery && p.now.Sub(old.At) < forecastEvery {
			return
		}
	}
	kept := *next
	t.inc.Forecast, t.dirty = &kept, true
	if old == nil || t.isNew() {
		return
	}
	t.inc.Note(p.now, string(ReasonForecast), who+" reaches its limit of "+phrase.Bytes(next.Limit)+" in "+
		phrase.Span(max(next.OOMAt.Sub(p.now), 0))+", it was "+phrase.Span(max(old.OOMAt.Sub(p.now), 0)))
}

// lastNoted returns when the timeline last has the reason, the zero time where it has not.
func lastNoted(inc *incident.Incident, reason Reason) time.Time {
	for _, e := range slices.Backward(inc.Timeline) {
		if e.Reason == string(reason) {
			return e.At
		}
	}
	return time.Time{}
}
