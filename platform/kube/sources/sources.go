package sources

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/policy"
	"github.com/homeostat/homeostat/metrics"
	"github.com/homeostat/homeostat/metrics/app"
	"github.com/homeostat/homeostat/metrics/custom"
	"github.com/homeostat/homeostat/metrics/poll"
	"github.com/homeostat/homeostat/metrics/promql"
	"github.com/homeostat/homeostat/platform/kube/view"
)

// Where readings come from, as a decision names it.
const (
	FromPage       = "app /metrics"
	FromCustom     = "custom.metrics.k8s.io"
	FromExternal   = "external.metrics.k8s.io"
	FromPrometheus = "prometheus"
)

// A value that was fetched longer ago than staleAfter, or stalePeriods of its source if that is longer, is not known.
const (
	staleAfter   = time.Minute
	stalePeriods = 3
)

// Custom reads the metrics APIs of the cluster, as a custom.Client does.
type Custom interface {
	Pods(ctx context.Context, namespace, metric string, pods, selector labels.Selector) (map[string]custom.PodValue, error)
	Object(ctx context.Context, namespace string, o custom.Object, metric string, selector labels.Selector) (custom.Value, error)
	External(ctx context.Context, namespace, metric string, selector labels.Selector) (custom.Value, error)
}

// Prometheus evaluates queries, as a promql.Client does.
type Prometheus interface {
	Query(ctx context.Context, query string) (promql.Value, error)
}

// Config says what there is to read from.
type Config struct {
	// Store has what the kubelets tell; required.
	Store *metrics.Store
	// App scrapes the pods' own pages; nil: they are not read. It is run by Run.
	App *app.Scraper
	// Custom and Prometheus may be nil.
	Custom     Custom
	Prometheus Prometheus
	// PrometheusPeriod is the time between two runs of a query, PrometheusTimeout bounds one; 0: 10s and 5s.
	PrometheusPeriod, PrometheusTimeout time.Duration
}

// Sources reads them. Make it with New and run it once. Its methods are safe for concurrent use.
type Sources struct {
	store      *metrics.Store
	app        *app.Scraper
	custom     *poll.Poller[key, answer]          // nil where there is none
	prometheus *poll.Poller[string, promql.Value] // the same
}

// key names what is asked of the metrics APIs. pods is the selector of the target's pods; only of Pods metrics.
type key struct {
	namespace string
	source    hpa.Source
	pods      string
}

// answer is what they answered: the pods' values or one value.
type answer struct {
	pods  map[string]custom.PodValue
	value custom.Value
}

// New returns sources that read nothing yet.
func New(c Config) (*Sources, error) {
	if c.Store == nil {
		return nil, errors.New("sources: Store is missing")
	}
	s := &Sources{store: c.Store, app: c.App}
	var err error
	if c.Custom != nil {
		if s.custom, err = poll.New(asker{c.Custom}.fetch, poll.Config{}); err != nil {
			return nil, fmt.Errorf("sources: %w", err)
		}
	}
	if c.Prometheus != nil {
		s.prometheus, err = poll.New(c.Prometheus.Query, poll.Config{Period: c.PrometheusPeriod, Timeout: c.PrometheusTimeout})
		if err != nil {
			return nil, fmt.Errorf("sources: prometheus: %w", err)
		}
	}
	return s, nil
}

// Run polls what is asked for until ctx is done, and returns when everything has ended.
func (s *Sources) Run(ctx context.Context) {
	var running sync.WaitGroup
	if s.app != nil {
		running.Go(func() { s.app.Run(ctx) })
	}
	if s.custom != nil {
		running.Go(func() { s.custom.Run(ctx) })
	}
	if s.prometheus != nil {
		running.Go(func() { s.prometheus.Run(ctx) })
	}
	running.Wait()
}

// Ask is what one decision needs.
type Ask struct {
	Namespace string
	// Metrics of the policy.
	Metrics []hpa.Metric
	// Pods are the replicas, in the order of the observation, and Selector is what selects them.
	Pods     []*view.Pod
	Selector labels.Selector
	// Page says where the pods' own metrics pages are; nil: their annotations do.
	Page *policy.AppPage
	// Native is true for a HorizontalPodAutoscaler, whose Pods metrics come from the API that its own controller reads.
	Native bool
	// Pending is set by Read where a metric is not known only because nobody asked for it until now, or for so long that it
	// was forgotten: its source has not answered yet.
	Pending bool
}

// Read fills in the usage of the replicas, which are as many as ask.Pods, and returns the readings of the other metrics.
func (s *Sources) Read(ask *Ask, replicas []hpa.Replica, now time.Time) []hpa.Reading {
	s.want(ask, now)
	for i, pod := range ask.Pods {
		r := &replicas[i]
		r.CPU, r.Memory = s.usage(pod, now)
		r.CPUPressure, _ = s.store.Pressure(pod.Namespace, pod.Name, now)
	}
	var out []hpa.Reading
	for i := range ask.Metrics {
		source := &ask.Metrics[i].Source
		if source.Type == hpa.FromResource || known(out, source) {
			continue
		}
		out = append(out, s.reading(ask, source, now))
	}
	return out
}

func known(readings []hpa.Reading, source *hpa.Source) bool {
	for i := range readings {
		if readings[i].Source == *source {
			return true
		}
	}
	return false
}

func (s *Sources) reading(ask *Ask, source *hpa.Source, now time.Time) hpa.Reading {
	switch source.Type {
	case hpa.FromContainerResource:
		return s.ofContainer(ask, source, now)
	case hpa.FromPods:
		return s.ofPods(ask, source, now)
	case hpa.FromObject:
		return s.single(ask, source, FromCustom, now)
	case hpa.FromExternal:
		return s.single(ask, source, FromExternal, now)
	case hpa.FromPrometheus:
		return s.ofQuery(ask, source, now)
	case hpa.FromResource: // in the replicas
	}
	return hpa.Reading{Source: *source, Why: fmt.Sprintf("there is no source of type %q", source.Type)}
}
