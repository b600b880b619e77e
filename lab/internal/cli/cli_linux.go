package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/homeostat/homeostat/lab/internal/build"
	"github.com/homeostat/homeostat/lab/internal/forward"
	"github.com/homeostat/homeostat/lab/internal/layout"
	"github.com/homeostat/homeostat/lab/internal/lifecycle"
	"github.com/homeostat/homeostat/lab/internal/netns"
	"github.com/homeostat/homeostat/lab/internal/node"
	"github.com/homeostat/homeostat/lab/internal/ship"
)

func commands() map[string]command {
	return map[string]command{
		"up":         {summary: "bring the lab up, or bring back what is missing of it", run: up},
		"down":       {summary: "take the lab down and leave nothing behind", run: down},
		"status":     {summary: "show the components, their health and how to reach them", run: status},
		"kubeconfig": {summary: "print the path of the kubeconfig", run: kubeconfig},
		"kubectl":    {usage: "ARGUMENT...", summary: "run the lab's kubectl against the lab", run: kubectl},
		"build":      {summary: "build the Kubernetes binary into the cache", run: buildOnly},
		"image":      imageCommand(),
		"load":       {usage: "ARCHIVE...", summary: "import image archives on every node", run: load},
		"enter":      {usage: "[PROGRAM ARGUMENT...]", summary: "run a program, or a shell, in a node's network", run: enter},
		"start":      {usage: "COMPONENT", summary: "start a component or a node and wait for it", run: start},
		"stop":       {usage: "COMPONENT", summary: "stop a component, or cut a node's power", run: stop},
		"restart":    {usage: "COMPONENT", summary: "stop, then start", run: restart},

		lifecycle.ForwardCommand: {run: forwardPorts},
		lifecycle.ShipCommand:    {run: shipLogs},
		node.HoldCommand:         {run: holdMounts},
	}
}

func exitCode(err error) int {
	switch {
	case errors.Is(err, errUsage):
		return exitUsage
	case errors.Is(err, lifecycle.ErrImpossible):
		return exitImpossible
	}
	return exitFailed
}

// target holds the flags that say which lab is meant.
type target struct{ name, state *string }

func targetFlags(flags *flag.FlagSet) target {
	return target{
		name:  flags.String("name", fromEnv("LAB_NAME", layout.DefaultName), "name of the lab; also LAB_NAME"),
		state: flags.String("state", os.Getenv("LAB_STATE"), "folder of its state (default ~/.local/state/homeostat/lab/NAME); also LAB_STATE"),
	}
}

func (t target) lab(streams Streams) (*lifecycle.Lab, error) {
	if err := layout.ValidateName(*t.name); err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	folder := *t.state
	if folder == "" {
		var err error
		if folder, err = layout.StateFolder(*t.name); err != nil {
			return nil, err
		}
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	return lifecycle.New(layout.Lab{Name: *t.name, State: folder}, streams.Out), nil
}

func fromEnv(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// simple parses the flags of a command that has only those of target, and
// arguments between least and most.
func simple(name, usage string, args []string, least, most int, streams Streams) (*lifecycle.Lab, []string, error) {
	flags := newFlags(name, usage, streams.Err)
	which := targetFlags(flags)
	if err := parse(flags, args); err != nil {
		return nil, nil, err
	}
	if flags.NArg() < least || flags.NArg() > most {
		flags.Usage()
		return nil, nil, fmt.Errorf("%w: wrong number of arguments", errUsage)
	}
	lab, err := which.lab(streams)
	return lab, flags.Args(), err
}

func down(ctx context.Context, args []string, streams Streams) error {
	flags := newFlags("down", "", streams.Err)
	which := targetFlags(flags)
	keep := flags.Bool("keep-state", false, "keep etcd's data, images and containers for the next up")
	if err := parse(flags, args); err != nil {
		return err
	}
	lab, err := which.lab(streams)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: it needs root", lifecycle.ErrImpossible)
	}
	return lab.Down(ctx, *keep)
}

func status(ctx context.Context, args []string, streams Streams) error {
	lab, _, err := simple("status", "", args, 0, 0, streams)
	if err != nil {
		return err
	}
	return lab.Status(ctx)
}

func kubeconfig(_ context.Context, args []string, streams Streams) error {
	flags := newFlags("kubeconfig", "", streams.Err)
	which := targetFlags(flags)
	inside := flags.Bool("inside", false, "the one for programs inside the lab's network")
	if err := parse(flags, args); err != nil {
		return err
	}
	lab, err := which.lab(streams)
	if err != nil {
		return err
	}
	path := lab.Kubeconfig()
	if *inside {
		path = lab.KubeconfigInside()
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("%w: %w", lifecycle.ErrDown, err)
	}
	_, err = fmt.Fprintln(streams.Out, path)
	return err
}

// kubectl takes no flags of its own: all arguments are kubectl's. Which lab is
// meant can be said with LAB_NAME and LAB_STATE.
func kubectl(ctx context.Context, args []string, streams Streams) error {
	lab, err := targetFlags(newFlags("kubectl", "", streams.Err)).lab(streams)
	if err != nil {
		return err
	}
	path, env, err := lab.Kubectl()
	if err != nil {
		return err
	}
	return attached(ctx, append([]string{path}, args...), env, streams)
}

func enter(ctx context.Context, args []string, streams Streams) error {
	flags := newFlags("enter", "[PROGRAM ARGUMENT...]", streams.Err)
	which := targetFlags(flags)
	name := flags.String("node", "node1", "node to enter; the control plane is on node1")
	mounts := flags.Bool("mounts", false, "also see the node's own /run/containerd, /var/lib/kubelet and so on")
	if err := parse(flags, args); err != nil {
		return err
	}
	lab, err := which.lab(streams)
	if err != nil {
		return err
	}
	argv := flags.Args()
	if len(argv) == 0 {
		argv = []string{fromEnv("SHELL", "/bin/sh")}
	}
	command, env, err := lab.EnterCommand(*name, *mounts, argv)
	if err != nil {
		return err
	}
	return attached(ctx, command, env, streams)
}

// attached runs a program in the foreground. Interrupts from the terminal reach it
// directly, so it is left to end by itself.
func attached(ctx context.Context, argv, env []string, streams Streams) error {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = streams.In, streams.Out, streams.Err
	cmd.Env = append(os.Environ(), env...)
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		status, _ := exit.Sys().(syscall.WaitStatus)
		if status.Signaled() {
			return endedError(128 + int(status.Signal())) // as a shell reports it
		}
		return endedError(exit.ExitCode())
	}
	return err
}

