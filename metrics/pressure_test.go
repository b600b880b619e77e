package metrics

import (
	"math"
	"testing"
	"time"
)

func TestPressure(t *testing.T) {
	type reading struct{ at, percent float64 }
	tests := []struct {
		name     string
		unseen   bool // no container of the pod was
		readings []reading
		now      float64
		want     float64
		wantOK   bool
	}{
		{name: "none"},
		{name: "zero is a reading", readings: []reading{{0, 0}}, now: 1, wantOK: true},
		{name: "the newest counts", readings: []reading{{0, 10}, {10, 55.5}}, now: 12, want: 55.5, wantOK: true},
		{name: "one that came late does not", readings: []reading{{10, 55}, {5, 10}}, now: 12, want: 55, wantOK: true},
		{name: "stale", readings: []reading{{0, 10}}, now: 61},
		{name: "just not stale", readings: []reading{{0, 10}}, now: 60, want: 10, wantOK: true},
		{name: "from the far future", readings: []reading{{100, 10}}, now: 0},
		{name: "what is no percentage is ignored", readings: []reading{{0, 7}, {1, -1}, {2, 100.1}, {3, math.NaN()}}, now: 4, want: 7, wantOK: true},
		{name: "a pod without containers is not kept", unseen: true, readings: []reading{{0, 10}}, now: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := NewStore(Config{})
			if err != nil {
				t.Fatal(err)
			}
			if !tt.unseen {
				s.Add(Key{"ns", "pod", "app"}, "n1", sample(0, 1, 1))
			}
			for _, r := range tt.readings {
				s.AddPressure("ns", "pod", sec(r.at), r.percent)
			}
			if got, ok := s.Pressure("ns", "pod", sec(tt.now)); got != tt.want || ok != tt.wantOK {
				t.Errorf("pressure is %v, %v, want %v, %v", got, ok, tt.want, tt.wantOK)
			}
		})
	}
}

func TestPressureIsForgottenWithThePod(t *testing.T) {
	s, err := NewStore(Config{})
	if err != nil {
		t.Fatal(err)
	}
	s.Add(Key{"ns", "pod", "app"}, "n1", sample(0, 1, 1))
	s.AddPressure("ns", "pod", sec(0), 10)
	s.Sweep(sec(0).Add(time.Hour))
	s.Add(Key{"ns", "pod", "app"}, "n1", sample(0, 1, 1))
	if _, ok := s.Pressure("ns", "pod", sec(1)); ok {
		t.Error("a pod of the same name has the pressure of the one before")
	}
}
