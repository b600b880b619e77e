package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/homeostat/homeostat/demoapp/command"
	"github.com/homeostat/homeostat/internal/demo"
)

// stopWithin is how long the replicas of the local demo have to end; their own grace period is below it.
const stopWithin = 8 * time.Second

// demoFlags are the flags of `homeostat demo`.
type demoFlags struct {
	kubernetes, keep, verbose                      bool
	rate                                           float64
	state, kubeconfig, kubecontext, namespace, url string
}

func newDemo() *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show it at work: real failures and real load, on this machine or a cluster",
		Long: "Play a story and tell it line by line, in a minute or two: a replica is killed, one leaks memory, one hangs, and load scales\n" +
			"2 → 4 → 2. By default the replicas are processes of this machine; it needs no root, no Docker and no cluster.\n" +
			"With --kubernetes the same story is played on a cluster in which Homeostat and the demo app run; hack/demo.sh deploys both.\n" +
			"The exit code is 1 if a chapter of the story did not happen in time.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			if f.kubernetes {
				return f.onKubernetes(cmd)
			}
			return f.onThisMachine(cmd)
		},
	}
	fl := cmd.Flags()
	fl.Float64Var(&f.rate, "rate", demo.LocalScript().Rate, "ordinary requests per second, 1 to 200")
	fl.BoolVar(&f.keep, "keep", false, "leave it running after the story, until Ctrl-C")
	fl.StringVar(&f.state, "state", "", "state folder of the local demo; default: a new one among the temporary files")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "show the controller's log too, on standard error")
	fl.BoolVar(&f.kubernetes, "kubernetes", false, "play on a cluster")
	fl.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig file; default: KUBECONFIG, then ~/.kube/config")
	fl.StringVar(&f.kubecontext, "context", "", "context of the kubeconfig")
	fl.StringVarP(&f.namespace, "namespace", "n", "demo", "namespace of the demo app on the cluster")
	fl.StringVar(&f.url, "url", "", "address of the demo app's Service, such as http://127.0.0.1:30080; default: through the API server")
	return cmd
}

// check refuses flags that do not go together.
func (f *demoFlags) check(cmd *cobra.Command) error {
	if f.rate < 1 || f.rate > 200 {
		return usagef("--rate %v is not allowed: 1 to 200 requests per second", f.rate)
	}
	only, flags := "without", []string{"kubeconfig", "context", "namespace", "url"}
	if f.kubernetes {
		only, flags = "with", []string{"state", "verbose"}
	}
	for _, name := range flags {
		if cmd.Flags().Changed(name) {
			return usagef("--%s has no meaning %s --kubernetes", name, only)
		}
	}
	return nil
}

func (f *demoFlags) onThisMachine(cmd *cobra.Command) (err error) {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own executable: %w", err)
	}
	dir := f.state
	if dir == "" {
		if dir, err = os.MkdirTemp("", "homeostat-demo-"); err != nil {
			return fmt.Errorf("make state folder: %w", err)
		}
	}
	log := slog.New(slog.DiscardHandler)
	if f.verbose {
		log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	}
	stage, err := demo.NewLocal(demo.LocalOptions{
		Executable: self, StateDir: dir, Version: version, Log: log,
		Open: func(dir string) (demo.Reader, error) { return openState(dir) },
	})
	if err != nil {
		return err
	}
	defer func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		err = errors.Join(err, stage.Stop(grace))
	}()
	if err := stage.Start(ctx); err != nil {
		return err
	}
	script := demo.LocalScript()
	script.Rate = f.rate
	name := calledAs()
	return demo.Run(ctx, demo.Options{
		Stage: stage, Script: script, Out: out, Colour: colourful(out), Keep: f.keep,
		Intro: []string{
			"Two replicas of a demo app, processes of this machine, behind a load balancer on " + stage.Traffic().URL + ".",
			"Homeostat scales and heals them as " + stage.Documents() + " says: real CPU time, real memory, real kills.",
		},
		Look: []string{
			name + " incidents --state " + stage.StateDir(),
			name + " explain autoscaler/web --state " + stage.StateDir(),
			"less " + stage.Journal() + "   # every decision, with all that it was made from",
		},
	})
}

func (f *demoFlags) onKubernetes(cmd *cobra.Command) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	cfg, _, err := restConfig(f.kubeconfig, f.kubecontext)
	if err != nil {
		return err
	}
	objects, err := openCluster(cfg)
	if err != nil {
		return err
	}
	stage, err := demo.NewKube(demo.KubeOptions{REST: cfg, Namespace: f.namespace, URL: f.url, Reader: objects})
	if err != nil {
		return err
	}
	if _, err := stage.Look(ctx); err != nil {
		return err
	}
	script := demo.KubeScript()
	script.Rate = f.rate
	name, way := calledAs(), "through the API server"
	if f.url != "" {
		way = "through " + f.url
	}
	return demo.Run(ctx, demo.Options{
		Stage: stage, Script: script, Out: out, Colour: colourful(out), Keep: f.keep,
		Intro: []string{
			"Deployment web in namespace " + f.namespace + " of " + cfg.Host + ", with requests " + way + ".",
			"Homeostat runs in the same cluster and scales and heals it: real pods, real kills by the kernel.",
		},
		Look: []string{
			"kubectl get incidents,autoscalers,healingpolicies -n " + f.namespace,
			"kubectl describe autoscaler web -n " + f.namespace,
			name + " incidents NAME -n " + f.namespace,
			name + " explain autoscaler/web -n " + f.namespace,
		},
	})
}

// calledAs is how the user calls this program; `go run` builds it into a folder of its own.
func calledAs() string {
	name := commandName()
	if strings.Contains(os.Args[0], string(filepath.Separator)+"go-build") {
		return "go run ./cmd/homeostat"
	}
	if _, err := exec.LookPath(name); err != nil && name == "homeostat" {
		return os.Args[0]
	}
	return name
}

// colourful reports whether out is a terminal whose user has nothing against colours (no-color.org).
func colourful(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// newDemoApp makes this program a replica of the local demo. The demo app starts itself as leak-child for a child that
// leaks, so it has that name too.
func newDemoApp() *cobra.Command {
	return &cobra.Command{
		Use: "demo-app", Aliases: []string{"leak-child"}, Hidden: true, DisableFlagParsing: true,
		Short: "Be a replica of the demo",
		RunE: func(cmd *cobra.Command, args []string) error {
			p := command.Self(version)
			p.Args, p.Stdout, p.Stderr = args, cmd.OutOrStdout(), cmd.ErrOrStderr()
			if name := cmd.CalledAs(); name != cmd.Name() {
				p.Args = append([]string{name}, args...)
			}
			if code := command.Main(cmd.Context(), p); code != 0 {
				return exitError{code: code}
			}
			return nil
		},
	}
}
