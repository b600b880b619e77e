// Package config reads the controller's configuration: one strict YAML file, where an unknown field, a wrong type or a
// value out of range is one clear error that names line, field, value and what is allowed.
//
// It holds what belongs to the process (addresses, periods, leader election). What belongs to a workload is in the
// Autoscaler and HealingPolicy objects.
package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"gopkg.in/yaml.v3"
)

// Platform names where the replicas run.
type Platform string

// The platforms.
const (
	Kubernetes Platform = "kubernetes"
	Local      Platform = "local"
)

// Watch says which workloads get incidents.
type Watch string

// The choices of Watch.
const (
	WatchAll      Watch = "All"      // every workload is observed; a HealingPolicy is needed to act
	WatchSelected Watch = "Selected" // only workloads that a HealingPolicy selects
)

// NativeHPAs says what is done about the HorizontalPodAutoscalers of the cluster.
type NativeHPAs string

// The choices of NativeHPAs.
const (
	NativeObserve NativeHPAs = "Observe" // decide them as if they were Autoscalers in DryRun; nothing is written
	NativeManage  NativeHPAs = "Manage"  // scale them, in a cluster whose own HPA controller is switched off
	NativeOff     NativeHPAs = "Off"     // leave them alone
)

// Config is the whole file. Default gives the values that a file may leave out.
type Config struct {
	// Platform is kubernetes or local. Default kubernetes.
	Platform Platform `yaml:"platform"`
	// Listen is the address of /metrics, /healthz and /readyz. Default ":8080".
	Listen string `yaml:"listen"`
	// Namespaces to watch; empty: all.
	Namespaces []string `yaml:"namespaces"`
	// NativeHPAs is Observe, Manage or Off; only of the platform kubernetes. Manage needs more rights: deploy/manage-hpas.
	// Default Observe.
	NativeHPAs NativeHPAs `yaml:"nativeHPAs"`

	Log            Log            `yaml:"log"`
	LeaderElection LeaderElection `yaml:"leaderElection"`
	Metrics        Metrics        `yaml:"metrics"`
	Sources        Sources        `yaml:"sources"`
	Scaling        Scaling        `yaml:"scaling"`
	Healing        Healing        `yaml:"healing"`
	Logs           Logs           `yaml:"logs"`
	Alerts         Alerts         `yaml:"alerts"`
	Grafana        Grafana        `yaml:"grafana"`
	Journal        Journal        `yaml:"journal"`
	LocalPlatform  LocalPlatform  `yaml:"local"`
}

// Log configures the log on standard error.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn or error. Default info.
	Format string `yaml:"format"` // json or text. Default json.
}

// LeaderElection makes one of several controllers act. The durations are client-go's defaults.
type LeaderElection struct {
	Enabled bool `yaml:"enabled"` // Default true.
	// Namespace of the Lease. Default: the namespace that the controller runs in.
	Namespace string `yaml:"namespace"`
	// Name of the Lease. Default homeostat.
	Name          string   `yaml:"name"`
	LeaseDuration Duration `yaml:"leaseDuration"` // Default 15s.
	RenewDeadline Duration `yaml:"renewDeadline"` // Default 10s.
	RetryPeriod   Duration `yaml:"retryPeriod"`   // Default 2s.
}

// Metrics configures the collector.
type Metrics struct {
	ScrapePeriod Duration `yaml:"scrapePeriod"` // 1s to 5m. Default 5s.
	Timeout      Duration `yaml:"timeout"`      // per node; at most scrapePeriod. Default 3s.
	Window       Duration `yaml:"window"`       // that usage is averaged over; 2s to 10m. Default 15s.
	StaleAfter   Duration `yaml:"staleAfter"`   // a sample that is older is no usage; at least window. Default 60s.
	// TrendStep is how far apart the points of the two hours are that forecasts of memory are made from; 10s to 10m. Default 30s.
	TrendStep Duration `yaml:"trendStep"`
	// OOMEvents also reads the kernel's OOM counters from the kubelet's cadvisor page. Default true.
	OOMEvents bool `yaml:"oomEvents"`
}

// Scaling configures the scaling loop.
type Scaling struct {
	Period Duration `yaml:"period"` // 200ms to 1m. Default 1s.
}

// Healing configures the healing loop.
type Healing struct {
	Period Duration `yaml:"period"` // 200ms to 1m. Default 1s.
	Watch  Watch    `yaml:"watch"`  // All or Selected. Default All.
	// KeepIncidents is how long a resolved incident is kept; 1m to 720h. Default 24h.
	KeepIncidents Duration `yaml:"keepIncidents"`
	// MaxIncidents resolved per namespace; 1 to 1000. Default 50.
	MaxIncidents  int           `yaml:"maxIncidents"`
	ClusterBudget ClusterBudget `yaml:"clusterBudget"`
	Breaker       Breaker       `yaml:"breaker"`
}

