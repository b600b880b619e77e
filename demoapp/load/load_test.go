package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// transport answers without a network, so that a test can run in fake time.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(r *http.Request, status int, hostname string) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{hostnameHeader: {hostname}}, Body: io.NopCloser(strings.NewReader("ok")), Request: r,
	}
}

func run(t *testing.T, opts Options) Summary {
	t.Helper()
	opts.URL = "http://web"
	summary, err := Run(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return summary
}

func TestSteadyServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n int
		var mu sync.Mutex
		var seconds []Second
		summary := run(t, Options{
			Rate: 100, Duration: 3 * time.Second, Timeout: time.Second, OnSecond: func(s Second) { seconds = append(seconds, s) },
			Transport: transport(func(r *http.Request) (*http.Response, error) {
				mu.Lock()
				defer mu.Unlock()
				n++
				return answer(r, http.StatusOK, fmt.Sprintf("web-%d", n%2)), nil
			}),
		})
		if summary.Sent != 300 || summary.Answered != 300 || summary.Failed != 0 || summary.SentRate != 100 || summary.ErrorShare != 0 {
			t.Errorf("summary is %+v, want 300 sent and answered", summary)
		}
		if diff := cmp.Diff(map[string]int64{"web-0": 150, "web-1": 150}, summary.Hostnames); diff != "" {
			t.Errorf("answers per replica (-want +got):\n%s", diff)
		}
		var sent int64
		for _, s := range seconds {
			sent += s.Sent
		}
		if len(seconds) != 3 || sent != 300 {
			t.Errorf("%d seconds with %d requests, want 3 with 300", len(seconds), sent)
		}
	})
}

// The proof of an open loop: while the server stalls for two seconds, requests go on being due, and each
// one's latency is what its user waited. A closed loop would see one slow request here.
func TestStallShowsInEveryRequestItDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		stall := transport(func(r *http.Request) (*http.Response, error) {
			if since := time.Since(start); since >= 4*time.Second && since < 6*time.Second {
				time.Sleep(6*time.Second - since)
			}
			return answer(r, http.StatusOK, "web-0"), nil
		})
		opts := Options{Rate: 100, Duration: 10 * time.Second, Timeout: 5 * time.Second, Transport: stall}
		for _, inFlight := range []int{0, 1} {
			start = time.Now()
			opts.MaxInFlight = inFlight
			summary := run(t, opts)
			if summary.Sent != 1000 || summary.Answered != 1000 {
				t.Errorf("%d in flight: sent %d, answered %d, want 1000", inFlight, summary.Sent, summary.Answered)
			}
			// 200 of 1000 requests were due in the stall and waited 2 s to 0 s: the 90th percentile is the 100th
			// longest wait, 1 s; the 99th the tenth longest, 1.9 s.
			near := func(name string, got, want time.Duration) {
				if got < want-20*time.Millisecond || got > want+50*time.Millisecond {
					t.Errorf("%d in flight: %s is %v, want about %v", inFlight, name, got, want)
				}
			}
			near("p90", summary.Latency.P90, time.Second)
			near("p99", summary.Latency.P99, 1900*time.Millisecond)
			near("max", summary.Latency.Max, 2*time.Second)
			if summary.Latency.P50 > time.Millisecond {
				t.Errorf("%d in flight: p50 is %v, want that of the fast answers", inFlight, summary.Latency.P50)
			}
		}
	})
}

func TestWhatCouldNotBeSentIsFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		summary := run(t, Options{
			Rate: 10, Duration: 2 * time.Second, Timeout: 10 * time.Second, MaxInFlight: 5,
			Transport: transport(func(r *http.Request) (*http.Response, error) {
				time.Sleep(5 * time.Second)
				return answer(r, http.StatusOK, "web-0"), nil
			}),
		})
		if summary.Sent != 5 || summary.Answered != 5 || summary.NotSent != 15 || summary.Failed != 15 || summary.ErrorShare != 0.75 {
			t.Errorf("summary is %+v, want 5 sent and 15 not", summary)
		}
	})
}

func TestTimeoutsCountWithTheTimeTheyTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		summary := run(t, Options{
			Rate: 10, Duration: time.Second, Timeout: 300 * time.Millisecond,
			Transport: transport(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}),
		})
		if summary.Failed != 10 || summary.Errors["timeout"] != 10 || summary.Latency.P50 != 300*time.Millisecond {
			t.Errorf("summary is %+v, want ten timeouts of 300 ms", summary)
		}
	})
}

