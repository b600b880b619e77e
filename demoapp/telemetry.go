package demoapp

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/homeostat/homeostat/demoapp/internal/param"
)

// telemetry is what /metrics shows, on a registry of this app's own. Paths are those of the route table,
// so their number is bounded.
type telemetry struct {
	page     http.Handler
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	current  atomic.Int64
	cpu      prometheus.Counter
	children prometheus.Counter
}

func newTelemetry(a *app) *telemetry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	factory := promauto.With(registry)
	t := &telemetry{
		page: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
		requests: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "demoapp_http_requests_total", Help: "Requests answered, by path of the endpoint and status code.",
		}, []string{"path", "code"}),
		duration: factory.NewHistogramVec(prometheus.HistogramOpts{
			Name: "demoapp_http_request_duration_seconds", Help: "Time from the request to the end of the answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"path"}),
		cpu: factory.NewCounter(prometheus.CounterOpts{
			Name: "demoapp_cpu_load_cpu_seconds_total", Help: "CPU time burnt by ended loads of /cpu-load.",
		}),
		children: factory.NewCounter(prometheus.CounterOpts{
			Name: "demoapp_children_killed_total", Help: "Child processes killed by somebody else, most likely out of memory.",
		}),
	}
	gauge := func(name, help string, value func() float64) {
		factory.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	gauge("demoapp_http_requests_in_flight", "Requests being answered now.", func() float64 { return float64(t.current.Load()) })
	gauge("demoapp_leaked_bytes", "Memory held by /memory-leak and LEAK_ON_START.", func() float64 { return float64(a.memory.Held()) })
	gauge("demoapp_cpu_load_workers", "Workers of /cpu-load that burn now.", func() float64 { return float64(a.jobs.Weight(kindCPU)) })
	gauge("demoapp_children", "Child processes of /child-leak alive now.", func() float64 { return float64(a.jobs.Weight(kindChild)) })
	gauge("demoapp_draining", "1 while the app is told to stop and still serves.", func() float64 {
		if a.probes.draining() {
			return 1
		}
		return 0
	})
	factory.NewGaugeVec(prometheus.GaugeOpts{Name: "demoapp_build_info", Help: "Constant 1 with the version as a label."},
		[]string{"version"}).WithLabelValues(a.opts.Version).Set(1)
	return t
}

func (t *telemetry) begin() { t.current.Add(1) }

func (t *telemetry) end(path string, status int, took time.Duration) {
	t.current.Add(-1)
	t.requests.WithLabelValues(path, strconv.Itoa(status)).Inc()
	t.duration.WithLabelValues(path).Observe(took.Seconds())
}

func (t *telemetry) inFlight() int64 { return t.current.Load() }

func (t *telemetry) burnt(seconds float64) { t.cpu.Add(seconds) }

func (t *telemetry) childKilled() { t.children.Inc() }

func (t *telemetry) serve(w http.ResponseWriter, r *http.Request, _ param.Values) error {
	t.page.ServeHTTP(w, r)
	return nil
}
