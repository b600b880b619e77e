package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"k8s.io/client-go/rest"

	"github.com/homeostat/homeostat/internal/config"
	"github.com/homeostat/homeostat/internal/logs/loki"
	"github.com/homeostat/homeostat/metrics/app"
	"github.com/homeostat/homeostat/metrics/kubelet"
	"github.com/homeostat/homeostat/metrics/promql"
	"github.com/homeostat/homeostat/platform/kube"
	"github.com/homeostat/homeostat/platform/kube/podlog"
)

// KubeOptions say how the cluster is reached and who this controller is in it.
type KubeOptions struct {
	// REST is the client configuration; its rate limits are set here.
	REST *rest.Config
	// Namespace that the controller runs in; for its Lease and to know itself. Default: POD_NAMESPACE, then homeostat-system.
	Namespace string
	// Identity of this controller in Lease and remediations. Default: POD_NAME, then the host's name and the process id.
	Identity string
}

// serviceAccountToken is where the kubelet puts the token of a pod; it rotates.
const serviceAccountToken = "/var/run/secrets/kubernetes.io/serviceaccount/token" //nolint:gosec // a path, no secret

func (o KubeOptions) withDefaults() KubeOptions {
	if o.Namespace == "" {
		o.Namespace = os.Getenv("POD_NAMESPACE")
	}
	if o.Namespace == "" {
		o.Namespace = "homeostat-system"
	}
	if o.Identity == "" {
		o.Identity = os.Getenv("POD_NAME")
	}
	if o.Identity == "" {
		host, _ := os.Hostname() // without a name the process id has to do
		o.Identity = fmt.Sprintf("%s-%d", host, os.Getpid())
	}
	return o
}

func (a *App) useKubernetes() error {
	o := a.opts.Kube.withDefaults()
	if o.REST == nil {
		return errors.New("platform kubernetes: no cluster is configured; set KUBECONFIG or run in a pod")
	}
	c := a.opts.Config
	client := rest.CopyConfig(o.REST)
	// Every write is rare and wanted at once; client-go's default of 5 requests a second would make a burst wait.
	client.QPS, client.Burst = 50, 100
	client.UserAgent = "homeostat/" + a.opts.Version
	client.Wrap(a.telemetry.CountCalls)
	sources, closeSources, err := a.newSources()
	if err != nil {
		return err
	}
	window, err := a.newLogWindow()
	if err != nil {
		return err
	}
	platform, err := kube.New(kube.Options{
		REST: client, Namespaces: c.Namespaces, SelfNamespace: o.Namespace, Store: a.store, Log: a.log, Identity: o.Identity,
		NativeHPAs: kube.NativeMode(c.NativeHPAs),
		WatchAll:   c.Healing.Watch == config.WatchAll,
		LogWindow:  window, LogWindowName: "loki",
		KeepIncidents: c.Healing.KeepIncidents.D(), MaxIncidents: c.Healing.MaxIncidents, Sources: sources,
	})
	if err != nil {
		return fmt.Errorf("platform kubernetes: %w", err)
	}
	scraper, err := a.newScraper(client, platform)
	if err != nil {
		return err
	}
	a.platform, a.identity, a.wake = platform, o.Identity, platform.Changed()
	a.ready = func(time.Time) error {
		if !platform.Synced() {
			return errors.New("not every list has come in yet")
		}
		return nil
	}
	a.alive = func(time.Time) error { return nil }
	a.collect = func(ctx context.Context) error {
		if err := platform.Start(ctx); err != nil {
			return fmt.Errorf("platform kubernetes: %w", err)
		}
		scraper.Run(ctx)
		return nil
	}
	a.stop = func(context.Context) error {
		platform.Stop()
		closeSources()
		return nil
	}
	a.lead, err = a.election(client, o, platform.WaitSynced)
	return err
}

// newSources makes the sources beside the kubelets; the platform runs them. What they leave open is closed by the function.
func (a *App) newSources() (out kube.Sources, closeAll func(), err error) {
	c, closeAll := a.opts.Config.Sources, func() {}
	out.CustomMetrics = c.CustomMetrics
	if c.App.Enabled {
		if out.App, err = app.New(app.Config{Period: c.App.Period.D()}); err != nil {
			return out, closeAll, fmt.Errorf("configure sources.app: %w", err)
		}
	}
	if c.Prometheus.Address == "" {
		return out, closeAll, nil
	}
	client, err := promql.New(promql.Config{
		Address: c.Prometheus.Address, BearerTokenFile: c.Prometheus.BearerTokenFile, Timeout: c.Prometheus.Timeout.D(),
	})
	if err != nil {
		return out, closeAll, fmt.Errorf("configure sources.prometheus: %w", err)
	}
	out.Prometheus, out.PrometheusPeriod, out.PrometheusTimeout = client, c.Prometheus.Period.D(), c.Prometheus.Timeout.D()
	return out, client.Close, nil
}

// newLogWindow makes the reader of the store of logs; nil where none is configured.
func (a *App) newLogWindow() (podlog.Window, error) {
	c := a.opts.Config.Logs.Loki
	if c.URL == "" {
		return nil, nil //nolint:nilnil // no store is no error
	}
	labels := loki.Presets()[c.Preset]
	labels.Namespace = cmp.Or(c.Labels.Namespace, labels.Namespace)
	labels.Pod = cmp.Or(c.Labels.Pod, labels.Pod)
	labels.Container = cmp.Or(c.Labels.Container, labels.Container)
	client := c.HTTPClient()
	reader, err := loki.New(loki.Options{
		URL: c.URL, Tenant: c.Tenant, Timeout: c.Timeout.D(), Labels: labels, HTTP: &client, Now: time.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("configure logs.loki: %w", err)
	}
	return reader, nil
}

// newScraper scrapes the nodes with the service account's token, or through the API server where there is none (a controller
// outside of the cluster).
func (a *App) newScraper(client *rest.Config, nodes kubelet.Nodes) (*kubelet.Scraper, error) {
	m := a.opts.Config.Metrics
	hc, err := rest.HTTPClientFor(client)
	if err != nil {
		return nil, fmt.Errorf("configure scraper: %w", err)
	}
	cfg := kubelet.DefaultConfig()
	cfg.Period, cfg.Timeout, cfg.OOMEvents = m.ScrapePeriod.D(), m.Timeout.D(), m.OOMEvents
	cfg.OOMPeriod = max(cfg.OOMPeriod, cfg.Period)
	cfg.PathMemory = max(cfg.PathMemory, cfg.Period)
	cfg.Proxy = kubelet.Proxy{Client: hc, BaseURL: client.Host}
	cfg.Observer, cfg.Logger = a.telemetry, a.log
	if _, err := os.Stat(serviceAccountToken); err == nil && client.BearerTokenFile == serviceAccountToken {
		cfg.TokenFile, cfg.CAFile = serviceAccountToken, client.CAFile
	}
	s, err := kubelet.New(cfg, nodes, a.store)
	if err != nil {
		return nil, fmt.Errorf("configure scraper: %w", err)
	}
	return s, nil
}
