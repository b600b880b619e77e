package config

import (
	"maps"
	"slices"
	"time"

	promconfig "github.com/prometheus/common/config"
)

// Push is where the records of the journal are sent as log lines. Secrets are only ever read from files, anew with each request.
type Push struct {
	// URL of a Loki such as http://loki-gateway.loki; empty: nothing is sent.
	URL string `yaml:"url"`
	// Tenant is sent as X-Scope-OrgID; empty: not sent.
	Tenant string `yaml:"tenant"`
	// Timeout of one request; 100ms to 1m. Nothing waits for it. Default 5s.
	Timeout Duration `yaml:"timeout"`
	// BacklogMiB is how much may wait while Loki is away, in MiB of memory; 1 to 1024. Default 32.
	BacklogMiB int `yaml:"backlogMiB"`
	// Labels of all lines beside app, kind and namespace, such as cluster; at most 8.
	Labels map[string]string `yaml:"labels"`
	// BasicAuth is a user and its password; not together with BearerTokenFile.
	BasicAuth BasicAuth `yaml:"basicAuth"`
	// BearerTokenFile holds the token to present. Empty: none.
	BearerTokenFile string `yaml:"bearerTokenFile"`
	TLS             TLS    `yaml:"tls"`
	// ProxyURL is the proxy to go through, without credentials; empty: as the environment says (HTTPS_PROXY, NO_PROXY).
	ProxyURL string `yaml:"proxyURL"`
}

// maxPushLabels bounds the labels that are added: Loki takes 15 by default, and each value is a stream of its own.
const maxPushLabels = 8

func defaultPush() Push { return Push{Timeout: Duration(5 * time.Second), BacklogMiB: 32} }

func (p *Push) access() access {
	return access{url: p.URL, bearerTokenFile: p.BearerTokenFile, proxyURL: p.ProxyURL, basicAuth: p.BasicAuth, tls: p.TLS}
}

// HTTPClient returns the settings of the client that sends to Loki.
func (p *Push) HTTPClient() promconfig.HTTPClientConfig {
	a := p.access()
	return a.client()
}

// validate reports to check and between, which are Validate's.
func (p *Push) validate(
	check func(ok bool, field string, value any, allowed string), between func(field string, d Duration, lo, hi time.Duration),
) {
	a := p.access()
	a.validate("logs.push", p.Tenant != "" || len(p.Labels) > 0, check)
	between("logs.push.timeout", p.Timeout, 100*time.Millisecond, time.Minute)
	check(p.BacklogMiB >= 1 && p.BacklogMiB <= 1024, "logs.push.backlogMiB", p.BacklogMiB, "allowed is 1 to 1024")
	check(len(p.Labels) <= maxPushLabels, "logs.push.labels", len(p.Labels), "allowed are at most 8 labels")
	for _, name := range slices.Sorted(maps.Keys(p.Labels)) {
		check(lokiLabel.MatchString(name) && !slices.Contains([]string{"app", "kind", "namespace"}, name), "logs.push.labels", name,
			"allowed is a label's name, letters, digits and _, no digit first, and not app, kind or namespace")
		check(p.Labels[name] != "", "logs.push.labels."+name, p.Labels[name], "a label must have a value")
	}
}
