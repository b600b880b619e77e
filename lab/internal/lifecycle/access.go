//go:build linux

package lifecycle

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/homeostat/homeostat/lab/internal/layout"
)

// giveToUser makes a file belong to whoever called sudo: kubectl needs no root.
func giveToUser(path string) error {
	user, errUser := strconv.Atoi(os.Getenv("SUDO_UID"))
	group, errGroup := strconv.Atoi(os.Getenv("SUDO_GID"))
	if errUser != nil || errGroup != nil {
		return nil //nolint:nilerr // sudo was not used
	}
	if err := os.Chown(path, user, group); err != nil {
		return fmt.Errorf("give %s to its user: %w", path, err)
	}
	return nil
}

// settlePorts replaces busy ports of the host by free ones. Ports that the lab's
// own forwarder listens on are not busy.
func (c *cluster) settlePorts(ctx context.Context, old layout.Options) error {
	options := &c.saved.Options
	same := options.API == old.API && slices.Equal(options.Forwards, old.Forwards)
	if _, running := c.supervisor.Running(ForwardComponent); running && same {
		return nil
	}
	if err := c.supervisor.Stop(ForwardComponent, time.Second); err != nil {
		return err
	}
	for _, f := range forwards(options) {
		port, err := freePort(ctx, f.HostPort)
		if err != nil {
			return err
		}
		if port != f.HostPort {
			c.out.step("port %d of this machine is busy: using %d", f.HostPort, port)
			f.HostPort = port
		}
	}
	return nil
}

// forwards returns all forwards of the options, to be changed in place.
func forwards(options *layout.Options) []*layout.Forward {
	all := []*layout.Forward{&options.API}
	for i := range options.Forwards {
		all = append(all, &options.Forwards[i])
	}
	return all
}

// freePort returns the port, or some free one if somebody listens on it.
func freePort(ctx context.Context, port int) (int, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		if listener, err = config.Listen(ctx, "tcp4", "127.0.0.1:0"); err != nil {
			return 0, fmt.Errorf("find free port: %w", err)
		}
	}
	defer func() { _ = listener.Close() }()
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("find free port: %v is no TCP address", listener.Addr())
	}
	return address.Port, nil
}

// startForward starts the forwarder and waits until it listens.
func (c *cluster) startForward(ctx context.Context) error {
	if err := c.ensure(c.forwardSpec()); err != nil {
		return err
	}
	address := fmt.Sprintf("127.0.0.1:%d", c.saved.Options.API.HostPort)
	listening := func(ctx context.Context) error {
		var dialer net.Dialer
		connection, err := dialer.DialContext(ctx, "tcp4", address)
		if err != nil {
			return err
		}
		return connection.Close()
	}
	if err := c.supervisor.Await(ctx, limit, listening, ForwardComponent); err != nil {
		return fmt.Errorf("wait for the forwarder: %w", err)
	}
	c.out.step("ports of this machine lead into the lab")
	return nil
}
