//go:build linux

package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/homeostat/homeostat/lab/internal/build"
	"github.com/homeostat/homeostat/lab/internal/controlplane"
	"github.com/homeostat/homeostat/lab/internal/layout"
	"github.com/homeostat/homeostat/lab/internal/node"
	"github.com/homeostat/homeostat/lab/internal/pki"
	"github.com/homeostat/homeostat/lab/internal/proc"
)

// limit is how long a step of starting may take before it counts as failed; on a
// busy machine the API server alone has been seen to take 20 s.
const limit = 2 * time.Minute

// Up brings the lab up with the options, or brings what is missing of it back, and
// returns once pods can be run. What already runs as the options want is left
// alone.
func (l *Lab) Up(ctx context.Context, options layout.Options) error {
	if err := CheckPrerequisites(); err != nil {
		return err
	}
	if err := options.Validate(); err != nil {
		return err
	}
	unlock, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := l.CheckState(); err != nil {
		return err
	}
	old, existed, err := l.Load()
	if err != nil {
		return err
	}
	if existed && options.Nodes < old.Options.Nodes {
		return fmt.Errorf("nodes: %d is not possible, the lab has %d: run `lab down` first", options.Nodes, old.Options.Nodes)
	}
	bin, pause, err := l.binaries(ctx, old.Bin)
	if err != nil {
		return err
	}
	saved := layout.Saved{Options: options, Bin: bin, Sysctls: old.Sysctls, Folders: old.Folders}
	if !existed {
		saved.Sysctls, saved.Folders = l.rememberHost()
	}
	c, err := l.cluster(saved)
	if err != nil {
		return err
	}
	if err := c.prepare(ctx, old.Options); err != nil {
		return err
	}
	if err := c.boot(ctx, pause, old.Options.MetricsServer); err != nil {
		return fmt.Errorf("bring %s up: %w", l.Name, err)
	}
	c.summary()
	return nil
}

// binaries returns the folder of the Kubernetes binaries and the pause image's
// archive. Without a checkout, a lab that was up before keeps what it has.
func (l *Lab) binaries(ctx context.Context, old string) (bin, pause string, err error) {
	cache, err := build.CacheFolder()
	if err != nil {
		return "", "", err
	}
	source, err := build.FindSource()
	if err != nil {
		if old == "" {
			return "", "", err
		}
		return old, "", nil
	}
	if pause, err = build.Pause(ctx, source, cache); err != nil {
		return "", "", err
	}
	bin, err = build.Kubernetes(ctx, source, cache, l.out)
	return bin, pause, err
}

// prepare makes files, certificates and networks, and settles the host's ports.
func (c *cluster) prepare(ctx context.Context, old layout.Options) error {
	if err := c.settlePorts(ctx, old); err != nil {
		return err
	}
	if err := c.Save(c.saved); err != nil {
		return err
	}
	if err := c.installTool(); err != nil {
		return err
	}
	if err := c.plane.Prepare(time.Now()); err != nil {
		return err
	}
	server := fmt.Sprintf("https://127.0.0.1:%d", c.saved.Options.API.HostPort)
	if err := pki.WriteKubeconfig(c.Kubeconfig(), c.PKI(), "admin", c.Name, server); err != nil {
		return err
	}
	if err := giveToUser(c.Kubeconfig()); err != nil {
		return err
	}
	for _, n := range c.nodes {
		if err := n.Prepare(); err != nil {
			return err
		}
		if err := n.Network(ctx); err != nil {
			return err
		}
	}
	c.out.step("network namespaces, certificates and configuration are there")
	return nil
}

// boot starts everything, as much of it as possible at the same time.
func (c *cluster) boot(ctx context.Context, pause string, hadMetrics bool) error {
	client, err := c.plane.Client()
	if err != nil {
		return err
	}
	first := []func() error{func() error { return c.startAPI(ctx, client) }}
	for _, n := range c.nodes {
		first = append(first, func() error { return c.startRuntime(ctx, n, pause) })
	}
	if err := together(first...); err != nil {
		return err
	}
	second := []func() error{
		func() error { return c.startControllers(ctx, client) },
		func() error { return c.startForward(ctx) },
		c.startShipper,
		func() error { return c.startMetrics(ctx, client, hadMetrics) },
	}
	for _, n := range c.nodes {
		second = append(second, func() error { return c.startAgents(ctx, client, n) })
	}
	return together(second...)
}

// startAPI starts etcd and the API server and waits for the latter, which is not
// ready without the former.
func (c *cluster) startAPI(ctx context.Context, client controlplane.Client) error {
	if err := c.ensure(c.plane.Etcd(), c.plane.APIServer()); err != nil {
		return err
	}
	return c.healthy(ctx, client, controlplane.APIServer, controlplane.Etcd)
}

func (c *cluster) startControllers(ctx context.Context, client controlplane.Client) error {
	if err := c.ensure(c.plane.ControllerManager(), c.plane.Scheduler()); err != nil {
		return err
	}
	if err := c.healthy(ctx, client, controlplane.ControllerManager); err != nil {
		return err
	}
	if err := c.healthy(ctx, client, controlplane.Scheduler); err != nil {
		return err
	}
	if err := c.supervisor.Await(ctx, limit, client.NamespaceUsable, controlplane.ControllerManager); err != nil {
		return fmt.Errorf("wait for the namespace default: %w", err)
	}
	c.out.step("namespace default can be used")
	return nil
}

