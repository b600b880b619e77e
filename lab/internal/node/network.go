//go:build linux

package node

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/homeostat/homeostat/lab/internal/netns"
)

// bridge carries the nodes' InternalIPs. It is a bridge because not every kernel
// has the dummy device, and because the second node needs something to join.
const bridge = "node0"

// uplink is node1's end of the cable to a further node.
func (n Node) uplink() string { return "v" + n.Name }

// Network makes the node's network namespace with its links, addresses and routes;
// what is there already stays. No namespace has a way out of the lab.
func (n Node) Network(ctx context.Context) error {
	if err := netns.Create(ctx, n.Namespace); err != nil {
		return err
	}
	steps := n.furtherNetwork
	if n.Index == 1 {
		steps = n.firstNetwork
	}
	if err := n.ip(ctx, n.Namespace, "link", "set", "lo", "up"); err != nil {
		return err
	}
	if err := steps(ctx); err != nil {
		return fmt.Errorf("make network of %s: %w", n.Name, err)
	}
	return n.settings(ctx)
}

func (n Node) firstNetwork(ctx context.Context) error {
	var steps [][]string
	if !hasLink(n.Namespace, bridge) {
		steps = append(steps, []string{"link", "add", bridge, "type", "bridge"})
	}
	if !hasLink(n.Namespace, "node0p") {
		// A bridge is up only while something is plugged in: a cable to nowhere.
		steps = append(steps, []string{"link", "add", "node0p", "type", "veth", "peer", "name", "node0q"})
	}
	steps = append(steps,
		[]string{"link", "set", "node0p", "master", bridge},
		[]string{"link", "set", "node0p", "up"},
		[]string{"link", "set", "node0q", "up"},
		[]string{"addr", "replace", n.IP + "/24", "dev", bridge},
		[]string{"link", "set", bridge, "up"},
		// Nobody has this address. But a packet to a service needs some route before
		// its destination is rewritten to a pod's.
		[]string{"route", "replace", "default", "via", "10.88.0.254", "dev", bridge},
	)
	return n.ipAll(ctx, n.Namespace, steps)
}

func (n Node) furtherNetwork(ctx context.Context) error {
	first := n.Lab.Node(1)
	if !hasLink(n.Namespace, "eth0") {
		err := n.ip(ctx, first.Namespace, "link", "add", n.uplink(), "type", "veth", "peer", "name", "eth0", "netns", n.Namespace)
		if err != nil {
			return err
		}
	}
	if err := n.ipAll(ctx, first.Namespace, [][]string{
		{"link", "set", n.uplink(), "master", bridge},
		{"link", "set", n.uplink(), "up"},
	}); err != nil {
		return err
	}
	if err := n.ipAll(ctx, n.Namespace, [][]string{
		{"addr", "replace", n.IP + "/24", "dev", "eth0"},
		{"link", "set", "eth0", "up"},
		{"route", "replace", "default", "via", first.IP},
		{"route", "replace", first.PodCIDR, "via", first.IP},
	}); err != nil {
		return err
	}
	return n.ip(ctx, first.Namespace, "route", "replace", n.PodCIDR, "via", n.IP)
}

// Unplug cuts the node off from the others. Node 1 cannot be: it carries the
// control plane.
func (n Node) Unplug(ctx context.Context) error {
	first := n.Lab.Node(1).Namespace
	if n.Index == 1 || !hasLink(first, n.uplink()) {
		return nil
	}
	return n.ip(ctx, first, "link", "set", n.uplink(), "down")
}

func (n Node) settings(ctx context.Context) error {
	const bridgeFilter = "net/bridge/bridge-nf-call-iptables"
	if _, err := os.Stat(filepath.Join("/proc/sys", bridgeFilter)); err != nil {
		// It may be built in and missing all the same; the write below tells.
		_ = exec.CommandContext(ctx, "modprobe", "br_netfilter").Run()
	}
	return netns.Do(n.Namespace, func() error {
		for _, setting := range []string{"net/ipv4/ip_forward", "net/ipv4/conf/all/route_localnet", bridgeFilter} {
			// Settings below net belong to the namespace of the thread that opens them.
			if err := os.WriteFile(filepath.Join("/proc/sys", setting), []byte("1"), 0o644); err != nil {
				return fmt.Errorf("set %s for %s: %w", setting, n.Name, err)
			}
		}
		return nil
	})
}

func (n Node) ipAll(ctx context.Context, namespace string, steps [][]string) error {
	for _, step := range steps {
		if err := n.ip(ctx, namespace, step...); err != nil {
			return err
		}
	}
	return nil
}

func (Node) ip(ctx context.Context, namespace string, args ...string) error {
	return netns.Run(ctx, namespace, append([]string{"ip"}, args...)...)
}

func hasLink(namespace, name string) bool {
	found := false
	_ = netns.Do(namespace, func() error {
		_, err := net.InterfaceByName(name)
		found = err == nil
		return nil
	})
	return found
}
