package promql

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/homeostat/homeostat/metrics"
)

// Value is the result of a query.
type Value struct {
	// Milli is the value in thousandths, rounded, and the nearest number there is where it is too large.
	Milli int64
	// At is when Prometheus evaluated the query.
	At time.Time
	// Warnings are what Prometheus said about the result.
	Warnings []string
}

// ErrNoSeries is the error of a query whose result is empty.
var ErrNoSeries = errors.New("the query returns no series")

// Client asks one Prometheus. Make one with New. It is safe for concurrent use.
type Client struct {
	config    Config
	api       v1.API
	transport *http.Transport
}

// New returns a client, or an error if the configuration is not valid or one of its files cannot be read.
func New(c Config) (*Client, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		ForceAttemptHTTP2:   true,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: c.Timeout,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     90 * time.Second,
	}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("promql: read caFile: %w", err)
		}
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("promql: caFile %s has no PEM certificate", c.CAFile)
		}
	}
	door := &door{config: c, next: transport}
	if c.BearerTokenFile != "" {
		if _, err := door.bearer(time.Now()); err != nil {
			return nil, fmt.Errorf("promql: %w", err)
		}
	}
	client, err := newClient(c, door)
	if err != nil {
		return nil, err
	}
	client.transport = transport
	return client, nil
}

func newClient(c Config, via http.RoundTripper) (*Client, error) {
	client, err := api.NewClient(api.Config{Address: c.Address, Client: &http.Client{
		Transport: via,
		// The token must not go elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}})
	if err != nil {
		return nil, fmt.Errorf("promql: address: %w", err)
	}
	return &Client{config: c, api: v1.NewAPI(client)}, nil
}

// Close closes the connections that are idle.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Query evaluates the query now, by the clock of Prometheus. The error is one plain sentence; it is ErrNoSeries where the
// result is empty.
func (c *Client) Query(ctx context.Context, query string) (Value, error) {
	limited, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	result, warnings, err := c.api.Query(limited, query, time.Time{}, v1.WithTimeout(c.config.Timeout))
	if err != nil {
		if ctx.Err() == nil && limited.Err() != nil {
			return Value{}, fmt.Errorf("there was no answer from Prometheus within %v: %w", c.config.Timeout, limited.Err())
		}
		return Value{}, sentence(err)
	}
	v, err := valueOf(result)
	v.Warnings = warnings
	return v, err
}

// valueOf takes the one number out of a result.
func valueOf(result model.Value) (Value, error) {
	switch r := result.(type) {
	case *model.Scalar:
		return number(r.Value, r.Timestamp)
	case model.Vector:
		switch {
		case len(r) == 0:
			return Value{}, ErrNoSeries
		case len(r) > 1:
			return Value{}, fmt.Errorf("the query returns %d series, allowed is one", len(r))
		case r[0] == nil:
			return Value{}, errors.New("the answer of Prometheus cannot be read: a series of it is null")
		case r[0].Histogram != nil:
			return Value{}, errors.New("the query returns a histogram, allowed is a number")
		}
		return number(r[0].Value, r[0].Timestamp)
	case nil:
		return Value{}, errors.New("the answer of Prometheus has no result")
	}
	return Value{}, fmt.Errorf("the query returns a %s, allowed is a scalar or an instant vector", result.Type())
}

func number(v model.SampleValue, at model.Time) (Value, error) {
	f := math.Round(float64(v) * 1000)
	switch {
	case math.IsNaN(f), math.IsInf(float64(v), 0):
		return Value{}, fmt.Errorf("the query returns %v, allowed is a number", v)
	case f >= math.MaxInt64:
		return Value{Milli: math.MaxInt64, At: at.Time().UTC()}, nil
	case f <= math.MinInt64:
		return Value{Milli: math.MinInt64, At: at.Time().UTC()}, nil
	}
	return Value{Milli: int64(f), At: at.Time().UTC()}, nil
}

// sentence says plainly what went wrong.
func sentence(err error) error {
	if e, ok := errors.AsType[*v1.Error](err); ok {
		return ofAPI(e)
	}
	e, unsent := errors.AsType[*url.Error](err)
	if unsent {
		err = e.Err // without the address, which says nothing that the configuration does not
	}
	if errors.Is(err, errTooLarge) || errors.Is(err, errToken) {
		return err
	}
	_, network := errors.AsType[net.Error](err)
	if unsent || network || errors.Is(err, context.Canceled) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("there is no answer from Prometheus: %w", err)
	}
	// The decoder says where in the answer it was, too, and quotes that.
	said, _, _ := strings.Cut(err.Error(), ", error found in ")
	return fmt.Errorf("the answer of Prometheus cannot be read: %s", metrics.Cause(said, maxCause))
}

// ofAPI translates the errors that Prometheus, or what stands before it, answers with.
func ofAPI(e *v1.Error) error {
	said := metrics.Cause(e.Msg, maxCause)
	switch e.Type {
	case v1.ErrBadData:
		return fmt.Errorf("the query (field prometheus.query) is not accepted by Prometheus: %s", said)
	case v1.ErrTimeout, v1.ErrCanceled:
		return fmt.Errorf("the query was given up by Prometheus: %s", said)
	case v1.ErrExec:
		return fmt.Errorf("the query cannot be evaluated by Prometheus: %s", said)
	case v1.ErrServer, v1.ErrClient:
		if detail := metrics.Cause(e.Detail, maxCause); detail != "" {
			said += ": " + detail
		}
		return fmt.Errorf("the query is refused by Prometheus with a %s", said)
	case v1.ErrBadResponse:
	}
	return fmt.Errorf("the answer of Prometheus cannot be read: %s", said)
}

// maxCause is how much of a cause is kept: a proxy answers with whole pages.
const maxCause = 300
