package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	promconfig "github.com/prometheus/common/config"
)

func TestLokiSettings(t *testing.T) {
	t.Parallel()
	got, err := Read(strings.NewReader(`
logs:
  loki:
    url: https://loki-gateway.loki
    tenant: shop
    timeout: 1s
    preset: otlp
    labels: {pod: pod}
    basicAuth: {username: me, passwordFile: /secrets/loki}
    tls: {caFile: /secrets/ca.crt, serverName: loki}
    proxyURL: http://proxy:3128
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Logs.Loki = Loki{
		URL: "https://loki-gateway.loki", Tenant: "shop", Timeout: Duration(time.Second), Preset: "otlp", Labels: LokiLabels{Pod: "pod"},
		BasicAuth: BasicAuth{Username: "me", PasswordFile: "/secrets/loki"}, TLS: TLS{CAFile: "/secrets/ca.crt", ServerName: "loki"}, ProxyURL: "http://proxy:3128",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	c := got.Logs.Loki.HTTPClient()
	if err := c.Validate(); err != nil {
		t.Errorf("the client's settings are not valid: %v", err)
	}
	if c.BasicAuth == nil || c.BasicAuth.Username != "me" || c.BasicAuth.PasswordFile != "/secrets/loki" || c.TLSConfig.ServerName != "loki" ||
		c.ProxyURL.String() != "http://proxy:3128" || c.ProxyFromEnvironment {
		t.Errorf("the client's settings are %+v", c)
	}
}

func TestLokiBearer(t *testing.T) {
	t.Parallel()
	c := (&Loki{BearerTokenFile: "/t"}).HTTPClient()
	want := &promconfig.Authorization{Type: "Bearer", CredentialsFile: "/t"}
	if diff := cmp.Diff(want, c.Authorization); diff != "" || !c.ProxyFromEnvironment {
		t.Errorf("authorization (-want +got):\n%s\nproxy from the environment: %t", diff, c.ProxyFromEnvironment)
	}
}

func TestLokiErrorsNameFieldValueAndWhatIsAllowed(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		loki string
		want []string
	}{
		"no address":           {"url: 'loki:3100'", []string{"logs.loki.url", "loki:3100", "http://"}},
		"password in it":       {"url: 'http://me:s3cret@loki'", []string{"logs.loki.url", "me:xxxxx@", "without credentials"}},
		"too slow":             {"{url: 'http://loki', timeout: 10s}", []string{"logs.loki.timeout", "10s", "100ms to 3s"}},
		"unknown agent":        {"{url: 'http://loki', preset: fluentbit}", []string{"logs.loki.preset", "fluentbit", "alloy or promtail or otlp"}},
		"label with dots":      {"{url: 'http://loki', labels: {pod: k8s.pod.name} }", []string{"logs.loki.labels.pod", "k8s.pod.name", "letters, digits and _"}},
		"a user without":       {"{url: 'http://loki', basicAuth: {username: me} }", []string{"logs.loki.basicAuth", "passwordFile"}},
		"two credentials":      {"{url: 'http://loki', bearerTokenFile: /t, basicAuth: {username: a, passwordFile: /p} }", []string{"logs.loki.bearerTokenFile", "logs.loki.basicAuth"}},
		"half a certificate":   {"{url: 'http://loki', tls: {certFile: /c} }", []string{"logs.loki.tls.certFile", "keyFile"}},
		"proxy with a user":    {"{url: 'http://loki', proxyURL: 'http://a:s3cret@p'}", []string{"logs.loki.proxyURL", "a:xxxxx@"}},
		"settings for nobody":  {"tenant: shop", []string{"logs.loki.url", "need it"}},
		"a secret in the file": {"{url: 'http://loki', bearerToken: s3}", []string{"bearerToken"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Read(strings.NewReader("logs: {loki: {" + strings.TrimSuffix(strings.TrimPrefix(tc.loki, "{"), "}") + "}}\n"))
			if err == nil {
				t.Fatal("it is allowed")
			}
			for _, w := range tc.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not say %q", err, w)
				}
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error %q has the password", err)
			}
		})
	}
}
