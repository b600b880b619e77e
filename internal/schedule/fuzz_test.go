package schedule

import (
	"errors"
	"testing"
	"time"
)

// Whatever is written, it is refused with a reason or it can be asked at any time.
func FuzzParse(f *testing.F) {
	f.Add("0 8 * * 1-5", "0 18 * * 1-5", "Europe/Berlin", int32(4), int64(1774749600))
	f.Add("@daily", "*/7 */3 1,15 JAN-mar sun", "UTC", int32(1), int64(0))
	f.Add("TZ=UTC", "CRON_TZ=X 0 0 * * *", "Local", int32(-1), int64(1<<40))
	f.Add("@every 1s", "0 0 29 2 *", "../etc/passwd", int32(1), int64(4102444800))
	f.Fuzz(func(t *testing.T, start, end, zone string, replicas int32, seconds int64) {
		s, err := Parse(Spec{Name: "fuzz", Start: start, End: end, TimeZone: zone, MinReplicas: replicas})
		if err != nil {
			faults, ok := errors.AsType[SpecErrors](err)
			if !ok || len(faults) == 0 || faults[0].Field == "" || faults[0].Must == "" {
				t.Fatalf("%#v says too little", err)
			}
			return
		}
		now := time.Unix(seconds%253402300799, 0) // up to the year 9999
		floor := Set{s}.Floor(now)
		if active := s.Active(now); active != (floor != nil) {
			t.Fatalf("active is %t, the floor %+v", active, floor)
		}
		if floor != nil && floor.Replicas != replicas {
			t.Fatalf("the floor is %d, want %d", floor.Replicas, replicas)
		}
	})
}

func BenchmarkFloor(b *testing.B) {
	s, err := Parse(Spec{Name: "office", Start: "0 8 * * 1-5", End: "0 18 * * 1-5", TimeZone: "Europe/Berlin", MinReplicas: 4})
	if err != nil {
		b.Fatal(err)
	}
	set, now := Set{s}, time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)
	for b.Loop() {
		set.Floor(now)
	}
}
