package metrics

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const mib = 1 << 20

// plain is a sample of a container whose life began at the given second.
func plain(at, start, cpu float64, memory int64) Sample {
	return Sample{At: sec(at), Start: sec(start), CPUSeconds: cpu, MemoryBytes: memory}
}

func TestTrendHasAPointEachStep(t *testing.T) {
	s := newStore(t, Config{})
	for at := 0.0; at <= 90; at += 10 {
		s.AddResident(appKey, "a", sec(at), int64(10+at)*mib)
		s.Add(appKey, "n1", plain(at, 0, at/2, int64(100+at)*mib))
	}
	want := []TrendPoint{
		{At: sec(0), ResidentBytes: 10 * mib, MemoryBytes: NotKnown, CPUMilli: NotKnown},
		{At: sec(30), ResidentBytes: 40 * mib, MemoryBytes: 120 * mib, CPUMilli: 500},
		{At: sec(60), ResidentBytes: 70 * mib, MemoryBytes: 150 * mib, CPUMilli: 500},
		{At: sec(90), ResidentBytes: 100 * mib, MemoryBytes: 180 * mib, CPUMilli: 500},
	}
	if diff := cmp.Diff(want, s.Trend(appKey)); diff != "" {
		t.Errorf("trend (-want +got):\n%s", diff)
	}
	if got := s.Trend(sidecarKey); got != nil {
		t.Errorf("trend of a container that was never seen is %v, want nil", got)
	}
}

func TestTrendWithoutResidentMemoryBeginsAfterAMinute(t *testing.T) {
	s := newStore(t, Config{})
	s.Add(appKey, "n1", plain(0, -10, 0, mib))
	s.Add(appKey, "n1", plain(50, -10, 25, 2*mib))
	if got := s.Trend(appKey); got != nil {
		t.Fatalf("a container of a minute has the trend %v, want none", got)
	}
	s.Add(appKey, "n1", plain(51, -10, 25, 3*mib))
	s.Add(appKey, "n1", plain(81, -10, 55, 4*mib+1))
	want := []TrendPoint{
		{At: sec(51), ResidentBytes: NotKnown, MemoryBytes: 3 * mib, CPUMilli: NotKnown},
		{At: sec(81), ResidentBytes: NotKnown, MemoryBytes: 4*mib + pageBytes, CPUMilli: 1000},
	}
	if diff := cmp.Diff(want, s.Trend(appKey)); diff != "" {
		t.Errorf("trend (-want +got):\n%s", diff)
	}
}

func TestTrendTellsLivesApart(t *testing.T) {
	s := newStore(t, Config{})
	s.AddResident(appKey, "a", sec(0), 50*mib)
	for at := 0.0; at <= 60; at += 10 {
		s.Add(appKey, "n1", plain(at, -300, 100+at, 60*mib))
	}
	s.AddResident(appKey, "a", sec(60), 55*mib)
	// A restart at 65: the old cgroup is still on the page, before and after the new one.
	s.AddResident(appKey, "b", sec(90), 5*mib)
	s.AddResident(appKey, "a", sec(91), 55*mib)
	s.Add(appKey, "n1", plain(95, 65, 3, 6*mib))
	s.AddResident(appKey, "a", sec(118), 55*mib)
	s.AddResident(appKey, "b", sec(119), 7*mib)
	s.Add(appKey, "n1", plain(125, 65, 6, 8*mib))
	got := s.Trend(appKey)
	for _, p := range got {
		if p.At.After(sec(65)) && p.ResidentBytes > 10*mib {
			t.Errorf("at %v the new life has %d bytes, those of the old one", p.At.Sub(sec(0)), p.ResidentBytes)
		}
		if p.CPUMilli > 1000 {
			t.Errorf("at %v the CPU is %d milli, a rate across two lives", p.At.Sub(sec(0)), p.CPUMilli)
		}
	}
	last := got[len(got)-1]
	if want := (TrendPoint{At: sec(119), ResidentBytes: 7 * mib, MemoryBytes: 6 * mib, CPUMilli: NotKnown}); last != want {
		t.Errorf("the newest point is %+v, want %+v", last, want)
	}
}

func TestADeadLifeComesBackOnlyWhereTheOtherIsGone(t *testing.T) {
	// At first sight the dead cgroup is the second on the page.
	var l lives
	l.take(1, 1)
	l.take(2, 1)
	minute := int64(time.Minute)
	if counts, _ := l.take(1, minute-1); counts {
		t.Error("a life before the present one counts at once")
	}
	if counts, first := l.take(1, 1+minute); !counts || !first {
		t.Error("the life that goes on does not count although the other was not heard of for a minute")
	}
}

