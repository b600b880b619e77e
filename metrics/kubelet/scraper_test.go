package kubelet

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func defaultClient() *http.Client { return &http.Client{} }

// recorder is a sink and an observer that keeps what it is told.
type recorder struct {
	mu      sync.Mutex
	samples map[metrics.Key]metrics.Sample
	ooms    map[metrics.Key]float64
	scraped map[string][]error
	done    map[string]int // samples of the last scrape
	told    chan string    // optional: the node of each scrape
}

func newRecorder() *recorder {
	return &recorder{
		samples: map[metrics.Key]metrics.Sample{}, ooms: map[metrics.Key]float64{}, scraped: map[string][]error{}, done: map[string]int{},
	}
}

func (r *recorder) Add(k metrics.Key, _ string, s metrics.Sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.samples[k] = s
}

func (r *recorder) AddOOMEvents(k metrics.Key, _ string, _ time.Time, n float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ooms[k] += n
}

func (r *recorder) NodeScraped(node string, _ time.Time, err error) {
	r.mu.Lock()
	r.scraped[node] = append(r.scraped[node], err)
	r.mu.Unlock()
	if r.told != nil {
		r.told <- node
	}
}

func (r *recorder) ScrapeDone(node string, _ time.Duration, samples int, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done[node] = samples
}

func (r *recorder) has(k metrics.Key) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.samples[k]
	return ok
}

func (r *recorder) last(node string) (err error, times int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.scraped[node]
	if len(all) == 0 {
		return nil, 0
	}
	return all[len(all)-1], len(all)
}

// rig is a kubelet and an API server, both with real TLS, and a scraper of one node.
type rig struct {
	kubelet, api *httptest.Server
	node         Node
	tokenFile    string
	config       Config
	rec          *recorder
	viaAPI       atomic.Int64 // requests that came through the API server
}

const page = `container_cpu_usage_seconds_total{container="app",namespace="shop",pod="cart-1"} 1 1772366400123` + "\n" +
	`container_memory_working_set_bytes{container="app",namespace="shop",pod="cart-1"} 1024 1772366400123` + "\n"

var appKey = metrics.Key{Namespace: "shop", Pod: "cart-1", Container: "app"}

func text(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8; escaping=underscores")
	fmt.Fprint(w, body)
}

func servePage(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, pageCadvisor) {
		text(w, familyOOM+`{container="app",id="/a",namespace="shop",pod="cart-1"} 2`+"\n")
		return
	}
	text(w, page)
}

// serveTLS starts a server that does not log the handshakes that clients refuse.
func serveTLS(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// newRig starts both servers. The API server's node proxy serves what the kubelet's handler serves.
func newRig(t *testing.T, kubelet http.HandlerFunc) *rig {
	t.Helper()
	r := &rig{rec: newRecorder()}
	r.kubelet = serveTLS(t, kubelet)
	r.api = serveTLS(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		path, ok := strings.CutPrefix(req.URL.Path, "/prefix/api/v1/nodes/n1/proxy")
		if !ok {
			http.Error(w, "no such path: "+req.URL.Path, http.StatusNotFound)
			return
		}
		r.viaAPI.Add(1)
		req.URL.Path = path
		servePage(w, req)
	}))
	r.node = nodeAt(t, "n1", r.kubelet)
	dir := t.TempDir()
	r.tokenFile = filepath.Join(dir, "token")
	writeFile(t, r.tokenFile, "token-1\n")
	r.config = DefaultConfig()
	r.config.TokenFile, r.config.CAFile = r.tokenFile, filepath.Join(dir, "ca.crt")
	r.config.Proxy = Proxy{Client: r.api.Client(), BaseURL: r.api.URL + "/prefix/"}
	r.config.Observer = r.rec
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.kubelet.Certificate().Raw})
	writeFile(t, r.config.CAFile, string(cert))
	return r
}

func nodeAt(t *testing.T, name string, s *httptest.Server) Node {
	t.Helper()
	host, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return Node{Name: name, Address: host, Port: n}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) scraper(t *testing.T) *Scraper {
	t.Helper()
	s, err := New(r.config, nodeList(func() []Node { return []Node{r.node} }), r.rec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.close)
	return s
}

