package demoapp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/homeostat/homeostat/demoapp/internal/correlation"
)

// LogRequests says which requests get a log line of their own when they are answered.
type LogRequests string

const (
	// LogErrors logs requests that were answered with 500 or more. Ordinary traffic stays out, so that the
	// last log lines of a process tell what went wrong with it.
	LogErrors LogRequests = "errors"
	// LogAll logs every request.
	LogAll LogRequests = "all"
	// LogNone logs no request.
	LogNone LogRequests = "none"
)

// Options configures Run. DefaultOptions gives the values the command uses.
type Options struct {
	// Addr is the host or IP address to listen on. Empty means all.
	Addr string
	// Port is the TCP port, 0 to 65535. 0 lets the system choose.
	Port int
	// Hostname is the name /hostname answers with. Empty means the host's.
	Hostname string
	// Version is the version /version answers with.
	Version string
	// Drain is how long the app goes on serving, with readiness off, after it was told to stop, so that
	// load balancers see it first. 0 to 10 minutes.
	Drain time.Duration
	// ShutdownTimeout is how long requests in flight may then take to finish. 0 to 10 minutes.
	ShutdownTimeout time.Duration
	// LogRequests says which requests are logged.
	LogRequests LogRequests
	// Log takes the JSON log lines.
	Log io.Writer
	// ChildCommand is the program and arguments that run ServeChild. Empty means this executable with
	// the argument leak-child, which is right for the demoapp command.
	ChildCommand []string
	// OnListen, when not nil, is called once with the address as soon as the app listens.
	OnListen func(net.Addr)

	// FailOnStart is an exit code, 1 to 255, to end with instead of serving. 0 means serve.
	FailOnStart int
	// RequireFile is a path without which the app ends with exit code 1. Empty requires none.
	RequireFile string
	// LeakOnStart is a memory leak from the start, in MiB/s, 0 to 1024. 0 means none.
	LeakOnStart float64
	// PeakOnStart is memory in MiB, 0 to 65536, that the app takes before it listens, and gives back: the peak of a start. 0 means
	// none.
	PeakOnStart int
	// StartDelay is how long the app stays not ready after it listens. 0 to 1 hour.
	StartDelay time.Duration
}

// DefaultOptions returns port 8080 on all addresses, a drain of 3 s, which is longer than kube-proxy takes
// to follow an endpoint, and 20 s for requests in flight; both fit the 30 s that Kubernetes gives by default.
func DefaultOptions() Options {
	return Options{
		Port: 8080, Version: "dev", Drain: 3 * time.Second, ShutdownTimeout: 20 * time.Second,
		LogRequests: LogErrors, Log: io.Discard,
	}
}

// Validate returns an error that names the first bad field, its value and what is allowed.
func (o Options) Validate() error {
	bad := func(field string, value any, allowed string) error {
		return fmt.Errorf("%s is %v; allowed: %s", field, value, allowed)
	}
	switch {
	case o.Port < 0 || o.Port > 65535:
		return bad("port", o.Port, "0 to 65535")
	case o.Drain < 0 || o.Drain > 10*time.Minute:
		return bad("drain", o.Drain, "0s to 10m")
	case o.ShutdownTimeout < 0 || o.ShutdownTimeout > 10*time.Minute:
		return bad("shutdown-timeout", o.ShutdownTimeout, "0s to 10m")
	case o.LogRequests != LogErrors && o.LogRequests != LogAll && o.LogRequests != LogNone:
		return bad("log-requests", o.LogRequests, "errors, all or none")
	case o.FailOnStart < 0 || o.FailOnStart > 255:
		return bad("fail-on-start", o.FailOnStart, "an exit code from 0 (off) to 255")
	case math.IsNaN(o.LeakOnStart) || o.LeakOnStart < 0 || o.LeakOnStart > 1024:
		return bad("leak-on-start", o.LeakOnStart, "0 (off) to 1024 MiB/s")
	case o.PeakOnStart < 0 || o.PeakOnStart > maxLeakMiB:
		return bad("peak-on-start", o.PeakOnStart, "0 (off) to 65536 MiB")
	case o.StartDelay < 0 || o.StartDelay > time.Hour:
		return bad("start-delay", o.StartDelay, "0s to 1h")
	case len(o.Hostname) > 253:
		return bad("hostname", o.Hostname[:32]+"...", "at most 253 bytes, as in DNS")
	case o.Log == nil:
		return errors.New("log is nil; allowed: a writer")
	}
	return nil
}

// withDefaults fills what only the running system knows.
func (o Options) withDefaults() (Options, error) {
	if o.Hostname == "" {
		name, err := os.Hostname()
		if err != nil {
			return o, fmt.Errorf("read host name: %w", err)
		}
		o.Hostname = name
	}
	if len(o.ChildCommand) == 0 {
		self, err := os.Executable()
		if err != nil {
			return o, fmt.Errorf("find own executable: %w", err)
		}
		o.ChildCommand = []string{self, "leak-child"}
	}
	if _, file := o.Log.(*os.File); !file {
		o.Log = &lockedWriter{to: o.Log}
	}
	return o, nil
}

// startFault applies the faults that keep the app from starting, and logs why it does not.
func (o Options) startFault(ctx context.Context, log *slog.Logger) error {
	if o.FailOnStart != 0 {
		log.ErrorContext(ctx, "cannot start: told to fail on start", "setting", "FAIL_ON_START", "exit_code", o.FailOnStart)
		return &ExitError{Code: o.FailOnStart}
	}
	if o.RequireFile == "" {
		return nil
	}
	if _, err := os.Stat(filepath.Clean(o.RequireFile)); err != nil {
		log.ErrorContext(ctx, "cannot start: required file is missing", "setting", "REQUIRE_FILE", "path", o.RequireFile, "error", err, "exit_code", 1)
		return &ExitError{Code: 1}
	}
	return nil
}

// ExitError is a deliberate end with an exit code; what led to it has been logged.
type ExitError struct {
	// Code is the exit code, 0 to 255.
	Code int
}

// Error implements the error interface.
func (e *ExitError) Error() string { return fmt.Sprintf("exit with code %d", e.Code) }

// lockedWriter lets the logger and the output of child processes share a writer. A file needs none: the
// system does it.
type lockedWriter struct {
	mu sync.Mutex
	to io.Writer
}

// Write implements io.Writer.
func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(p)
}

// newLogger writes one JSON object a line, with time, level and msg, and with the correlation id of the
// request a line belongs to. Debug lines are written too: only /log makes them.
func newLogger(o Options) *slog.Logger {
	lines := slog.NewJSONHandler(o.Log, &slog.HandlerOptions{Level: slog.LevelDebug})
	return slog.New(correlation.Tagged(lines)).With("app", "demoapp", "hostname", o.Hostname)
}
