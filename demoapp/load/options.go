package load

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// DefaultPath is requested where neither URL nor Path names one.
const DefaultPath = "/hostname"

const (
	maxRate     = 100_000
	maxInFlight = 65536
	// automaticInFlight is how far MaxInFlight goes without being asked: each request in flight costs a
	// connection, and common limits of open files are in this order.
	automaticInFlight = 8192
)

// Options says what to send where, and how fast.
type Options struct {
	// URL is the address of the service: http or https, a host, maybe a port and a path.
	URL string
	// Path is a path with an optional query, appended to URL. Empty means the path of URL, or DefaultPath
	// if that has none.
	Path string
	// Rate is in requests per second, above 0, at most 100000.
	Rate float64
	// Duration is how long to send. 0 means until the context is done.
	Duration time.Duration
	// Timeout is how long to wait for an answer after sending, 1 ms to 10 minutes.
	Timeout time.Duration
	// MaxInFlight bounds the requests that wait for an answer, 1 to 65536. When it is reached the next
	// request is late, and its latency counts from the time it was due. 0 means Rate x Timeout and some
	// more, at most 8192, so that within that it is never reached.
	MaxInFlight int
	// KeepAlive reuses connections. Without it each request opens a connection of its own, which spreads
	// requests over replicas where the balancing is per connection, as kube-proxy does it.
	KeepAlive bool
	// OnSecond, when not nil, gets the numbers of each second. Calls come one after another from one
	// goroutine; a slow one delays the next, never the requests.
	OnSecond func(Second)
	// Transport sends the requests. Nil means one of its own over TCP, which uses no proxy.
	Transport http.RoundTripper
}

// DefaultOptions returns 50 requests a second for 30 s with a timeout of 5 s. The URL is missing.
func DefaultOptions() Options {
	return Options{Rate: 50, Duration: 30 * time.Second, Timeout: 5 * time.Second}
}

// Validate returns an error that names the first bad field, its value and what is allowed.
func (o Options) Validate() error {
	bad := func(field string, value any, allowed string) error {
		return fmt.Errorf("%s is %v; allowed: %s", field, value, allowed)
	}
	switch {
	case math.IsNaN(o.Rate) || o.Rate <= 0 || o.Rate > maxRate:
		return bad("rate", o.Rate, "above 0, at most 100000 requests per second")
	case o.Duration < 0 || o.Duration > 24*time.Hour:
		return bad("duration", o.Duration, "0s (until interrupted) to 24h")
	case o.Timeout < time.Millisecond || o.Timeout > 10*time.Minute:
		return bad("timeout", o.Timeout, "1ms to 10m")
	case o.MaxInFlight < 0 || o.MaxInFlight > maxInFlight:
		return bad("max-in-flight", o.MaxInFlight, "1 to 65536, or 0 for as many as needed")
	}
	_, err := o.target()
	return err
}

// target joins URL and Path.
func (o Options) target() (string, error) {
	const allowed = "http://HOST:PORT or https://HOST:PORT, with a path or without"
	base, err := url.Parse(o.URL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return "", fmt.Errorf("url is %q; allowed: %s", o.URL, allowed)
	}
	path := o.Path
	if path == "" {
		if base.Path != "" && base.Path != "/" {
			return o.URL, nil
		}
		path = DefaultPath
	}
	if base.RawQuery != "" || base.Fragment != "" {
		return "", fmt.Errorf("url is %q; allowed: no query or fragment beside a path, put it into the path", o.URL)
	}
	joined := strings.TrimRight(o.URL, "/") + path
	if _, err := url.Parse(joined); err != nil || path[0] != '/' {
		return "", fmt.Errorf("path is %q; allowed: a path that starts with / and is percent-encoded", o.Path)
	}
	return joined, nil
}

func (o Options) inFlight() int {
	if o.MaxInFlight > 0 {
		return o.MaxInFlight
	}
	return int(min(automaticInFlight, math.Ceil(o.Rate*o.Timeout.Seconds())+16))
}

// scheduled is how many requests are due within the duration, or -1 without one. The nth is due n/Rate
// seconds after the start, counted from 0.
func (o Options) scheduled() int64 {
	if o.Duration == 0 {
		return -1
	}
	return int64(math.Ceil(o.Rate * o.Duration.Seconds()))
}

// due is when the nth request is due after the start.
func (o Options) due(n int64) time.Duration {
	return time.Duration(float64(n) / o.Rate * float64(time.Second))
}
