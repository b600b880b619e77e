package hpa

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

func TestCapacity(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	// young has its CPU initialization period before it, old has it behind.
	young := func(ready bool, since, sample, window time.Duration) Replica {
		return Replica{
			Phase: cluster.PhaseRunning, StartedAt: ago(time.Minute), Ready: ready, ReadyKnown: true, ReadySince: ago(since),
			CPU: Usage{Known: true, At: ago(sample), Window: window}, Memory: Usage{Known: true},
		}
	}
	old := func(ready bool, sinceStart time.Duration) Replica {
		r := young(ready, 0, 0, 0)
		r.StartedAt = ago(time.Hour)
		r.ReadySince = r.StartedAt.Add(sinceStart)
		return r
	}
	with := func(r Replica, change func(*Replica)) Replica { change(&r); return r }
	for _, test := range []struct {
		name    string
		replica Replica
		cpu     string
		memory  string
	}{
		{"old and ready", old(true, 10*time.Second), "", ""},
		{"deleting", with(old(true, 0), func(r *Replica) { r.Deleting, r.CrashLooping = true, true }), "ignored: deleting", "ignored: deleting"},
		{"failed", with(old(true, 0), func(r *Replica) { r.Phase = cluster.PhaseFailed }), "ignored: failed", "ignored: failed"},
		{"pending", with(old(true, 0), func(r *Replica) { r.Phase = cluster.PhasePending }), "unready: pending", "unready: pending"},
		{"pending comes before missing", with(old(true, 0), func(r *Replica) {
			r.Phase, r.CPU.Known, r.Memory.Known = cluster.PhasePending, false, false
		}), "unready: pending", "unready: pending"},
		{"crash loop", with(old(true, 0), func(r *Replica) { r.CrashLooping = true }), "aside: crash loop", "aside: crash loop"},
		{"missing", with(old(true, 0), func(r *Replica) { r.CPU.Known = false }), "missing: no sample", ""},
		{"missing with a reason", with(old(true, 0), func(r *Replica) { r.Memory = Usage{Why: "Stale"} }), "", "missing: Stale"},
		{"missing comes before not ready", with(young(false, time.Minute, 0, 0), func(r *Replica) { r.CPU.Known = false }), "missing: no sample", ""},
		{"no condition", with(old(true, 0), func(r *Replica) { r.ReadyKnown = false }), "unready: readiness not known", ""},
		{"not started", with(old(true, 0), func(r *Replica) { r.StartedAt = time.Time{} }), "unready: readiness not known", ""},
		{"young, not ready", young(false, time.Minute, 0, 0), "unready: starting, not ready", ""},
		{"young, ready, sample from before", young(true, 10*time.Second, 0, 11*time.Second), "unready: no full sample since it became ready", ""},
		{"young, ready, sample from then on", young(true, 10*time.Second, 0, 10*time.Second), "", ""},
		{"young, readiness unknown", with(young(false, time.Minute, 0, 0), func(r *Replica) { r.ReadyUnknown = true }), "", ""},
		{"at the end of the period", with(young(false, time.Minute, 0, 0), func(r *Replica) {
			r.StartedAt, r.ReadySince = ago(5*time.Minute), ago(time.Minute)
		}), "", ""},
		{"a moment before", with(young(false, time.Minute, 0, 0), func(r *Replica) {
			r.StartedAt, r.ReadySince = ago(5*time.Minute-1), ago(time.Minute)
		}), "unready: starting, not ready", ""},
		{"old, never ready", old(false, 30*time.Second-1), "unready: never ready", ""},
		{"old, was ready", old(false, 30*time.Second), "", ""},
		{"old, readiness unknown", with(old(false, 0), func(r *Replica) { r.ReadyUnknown = true }), "", ""},
		{"succeeded", with(old(true, 0), func(r *Replica) { r.Phase = cluster.PhaseSucceeded }), "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := DefaultPolicy()
			var l lens
			l.focus(&p, now)
			for resource, want := range map[Resource]string{CPU: test.cpu, Memory: test.memory} {
				u := test.replica.usage(resource)
				kind, why := l.sort(&test.replica, u, resource)
				got := [...]string{"ready", "unready", "missing", "ignored", "aside", "fresh", "doubted"}[kind] + ": " + why.words(&test.replica, u, now)
				if got = strings.TrimPrefix(got, "ready: "); got != want {
					t.Errorf("%s: got %q, want %q", resource, got, want)
				}
			}
		})
	}
}

