package annotate

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Defaults and bounds.
const (
	// Queue is how many annotations may wait. A storm opens a few hundred incidents.
	Queue = 512
	// DefaultTimeout of one request.
	DefaultTimeout = 5 * time.Second
	// DefaultGrace is how long Run sends on when it is asked to end.
	DefaultGrace = 2 * time.Second

	tries      = 5
	minBackoff = time.Second
	maxBackoff = 30 * time.Second
	// maxText and maxTag bound what is sent; Grafana stores 100 characters of a tag's key and of its value.
	maxText = 600
	maxTag  = 100
	// maxRemembered bounds the incidents whose annotations are known. More are asked for.
	maxRemembered = 4096
)

// Tag is on every annotation; the dashboards look for it.
const Tag = "homeostat"

// Options say where annotations go.
type Options struct {
	// URL of Grafana, such as http://grafana.monitoring; a path is kept, for a Grafana below one. Required, without credentials.
	URL string
	// TokenFile holds the token of a service account that may write annotations; it is read anew for each request, so that it can be
	// rotated. Empty: none is presented.
	TokenFile string
	// Tags that each annotation has beside its own, such as cluster:eu-1; may be nil.
	Tags []string
	// Timeout of one request. Default DefaultTimeout.
	Timeout time.Duration
	// Backoff before the second try of a request; it doubles up to 30 s. Default 1s.
	Backoff time.Duration
	// Grace is how long Run sends on when it is asked to end. Default DefaultGrace.
	Grace time.Duration
	// Transport of the requests; nil: http.DefaultTransport.
	Transport http.RoundTripper
	// Log is told when Grafana takes no annotations, and when it does again; required.
	Log *slog.Logger
}

func (o Options) withDefaults() (Options, error) {
	u, err := url.Parse(o.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return o, errors.New("url: allowed is the address of a Grafana, such as http://grafana.monitoring, without credentials and query")
	}
	if o.Log == nil {
		return o, errors.New("log: it is required")
	}
	o.URL = strings.TrimRight(o.URL, "/") + "/api/annotations"
	o.Tags = slices.Clone(o.Tags)
	for _, d := range []struct {
		field    string
		at       *time.Duration
		fallback time.Duration
	}{
		{"timeout", &o.Timeout, DefaultTimeout}, {"backoff", &o.Backoff, minBackoff}, {"grace", &o.Grace, DefaultGrace},
	} {
		if *d.at < 0 {
			return o, fmt.Errorf("%s: %s is not allowed: must not be negative", d.field, *d.at)
		}
		if *d.at == 0 {
			*d.at = d.fallback
		}
	}
	return o, nil
}
