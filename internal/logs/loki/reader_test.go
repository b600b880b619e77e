package loki

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/config"
	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/internal/logs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var died = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func query() logs.Query {
	return logs.Query{
		Namespace: "shop", Replicas: []string{"web-1"}, Container: "web", From: died.Add(-5 * time.Minute), To: died.Add(10 * time.Second),
		MaxLines: 1000, MaxBytes: 1 << 20,
	}
}

// clock is a clock that stands still until it is moved.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func reader(t *testing.T, h http.Handler, change func(*Options)) *Reader {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	o := Options{URL: s.URL, Now: time.Now}
	if change != nil {
		change(&o)
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// shelf is a Loki with lines in two streams: what it knows of query_range is times, direction and limit.
type shelf struct {
	lines    []logs.Line
	maxLimit int
	labels   []string

	queries []string
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if strings.HasSuffix(r.URL.Path, "/labels") {
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": s.labels})
		return
	}
	s.queries = append(s.queries, q.Get("query"))
	from, _ := strconv.ParseInt(q.Get("start"), 10, 64)
	to, _ := strconv.ParseInt(q.Get("end"), 10, 64)
	limit, _ := strconv.Atoi(q.Get("limit"))
	if s.maxLimit > 0 && limit > s.maxLimit {
		http.Error(w, fmt.Sprintf("max entries limit per query exceeded, limit > max_entries_limit_per_query (%d > %d)", limit, s.maxLimit), http.StatusBadRequest)
		return
	}
	list := slices.Clone(s.lines)
	if q.Get("direction") == "backward" {
		slices.Reverse(list)
	}
	streams := [2][][2]string{}
	n := 0
	for _, l := range list {
		if ns := l.At.UnixNano(); ns >= from && ns < to && n < limit {
			of := int(l.Text[len(l.Text)-1]) % 2
			streams[of] = append(streams[of], [2]string{strconv.FormatInt(ns, 10), l.Text})
			n++
		}
	}
	result := []map[string]any{}
	for i, values := range streams {
		if len(values) > 0 {
			result = append(result, map[string]any{"stream": map[string]string{"stream": strconv.Itoa(i)}, "values": values})
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": "streams", "result": result}})
}

// many returns lines a second apart, each three of one nanosecond.
func many(n int) []logs.Line {
	var out []logs.Line
	for i := range n {
		out = append(out, logs.Line{At: died.Add(time.Duration(i/3-n/3) * time.Second), Text: "line " + strconv.Itoa(i)})
	}
	return out
}

// byText orders the lines of one nanosecond, whose order is nobody's.
func byText(a, b logs.Line) int {
	if c := a.At.Compare(b.At); c != 0 {
		return c
	}
	return strings.Compare(a.Text, b.Text)
}

func TestPages(t *testing.T) {
	all := many(100) // ends at the death
	for name, tc := range map[string]struct {
		page, maxLimit int
		change         func(*logs.Query)
		want           []logs.Line
	}{
		"one page":                              {page: 1000, want: all},
		"many pages, split within a nanosecond": {page: 10, want: all},
		"the smallest page that goes on":        {page: 4, want: all},
		"forward":                               {page: 7, change: func(q *logs.Query) { q.Forward = true }, want: all},
		"the newest lines of too many":          {page: 10, change: func(q *logs.Query) { q.MaxLines = 25 }, want: all[75:]},
		"the oldest with forward":               {page: 10, change: func(q *logs.Query) { q.MaxLines, q.Forward = 25, true }, want: all[:25]},
		"the newest bytes":                      {page: 10, change: func(q *logs.Query) { q.MaxBytes = 23 }, want: all[97:]},
		"a Loki that allows less at once":       {page: 1000, maxLimit: 500, want: all},
	} {
		t.Run(name, func(t *testing.T) {
			s := &shelf{lines: all, maxLimit: tc.maxLimit}
			r := reader(t, s, func(o *Options) { o.Page = tc.page })
			q := query()
			if tc.change != nil {
				tc.change(&q)
			}
			got, err := r.Window(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.IsSortedFunc(got, func(a, b logs.Line) int { return a.At.Compare(b.At) }) {
				t.Error("lines are not in order of time")
			}
			want := slices.Clone(tc.want)
			slices.SortFunc(want, byText)
			slices.SortFunc(got, byText)
			if len(want) == len(all) {
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("lines (-want +got):\n%s", diff)
				}
				return
			}
			// A bound may fall within a nanosecond: which of its lines are left out is nobody's.
			if len(got) != len(want) || !got[0].At.Equal(want[0].At) || !got[len(got)-1].At.Equal(want[len(want)-1].At) {
				t.Errorf("lines are %v, want %v", got, want)
			}
		})
	}
}

// Lines may be long: a page of them that is larger than what is read at once is asked for in smaller ones.
func TestLongLines(t *testing.T) {
	long := strings.Repeat("x", 8<<10)
	var all []logs.Line
	for i := range 600 {
		all = append(all, logs.Line{At: died.Add(time.Duration(i-600) * 100 * time.Millisecond), Text: long + " " + strconv.Itoa(i)})
	}
	r := reader(t, &shelf{lines: all}, nil)
	q := query()
	got, err := r.Window(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if n := q.MaxBytes / (len(long) + 4); len(got) != n || got[n-1] != all[599] {
		t.Errorf("%d lines, want the newest %d", len(got), n)
	}
}

func TestTroubles(t *testing.T) {
	answers := func(code int, body string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
		}
	}
	for name, tc := range map[string]struct {
		h       http.Handler
		change  func(*Options)
		trouble Trouble
		message []string
	}{
		"nobody listens": {h: http.NotFoundHandler(), change: func(o *Options) { o.URL = "http://127.0.0.1:1" }, trouble: Absent, message: []string{"not there", "refused"}},
		"no such host":   {h: http.NotFoundHandler(), change: func(o *Options) { o.URL = "http://loki.invalid" }, trouble: Absent, message: []string{"no such host loki.invalid"}},
		"slow": {
			h: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), change: func(o *Options) { o.Timeout = 30 * time.Millisecond },
			trouble: Slow, message: []string{"within 30ms"},
		},
		"slow in the middle": {
			h: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = w.Write([]byte(`{"status":`))
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}), change: func(o *Options) { o.Timeout = 30 * time.Millisecond }, trouble: Slow, message: []string{"within 30ms"},
		},
		"too many requests": {h: answers(429, "x", "Retry-After", "17"), trouble: Throttled, message: []string{"429", "17s"}},
		"broken":            {h: answers(503, "the ring\nis empty"), trouble: Broken, message: []string{"503", "the ring is empty"}},
		"denied":            {h: answers(401, "no org id"), trouble: Denied, message: []string{"401", "no org id", "logs.loki"}},
		"refused":           {h: answers(400, "parse error"), trouble: Refused, message: []string{"400", "parse error"}},
		"not a Loki":        {h: http.NotFoundHandler(), trouble: Refused, message: []string{"no Loki", "404"}},
		"a page of HTML":    {h: answers(200, "<html>"), trouble: Broken, message: []string{"none of Loki's"}},
		"another type":      {h: answers(200, `{"status":"success","data":{"resultType":"matrix"}}`), trouble: Broken, message: []string{"matrix"}},
		"no time":           {h: answers(200, `{"status":"success","data":{"resultType":"streams","result":[{"values":[["x","y"]]}]}}`), trouble: Broken, message: []string{`"x"`}},
		"no pair":           {h: answers(200, `{"status":"success","data":{"resultType":"streams","result":[{"values":[["1"]]}]}}`), trouble: Broken, message: []string{"no pair"}},
		"endless":           {h: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(strings.Repeat(" ", 4<<20))) }), trouble: Broken, message: []string{"larger than"}},
		"other labels":      {h: &shelf{labels: []string{"app", "k8s_namespace_name"}}, trouble: Unlabeled, message: []string{"no label namespace", "app, k8s_namespace_name", "logs.loki.preset"}},
	} {
		t.Run(name, func(t *testing.T) {
			lines, err := reader(t, tc.h, tc.change).Window(t.Context(), query())
			var e *Error
			if !errors.As(err, &e) || len(lines) > 0 {
				t.Fatalf("%d lines and error %v", len(lines), err)
			}
			if e.Trouble != tc.trouble {
				t.Errorf("trouble is %s (%v), want %s", e.Trouble, err, tc.trouble)
			}
			for _, m := range tc.message {
				if !strings.Contains(err.Error(), m) {
					t.Errorf("error %q does not say %q", err, m)
				}
			}
		})
	}
}

