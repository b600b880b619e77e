package service

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/platform/local/spec"
)

// The kubelet's sequence: at once, 10 s, 20 s and so on up to 300 s; ten minutes of life clear it.
func TestBackoff(t *testing.T) {
	b := backoff{rules: spec.Default().Restart}
	lives := []time.Duration{1, 1, 1, 1, 1, 1, 1, 1, 10 * time.Minute, 1}
	var got []time.Duration
	for _, lived := range lives {
		got = append(got, b.delay(lived)/time.Second)
	}
	if diff := cmp.Diff([]time.Duration{0, 10, 20, 40, 80, 160, 300, 300, 0, 10}, got); diff != "" {
		t.Error(diff)
	}
}

func TestEventLog(t *testing.T) {
	var l eventLog
	at := time.Unix(100, 0)
	l.add(Event{At: at, Reason: "Started"})
	l.add(Event{At: at.Add(1), Reason: "Killing"})
	if again := l.add(Event{At: at.Add(2), Reason: "Started"}); !again {
		t.Error("a repeated event was taken for a new one")
	}
	want := eventLog{
		{Reason: "Started", Count: 2, First: at, Last: at.Add(2)},
		{Reason: "Killing", Count: 1, First: at.Add(1), Last: at.Add(1)},
	}
	if diff := cmp.Diff(want, l); diff != "" {
		t.Error(diff)
	}
	for i := range 2 * maxEvents {
		l.add(Event{At: at, Reason: strconv.Itoa(i)})
	}
	if len(l) != maxEvents || l[0].Reason != strconv.Itoa(2*maxEvents-1) {
		t.Errorf("%d events, newest %s", len(l), l[0].Reason)
	}
}
