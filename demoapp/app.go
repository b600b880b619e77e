// Package demoapp is a small web service made to be watched, scaled and healed. It says which replica
// answered, and leaks memory, burns CPU, hangs, fails, crashes and logs as it is told, within stated
// limits. It knows nothing of who watches it, guards nothing against callers, and so belongs on
// networks where everybody may break it.
package demoapp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/homeostat/homeostat/demoapp/internal/correlation"
	"github.com/homeostat/homeostat/demoapp/internal/jobs"
	"github.com/homeostat/homeostat/demoapp/internal/leak"
	"github.com/homeostat/homeostat/demoapp/internal/reap"
)

// app is one running instance. Nothing in it is shared with another in the same process.
type app struct {
	opts      Options
	log       *slog.Logger
	identity  identity
	routes    []route
	telemetry *telemetry
	probes    *probes
	share     *errorShare
	memory    *leak.Memory
	jobs      *jobs.Jobs
	reaper    *reap.Reaper
	exit      chan int
}

// Run serves until ctx is done, then drains: readiness goes off at once, the app serves on for
// Options.Drain, and requests in flight get Options.ShutdownTimeout to finish. It returns nil after a
// complete drain, and an *ExitError when the app was told to crash, failed on start as configured, or had
// to cut requests off. It blocks, and leaves no goroutine and no child process behind.
func Run(ctx context.Context, opts Options) error {
	if err := opts.Validate(); err != nil {
		return fmt.Errorf("read options: %w", err)
	}
	opts, err := opts.withDefaults()
	if err != nil {
		return err
	}
	log := newLogger(opts)
	if err := opts.startFault(ctx, log); err != nil {
		return err
	}
	startPeak(ctx, log, opts.PeakOnStart)
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort(opts.Addr, strconv.Itoa(opts.Port)))
	if err != nil {
		return fmt.Errorf("listen on port %d: %w", opts.Port, err)
	}
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok {
		opts.Port = tcp.Port
	}
	a := newApp(opts, log)
	defer a.jobs.Close()
	stop := a.startBackground(ctx)
	defer stop()
	return a.serve(ctx, listener)
}

// ServeChild runs the child process that /child-leak starts: it leaks rate MiB/s up to size MiB, or for
// the duration if that is not zero, logs its progress to out, keeps the memory, and returns when stdin
// ends, as it does when the parent dies, or when ctx is done.
func ServeChild(ctx context.Context, stdin io.Reader, out io.Writer, correlationID string, rate float64, size int, duration time.Duration) {
	log := slog.New(correlation.Tagged(slog.NewJSONHandler(out, nil))).With("app", "demoapp-child", "pid", os.Getpid())
	plan := leak.Plan{Rate: rate, Size: size, Duration: duration}
	leak.ServeChild(correlation.With(ctx, correlationID), stdin, log, plan)
}

func newApp(opts Options, log *slog.Logger) *app {
	a := &app{
		opts: opts, log: log, share: &errorShare{}, memory: &leak.Memory{}, jobs: &jobs.Jobs{},
		reaper: &reap.Reaper{}, exit: make(chan int, 1),
	}
	a.identity = identity{Hostname: opts.Hostname, PID: os.Getpid(), Port: opts.Port, Version: opts.Version, started: time.Now()}
	a.probes = newProbes(opts.StartDelay > 0)
	a.telemetry = newTelemetry(a)
	a.routes = a.table()
	return a
}

// startBackground starts what runs beside the requests from the beginning, and returns what ends it.
func (a *app) startBackground(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var background sync.WaitGroup
	if a.opts.StartDelay > 0 {
		background.Go(func() {
			if wait(ctx, a.opts.StartDelay) {
				a.probes.ready()
				a.log.InfoContext(ctx, "ready after start delay", "start_delay", a.opts.StartDelay.String())
			}
		})
	}
	if os.Getpid() == 1 {
		background.Go(func() {
			a.reaper.Run(ctx, func(pid int) { a.log.InfoContext(ctx, "orphaned process collected", "pid", pid) })
		})
	}
	if a.opts.LeakOnStart > 0 {
		background.Go(func() {
			leak.Log(ctx, a.log, a.memory, leak.Plan{Rate: a.opts.LeakOnStart, Size: maxLeakMiB})
		})
	}
	return func() {
		cancel()
		background.Wait()
	}
}

// peakRate is how fast the memory of a start grows, in MiB/s: so slow that who watches sees the process run before it is killed.
const peakRate = 8

// startPeak takes memory, as a start that fills its caches from a file does, and gives it back.
func startPeak(ctx context.Context, log *slog.Logger, size int) {
	if size == 0 {
		return
	}
	peak := &leak.Memory{}
	log.LogAttrs(ctx, slog.LevelInfo, "starting: taking memory that is needed for the start alone", append(leak.Attrs(), slog.Int("peak_mib", size))...)
	peak.Leak(ctx, leak.Plan{Rate: peakRate, Size: size}, func(p leak.Progress) {
		log.LogAttrs(ctx, slog.LevelInfo, "starting", append(leak.Attrs(), slog.Float64("taken_mib", leak.InMiB(p.Leaked)))...)
	})
	peak.Free()
}

func (a *app) serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           a.entrance(),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	a.log.LogAttrs(ctx, slog.LevelInfo, "listening", append(leak.Attrs(),
		slog.String("addr", listener.Addr().String()), slog.String("version", a.opts.Version), slog.Int("pid", os.Getpid()))...)
	if a.opts.OnListen != nil {
		a.opts.OnListen(listener.Addr())
	}
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", listener.Addr(), err)
	case code := <-a.exit:
		return a.crash(server, served, code)
	case <-ctx.Done():
		return a.drain(context.WithoutCancel(ctx), server, served)
	}
}

// crash ends without a drain: that is what makes it one.
func (a *app) crash(server *http.Server, served <-chan error, code int) error {
	err := server.Close()
	return errors.Join(&ExitError{Code: code}, err, ended(served))
}

// ended waits until a server that was told to end does not serve any more.
func ended(served <-chan error) error {
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("end serving: %w", err)
	}
	return nil
}

func (a *app) drain(ctx context.Context, server *http.Server, served <-chan error) error {
	begin := time.Now()
	a.probes.drain()
	a.log.InfoContext(ctx, "draining: not ready any more, still serving", "drain", a.opts.Drain.String(), "in_flight", a.telemetry.inFlight())
	timer := time.NewTimer(a.opts.Drain)
	defer timer.Stop()
	select {
	case <-timer.C:
	case code := <-a.exit:
		return a.crash(server, served, code)
	case err := <-served:
		return fmt.Errorf("serve while draining: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, a.opts.ShutdownTimeout)
	defer cancel()
	if err := server.Shutdown(limited); err != nil {
		a.log.ErrorContext(ctx, "stopped: requests in flight were cut off", "in_flight", a.telemetry.inFlight(),
			"shutdown_timeout", a.opts.ShutdownTimeout.String(), "exit_code", 1)
		return a.crash(server, served, 1)
	}
	if err := ended(served); err != nil {
		return err
	}
	a.log.InfoContext(ctx, "stopped: every request was answered", "seconds", rounded(time.Since(begin)))
	return nil
}

// rounded is a duration in seconds with six decimals: more only make a log line harder to read.
func rounded(d time.Duration) float64 {
	return d.Round(time.Microsecond).Seconds()
}

// wait reports whether d has passed before the context was done.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
