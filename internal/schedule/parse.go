package schedule

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// MaxExpression is the greatest length of a cron expression, in bytes.
const MaxExpression = 128

// Spec is a schedule as people write it.
type Spec struct {
	Name string
	// Start and End are cron expressions. Between them MinReplicas is the minimum.
	Start, End string
	// TimeZone is a name of the IANA time zone database; empty is UTC.
	TimeZone    string
	MinReplicas int32
}

// Fault is one thing that is wrong with a Spec.
type Fault struct {
	// Field is the name of the field as in an Autoscaler: name, start, end, timeZone or minReplicas.
	Field string
	Value any
	// Must says what is allowed, after "must be".
	Must string
}

// SpecErrors are all that is wrong with a Spec; it is an error with one line for each.
type SpecErrors []Fault

// Error returns one line for each fault: the field, its value and what is allowed.
func (f SpecErrors) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = fmt.Sprintf("%s: %#v is not allowed, it must be %s", f[i].Field, f[i].Value, f[i].Must)
	}
	return strings.Join(lines, "\n")
}

// Parse reads a schedule. An error is of type SpecErrors.
func Parse(s Spec) (Schedule, error) {
	var faults SpecErrors
	fault := func(field string, value any, must string) {
		faults = append(faults, Fault{Field: field, Value: value, Must: must})
	}
	out := Schedule{name: s.Name, replicas: s.MinReplicas, zone: time.UTC}
	if s.Name == "" {
		fault("name", s.Name, "a name: the reason of a decision names the schedule")
	}
	var err error
	if out.start, err = parseExpression(s.Start); err != nil {
		fault("start", s.Start, err.Error())
	}
	if out.end, err = parseExpression(s.End); err != nil {
		fault("end", s.End, err.Error())
	}
	if out.start != nil && out.end != nil && *out.start == *out.end {
		fault("end", s.End, "another time than start, or the schedule is never active")
	}
	if s.TimeZone != "" {
		if out.zone, err = parseZone(s.TimeZone); err != nil {
			fault("timeZone", s.TimeZone, err.Error())
		}
	}
	if s.MinReplicas < 1 {
		fault("minReplicas", s.MinReplicas, "at least 1")
	}
	if len(faults) > 0 {
		return Schedule{}, faults
	}
	return out, nil
}

// parseExpression reads a cron expression that is meant on a clock without a zone. The error says what must be.
func parseExpression(text string) (*cron.SpecSchedule, error) {
	const must = "a cron expression of five fields (minute, hour, day of month, month, day of week), such as 0 8 * * 1-5"
	switch {
	case len(text) > MaxExpression:
		return nil, fmt.Errorf("%s, of at most %d characters", must, MaxExpression)
	case strings.Contains(text, "="): // the parser would read a time zone
		return nil, fmt.Errorf("%s; the time zone is in timeZone", must)
	}
	// The parser's own @every has no place on the clock.
	parsed, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s (%w)", must, err)
	}
	at, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("%s; an interval is none", must)
	}
	at.Location = time.UTC
	if at.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, fmt.Errorf("%s that comes at all", must)
	}
	return at, nil
}

// parseZone returns the time zone of that name. The error says what must be.
func parseZone(name string) (*time.Location, error) {
	const must = "the name of a time zone, such as UTC or Europe/Berlin"
	if name == time.Local.String() { // would mean something else on every machine
		return nil, fmt.Errorf("%s; Local is none", must)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("%s (%w)", must, err)
	}
	return zone, nil
}
