package command

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/demoapp/load"
)

func loadCommand(ctx context.Context, p Process) *cobra.Command {
	opts := load.DefaultOptions()
	share, output := 0.01, "text"
	cmd := &cobra.Command{
		Use:   "load --url URL",
		Short: "Send requests at a fixed rate and tell how they were answered",
		Long: "Send requests on a fixed schedule, whether or not earlier ones were answered (an open loop), and measure\n" +
			"each latency from the time the request was due, so that a server that stalls cannot hide it.\n" +
			"The exit code is 1 if the share of failed requests is above --max-error-share.",
		Example: "  demoapp load --url http://127.0.0.1:30080 --rate 200 --duration 30s\n" +
			"  demoapp load --url http://127.0.0.1:30080 --path '/cpu-load?ms=20' --rate 20 --duration 5m",
		Args: noArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.URL, "url", "", "address of the service, such as http://127.0.0.1:30080 [URL]")
	flags.StringVar(&opts.Path, "path", "", "path and query to request (default that of the URL, or "+load.DefaultPath+")")
	flags.Float64Var(&opts.Rate, "rate", opts.Rate, "requests per second")
	flags.DurationVar(&opts.Duration, "duration", opts.Duration, "how long to send, 0s for until interrupted")
	flags.DurationVar(&opts.Timeout, "timeout", opts.Timeout, "how long to wait for an answer")
	flags.IntVar(&opts.MaxInFlight, "max-in-flight", 0, "most requests waiting for an answer at once (default enough for rate x timeout)")
	flags.BoolVar(&opts.KeepAlive, "keepalive", false, "reuse connections; without it each request opens its own, which spreads them over the replicas of a Service")
	flags.Float64Var(&share, "max-error-share", share, "highest share of failed requests, 0 to 1, that counts as success")
	flags.StringVarP(&output, "output", "o", output, "text, or json for the summary alone as JSON on stdout")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := fromEnvironment(cmd, p, "url"); err != nil {
			return err
		}
		switch {
		case output != "text" && output != "json":
			return usageError{fmt.Errorf("output is %q; allowed: text or json", output)}
		case math.IsNaN(share) || share < 0 || share > 1:
			return usageError{fmt.Errorf("max-error-share is %v; allowed: 0 to 1", share)}
		}
		if err := opts.Validate(); err != nil {
			return usageError{err}
		}
		return runLoad(ctx, p, opts, share, output == "json")
	}
	return cmd
}

// runLoad shows each second on stdout, or on stderr where stdout is for JSON.
func runLoad(ctx context.Context, p Process, opts load.Options, share float64, asJSON bool) error {
	text := load.NewText(p.Stdout)
	if asJSON {
		text = load.NewText(p.Stderr)
	}
	text.Start(opts)
	opts.OnSecond = text.Second
	summary, err := load.Run(ctx, opts)
	if err != nil {
		return err
	}
	if asJSON {
		encoder := json.NewEncoder(p.Stdout)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(summary); err != nil {
			return fmt.Errorf("write summary: %w", err)
		}
	} else {
		text.Summary(summary)
	}
	if summary.ErrorShare > share {
		_, _ = fmt.Fprintf(p.Stderr, "demoapp: %.2f %% of the requests failed, above the %.2f %% of --max-error-share\n", 100*summary.ErrorShare, 100*share)
		return errReported
	}
	return nil
}