func (c *cluster) startMetrics(ctx context.Context, client controlplane.Client, had bool) error {
	if !c.saved.Options.MetricsServer {
		if !had {
			return nil
		}
		if err := c.supervisor.Stop(controlplane.MetricsServer, time.Second); err != nil {
			return err
		}
		return c.plane.DeleteMetricsServer(ctx, client)
	}
	if err := c.ensure(c.plane.MetricsServer()); err != nil {
		return err
	}
	if err := c.plane.ApplyMetricsServer(ctx, client); err != nil {
		return err
	}
	return c.healthy(ctx, client, controlplane.MetricsServer)
}

// startRuntime starts a node's containerd, with the pause image in it.
func (c *cluster) startRuntime(ctx context.Context, n node.Node, pause string) error {
	holder, err := c.holder(ctx, n)
	if err != nil {
		return err
	}
	if err := c.ensure(n.Containerd(holder)); err != nil {
		return err
	}
	ready := func(ctx context.Context) error { return n.ContainerdReady(ctx, holder) }
	if err := c.supervisor.Await(ctx, limit, ready, n.Component(node.Containerd)); err != nil {
		return fmt.Errorf("wait for containerd of %s: %w", n.Name, err)
	}
	if there, err := n.HasImage(ctx, holder, layout.PauseImage); err != nil || there {
		return err
	}
	if pause == "" {
		return fmt.Errorf("pause image of %s: %w", n.Name, build.ErrNoSource)
	}
	archive, err := os.Open(pause)
	if err != nil {
		return fmt.Errorf("open pause image: %w", err)
	}
	defer func() { _ = archive.Close() }()
	if _, err := n.LoadImage(ctx, holder, archive); err != nil {
		return err
	}
	c.out.step("%s: containerd is ready", n.Name)
	return nil
}

// holder returns the process that holds the node's mounts, starting it if needed.
// If it was lost, the node's other processes sit in mounts that nobody can enter
// any more, and are ended first: the node is power cycled.
func (c *cluster) holder(ctx context.Context, n node.Node) (proc.Process, error) {
	name := n.Component(node.Mounts)
	if _, running := c.supervisor.Running(name); !running {
		if err := c.powerOff(ctx, n); err != nil {
			return proc.Process{}, err
		}
		if err := n.Prepare(); err != nil {
			return proc.Process{}, err
		}
	}
	spec, err := n.Holder(c.tool())
	if err != nil {
		return proc.Process{}, err
	}
	if err := c.ensure(spec); err != nil {
		return proc.Process{}, err
	}
	holder, _ := c.supervisor.Running(name)
	mounted := func(ctx context.Context) error { return n.Mounted(ctx, holder) }
	if err := c.supervisor.Await(ctx, limit, mounted, name); err != nil {
		return proc.Process{}, fmt.Errorf("wait for mounts of %s: %w", n.Name, err)
	}
	return holder, nil
}

// startAgents starts a node's kubelet and kube-proxy; the API server is ready.
func (c *cluster) startAgents(ctx context.Context, client controlplane.Client, n node.Node) error {
	holder, running := c.supervisor.Running(n.Component(node.Mounts))
	if !running {
		return fmt.Errorf("start %s: its mounts are gone", n.Name)
	}
	if err := c.ensure(n.Kubelet(holder), n.KubeProxy()); err != nil {
		return err
	}
	return errors.Join(c.awaitKubelet(ctx, client, n), c.awaitKubeProxy(ctx, n))
}

func (c *cluster) awaitKubelet(ctx context.Context, client controlplane.Client, n node.Node) error {
	ready := func(ctx context.Context) error {
		return errors.Join(n.KubeletHealthy(ctx), client.NodeReady(ctx, n.Name))
	}
	if err := c.supervisor.Await(ctx, limit, ready, n.Component(node.Kubelet), n.Component(node.Containerd)); err != nil {
		return fmt.Errorf("wait for %s to be Ready: %w", n.Name, err)
	}
	c.out.step("%s: Ready", n.Name)
	return nil
}

func (c *cluster) awaitKubeProxy(ctx context.Context, n node.Node) error {
	if err := c.supervisor.Await(ctx, limit, n.KubeProxyHealthy, n.Component(node.KubeProxy)); err != nil {
		return fmt.Errorf("wait for kube-proxy of %s: %w", n.Name, err)
	}
	c.out.step("%s: services are routed", n.Name)
	return nil
}

// ensure starts those of the components that do not run as specified.
func (c *cluster) ensure(specs ...proc.Spec) error {
	for _, spec := range specs {
		if _, err := c.supervisor.Ensure(spec); err != nil {
			return err
		}
	}
	return nil
}

// healthy waits for a component of the control plane, and for as long as those it
// depends on run.
func (c *cluster) healthy(ctx context.Context, client controlplane.Client, component string, dependencies ...string) error {
	check := func(ctx context.Context) error { return client.Healthy(ctx, component) }
	if err := c.supervisor.Await(ctx, limit, check, append([]string{component}, dependencies...)...); err != nil {
		return fmt.Errorf("wait for %s: %w", component, err)
	}
	c.out.step("%s is healthy", component)
	return nil
}

func (c *cluster) summary() {
	options := c.saved.Options
	c.out.step("%s is up: Kubernetes v%s, %d node(s), HPA %s", c.Name, layout.Version, options.Nodes, options.HPA)
	c.out.line("\n  API server  https://127.0.0.1:%d", options.API.HostPort)
	for _, f := range options.Forwards {
		c.out.line("  NodePort    %d at http://127.0.0.1:%d", f.Port, f.HostPort)
	}
	if options.Loki != "" {
		c.out.line("  logs        go to %s", options.Loki)
	}
	c.out.line("  kubectl     %s", filepath.Join(c.saved.Bin, "kubectl"))
	c.out.line("\nexport KUBECONFIG=%s", c.Kubeconfig())
}