func TestAnEmptyWindowIsNoTrouble(t *testing.T) {
	for name, labels := range map[string][]string{"its labels are known": {"container", "namespace", "pod"}, "nothing was written": nil} {
		t.Run(name, func(t *testing.T) {
			if lines, err := reader(t, &shelf{labels: labels}, nil).Window(t.Context(), query()); err != nil || len(lines) > 0 {
				t.Errorf("%d lines and error %v", len(lines), err)
			}
		})
	}
}

// TestWhatWasReadBeforeATroubleIsKept breaks the second page.
func TestWhatWasReadBeforeATroubleIsKept(t *testing.T) {
	s := &shelf{lines: many(100)}
	r := reader(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(s.queries) > 0 {
			http.Error(w, "gone", http.StatusBadGateway)
			return
		}
		s.ServeHTTP(w, r)
	}), func(o *Options) { o.Page = 10 })
	lines, err := r.Window(t.Context(), query())
	var e *Error
	if len(lines) != 10 || !errors.As(err, &e) || e.Trouble != Broken {
		t.Errorf("%d lines and error %v, want 10 lines and what happened then", len(lines), err)
	}
}

// TestALokiThatAsksForPeaceIsLeftAlone counts requests while the clock goes on.
func TestALokiThatAsksForPeaceIsLeftAlone(t *testing.T) {
	for name, tc := range map[string]struct {
		code  int
		after string
		pause time.Duration // 0: it is asked again at once
	}{
		"for as long as it says":    {429, "20", 20 * time.Second},
		"until the time it says":    {429, died.Add(30 * time.Second).Format(http.TimeFormat), 30 * time.Second},
		"but not for ever":          {429, "999999999", longestRest},
		"a little without a word":   {500, "", rest},
		"a refusal is of the query": {400, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			c, n := &clock{died}, 0
			r := reader(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				n++
				w.Header().Set("Retry-After", tc.after)
				w.WriteHeader(tc.code)
			}), func(o *Options) { o.Now = c.Now })
			ask := func() error { _, err := r.Window(t.Context(), query()); return err }
			_ = ask()
			if tc.pause == 0 {
				if _ = ask(); n != 2 {
					t.Errorf("it was asked %d times, want 2", n)
				}
				return
			}
			c.now = died.Add(tc.pause - time.Second)
			if err := ask(); n != 1 || !strings.Contains(err.Error(), "asked again in 1s") {
				t.Errorf("asked %d times within the pause, and it said %v", n, err)
			}
			c.now = died.Add(tc.pause)
			if _ = ask(); n != 2 {
				t.Errorf("it was not asked after the pause")
			}
		})
	}
}

