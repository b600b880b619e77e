package cli

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/internal/app"
	"github.com/homeostat/homeostat/internal/config"
)

func newRun() *cobra.Command {
	var path, listen, kubeconfig, kubecontext string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the controller",
		Long:  "Run the controller until it is told to end. Without --config the defaults hold: platform kubernetes, leader election, every namespace.",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg := config.Default()
			if path != "" {
				var err error
				if cfg, err = config.Load(path); err != nil {
					return usagef("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
				}
			}
			if listen != "" {
				cfg.Listen = listen
				if err := cfg.Validate(); err != nil {
					return usagef("%v", err)
				}
			}
			o := app.Options{
				Config: cfg, Version: version, Log: newLog(cmd.ErrOrStderr(), cfg.Log), Stdout: cmd.OutOrStdout(),
			}
			if cfg.Platform == config.Kubernetes {
				rest, _, err := restConfig(kubeconfig, kubecontext)
				if err != nil {
					return err
				}
				o.Kube.REST = rest
			}
			a, err := app.New(cmd.Context(), o)
			if err != nil {
				return err
			}
			return a.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "configuration file (YAML)")
	cmd.Flags().StringVar(&listen, "listen", "", "address of /metrics, /healthz and /readyz, instead of the file's")
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file; default: KUBECONFIG, then in the cluster")
	cmd.Flags().StringVar(&kubecontext, "context", "", "context of the kubeconfig")
	return cmd
}

func newLog(w io.Writer, c config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		panic(fmt.Sprintf("log level %q passed validation", c.Level))
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "text" {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}
