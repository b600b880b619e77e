package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/internal/config"
	"github.com/homeostat/homeostat/platform/local/localtest"
)

func TestMain(m *testing.M) {
	localtest.Main()
	goleak.VerifyTestMain(m)
}

// start runs an App on real processes and returns its address and a function that ends it and returns its error.
func start(t *testing.T, journal string, change func(*config.Config)) (addr string, stop func() error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "web.yaml")
	documents := fmt.Sprintf(`apiVersion: local.homeostat.dev/v1alpha1
kind: Service
metadata: {name: web, labels: {app: web}}
spec:
  command: [%q]
  env: [{name: %s, value: %s}]
  replicas: 1
  readinessProbe: {path: /readyz, period: 100ms}
  resources: {requests: {cpu: 100m}}
  terminationGracePeriod: 5s
---
apiVersion: homeostat.dev/v1alpha1
kind: Autoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {kind: Service, name: web}
  minReplicas: 2
  maxReplicas: 4
`, self, localtest.Env, localtest.Serve)
	if err := os.WriteFile(file, []byte(documents), 0o600); err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	c.Platform, c.Listen = config.Local, "127.0.0.1:0"
	c.LocalPlatform = config.LocalPlatform{File: file, StateDir: filepath.Join(dir, "state")}
	c.Journal.Path = journal
	if change != nil {
		change(&c)
	}
	a, err := New(t.Context(), Options{Config: c, Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	return "http://" + a.Addr(), func() error { cancel(); return <-ended }
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// within asks until the answer contains want.
func within(t *testing.T, url, want string) {
	t.Helper()
	last := ""
	for range 200 {
		if _, last = get(t, url); strings.Contains(last, want) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s does not say %q; it says:\n%s", url, want, last)
}

func TestTwoAppsRunSideBySideAndScaleRealProcesses(t *testing.T) {
	t.Parallel()
	journal := filepath.Join(t.TempDir(), "journal.jsonl")
	one, stopOne := start(t, journal, nil)
	two, stopTwo := start(t, "", nil)
	for _, addr := range []string{one, two} {
		within(t, addr+"/readyz", "ok")
		// One replica is below the minimum of two: the first decision of all raises it.
		within(t, addr+"/metrics", `homeostat_autoscaler_decisions_total{kind="Autoscaler",name="web",namespace="local",reason="TooFewReplicas"} 1`)
		within(t, addr+"/metrics", `homeostat_autoscaler_current_replicas{kind="Autoscaler",name="web",namespace="local"} 2`)
		if code, body := get(t, addr+"/healthz"); code != http.StatusOK {
			t.Errorf("healthz says %d %s", code, body)
		}
		within(t, addr+"/decisions", `"name": "web"`)
		within(t, addr+"/decisions/local/autoscaler/web", `"reason": "TooFewReplicas"`)
		if _, body := get(t, addr+"/version"); body != "v1\n" {
			t.Errorf("version says %q", body)
		}
	}
	if err := stopOne(); err != nil {
		t.Errorf("first app ended with %v", err)
	}
	if code, _ := get(t, two+"/healthz"); code != http.StatusOK {
		t.Error("the second app ended with the first")
	}
	if err := stopTwo(); err != nil {
		t.Errorf("second app ended with %v", err)
	}
	lines, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(lines), `"reason":"TooFewReplicas"`) {
		t.Errorf("the journal does not tell of the change:\n%s", lines)
	}
}

func TestErrorsOfTheStartNameWhatIsWrong(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*config.Config)
		want   string
	}{
		{"file of the local platform", func(c *config.Config) { c.Platform, c.LocalPlatform.File = config.Local, "no-such.yaml" }, "no-such.yaml"},
		{"journal", func(c *config.Config) { c.Journal.Path = "no/such/folder/journal" }, "journal.path"},
		{"no cluster", func(*config.Config) {}, "KUBECONFIG"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := config.Default()
			tt.change(&c)
			if _, err := New(t.Context(), Options{Config: c}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v does not say %q", err, tt.want)
			}
		})
	}
}

func TestALoopThatDoesNotTurnIsNotHealthy(t *testing.T) {
	t.Parallel()
	c := config.Default()
	a := &App{leading: &lease{}, alive: func(time.Time) error { return nil }, opts: Options{Config: c}}
	a.telemetry = newTelemetry(t)
	now := time.Now()
	if err := a.healthy(now); err != nil {
		t.Errorf("a standby is not healthy: %v", err)
	}
	a.leading.begin(now)
	if err := a.healthy(now.Add(turnWithin)); err != nil {
		t.Errorf("a loop may take %s for its first turn: %v", turnWithin, err)
	}
	if err := a.healthy(now.Add(turnWithin + time.Second)); err == nil || !strings.Contains(err.Error(), "scaling") {
		t.Errorf("error %v does not name the scaling loop", err)
	}
}

func TestAStandbyNamesTheLeaderInsteadOfDecisions(t *testing.T) {
	t.Parallel()
	a := &App{leading: &lease{}, log: slog.New(slog.DiscardHandler), registry: prometheus.NewRegistry(), opts: Options{Config: config.Default()}}
	a.opts.Config.Listen, a.telemetry = "127.0.0.1:0", newTelemetry(t)
	h, err := a.listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.serve(ctx) }()
	url := "http://" + h.listener.Addr().String() + "/decisions"
	if code, body := get(t, url); code != http.StatusServiceUnavailable || !strings.Contains(body, "not known") {
		t.Errorf("says %d %s", code, body)
	}
	a.leading.led("homeostat-7f-abc")
	if code, body := get(t, url+"/demo/hpa/web"); code != http.StatusServiceUnavailable || !strings.Contains(body, "homeostat-7f-abc") {
		t.Errorf("says %d %s", code, body)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A controller that was killed in the middle of a line leaves a torn one; the next one's lines do not go behind it.
func TestTheJournalGoesOnBehindATornLine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	for _, step := range []struct{ before, want string }{{"", "x"}, {"{}\n", "{}\nx"}, {`{"torn`, "{\"torn\nx"}} {
		if err := os.WriteFile(path, []byte(step.before), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := openJournal(path, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(out, "x"); err != nil {
			t.Fatal(err)
		}
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != step.want {
			t.Errorf("after %q the file has %q (%v), want %q", step.before, got, err, step.want)
		}
	}
}
