package promql

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve returns a client of a server that always answers so.
func serve(t *testing.T, c Config, h http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c.Address = server.URL + "/prefix/"
	client, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func vector(samples ...string) string {
	return `{"status":"success","data":{"resultType":"vector","result":[` + strings.Join(samples, ",") + `]}}`
}

func TestQuery(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 5e8, time.UTC)
	one := func(value string) string { return `{"metric":{"job":"a"},"value":[1772366400.5,"` + value + `"]}` }
	tests := []struct {
		name   string
		status int
		body   string
		want   Value
		err    string // the whole sentence, or its beginning where it ends in …
	}{
		{"one series", 200, vector(one("1.2346")), Value{Milli: 1235, At: at}, ""},
		{"zero is a value", 200, vector(one("0")), Value{At: at}, ""},
		{"negative", 200, vector(one("-3")), Value{Milli: -3000, At: at}, ""},
		{"a scalar", 200, `{"status":"success","data":{"resultType":"scalar","result":[1772366400.5,"42"]}}`, Value{Milli: 42000, At: at}, ""},
		{"too large", 200, vector(one("1e300")), Value{Milli: math.MaxInt64, At: at}, ""},
		{"too small", 200, vector(one("-1e300")), Value{Milli: math.MinInt64, At: at}, ""},
		{
			"a warning", 200, `{"status":"success","warnings":["partial response"],"data":{"resultType":"vector","result":[` + one("1") + `]}}`,
			Value{Milli: 1000, At: at, Warnings: []string{"partial response"}},
			"",
		},
		{"no series", 200, vector(), Value{}, "the query returns no series"},
		{"several series", 200, vector(one("1"), one("2"), one("3")), Value{}, "the query returns 3 series, allowed is one"},
		{"not a number", 200, vector(one("NaN")), Value{}, "the query returns NaN, allowed is a number"},
		{"infinite", 200, vector(one("+Inf")), Value{}, "the query returns +Inf, allowed is a number"},
		{
			"a histogram", 200, vector(`{"metric":{},"histogram":[1772366400.5,{"count":"1","sum":"1","buckets":[]}]}`),
			Value{},
			"the query returns a histogram, allowed is a number",
		},
		{
			"a range", 200, `{"status":"success","data":{"resultType":"matrix","result":[]}}`,
			Value{},
			"the query returns a matrix, allowed is a scalar or an instant vector",
		},
		{
			"a string", 200, `{"status":"success","data":{"resultType":"string","result":[1772366400.5,"x"]}}`,
			Value{},
			`the answer of Prometheus cannot be read: unmarshalerDecoder: unexpected value type "string"`,
		},
		{
			"a bad query", 400, `{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:5: parse error: unexpected end of input"}`,
			Value{},
			`the query (field prometheus.query) is not accepted by Prometheus: invalid parameter "query": 1:5: parse error: unexpected end of input`,
		},
		{
			"no evaluation", 422, `{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory"}`,
			Value{},
			"the query cannot be evaluated by Prometheus: query processing would load too many samples into memory",
		},
		{
			"too long", 503, `{"status":"error","errorType":"timeout","error":"query timed out"}`,
			Value{},
			"the query is refused by Prometheus with a server error: 503: …",
		},
		{"a proxy", 401, "<html>\n <h1>401   Unauthorized</h1></html>", Value{}, "the query is refused by Prometheus with a client error: 401: <html> <h1>401 Unauthorized</h1></html>"},
		{"another page", 200, "<html>", Value{}, "the answer of Prometheus cannot be read: …"},
		{"an answer without data", 200, `{"status":"success"}`, Value{}, "the answer of Prometheus …"},
		{"a redirect", 302, "", Value{}, "the answer of Prometheus cannot be read: …"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/prefix/api/v1/query" || r.FormValue("query") != "sum(x)" || r.FormValue("time") != "" {
					http.Error(w, "not what was agreed on: "+r.URL.String(), http.StatusTeapot)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Location", "http://127.0.0.1:1/")
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			got, err := c.Query(t.Context(), "sum(x)")
			said := ""
			if err != nil {
				said = err.Error()
			}
			if start, ok := strings.CutSuffix(tt.err, "…"); ok && strings.HasPrefix(said, start) {
				said = tt.err
			}
			if said != tt.err {
				t.Errorf("error is %q, want %q", said, tt.err)
			}
			if strings.Contains(said, "\n") {
				t.Errorf("error has more than a line: %q", said)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("value (-want +got):\n%s", diff)
			}
			if errors.Is(err, ErrNoSeries) != (tt.name == "no series") {
				t.Errorf("error %v: is it ErrNoSeries?", err)
			}
		})
	}
}

func TestAServerThatKnowsOnlyGet(t *testing.T) {
	c := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		_, _ = io.WriteString(w, vector(`{"metric":{},"value":[1,"5"]}`))
	})
	if v, err := c.Query(t.Context(), "x"); err != nil || v.Milli != 5000 {
		t.Errorf("value is %+v, %v, want 5", v, err)
	}
}