// visits returns a function that scrapes the node once and returns the error that the sink was told.
func (r *rig) visits(t *testing.T) func() error {
	t.Helper()
	s := r.scraper(t)
	tg := &target{node: r.node, parser: NewParser()}
	var b buffers
	return func() error {
		tg.scrapes++
		s.visit(t.Context(), tg, &b)
		err, _ := r.rec.last(r.node.Name)
		return err
	}
}

func TestScrapeDirectly(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != "Bearer token-1" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		servePage(w, req)
	})
	if err := r.visits(t)(); err != nil {
		t.Fatal(err)
	}
	s, ok := r.rec.samples[appKey]
	if !ok || s.CPUSeconds != 1 || s.MemoryBytes != 1024 || !s.At.Equal(time.UnixMilli(1772366400123)) {
		t.Errorf("sample is %+v, want that of the page", s)
	}
	if r.rec.done["n1"] != 1 {
		t.Errorf("the observer is told of %d samples, want 1", r.rec.done["n1"])
	}
	if r.rec.ooms[appKey] != 2 {
		t.Errorf("%v OOM kills read, want 2", r.rec.ooms[appKey])
	}
	if n := r.viaAPI.Load(); n != 0 {
		t.Errorf("%d requests went through the API server, want none", n)
	}
}

func TestOOMCountersAreReadEveryOtherScrape(t *testing.T) {
	for _, on := range []bool{true, false} {
		var resource, cadvisor int
		r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Path == pageCadvisor {
				cadvisor++
			} else {
				resource++
			}
			servePage(w, req)
		})
		r.config.OOMEvents = on
		visit := r.visits(t)
		for range 4 {
			if err := visit(); err != nil {
				t.Fatal(err)
			}
		}
		want := 0
		if on {
			want = 2 // 10 s at a period of 5 s
		}
		if resource != 4 || cadvisor != want {
			t.Errorf("OOMEvents %v: %d and %d pages read, want 4 and %d", on, resource, cadvisor, want)
		}
	}
}

func TestUnreadableOOMCountersAreNoFailureOfTheNode(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == pageCadvisor {
			text(w, familyOOM+"{ broken\n")
			return
		}
		servePage(w, req)
	})
	if err := r.visits(t)(); err != nil {
		t.Errorf("error is %v, want none", err)
	}
	if len(r.rec.ooms) != 0 {
		t.Errorf("OOM kills are %v, want none", r.rec.ooms)
	}
}

func TestTokenIsReadAgainAsItRotates(t *testing.T) {
	valid := "token-1"
	r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != "Bearer "+valid {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		servePage(w, req)
	})
	visit := r.visits(t)
	if err := visit(); err != nil {
		t.Fatal(err)
	}
	valid = "token-2"
	writeFile(t, r.tokenFile, valid)
	if err := visit(); err != nil {
		t.Errorf("after the rotation the error is %v", err)
	}
	if n := r.viaAPI.Load(); n != 0 {
		t.Errorf("%d requests went through the API server: the new token was not used", n)
	}
	// A file that is gone for a moment does not matter while the token at hand is good.
	if err := os.Remove(r.tokenFile); err != nil {
		t.Fatal(err)
	}
	if err := visit(); err != nil || r.viaAPI.Load() != 0 {
		t.Errorf("without the file the error is %v, with %d requests through the API server", err, r.viaAPI.Load())
	}
}

func TestTokenIsReadAgainAfterAMinute(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	writeFile(t, path, "one")
	tf := &tokenFile{path: path}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	steps := []struct {
		after time.Duration
		file  string
		want  string
	}{{0, "one", "one"}, {30 * time.Second, "two", "one"}, {61 * time.Second, "two", "two"}, {200 * time.Second, "", "two"}}
	for _, s := range steps {
		writeFile(t, path, s.file)
		if got, err := tf.get(now.Add(s.after)); err != nil || got != s.want {
			t.Errorf("after %v the token is %q with error %v, want %q", s.after, got, err, s.want)
		}
	}
}

