package lokipush

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/common/config"
)

// Defaults and bounds. The bytes are those of the encoded lines.
const (
	// Queue is how many records may wait to be encoded, which takes less than a millisecond each.
	Queue = 1024
	// DefaultBacklog is how many bytes of lines may wait for Loki: some 5,000 decisions about ten replicas.
	DefaultBacklog = 32 << 20
	// MaxLine is the longest line that is sent; Loki takes no longer one by default (max_line_size of its limits_config).
	MaxLine = 256 << 10
	// DefaultTimeout of one request.
	DefaultTimeout = 5 * time.Second
	// DefaultGrace is how long Run sends on when it is asked to end.
	DefaultGrace = 3 * time.Second

	batchBytes = 1 << 20
	batchWait  = time.Second
	minBackoff = 500 * time.Millisecond
	maxBackoff = 30 * time.Second
	// tries at maxBackoff take about an hour. What Loki has refused for so long with a 5xx it would refuse for ever, and with it all that waits.
	tries = 160
)

// Options say where the records go and how.
type Options struct {
	// URL of the server, such as http://loki-gateway.loki; /loki/api/v1/push is added to its path. Required, without credentials.
	URL string
	// Tenant is sent as X-Scope-OrgID; empty: not sent.
	Tenant string
	// Labels of all lines beside app, kind and namespace, such as cluster; may be nil.
	Labels map[string]string
	// Timeout of one request. Default DefaultTimeout.
	Timeout time.Duration
	// Backlog is how many bytes of lines may wait. Default DefaultBacklog.
	Backlog int
	// Wait is how long lines are collected for one request. Default 1s.
	Wait time.Duration
	// MinBackoff and MaxBackoff bound the pause between two tries of one request; it doubles. Default 500ms and 30s.
	MinBackoff, MaxBackoff time.Duration
	// Grace is how long Run sends on when it is asked to end. Default DefaultGrace.
	Grace time.Duration
	// HTTP is TLS, authentication and proxy; nil: none of them. It is copied.
	HTTP *config.HTTPClientConfig
	// Log is told when Loki does not take lines, at most once a minute; required.
	Log *slog.Logger
	// Now is the clock; required. It decides only how often the log says so.
	Now func() time.Time
}

func (o Options) withDefaults() (Options, error) {
	u, err := url.Parse(o.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return o, errors.New("url: allowed is the address of a server, such as http://loki-gateway.loki, without credentials and query")
	}
	o.URL = strings.TrimRight(o.URL, "/") + "/loki/api/v1/push"
	if o.Log == nil {
		return o, errors.New("log: it is required")
	}
	if o.Now == nil {
		return o, errors.New("now: it is required")
	}
	for _, d := range []struct {
		field    string
		at       *time.Duration
		fallback time.Duration
	}{
		{"timeout", &o.Timeout, DefaultTimeout},
		{"wait", &o.Wait, batchWait},
		{"minBackoff", &o.MinBackoff, minBackoff},
		{"maxBackoff", &o.MaxBackoff, max(maxBackoff, o.MinBackoff)},
		{"grace", &o.Grace, DefaultGrace},
	} {
		if *d.at < 0 {
			return o, fmt.Errorf("%s: %s is not allowed: must not be negative", d.field, *d.at)
		}
		if *d.at == 0 {
			*d.at = d.fallback
		}
	}
	if o.Backlog < 0 {
		return o, fmt.Errorf("backlog: %d is not allowed: must not be negative", o.Backlog)
	}
	if o.Backlog == 0 {
		o.Backlog = DefaultBacklog
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