func TestTrendIsBoundedInPointsAndTime(t *testing.T) {
	s := newStore(t, Config{TrendStep: 10 * time.Second, TrendSpan: 100 * time.Second})
	for at := 0.0; at <= 1000; at += 5 {
		s.AddResident(appKey, "a", sec(at), int64(at)*mib)
	}
	got := s.Trend(appKey)
	if len(got) != 11 || !got[0].At.Equal(sec(900)) || !got[10].At.Equal(sec(1000)) || got[10].ResidentBytes != 1000*mib {
		t.Fatalf("trend is %v, want 11 points from 900 to 1000 s", got)
	}
	s.AddResident(appKey, "a", sec(1095), mib) // a gap
	if got := s.Trend(appKey); len(got) != 2 || !got[0].At.Equal(sec(1000)) {
		t.Errorf("trend after a gap is %v, want what is not older than its span", got)
	}
}

func TestTrendIgnoresWhatCannotBe(t *testing.T) {
	s := newStore(t, Config{})
	s.AddResident(appKey, "a", sec(100), 5*mib)
	s.AddResident(appKey, "a", sec(50), 6*mib)
	s.AddResident(appKey, "a", sec(200), -1)
	s.AddResident(appKey, "a", time.Time{}, 7*mib)
	s.AddResident(sidecarKey, "a", sec(100), 1<<62)
	want := []TrendPoint{{At: sec(100), ResidentBytes: 5 * mib, MemoryBytes: NotKnown, CPUMilli: NotKnown}}
	if diff := cmp.Diff(want, s.Trend(appKey)); diff != "" {
		t.Errorf("trend (-want +got):\n%s", diff)
	}
	if got := s.Trend(sidecarKey)[0].ResidentBytes; got < 1<<43 {
		t.Errorf("more memory than fits is %d bytes, want the largest that does", got)
	}
}

func TestSweepKeepsAContainerThatIsOnlyOnTheOtherPage(t *testing.T) {
	s := newStore(t, Config{})
	s.AddResident(appKey, "a", sec(500), mib)
	s.AddThrottling(sidecarKey, "a", sec(500), 1, 0)
	if n := s.Sweep(sec(600)); n != 0 {
		t.Errorf("%d containers dropped a minute and a half after their last reading, want none", n)
	}
	if n := s.Sweep(sec(1200)); n != 2 || s.Trend(appKey) != nil {
		t.Errorf("%d containers dropped, want both after Forget", n)
	}
}

func TestThrottled(t *testing.T) {
	type reading struct {
		at                 float64
		instance           string
		periods, throttled float64
	}
	steady := func(from, to, percent float64) (r []reading) {
		for at := from; at <= to; at += 10 {
			r = append(r, reading{at, "a", at * 10, at * 10 * percent / 100})
		}
		return r
	}
	tests := []struct {
		name      string
		readings  []reading
		now, want float64
		known     bool
	}{
		{name: "never read", now: 1},
		{name: "one reading", readings: []reading{{0, "a", 1000, 900}}, now: 1},
		{name: "less than a minute", readings: steady(0, 50, 40), now: 50},
		{name: "a minute", readings: steady(0, 60, 40), now: 60, want: 40, known: true},
		{name: "a long time", readings: steady(0, 5000, 40), now: 5000, want: 40, known: true},
		{name: "stale", readings: steady(0, 600, 40), now: 661},
		{name: "only the last five minutes count", readings: append(steady(0, 600, 0), []reading{
			{630, "a", 6300, 150},
			{660, "a", 6600, 300},
			{690, "a", 6900, 450},
			{720, "a", 7200, 600},
			{750, "a", 7500, 750},
			{780, "a", 7800, 900},
			{810, "a", 8100, 1050},
			{840, "a", 8400, 1200},
			{870, "a", 8700, 1350},
			{900, "a", 9000, 1500},
		}...), now: 900, want: 50, known: true},
		{name: "idle", readings: []reading{{0, "a", 100, 50}, {60, "a", 100, 50}}, now: 60, want: 0, known: true},
		{
			name: "a restart is no step back",
			readings: []reading{
				{0, "a", 1000, 1000}, {40, "a", 1400, 1200}, {50, "b", 10, 10}, {51, "a", 1400, 1200}, {90, "b", 410, 210},
			}, now: 90, want: 50, known: true,
		},
		{
			name:     "a counter that starts anew under the same name",
			readings: []reading{{0, "a", 1000, 0}, {30, "a", 1300, 150}, {60, "a", 10, 10}, {90, "a", 310, 160}},
			now:      90, want: 50, known: true,
		},
		{
			name:     "what cannot be is ignored",
			readings: []reading{{0, "a", 0, 0}, {60, "a", 600, 300}, {61, "a", 10, 20}, {62, "a", -1, -1}, {59, "a", 900, 900}},
			now:      62, want: 50, known: true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStore(t, Config{})
			for _, r := range tt.readings {
				s.AddThrottling(appKey, r.instance, sec(r.at), r.periods, r.throttled)
			}
			if got, known := s.Throttled(appKey, sec(tt.now)); got != tt.want || known != tt.known {
				t.Errorf("throttled is %v, %v, want %v, %v", got, known, tt.want, tt.known)
			}
		})
	}
}
