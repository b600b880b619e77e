package detect

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/metrics"
)

// trend is an hour of points, one each 15 s, with the resident memory (and the load) as functions of the minutes since the
// first one.
func trend(bytes, milli func(minute float64) float64) []metrics.TrendPoint {
	const step = 15 * time.Second
	var out []metrics.TrendPoint
	for at := time.Duration(0); at <= time.Hour; at += step {
		m := at.Minutes()
		out = append(out, metrics.TrendPoint{At: ago(time.Hour - at), ResidentBytes: int64(bytes(m)), MemoryBytes: int64(bytes(m)) + 10*mib, CPUMilli: int64(milli(m))})
	}
	return out
}

func steady(level float64) func(float64) float64 { return func(float64) float64 { return level } }

// wavy is load that goes up and down with a period of a quarter of an hour.
func wavy(m float64) float64 { return 200 + 50*math.Sin(m*2*math.Pi/15) }

func TestMemoryLeak(t *testing.T) {
	// 60 MiB to 110 MiB within the hour, with a limit of 128 MiB: 18 MiB are left, at 50 MiB an hour about 22 min.
	leak := func(m float64) float64 { return (60 + m*50/60) * mib }
	aged := func(r *cluster.Replica, c *cluster.Container) {
		r.CreatedAt, r.StartedAt, r.ReadySince, c.StartedAt = ago(2*time.Hour), ago(2*time.Hour), ago(2*time.Hour), ago(2*time.Hour)
	}
	rows := []struct {
		name    string
		replica cluster.Replica
		points  []metrics.TrendPoint
		want    string
		says    []string
	}{
		{
			name: "a leak", replica: pod(aged), points: trend(leak, wavy), want: "MemoryLeak",
			says: []string{"container app of web-7c9 reaches its memory limit in about 2", " min (", "with 90 % certainty", "110 MiB of 128 MiB (86 %)"},
		},
		{name: "a sidecar's", replica: pod(aged, kind(cluster.ContainerSidecar)), points: trend(leak, wavy), want: "MemoryLeak", says: []string{"sidecar app"}},
		{name: "it is at rest", replica: pod(aged), points: trend(steady(110*mib), wavy)},
		{name: "far from its limit", replica: pod(aged, func(_ *cluster.Replica, c *cluster.Container) { c.MemoryLimit = 1 << 30 }), points: trend(leak, wavy)},
		{name: "it follows load", replica: pod(aged), points: trend(func(m float64) float64 { return (60 + m*50/60) * mib }, func(m float64) float64 { return 100 + 5*m })},
		{name: "no limit", replica: pod(aged, func(_ *cluster.Replica, c *cluster.Container) { c.MemoryLimit = 0 }), points: trend(leak, wavy)},
		{name: "a young life", replica: pod(aged, func(_ *cluster.Replica, c *cluster.Container) { c.StartedAt = ago(39 * time.Minute) }), points: trend(leak, wavy)},
		{name: "an init container", replica: pod(aged, kind(cluster.ContainerInit)), points: trend(leak, wavy)},
		{name: "it is dead", replica: pod(aged, terminated(dead(1, "Error"))), points: trend(leak, wavy)},
		{name: "it is deleted", replica: pod(aged, func(r *cluster.Replica, _ *cluster.Container) { r.DeletedAt = ago(time.Second) }), points: trend(leak, wavy)},
		{name: "nothing is kept of it", replica: pod(aged)},
	}
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			found := leaks(tt.replica, tt.points)
			if len(found) != 0 && tt.want == "" || len(found) != 1 && tt.want != "" {
				t.Fatalf("%d findings, want %q: %+v", len(found), tt.want, found)
			}
			for i := range found {
				f := &found[i]
				checkFinding(t, f)
				for _, part := range tt.says {
					if !strings.Contains(f.Message, part) {
						t.Errorf("message %q does not say %q", f.Message, part)
					}
				}
				if !f.Active || f.Forecast == nil || f.Forecast.Memory != 110*mib || f.Forecast.Limit != 128*mib || f.Confidence < leastLeakConfidence {
					t.Errorf("finding %+v with forecast %+v", f, f.Forecast)
				}
			}
		})
	}
}

func leaks(r cluster.Replica, points []metrics.TrendPoint) []incident.Finding {
	l := lookAt(owner(withReplicas(r)), nil)
	l.Trend = func(string, string) []metrics.TrendPoint { return points }
	l.ForecastWarmUp, l.ForecastMinSpan, l.ForecastMinPercent, l.ForecastHorizon = 10*time.Minute, 30*time.Minute, 70, 2*time.Hour
	var out []incident.Finding
	for _, f := range Findings(l) {
		if f.Kind == incident.MemoryLeak {
			out = append(out, f)
		}
	}
	return out
}

func TestMemoryLeakPerLife(t *testing.T) {
	points := trend(func(m float64) float64 { return (60 + m*50/60) * mib }, wavy)
	life := func(age time.Duration) string {
		found := leaks(pod(func(_ *cluster.Replica, c *cluster.Container) { c.StartedAt = ago(age) }), points)
		if len(found) != 1 {
			t.Fatalf("%d findings", len(found))
		}
		return found[0].Fingerprint
	}
	if life(2*time.Hour) == life(3*time.Hour) {
		t.Error("two lives have one fingerprint")
	}
}

func TestLeakConfidence(t *testing.T) {
	for _, tt := range []struct {
		fit  float64
		open bool
		want int32
	}{
		{0.9, false, 70}, {0.94, false, 80}, {1, false, 95}, {0.5, false, 70}, {1, true, 80}, {0.9, true, 55},
	} {
		f := incident.Forecast{Fit: tt.fit, Latest: now}
		if tt.open {
			f.Latest = time.Time{}
		}
		if got := leakConfidence(&f); got != tt.want {
			t.Errorf("fit %g, open %t: %d, want %d", tt.fit, tt.open, got, tt.want)
		}
	}
}
