//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// fate is what becomes of evictions in a namespace.
type fate int

const (
	neverSent     fate = iota + 1 // the API server does not get the request
	neverAnswered                 // it does, and the client gets no answer
)

// gate is a way to the API server that loses evictions. Everything else passes, under the name of the controller's service
// account, so that its real RBAC holds.
type gate struct {
	kubeconfig string
	fates      map[string]fate
	forward    http.Handler
	closed     chan struct{}
	once       sync.Once

	mu   sync.Mutex
	seen map[string]bool
}

func openGate(t *testing.T, fates map[string]fate) *gate {
	t.Helper()
	account := rest.CopyConfig(env.rest)
	account.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:" + system + ":" + controller, Groups: []string{
		"system:serviceaccounts", "system:serviceaccounts:" + system, "system:authenticated",
	}}
	transport, err := rest.TransportFor(account)
	if err != nil {
		t.Fatal(err)
	}
	server, err := url.Parse(env.rest.Host)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{fates: fates, closed: make(chan struct{}), seen: map[string]bool{}}
	g.forward = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(server) }, Transport: transport, FlushInterval: -1,
	}
	listener := httptest.NewServer(g)
	t.Cleanup(func() {
		g.close()
		listener.CloseClientConnections()
		listener.Close()
	})
	g.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: gate, cluster: {server: %q}}]
contexts: [{name: gate, context: {cluster: gate}}]
current-context: gate
`, listener.URL)
	if err := os.WriteFile(g.kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return g
}

// ServeHTTP forwards a request, unless it is an eviction that is to be lost.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	namespace := ""
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/eviction") {
		_, rest, _ := strings.Cut(r.URL.Path, "/namespaces/")
		namespace, _, _ = strings.Cut(rest, "/")
	}
	switch g.fates[namespace] {
	case neverSent:
	case neverAnswered:
		g.forward.ServeHTTP(httptest.NewRecorder(), r)
	default:
		g.forward.ServeHTTP(w, r)
		return
	}
	g.mu.Lock()
	g.seen[namespace] = true
	g.mu.Unlock()
	select {
	case <-r.Context().Done():
	case <-g.closed:
	}
	panic(http.ErrAbortHandler)
}

// awaitEviction waits until an eviction in the namespace was lost.
func (g *gate) awaitEviction(t *testing.T, namespace string) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for time.Now().Before(deadline) {
		g.mu.Lock()
		seen := g.seen[namespace]
		g.mu.Unlock()
		if seen {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("nothing was evicted in %s", namespace)
}

// close drops the requests that hang; there will be no more.
func (g *gate) close() { g.once.Do(func() { close(g.closed) }) }
