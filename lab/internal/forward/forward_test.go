package forward

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// far listens and answers each connection with handle.
func far(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			handle(connection)
			_ = connection.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return listener.Addr().String()
}

func dialer(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp4", address)
}

// serve starts a forwarder with one route and returns where it listens; stop ends
// it and returns its error.
func serve(t *testing.T, target string, dial Dial) (address string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready := make(chan []net.Addr, 1)
	result := make(chan error, 1)
	go func() {
		result <- Serve(ctx, []Route{{Listen: "127.0.0.1:0", Target: target}}, dial, slog.New(slog.DiscardHandler), func(a []net.Addr) { ready <- a })
	}()
	stop = func() error {
		cancel()
		return <-result
	}
	return (<-ready)[0].String(), stop
}

func TestAnswerComesAfterTheRequestWasClosed(t *testing.T) {
	target := far(t, func(c net.Conn) {
		request, _ := io.ReadAll(c) // until the sender has closed its side
		_, _ = c.Write([]byte("got " + string(request)))
	})
	address, stop := serve(t, target, dialer)
	for range 3 {
		connection, err := net.Dial("tcp4", address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = connection.Write([]byte("hello"))
		if tcp, ok := connection.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
		answer, err := io.ReadAll(connection)
		_ = connection.Close()
		if err != nil || string(answer) != "got hello" {
			t.Errorf("answer %q, %v", answer, err)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestUnreachableTargetClosesTheConnection(t *testing.T) {
	address, stop := serve(t, "10.88.0.1:1", func(context.Context, string) (net.Conn, error) { return nil, errors.New("no route") })
	connection, err := net.Dial("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if text, err := io.ReadAll(connection); len(text) > 0 || err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("read %q, %v", text, err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestEndClosesOpenConnections(t *testing.T) {
	target := far(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	address, stop := serve(t, target, dialer)
	connection, err := net.Dial("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := connection.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open")
	}
}

func TestBusyPortIsAnError(t *testing.T) {
	busy := far(t, func(net.Conn) {})
	err := Serve(t.Context(), []Route{{Listen: "127.0.0.1:0", Target: "127.0.0.1:1"}, {Listen: busy, Target: "127.0.0.1:1"}}, dialer, slog.New(slog.DiscardHandler), nil)
	if err == nil || !strings.Contains(err.Error(), busy) {
		t.Errorf("Serve = %v, want an error that names %s", err, busy)
	}
}

func TestParseRoute(t *testing.T) {
	const text = "127.0.0.1:8080=10.88.0.1:30080"
	route, err := ParseRoute(text)
	if err != nil || route != (Route{Listen: "127.0.0.1:8080", Target: "10.88.0.1:30080"}) || route.String() != text {
		t.Errorf("ParseRoute = %v, %v", route, err)
	}
	for _, bad := range []string{"", "127.0.0.1:1", "x=y", "127.0.0.1:1=host:2", "127.0.0.1:1=10.0.0.1:99999"} {
		if got, err := ParseRoute(bad); err == nil {
			t.Errorf("ParseRoute(%q) = %v, want an error", bad, got)
		}
	}
}

func FuzzParseRoute(f *testing.F) {
	f.Add("127.0.0.1:8080=10.88.0.1:30080")
	f.Add("[::1]:1=[::1]:2")
	f.Add("=")
	f.Fuzz(func(t *testing.T, text string) {
		route, err := ParseRoute(text)
		if err != nil {
			return
		}
		again, err := ParseRoute(route.String())
		if err != nil || again != route {
			t.Errorf("%q became %v, then %v, %v", text, route, again, err)
		}
	})
}
