package differential

import (
	"math"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/homeostat/homeostat/hpa"
)

// policy makes up what a user may write, every rule of hpa.HealthPolicy off.
func (g *generator) policy() hpa.Policy {
	p := hpa.Policy{Min: int32(1 + g.r.IntN(4)), Behavior: g.behavior()}
	if g.c.Gates.ScaleToZero && g.one(4) {
		p.Min = 0
	}
	p.Max = max(1, p.Min+int32(pick(g.r, g.r.IntN(20), g.r.IntN(20), g.r.IntN(6), 100)))
	if g.huge {
		p.Max = pick(g.r, p.Max, 1<<30, math.MaxInt32)
	}
	p.Metrics = g.metrics(p.Min == 0)
	return p
}

// metrics makes one to three of them. One that needs no pods is among them where the target may have none.
func (g *generator) metrics(zero bool) []hpa.Metric {
	var all []hpa.Metric
	for n := pick(g.r, 1, 1, 2, 2, 3); n > 0; n-- {
		all = append(all, g.metric(g.r.IntN(20)))
	}
	if zero {
		all[0] = g.metric(16 + g.r.IntN(4))
	}
	return all
}

func (g *generator) metric(kind int) hpa.Metric {
	m := hpa.Metric{Type: hpa.AverageValue, Target: pick(g.r, int64(1000), 500, 777, 10_000, 100_000, 1)}
	switch {
	case kind < 10:
		m.Source = hpa.OfResource(pick(g.r, hpa.CPU, hpa.CPU, hpa.Memory))
		g.resourceTarget(&m)
	case kind < 13:
		m.Source = hpa.Source{Type: hpa.FromContainerResource, Resource: pick(g.r, hpa.CPU, hpa.CPU, hpa.Memory), Container: pick(g.r, "app", "app", "side", "proxy", "nobody")}
		g.resourceTarget(&m)
	case kind < 16:
		m.Source = hpa.Source{Type: hpa.FromPods, Name: pick(g.r, "p1", "p2")}
	case kind < 18:
		m.Source = hpa.Source{Type: hpa.FromObject, Name: pick(g.r, "o1", "o2"), Object: pick(g.r, "v1/Service/described", "v1/Namespace/described")}
		m.Type = pick(g.r, hpa.Value, hpa.AverageValue)
	default:
		m.Source = hpa.Source{Type: hpa.FromExternal, Name: pick(g.r, "e1", "e2")}
		m.Type = pick(g.r, hpa.Value, hpa.AverageValue)
	}
	if m.Source.Name != "" {
		m.Source.Selector = pick(g.r, "", "", "GET")
		if g.one(15) {
			m.Source.Selector = selectorBroken
		}
	}
	return m
}

func (g *generator) resourceTarget(m *hpa.Metric) {
	switch {
	case !g.one(3):
		m.Type, m.Target = hpa.Utilization, pick(g.r, int64(50), 80, 40, 100, 133, 200, 1)
	case m.Source.Resource == hpa.CPU:
		m.Target = pick(g.r, int64(100), 77, 3, 250)
	default:
		m.Target = pick(g.r, int64(100<<20), 77, 64<<20, 12_345_678)
	}
}

func (g *generator) behavior() *hpa.Behavior {
	if g.one(2) {
		return nil
	}
	b := &hpa.Behavior{}
	if !g.one(3) {
		b.ScaleUp = g.rules()
	}
	if !g.one(3) {
		b.ScaleDown = g.rules()
	}
	return b
}

func (g *generator) rules() *hpa.Rules {
	r := &hpa.Rules{Select: pick(g.r, hpa.Select(""), "", hpa.SelectMax, hpa.SelectMax, hpa.SelectMin, hpa.SelectMin, hpa.SelectDisabled)}
	if g.one(2) {
		w := time.Duration(pick(g.r, 0, 0, 1, 15, 30, 45, 60, 61, 120, 300, 3600)) * time.Second
		r.StabilizationWindow = &w
	}
	for n := g.r.IntN(4); n > 0; n-- {
		r.Limits = append(r.Limits, hpa.RateLimit{
			Type:   pick(g.r, hpa.LimitPercent, hpa.LimitReplicas),
			Value:  int32(pick(g.r, 1+g.r.IntN(5), 1+g.r.IntN(50), 1+g.r.IntN(150), 10, 33, 50, 100, 1000)),
			Period: time.Duration(pick(g.r, 1, 15, 15, 30, 60, 61, 150, 600, 1800)) * time.Second,
		})
	}
	if g.huge && g.one(3) && len(r.Limits) > 0 {
		r.Limits[0].Value = math.MaxInt32
	}
	if g.one(3) {
		t := pick(g.r, 0, 0.05, 0.2, 0.25, 1, 3)
		r.Tolerance = &t
	}
	return r
}

// values makes those of the Object and External metrics of a policy, and the faults of its Pods metrics.
func (g *generator) values(s *Step, p *hpa.Policy, statusReplicas int32) {
	for i := range p.Metrics {
		m := &p.Metrics[i]
		if m.Source.Name == "" {
			continue
		}
		v := Value{}
		if g.one(3 * g.mishaps) {
			v.Fault = pick(g.r, FaultError, FaultEmpty)
		}
		total := float64(m.Target) * g.level()
		if m.Type == hpa.AverageValue {
			total *= float64(statusReplicas)
		} else {
			total *= pick(g.r, 1, 1, 1, 0.5, 2, 3)
		}
		switch m.Source.Type {
		case hpa.FromObject:
			v.Items = []resource.Quantity{g.quantity(total)}
		case hpa.FromExternal:
			for n := pick(g.r, 1, 1, 2, 3); n > 0; n-- {
				part := total / float64(n)
				total -= part
				v.Items = append(v.Items, g.quantity(part))
			}
		case hpa.FromResource, hpa.FromContainerResource, hpa.FromPods, hpa.FromPrometheus: // in the pods, or nowhere
		}
		s.Values[m.Source.Name] = v
	}
}

// level is how much there is of a metric, as a share of its target.
func (g *generator) level() float64 {
	if g.calm {
		return g.load
	}
	return g.load * (0.5 + g.r.Float64())
}

// quantity of so many thousandths, with a fraction of one at times, and now and then nothing like it.
func (g *generator) quantity(milli float64) resource.Quantity {
	switch {
	case g.huge && g.one(8):
		return resource.MustParse(pick(g.r, "9e15", "9223372036854775807", "9.2e18", "4e12", "1e11", "92233720368547758", "3e9", "2147483647"))
	case g.negative && g.one(6):
		return *resource.NewMilliQuantity(-int64(milli)-g.r.Int64N(2), resource.DecimalSI)
	case g.one(3):
		return *resource.NewScaledQuantity(int64(milli*1e6)+g.r.Int64N(1e6), resource.Nano)
	}
	return *resource.NewMilliQuantity(int64(math.Round(milli)), resource.DecimalSI)
}

// bytes of memory.
func (g *generator) bytes(n float64) resource.Quantity {
	switch {
	case g.huge && g.one(8):
		return resource.MustParse(pick(g.r, "9e15", "9223372036854775807", "8Ei", "4e12", "92233720368547758", "92233720368547"))
	case g.negative && g.one(6):
		return *resource.NewQuantity(-int64(n), resource.BinarySI)
	case g.fractions && g.one(4):
		return *resource.NewMilliQuantity(int64(n)*1000+g.r.Int64N(1000), resource.BinarySI)
	}
	return *resource.NewQuantity(int64(n), resource.BinarySI)
}
