// Package command is the command line of the demo app: flags, their environment variables, and exit
// codes. What the commands do is in packages demoapp and load.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/demoapp"
)

// Process is what a command gets from the process it runs in.
type Process struct {
	// Args are the arguments without the program's name.
	Args []string
	// Stdin, Stdout and Stderr are the standard streams.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// LookupEnv reads an environment variable, as os.LookupEnv does.
	LookupEnv func(string) (string, bool)
	// Version is what /version and --version say.
	Version string
}

// Exit codes beside those that a command chose itself.
const (
	exitFailed = 1
	exitUsage  = 2
)

// errReported ends a command whose error was already shown.
var errReported = errors.New("reported")

// usageError is an error in the arguments or the environment.
type usageError struct{ error }

// Unwrap returns the cause.
func (e usageError) Unwrap() error { return e.error }

// Main runs the command that the arguments name, serve without any, until it ends or ctx is done, and
// returns the exit code: 0 on success, 2 for wrong usage, the code of a deliberate exit, otherwise 1.
func Main(ctx context.Context, p Process) int {
	root := &cobra.Command{
		Use:           "demoapp",
		Short:         "A web service made to be watched, scaled and healed, and the load for it",
		Version:       p.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetArgs(p.Args)
	root.SetIn(p.Stdin)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	serve := serveCommand(ctx, p)
	// Without a command the root serves, with the same flags.
	root.RunE = serve.RunE
	root.Flags().AddFlagSet(serve.Flags())
	root.AddCommand(serve, loadCommand(ctx, p), childCommand(ctx, p))

	err := root.ExecuteContext(ctx)
	var exit *demoapp.ExitError
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.Code
	case errors.Is(err, errReported):
		return exitFailed
	case errors.As(err, &usage):
		_, _ = fmt.Fprintf(p.Stderr, "demoapp: %v\ndemoapp --help and demoapp load --help list the flags.\n", err)
		return exitUsage
	default:
		_, _ = fmt.Fprintf(p.Stderr, "demoapp: %v\n", err)
		return exitFailed
	}
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usageError{fmt.Errorf("%q is no command and no flag of %s; allowed: serve, load, and flags", args[0], cmd.CommandPath())}
}

// environment names the variables that stand in for a flag, most important first.
func environment(flag string) []string {
	if flag == "hostname" {
		return []string{"HOSTNAME_OVERRIDE", "POD_NAME"}
	}
	return []string{strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))}
}

// fromEnvironment sets each flag that was not given from its variable. An empty variable counts as not set,
// since that is how manifests switch one off.
func fromEnvironment(cmd *cobra.Command, p Process, flags ...string) error {
	for _, name := range flags {
		flag := cmd.Flags().Lookup(name)
		if flag.Changed {
			continue
		}
		for _, variable := range environment(name) {
			value, _ := p.LookupEnv(variable)
			if value == "" {
				continue
			}
			if err := flag.Value.Set(value); err != nil {
				return usageError{fmt.Errorf("environment variable %s is %q; allowed: a %s, %s", variable, value, flag.Value.Type(), flag.Usage)}
			}
			break
		}
	}
	return nil
}

func serveCommand(ctx context.Context, p Process) *cobra.Command {
	opts := demoapp.DefaultOptions()
	opts.Version, opts.Log = p.Version, p.Stdout
	logRequests := string(opts.LogRequests)
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve (the default); GET / lists the endpoints",
		Long: "Serve until SIGTERM, then drain: readiness goes off, requests go on being answered for the drain time,\n" +
			"then those in flight may finish. Each flag can be set by the environment variable in brackets.",
		Args: noArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.Addr, "addr", opts.Addr, "host or IP address to listen on, empty for all [ADDR]")
	flags.IntVar(&opts.Port, "port", opts.Port, "TCP port, 0 to 65535, 0 for any free one [PORT]")
	flags.StringVar(&opts.Hostname, "hostname", "", "name /hostname answers with [HOSTNAME_OVERRIDE, POD_NAME] (default the host's)")
	flags.DurationVar(&opts.Drain, "drain", opts.Drain, "how long to serve on after SIGTERM, 0s to 10m [DRAIN]")
	flags.DurationVar(&opts.ShutdownTimeout, "shutdown-timeout", opts.ShutdownTimeout, "how long requests in flight may then take, 0s to 10m [SHUTDOWN_TIMEOUT]")
	flags.StringVar(&logRequests, "log-requests", logRequests, "which requests to log: errors, all or none [LOG_REQUESTS]")
	flags.IntVar(&opts.FailOnStart, "fail-on-start", 0, "exit code 1 to 255 to end with instead of serving, 0 for off [FAIL_ON_START]")
	flags.StringVar(&opts.RequireFile, "require-file", "", "end with exit code 1 unless this file exists [REQUIRE_FILE]")
	flags.Float64Var(&opts.LeakOnStart, "leak-on-start", 0, "leak memory from the start, 0 (off) to 1024 MiB/s [LEAK_ON_START]")
	flags.IntVar(&opts.PeakOnStart, "peak-on-start", 0, "take this much memory before listening and give it back, 0 (off) to 65536 MiB [PEAK_ON_START]")
	flags.DurationVar(&opts.StartDelay, "start-delay", 0, "stay not ready for this long, 0s to 1h [START_DELAY]")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := fromEnvironment(cmd, p, "addr", "port", "hostname", "drain", "shutdown-timeout", "log-requests",
			"fail-on-start", "require-file", "leak-on-start", "peak-on-start", "start-delay"); err != nil {
			return err
		}
		opts.LogRequests = demoapp.LogRequests(logRequests)
		if err := opts.Validate(); err != nil {
			return usageError{err}
		}
		return demoapp.Run(ctx, opts)
	}
	return cmd
}

// childCommand is what /child-leak starts. It is hidden, as it makes no sense by hand.
func childCommand(ctx context.Context, p Process) *cobra.Command {
	var rate float64
	var size int
	var duration time.Duration
	var correlationID string
	cmd := &cobra.Command{Use: "leak-child", Short: "Leak memory until stdin ends", Hidden: true, Args: noArgs}
	cmd.Flags().Float64Var(&rate, "rate", 8, "MiB/s")
	cmd.Flags().IntVar(&size, "size", 512, "MiB")
	cmd.Flags().DurationVar(&duration, "duration", 0, "stop leaking earlier")
	cmd.Flags().StringVar(&correlationID, "correlation-id", "", "id of the request that asked for it")
	cmd.RunE = func(_ *cobra.Command, _ []string) error {
		demoapp.ServeChild(ctx, p.Stdin, p.Stdout, correlationID, rate, size, duration)
		return nil
	}
	return cmd
}

// Self returns the Process of this program.
func Self(version string) Process {
	return Process{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, LookupEnv: os.LookupEnv, Version: version,
	}
}