// TestSourcesAreExact: a source is compared as a whole, so a part that its type does not have is a mistake.
func TestSourcesAreExact(t *testing.T) {
	policy := func(s Source, target TargetType) Policy {
		p := DefaultPolicy()
		p.Max, p.Metrics = 9, []Metric{{Source: s, Type: target, Target: 5}}
		return p
	}
	for _, test := range []struct {
		source Source
		target TargetType
		want   string
	}{
		{OfResource(CPU), Utilization, ""},
		{Source{Type: FromContainerResource, Resource: Memory, Container: "app"}, AverageValue, ""},
		{Source{Type: FromPods, Name: "hits", Selector: "a=b"}, AverageValue, ""},
		{Source{Type: FromObject, Name: "hits", Selector: "a=b", Object: "v1/Service/web"}, Value, ""},
		{Source{Type: FromExternal, Name: "queue", Selector: "a=b"}, Value, ""},
		{Source{Type: FromPrometheus, Name: "up"}, AverageValue, ""},
		{Source{Type: "Moon"}, Value, `metrics[0].source.type: "Moon" is not allowed, it must be "Resource", "ContainerResource", "Pods", "Object", "External" or "Prometheus"`},
		{Source{Type: FromResource, Resource: CPU, Container: "app"}, Utilization, `metrics[0].source.container: "app" is not allowed, it must be left out where the type is Resource`},
		{Source{Type: FromContainerResource, Resource: CPU}, Utilization, `metrics[0].source.container: "" is not allowed, it must be the name of a container`},
		{Source{Type: FromPods, Name: "hits", Resource: CPU}, AverageValue, `metrics[0].source.resource: "cpu" is not allowed, it must be left out where the type is Pods`},
		{Source{Type: FromObject, Name: "hits"}, Value, `metrics[0].source.object: "" is not allowed, it must be an object as "apiVersion/kind/name"`},
		{Source{Type: FromExternal, Name: "queue", Object: "v1/Service/web"}, Value, `metrics[0].source.object: "v1/Service/web" is not allowed, it must be left out where the type is External`},
		{Source{Type: FromPrometheus}, Value, `metrics[0].source.name: "" is not allowed, it must be a query`},
		{Source{Type: FromPrometheus, Name: "up", Selector: "a=b"}, Value, `metrics[0].source.selector: "a=b" is not allowed, it must be left out where the type is Prometheus`},
		{Source{Type: FromResource, Resource: CPU, Name: "cpu"}, Utilization, `metrics[0].source.name: "cpu" is not allowed, it must be left out where the type is Resource`},
	} {
		p := policy(test.source, test.target)
		got := ""
		if err := p.Validate(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%+v: got  %s\nwant %s", test.source, got, test.want)
		}
	}
}

func TestSaturation(t *testing.T) {
	const most, least = math.MaxInt64, math.MinInt64
	for _, test := range []struct{ a, b, c, want int64 }{
		{7, 100, 200, 3},
		{-7, 100, 200, -3},
		{0, 5, 1, 0},
		{most, 100, 1, most},
		{least, 100, 1, -most},
		{least, least, 1, most},
		{most, 100, 300, 3074457345618258602},
		{most / 2, 100, most, 49},
		{-most, 1, 1, -most},
	} {
		if got := quotient(test.a, test.b, test.c); got != test.want {
			t.Errorf("%d*%d/%d: got %d, want %d", test.a, test.b, test.c, got, test.want)
		}
	}
	for _, test := range []struct{ a, b, want int64 }{{1, 2, 3}, {most, 1, most}, {least, -1, least}, {most, least, -1}} {
		if got := add(test.a, test.b); got != test.want {
			t.Errorf("%d+%d: got %d, want %d", test.a, test.b, got, test.want)
		}
	}
	for f, want := range map[float64]int32{1.2: 2, -1.2: -1, 3e9: math.MaxInt32, -3e9: math.MinInt32, math.Inf(1): math.MaxInt32} {
		if got := ceil32(f); got != want {
			t.Errorf("%g rounded up: got %d, want %d", f, got, want)
		}
	}
	if got := ceil32(math.NaN()); got != 0 {
		t.Errorf("not a number rounded up: got %d", got)
	}
	for f, want := range map[float64]int64{1.2: 2, -1.2: -1, 1e19: most, -1e19: least, math.Inf(1): most} {
		if got := ceil64(f); got != want {
			t.Errorf("%g rounded up: got %d, want %d", f, got, want)
		}
	}
}

