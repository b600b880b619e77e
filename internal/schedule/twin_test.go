package schedule

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// twin says when a schedule with one start and one end a day is active, by walking the clock minute by minute: what was
// read on it last, start or end, counts. A time that the clock skips is read as it jumps; an end on a clock that will show
// the same time again is not read yet. On a clock that shows the times again, ends are read only, and only those of
// starts that stand before them on the clock.
type twin struct{ start, end int } // minutes of the day

func (w twin) active(from time.Time, minutes int, zone *time.Location) []bool {
	out := make([]bool, minutes)
	read := clock(from.In(zone)).Add(-time.Minute)
	active, started := false, time.Time{}
	for i := range minutes {
		local := from.Add(time.Duration(i) * time.Minute).In(zone)
		shown := clock(local)
		again := clock(local.Add(time.Hour)).Equal(shown) || clock(local.Add(30*time.Minute)).Equal(shown)
		if !shown.After(read) { // the second pass
			if minuteOf(shown) == w.end {
				active = started.After(shown)
			}
			out[i] = active
			continue
		}
		for read.Before(shown) {
			read = read.Add(time.Minute)
			switch minuteOf(read) {
			case w.start:
				active, started = true, read
			case w.end:
				active = active && again
			}
		}
		out[i] = active
	}
	return out
}

func minuteOf(t time.Time) int { return t.Hour()*60 + t.Minute() }

// Days on which clocks are changed, and one on which none is; Lord Howe's moves by half an hour.
func TestSchedulesAgreeWithAWalkAlongTheClock(t *testing.T) {
	t.Parallel()
	days := map[string][]string{
		"Europe/Berlin":       {"2026-03-29", "2026-10-25", "2026-07-01"},
		"America/New_York":    {"2026-03-08", "2026-11-01"},
		"America/Santiago":    {"2026-04-05", "2026-09-06"}, // at midnight
		"Australia/Lord_Howe": {"2026-04-05", "2026-10-04"},
	}
	random := rand.New(rand.NewPCG(1, 2))
	for name, changes := range days {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range changes {
			day, err := time.ParseInLocation(time.DateOnly, text, zone)
			if err != nil {
				t.Fatal(err)
			}
			for range 8 {
				// Most of them near the change, at up to four in the morning or from 23:00.
				w := twin{start: random.IntN(240), end: random.IntN(240)}
				if random.IntN(3) == 0 {
					w.start = 23*60 + random.IntN(60)
				}
				if w.start == w.end {
					continue
				}
				compare(t, w, day.Add(-37*time.Hour), zone)
			}
		}
	}
}

func compare(t *testing.T, w twin, from time.Time, zone *time.Location) {
	t.Helper()
	s := schedule(t, Spec{
		Start: fmt.Sprintf("%d %d * * *", w.start%60, w.start/60), End: fmt.Sprintf("%d %d * * *", w.end%60, w.end/60), TimeZone: zone.String(),
	})
	// The twin knows nothing before it has read a start and an end.
	for i, want := range w.active(from, 53*60, zone) {
		at := from.Add(time.Duration(i) * time.Minute)
		if i > 25*60 && s.Active(at) != want {
			t.Fatalf("start %s, end %s, at %s: active is %t, the twin says %t", s2(w.start), s2(w.end), at.In(zone), !want, want)
		}
	}
}

func s2(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }
