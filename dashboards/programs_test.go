package dashboards

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/logs/loki/lokitest"
)

// start runs a program on loopback until the test ends, and waits until its page answers 200.
func start(t *testing.T, ready, name string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = log, log
	endWithParent(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // its data go with the folder
		<-ended
		log.Close()
	})
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		select {
		case err := <-ended:
			ended <- err
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("%s ended: %v\n%s", name, err, text)
		default:
		}
		if res, err := client().Get(ready); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
	}
	text, _ := os.ReadFile(log.Name())
	t.Fatalf("%s is not ready after a minute\n%s", name, text)
}

// startPrometheus runs the Prometheus of the machine, which scrapes the two pages, and returns its address.
func startPrometheus(t *testing.T, target string) string {
	t.Helper()
	mode := os.Getenv("DASHBOARDS")
	if mode == "off" {
		t.Skip("DASHBOARDS=off")
	}
	program, err := exec.LookPath("prometheus")
	switch {
	case err != nil && mode == "required":
		t.Fatal("DASHBOARDS=required, and there is no prometheus (apt-get install prometheus)")
	case err != nil:
		t.Skip("NOT PROVED ON THE REAL PROGRAM: there is no prometheus (apt-get install prometheus)")
	}
	dir, port := t.TempDir(), freePort(t)
	config := fmt.Sprintf(`
global: {scrape_interval: 1s}
scrape_configs:
  - {job_name: homeostat, honor_labels: true, static_configs: [{targets: [%[1]q]}]}
  - {job_name: foreign, honor_labels: true, metrics_path: /foreign, static_configs: [{targets: [%[1]q]}]}
`, target)
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	address := "http://127.0.0.1:" + port
	start(t, address+"/-/ready", program, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "tsdb"),
		"--web.listen-address=127.0.0.1:"+port, "--log.level=warn")
	return address
}

// TestMain has all of the proof require Loki too, where it is required.
func TestMain(m *testing.M) {
	if os.Getenv("DASHBOARDS") == "required" && os.Getenv("LOKI") == "" {
		_ = os.Setenv("LOKI", "required")
	}
	os.Exit(m.Run())
}

// startLoki runs the Loki of hack/loki/go.mod, which hack/loki.sh builds once, and returns its address.
func startLoki(t *testing.T) string {
	t.Helper()
	if os.Getenv("DASHBOARDS") == "off" {
		t.Skip("DASHBOARDS=off")
	}
	return lokitest.Start(t, "..", false)
}

// get asks an API of Prometheus or Loki and decodes data into out. The error has what the server said.
func get(t *testing.T, address string, params url.Values, out any) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"?"+params.Encode(), nil)
	if err != nil {
		return err
	}
	res, err := client().Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", res.Status, body)
	}
	return json.Unmarshal(body, &struct{ Data any }{out})
}

// client keeps no connection that would outlive the test.
func client() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}
