package balancer_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/platform/local/balancer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T) (*balancer.Balancer, string) {
	t.Helper()
	b := balancer.New("web", slog.New(slog.DiscardHandler))
	addr, err := b.Start(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		b.Stop(context.Background())
	})
	return b, "http://" + addr
}

// replica serves its name, or what serve does.
func replica(t *testing.T, name string, serve http.HandlerFunc) string {
	t.Helper()
	if serve == nil {
		serve = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }
	}
	s := httptest.NewServer(serve)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// closed is an address that refuses connections.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func send(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, in)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(out)
}

func TestRequestsGoRound(t *testing.T) {
	b, url := start(t)
	got := map[string]int{}
	for _, name := range []string{"a", "b", "c"} {
		b.Add(name, replica(t, name, nil))
	}
	for range 30 {
		_, body := send(t, http.MethodGet, url, "")
		got[body]++
	}
	if diff := cmp.Diff(map[string]int{"a": 10, "b": 10, "c": 10}, got); diff != "" {
		t.Error(diff)
	}
	b.Remove("b")
	got = map[string]int{}
	for range 10 {
		_, body := send(t, http.MethodGet, url, "")
		got[body]++
	}
	if diff := cmp.Diff(map[string]int{"a": 5, "c": 5}, got); diff != "" {
		t.Error(diff)
	}
}

func TestNoReplicaIsSaid(t *testing.T) {
	b, url := start(t)
	status, body := send(t, http.MethodGet, url, "")
	if status != http.StatusServiceUnavailable || body != "service web: no replica is ready\n" {
		t.Errorf("%d %q", status, body)
	}
	if diff := cmp.Diff(balancer.Counts{Requests: 1, Unavailable: 1}, b.Counts()); diff != "" {
		t.Error(diff)
	}
}

func TestConnectErrors(t *testing.T) {
	tests := []struct {
		name, method, body string
		status             int
	}{
		{"a GET goes to another replica", http.MethodGet, "", 200},
		{"a DELETE goes to another replica", http.MethodDelete, "", 200},
		{"a POST fails", http.MethodPost, "", 502},
		{"a PUT with a body fails", http.MethodPut, "x", 502},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, url := start(t)
			b.Add("alive", replica(t, "alive", nil))
			b.Add("dead", closed(t)) // the first request goes to the second replica
			if status, body := send(t, tt.method, url, tt.body); status != tt.status {
				t.Errorf("%d %q, want %d", status, body, tt.status)
			}
		})
	}
}

func TestAllDead(t *testing.T) {
	b, url := start(t)
	b.Add("a", closed(t))
	b.Add("b", closed(t))
	if status, body := send(t, http.MethodGet, url, ""); status != http.StatusBadGateway || !strings.Contains(body, "replica") {
		t.Errorf("%d %q", status, body)
	}
}

// A request that kills its replica must not be handed on to the next one, whether its connection was fresh or kept alive.
func TestDeadlyRequestKillsOne(t *testing.T) {
	b, url := start(t)
	var killed atomic.Int32
	for _, name := range []string{"a", "b", "c"} {
		var server *httptest.Server
		server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/crash" {
				return
			}
			killed.Add(1)
			_ = server.Listener.Close() // the process is gone: nobody listens, and the connection breaks
			panic(http.ErrAbortHandler)
		}))
		t.Cleanup(server.Close)
		b.Add(name, server.Listener.Addr().String())
	}
	for range 6 {
		send(t, http.MethodGet, url, "") // now every replica has a connection that is kept alive
	}
	status, _ := send(t, http.MethodGet, url+"/crash", "")
	if n := killed.Load(); status != http.StatusBadGateway || n != 1 {
		t.Errorf("status %d, %d replicas killed; want 502 and 1", status, n)
	}
}

func TestDrainWaitsForWhatIsUnderWay(t *testing.T) {
	b, url := start(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	b.Add("slow", replica(t, "slow", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush() // the header is out; the body is still to come
		close(entered)
		<-leave
		_, _ = io.WriteString(w, "done")
	}))
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, body := send(t, http.MethodGet, url, ""); body != "done" {
			t.Errorf("body %q", body)
		}
	})
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := b.Drain(ctx, "slow"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("drained while a request is under way: %v", err)
	}
	if status, _ := send(t, http.MethodGet, url, ""); status != http.StatusServiceUnavailable {
		t.Errorf("a drained replica got a request: %d", status)
	}
	close(leave)
	if err := b.Drain(t.Context(), "slow"); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// A replica that starts again has another address: requests go to the new one only.
func TestAddReplacesTheAddress(t *testing.T) {
	b, url := start(t)
	b.Add("a", replica(t, "old", nil))
	b.Add("a", replica(t, "new", nil))
	for range 4 {
		if _, body := send(t, http.MethodGet, url, ""); body != "new" {
			t.Errorf("answer of %q", body)
		}
	}
}

func TestListenErrorNamesTheService(t *testing.T) {
	_, url := start(t)
	second := balancer.New("web", slog.New(slog.DiscardHandler))
	_, err := second.Start(t.Context(), strings.TrimPrefix(url, "http://"))
	if err == nil || !strings.Contains(err.Error(), "listen for service web") {
		t.Errorf("error %v", err)
	}
	second.Stop(t.Context())
}
