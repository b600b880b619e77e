package config

import (
	"net/url"

	promconfig "github.com/prometheus/common/config"
)

// access is how a server is reached: what the sections about one have in common.
type access struct {
	url, bearerTokenFile, proxyURL string
	basicAuth                      BasicAuth
	tls                            TLS
}

// client returns the settings of the HTTP client.
func (a *access) client() promconfig.HTTPClientConfig {
	c := promconfig.DefaultHTTPClientConfig
	c.TLSConfig = promconfig.TLSConfig{
		CAFile: a.tls.CAFile, CertFile: a.tls.CertFile, KeyFile: a.tls.KeyFile,
		ServerName: a.tls.ServerName, InsecureSkipVerify: a.tls.InsecureSkipVerify,
	}
	if a.basicAuth != (BasicAuth{}) {
		c.BasicAuth = &promconfig.BasicAuth{Username: a.basicAuth.Username, PasswordFile: a.basicAuth.PasswordFile}
	}
	if a.bearerTokenFile != "" {
		c.Authorization = &promconfig.Authorization{Type: "Bearer", CredentialsFile: a.bearerTokenFile}
	}
	c.ProxyFromEnvironment = a.proxyURL == ""
	if u, err := url.Parse(a.proxyURL); err == nil && a.proxyURL != "" {
		c.ProxyURL, c.ProxyFromEnvironment = promconfig.URL{URL: u}, false
	}
	return c
}

// validate reports to check, which is Validate's, what is wrong in the section; others says that the section has settings that need the address beside
// those of the access.
func (a *access) validate(section string, others bool, check func(ok bool, field string, value any, allowed string)) {
	check(a.url == "" || isServer(a.url), section+".url", withoutSecret(a.url),
		"allowed is the address of a server, such as http://loki-gateway.loki, without credentials and query")
	check(a.proxyURL == "" || isServer(a.proxyURL), section+".proxyURL", withoutSecret(a.proxyURL),
		"allowed is the address of a proxy, such as http://proxy:3128, without credentials")
	check((a.basicAuth.Username == "") == (a.basicAuth.PasswordFile == ""), section+".basicAuth", a.basicAuth.Username,
		"username and passwordFile go together")
	check(a.bearerTokenFile == "" || a.basicAuth == (BasicAuth{}), section+".bearerTokenFile", a.bearerTokenFile,
		"it does not go together with "+section+".basicAuth")
	check((a.tls.CertFile == "") == (a.tls.KeyFile == ""), section+".tls.certFile", a.tls.CertFile, "certFile and keyFile go together")
	others = others || a.bearerTokenFile != "" || a.basicAuth != (BasicAuth{}) || a.tls != (TLS{}) || a.proxyURL != ""
	check(a.url != "" || !others, section+".url", a.url, "the other settings of "+section+" need it")
}