func TestEndOfTheContextEndsTheRunAndLetsAnswersIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1550*time.Millisecond)
		defer cancel()
		summary, err := Run(ctx, Options{
			URL: "http://web", Rate: 10, Timeout: 5 * time.Second,
			Transport: transport(func(r *http.Request) (*http.Response, error) {
				select {
				case <-time.After(time.Second):
					return answer(r, http.StatusOK, "web-0"), nil
				case <-r.Context().Done():
					return nil, r.Context().Err()
				}
			}),
		})
		if err != nil || summary.Sent != 16 || summary.Answered != 16 || summary.Failed != 0 {
			t.Errorf("summary is %+v and error %v, want 16 sent and answered", summary, err)
		}
	})
}

func TestRealConnections(t *testing.T) {
	var mu sync.Mutex
	connections := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/hostname" {
			t.Errorf("path is %q, want the default", r.URL.Path)
		}
		w.Header().Set(hostnameHeader, "web-0")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			mu.Lock()
			connections++
			mu.Unlock()
		}
	}
	server.Start()
	defer server.Close()
	for _, keepAlive := range []bool{false, true} {
		mu.Lock()
		connections = 0
		mu.Unlock()
		summary, err := Run(t.Context(), Options{URL: server.URL, Rate: 100, Duration: 200 * time.Millisecond, Timeout: 10 * time.Second, KeepAlive: keepAlive})
		if err != nil {
			t.Fatal(err)
		}
		if summary.Answered != 20 || summary.Failed != 20 || summary.Errors["status 503"] != 20 || summary.ErrorShare != 1 {
			t.Errorf("summary is %+v, want 20 answers with status 503", summary)
		}
		mu.Lock()
		if !keepAlive && connections != 20 || keepAlive && connections >= 20 {
			t.Errorf("keep-alive %t: %d connections for 20 requests", keepAlive, connections)
		}
		mu.Unlock()
	}
}

func TestErrorKinds(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{context.DeadlineExceeded, "timeout"},
		{os.ErrDeadlineExceeded, "timeout"},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, "refused"},
		{&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, "reset"},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}, "no route"},
		{&net.DNSError{Err: "no such host", Name: "web"}, "dns"},
		{io.ErrUnexpectedEOF, "closed"},
		{errors.New("something else"), "other"},
	} {
		if got := errorKind(fmt.Errorf("get: %w", c.err)); got != c.want {
			t.Errorf("%v is of kind %q, want %q", c.err, got, c.want)
		}
	}
}

func TestHostnamesAreBounded(t *testing.T) {
	r := newRecorder()
	for i := range 1000 {
		r.done(time.Millisecond, fmt.Sprintf("web-%d", i%500), http.StatusOK, nil)
		if i%100 == 0 {
			r.second(time.Second, time.Second)
		}
	}
	hostnames := r.summary("", time.Second).Hostnames
	var sum int64
	for _, n := range hostnames {
		sum += n
	}
	if len(hostnames) > mostHostnames+1 || hostnames[others] == 0 || sum != 1000 {
		t.Errorf("%d names count %d answers, want at most %d that count 1000", len(hostnames), sum, mostHostnames+1)
	}
}