func TestSelector(t *testing.T) {
	two := query()
	two.Replicas = []string{"web-1", "web.2"}
	odd := query()
	odd.Namespace = `x"} or {a="`
	for name, tc := range map[string]struct {
		labels Labels
		q      logs.Query
		want   string
	}{
		"alloy":      {Presets()["alloy"], query(), `{namespace="shop",pod="web-1",container="web"}`},
		"otlp":       {Presets()["otlp"], query(), `{k8s_namespace_name="shop"} | k8s_pod_name="web-1" | k8s_container_name="web"`},
		"siblings":   {Presets()["promtail"], two, `{namespace="shop",pod=~"web-1|web\\.2",container="web"}`},
		"no LogQL":   {Presets()["alloy"], odd, `{namespace="x\"} or {a=\"",pod="web-1",container="web"}`},
		"own labels": {Labels{Namespace: "ns", Pod: "p", Container: "c"}, query(), `{ns="shop",p="web-1",c="web"}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := &shelf{lines: many(3)}
			if _, err := reader(t, s, func(o *Options) { o.Labels = tc.labels }).Window(t.Context(), tc.q); err != nil {
				t.Fatal(err)
			}
			if s.queries[0] != tc.want {
				t.Errorf("query is %s, want %s", s.queries[0], tc.want)
			}
		})
	}
}

func TestTenantAndCredentials(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	for name, tc := range map[string]struct {
		http *config.HTTPClientConfig
		want string
	}{
		"none":   {nil, ""},
		"bearer": {&config.HTTPClientConfig{Authorization: &config.Authorization{Type: "Bearer", CredentialsFile: file}}, "Bearer s3cret"},
		"basic":  {&config.HTTPClientConfig{BasicAuth: &config.BasicAuth{Username: "me", PasswordFile: file}}, "Basic bWU6czNjcmV0"},
	} {
		t.Run(name, func(t *testing.T) {
			var got http.Header
			s := &shelf{lines: many(3)}
			r := reader(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got = r.Header
				s.ServeHTTP(w, r)
			}), func(o *Options) { o.HTTP, o.Tenant = tc.http, "shop-team" })
			// The file is read with the request, not before.
			if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Window(t.Context(), query()); err != nil {
				t.Fatal(err)
			}
			if got.Get("X-Scope-OrgID") != "shop-team" || got.Get("Authorization") != tc.want {
				t.Errorf("tenant %q and authorization %q, want %q", got.Get("X-Scope-OrgID"), got.Get("Authorization"), tc.want)
			}
		})
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewTLSServer(&shelf{lines: many(3)})
	t.Cleanup(s.Close)
	s.Config.ErrorLog = nil
	for _, tc := range []struct {
		trusts  bool
		trouble Trouble
	}{{true, ""}, {false, Broken}} {
		r, err := New(Options{URL: s.URL, Now: time.Now, HTTP: &config.HTTPClientConfig{TLSConfig: config.TLSConfig{InsecureSkipVerify: tc.trusts}}})
		if err != nil {
			t.Fatal(err)
		}
		lines, err := r.Window(t.Context(), query())
		r.Close()
		var e *Error
		if tc.trusts && (err != nil || len(lines) != 3) || !tc.trusts && (!errors.As(err, &e) || e.Trouble != tc.trouble) {
			t.Errorf("trust %t: %d lines and error %v", tc.trusts, len(lines), err)
		}
	}
}

func TestOptionsThatAreNotAllowed(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Options)
		want   []string
	}{
		"no URL":          {func(o *Options) { o.URL = "loki:3100" }, []string{"url", "loki:3100", "http://"}},
		"a password":      {func(o *Options) { o.URL = "http://me:s3cret@loki" }, []string{"me:xxxxx@", "without credentials"}},
		"no clock":        {func(o *Options) { o.Now = nil }, []string{"now"}},
		"a label":         {func(o *Options) { o.Labels = Labels{Namespace: "a", Pod: "k8s.pod", Container: "c"} }, []string{"labels.pod", "k8s.pod"}},
		"a negative page": {func(o *Options) { o.Page = -1 }, []string{"page -1", "positive"}},
		"two credentials": {func(o *Options) {
			o.HTTP = &config.HTTPClientConfig{BasicAuth: &config.BasicAuth{Username: "x"}, Authorization: &config.Authorization{CredentialsFile: "y"}}
		}, []string{"http client", "at most one"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{URL: "http://loki", Now: time.Now}
			tc.change(&o)
			_, err := New(o)
			if err == nil {
				t.Fatal("it is allowed")
			}
			for _, w := range tc.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not say %q", err, w)
				}
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error %q has the password", err)
			}
		})
	}
}

func TestAQueryWithoutBoundsIsNone(t *testing.T) {
	r := reader(t, http.NotFoundHandler(), nil)
	q := query()
	q.MaxBytes = 0
	var e *Error
	if _, err := r.Window(t.Context(), q); !errors.As(err, &e) || e.Trouble != Refused || e.Status != 0 {
		t.Errorf("error is %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"status":"success","data":{"resultType":"streams","result":[{"stream":{"a":"b"},"values":[["1","x"],["2","y",{"m":"n"}]]}]}}`))
	f.Add([]byte(`{"status":"success","data":{"resultType":"streams","result":[{"values":[[1,2]]}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		page, err := parse(body)
		if err != nil && page != nil {
			t.Fatalf("both a page and error %v", err)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("5")
	f.Add(url.QueryEscape(died.Format(http.TimeFormat)))
	f.Fuzz(func(t *testing.T, v string) {
		if d := retryAfter(v, died); d < 0 || d > longestRest {
			t.Fatalf("%q is %v", v, d)
		}
	})
}
