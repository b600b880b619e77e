package promql

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Config says where Prometheus is and how to ask it. A zero duration or size takes its default.
type Config struct {
	// Address of Prometheus, such as http://prometheus.monitoring:9090, with the path that it is served beneath.
	Address string
	// BearerTokenFile has a token to send, and is read again as it is replaced; empty: none is sent.
	BearerTokenFile string
	// CAFile has the certificates of those who may sign that of the server; empty: the system's.
	CAFile string
	// Headers are sent with each request, such as X-Scope-OrgID.
	Headers map[string]string
	// Timeout of one query; from 10ms to 5m. Default 5s.
	Timeout time.Duration
	// MaxBodyBytes is the largest answer that is read; from 1 KiB to 64 MiB. Default 4 MiB.
	MaxBodyBytes int64
}

func (c Config) withDefaults() Config {
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.MaxBodyBytes == 0 {
		c.MaxBodyBytes = 4 << 20
	}
	return c
}

// Validate returns an error that names the first field that is not allowed, its value and what is allowed. Zero fields
// are checked as their defaults. It reads no file.
func (c Config) Validate() error {
	c = c.withDefaults()
	u, err := url.Parse(c.Address)
	if err != nil {
		if parse, ok := errors.AsType[*url.Error](err); ok {
			err = parse.Err // without the address, which may have a password
		}
		return fmt.Errorf("promql: address cannot be read: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("promql: address is %q, allowed is an http or https URL with a host and without a query", u.Redacted())
	}
	if lo, hi := 10*time.Millisecond, 5*time.Minute; c.Timeout < lo || c.Timeout > hi {
		return fmt.Errorf("promql: timeout is %v, allowed is %v to %v", c.Timeout, lo, hi)
	}
	if c.MaxBodyBytes < 1<<10 || c.MaxBodyBytes > 64<<20 {
		return fmt.Errorf("promql: maxBodyBytes is %d, allowed is %d to %d", c.MaxBodyBytes, 1<<10, 64<<20)
	}
	for name := range c.Headers {
		if name == "" || strings.ContainsAny(name, " \t\r\n:") {
			return fmt.Errorf("promql: headers has the name %q, allowed is the name of a header", name)
		}
		if http.CanonicalHeaderKey(name) == "Authorization" && c.BearerTokenFile != "" {
			return fmt.Errorf("promql: headers has %s and bearerTokenFile is %q, allowed is one of them", name, c.BearerTokenFile)
		}
	}
	return nil
}
