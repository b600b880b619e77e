package loki

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/common/config"
)

// Defaults of Options.
const (
	// DefaultTimeout of one window: the evidence of an incident waits for it.
	DefaultTimeout = 2 * time.Second
	// DefaultPage is how many lines are asked for at once; Loki's own limit is 5000 (max_entries_limit_per_query).
	DefaultPage = 1000
)

// Labels are the names of the labels that tell the log of a container.
type Labels struct {
	Namespace, Pod, Container string
	// Structured is true where pod and container may be structured metadata: they are then filtered behind the stream's
	// selector, which finds them as labels too.
	Structured bool
}

// Presets returns the labels that the agents give by default, by the agent's name: "alloy" and "promtail" as in their
// Kubernetes examples, "otlp" as Loki's OTLP endpoint makes them of the OpenTelemetry resource attributes.
func Presets() map[string]Labels {
	kubernetes := Labels{Namespace: "namespace", Pod: "pod", Container: "container"}
	return map[string]Labels{
		"alloy": kubernetes, "promtail": kubernetes,
		"otlp": {Namespace: "k8s_namespace_name", Pod: "k8s_pod_name", Container: "k8s_container_name", Structured: true},
	}
}

// Options say which Loki is asked and how.
type Options struct {
	// URL of the server, such as http://loki-gateway.loki; a path before /loki/api/v1 stays. Required, without credentials.
	URL string
	// Tenant is sent as X-Scope-OrgID; empty: not sent.
	Tenant string
	// Timeout of one Window, all its pages together. Default DefaultTimeout.
	Timeout time.Duration
	// Page is how many lines are asked for at once. Default DefaultPage.
	Page int
	// Labels of the streams. Default: those of the preset alloy.
	Labels Labels
	// HTTP is TLS, authentication and proxy; nil: none of them. It is copied.
	HTTP *config.HTTPClientConfig
	// Now is the clock; required. It decides only when a Loki that asked for peace is asked again.
	Now func() time.Time
}

var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

func (o Options) withDefaults() (Options, error) {
	u, err := url.Parse(o.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return o, fmt.Errorf("url: %q is not allowed: allowed is the address of a server, such as http://loki-gateway.loki, without credentials and query", redacted(o.URL))
	}
	o.URL = strings.TrimRight(o.URL, "/")
	if o.Now == nil {
		return o, errors.New("now: it is required")
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Page == 0 {
		o.Page = DefaultPage
	}
	if o.Timeout < 0 || o.Page < 1 {
		return o, fmt.Errorf("timeout %s and page %d: allowed are positive ones", o.Timeout, o.Page)
	}
	if o.Labels == (Labels{}) {
		o.Labels = Presets()["alloy"]
	}
	for _, l := range []struct{ field, name string }{
		{"namespace", o.Labels.Namespace}, {"pod", o.Labels.Pod}, {"container", o.Labels.Container},
	} {
		if !labelName.MatchString(l.name) {
			return o, fmt.Errorf("labels.%s: %q is not allowed: allowed is a label's name: letters, digits and _, no digit first", l.field, l.name)
		}
	}
	client := config.DefaultHTTPClientConfig
	if o.HTTP != nil {
		client = *o.HTTP
	}
	if err := client.Validate(); err != nil {
		return o, fmt.Errorf("http client: %w", err)
	}
	o.HTTP = &client
	return o, nil
}

func redacted(address string) string {
	if u, err := url.Parse(address); err == nil {
		return u.Redacted()
	}
	return "an address that cannot be read"
}
