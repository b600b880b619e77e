// Package lokitest runs a real Loki for tests: the one of hack/loki/go.mod, which hack/loki.sh builds once; and beside it what
// else a test needs on loopback.
//
// It is for tests only. LOKI=required fails them where the program is not there, LOKI=off leaves them out.
package lokitest

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// Binary returns the path of the program; without it the test is skipped, or fails. root is the folder of the repository.
func Binary(t *testing.T, root string) string {
	t.Helper()
	mode := os.Getenv("LOKI")
	if mode == "off" {
		t.Skip("LOKI=off")
	}
	mod, err := os.ReadFile(filepath.Join(root, "hack/loki/go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`github\.com/grafana/loki/v3 (v\S+)`).FindSubmatch(mod)
	cache, err := os.UserCacheDir()
	if err != nil || version == nil {
		t.Fatalf("cache folder: %v, version %q", err, version)
	}
	path := filepath.Join(cache, "homeostat", "loki", string(version[1]), "loki")
	if _, err := os.Stat(path); err != nil {
		if mode == "required" {
			t.Fatalf("LOKI=required, and there is no Loki: run hack/loki.sh (%v)", err)
		}
		t.Skipf("NOT TESTED AGAINST A REAL LOKI: there is none at %s; hack/loki.sh builds it", path)
	}
	return path
}

// Start runs a Loki on loopback until the test ends, and returns its address; with tenants it wants a tenant with each request.
func Start(t *testing.T, root string, tenants bool) (url string) {
	t.Helper()
	path, dir, port := Binary(t, root), t.TempDir(), FreePort(t)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), path, "-config.file="+filepath.Join(root, "hack/loki/loki.yaml"), "-config.expand-env=true")
	cmd.Env = append(os.Environ(), "LOKI_DIR="+dir, "LOKI_AUTH="+strconv.FormatBool(tenants), "LOKI_HTTP_PORT="+port, "LOKI_GRPC_PORT="+FreePort(t))
	url = "http://127.0.0.1:" + port
	Run(t, cmd, url+"/ready")
	return url
}

// Run starts a program and waits until the page, an address, answers 200. The program is killed when the test ends, before the folders that the
// test made earlier are removed; where the test failed, the end of what it wrote is in the test's log.
func Run(t *testing.T, cmd *exec.Cmd, page string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(cmd.Path)
	said := func() string {
		text, err := os.ReadFile(log.Name())
		if err != nil {
			return err.Error()
		}
		return string(text[max(0, len(text)-mostSaid):])
	}
	cmd.Stdout, cmd.Stderr = log, log
	endWithParent(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // its data go with the folder
		<-ended                //nolint:errcheck // it was killed
		if t.Failed() {
			t.Logf("%s says:\n%s", name, said())
		}
		_ = log.Close()
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, page, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for range 1200 {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ended: %v", name, err)
		case <-time.After(50 * time.Millisecond):
		}
		if res, err := Client().Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
	}
	t.Fatalf("%s is not ready after a minute", name)
}

// mostSaid is how much of what a program wrote is shown, in bytes.
const mostSaid = 16 << 10

// Client keeps no connection that would outlive the test.
func Client() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
}

// FreePort returns a port of loopback that nobody listens on.
func FreePort(t *testing.T) string {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // it was only asked for a port
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