func buildOnly(ctx context.Context, args []string, streams Streams) error {
	if _, _, err := simple("build", "", args, 0, 0, streams); err != nil {
		return err
	}
	source, err := build.FindSource()
	if err != nil {
		return err
	}
	cache, err := build.CacheFolder()
	if err != nil {
		return err
	}
	if _, err := build.Pause(ctx, source, cache); err != nil {
		return err
	}
	folder, err := build.Kubernetes(ctx, source, cache, streams.Out)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(streams.Out, folder)
	return err
}

func load(ctx context.Context, args []string, streams Streams) error {
	lab, archives, err := simple("load", "ARCHIVE...", args, 1, math.MaxInt, streams)
	if err != nil {
		return err
	}
	return lab.LoadImages(ctx, archives)
}

func start(ctx context.Context, args []string, streams Streams) error {
	lab, names, err := simple("start", "COMPONENT", args, 1, 1, streams)
	if err != nil {
		return err
	}
	return lab.Start(ctx, names[0])
}

func stop(ctx context.Context, args []string, streams Streams) error {
	return stopping(ctx, "stop", (*lifecycle.Lab).Stop, args, streams)
}

func restart(ctx context.Context, args []string, streams Streams) error {
	return stopping(ctx, "restart", (*lifecycle.Lab).Restart, args, streams)
}

func stopping(ctx context.Context, name string, do func(*lifecycle.Lab, context.Context, string, bool) error, args []string, streams Streams) error {
	flags := newFlags(name, "COMPONENT", streams.Err)
	which := targetFlags(flags)
	kill := flags.Bool("kill", false, "end it with SIGKILL, without a chance to clean up")
	if err := parse(flags, args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		flags.Usage()
		return fmt.Errorf("%w: one component is needed", errUsage)
	}
	lab, err := which.lab(streams)
	if err != nil {
		return err
	}
	return do(lab, ctx, flags.Arg(0), *kill)
}

// forwardPorts is the forwarder's process: a network namespace, then routes.
func forwardPorts(ctx context.Context, args []string, streams Streams) error {
	if len(args) < 2 {
		return fmt.Errorf("%w: a network namespace and routes are needed", errUsage)
	}
	var routes []forward.Route
	for _, text := range args[1:] {
		route, err := forward.ParseRoute(text)
		if err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		routes = append(routes, route)
	}
	dial := func(ctx context.Context, address string) (net.Conn, error) { return netns.Dial(ctx, args[0], address) }
	return forward.Serve(ctx, routes, dial, slog.New(slog.NewTextHandler(streams.Err, nil)), nil)
}

// shipLogs is the shipper's process: an address, the file of offsets, then the folders of logs.
func shipLogs(ctx context.Context, args []string, streams Streams) error {
	if len(args) < 3 {
		return fmt.Errorf("%w: an address, a file and folders are needed", errUsage)
	}
	return ship.Run(ctx, ship.Options{
		URL: args[0], Offsets: args[1], Roots: args[2:], Log: slog.New(slog.NewTextHandler(streams.Err, nil)),
	})
}

// holdMounts is the process that holds a node's mounts.
func holdMounts(ctx context.Context, args []string, _ Streams) error {
	if len(args) != 1 {
		return fmt.Errorf("%w: a folder is needed", errUsage)
	}
	return node.HoldMounts(ctx, args[0])
}
