package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPushSettings(t *testing.T) {
	t.Parallel()
	got, err := Read(strings.NewReader(`
logs:
  push:
    url: https://loki-gateway.loki
    tenant: ops
    timeout: 10s
    backlogMiB: 8
    labels: {cluster: blue}
    bearerTokenFile: /secrets/token
    tls: {caFile: /secrets/ca.crt}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Logs.Push = Push{
		URL: "https://loki-gateway.loki", Tenant: "ops", Timeout: Duration(10 * time.Second), BacklogMiB: 8, Labels: map[string]string{"cluster": "blue"},
		BearerTokenFile: "/secrets/token", TLS: TLS{CAFile: "/secrets/ca.crt"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	c := got.Logs.Push.HTTPClient()
	if err := c.Validate(); err != nil || c.Authorization == nil || c.Authorization.CredentialsFile != "/secrets/token" || c.TLSConfig.CAFile != "/secrets/ca.crt" {
		t.Errorf("the client's settings are %+v (%v)", c, err)
	}
}

func TestPushErrorsNameFieldValueAndWhatIsAllowed(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		push string
		want []string
	}{
		"no address":          {"url: 'loki:3100'", []string{"logs.push.url", "loki:3100", "http://"}},
		"too slow":            {"url: 'http://loki', timeout: 2m", []string{"logs.push.timeout", "2m0s", "100ms to 1m0s"}},
		"no backlog":          {"url: 'http://loki', backlogMiB: 0", []string{"logs.push.backlogMiB", "0", "1 to 1024"}},
		"a label of its own":  {"url: 'http://loki', labels: {kind: x}", []string{"logs.push.labels", "kind", "not app, kind or namespace"}},
		"a label with dots":   {"url: 'http://loki', labels: {a.b: x}", []string{"logs.push.labels", "a.b", "letters, digits and _"}},
		"a label of nothing":  {"url: 'http://loki', labels: {a: ''}", []string{"logs.push.labels.a", "must have a value"}},
		"two credentials":     {"url: 'http://loki', bearerTokenFile: /t, basicAuth: {username: a, passwordFile: /p}", []string{"logs.push.bearerTokenFile", "logs.push.basicAuth"}},
		"settings for nobody": {"tenant: ops", []string{"logs.push.url", "need it"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Read(strings.NewReader("logs: {push: {" + tc.push + "}}\n"))
			if err == nil {
				t.Fatal("it is allowed")
			}
			for _, w := range tc.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not say %q", err, w)
				}
			}
		})
	}
}
