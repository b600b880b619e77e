package demoapp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/demoapp/internal/leak"
)

func TestMain(m *testing.M) {
	// As a child of /child-leak this test binary does what the demoapp command does.
	if os.Getenv("DEMOAPP_TEST_CHILD") == "1" {
		ServeChild(context.Background(), os.Stdin, os.Stdout, "", 1000, 4, 0)
		return
	}
	goleak.VerifyTestMain(m)
}

// output is a writer whose content can be read while it is written.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// lines returns the log lines with the message, and fails the test if a line is not what every line must be.
func (o *output) lines(t *testing.T, msg string) []map[string]any {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	var found []map[string]any
	for line := range strings.Lines(o.text.String()) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		if record["time"] == nil || record["level"] == nil || record["msg"] == nil {
			t.Fatalf("log line %q lacks time, level or msg", line)
		}
		if record["msg"] == msg {
			found = append(found, record)
		}
	}
	return found
}

// instance is a running app.
type instance struct {
	t    *testing.T
	url  string
	log  *output
	stop context.CancelFunc
	done chan error
}

func testOptions() Options {
	opts := DefaultOptions()
	opts.Addr, opts.Port, opts.Hostname, opts.Drain = "127.0.0.1", 0, "web-0", 0
	return opts
}

func start(t *testing.T, opts Options) *instance {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	app := &instance{t: t, log: &output{}, stop: stop, done: make(chan error, 1)}
	opts.Log = app.log
	listening := make(chan net.Addr, 1)
	opts.OnListen = func(addr net.Addr) { listening <- addr }
	go func() { app.done <- Run(ctx, opts) }()
	t.Cleanup(func() { _ = app.end() })
	select {
	case addr := <-listening:
		app.url = "http://" + addr.String()
	case err := <-app.done:
		t.Fatalf("the app ended at its start: %v", err)
	}
	return app
}

// end stops the app and returns what Run returned, each time it is called.
func (app *instance) end() error {
	app.stop()
	err := <-app.done
	app.done <- err
	return err
}

// get returns status, headers and body.
func (app *instance) get(path string, header ...string) (int, http.Header, string) {
	app.t.Helper()
	return app.do(http.MethodGet, path, header...)
}

func (app *instance) do(method, path string, header ...string) (int, http.Header, string) {
	app.t.Helper()
	request, err := http.NewRequestWithContext(app.t.Context(), method, app.url+path, nil)
	if err != nil {
		app.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		app.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		app.t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(body)
}

// want gets a path and fails the test unless status and a part of the body are as expected.
func (app *instance) want(status int, part, path string, header ...string) string {
	app.t.Helper()
	got, _, body := app.get(path, header...)
	if got != status || !strings.Contains(body, part) {
		app.t.Errorf("GET %s answers %d %q, want %d with %q", path, got, body, status, part)
	}
	return body
}

// eventually waits for something that another goroutine brings about.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to be that %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestReadinessGoesOffWhileRequestsFinish(t *testing.T) {
	t.Parallel()
	opts := testOptions()
	opts.Drain = 2 * time.Second
	app := start(t, opts)
	app.want(200, "ok", "/readyz")
	slow := make(chan int, 1)
	go func() {
		status, _, _ := app.get("/slow?ms=2500")
		slow <- status
	}()
	eventually(t, "the slow request is in flight", func() bool {
		_, _, page := app.get("/metrics")
		return strings.Contains(page, "demoapp_http_requests_in_flight 2\n")
	})
	app.stop()
	eventually(t, "the app drains", func() bool { return len(app.log.lines(t, "draining: not ready any more, still serving")) == 1 })
	app.want(503, "draining", "/readyz")
	app.want(200, "ok", "/healthz")
	// A client that would reuse its connection is told to open the next one elsewhere.
	client := http.Client{Transport: &http.Transport{}}
	response, err := client.Get(app.url + "/hostname")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK || !response.Close {
		t.Errorf("a draining app answers %d and closes %t, want 200 and true", response.StatusCode, response.Close)
	}
	if err := app.end(); err != nil {
		t.Errorf("the drain ended with %v", err)
	}
	if status := <-slow; status != 200 {
		t.Errorf("the request in flight got %d, want 200", status)
	}
	if len(app.log.lines(t, "stopped: every request was answered")) != 1 {
		t.Error("the end of the drain was not logged")
	}
}

func TestRequestsThatTakeTooLongAreCutOffAndTold(t *testing.T) {
	opts := testOptions()
	opts.ShutdownTimeout = time.Millisecond
	app := start(t, opts)
	cut := make(chan error, 1)
	go func() {
		response, err := http.Get(app.url + "/slow?ms=60000")
		if err == nil {
			err = response.Body.Close()
		}
		cut <- err
	}()
	eventually(t, "the slow request is in flight", func() bool {
		_, _, page := app.get("/metrics")
		return strings.Contains(page, "demoapp_http_requests_in_flight 2\n")
	})
	var exit *ExitError
	if err := app.end(); !errors.As(err, &exit) || exit.Code != 1 {
		t.Errorf("the app ended with %v, want exit code 1", err)
	}
	if err := <-cut; err == nil {
		t.Error("the request in flight was answered")
	}
	if lines := app.log.lines(t, "stopped: requests in flight were cut off"); len(lines) != 1 || lines[0]["in_flight"] != 1.0 {
		t.Errorf("log says %v, want one request cut off", lines)
	}
}

func TestCrashAnswersLogsAndExits(t *testing.T) {
	app := start(t, testOptions())
	status, header, body := app.get("/crash?code=42", "X-Request-Id", "because-1")
	// A stated length is what makes the answer complete before the process is gone.
	if status != 200 || !strings.Contains(body, `"exit_code":42`) || header.Get("Content-Length") != strconv.Itoa(len(body)) {
		t.Errorf("the crash was answered with %d %v %q, want 200, the exit code and the length", status, header, body)
	}
	err := <-app.done
	app.done <- err
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Code != 42 {
		t.Errorf("the app ended with %v, want exit code 42", err)
	}
	lines := app.log.lines(t, "crashing: told to by /crash")
	if len(lines) != 1 || lines[0]["exit_code"] != 42.0 || lines[0]["correlation_id"] != "because-1" || lines[0]["level"] != "ERROR" {
		t.Errorf("log says %v, want why it crashed and for whom", lines)
	}
}

func TestStartFaults(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for _, c := range []struct {
		name   string
		change func(*Options)
		code   int
		msg    string
	}{
		{"fail", func(o *Options) { o.FailOnStart = 3 }, 3, "cannot start: told to fail on start"},
		{"file", func(o *Options) { o.RequireFile = missing }, 1, "cannot start: required file is missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts, log := testOptions(), &output{}
			opts.Log = log
			c.change(&opts)
			var exit *ExitError
			if err := Run(t.Context(), opts); !errors.As(err, &exit) || exit.Code != c.code {
				t.Errorf("error is %v, want exit code %d", err, c.code)
			}
			if lines := log.lines(t, c.msg); len(lines) != 1 || lines[0]["level"] != "ERROR" {
				t.Errorf("log has %v, want the reason once", lines)
			}
		})
	}
	present := filepath.Join(t.TempDir(), "present")
	if err := os.WriteFile(present, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	opts := testOptions()
	opts.RequireFile = present
	start(t, opts).want(200, "ok", "/readyz")
}

func TestStartDelay(t *testing.T) {
	opts := testOptions()
	opts.StartDelay = 300 * time.Millisecond
	app := start(t, opts)
	app.want(503, "starting", "/readyz")
	app.want(200, "ok", "/healthz")
	eventually(t, "the app is ready", func() bool {
		status, _, _ := app.get("/readyz")
		return status == 200
	})
}

func TestLeakOnStart(t *testing.T) {
	opts := testOptions()
	opts.LeakOnStart = 20
	app := start(t, opts)
	eventually(t, "memory leaks", func() bool {
		_, _, page := app.get("/metrics")
		return !strings.Contains(page, "demoapp_leaked_bytes 0\n")
	})
	if len(app.log.lines(t, "memory leak started")) != 1 {
		t.Error("the leak is not in the log")
	}
}

func TestPeakOnStartIsGivenBack(t *testing.T) {
	opts := testOptions()
	opts.PeakOnStart = 16
	app := start(t, opts)
	lines := app.log.lines(t, "starting")
	if len(lines) < 2 || lines[len(lines)-1]["taken_mib"] != 16.0 {
		t.Errorf("the log says %v, want the way up to 16 MiB", lines)
	}
	before, known := leak.Resident()
	app.want(200, "ok", "/readyz")
	if during, ok := lines[len(lines)-1]["resident_mib"].(float64); known && ok && leak.InMiB(before) > during-10 {
		t.Errorf("%.0f MiB are resident after the start, %.0f were at its peak: nothing was given back", leak.InMiB(before), during)
	}
}

func TestOptionsNameWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		want   string
		change func(*Options)
	}{
		{"port is 65536; allowed: 0 to 65535", func(o *Options) { o.Port = 65536 }},
		{"drain is -1s; allowed: 0s to 10m", func(o *Options) { o.Drain = -time.Second }},
		{"shutdown-timeout is 11m0s; allowed: 0s to 10m", func(o *Options) { o.ShutdownTimeout = 11 * time.Minute }},
		{"log-requests is loud; allowed: errors, all or none", func(o *Options) { o.LogRequests = "loud" }},
		{"fail-on-start is 256; allowed: an exit code from 0", func(o *Options) { o.FailOnStart = 256 }},
		{"leak-on-start is 1025; allowed: 0", func(o *Options) { o.LeakOnStart = 1025 }},
		{"peak-on-start is 65537; allowed: 0", func(o *Options) { o.PeakOnStart = 65537 }},
		{"start-delay is 2h0m0s; allowed: 0s to 1h", func(o *Options) { o.StartDelay = 2 * time.Hour }},
		{"hostname is", func(o *Options) { o.Hostname = strings.Repeat("a", 254) }},
		{"log is nil", func(o *Options) { o.Log = nil }},
	} {
		opts := testOptions()
		c.change(&opts)
		if err := Run(t.Context(), opts); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error is %v, want one with %q", err, c.want)
		}
	}
}

func TestPortInUse(t *testing.T) {
	var config net.ListenConfig
	taken, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	opts := testOptions()
	opts.Port = taken.Addr().(*net.TCPAddr).Port
	if err := Run(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "listen on port") {
		t.Errorf("error is %v, want one about the port", err)
	}
}