func TestSummaryJSONIsTheContract(t *testing.T) {
	r := newRecorder()
	r.sent()
	r.done(1500*time.Microsecond, "web-0", http.StatusOK, nil)
	r.sent()
	r.done(time.Millisecond, "", 0, io.EOF)
	got, err := json.MarshalIndent(r.summary("http://web/hostname", 2*time.Second), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	want := `{
 "url": "http://web/hostname",
 "seconds": 2,
 "sent": 2,
 "not_sent": 0,
 "answered": 1,
 "failed": 1,
 "error_share": 0.5,
 "sent_per_second": 1,
 "answered_per_second": 0.5,
 "latency": {
  "p50_ms": 1.5,
  "p90_ms": 1.5,
  "p99_ms": 1.5,
  "max_ms": 1.5,
  "mean_ms": 1.5
 },
 "errors": {
  "closed": 1
 },
 "examples": {
  "closed": "EOF"
 },
 "hostnames": {
  "web-0": 1
 }
}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}

func TestTextIsForPeople(t *testing.T) {
	var out strings.Builder
	text := NewText(&out)
	text.Start(Options{URL: "http://web", Rate: 2.5, Duration: time.Minute, Timeout: time.Second})
	text.Second(Second{
		Elapsed: time.Second, Length: time.Second, Sent: 5, Answered: 4, Failed: 1, InFlight: 2,
		Latency:   Latency{P50: 1500 * time.Microsecond, P90: 20 * time.Millisecond, P99: 2 * time.Second, Max: 2 * time.Second},
		Hostnames: map[string]int64{"web-b": 1, "web-a": 3}, Errors: map[string]int64{"timeout": 1},
	})
	text.Second(Second{Elapsed: 1500 * time.Millisecond, Length: 500 * time.Millisecond})
	text.Summary(Summary{
		Sent: 5, Answered: 4, Failed: 1, Seconds: 2, ErrorShare: 0.2, SentRate: 2.5, AnsweredRate: 2,
		Errors: map[string]int64{"timeout": 1}, Examples: map[string]string{"timeout": "too late"}, Hostnames: map[string]int64{"web-b": 1, "web-a": 3},
	})
	want := `GET http://web/hostname at 2.5/s for 1m0s, timeout 1s, a new connection each

  time   sent/s   answ/s  failed     p50     p90     p99     max  waiting  answers per replica
    1s      5.0      4.0       1   1.5ms    20ms   2.00s   2.00s        2  web-a 3, web-b 1  failed: timeout 1
  1.5s      0.0      0.0       0       -       -       -       -        0

sent      5 in 2.0 s (2.5/s)
answered  4 (2.0/s)
failed    1 (20.00 %): timeout 1
latency   p50 -, p90 -, p99 -, max -, mean -; counted from when each request was due
replicas  web-a                                   3   75.0 %
          web-b                                   1   25.0 %
examples  timeout: too late
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}

func TestOptionsNameWhatIsWrong(t *testing.T) {
	good := DefaultOptions()
	good.URL = "http://web:8080"
	for _, c := range []struct {
		want   string
		change func(*Options)
	}{
		{`url is ""; allowed: http://HOST:PORT`, func(o *Options) { o.URL = "" }},
		{`url is "web:8080"`, func(o *Options) { o.URL = "web:8080" }},
		{`url is "ftp://web"`, func(o *Options) { o.URL = "ftp://web" }},
		{`url is "http://web/?a=1"; allowed: no query`, func(o *Options) { o.URL = "http://web/?a=1" }},
		{`path is "hostname"; allowed: a path that starts with /`, func(o *Options) { o.Path = "hostname" }},
		{`path is "/%zz"`, func(o *Options) { o.Path = "/%zz" }},
		{"rate is 0; allowed: above 0, at most 100000", func(o *Options) { o.Rate = 0 }},
		{"rate is 100001", func(o *Options) { o.Rate = 100001 }},
		{"duration is -1s; allowed: 0s (until interrupted) to 24h", func(o *Options) { o.Duration = -time.Second }},
		{"timeout is 0s; allowed: 1ms to 10m", func(o *Options) { o.Timeout = 0 }},
		{"max-in-flight is 65537; allowed: 1 to 65536", func(o *Options) { o.MaxInFlight = 65537 }},
	} {
		opts := good
		c.change(&opts)
		if _, err := Run(t.Context(), opts); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error is %v, want one with %q", err, c.want)
		}
	}
}

func TestTarget(t *testing.T) {
	for _, c := range []struct{ url, path, want string }{
		{"http://web", "", "http://web/hostname"},
		{"http://web/", "", "http://web/hostname"},
		{"http://web/cpu-load?ms=5", "", "http://web/cpu-load?ms=5"},
		{"http://web/", "/cpu-load?ms=5", "http://web/cpu-load?ms=5"},
		{"http://web/prefix/", "/hostname", "http://web/prefix/hostname"},
	} {
		if got, err := (Options{URL: c.url, Path: c.path}).target(); err != nil || got != c.want {
			t.Errorf("%q with %q is %q, %v; want %q", c.url, c.path, got, err, c.want)
		}
	}
}

func FuzzTarget(f *testing.F) {
	f.Add("http://web:8080", "/a?b=c")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, url, path string) {
		target, err := (Options{URL: url, Path: path}).target()
		if err != nil {
			return
		}
		if _, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil); err != nil {
			t.Fatalf("%q with %q was let through and cannot be requested: %v", url, path, err)
		}
	})
}

func BenchmarkRecorder(b *testing.B) {
	r := newRecorder()
	for b.Loop() {
		r.sent()
		r.done(time.Millisecond, "web-0", http.StatusOK, nil)
	}
}
