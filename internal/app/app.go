// Package app wires the parts into a running controller: platform, collector, loops, leader election, journal, telemetry and the
// HTTP endpoints. It is a root: nothing imports it but the commands, and two of its Apps can run side by side in one process.
//
// It decides nothing and holds no state beyond what runs.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/healing/survey"
	"github.com/homeostat/homeostat/internal/annotate"
	"github.com/homeostat/homeostat/internal/config"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/journal"
	"github.com/homeostat/homeostat/internal/notify"
	"github.com/homeostat/homeostat/internal/telemetry"
	"github.com/homeostat/homeostat/metrics"
)

// Platform is what the loops run on.
type Platform interface {
	control.ScalingSource
	control.ScalingWriter
	control.HealingSource
	control.IncidentStore
	control.Surgeon
}

// Options of an App.
type Options struct {
	Config  config.Config
	Version string
	Log     *slog.Logger
	// Stdout is where the journal goes with the path "-".
	Stdout io.Writer
	// Kube says how the cluster is reached; only read for the platform kubernetes.
	Kube KubeOptions
}

// App is one controller.
type App struct {
	opts      Options
	log       *slog.Logger
	store     *metrics.Store
	telemetry *telemetry.Telemetry
	journal   *journal.Writer
	out       io.WriteCloser
	registry  *prometheus.Registry
	http      *endpoints

	platform Platform
	identity string
	// wake tells the healing loop that something changed; nil where the platform cannot say.
	wake <-chan struct{}
	// ready and alive are the platform's own probes.
	ready, alive probe
	// collect runs the platform's sources until ctx is done; it runs on the standby too, so that it is warm.
	collect func(ctx context.Context) error
	// lead runs what only the one that acts may run; it returns when ctx is done.
	lead leadFunc
	// stop ends the platform.
	stop func(ctx context.Context) error
	// push sends records to Loki until ctx is done.
	push func(ctx context.Context) error
	// notifier tells people of incidents; nil: nobody is told.
	notifier *notify.Notifier
	// annotations are written into Grafana; nil: none are.
	annotations *annotate.Annotations
	// leading is nil while this App does not act.
	leading *lease
}

// New builds a controller and opens its listener. Nothing runs yet; every error names what is wrong.
func New(ctx context.Context, o Options) (*App, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := o.Config
	a := &App{opts: o, log: o.Log, registry: prometheus.NewRegistry(), journal: journal.New(), leading: &lease{}}
	a.push = func(context.Context) error { return nil }
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a.telemetry = telemetry.New(a.registry, a.journal, c.Journal.Every, o.Version)

	err := a.usePush()
	if err != nil {
		return nil, err
	}
	a.store, err = metrics.NewStore(metrics.Config{Span: c.Metrics.Window.D(), StaleAfter: c.Metrics.StaleAfter.D(), TrendStep: c.Metrics.TrendStep.D()})
	if err != nil {
		return nil, fmt.Errorf("configure metrics: %w", err)
	}
	if err = errors.Join(a.useAlerts(), a.useAnnotations()); err != nil {
		return nil, err
	}
	if a.out, err = openJournal(c.Journal.Path, o.Stdout); err != nil {
		return nil, err
	}
	switch c.Platform {
	case config.Kubernetes:
		err = a.useKubernetes()
	case config.Local:
		err = a.useLocal()
	default:
		err = fmt.Errorf("platform: %q is not allowed: kubernetes or local", c.Platform)
	}
	if err != nil {
		return nil, errors.Join(err, a.out.Close())
	}
	if a.http, err = a.listen(ctx); err != nil {
		return nil, errors.Join(err, a.out.Close())
	}
	return a, nil
}

// Addr returns the address of the HTTP endpoints.
func (a *App) Addr() string { return a.http.listener.Addr().String() }

