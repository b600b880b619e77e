//go:build linux

package netns

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// namespace makes a network namespace for the test, which needs root for that.
func namespace(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: network namespaces need root")
	}
	name := fmt.Sprintf("homeostat-test-%d", os.Getpid())
	if err := Create(t.Context(), name); err != nil {
		t.Skipf("SKIPPED: network namespaces cannot be made here: %v", err)
	}
	t.Cleanup(func() {
		if err := Delete(context.Background(), name); err != nil { // the test's own context has ended
			t.Error(err)
		}
		if Exists(name) || Inode(name) != 0 {
			t.Error("it exists after Delete")
		}
	})
	return name
}

func TestDialReachesWhatListensInsideOnly(t *testing.T) {
	name := namespace(t)
	if err := Run(t.Context(), name, "ip", "link", "set", "lo", "up"); err != nil {
		t.Fatal(err)
	}
	var listener net.Listener
	if err := Do(name, func() (err error) {
		listener, err = net.Listen("tcp4", "127.0.0.1:0")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(connection, connection)
			_ = connection.Close()
		}
	}()
	address := listener.Addr().String()
	if connection, err := net.DialTimeout("tcp4", address, time.Second); err == nil {
		_ = connection.Close()
		t.Errorf("%s can be reached from outside", address)
	}
	connection, err := Dial(t.Context(), name, address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_, _ = connection.Write([]byte("ping"))
	answer := make([]byte, 4)
	if _, err := io.ReadFull(connection, answer); err != nil || string(answer) != "ping" {
		t.Errorf("answer %q, %v", answer, err)
	}
}

func TestDialFailsWithTheReason(t *testing.T) {
	name := namespace(t)
	// The namespace has no route, not even to itself.
	if _, err := Dial(t.Context(), name, "10.1.2.3:80"); err == nil {
		t.Error("no error")
	}
	if _, err := Dial(t.Context(), "no-such-namespace", "10.1.2.3:80"); err == nil {
		t.Error("no error without a namespace")
	}
	if _, err := Dial(t.Context(), name, "10.1.2.3:http:x"); err == nil {
		t.Error("no error for a bad address")
	}
}

func TestThreadComesHome(t *testing.T) {
	name := namespace(t)
	home := InodeOf(os.Getpid())
	var inside uint64
	if err := Do(name, func() error {
		inside = inode(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if inside != Inode(name) || inside == home {
		t.Errorf("inside %d, namespace %d, home %d", inside, Inode(name), home)
	}
	if err := Create(t.Context(), name); err != nil {
		t.Errorf("Create of what is there: %v", err)
	}
	if InodeOf(os.Getpid()) != home {
		t.Error("the process is in another namespace now")
	}
}

func TestNameLeftByACrashIsReplaced(t *testing.T) {
	name := namespace(t)
	if err := Delete(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(Path(name), nil, 0o600); err != nil { // as between `ip`'s two steps
		t.Fatal(err)
	}
	if Exists(name) {
		t.Error("a plain file counts as a namespace")
	}
	if err := Create(t.Context(), name); err != nil || !Exists(name) {
		t.Errorf("Create: %v, exists %v", err, Exists(name))
	}
}
