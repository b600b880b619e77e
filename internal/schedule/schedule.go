package schedule

import (
	"time"

	"github.com/robfig/cron/v3"

	"github.com/homeostat/homeostat/hpa"
)

// Set is a number of schedules. It is read only, so many may use it at once.
type Set []Schedule

// Floor returns the highest minimum of the schedules that are active at the time, the first of several that are equal;
// nil where none is.
func (s Set) Floor(now time.Time) *hpa.Floor {
	var highest *Schedule
	for i := range s {
		if (highest == nil || s[i].replicas > highest.replicas) && s[i].Active(now) {
			highest = &s[i]
		}
	}
	if highest == nil {
		return nil
	}
	return &hpa.Floor{Replicas: highest.replicas, By: "schedule " + highest.name}
}

// Schedule raises the minimum between two times. Parse makes one.
type Schedule struct {
	name       string
	replicas   int32
	start, end *cron.SpecSchedule // on a clock without a zone, written as UTC
	zone       *time.Location
}

// Active reports whether the schedule raises the minimum at the time.
func (s *Schedule) Active(now time.Time) bool {
	from, to := clockAt(now, s.zone)
	for at := from; !at.After(to); {
		start, end := next(s.start, at), next(s.end, at)
		if end.Before(start) {
			return true
		}
		at = start
	}
	return false
}

// next returns when the expression is met next after the time. One that is not met in the years to come, as 29 February
// around 2100, is met far away.
func next(e *cron.SpecSchedule, after time.Time) time.Time {
	if at := e.Next(after); !at.IsZero() {
		return at
	}
	return after.AddDate(100, 0, 0)
}

// clockAt returns what the clock of the zone shows, as a time in UTC: from and to are equal, except where the clock shows
// an hour twice. A schedule is active then where it is anywhere between them: in the first pass from just before the
// repeated hour, because no end in it has come for the second time yet, and in the second pass up to its end, because
// every start in it has come once.
func clockAt(now time.Time, zone *time.Location) (from, to time.Time) {
	local := now.In(zone)
	shown := clock(local)
	begin, end := local.ZoneBounds()
	_, offset := local.Zone()
	if !end.IsZero() {
		_, after := end.Zone()
		if end.Sub(local) <= time.Duration(offset-after)*time.Second {
			return clock(end).Add(-time.Minute), shown
		}
	}
	if !begin.IsZero() {
		_, before := begin.Add(-1).Zone()
		repeated := time.Duration(before-offset) * time.Second
		if local.Sub(begin) < repeated {
			return shown, clock(begin).Add(repeated - 1)
		}
	}
	return shown, shown
}

// clock returns what the clock shows, as a time in UTC.
func clock(t time.Time) time.Time {
	year, month, day := t.Date()
	return time.Date(year, month, day, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}
