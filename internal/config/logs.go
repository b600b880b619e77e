package config

import (
	"regexp"
	"slices"
	"time"

	promconfig "github.com/prometheus/common/config"
)

// Logs configures where the logs of dead containers are read beside the kubelet, and where Homeostat's own records go beside the journal.
type Logs struct {
	Loki Loki `yaml:"loki"`
	Push Push `yaml:"push"`
}

// Loki is the store that is asked for the window around a death. Secrets are only ever read from files, anew with each request.
type Loki struct {
	// URL such as http://loki-gateway.loki; empty: no Loki is asked.
	URL string `yaml:"url"`
	// Tenant is sent as X-Scope-OrgID; empty: not sent.
	Tenant string `yaml:"tenant"`
	// Timeout of one window; 100ms to 3s, for the evidence waits for it. Default 2s.
	Timeout Duration `yaml:"timeout"`
	// Preset names the agent that ships the logs: alloy, promtail or otlp. Default alloy.
	Preset string `yaml:"preset"`
	// Labels replace those of the preset, each where it is set.
	Labels LokiLabels `yaml:"labels"`
	// BasicAuth is a user and its password; not together with BearerTokenFile.
	BasicAuth BasicAuth `yaml:"basicAuth"`
	// BearerTokenFile holds the token to present. Empty: none.
	BearerTokenFile string `yaml:"bearerTokenFile"`
	TLS             TLS    `yaml:"tls"`
	// ProxyURL is the proxy to go through, without credentials; empty: as the environment says (HTTPS_PROXY, NO_PROXY).
	ProxyURL string `yaml:"proxyURL"`
}

// LokiLabels are names of labels; an empty one is the preset's.
type LokiLabels struct {
	Namespace string `yaml:"namespace"`
	Pod       string `yaml:"pod"`
	Container string `yaml:"container"`
}

// BasicAuth is a user and the file with its password.
type BasicAuth struct {
	Username     string `yaml:"username"`
	PasswordFile string `yaml:"passwordFile"`
}

// TLS says whom a client trusts and what it shows.
type TLS struct {
	// CAFile replaces the system's certificate authorities.
	CAFile string `yaml:"caFile"`
	// CertFile and KeyFile are the client's own certificate; both or none.
	CertFile string `yaml:"certFile"`
	KeyFile  string `yaml:"keyFile"`
	// ServerName that the certificate must have; empty: the host of the URL.
	ServerName string `yaml:"serverName"`
	// InsecureSkipVerify trusts any certificate. Default false.
	InsecureSkipVerify bool `yaml:"insecureSkipVerify"`
}

func defaultLogs() Logs {
	return Logs{Loki: Loki{Timeout: Duration(2 * time.Second), Preset: "alloy"}, Push: defaultPush()}
}

func (l *Loki) access() access {
	return access{url: l.URL, bearerTokenFile: l.BearerTokenFile, proxyURL: l.ProxyURL, basicAuth: l.BasicAuth, tls: l.TLS}
}

// HTTPClient returns the settings of the client that asks Loki.
func (l *Loki) HTTPClient() promconfig.HTTPClientConfig {
	a := l.access()
	return a.client()
}

var lokiLabel = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// validate reports to check and between, which are Validate's.
func (l *Logs) validate(
	check func(ok bool, field string, value any, allowed string), between func(field string, d Duration, lo, hi time.Duration),
) {
	c := &l.Loki
	a := c.access()
	a.validate("logs.loki", c.Tenant != "" || c.Labels != (LokiLabels{}), check)
	between("logs.loki.timeout", c.Timeout, 100*time.Millisecond, 3*time.Second)
	check(slices.Contains([]string{"alloy", "promtail", "otlp"}, c.Preset), "logs.loki.preset", c.Preset, "allowed is alloy or promtail or otlp")
	for _, f := range []struct{ field, name string }{
		{"logs.loki.labels.namespace", c.Labels.Namespace}, {"logs.loki.labels.pod", c.Labels.Pod}, {"logs.loki.labels.container", c.Labels.Container},
	} {
		check(f.name == "" || lokiLabel.MatchString(f.name), f.field, f.name, "allowed is a label's name: letters, digits and _, no digit first")
	}
	l.Push.validate(check, between)
}
