//go:build linux

package lifecycle

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/homeostat/homeostat/lab/internal/controlplane"
	"github.com/homeostat/homeostat/lab/internal/netns"
	"github.com/homeostat/homeostat/lab/internal/node"
)

// Parts names everything that Stop, Start and Restart take: components, and whole
// nodes.
func (c *cluster) parts() []string {
	var names []string
	for _, spec := range c.plane.Specs() {
		names = append(names, spec.Name)
	}
	names = append(names, ForwardComponent)
	if c.saved.Options.Loki != "" {
		names = append(names, ShipComponent)
	}
	for _, n := range c.nodes {
		names = append(names, n.Component(node.Containerd), n.Component(node.Kubelet), n.Component(node.KubeProxy), n.Name)
	}
	return names
}

// part checks that the lab is up and has a part of that name, and locks the lab.
func (l *Lab) part(ctx context.Context, name string) (c *cluster, unlock func(), err error) {
	c, err = l.running()
	if err != nil {
		return nil, nil, err
	}
	if names := c.parts(); !slices.Contains(names, name) {
		return nil, nil, fmt.Errorf("component: %q is not one of this lab, which are %s", name, strings.Join(names, ", "))
	}
	unlock, err = l.lock(ctx)
	return c, unlock, err
}

// Stop ends a component, at once if kill is set. A node's name stands for cutting
// its power and its cable: everything on it ends without a word.
func (l *Lab) Stop(ctx context.Context, name string, kill bool) error {
	c, unlock, err := l.part(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	for _, n := range c.nodes {
		if n.Name != name {
			continue
		}
		if err := n.Unplug(ctx); err != nil {
			return err
		}
		if err := c.powerOff(ctx, n); err != nil {
			return err
		}
		l.out.step("%s is off", name)
		return nil
	}
	grace := 10 * time.Second
	if kill {
		grace = 0
	}
	if err := c.supervisor.Stop(name, grace); err != nil {
		return err
	}
	l.out.step("%s is stopped", name)
	return nil
}

// Start starts a component, or a node, that was stopped, and waits until it is
// well.
func (l *Lab) Start(ctx context.Context, name string) error {
	c, unlock, err := l.part(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	client, err := c.plane.Client()
	if err != nil {
		return err
	}
	for _, n := range c.nodes {
		if n.Name == name || strings.HasSuffix(name, "-"+n.Name) {
			return c.startNodePart(ctx, client, n, name)
		}
	}
	switch name {
	case ForwardComponent:
		return c.startForward(ctx)
	case ShipComponent:
		return c.startShipper()
	}
	for _, spec := range c.plane.Specs() {
		if spec.Name == name {
			if err := c.ensure(spec); err != nil {
				return err
			}
		}
	}
	return c.healthy(ctx, client, name)
}

func (c *cluster) startNodePart(ctx context.Context, client controlplane.Client, n node.Node, name string) error {
	if err := n.Network(ctx); err != nil {
		return err
	}
	holder, err := c.holder(ctx, n)
	if err != nil {
		return err
	}
	switch name {
	case n.Component(node.Kubelet):
		if err := c.ensure(n.Kubelet(holder)); err != nil {
			return err
		}
		return c.awaitKubelet(ctx, client, n)
	case n.Component(node.KubeProxy):
		if err := c.ensure(n.KubeProxy()); err != nil {
			return err
		}
		return c.awaitKubeProxy(ctx, n)
	}
	// The pause image was there when the node was, so no archive is needed.
	if err := c.startRuntime(ctx, n, ""); err != nil {
		return err
	}
	if name == n.Component(node.Containerd) {
		c.out.step("%s is healthy", name)
		if _, running := c.supervisor.Running(n.Component(node.Kubelet)); !running {
			return nil
		}
		return c.awaitKubelet(ctx, client, n)
	}
	return c.startAgents(ctx, client, n)
}

// Restart stops and starts a component or a node.
func (l *Lab) Restart(ctx context.Context, name string, kill bool) error {
	if err := l.Stop(ctx, name, kill); err != nil {
		return err
	}
	return l.Start(ctx, name)
}

// LoadImages imports image archives on every node.
func (l *Lab) LoadImages(ctx context.Context, archives []string) error {
	c, err := l.running()
	if err != nil {
		return err
	}
	for _, path := range archives {
		for _, n := range c.nodes {
			said, err := c.loadImage(ctx, n, path)
			if err != nil {
				return err
			}
			l.out.step("%s: %s", n.Name, said)
		}
	}
	return nil
}

func (c *cluster) loadImage(ctx context.Context, n node.Node, path string) (string, error) {
	holder, running := c.supervisor.Running(n.Component(node.Mounts))
	if !running {
		return "", fmt.Errorf("load image on %s: the node is off", n.Name)
	}
	archive, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("load image on %s: %w", n.Name, err)
	}
	defer func() { _ = archive.Close() }()
	said, err := n.LoadImage(ctx, holder, archive)
	if err != nil {
		return "", err
	}
	return "loaded " + path + ": " + strings.Join(strings.Fields(said), " "), nil
}

// EnterCommand returns the command line and the environment additions that run a
// program on a node: in its network, and with the node's own /var/lib/kubelet and
// the like if mounts is set.
func (l *Lab) EnterCommand(nodeName string, mounts bool, argv []string) (command, env []string, err error) {
	c, err := l.running()
	if err != nil {
		return nil, nil, err
	}
	index := slices.IndexFunc(c.nodes, func(n node.Node) bool { return n.Name == nodeName })
	if index < 0 {
		return nil, nil, fmt.Errorf("node: %q is not one of this lab, which has %s", nodeName, strings.Join(l.NodeNames(len(c.nodes)), ", "))
	}
	n := c.nodes[index]
	command = netns.Command(n.Namespace, argv...)
	if mounts {
		holder, running := c.supervisor.Running(n.Component(node.Mounts))
		if !running {
			return nil, nil, fmt.Errorf("enter %s: the node is off", n.Name)
		}
		command = append([]string{"nsenter", fmt.Sprintf("--mount=/proc/%d/ns/mnt", holder.PID)}, command[1:]...)
	}
	return command, []string{"KUBECONFIG=" + l.KubeconfigInside()}, nil
}

// Kubectl returns the path of kubectl and the environment addition that makes it
// speak to the lab from the host.
func (l *Lab) Kubectl() (path string, env []string, err error) {
	c, err := l.running()
	if err != nil {
		return "", nil, err
	}
	return filepath.Join(c.saved.Bin, "kubectl"), []string{"KUBECONFIG=" + l.Kubeconfig()}, nil
}