func TestAServerThatDoesNotAnswer(t *testing.T) {
	c := serve(t, Config{Timeout: 50 * time.Millisecond}, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the server sees that the client is gone only after that
		<-r.Context().Done()
	})
	_, err := c.Query(t.Context(), "x")
	if !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "there was no answer from Prometheus within 50ms") {
		t.Errorf("error is %v, want that of the timeout", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Query(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want that the caller gave up", err)
	}
}

func TestAServerThatIsNotThere(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	address := server.URL
	server.Close()
	c, err := New(Config{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Query(t.Context(), "x"); err == nil || !strings.HasPrefix(err.Error(), "there is no answer from Prometheus: dial tcp ") {
		t.Errorf("error is %v, want that it cannot be reached", err)
	}
}

func TestAnAnswerThatIsTooLarge(t *testing.T) {
	c := serve(t, Config{MaxBodyBytes: 1 << 10}, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, vector(`{"metric":{"a":"`+strings.Repeat("x", 2000)+`"},"value":[1,"5"]}`))
	})
	if _, err := c.Query(t.Context(), "x"); err == nil || err.Error() != "the answer of Prometheus is larger than maxBodyBytes" {
		t.Errorf("error is %v, want that it is too large", err)
	}
}

func TestTokenAndHeaders(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write := func(token string) {
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	var sent http.Header
	c := serve(t, Config{BearerTokenFile: file, Headers: map[string]string{"X-Scope-OrgID": "team"}}, func(w http.ResponseWriter, r *http.Request) {
		sent = r.Header.Clone()
		_, _ = io.WriteString(w, vector(`{"metric":{},"value":[1,"5"]}`))
	})
	if _, err := c.Query(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	if sent.Get("Authorization") != "Bearer first" || sent.Get("X-Scope-Orgid") != "team" {
		t.Errorf("sent %v", sent)
	}
	d := &door{config: Config{BearerTokenFile: file}}
	now := time.Now()
	for _, step := range []struct {
		file  string
		after time.Duration
		want  string
	}{{"first", 0, "first"}, {"second", tokenAge / 2, "first"}, {"second", tokenAge, "second"}, {"", 3 * tokenAge, "second"}} {
		write(step.file)
		if got, err := d.bearer(now.Add(step.after)); err != nil || got != step.want {
			t.Errorf("%v later the token is %q, %v, want %q", step.after, got, err, step.want)
		}
	}
	write("")
	if _, err := New(Config{Address: "http://x", BearerTokenFile: file}); err == nil || !strings.HasPrefix(err.Error(), "promql: the token for Prometheus cannot be read: ") {
		t.Errorf("error of an empty token is %v", err)
	}
}

func TestTheServersCertificateIsChecked(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, vector(`{"metric":{},"value":[1,"5"]}`))
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		ca   string
		want string
	}{{ca, ""}, {"", "there is no answer from Prometheus: tls: failed to verify certificate"}} {
		c, err := New(Config{Address: server.URL, CAFile: tt.ca})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Query(t.Context(), "x")
		if (err != nil) != (tt.want != "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("with CA %q: error is %v, want %q", tt.ca, err, tt.want)
		}
		c.Close()
	}
}

func TestConfigIsChecked(t *testing.T) {
	tests := []struct {
		c    Config
		want string // empty: it is valid
	}{
		{Config{Address: "https://prometheus.example/prefix"}, ""},
		{Config{}, `promql: address is "", allowed is an http or https URL with a host and without a query`},
		{Config{Address: "prometheus:9090"}, `promql: address is "prometheus:9090", allowed is an http or https URL with a host and without a query`},
		{Config{Address: "ftp://u:secret@x"}, `promql: address is "ftp://u:xxxxx@x", allowed is an http or https URL with a host and without a query`},
		{Config{Address: "http://u:sec%ret@x"}, `promql: address cannot be read: invalid URL escape "%re"`},
		{Config{Address: "http://u:secret@x:port"}, `promql: address cannot be read: invalid port ":port" after host`},
		{Config{Address: "http://x?a=b"}, `promql: address is "http://x?a=b", allowed is an http or https URL with a host and without a query`},
		{Config{Address: "http://x", Timeout: time.Hour}, "promql: timeout is 1h0m0s, allowed is 10ms to 5m0s"},
		{Config{Address: "http://x", MaxBodyBytes: 1}, "promql: maxBodyBytes is 1, allowed is 1024 to 67108864"},
		{Config{Address: "http://x", Headers: map[string]string{"a b": ""}}, `promql: headers has the name "a b", allowed is the name of a header`},
		{
			Config{Address: "http://x", BearerTokenFile: "t", Headers: map[string]string{"authorization": ""}},
			`promql: headers has authorization and bearerTokenFile is "t", allowed is one of them`,
		},
	}
	for _, tt := range tests {
		got := ""
		if err := tt.c.Validate(); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("error is %q, want %q", got, tt.want)
		}
	}
}

// answer is a round tripper that always returns the body.
type answer []byte

func (a answer) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(string(a))), Header: http.Header{}, Request: r}, nil
}

func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		vector(), vector(`{"metric":{"a":"b"},"value":[1.5,"2"]}`), vector(`{"metric":{},"value":[1,"NaN"]}`), vector("null"), vector("{}"),
		`{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}`, `{"status":"error","errorType":"bad_data","error":"x"}`,
		`{"status":"success","data":null}`, `{"data":{"resultType":"vector","result":null}}`, `[]`,
		vector(`{"metric":{},"histogram":[1,{"count":"1","sum":"1","buckets":[[0,"1","2","3"]]}]}`),
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := newClient(Config{Address: "http://x", Timeout: time.Minute, MaxBodyBytes: 1 << 20}, answer(body))
		if err != nil {
			t.Fatal(err)
		}
		v, err := c.Query(t.Context(), "x")
		if err != nil && (v.Milli != 0 || err.Error() == "") {
			t.Errorf("value %+v beside error %v", v, err)
		}
	})
}
