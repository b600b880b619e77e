//go:build linux

// Package netns makes and removes named network namespaces, runs commands in
// them and opens connections from inside them.
//
// Commands are entered with nsenter, never with `ip netns exec`: that one mounts
// /sys anew and so hides the control groups. The package knows nothing of nodes
// or of addresses.
package netns

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Folder is where `ip netns` keeps the names of network namespaces.
const Folder = "/run/netns"

// Path is the file that stands for the namespace.
func Path(name string) string { return filepath.Join(Folder, name) }

// Exists reports whether the namespace is there and usable: the file alone, left
// by a crash between its creation and its mount, is not.
func Exists(name string) bool {
	var stat unix.Statfs_t
	return unix.Statfs(Path(name), &stat) == nil && stat.Type == unix.NSFS_MAGIC
}

// Create makes the namespace unless it is there.
func Create(ctx context.Context, name string) error {
	if Exists(name) {
		return nil
	}
	if err := os.Remove(Path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("clear network namespace: %w", err)
	}
	return run(exec.CommandContext(ctx, "ip", "netns", "add", name))
}

// Delete removes the namespace; it is no error if it is not there. Links, routes
// and firewall rules inside go with it, once no process is in it any more.
func Delete(ctx context.Context, name string) error {
	if _, err := os.Lstat(Path(name)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if Exists(name) {
		return run(exec.CommandContext(ctx, "ip", "netns", "delete", name))
	}
	return os.Remove(Path(name))
}

// Command returns the arguments that run a program in the namespace.
func Command(name string, argv ...string) []string {
	return append([]string{"nsenter", "--net=" + Path(name), "--"}, argv...)
}

// Run runs a command in the namespace; its output is part of the error.
func Run(ctx context.Context, name string, argv ...string) error {
	full := Command(name, argv...)
	return run(exec.CommandContext(ctx, full[0], full[1:]...))
}

func run(cmd *exec.Cmd) error {
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run %s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}

// Inode identifies the namespace: a process in it has the same inode at
// /proc/PID/ns/net. It is 0 if there is no such namespace.
func Inode(name string) uint64 {
	if !Exists(name) {
		return 0
	}
	return inode(Path(name))
}

// InodeOf is the inode of the network namespace a process is in, or 0.
func InodeOf(pid int) uint64 { return inode(fmt.Sprintf("/proc/%d/ns/net", pid)) }

func inode(path string) uint64 {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return 0
	}
	return stat.Ino
}

// Do calls f on a thread that is inside the namespace. What f starts in other
// goroutines is not inside.
func Do(name string, f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open own network namespace: %w", err)
	}
	defer func() { _ = home.Close() }()
	target, err := os.Open(Path(name))
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open network namespace: %w", err)
	}
	defer func() { _ = target.Close() }()
	if err := unix.Setns(int(target.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter network namespace %s: %w", name, err)
	}
	errF := f()
	if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
		// The thread stays locked: it ends with its goroutine instead of serving
		// others from the wrong namespace.
		return errors.Join(errF, fmt.Errorf("leave network namespace %s: %w", name, err))
	}
	runtime.UnlockOSThread()
	return errF
}

// Dial connects to a TCP address (an IPv4 literal and a port) from inside the
// namespace. The connection can be used from anywhere.
func Dial(ctx context.Context, name, address string) (net.Conn, error) {
	to, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return nil, fmt.Errorf("dial %s in %s: %w", address, name, err)
	}
	fd := -1
	// A socket belongs to the namespace of the thread that makes it, for ever:
	// only the making must happen inside.
	err = Do(name, func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("dial %s in %s: %w", address, name, err)
	}
	socket := os.NewFile(uintptr(fd), address)
	defer func() { _ = socket.Close() }() // net.FileConn has a duplicate
	if err := connect(ctx, fd, to); err != nil {
		return nil, fmt.Errorf("dial %s in %s: %w", address, name, err)
	}
	return net.FileConn(socket)
}

// connect connects a non-blocking socket and waits for the result.
func connect(ctx context.Context, fd int, to *net.TCPAddr) error {
	address := &unix.SockaddrInet4{Port: to.Port}
	copy(address.Addr[:], to.IP.To4())
	err := unix.Connect(fd, address)
	if err == nil {
		return nil
	}
	if !errors.Is(err, unix.EINPROGRESS) {
		return os.NewSyscallError("connect", err)
	}
	for ctx.Err() == nil {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		n, err := unix.Poll(poll, int((100 * time.Millisecond).Milliseconds())) // short, to see that ctx has ended
		if err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("poll", err)
		}
		if n <= 0 {
			continue
		}
		code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && code != 0 {
			err = unix.Errno(code)
		}
		return os.NewSyscallError("connect", err)
	}
	return ctx.Err()
}
