// Package forward carries TCP connections from ports of the host's loopback to
// addresses that only a dial function can reach, such as those inside a network
// namespace. It does not look at what it carries.
package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// dialLimit is how long a connection may take to come up on the far side.
const dialLimit = 10 * time.Second

// Dial opens a connection to an address on the far side.
type Dial func(ctx context.Context, address string) (net.Conn, error)

// Route says where connections to a local address are carried.
type Route struct {
	Listen string // host:port here
	Target string // host:port there
}

// ParseRoute reads LISTEN=TARGET, both host:port.
func ParseRoute(text string) (Route, error) {
	listen, target, found := strings.Cut(text, "=")
	if !found {
		return Route{}, fmt.Errorf("route: %q is not LISTEN=TARGET, such as 127.0.0.1:8080=10.88.0.1:30080", text)
	}
	for _, address := range []string{listen, target} {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return Route{}, fmt.Errorf("route: %q is not host:port: %w", address, err)
		}
		number, err := strconv.Atoi(port)
		if err != nil || number < 0 || number > 65535 || net.ParseIP(host) == nil {
			return Route{}, fmt.Errorf("route: %q is not an IP address and a port", address)
		}
	}
	return Route{Listen: listen, Target: target}, nil
}

// String is the form that ParseRoute reads.
func (r Route) String() string { return r.Listen + "=" + r.Target }

// Serve listens on all routes and carries connections until ctx ends; then it
// closes everything and returns nil. It returns an error at once if one of the
// routes cannot be listened on. Ready, if not nil, is called with the listening
// addresses before the first connection is accepted.
func Serve(ctx context.Context, routes []Route, dial Dial, log *slog.Logger, ready func([]net.Addr)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var listeners []net.Listener
	var addresses []net.Addr
	closeAll := func() {
		for _, listener := range listeners {
			_ = listener.Close()
		}
	}
	defer closeAll()
	var config net.ListenConfig
	for _, route := range routes {
		listener, err := config.Listen(ctx, "tcp", route.Listen)
		if err != nil {
			return fmt.Errorf("listen for %s: %w", route, err)
		}
		listeners = append(listeners, listener)
		addresses = append(addresses, listener.Addr())
	}
	if ready != nil {
		ready(addresses)
	}
	stop := context.AfterFunc(ctx, closeAll)
	defer stop()
	var group sync.WaitGroup
	failed := make(chan error, len(routes))
	for i, route := range routes {
		group.Go(func() {
			if err := accept(ctx, listeners[i], route, dial, log); err != nil {
				failed <- err
				cancel() // one dead route must not look like a working forwarder
			}
		})
	}
	group.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func accept(ctx context.Context, listener net.Listener, route Route, dial Dial, log *slog.Logger) error {
	var group sync.WaitGroup
	defer group.Wait()
	for {
		near, err := listener.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = near.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			// Most often too many open files: wait for some to close.
			log.Warn("accept failed", "route", route.String(), "error", err)
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		group.Go(func() {
			if err := carry(ctx, near, route.Target, dial); err != nil {
				log.Warn("connection not carried", "route", route.String(), "error", err)
			}
		})
	}
}

// carry connects to the target and copies both ways until both sides have ended
// or ctx has.
func carry(ctx context.Context, near net.Conn, target string, dial Dial) error {
	defer func() { _ = near.Close() }()
	dialing, cancel := context.WithTimeout(ctx, dialLimit)
	far, err := dial(dialing, target)
	cancel()
	if err != nil {
		return err
	}
	defer func() { _ = far.Close() }()
	stop := context.AfterFunc(ctx, func() {
		_ = near.Close()
		_ = far.Close()
	})
	defer stop()
	var group sync.WaitGroup
	group.Go(func() { copyAndClose(far, near) })
	group.Go(func() { copyAndClose(near, far) })
	group.Wait()
	return nil
}

// copyAndClose passes on the end of the stream too, but only in its direction: a
// request may be over while its answer still comes. Errors are those of a side
// that hung up, which the other side is told by closing it.
func copyAndClose(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
		_ = half.CloseWrite()
		return
	}
	_ = to.Close()
	_ = from.Close()
}