func TestWords(t *testing.T) {
	amount := func(r Resource, v int64) string { m := Metric{Source: Source{Resource: r}}; return m.amount(v) }
	for want, got := range map[string]string{
		"80m": amount(CPU, 80), "1500m": amount(CPU, 1500), "1000": amount(Memory, 1000), "1Ki": amount(Memory, 1024),
		"1.5Mi": amount(Memory, 3<<19), "200Mi": amount(Memory, 200<<20), "2Gi": amount(Memory, 2<<30), "3Ti": amount(Memory, 3<<40),
		"12.5": amount("", 12500), "1": amount("", 1000), "0.001": amount("", 1), "-3": amount("", -3000),
		"5m": span(5 * time.Minute), "1h": span(time.Hour), "1h30m": span(90 * time.Minute), "1m30s": span(90 * time.Second),
		"10s": span(10 * time.Second), "0s": span(0), "1h0m10s": span(time.Hour + 10*time.Second),
		"1 dog": plural(1, "dog"), "2 dogs": plural(2, "dog"),
		"sum( rate(x[1m]) )": (&Source{Type: FromPrometheus, Name: "sum(\n  rate(x[1m])\n)\n"}).String(), // a message is one line
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestUncomputable lists what keeps a metric from being computed, with the reason that the condition gives.
func TestUncomputable(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	usage := Usage{Known: true, Value: 50, Request: 100, At: now.Add(-time.Second)}
	replica := Replica{
		Name: "web-1", Phase: cluster.PhaseRunning, StartedAt: now.Add(-time.Hour), Ready: true, ReadyKnown: true,
		ReadySince: now.Add(-time.Hour), CPU: usage, Memory: usage,
	}
	older := replica
	older.Name, older.CPU.At = "web-2", now.Add(-time.Minute)
	for _, test := range []struct {
		name        string
		metric      Metric
		change      func(*Observation)
		reason, err string
	}{
		{"fine", Metric{OfResource(CPU), Utilization, 50, nil}, nil, "", ""},
		{"target 0", Metric{OfResource(CPU), Utilization, 0, nil}, nil, CondFailedGetResourceMetric, "the target 0 is not greater than 0"},
		{"resource", Metric{OfResource("disk"), Utilization, 50, nil}, nil, CondInvalidMetricSourceType, `the resource "disk" is not known`},
		{"type", Metric{OfResource(CPU), "Value", 50, nil}, nil, CondInvalidMetricSourceType, `a Resource metric has no target of type "Value"`},
		{"no replicas", Metric{OfResource(CPU), Utilization, 50, nil}, func(o *Observation) { o.Replicas = nil }, CondFailedGetResourceMetric, "no replica matches the target's selector"},
		{"dark", Metric{OfResource(Memory), Utilization, 50, nil}, func(o *Observation) { o.Unavailable = "no node answers" }, CondFailedGetResourceMetric, "no usage is available: no node answers"},
		{"nobody", Metric{OfResource(CPU), AverageValue, 50, nil}, func(o *Observation) {
			o.Replicas[0].Deleting, o.Replicas[1].Phase = true, cluster.PhasePending
		}, CondFailedGetResourceMetric, "no ready replica has a usable sample (1 not ready, 1 ignored)"},
		{"no request", Metric{OfResource(CPU), Utilization, 50, nil}, func(o *Observation) { o.Replicas[1].CPU.RequestMissing = "app" }, CondFailedGetResourceMetric, "container app of replica web-2 has no cpu request"},
		{"no request needed", Metric{OfResource(CPU), AverageValue, 50, nil}, func(o *Observation) { o.Replicas[1].CPU.RequestMissing = "app" }, "", ""},
		{"requests of 0", Metric{OfResource(Memory), Utilization, 50, nil}, func(o *Observation) {
			o.Replicas[0].Memory.Request, o.Replicas[1].Memory.Request = 0, 0
		}, CondFailedGetResourceMetric, "the ready replicas request no memory at all"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := DefaultPolicy()
			p.Max, p.Metrics = 9, []Metric{test.metric}
			o := Observation{Current: 2, Replicas: []Replica{replica, older}}
			if test.change != nil {
				test.change(&o)
			}
			rec, _ := Decide(p, o, History{}, now)
			m := rec.Metrics[0]
			if m.ErrReason != test.reason || m.Err != test.err {
				t.Errorf("got %s, %q, want %s, %q", m.ErrReason, m.Err, test.reason, test.err)
			}
			if want := older.CPU.At; test.metric.Source.Resource == CPU && test.err == "" && !m.Oldest.Equal(want) {
				t.Errorf("the oldest sample is of %s, want %s", m.Oldest, want)
			}
			active := rec.Conditions[1]
			if wrong := active.Type != ScalingActive || active.Status != (test.err == ""); wrong || (test.err != "" && active.Reason != test.reason) {
				t.Errorf("condition %+v", active)
			}
		})
	}
}
