package telemetry

import (
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/homeostat/homeostat/internal/incident"
)

// Namespaces come and go, and each leaves a counter: however many there were, those of now are exposed, and so many at most.
func TestNamespacesThatAreGoneLeaveNoCountersForEver(t *testing.T) {
	t.Parallel()
	o := openings{prometheus.NewCounterVec(prometheus.CounterOpts{Name: "opened_total", Help: "Incidents."}, []string{"namespace", "kind"}), map[opening]time.Time{}}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	in := func(namespace string) *incident.Incident {
		return &incident.Incident{Namespace: namespace, Kind: incident.CrashLoop}
	}
	kept := func(want int, namespace string, rose float64) {
		t.Helper()
		if n := testutil.CollectAndCount(o.counters); n != want || len(o.rose) != want {
			t.Errorf("%d counters are exposed and %d known, want %d", n, len(o.rose), want)
		}
		if got := testutil.ToFloat64(o.counters.WithLabelValues(namespace, "CrashLoop")); got != rose {
			t.Errorf("that of %s is %v, want %v", namespace, got, rose)
		}
	}
	for i := range maxOpened {
		o.count(in("test-"+strconv.Itoa(i)), "x", now)
		now = now.Add(time.Second)
	}
	o.count(in("test-0"), "x", now)
	kept(maxOpened, "test-0", 2)
	o.count(in("new"), "x", now) // all are of today: the one that rose the longest ago goes
	kept(maxOpened, "test-0", 2)
	if _, known := o.rose[opening{"test-1", incident.CrashLoop}]; known {
		t.Error("test-1 is kept, which rose the longest ago")
	}
	now = now.Add(openedKept)
	o.count(in("tomorrow"), "x", now)
	kept(1, "tomorrow", 1)
}
