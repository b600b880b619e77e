package demo

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/config"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/journal"
	"github.com/homeostat/homeostat/internal/telemetry"
	"github.com/homeostat/homeostat/metrics"
	"github.com/homeostat/homeostat/platform/local"
)

//go:embed web.yaml
var webYAML string

//go:embed homeostat.yaml
var homeostatYAML string

// The names of the files in the state folder.
const (
	webFile       = "web.yaml"
	homeostatFile = "homeostat.yaml"
)

// LocalOptions say where a local stage is. Executable, StateDir and Open are required.
type LocalOptions struct {
	// Executable is the path of the homeostat binary, whose subcommand demo-app is the replicas' program.
	Executable string
	// StateDir is the folder for the configuration, incidents, decisions and the journal; it is made if need be.
	StateDir string
	// Open reads a state folder as it is when it is called.
	Open    func(dir string) (Reader, error)
	Version string
	// Log gets the controller's log; nil drops it.
	Log *slog.Logger
}

// Local is a Stage on this machine: replicas are processes, and the loops run in this process. Make one with NewLocal, call
// Start once, and Stop in the end.
type Local struct {
	opts      LocalOptions
	config    config.Config
	platform  *local.Platform
	journal   *journal.Writer
	out       *os.File
	telemetry *telemetry.Telemetry
	client    *http.Client

	stop    context.CancelFunc // of the loops
	running sync.WaitGroup

	endJournal context.CancelFunc
	journaled  chan struct{}
}

var _ Stage = (*Local)(nil)

// NewLocal writes the configuration into the state folder and reads it as `homeostat run` would. Nothing runs yet. Stop
// gives the folder free, also without Start.
func NewLocal(o LocalOptions) (*Local, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(o.StateDir)
	if err != nil {
		return nil, fmt.Errorf("find state folder: %w", err)
	}
	o.StateDir = dir
	l := &Local{opts: o, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	documents, err := l.configure()
	if err != nil {
		return nil, err
	}
	store, err := metrics.NewStore(metrics.Config{Span: l.config.Metrics.Window.D(), StaleAfter: l.config.Metrics.StaleAfter.D(), TrendStep: l.config.Metrics.TrendStep.D()})
	if err != nil {
		return nil, fmt.Errorf("configure metrics: %w", err)
	}
	l.platform, err = local.New(local.Options{
		Config: documents, StateDir: dir, Store: store, Logger: o.Log,
		KeepIncidents: l.config.Healing.KeepIncidents.D(), MaxIncidents: l.config.Healing.MaxIncidents,
	})
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the folder
	}
	l.journal = journal.New()
	l.telemetry = telemetry.New(prometheus.NewRegistry(), l.journal, l.config.Journal.Every, o.Version)
	return l, nil
}

// configure writes both files and reads them back.
func (l *Local) configure() (local.Config, error) {
	if err := os.MkdirAll(l.opts.StateDir, 0o700); err != nil {
		return local.Config{}, fmt.Errorf("make state folder: %w", err)
	}
	files := []struct{ name, content, placeholder, value string }{
		{webFile, webYAML, "[HOMEOSTAT,", l.opts.Executable},
		{homeostatFile, homeostatYAML, "STATE", l.opts.StateDir},
	}
	for _, f := range files {
		if err := os.WriteFile(l.path(f.name), []byte(filled(f.content, f.placeholder, f.value)), 0o600); err != nil {
			return local.Config{}, fmt.Errorf("write configuration: %w", err)
		}
	}
	var err error
	if l.config, err = config.Load(l.path(homeostatFile)); err != nil {
		return local.Config{}, err //nolint:wrapcheck // it names the file
	}
	return local.Load(l.config.LocalPlatform.File) //nolint:wrapcheck // it names the file
}

// filled returns the document with the value in the place of the placeholder, quoted as YAML where it stands in a list. Comments are
// left as they are.
func filled(document, placeholder, value string) string {
	if strings.HasPrefix(placeholder, "[") {
		value = "[" + strconv.Quote(value) + "," // what Go quotes is a YAML scalar in double quotes
	}
	lines := strings.Split(document, "\n")
	for i, s := range lines {
		if !strings.HasPrefix(s, "#") {
			lines[i] = strings.ReplaceAll(s, placeholder, value)
		}
	}
	return strings.Join(lines, "\n")
}

func (l *Local) path(name string) string { return filepath.Join(l.opts.StateDir, name) }

