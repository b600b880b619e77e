package telemetry

import (
	"fmt"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Type of a metric, in the words of the exposition format.
type Type string

// The types.
const (
	Gauge     Type = "gauge"
	Counter   Type = "counter"
	Histogram Type = "histogram"
)

// Part of Homeostat that a metric is about; docs/metrics.md has a section for each.
type Part string

// The parts.
const (
	Autoscalers Part = "autoscalers"
	Healing     Part = "healing"
	Controller  Part = "controller"
)

// Metric declares one metric that Homeostat exposes about itself.
type Metric struct {
	// Name is homeostat_<subsystem>_<thing>_<unit>[_total].
	Name string
	Type Type
	Part Part
	// Unit is the base unit of the values: seconds, ratio, or what is counted.
	Unit string
	// Help is one sentence; it stands on the page and in docs/metrics.md.
	Help   string
	Labels []Label
	// Buckets are the upper bounds of a histogram's, in Unit.
	Buckets []float64
}

// Label is one label of a metric.
type Label struct {
	Name string
	// Bound says which values it has, and so how many at most.
	Bound string
}

func (m *Metric) labelNames() []string {
	names := make([]string, len(m.Labels))
	for i := range m.Labels {
		names[i] = m.Labels[i].Name
	}
	return names
}

// instruments makes what the table declares and registers it. A name that the table does not have, or has with another type, is a mistake
// in this package and panics, as that of a metric which is registered twice does.
type instruments struct {
	reg   prometheus.Registerer
	table []Metric
}

func (i *instruments) find(name string, of Type) *Metric {
	at := slices.IndexFunc(i.table, func(m Metric) bool { return m.Name == name })
	if at < 0 || i.table[at].Type != of {
		panic(fmt.Sprintf("telemetry: the table has no %s of the name %s", of, name))
	}
	return &i.table[at]
}

func (i *instruments) counter(name string) *prometheus.CounterVec {
	m := i.find(name, Counter)
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.Name, Help: m.Help}, m.labelNames())
	i.reg.MustRegister(vec)
	return vec
}

func (i *instruments) gauge(name string) *prometheus.GaugeVec {
	m := i.find(name, Gauge)
	vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: m.Name, Help: m.Help}, m.labelNames())
	i.reg.MustRegister(vec)
	return vec
}

func (i *instruments) histogram(name string) *prometheus.HistogramVec {
	m := i.find(name, Histogram)
	vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: m.Name, Help: m.Help, Buckets: m.Buckets}, m.labelNames())
	i.reg.MustRegister(vec)
	return vec
}

// momentary returns a metric whose series are made anew for every scrape, by a collector.
func (i *instruments) momentary(name string, of Type) series {
	m := i.find(name, of)
	kind := prometheus.GaugeValue
	if of == Counter {
		kind = prometheus.CounterValue
	}
	return series{desc: prometheus.NewDesc(m.Name, m.Help, m.labelNames(), nil), kind: kind}
}

// series is a metric whose series are made anew for every scrape.
type series struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func (s series) send(ch chan<- prometheus.Metric, value float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(s.desc, s.kind, value, labels...)
}

// moment is a collector whose series are those of the present moment.
type moment struct {
	of      []series
	collect func(ch chan<- prometheus.Metric)
}

// Describe sends every description.
func (m moment) Describe(ch chan<- *prometheus.Desc) {
	for _, s := range m.of {
		ch <- s.desc
	}
}

// Collect sends the series of the present moment.
func (m moment) Collect(ch chan<- prometheus.Metric) { m.collect(ch) }

// exemplar returns the label that leads from a number to the records behind it, by their id; nil where it is empty, or too long for an
// exemplar (128 characters with the label's name, OpenMetrics 1.0).
func exemplar(id string) prometheus.Labels {
	if id == "" || len("id")+len(id) > prometheus.ExemplarMaxRunes {
		return nil
	}
	return prometheus.Labels{"id": id}
}

// count adds one to the counter, with an exemplar where there is one.
func count(c prometheus.Counter, of prometheus.Labels) {
	if with, ok := c.(prometheus.ExemplarAdder); ok && of != nil {
		with.AddWithExemplar(1, of)
		return
	}
	c.Inc()
}

// observe adds the value to the histogram, with an exemplar where there is one.
func observe(o prometheus.Observer, value float64, of prometheus.Labels) {
	if with, ok := o.(prometheus.ExemplarObserver); ok && of != nil {
		with.ObserveWithExemplar(value, of)
		return
	}
	o.Observe(value)
}
