//go:build linux

// Package lifecycle brings a whole lab up, reports on it, stops and starts parts
// of it and takes it down without leaving anything behind. It knows the order of
// things; how each part is run is known by the packages it uses.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/homeostat/homeostat/lab/internal/controlplane"
	"github.com/homeostat/homeostat/lab/internal/layout"
	"github.com/homeostat/homeostat/lab/internal/netns"
	"github.com/homeostat/homeostat/lab/internal/node"
	"github.com/homeostat/homeostat/lab/internal/proc"
)

// ErrDown says that a command needs a lab that is up.
var ErrDown = errors.New("the lab is not up")

// ForwardComponent is the name of the process that makes the lab's ports reachable
// from the host; ForwardCommand is the lab tool's command, not for users, it runs.
const (
	ForwardComponent = "forward"
	ForwardCommand   = "forward"
)

// ShipComponent is the name of the process that sends the containers' logs to a Loki; ShipCommand is the lab tool's command, not for users, it runs.
const (
	ShipComponent = "log-shipper"
	ShipCommand   = "ship-logs"
)

// Lab is one lab and where to report on it.
type Lab struct {
	layout.Lab
	supervisor proc.Supervisor
	out        *report
}

// New returns the lab; nothing is started or read. Progress goes to out.
func New(lab layout.Lab, out io.Writer) *Lab {
	return &Lab{
		Lab:        lab,
		supervisor: proc.Supervisor{State: lab.State, Pids: lab.Pids(), Logs: lab.Logs()},
		out:        &report{out: out, started: time.Now()},
	}
}

// cluster is a lab with the options it runs with.
type cluster struct {
	*Lab
	saved layout.Saved
	plane controlplane.Plane
	nodes []node.Node
}

func (l *Lab) cluster(saved layout.Saved) (*cluster, error) {
	cni, missing := node.FindCNI()
	if len(missing) > 0 {
		return nil, CheckPrerequisites()
	}
	c := &cluster{
		Lab:   l,
		saved: saved,
		plane: controlplane.Plane{Lab: l.Lab, Options: saved.Options, Bin: saved.Bin},
	}
	for i := range saved.Options.Nodes {
		c.nodes = append(c.nodes, node.Node{
			Node: l.Node(i + 1), Lab: l.Lab, Options: saved.Options, Bin: saved.Bin, CNI: cni,
		})
	}
	return c, nil
}

// running returns the cluster as it was brought up, or ErrDown.
func (l *Lab) running() (*cluster, error) {
	saved, ok, err := l.Load()
	if err != nil {
		return nil, err
	}
	if !ok || !netns.Exists(l.Namespace()) {
		return nil, fmt.Errorf("%s: %w: run `lab up`", l.Name, ErrDown)
	}
	return l.cluster(saved)
}

// lock keeps other commands from changing the lab meanwhile.
func (l *Lab) lock(ctx context.Context) (unlock func(), err error) {
	return proc.Lock(ctx, l.LockFile(), func() { l.out.step("waiting for another command on %s", l.Name) })
}

// tool is the copy of this program that outlives `go run`.
func (l *Lab) tool() string { return filepath.Join(l.Bin(), "lab") }

// installTool makes that copy.
func (l *Lab) installTool() error {
	own, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	content, err := os.ReadFile(own)
	if err != nil {
		return fmt.Errorf("read own program: %w", err)
	}
	_, err = layout.WriteFile(l.tool(), content, 0o755)
	return err
}

// forwardSpec is the forwarder with the ports of the options.
func (c *cluster) forwardSpec() proc.Spec {
	argv := []string{c.tool(), ForwardCommand, c.Namespace()}
	for _, f := range append([]layout.Forward{c.saved.Options.API}, c.saved.Options.Forwards...) {
		argv = append(argv, fmt.Sprintf("127.0.0.1:%d=%s:%d", f.HostPort, c.nodes[0].IP, f.Port))
	}
	return proc.Spec{Name: ForwardComponent, Argv: argv}
}

// shipSpec is the shipper of all nodes' logs. It runs on the host, where the Loki is.
func (c *cluster) shipSpec() proc.Spec {
	argv := []string{c.tool(), ShipCommand, c.saved.Options.Loki, c.Offsets()}
	for _, n := range c.nodes {
		argv = append(argv, n.PodLogs())
	}
	return proc.Spec{Name: ShipComponent, Argv: argv}
}

// startShipper starts the shipper, or ends it where the options have no Loki.
func (c *cluster) startShipper() error {
	if c.saved.Options.Loki == "" {
		return c.supervisor.Stop(ShipComponent, time.Second)
	}
	if err := c.ensure(c.shipSpec()); err != nil {
		return err
	}
	c.out.step("the logs of the containers go to %s", c.saved.Options.Loki)
	return nil
}

// report writes one line per step, with the time since the command began.
type report struct {
	mutex   sync.Mutex
	out     io.Writer
	started time.Time
}

func (r *report) step(format string, args ...any) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	_, _ = fmt.Fprintf(r.out, "%6.1fs  %s\n", time.Since(r.started).Seconds(), fmt.Sprintf(format, args...))
}

func (r *report) line(format string, args ...any) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	_, _ = fmt.Fprintf(r.out, format+"\n", args...)
}

// Write passes on what a build says, whole lines at a time.
func (r *report) Write(text []byte) (int, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.out.Write(text)
}

// together runs all functions at the same time and returns their errors.
func together(functions ...func() error) error {
	errs := make([]error, len(functions))
	var group sync.WaitGroup
	for i, function := range functions {
		group.Go(func() { errs[i] = function() })
	}
	group.Wait()
	return errors.Join(errs...)
}
