package kubelet

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/homeostat/homeostat/metrics"
)

// DefaultPort is where a kubelet serves, unless its node's status.daemonEndpoints says otherwise.
const DefaultPort = 10250

// Node is one kubelet to scrape.
type Node struct {
	Name string
	// Address is the node's InternalIP; empty: it can only be reached through the API server.
	Address string
	// Port of the kubelet; 0 is DefaultPort.
	Port int
}

// Nodes lists the nodes to scrape. It is called every few seconds from one goroutine and must not block.
type Nodes interface {
	Nodes() []Node
}

// Sink takes what was read; *metrics.Store is one. Its methods are called from many goroutines and must not block.
type Sink interface {
	Add(key metrics.Key, node string, sample metrics.Sample)
	CadvisorSink
	AddPressure(namespace, pod string, at time.Time, percent float64)
	NodeScraped(node string, at time.Time, err error)
}

// CadvisorSink takes what only the cadvisor page has, as *metrics.Store says at each method.
type CadvisorSink interface {
	AddOOMEvents(key metrics.Key, instance string, at time.Time, count float64)
	AddResident(key metrics.Key, instance string, at time.Time, bytes int64)
	AddThrottling(key metrics.Key, instance string, at time.Time, periods, throttled float64)
}

// Observer is told of every scrape of /metrics/resource: how long it took, how many samples the page had, and the error,
// whose class is ClassOf(err). It is called from many goroutines and must not block.
type Observer interface {
	ScrapeDone(node string, took time.Duration, samples int, err error)
}

// Proxy is the way through the API server.
type Proxy struct {
	// Client carries the credentials, as the one of client-go's rest.HTTPClientFor does. nil: there is no such way.
	Client *http.Client
	// BaseURL of the API server, such as https://10.96.0.1 or, behind a gateway, https://host/k8s/clusters/c1.
	BaseURL string
}

// Config says how to scrape. Start from DefaultConfig; a zero duration or size takes its default.
type Config struct {
	// Period between two scrapes of a node; from 100ms to 10m. Default 5s.
	Period time.Duration
	// Timeout of one scrape of one node, both ways together; more than 0, at most Period. Default 3s, or Period if that
	// is shorter.
	Timeout time.Duration
	// Workers is how many scrapes run at once; from 1 to 1024. Default 32. A quarter as many come on top, at least two,
	// for the nodes that failed or were slow.
	Workers int
	// MaxBodyBytes is the largest page that is read; from 1 KiB to 1 GiB. Default 32 MiB.
	MaxBodyBytes int64
	// TokenFile and CAFile are the service account's token, re-read as it rotates, and the CA that signed the kubelets'
	// serving certificates. Both or neither; without them, nodes are scraped through the Proxy only.
	TokenFile, CAFile string
	// Proxy is the way through the API server; optional where TokenFile and CAFile are given.
	Proxy Proxy
	// PathMemory is how long a node is asked through the API server first, after only that had worked; from 1s to 24h.
	// Default 5m.
	PathMemory time.Duration
	// OOMEvents says whether to read /metrics/cadvisor: the counters of OOM kills, the resident memory, and how often a CPU
	// limit held a container back. On in DefaultConfig.
	OOMEvents bool
	// OOMPeriod is how often to do so, rounded to a multiple of Period, at least one; from 1s to 1h. Default 10s.
	OOMPeriod time.Duration
	// Pressure says whether to read how long pods waited for a CPU (PSI) from /stats/summary. On in DefaultConfig.
	Pressure bool
	// PressurePeriod is how often to do so, and PressureRetry how often where a node has no such readings (cgroup v1) or
	// refuses them; both are rounded to a multiple of Period, at least one; from 1s to 1h. Default 10s and 5m.
	PressurePeriod, PressureRetry time.Duration
	// Observer is optional.
	Observer Observer
	// Logger is told when a node becomes unreachable or reachable, not of every scrape; optional.
	Logger *slog.Logger
}

// DefaultConfig returns the defaults, without a way to reach the nodes.
func DefaultConfig() Config { return Config{OOMEvents: true, Pressure: true}.withDefaults() }

func (c Config) withDefaults() Config {
	if c.Period == 0 {
		c.Period = 5 * time.Second
	}
	if c.Timeout == 0 {
		c.Timeout = min(3*time.Second, c.Period)
	}
	if c.Workers == 0 {
		c.Workers = 32
	}
	if c.MaxBodyBytes == 0 {
		c.MaxBodyBytes = 32 << 20
	}
	if c.PathMemory == 0 {
		c.PathMemory = 5 * time.Minute
	}
	if c.OOMPeriod == 0 {
		c.OOMPeriod = 10 * time.Second
	}
	if c.PressurePeriod == 0 {
		c.PressurePeriod = 10 * time.Second
	}
	if c.PressureRetry == 0 {
		c.PressureRetry = max(5*time.Minute, c.PressurePeriod)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// scrapesIn returns how many scrapes of a node there are in d, at least one.
func (c Config) scrapesIn(d time.Duration) int { return max(1, int((d+c.Period/2)/c.Period)) }

// Validate returns an error that names the first field that is not allowed, its value and what is allowed. Zero fields
// are checked as their defaults.
func (c Config) Validate() error {
	c = c.withDefaults()
	durations := []struct {
		field         string
		value, lo, hi time.Duration
	}{
		{"period", c.Period, 100 * time.Millisecond, 10 * time.Minute},
		{"timeout", c.Timeout, 1, c.Period},
		{"pathMemory", c.PathMemory, time.Second, 24 * time.Hour},
		{"oomPeriod", c.OOMPeriod, time.Second, time.Hour},
		{"pressurePeriod", c.PressurePeriod, time.Second, time.Hour},
		{"pressureRetry", c.PressureRetry, time.Second, time.Hour},
	}
	for _, d := range durations {
		if d.value < d.lo || d.value > d.hi {
			return fmt.Errorf("kubelet: %s is %v, allowed is %v to %v", d.field, d.value, d.lo, d.hi)
		}
	}
	if c.Workers < 1 || c.Workers > 1024 {
		return fmt.Errorf("kubelet: workers is %d, allowed is 1 to 1024", c.Workers)
	}
	if c.MaxBodyBytes < 1<<10 || c.MaxBodyBytes > 1<<30 {
		return fmt.Errorf("kubelet: maxBodyBytes is %d, allowed is %d to %d", c.MaxBodyBytes, 1<<10, 1<<30)
	}
	return c.validatePaths()
}

func (c Config) validatePaths() error {
	if (c.TokenFile == "") != (c.CAFile == "") {
		return fmt.Errorf("kubelet: tokenFile is %q and caFile is %q, allowed is both or neither", c.TokenFile, c.CAFile)
	}
	if c.Proxy.Client == nil {
		if c.TokenFile == "" {
			return errors.New("kubelet: no way to the nodes, need tokenFile and caFile, or proxy, or all")
		}
		return nil
	}
	u, err := url.Parse(c.Proxy.BaseURL)
	if err != nil {
		return fmt.Errorf("kubelet: proxy.baseURL: %w", err)
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return fmt.Errorf("kubelet: proxy.baseURL is %q, allowed is an http or https URL with a host", c.Proxy.BaseURL)
	}
	return nil
}
