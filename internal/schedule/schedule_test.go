package schedule

import (
	"testing"
	"time"
	_ "time/tzdata" // the tests are the same on a machine without a time zone database

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/hpa"
)

func schedule(t *testing.T, s Spec) Schedule {
	t.Helper()
	if s.Name == "" {
		s.Name = "test"
	}
	s.MinReplicas = max(s.MinReplicas, 1)
	out, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// moment reads a time with its offset, so that both passes of a repeated hour can be told.
func moment(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04:05 -0700", text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// edge is the moment at which a schedule begins or ends.
type edge struct {
	at     string
	active bool // from then on
}

func TestAScheduleIsActiveBetweenStartAndEnd(t *testing.T) {
	t.Parallel()
	const berlin, newYork = "Europe/Berlin", "America/New_York"
	for _, c := range []struct {
		name, start, end, zone string
		edges                  []edge
	}{
		{"office hours on weekdays only", "0 8 * * 1-5", "0 18 * * 1-5", "UTC", []edge{
			{"2026-01-09 08:00:00 +0000", true},
			{"2026-01-09 18:00:00 +0000", false}, // Friday
			{"2026-01-12 08:00:00 +0000", true},  // Monday
		}},
		{"over midnight", "0 22 * * *", "0 6 * * *", "UTC", []edge{
			{"2026-01-09 22:00:00 +0000", true}, {"2026-01-10 06:00:00 +0000", false}, {"2026-01-10 22:00:00 +0000", true},
		}},
		{"over the end of a month and of a leap year's February", "0 12 28 2 *", "0 12 1 3 *", "UTC", []edge{
			{"2028-02-28 12:00:00 +0000", true}, {"2028-03-01 12:00:00 +0000", false}, {"2029-02-28 12:00:00 +0000", true},
		}},
		{"over the year", "0 0 20 12 *", "0 0 7 1 *", berlin, []edge{
			{"2026-01-07 00:00:00 +0100", false}, {"2026-12-20 00:00:00 +0100", true}, {"2027-01-07 00:00:00 +0100", false},
		}},
		{"by short names", "@daily", "0 1 * * *", "UTC", []edge{
			{"2026-01-09 00:00:00 +0000", true}, {"2026-01-09 01:00:00 +0000", false},
		}},
		{"several starts before one end count from the last", "0 8,9 * * *", "0 10 * * *", "UTC", []edge{
			{"2026-01-09 09:00:00 +0000", true}, {"2026-01-09 10:00:00 +0000", false},
		}},
		{"several ends after one start count from the first", "0 8 * * *", "0 9,10 * * *", "UTC", []edge{
			{"2026-01-09 08:00:00 +0000", true}, {"2026-01-09 10:00:00 +0000", false},
		}},
		{"in winter and summer at the same time of the day", "0 8 * * *", "0 18 * * *", berlin, []edge{
			{"2026-03-28 08:00:00 +0100", true},
			{"2026-03-28 18:00:00 +0100", false},
			{"2026-03-29 08:00:00 +0200", true},
			{"2026-03-29 18:00:00 +0200", false},
		}},
		{"in summer and winter at the same time of the day", "0 8 * * *", "0 18 * * *", newYork, []edge{
			{"2026-10-31 08:00:00 -0400", true},
			{"2026-10-31 18:00:00 -0400", false},
			{"2026-11-01 08:00:00 -0500", true},
			{"2026-11-01 18:00:00 -0500", false},
		}},
		{"half an hour off", "0 8 * * *", "0 18 * * *", "Asia/Kolkata", []edge{{"2026-03-28 02:30:00 +0000", true}, {"2026-03-28 12:30:00 +0000", false}}},

		{"a start in the skipped hour counts at the jump", "30 2 * * *", "0 8 * * *", berlin, []edge{
			{"2026-03-28 02:30:00 +0100", true},
			{"2026-03-28 08:00:00 +0100", false},
			{"2026-03-29 03:00:00 +0200", true},
			{"2026-03-29 08:00:00 +0200", false},
			{"2026-03-30 02:30:00 +0200", true},
		}},
		{"a start in the skipped hour counts at the jump", "30 2 * * *", "0 8 * * *", newYork, []edge{
			{"2026-03-08 03:00:00 -0400", true}, {"2026-03-08 08:00:00 -0400", false},
		}},
		{"an end in the skipped hour counts at the jump", "0 22 * * *", "30 2 * * *", berlin, []edge{
			{"2026-03-28 22:00:00 +0100", true}, {"2026-03-29 03:00:00 +0200", false},
		}},
		{"both in the skipped hour: not on that day", "10 2 * * *", "50 2 * * *", berlin, []edge{
			{"2026-03-28 02:10:00 +0100", true}, {"2026-03-28 02:50:00 +0100", false}, {"2026-03-30 02:10:00 +0200", true},
		}},
		{"over the skipped hour", "0 1 * * *", "0 4 * * *", newYork, []edge{
			{"2026-03-08 01:00:00 -0500", true}, {"2026-03-08 04:00:00 -0400", false},
		}},
		{"a start in the repeated hour counts at its first occurrence", "30 2 * * *", "0 8 * * *", berlin, []edge{
			{"2026-10-24 08:00:00 +0200", false}, {"2026-10-25 02:30:00 +0200", true}, {"2026-10-25 08:00:00 +0100", false},
		}},
		{"a start in the repeated hour counts at its first occurrence", "30 1 * * *", "0 8 * * *", newYork, []edge{
			{"2026-10-31 08:00:00 -0400", false}, {"2026-11-01 01:30:00 -0400", true}, {"2026-11-01 08:00:00 -0500", false},
		}},
		{"an end in the repeated hour counts at its second occurrence", "0 22 * * *", "30 2 * * *", berlin, []edge{
			{"2026-10-24 22:00:00 +0200", true}, {"2026-10-25 02:30:00 +0100", false},
		}},
		{"an end in the repeated hour counts at its second occurrence", "0 22 * * *", "30 1 * * *", newYork, []edge{
			{"2026-10-31 22:00:00 -0400", true}, {"2026-11-01 01:30:00 -0500", false},
		}},
		{"an end at the beginning of the repeated hour counts at its second occurrence", "0 22 * * *", "0 2 * * *", berlin, []edge{
			{"2026-10-24 22:00:00 +0200", true}, {"2026-10-25 02:00:00 +0100", false},
		}},
		{"both in the repeated hour: once, for longer", "10 2 * * *", "50 2 * * *", berlin, []edge{
			{"2026-10-24 02:50:00 +0200", false}, {"2026-10-25 02:10:00 +0200", true}, {"2026-10-25 02:50:00 +0100", false},
		}},
		{"an end in the repeated hour and a start later in it: no gap", "50 2 * * *", "10 2 * * *", berlin, []edge{
			{"2026-10-24 02:10:00 +0200", false},
			{"2026-10-24 02:50:00 +0200", true},
			{"2026-10-26 02:10:00 +0100", false},
			{"2026-10-26 02:50:00 +0100", true},
		}},
		{"from the repeated hour into the next day", "0 3 * * *", "0 2 * * *", berlin, []edge{
			{"2026-10-24 02:00:00 +0200", false},
			{"2026-10-24 03:00:00 +0200", true},
			{"2026-10-25 02:00:00 +0100", false},
			{"2026-10-25 03:00:00 +0100", true},
		}},
	} {
		t.Run(c.name+" "+c.zone, func(t *testing.T) {
			t.Parallel()
			s := schedule(t, Spec{Start: c.start, End: c.end, TimeZone: c.zone})
			at := moment(t, c.edges[0].at).Add(-time.Nanosecond)
			for _, e := range c.edges {
				// Nothing changes from one edge to the next, at which it does.
				for to := moment(t, e.at); at.Before(to); at = at.Add(min(29*time.Minute, max(to.Sub(at)-1, 1))) {
					if s.Active(at) == e.active {
						t.Fatalf("active is %t at %s, before %s", e.active, at.In(s.zone), e.at)
					}
				}
				if s.Active(at) != e.active {
					t.Fatalf("active is %t at %s", !e.active, at.In(s.zone))
				}
			}
		})
	}
}

func TestTheHighestMinimumCounts(t *testing.T) {
	t.Parallel()
	set := Set{
		schedule(t, Spec{Name: "day", Start: "0 8 * * *", End: "0 20 * * *", MinReplicas: 4}),
		schedule(t, Spec{Name: "noon", Start: "0 11 * * *", End: "0 14 * * *", MinReplicas: 9}),
		schedule(t, Spec{Name: "evening", Start: "0 18 * * *", End: "0 22 * * *", MinReplicas: 4}),
	}
	for hour, want := range map[int]*hpa.Floor{
		7:  nil,
		8:  {Replicas: 4, By: "schedule day"},
		12: {Replicas: 9, By: "schedule noon"},
		14: {Replicas: 4, By: "schedule day"},
		19: {Replicas: 4, By: "schedule day"}, // of equals the first
		21: {Replicas: 4, By: "schedule evening"},
		22: nil,
	} {
		got := set.Floor(time.Date(2026, 1, 9, hour, 0, 0, 0, time.UTC))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("at %d:00, -want +got:\n%s", hour, diff)
		}
	}
	if got := Set(nil).Floor(time.Unix(0, 0)); got != nil {
		t.Errorf("no schedules raise the minimum to %+v", got)
	}
}

func TestEveryFaultNamesFieldValueAndWhatIsAllowed(t *testing.T) {
	t.Parallel()
	good := Spec{Name: "x", Start: "0 8 * * *", End: "0 9 * * *", MinReplicas: 1}
	const cron = "it must be a cron expression of five fields (minute, hour, day of month, month, day of week), such as 0 8 * * 1-5"
	for _, c := range []struct {
		change func(*Spec)
		want   string
	}{
		{func(s *Spec) { s.Name = "" }, `name: "" is not allowed, it must be a name: the reason of a decision names the schedule`},
		{func(s *Spec) { s.Start = "" }, `start: "" is not allowed, ` + cron + " (empty spec string)"},
		{func(s *Spec) { s.Start = "0 25 * * *" }, `start: "0 25 * * *" is not allowed, ` + cron + " (end of range (25) above maximum (23): 25)"},
		{func(s *Spec) { s.Start = "0 0 8 * * *" }, `start: "0 0 8 * * *" is not allowed, ` + cron + " (expected exactly 5 fields, found 6: [0 0 8 * * *])"},
		{func(s *Spec) { s.End = "@every 1h" }, `end: "@every 1h" is not allowed, ` + cron + "; an interval is none"},
		{func(s *Spec) { s.End = "TZ=UTC" }, `end: "TZ=UTC" is not allowed, ` + cron + "; the time zone is in timeZone"},
		{func(s *Spec) { s.End = "0 0 30 2 *" }, `end: "0 0 30 2 *" is not allowed, ` + cron + " that comes at all"},
		{func(s *Spec) { s.End = "0  8 * * *" }, `end: "0  8 * * *" is not allowed, it must be another time than start, or the schedule is never active`},
		{func(s *Spec) { s.TimeZone = "Local" }, `timeZone: "Local" is not allowed, it must be the name of a time zone, such as UTC or Europe/Berlin; Local is none`},
		{func(s *Spec) { s.TimeZone = "Europe/Bonn" }, `timeZone: "Europe/Bonn" is not allowed, it must be the name of a time zone, such as UTC or Europe/Berlin (unknown time zone Europe/Bonn)`},
		{func(s *Spec) { s.MinReplicas = 0 }, `minReplicas: 0 is not allowed, it must be at least 1`},
		{func(s *Spec) { s.MinReplicas, s.Name = -1, "" }, "name: \"\" is not allowed, it must be a name: the reason of a decision names the schedule\nminReplicas: -1 is not allowed, it must be at least 1"},
	} {
		s := good
		c.change(&s)
		if _, err := Parse(s); err == nil || err.Error() != c.want {
			t.Errorf("%+v:\n got %v\nwant %s", s, err, c.want)
		}
	}
	if _, err := Parse(good); err != nil {
		t.Errorf("%+v is refused: %v", good, err)
	}
}
