package promql

import (
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Where there is a Prometheus on this machine, it is asked too.
func TestARealPrometheus(t *testing.T) {
	binary, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("no prometheus in PATH")
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, []byte("global: {scrape_interval: 1m}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	server := exec.Command(binary, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=error")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := client.Get("http://" + address + "/-/ready")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("prometheus is not ready: %v", err)
		}
	}
	c, err := New(Config{Address: "http://" + address})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, tt := range []struct {
		query string
		milli int64
		err   string // its beginning
	}{
		{"1.5", 1500, ""},
		{"vector(0)", 0, ""},
		{"sum(vector(2)) * 3", 6000, ""},
		{"no_such_metric", 0, "the query returns no series"},
		{"sum(no_such_metric) or vector(0)", 0, ""},
		{`label_replace(vector(1), "a", "b", "", "") or vector(2)`, 0, "the query returns 2 series, allowed is one"},
		{"vector(0) / vector(0)", 0, "the query returns NaN, allowed is a number"},
		{"1 / 0", 0, "the query returns +Inf, allowed is a number"},
		{"sum(", 0, "the query (field prometheus.query) is not accepted by Prometheus: "},
		{"up[5m]", 0, "the query returns a matrix, allowed is a scalar or an instant vector"},
		{`"text"`, 0, "the answer of Prometheus cannot be read: "},
	} {
		v, err := c.Query(t.Context(), tt.query)
		switch {
		case tt.err != "":
			if err == nil || !strings.HasPrefix(err.Error(), tt.err) {
				t.Errorf("%s: error is %v, want %q", tt.query, err, tt.err)
			}
			if errors.Is(err, ErrNoSeries) != (tt.query == "no_such_metric") {
				t.Errorf("%s: error is %v: is it ErrNoSeries?", tt.query, err)
			}
		case err != nil || v.Milli != tt.milli || time.Since(v.At).Abs() > time.Minute:
			t.Errorf("%s: %+v, %v, want %d thousandths of now", tt.query, v, err, tt.milli)
		}
	}
}
