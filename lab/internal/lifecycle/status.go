//go:build linux

package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/homeostat/homeostat/lab/internal/controlplane"
	"github.com/homeostat/homeostat/lab/internal/layout"
	"github.com/homeostat/homeostat/lab/internal/node"
)

// ErrUnwell says that a lab is up, but not all of it is well.
var ErrUnwell = errors.New("not all components are well")

// Status writes a table of the lab's components: process, age, resident memory and
// what each says of its own health. It returns ErrDown or ErrUnwell if the lab is
// not as it should be.
func (l *Lab) Status(ctx context.Context) error {
	c, err := l.running()
	if err != nil {
		return err
	}
	client, err := c.plane.Client()
	if err != nil {
		return err
	}
	options := c.saved.Options
	l.out.line("%s: Kubernetes v%s, %d node(s), HPA %s\n", l.Name, layout.Version, options.Nodes, options.HPA)
	table := tabwriter.NewWriter(l.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "COMPONENT\tPID\tAGE\tMEMORY\tHEALTH")
	well := true
	for _, row := range c.checks(client) {
		process, running := c.supervisor.Running(row.name)
		if !running {
			well = false
			_, _ = fmt.Fprintf(table, "%s\t-\t-\t-\tnot running\n", row.name)
			continue
		}
		health := "ok"
		if err := row.check(ctx); err != nil {
			well, health = false, err.Error()
		}
		_, _ = fmt.Fprintf(table, "%s\t%d\t%s\t%d MiB\t%s\n", row.name, process.PID, process.Age().Round(time.Second), process.Memory()>>20, health)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	l.out.line("\nAPI server  https://127.0.0.1:%d", options.API.HostPort)
	for _, f := range options.Forwards {
		l.out.line("NodePort    %d at http://127.0.0.1:%d", f.Port, f.HostPort)
	}
	l.out.line("export KUBECONFIG=%s", l.Kubeconfig())
	if !well {
		return fmt.Errorf("%s: %w: `lab up` brings back what is missing, logs are in %s", l.Name, ErrUnwell, l.Logs())
	}
	return nil
}

type check struct {
	name  string
	check func(context.Context) error
}

func (c *cluster) checks(client controlplane.Client) []check {
	var checks []check
	for _, spec := range c.plane.Specs() {
		checks = append(checks, check{spec.Name, func(ctx context.Context) error { return client.Healthy(ctx, spec.Name) }})
	}
	alive := func(context.Context) error { return nil }
	checks = append(checks, check{ForwardComponent, alive})
	if c.saved.Options.Loki != "" {
		checks = append(checks, check{ShipComponent, alive})
	}
	for _, n := range c.nodes {
		checks = append(checks,
			check{n.Component(node.Mounts), alive},
			check{n.Component(node.Containerd), func(ctx context.Context) error {
				holder, running := c.supervisor.Running(n.Component(node.Mounts))
				if !running {
					return errors.New("the node's mounts are gone")
				}
				return n.ContainerdReady(ctx, holder)
			}},
			check{n.Component(node.Kubelet), func(ctx context.Context) error {
				return errors.Join(n.KubeletHealthy(ctx), client.NodeReady(ctx, n.Name))
			}},
			check{n.Component(node.KubeProxy), n.KubeProxyHealthy},
		)
	}
	return checks
}