// Run runs the controller until ctx is done, and then ends it in order: the loops, the lease (handed over), the sources, the journal.
// It returns the first error that made it end early, nil for an orderly end.
func (a *App) Run(ctx context.Context) error {
	a.log.InfoContext(ctx, "homeostat starts", "version", a.opts.Version, "platform", string(a.opts.Config.Platform),
		"identity", a.identity, "address", a.Addr())
	journalCtx, endJournal := context.WithCancel(context.WithoutCancel(ctx))
	journalEnded := make(chan struct{})
	go func() {
		defer close(journalEnded)
		a.record(journalCtx)
	}()

	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.http.serve(gctx) })
	g.Go(func() error { return a.collect(gctx) })
	g.Go(func() error { return a.lead(gctx, a.act) })
	err := g.Wait()

	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err = errors.Join(err, a.stop(grace))
	endJournal()
	<-journalEnded
	err = errors.Join(err, a.out.Close())
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil // it was asked to end
	}
	a.log.InfoContext(ctx, "homeostat ended", "error", err)
	return err
}

// act runs both loops until ctx is done.
func (a *App) act(ctx context.Context) {
	a.leading.begin(time.Now())
	a.telemetry.Leading(true)
	defer func() {
		a.leading.end()
		a.telemetry.Leading(false)
	}()
	recorder, tell := a.recorder()
	recorder = a.annotated(recorder)
	scaling := control.NewScaling(a.platform, a.platform, recorder, a.log)
	heal := control.NewHealing(a.platform, a.platform, a.platform, recorder, limits(a.opts.Config.Healing), a.identity, a.log)
	var g errgroup.Group
	g.Go(func() error { scaling.Run(ctx, a.opts.Config.Scaling.Period.D()); return nil })
	g.Go(func() error { heal.Run(ctx, a.opts.Config.Healing.Period.D(), a.wake); return nil })
	g.Go(func() error { tell(ctx); return nil })
	_ = g.Wait() // the loops return nothing
}

// limits returns what the configuration allows the healing of the whole cluster.
func limits(h config.Healing) control.Limits {
	b := h.Breaker
	return control.Limits{
		Breaker: survey.Breaker{
			SharePercent: int32(b.SharePercent), AtLeast: int32(b.AtLeast), Within: b.Within.D(), Nodes: int32(b.Nodes), Hold: b.Hold.D(), //nolint:gosec // validated: small
		},
		Budget: healing.ClusterBudget{Actions: int32(h.ClusterBudget.Actions), Period: h.ClusterBudget.Period.D()}, //nolint:gosec // validated: small
	}
}

// turnWithin is how long a loop may take for a turn before the process counts as stuck: a few writes that time out.
const turnWithin = time.Minute

// healthy is the liveness probe: the sources work, and where this process acts, both loops turned lately.
func (a *App) healthy(now time.Time) error {
	if since := a.leading.since(); !since.IsZero() {
		for _, loop := range []string{"scaling", "healing"} {
			last := a.telemetry.LastTurn(loop)
			if last.Before(since) {
				last = since
			}
			if age := now.Sub(last); age > turnWithin {
				return fmt.Errorf("the %s loop has not turned for %s", loop, age.Round(time.Second))
			}
		}
	}
	return a.alive(now)
}

// openJournal opens the file for appending; "-" is stdout, empty is nowhere.
func openJournal(path string, stdout io.Writer) (io.WriteCloser, error) {
	switch path {
	case "":
		return keepOpen{io.Discard}, nil
	case "-":
		return keepOpen{stdout}, nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open journal.path: %w", err)
	}
	if err := endLine(f); err != nil {
		return nil, errors.Join(fmt.Errorf("open journal.path: %w", err), f.Close())
	}
	return f, nil
}

// endLine ends the last line where a controller was killed in the middle of it, so that it spoils no more than itself.
func endLine(f *os.File) error {
	stat, err := f.Stat()
	if err != nil || !stat.Mode().IsRegular() || stat.Size() == 0 {
		return err //nolint:wrapcheck // the caller does
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, stat.Size()-1); err != nil {
		return err //nolint:wrapcheck // the caller does
	}
	if last[0] != '\n' {
		_, err = f.WriteString("\n")
	}
	return err //nolint:wrapcheck // the caller does
}

type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }
