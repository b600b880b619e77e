package demoapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/demoapp/internal/leak"
	"github.com/homeostat/homeostat/demoapp/internal/param"
)

func TestHostnameSaysWhoAnswered(t *testing.T) {
	app := start(t, testOptions())
	pid := fmt.Sprintf("pid=%d", os.Getpid())
	port := app.url[strings.LastIndex(app.url, ":")+1:]
	for _, part := range []string{"web-0 ", pid, "port=" + port, "version=dev", "uptime="} {
		app.want(200, part, "/hostname")
	}
	app.want(200, "web-0 pid", "/hostname?format=text", "Accept", "application/json")
	for _, path := range []string{"/hostname?format=json", "/hostname"} {
		body := app.want(200, "{", path, "Accept", "application/json")
		var got map[string]any
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		delete(got, "uptime_seconds")
		want := map[string]any{"hostname": "web-0", "pid": float64(os.Getpid()), "port": got["port"], "version": "dev"}
		if diff := cmp.Diff(want, got); diff != "" || fmt.Sprint(got["port"]) != port {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	_, header, _ := app.get("/hostname", "X-Request-Id", "abc")
	if header.Get(HostnameHeader) != "web-0" || header.Get("X-Request-Id") != "abc" {
		t.Errorf("headers are %v, want the replica and the request's id", header)
	}
	if status, _, body := app.do(http.MethodHead, "/hostname"); status != 200 || body != "" {
		t.Errorf("HEAD answers %d %q", status, body)
	}
	app.want(200, "demoapp dev go", "/version")
	app.want(200, `"version":"dev"`, "/version?format=json")
	app.want(200, "/memory-leak", "/")
}

// Each declared limit is tried from the outside, just beyond its ends, so a new parameter cannot be forgotten.
func TestEveryLimitIsEnforcedAndNamed(t *testing.T) {
	app := start(t, testOptions())
	for _, endpoint := range newApp(testOptions(), nil).routes {
		beyond := map[string]param.Spec{"nosuch=1": {Name: "nosuch"}}
		for _, spec := range endpoint.params {
			switch spec.Kind {
			case param.Integer, param.Number:
				beyond[fmt.Sprintf("%s=%v", spec.Name, spec.Min-1)] = spec
				beyond[fmt.Sprintf("%s=%.0f", spec.Name, spec.Max+1)] = spec
				beyond[spec.Name+"=NaN"] = spec
			case param.Flag, param.Choice:
				beyond[spec.Name+"=maybe"] = spec
			case param.Text:
				beyond[spec.Name+"="+strings.Repeat("x", int(spec.Max)+1)] = spec
			}
		}
		for query, spec := range beyond {
			body := app.want(400, `"error":`, endpoint.path+"?"+query)
			var got refusal
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatalf("%s?%s: %v", endpoint.path, query, err)
			}
			if got.Parameter != spec.Name || got.Value == nil || got.Allowed == "" || spec.Doc != "" && got.Allowed != spec.Allowed() {
				t.Errorf("%s?%s is refused with %s, want the parameter %s, its value and %q", endpoint.path, query, body, spec.Name, spec.Allowed())
			}
		}
	}
	_, _, page := app.get("/metrics")
	for _, idle := range []string{"demoapp_leaked_bytes 0\n", "demoapp_cpu_load_workers 0\n", "demoapp_children 0\n"} {
		if !strings.Contains(page, idle) {
			t.Errorf("a refused request had an effect: /metrics lacks %q", idle)
		}
	}
}

func TestParametersThatContradictEachOther(t *testing.T) {
	app := start(t, testOptions())
	for _, c := range []struct{ path, parameter, value string }{
		{"/cpu-load?percent=50&millicores=100", "percent", "50"},
		{"/cpu-load?workers=2&millicores=2001", "millicores", "2001"},
		{"/cpu-load?ms=5&workers=2", "workers", "2"},
		{"/cpu-load?ms=5&seconds=2", "seconds", "2"},
		{"/cpu-load?stop=1&ms=5", "ms", "5"},
		{"/memory-leak?stop=1&rate=3", "rate", "3"},
		{"/child-leak?stop=1&size=3", "size", "3"},
	} {
		var got refusal
		if err := json.Unmarshal([]byte(app.want(400, "", c.path)), &got); err != nil {
			t.Fatal(err)
		}
		if got.Parameter != c.parameter || got.Value == nil || *got.Value != c.value || got.Allowed == "" {
			t.Errorf("%s is refused with %+v, want parameter %s and value %s", c.path, got, c.parameter, c.value)
		}
	}
}

func TestOtherPathsAndMethods(t *testing.T) {
	app := start(t, testOptions())
	app.want(404, `"error":"no such endpoint`, "/nosuch?x=1")
	for _, c := range []struct{ method, path, allow string }{
		{http.MethodDelete, "/hostname", "GET, HEAD"},
		{http.MethodPost, "/slow", "GET, HEAD"},
		{http.MethodHead, "/crash", "GET, POST"},
		{http.MethodPut, "/memory-leak", "GET, POST"},
	} {
		if status, header, _ := app.do(c.method, c.path); status != 405 || header.Get("Allow") != c.allow {
			t.Errorf("%s %s answers %d and Allow %q, want 405 and %q", c.method, c.path, status, header.Get("Allow"), c.allow)
		}
	}
	if status, _, _ := app.do(http.MethodPost, "/errors?rate=0"); status != 200 {
		t.Errorf("POST to an endpoint with an effect answers %d", status)
	}
}

func TestMemoryLeakAndItsEnd(t *testing.T) {
	app := start(t, testOptions())
	app.want(202, `"rate_mib_per_second":1000,"size_mib":20`, "/memory-leak?rate=1000&size=20", "X-Request-Id", "leak-1")
	eventually(t, "20 MiB are leaked", func() bool {
		_, _, page := app.get("/metrics")
		return strings.Contains(page, fmt.Sprintf("demoapp_leaked_bytes %s\n", "2.097152e+07"))
	})
	eventually(t, "the log says so", func() bool { return len(app.log.lines(t, "leak ended, memory is kept")) == 1 })
	lines := app.log.lines(t, "leaking memory")
	last := lines[len(lines)-1]
	if len(lines) < 2 || last["leaked_mib"] != 20.0 || last["correlation_id"] != "leak-1" || last["level"] != "WARN" {
		t.Errorf("log says %v, want the progress up to 20 MiB", lines)
	}
	app.want(200, `"freed_mib":20`, "/memory-leak?stop=1")
	for range maxLeaks {
		app.want(202, "memory-leak", "/memory-leak?rate=0.1&seconds=3600")
	}
	app.want(429, "memory-leak: 8 of at most 8 are running", "/memory-leak")
	app.want(200, `"count":8`, "/memory-leak?stop=1")
}

func TestMemoryLoadFollowsTheRequestsInFlight(t *testing.T) {
	app := start(t, testOptions())
	app.want(200, `"held_mib":3`, "/memory-load?mb=3&seconds=0")
	before, known := leak.Resident()
	if !known {
		t.Skip("SKIPPED: this system does not tell the resident memory")
	}
	ctx, cancel := context.WithCancel(t.Context())
	var inFlight sync.WaitGroup
	for range 4 {
		inFlight.Go(func() {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, app.url+"/memory-load?mb=20&seconds=600", nil)
			if err != nil {
				t.Error(err)
				return
			}
			if answer, err := http.DefaultClient.Do(request); err == nil {
				t.Errorf("a request of 600 s was answered with %d", answer.StatusCode)
				_ = answer.Body.Close()
			}
		})
	}
	var held int64
	eventually(t, "80 MiB are held", func() bool { held, _ = leak.Resident(); return held-before > 75*leak.MiB })
	cancel()
	inFlight.Wait()
	// A frame of a request that just ended may have kept its memory alive when it was freed, so the system is told again. The race
	// detector takes up to two thirds of what was freed for itself.
	eventually(t, "they are given back", func() bool {
		debug.FreeOSMemory()
		now, _ := leak.Resident()
		return held-now > 20*leak.MiB
	})
}

func TestProfiles(t *testing.T) {
	app := start(t, testOptions())
	app.want(200, "goroutine profile: total", "/debug/pprof/goroutine?debug=1")
	app.want(200, "heap profile:", "/debug/pprof/heap?debug=1")
	if _, header, body := app.get("/debug/pprof/heap"); header.Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(body, "\x1f\x8b") {
		t.Errorf("without debug= it is no profile for the tool: %v %.20q", header, body)
	}
}

func TestCPULoad(t *testing.T) {
	app := start(t, testOptions())
	body := app.want(200, `"load":"ended"`, "/cpu-load?workers=2&millicores=100&seconds=0.8&wait=1")
	var got loadStarted
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if got.Workers != 2 || got.Millicores != 100 || got.CPUSeconds == nil || *got.CPUSeconds < 0.04 {
		t.Errorf("answer is %s, want more than half of 0.08 CPU seconds by 2 workers", body)
	}
	app.want(200, `"cpu_ms":2`, "/cpu-load?ms=20")
	app.want(202, `"workers":3,"millicores":2100`, "/cpu-load?millicores=2100&seconds=0.1")
	eventually(t, "the load is over", func() bool {
		_, _, page := app.get("/metrics")
		return strings.Contains(page, "demoapp_cpu_load_workers 0\n")
	})
	app.want(202, `"millicores":640`, "/cpu-load?workers=64&percent=1&seconds=3600")
	app.want(429, "64 of at most 64 are running", "/cpu-load")
	app.want(200, `"count":1`, "/cpu-load?stop=1")
}