func TestFallbackToTheAPIServer(t *testing.T) {
	refused := func(_ *testing.T, r *rig) { r.kubelet.Close() }
	tests := []struct {
		name    string
		prepare func(t *testing.T, r *rig)
		status  int // of the kubelet
		class   Class
	}{
		{name: "refused", prepare: refused, class: ClassRefused},
		{name: "certificate of another CA", class: ClassTLS, prepare: func(t *testing.T, r *rig) {
			t.Helper()
			writeFile(t, r.config.CAFile, string(readFile(t, "other-ca.pem")))
		}},
		{name: "certificate of another address", class: ClassTLS, prepare: func(t *testing.T, r *rig) {
			t.Helper()
			r.node.Address = "localhost" // the same server, but not in its certificate
		}},
		{name: "not accepted", status: http.StatusUnauthorized, class: ClassUnauthorized},
		{name: "not allowed", status: http.StatusForbidden, class: ClassForbidden},
		{name: "redirected", status: http.StatusFound, class: ClassStatus},
		{name: "broken", status: http.StatusInternalServerError, class: ClassStatus},
		{name: "no address", prepare: func(_ *testing.T, r *rig) { r.node.Address = "" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
				asked++
				if tt.status != 0 {
					w.Header().Set("Location", "/elsewhere")
					w.WriteHeader(tt.status)
					return
				}
				servePage(w, req)
			})
			if tt.prepare != nil {
				tt.prepare(t, r)
			}
			r.config.OOMEvents = false
			visit := r.visits(t)
			for range 3 {
				if err := visit(); err != nil {
					t.Fatalf("error is %v, want the proxy's page", err)
				}
			}
			if n := r.viaAPI.Load(); n != 3 || asked > 1 {
				t.Errorf("%d pages came through the API server, want 3; the kubelet was asked %d times, want once", n, asked)
			}
			if _, ok := r.rec.samples[appKey]; !ok {
				t.Error("no sample came through the API server")
			}
			if tt.class == "" {
				return
			}
			r.api.Close() // now both ways fail, and the error has both
			r.rec.scraped = map[string][]error{}
			err := visit()
			if ClassOf(err) != tt.class {
				t.Errorf("class is %q, want %q: %v", ClassOf(err), tt.class, err)
			}
			if err == nil || !strings.HasPrefix(err.Error(), "scrape node n1: proxy: Refused: ") || !strings.Contains(err.Error(), "; direct: "+string(tt.class)) {
				t.Errorf("error is %v, want one that names the node and both ways", err)
			}
		})
	}
}

func TestTheDirectWayIsTriedAgainAfterAWhile(t *testing.T) {
	healthy := false
	asked := 0
	r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
		asked++
		if !healthy {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		servePage(w, req)
	})
	r.config.OOMEvents = false
	s := r.scraper(t)
	tg := &target{node: r.node, parser: NewParser()}
	var b buffers
	visit := func() { s.visit(t.Context(), tg, &b) }
	visit()
	visit()
	if asked != 1 || r.viaAPI.Load() != 2 {
		t.Fatalf("asked the kubelet %d and the API server %d times, want 1 and 2", asked, r.viaAPI.Load())
	}
	if ways := s.ways(tg, time.Now().Add(s.config.PathMemory-time.Second)); ways[0] != PathProxy {
		t.Errorf("the way is forgotten too early: %v", ways)
	}
	if ways := s.ways(tg, time.Now().Add(s.config.PathMemory+time.Second)); ways[0] != PathDirect {
		t.Errorf("the direct way is never tried again: %v", ways)
	}
	healthy, tg.viaProxy = true, time.Now() // the while is over
	visit()
	visit()
	if asked != 3 || r.viaAPI.Load() != 2 {
		t.Errorf("asked the kubelet %d and the API server %d times, want 3 and 2", asked, r.viaAPI.Load())
	}
}

