package app

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// goPage is what client_golang serves, shortened.
const goPage = `# HELP go_goroutines Number of goroutines that currently exist.
# TYPE go_goroutines gauge
go_goroutines 12
# HELP http_request_duration_seconds How long requests took.
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{code="200",le="0.1"} 7
http_request_duration_seconds_bucket{code="200",le="+Inf"} 9
http_request_duration_seconds_sum{code="200"} 1.5
http_request_duration_seconds_count{code="200"} 9
# HELP http_requests_total How many requests were answered.
# TYPE http_requests_total counter
http_requests_total{code="200",method="get"} 100
http_requests_total{code="200",method="post"} 20
http_requests_total{code="500",method="get"} 3
# HELP process_cpu_seconds_total Total user and system CPU time spent in seconds.
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 12.34
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 2.3412736e+07
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1.77236640012e+09
# TYPE rpc summary
rpc{quantile="0.5"} 0.25
rpc_sum 17
rpc_count 4
queue_total 5
queue_now 6
`

// openPage is the same in OpenMetrics, as the client of Python serves it.
const openPage = `# HELP requests Requests.
# TYPE requests counter
requests_total{path="/a"} 4.0
requests_created{path="/a"} 1.7e+09
# TYPE process_cpu_seconds counter
process_cpu_seconds_total 3.0
# EOF
`

type told struct {
	Name  string
	Kind  kind
	Value float64
}

func readAll(t *testing.T, body, contentType string) (process, []told, error) {
	t.Helper()
	var all []told
	p, err := readPage([]byte(body), contentType, func([]byte) bool { return true }, func(name string, s series) {
		all = append(all, told{name, s.kind, s.value})
	})
	return p, all, err
}

func TestReadPage(t *testing.T) {
	p, all, err := readAll(t, goPage, "text/plain; version=0.0.4; charset=utf-8")
	if err != nil {
		t.Fatal(err)
	}
	if p != (process{cpu: 12.34, memory: 2.3412736e+07, start: 1.77236640012e+09}) {
		t.Errorf("process is %+v", p)
	}
	want := []told{
		{"go_goroutines", kindGauge, 12},
		{"http_request_duration_seconds_bucket", kindCounter, 7},
		{"http_request_duration_seconds_bucket", kindCounter, 9},
		{"http_request_duration_seconds_sum", kindCounter, 1.5},
		{"http_request_duration_seconds_count", kindCounter, 9},
		{"http_requests_total", kindCounter, 100},
		{"http_requests_total", kindCounter, 20},
		{"http_requests_total", kindCounter, 3},
		{"process_cpu_seconds_total", kindCounter, 12.34},
		{"process_resident_memory_bytes", kindGauge, 2.3412736e+07},
		{"process_start_time_seconds", kindGauge, 1.77236640012e+09},
		{"rpc", kindGauge, 0.25},
		{"rpc_sum", kindCounter, 17},
		{"rpc_count", kindCounter, 4},
		{"queue_total", kindCounter, 5},
		{"queue_now", kindGauge, 6},
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}

	p, all, err = readAll(t, openPage, "application/openmetrics-text; version=1.0.0; charset=utf-8")
	if err != nil {
		t.Fatal(err)
	}
	if p.cpu != 3 || !math.IsNaN(p.memory) || !math.IsNaN(p.start) {
		t.Errorf("process is %+v", p)
	}
	want = []told{{"requests_total", kindCounter, 4}, {"requests_created", kindGauge, 1.7e9}, {"process_cpu_seconds_total", kindCounter, 3}}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

// A page may give types to some families only, and the name of another may begin with the name of one that has a type.
func TestASeriesOfAnotherFamilyHasNoType(t *testing.T) {
	for page, want := range map[string][]told{
		"# TYPE up gauge\nup 1\nuptime_seconds_total 7\n":                    {{"up", kindGauge, 1}, {"uptime_seconds_total", kindCounter, 7}},
		"# TYPE requests counter\nrequests 5\nrequests_failed_total 3\n":     {{"requests", kindCounter, 5}, {"requests_failed_total", kindCounter, 3}},
		"# TYPE jobs histogram\njobs_sum 5\njobs_lost_total 3\njobs_now 1\n": {{"jobs_sum", kindCounter, 5}, {"jobs_lost_total", kindCounter, 3}, {"jobs_now", kindGauge, 1}},
		"# TYPE a_total gauge\na_total 5\n":                                  {{"a_total", kindGauge, 5}},
		"# TYPE a untyped\na_total 5\na 1\n":                                 {{"a_total", kindCounter, 5}, {"a", kindGauge, 1}},
	} {
		_, all, err := readAll(t, page, "text/plain")
		if diff := cmp.Diff(want, all); diff != "" || err != nil {
			t.Errorf("%q: %v (-want +got):\n%s", page, err, diff)
		}
	}
}

func TestReadPageTellsOnlyWhatIsWanted(t *testing.T) {
	var names []string
	_, err := readPage([]byte(goPage+`{"dotted.name",a="b"} 1`+"\n"), "", func(name []byte) bool { return string(name) == "rpc_sum" || string(name) == "dotted.name" },
		func(name string, _ series) { names = append(names, name) })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"rpc_sum", "dotted.name"}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestReadPageRefusesWhatIsNoPage(t *testing.T) {
	tests := []struct{ name, body, contentType, want string }{
		{"another type", goPage, "text/html; charset=utf-8", `the content type is "text/html; charset=utf-8", allowed is text/plain or application/openmetrics-text`},
		{"protobuf", goPage, "application/vnd.google.protobuf", `the content type is "application/vnd.google.protobuf", allowed is text/plain or application/openmetrics-text`},
		{"no type at all is text", "a 1\n", "", ""},
		{"a type that cannot be", "a 1\n", ";", `the content type is ";", allowed is text/plain or application/openmetrics-text`},
		{"nothing on it", "# HELP a b\n", "text/plain", "parse page: it has no series"},
		{"OpenMetrics that was cut off", "a 1\n", "application/openmetrics-text", "parse page: data does not end with # EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := readAll(t, tt.body, tt.contentType)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("error is %q, want %q", got, tt.want)
			}
		})
	}
	if _, _, err := readAll(t, "a{ 1\n", "text/plain"); err == nil {
		t.Error("a broken line gives no error")
	}
}

