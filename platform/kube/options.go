package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"

	"github.com/homeostat/homeostat/api/client"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/metrics"
	"github.com/homeostat/homeostat/metrics/app"
	"github.com/homeostat/homeostat/metrics/custom"
	"github.com/homeostat/homeostat/platform/kube/podlog"
	"github.com/homeostat/homeostat/platform/kube/sources"
)

// Defaults of Options.
const (
	DefaultSyncTimeout   = 2 * time.Minute
	DefaultKeepIncidents = 24 * time.Hour
	DefaultMaxIncidents  = 50
)

// Options say which cluster is watched and how.
type Options struct {
	// REST says how the API server is reached; required. It is copied.
	REST *rest.Config
	// Namespaces to watch; empty is all. Nodes are always watched, and the events about them, which are in the namespace default,
	// and the incidents in SelfNamespace, where those about nodes and the cluster are.
	Namespaces []string
	// SelfNamespace and SelfPod say where this process runs, so that it never acts on itself; both may be empty. SelfPod
	// defaults to Identity.
	SelfNamespace, SelfPod string
	// Store holds the usage of the containers; required.
	Store *metrics.Store
	// Sources of metrics beside the kubelets.
	Sources Sources
	// LogWindow is a store of logs that is asked before the kubelets, and LogWindowName what it is called; nil: none.
	LogWindow     podlog.Window
	LogWindowName string
	// Log takes what client-go and the Platform say; nil is nowhere. It is the log of client-go for the whole process, which
	// the first Platform sets.
	Log *slog.Logger
	// Identity of this controller; required.
	Identity string
	// WatchAll watches the workloads that no HealingPolicy selects too, under the Default policy.
	WatchAll bool
	// Default policy of the workloads that no HealingPolicy selects. Its mode is always Observe. Zero: healing.DefaultPolicy.
	Default healing.Policy
	// KeepIncidents is how long a resolved incident is kept. Default 24 h.
	KeepIncidents time.Duration
	// MaxIncidents is how many incidents a namespace keeps; the oldest resolved ones go first, an active one never does.
	// Default 50.
	MaxIncidents int
	// NativeHPAs says what is done about HorizontalPodAutoscalers. Default NativeObserve.
	NativeHPAs NativeMode
	// SyncTimeout bounds how long Start waits for the first full view. Default 2 m.
	SyncTimeout time.Duration
}

// Sources are where metrics are read beside the kubelets. The zero value is nowhere.
type Sources struct {
	// CustomMetrics reads custom.metrics.k8s.io and external.metrics.k8s.io.
	CustomMetrics bool
	// App scrapes the pods' own metrics pages; nil: they are not read. The Platform runs it.
	App *app.Scraper
	// Prometheus evaluates the queries of metrics of type Prometheus, each once in PrometheusPeriod and for PrometheusTimeout
	// at most (0: 10 s and 5 s); nil: such metrics cannot be computed.
	Prometheus                          sources.Prometheus
	PrometheusPeriod, PrometheusTimeout time.Duration
}

func (o Options) withDefaults() (Options, error) {
	switch {
	case o.REST == nil:
		return o, errors.New("kube: REST is missing: it must say how the API server is reached")
	case o.Store == nil:
		return o, errors.New("kube: Store is missing")
	case o.Identity == "":
		return o, errors.New("kube: Identity is empty: it must name this controller")
	case o.KeepIncidents < 0:
		return o, fmt.Errorf("kube: KeepIncidents is %s, it must not be negative", o.KeepIncidents)
	case o.MaxIncidents < 0:
		return o, fmt.Errorf("kube: MaxIncidents is %d, it must not be negative", o.MaxIncidents)
	}
	switch o.NativeHPAs {
	case "":
		o.NativeHPAs = NativeObserve
	case NativeObserve, NativeManage, NativeOff:
	default:
		return o, fmt.Errorf("kube: NativeHPAs is %q, it must be Observe, Manage or Off", o.NativeHPAs)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.SelfPod == "" {
		o.SelfPod = o.Identity
	}
	if o.KeepIncidents == 0 {
		o.KeepIncidents = DefaultKeepIncidents
	}
	if o.MaxIncidents == 0 {
		o.MaxIncidents = DefaultMaxIncidents
	}
	if o.SyncTimeout <= 0 {
		o.SyncTimeout = DefaultSyncTimeout
	}
	if o.Default.BudgetPeriod == 0 {
		o.Default = healing.DefaultPolicy()
	}
	// Acting needs a user who asked for it, and a place to store the budget: both are a HealingPolicy.
	o.Default.Mode, o.Default.Namespace, o.Default.Name = healing.Observe, "", ""
	return o, nil
}

// clients are all ways to the API server; they share one connection pool.
type clients struct {
	core   kubernetes.Interface
	own    *client.Client
	scales scale.ScalesGetter
	any    dynamic.Interface
	mapper meta.RESTMapper
	http   *http.Client
	// ask is answered by an API server that works, its storage included.
	ask func(context.Context) error
}

// newClients makes the clients; wrap sees every request.
func newClients(cfg *rest.Config, wrap func(http.RoundTripper) http.RoundTripper) (*clients, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.Wrap(wrap)
	own, err := client.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("make clients: %w", err)
	}
	hc, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("make clients: %w", err)
	}
	compact := rest.CopyConfig(cfg) // lists of pods are a third of their size as protobuf; what is written is small and stays JSON
	compact.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	core, err := kubernetes.NewForConfigAndClient(compact, hc)
	if err != nil {
		return nil, fmt.Errorf("make clients: %w", err)
	}
	discovery := memory.NewMemCacheClient(core.Discovery())
	mapper := &mapper{DeferredDiscoveryRESTMapper: restmapper.NewDeferredDiscoveryRESTMapper(discovery)}
	scales, err := scale.NewForConfig(cfg, mapper, dynamic.LegacyAPIPathResolverFunc, scale.NewDiscoveryScaleKindResolver(core.Discovery()))
	if err != nil {
		return nil, fmt.Errorf("make clients: %w", err)
	}
	objects, err := dynamic.NewForConfigAndClient(cfg, hc)
	if err != nil {
		return nil, fmt.Errorf("make clients: %w", err)
	}
	probe := core.Discovery().RESTClient()
	return &clients{
		core: core, own: own, scales: scales, any: objects, mapper: mapper, http: hc,
		ask: func(ctx context.Context) error {
			// Open to every authenticated client, and red while the API server cannot reach its storage.
			var code int
			err := probe.Get().AbsPath("/readyz").Do(ctx).StatusCode(&code).Error()
			if err != nil && code != 0 { // the body lists every check of the server
				return fmt.Errorf("/readyz answered %d", code)
			}
			return err //nolint:wrapcheck // it names the request
		},
	}, nil
}

// newSources returns the sources that the options ask for.
func newSources(o *Options, c *clients) (*sources.Sources, error) {
	cfg := sources.Config{
		Store: o.Store, App: o.Sources.App, Prometheus: o.Sources.Prometheus,
		PrometheusPeriod: o.Sources.PrometheusPeriod, PrometheusTimeout: o.Sources.PrometheusTimeout,
	}
	if o.Sources.CustomMetrics {
		client, err := custom.New(o.REST, c.http, c.mapper)
		if err != nil {
			return nil, err //nolint:wrapcheck // it says what could not be made
		}
		cfg.Custom = client
	}
	return sources.New(cfg)
}
