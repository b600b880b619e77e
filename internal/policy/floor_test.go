package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/hpa"
)

func TestAHealFloorHoldsUntilItsTime(t *testing.T) {
	t.Parallel()
	until := time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC)
	f, err := ReadHealFloor(HealFloor{Replicas: 6, Until: until.Add(300 * time.Millisecond).In(time.FixedZone("CET", 3600))}.String())
	if err != nil || f.Replicas != 6 || !f.Until.Equal(until) {
		t.Fatalf("read %+v, %v", f, err)
	}
	want := &hpa.Floor{Replicas: 6, By: "healing until 2026-03-01T13:00:00Z"}
	if diff := cmp.Diff(want, f.Floor(until.Add(-time.Second))); diff != "" {
		t.Errorf("before its end, -want +got:\n%s", diff)
	}
	if got := f.Floor(until); got != nil {
		t.Errorf("at its end it is %+v", got)
	}
	if got := (HealFloor{}).Floor(until); got != nil {
		t.Errorf("no floor is %+v", got)
	}
}

func TestAWrongHealFloorIsNamed(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", "6", "six until 2026-03-01T13:00:00Z", "0 until 2026-03-01T13:00:00Z", "-1 until 2026-03-01T13:00:00Z", "6 until tomorrow", "99999999999 until 2026-03-01T13:00:00Z"} {
		if _, err := ReadHealFloor(value); err == nil || !strings.Contains(err.Error(), "homeostat.dev/heal-floor") || !strings.Contains(err.Error(), `"`+value+`"`) {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestTheHigherFloorCounts(t *testing.T) {
	t.Parallel()
	four, six, other := &hpa.Floor{Replicas: 4}, &hpa.Floor{Replicas: 6}, &hpa.Floor{Replicas: 6, By: "other"}
	for _, c := range []struct{ a, b, want *hpa.Floor }{{nil, nil, nil}, {four, nil, four}, {nil, four, four}, {four, six, six}, {six, four, six}, {six, other, six}} {
		if got := HigherFloor(c.a, c.b); got != c.want {
			t.Errorf("HigherFloor(%+v, %+v) = %+v", c.a, c.b, got)
		}
	}
}

func FuzzReadHealFloor(f *testing.F) {
	f.Add("6 until 2026-03-01T13:00:00Z")
	f.Add("1 until 2026-03-01T13:00:00.5+01:00")
	f.Fuzz(func(t *testing.T, value string) {
		one, err := ReadHealFloor(value)
		if err != nil {
			return
		}
		again, err := ReadHealFloor(one.String())
		if err != nil || again.Replicas != one.Replicas || !again.Until.Equal(one.Until.Truncate(time.Second)) {
			t.Errorf("%q is %+v, written and read again %+v, %v", value, one, again, err)
		}
	})
}