// Start starts the replicas and the loops, and returns without waiting for them. They run until Stop.
func (l *Local) Start(ctx context.Context) error {
	out, err := os.OpenFile(l.config.Journal.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	l.out = out
	if err := l.platform.Start(ctx); err != nil {
		return err //nolint:wrapcheck // it names the platform
	}
	life := context.WithoutCancel(ctx)
	var writing context.Context
	writing, l.endJournal = context.WithCancel(life)
	l.journaled = make(chan struct{})
	go func() {
		defer close(l.journaled)
		l.journal.Run(writing, out, l.opts.Log)
	}()

	var acting context.Context
	acting, l.stop = context.WithCancel(life)
	p, log := l.platform, l.opts.Log
	scaling := control.NewScaling(p, p, l.telemetry, log)
	healing := control.NewHealing(p, p, p, l.telemetry, control.DefaultLimits(), fmt.Sprintf("local-%d", os.Getpid()), log)
	l.running.Go(func() { scaling.Run(acting, l.config.Scaling.Period.D()) })
	l.running.Go(func() { healing.Run(acting, l.config.Healing.Period.D(), p.Changed()) })
	return nil
}

// Stop ends the loops, then the replicas, gracefully until ctx is done, and gives the state folder free. No process is
// left when it returns.
func (l *Local) Stop(ctx context.Context) error {
	if l.stop != nil {
		l.stop()
	}
	l.running.Wait()
	err := l.platform.Stop(ctx)
	if l.endJournal != nil {
		l.endJournal()
		<-l.journaled
	}
	if l.out != nil {
		err = errors.Join(err, l.out.Close())
	}
	return err
}

// StateDir is the absolute path of the state folder.
func (l *Local) StateDir() string { return l.opts.StateDir }

// Documents is the path of the file with the Service, the Autoscaler and the HealingPolicy.
func (l *Local) Documents() string { return l.path(webFile) }

// Journal is the path of the journal.
func (l *Local) Journal() string { return l.config.Journal.Path }

// Look implements Stage. Incidents and decisions come from the state folder, as everybody else reads them.
func (l *Local) Look(ctx context.Context) (View, error) {
	r, err := l.opts.Open(l.opts.StateDir)
	if err != nil {
		return View{}, err
	}
	incidents, err := r.Incidents(ctx, "")
	if err != nil {
		return View{}, err //nolint:wrapcheck // it names what it reads
	}
	autoscalers, err := r.Autoscalers(ctx, "")
	if err != nil {
		return View{}, err //nolint:wrapcheck // it names what it reads
	}
	w := l.workload()
	v := View{Desired: w.Desired, Replicas: w.Replicas, Incidents: incidents}
	for _, a := range autoscalers {
		if a.Target.Same(w.Ref) {
			v.Autoscaler = a
		}
	}
	return v, nil
}

// workload is the present one. The platform has it in memory; the time is only a label.
func (l *Local) workload() *cluster.Workload { return l.platform.Snapshot(time.Time{}).Workloads[0] }

// Ask implements Stage. The replica's own port is what the replica itself says.
func (l *Local) Ask(ctx context.Context, replica, path string) error {
	address, err := l.locate(ctx, replica)
	if err != nil {
		return err
	}
	_, err = get(ctx, l.client, "http://"+address+path)
	return err
}

// locate asks through the load balancer, which goes round, until that replica answers.
func (l *Local) locate(ctx context.Context, replica string) (string, error) {
	const most = 100 // rounds of requests that others take part in
	for range most {
		body, err := get(ctx, l.client, l.Traffic().URL+"/hostname?format=json")
		if err != nil {
			return "", err
		}
		var who struct {
			Hostname string `json:"hostname"`
			Port     int    `json:"port"`
		}
		if err := json.Unmarshal(body, &who); err != nil {
			return "", fmt.Errorf("read answer of /hostname: %w", err)
		}
		if who.Hostname == replica {
			return fmt.Sprintf("127.0.0.1:%d", who.Port), nil
		}
	}
	return "", fmt.Errorf("find port of %s: it answered none of %d requests", replica, most)
}

// Kill implements Stage: SIGKILL, as somebody at a shell might.
func (l *Local) Kill(_ context.Context, replica string) (string, error) {
	if err := l.platform.Kill(replica); err != nil {
		return "", err //nolint:wrapcheck // it names the replica
	}
	return "gets SIGKILL", nil
}

// Traffic implements Stage: the load balancer of the service.
func (l *Local) Traffic() Traffic { return Traffic{URL: "http://" + l.platform.Addr()} }