func TestValuesOfAProcessThatCannotBeAreNotThere(t *testing.T) {
	for _, line := range []string{"process_cpu_seconds_total NaN", "process_cpu_seconds_total -1", "process_cpu_seconds_total +Inf", `process_cpu_seconds_total{pid="1"} 4`} {
		if p, _, err := readAll(t, line+"\n", ""); err != nil || !math.IsNaN(p.cpu) {
			t.Errorf("%s: CPU is %v, %v, want it unknown", line, p.cpu, err)
		}
	}
	if p, _, err := readAll(t, "process_cpu_seconds_total{} 4\n", ""); err != nil || p.cpu != 4 {
		t.Errorf("with empty braces CPU is %v, %v, want 4", p.cpu, err)
	}
}

func FuzzReadPage(f *testing.F) {
	for _, body := range []string{goPage, openPage, "a 1", "a{b=\"\\\"\"} NaN 5\n", `{"a b"} 1`, "# TYPE a counter\na_total 1\n# EOF\n", "# TYPE  \n", "\x00"} {
		f.Add([]byte(body), false)
		f.Add([]byte(body), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, open bool) {
		contentType := mediaText
		if open {
			contentType = mediaOpenMetrics
		}
		n := 0
		p, err := readPage(body, contentType, func([]byte) bool { return true }, func(name string, s series) {
			n++
			if s.labels.Get("__name__") != name {
				t.Errorf("series %v goes by the name %q", s.labels, name)
			}
		})
		if err == nil && n == 0 {
			t.Error("a page without series is no error")
		}
		for _, v := range []float64{p.cpu, p.memory, p.start} {
			if v < 0 || math.IsInf(v, 0) {
				t.Errorf("process is %+v", p)
			}
		}
	})
}

func BenchmarkReadPage(b *testing.B) {
	body := append(make([]byte, 0, len(goPage)*20+1), goPage...)
	for i := range 200 { // about as many series as an app has
		for _, c := range `filler_seconds_bucket{handler="/some/path",code="200",le="` + string(rune('a'+i%26)) + `"} 123` + "\n" {
			body = append(body, byte(c))
		}
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		_, err := readPage(body, "text/plain", func(name []byte) bool { return string(name) == "http_requests_total" }, func(string, series) {})
		if err != nil {
			b.Fatal(err)
		}
	}
}