func TestTheLogTellsChangesOnly(t *testing.T) {
	status := http.StatusForbidden
	r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == pageCadvisor || status != http.StatusOK {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		servePage(w, req)
	})
	var out strings.Builder
	r.config.Proxy = Proxy{}
	r.config.Logger = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "error" {
				return slog.Attr{}
			}
			return a
		},
	}))
	visit := r.visits(t)
	for _, status = range []int{403, 403, 200, 200, 200, 403} {
		_ = visit() // what it returns is what the log is checked for
	}
	want := `level=WARN msg="node unreachable" node=n1 class=Forbidden
level=INFO msg="node reachable again" node=n1
level=WARN msg="oom counters unreadable" node=n1 class=Forbidden
level=WARN msg="node unreachable" node=n1 class=Forbidden
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestABadPageIsAnErrorAndNotFetchedTwice(t *testing.T) {
	tests := []struct {
		name  string
		serve http.HandlerFunc
		class Class
		want  string
	}{
		{"not a page", func(w http.ResponseWriter, _ *http.Request) { text(w, page+"!?\n") }, ClassBadPage, "parse page"},
		{"JSON", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, "{}")
		}, ClassBadPage, `content type is "application/json", allowed is text/plain`},
		{"kubelet's own error", func(w http.ResponseWriter, _ *http.Request) {
			text(w, "resource_scrape_error 1\n")
		}, ClassBadPage, "the kubelet reports"},
		{"too large, with its size", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "3000")
			text(w, strings.Repeat("# \n", 1000))
		}, ClassTooLarge, "page is larger than maxBodyBytes, 2048 bytes"},
		{"too large, in pieces", func(w http.ResponseWriter, _ *http.Request) {
			text(w, page)
			_ = http.NewResponseController(w).Flush()
			fmt.Fprint(w, strings.Repeat("# \n", 1000))
		}, ClassTooLarge, "page is larger than maxBodyBytes, 2048 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, tt.serve)
			r.config.MaxBodyBytes = 2048
			err := r.visits(t)()
			if ClassOf(err) != tt.class || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %v of class %q, want %q with %q", err, ClassOf(err), tt.class, tt.want)
			}
			if len(r.rec.samples) != 0 {
				t.Errorf("samples %v of a bad page", r.rec.samples)
			}
			if n := r.viaAPI.Load(); n != 0 {
				t.Errorf("the page is fetched again through the API server")
			}
		})
	}
}

func TestAPageOfExactlyTheLimitIsRead(t *testing.T) {
	full := page + strings.Repeat("#", 2048-len(page)-1) + "\n"
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { text(w, full) })
	r.config.MaxBodyBytes, r.config.OOMEvents = 2048, false
	if err := r.visits(t)(); err != nil || len(r.rec.samples) != 1 {
		t.Errorf("error is %v with %d samples, want the page", err, len(r.rec.samples))
	}
}

func TestOneNodeThatHangsDoesNotStopTheOthers(t *testing.T) {
	release := make(chan struct{})
	r := newRig(t, func(_ http.ResponseWriter, req *http.Request) {
		select {
		case <-release:
		case <-req.Context().Done():
		}
	})
	defer close(release)
	good := serveTLS(t, http.HandlerFunc(servePage))
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: good.Certificate().Raw})
	writeFile(t, r.config.CAFile, string(cert)) // all servers of httptest have the same
	r.config.Proxy = Proxy{}
	r.config.Period, r.config.Timeout = 200*time.Millisecond, 200*time.Millisecond
	r.config.PathMemory, r.config.OOMPeriod = 0, 0
	r.rec.told = make(chan string)
	nodes := []Node{r.node, nodeAt(t, "good-1", good), nodeAt(t, "good-2", good)}
	s, err := New(r.config, nodeList(func() []Node { return nodes }), r.rec)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.Run(ctx)
	}()
	times := map[string]int{}
	for times["n1"] < 2 || times["good-1"] < 3 || times["good-2"] < 3 || !r.rec.has(appKey) {
		select {
		case node := <-r.rec.told:
			times[node]++
		case <-t.Context().Done():
			t.Fatalf("the test ends with scrapes %v", times)
		}
	}
	if err, _ := r.rec.last("n1"); ClassOf(err) != ClassTimeout {
		t.Errorf("the node that hangs has error %v, want class %s", err, ClassTimeout)
	}
	cancel()
	for running := true; running; {
		select {
		case <-r.rec.told: // a scrape that had ended before
		case <-stopped:
			running = false
		}
	}
}

func TestStoppingSaysNothingAboutTheNode(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := newRig(t, func(_ http.ResponseWriter, req *http.Request) {
		cancel()
		<-req.Context().Done()
	})
	r.config.Period, r.config.Timeout = time.Second, 0
	r.config.PathMemory, r.config.OOMPeriod = 0, 0
	s := r.scraper(t)
	s.Run(ctx) // returns although the kubelet hangs
	if err, times := r.rec.last("n1"); times != 0 {
		t.Errorf("the node is told to have failed: %v", err)
	}
}

func TestScrapesFillARealStore(t *testing.T) {
	cpu := 0
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		cpu++
		at := time.Now().Add(time.Duration(cpu-3) * 10 * time.Second).UnixMilli()
		text(w, fmt.Sprintf("%s{container=\"app\",namespace=\"shop\",pod=\"cart-1\"} %d %d\n", familyCPU, cpu*4, at))
	})
	r.config.OOMEvents = false
	store, err := metrics.NewStore(metrics.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(r.config, nil, store)
	if err != nil {
		t.Fatal(err)
	}
	defer s.client.close()
	tg := &target{node: r.node, parser: NewParser()}
	var b buffers
	for range 2 {
		s.visit(t.Context(), tg, &b)
	}
	if u := store.Container(appKey, time.Now()); !u.OK() || u.CPUMilli < 390 || u.CPUMilli > 400 {
		t.Errorf("usage is %+v, want 4 core-seconds in about 10 s", u)
	}
	if n := store.Node("n1"); !n.Reachable {
		t.Errorf("node is %+v, want reachable", n)
	}
}

func TestConfigErrorsNameFieldValueAndRange(t *testing.T) {
	r := newRig(t, servePage)
	empty := filepath.Join(t.TempDir(), "empty")
	writeFile(t, empty, "")
	tests := []struct {
		name   string
		change func(c *Config)
		want   string
	}{
		{"valid", func(*Config) {}, ""},
		{"period", func(c *Config) { c.Period = time.Millisecond }, "kubelet: period is 1ms, allowed is 100ms to 10m0s"},
		{"timeout", func(c *Config) { c.Timeout = 6 * time.Second }, "kubelet: timeout is 6s, allowed is 1ns to 5s"},
		{"workers", func(c *Config) { c.Workers = -1 }, "kubelet: workers is -1, allowed is 1 to 1024"},
		{"size", func(c *Config) { c.MaxBodyBytes = 1 }, "kubelet: maxBodyBytes is 1, allowed is 1024 to 1073741824"},
		{"path memory", func(c *Config) { c.PathMemory = 1 }, "kubelet: pathMemory is 1ns, allowed is 5s to 24h0m0s"},
		{"oom period", func(c *Config) { c.OOMPeriod = 1 }, "kubelet: oomPeriod is 1ns, allowed is 5s to 1h0m0s"},
		{"half", func(c *Config) { c.TokenFile, c.CAFile = "", "ca" }, `kubelet: tokenFile is "" and caFile is "ca", allowed is both or neither`},
		{"no way", func(c *Config) { c.TokenFile, c.CAFile, c.Proxy = "", "", Proxy{} }, "kubelet: no way to the nodes"},
		{"base URL", func(c *Config) { c.Proxy.BaseURL = "10.0.0.1" }, `kubelet: proxy.baseURL is "10.0.0.1", allowed is an http or https URL`},
		{"no CA file", func(c *Config) { c.CAFile = "/nowhere" }, "read caFile: open /nowhere"},
		{"a CA file without a certificate", func(c *Config) { c.CAFile = empty }, "has no PEM certificate"},
		{"no token file", func(c *Config) { c.TokenFile = "/nowhere" }, "read tokenFile: open /nowhere"},
		{"an empty token file", func(c *Config) { c.TokenFile = empty }, "is empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := r.config
			tt.change(&c)
			s, err := New(c, nil, r.rec)
			if err == nil {
				s.client.close()
			}
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error is %v, want %q", err, tt.want)
			}
		})
	}
}