// The test plays the kernel that kills the child at its limit.
func TestChildLeakSurvivesTheDeathOfTheChild(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("DEMOAPP_TEST_CHILD", "1")
	opts := testOptions()
	opts.ChildCommand = []string{self}
	app := start(t, opts)
	var child leakStarted
	if err := json.Unmarshal([]byte(app.want(202, "child-leak", "/child-leak?size=4")), &child); err != nil {
		t.Fatal(err)
	}
	if child.PID == os.Getpid() {
		t.Fatal("the child is this process")
	}
	eventually(t, "the child has leaked", func() bool { return len(app.log.lines(t, "leak ended, memory is kept")) == 1 })
	if err := syscall.Kill(child.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	const msg = "child process was killed, most likely out of memory; serving on"
	eventually(t, "the parent notices", func() bool { return len(app.log.lines(t, msg)) == 1 })
	line := app.log.lines(t, msg)[0]
	if line["child_pid"] != float64(child.PID) || line["exit_code"] != 137.0 || line["signal"] != "killed" {
		t.Errorf("log says %v, want process %d with exit code 137", line, child.PID)
	}
	app.want(200, "web-0", "/hostname")
	app.want(200, "demoapp_children_killed_total 1\n", "/metrics")

	app.want(202, "child-leak", "/child-leak?size=4")
	app.want(200, `"count":1`, "/child-leak?stop=1")
	if len(app.log.lines(t, "child process stopped")) != 1 || len(app.log.lines(t, msg)) != 1 {
		t.Error("a child that was stopped is not told from one that was killed")
	}
	// One more is left to the end of the app, after which no goroutine may be left to wait for it.
	app.want(202, "child-leak", "/child-leak?size=4")
}

func TestChildThatCannotStart(t *testing.T) {
	opts := testOptions()
	opts.ChildCommand = []string{"/no/such/program"}
	start(t, opts).want(500, "start child", "/child-leak")
}

func TestHangingProbes(t *testing.T) {
	app := start(t, testOptions())
	app.want(200, `"probe":"readiness"`, "/hang?probe=readiness&seconds=3600")
	app.want(200, "ok", "/healthz")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, app.url+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err == nil {
		_ = response.Body.Close()
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a hanging probe answered %v, %v", response, err)
	}
	answered := make(chan int, 1)
	go func() {
		status, _, _ := app.get("/readyz")
		answered <- status
	}()
	app.want(200, `"seconds":0`, "/hang?probe=all&seconds=0")
	if status := <-answered; status != 200 {
		t.Errorf("a probe that waited for the end of the hang got %d", status)
	}
	app.want(200, "", "/hang?probe=liveness&seconds=3600")
	go func() {
		status, _, _ := app.get("/healthz")
		answered <- status
	}()
	eventually(t, "the probe hangs", func() bool {
		_, _, page := app.get("/metrics")
		return strings.Contains(page, "demoapp_http_requests_in_flight 2\n")
	})
	if err := app.end(); err != nil {
		t.Errorf("a hanging probe held up the drain: %v", err)
	}
	if status := <-answered; status != 200 {
		t.Errorf("a probe that waited for the drain got %d", status)
	}
}

func TestErrorShareIsExact(t *testing.T) {
	for _, c := range []struct {
		rate string
		want int
	}{{"0", 0}, {"0.1", 10}, {"0.25", 25}, {"1", 100}} {
		app := start(t, testOptions())
		app.want(200, `"rate":`+c.rate, "/errors?rate="+c.rate)
		failed := 0
		for range 100 {
			if status, _, _ := app.get("/hostname"); status == 500 {
				failed++
			}
		}
		if failed != c.want {
			t.Errorf("rate %s failed %d of 100 requests, want %d", c.rate, failed, c.want)
		}
		if lines := app.log.lines(t, "request answered"); len(lines) != c.want {
			t.Errorf("rate %s: %d failures are logged, want %d", c.rate, len(lines), c.want)
		}
	}
}

func TestLogLines(t *testing.T) {
	app := start(t, testOptions())
	app.want(200, `"lines":3`, "/log?lines=3&level=debug&text=hello%0Aworld", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	lines := app.log.lines(t, "hello\nworld")
	if len(lines) != 3 || lines[2]["level"] != "DEBUG" || lines[2]["line"] != 3.0 || lines[2]["correlation_id"] != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("log has %v, want three debug lines with the trace's id", lines)
	}
}

func TestWhichRequestsAreLogged(t *testing.T) {
	for _, c := range []struct {
		which LogRequests
		want  int
	}{{LogErrors, 1}, {LogAll, 4}, {LogNone, 0}} {
		opts := testOptions()
		opts.LogRequests = c.which
		app := start(t, opts)
		app.get("/hostname")
		app.get("/nosuch")
		app.get("/errors?rate=1")
		app.get("/hostname")
		if err := app.end(); err != nil {
			t.Fatal(err)
		}
		if got := len(app.log.lines(t, "request answered")); got != c.want {
			t.Errorf("%s logs %d requests, want %d", c.which, got, c.want)
		}
	}
}

func TestMetricsPage(t *testing.T) {
	app := start(t, testOptions())
	app.get("/hostname")
	app.get("/nosuch")
	body := app.want(200, "", "/metrics")
	for _, line := range []string{
		`demoapp_http_requests_total{code="200",path="/hostname"} 1`, `demoapp_http_requests_total{code="404",path="other"} 1`,
		`demoapp_http_request_duration_seconds_count{path="/hostname"} 1`, "demoapp_http_requests_in_flight 1",
		`demoapp_build_info{version="dev"} 1`, "process_resident_memory_bytes ", "go_goroutines ",
	} {
		if !strings.Contains(body, line) {
			t.Errorf("/metrics lacks %q", line)
		}
	}
}

// The documentation is checked against the declarations: each endpoint, parameter and range is in it.
func TestReadmeHasEveryEndpointParameterAndLimit(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var endpoint string
	documented := map[string]string{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		if path := strings.Trim(cells[1], " `"); strings.HasPrefix(path, "/") {
			endpoint = path
		}
		documented[endpoint+" "+strings.Trim(cells[2], " `")] = line
	}
	for _, route := range newApp(testOptions(), nil).routes {
		if len(route.params) == 0 {
			if _, ok := documented[route.path+" "]; !ok {
				t.Errorf("README.md lacks the endpoint %s", route.path)
			}
		}
		for _, spec := range route.params {
			line := documented[route.path+" "+spec.Name]
			if !strings.Contains(line, spec.Allowed()) || spec.Default != "" && !strings.Contains(line, "| "+spec.Default+" |") {
				t.Errorf("README.md says of %s %s: %q; want %q and the default %q", route.path, spec.Name, line, spec.Allowed(), spec.Default)
			}
		}
	}
}

func BenchmarkHostname(b *testing.B) {
	app := newApp(testOptions(), newLogger(testOptions()))
	entrance := app.entrance()
	for b.Loop() {
		request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "/hostname", nil)
		if err != nil {
			b.Fatal(err)
		}
		entrance.ServeHTTP(&discard{header: http.Header{}}, request)
	}
}

type discard struct{ header http.Header }

func (d *discard) Header() http.Header       { return d.header }
func (*discard) Write(p []byte) (int, error) { return len(p), nil }
func (*discard) WriteHeader(int)             {}