// ClusterBudget bounds the actions of the healing engine on all workloads together; each HealingPolicy bounds those on each of its
// workloads beside. It is stored in the ConfigMap homeostat-budget of the controller's namespace.
type ClusterBudget struct {
	Actions int      `yaml:"actions"` // in a period; 1 to 1000. Default 10.
	Period  Duration `yaml:"period"`  // 1m to 168h. Default 1h.
}

// Breaker says how much must fail at once until the healing engine acts on nothing: what takes the whole cluster down is not mended
// workload by workload. While it is open there is an incident of kind Storm.
type Breaker struct {
	// SharePercent of the watched workloads: if more of them, and at least AtLeast, open an incident Within, that is a storm. 1 to
	// 100; at 100 never. Default 20.
	SharePercent int `yaml:"sharePercent"`
	// AtLeast so many workloads; 1 to 1000. Default 3.
	AtLeast int      `yaml:"atLeast"`
	Within  Duration `yaml:"within"` // 10s to 1h. Default 5m.
	// Nodes that are not ready at once are a storm too; 1 to 1000. Default 2.
	Nodes int `yaml:"nodes"`
	// Hold is how long nothing is done after the storm; 0s to 24h. Default 10m.
	Hold Duration `yaml:"hold"`
}

// Journal configures the record of decisions.
type Journal struct {
	// Path of the JSON lines file; "-" is standard output, empty is no journal. Default empty.
	Path string `yaml:"path"`
	// Every n-th decision without a change is written; 1 to 100000. Default 60.
	Every int `yaml:"every"`
}

// LocalPlatform configures the local platform.
type LocalPlatform struct {
	// File with the Service, Autoscaler and HealingPolicy documents.
	File string `yaml:"file"`
	// StateDir keeps incidents and budgets. Default: the user's state folder.
	StateDir string `yaml:"stateDir"`
}

// Duration is a time.Duration that is written as in Go: "1m30s".
type Duration time.Duration

// UnmarshalYAML reads a duration such as 500ms, 5s or 1h.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(n.Value)
	if err != nil || n.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: %q is not a duration: allowed are values such as 500ms, 5s or 1h", n.Line, n.Value)
	}
	*d = Duration(v)
	return nil
}

// D returns it as a time.Duration.
func (d Duration) D() time.Duration { return time.Duration(d) }

// String returns it as Go writes durations.
func (d Duration) String() string { return time.Duration(d).String() }

// Default returns the configuration that an empty file means.
func Default() Config {
	return Config{
		Platform:   Kubernetes,
		Listen:     ":8080",
		NativeHPAs: NativeObserve,
		Log:        Log{Level: "info", Format: "json"},
		LeaderElection: LeaderElection{
			Enabled: true, Name: "homeostat",
			LeaseDuration: Duration(15 * time.Second), RenewDeadline: Duration(10 * time.Second), RetryPeriod: Duration(2 * time.Second),
		},
		Metrics: Metrics{
			ScrapePeriod: Duration(5 * time.Second), Timeout: Duration(3 * time.Second),
			Window: Duration(15 * time.Second), StaleAfter: Duration(time.Minute), TrendStep: Duration(30 * time.Second), OOMEvents: true,
		},
		Sources: defaultSources(),
		Logs:    defaultLogs(),
		Alerts:  defaultAlerts(),
		Scaling: Scaling{Period: Duration(time.Second)},
		Healing: Healing{
			Period: Duration(time.Second), Watch: WatchAll, KeepIncidents: Duration(24 * time.Hour), MaxIncidents: 50,
			ClusterBudget: ClusterBudget{Actions: 10, Period: Duration(time.Hour)},
			Breaker: Breaker{
				SharePercent: 20, AtLeast: 3, Within: Duration(5 * time.Minute), Nodes: 2, Hold: Duration(10 * time.Minute),
			},
		},
		Journal: Journal{Every: 60},
	}
}

// Load reads the file at path over the defaults.
func Load(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("open configuration: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	c, err := Read(f)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration %s: %w", path, err)
	}
	return c, nil
}

// Read reads a configuration over the defaults and validates it. The file is one YAML document.
func Read(r io.Reader) (Config, error) {
	c := Default()
	dec := yaml.NewDecoder(r)
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return Config{}, plain(err)
	}
	var rest yaml.Node
	if err := dec.Decode(&rest); !errors.Is(err, io.EOF) {
		return Config{}, fmt.Errorf("line %d: allowed is one document", max(rest.Line, 1))
	}
	if err := c.Validate(); err != nil {
		return Config{}, err
	}
	return c, nil
}
