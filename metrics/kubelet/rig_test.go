package kubelet

import (
	"encoding/pem"
	"fmt"
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

	"github.com/homeostat/homeostat/metrics"
)

func defaultClient() *http.Client { return &http.Client{} }

// recorder is a sink and an observer that keeps what it is told.
type recorder struct {
	mu      sync.Mutex
	samples map[metrics.Key]metrics.Sample
	ooms    map[metrics.Key]float64
	// resident and throttled are the newest that were told, with their times.
	resident, throttled map[metrics.Key]told
	scraped             map[string][]error
	// pressures are all that were told, in order.
	pressures []podPressure
	done      map[string]int // samples of the last scrape
	told      chan string    // optional: the node of each scrape
}

func newRecorder() *recorder {
	return &recorder{
		resident: map[metrics.Key]told{}, throttled: map[metrics.Key]told{},
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

// told is a reading as the sink was told of it.
type told struct {
	instance string
	at       time.Time
	values   [2]float64
}

func (r *recorder) AddResident(k metrics.Key, instance string, at time.Time, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resident[k] = told{instance, at, [2]float64{float64(bytes)}}
}

func (r *recorder) AddThrottling(k metrics.Key, instance string, at time.Time, periods, throttled float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.throttled[k] = told{instance, at, [2]float64{periods, throttled}}
}

func (r *recorder) AddPressure(namespace, pod string, at time.Time, percent float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pressures = append(r.pressures, podPressure{namespace, pod, at, percent})
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

func (r *recorder) last(node string) (times int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.scraped[node]
	if len(all) == 0 {
		return 0, nil
	}
	return len(all), all[len(all)-1]
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
		text(w, familyOOM+`{container="app",id="/a",namespace="shop",pod="cart-1"} 2`+"\n"+
			familyResident+`{container="app",id="/a",namespace="shop",pod="cart-1"} 4096 1772366400456`+"\n"+
			familyPeriods+`{container="app",id="/a",namespace="shop",pod="cart-1"} 100 1772366400456`+"\n"+
			familyThrottled+`{container="app",id="/a",namespace="shop",pod="cart-1"} 25 1772366400456`+"\n")
		return
	}
	text(w, page)
}

// serveTLS starts a server that does not log the handshakes that clients refuse.
func serveTLS(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
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
	r.config.Pressure = false // its own tests switch it on
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
		_, err := r.rec.last(r.node.Name)
		return err
	}
}
