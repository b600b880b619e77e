package config

import (
	"net/url"
	"time"
)

// Sources configures where metrics are read beside the kubelets.
type Sources struct {
	// CustomMetrics reads Pods and Object metrics from custom.metrics.k8s.io and External ones from external.metrics.k8s.io,
	// where an Autoscaler or a HorizontalPodAutoscaler asks for one. Default true.
	CustomMetrics bool             `yaml:"customMetrics"`
	Prometheus    PrometheusSource `yaml:"prometheus"`
	App           AppSource        `yaml:"app"`
}

// PrometheusSource is the server that the queries of metrics of type Prometheus go to. Its address is here and not in the
// object: whoever writes an Autoscaler must not choose what the controller connects to.
type PrometheusSource struct {
	// Address such as http://prometheus.monitoring:9090; empty: metrics of type Prometheus cannot be computed.
	Address string `yaml:"address"`
	// BearerTokenFile holds the token to present; it is read anew when it changes. Empty: none.
	BearerTokenFile string   `yaml:"bearerTokenFile"`
	Period          Duration `yaml:"period"`  // between two runs of a query; 1s to 5m. Default 10s.
	Timeout         Duration `yaml:"timeout"` // of one run; at most period. Default 5s.
}

// AppSource is the applications' own metrics pages.
type AppSource struct {
	// Enabled scrapes the pages that spec.appMetrics or the annotation prometheus.io/scrape of a pod tells of. Default true.
	Enabled bool     `yaml:"enabled"`
	Period  Duration `yaml:"period"` // between two scrapes of a pod; 1s to 1m. Default 1s.
}

func defaultSources() Sources {
	return Sources{
		CustomMetrics: true,
		Prometheus:    PrometheusSource{Period: Duration(10 * time.Second), Timeout: Duration(5 * time.Second)},
		App:           AppSource{Enabled: true, Period: Duration(time.Second)},
	}
}

// validate reports to check and between, which are Validate's.
func (s *Sources) validate(
	check func(ok bool, field string, value any, allowed string), between func(field string, d Duration, lo, hi time.Duration),
) {
	p := &s.Prometheus
	check(p.Address == "" || isServer(p.Address), "sources.prometheus.address", withoutSecret(p.Address),
		"allowed is the address of a server, such as http://prometheus.monitoring:9090, without credentials and query")
	check(p.BearerTokenFile == "" || p.Address != "", "sources.prometheus.bearerTokenFile", p.BearerTokenFile,
		"it needs sources.prometheus.address")
	between("sources.prometheus.period", p.Period, time.Second, 5*time.Minute)
	check(p.Timeout > 0 && p.Timeout <= p.Period, "sources.prometheus.timeout", p.Timeout,
		"allowed is more than 0s, at most sources.prometheus.period")
	between("sources.app.period", s.App.Period, time.Second, time.Minute)
}

func isServer(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
}

func withoutSecret(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	if u.RawQuery != "" {
		u.RawQuery = "xxxxx"
	}
	return u.Redacted()
}
