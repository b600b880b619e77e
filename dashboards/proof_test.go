package dashboards

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/dashboards/grafana"
	"github.com/homeostat/homeostat/internal/lokipush"
)

// TestEveryPrometheusQueryReturnsData plays a story to a real Prometheus and runs every query of panels, annotations and variables
// against it: where all is chosen, and where one of each is.
func TestEveryPrometheusQueryReturnsData(t *testing.T) {
	t.Parallel()
	s := play(t, nil)
	pages := httptest.NewServer(s.pages())
	t.Cleanup(pages.Close)
	p := startPrometheus(t, strings.TrimPrefix(pages.URL, "http://"))
	waitFor(t, func() bool {
		return len(instant(t, p, "count_over_time(homeostat_build_info[1m]) >= 8")) > 0
	})

	for _, d := range All() {
		variables(t, p, d)
	}
	for choice, fill := range map[string]*strings.Replacer{"one": example, "all": everything} {
		for where, expr := range queries(t, "prometheus") {
			if !hasNumber(overRange(t, p, fill.Replace(expr))) {
				t.Errorf("%s: no data with %s chosen\n%s", where, choice, fill.Replace(expr))
			}
		}
	}
	// A panel that counts nothing must find nothing, or the test above could not fail.
	if found := overRange(t, p, strings.ReplaceAll(`sum(homeostat_healing_incidents{namespace=~"$namespace"})`, "$namespace", "nowhere")); hasNumber(found) {
		t.Errorf("a query about nothing returned %v", found)
	}
}

// TestPreview draws the dashboards into the folder DASHBOARDS_PREVIEW, over servers to which a story was told for a minute and a half.
func TestPreview(t *testing.T) {
	out := os.Getenv("DASHBOARDS_PREVIEW")
	if out == "" {
		t.Skip("DASHBOARDS_PREVIEW names no folder: make dashboards-preview")
	}
	loki := startLoki(t)
	pusher, err := lokipush.New(lokipush.Options{URL: loki, Wait: 50 * time.Millisecond, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = pusher.Run(t.Context()) }()
	pages := httptest.NewServer(play(t, pusher.Write).pages())
	t.Cleanup(pages.Close)
	p := startPrometheus(t, strings.TrimPrefix(pages.URL, "http://"))
	for began := time.Now(); time.Since(began) < 90*time.Second; time.Sleep(3 * time.Second) {
		pushOthers(t, loki)
	}
	cmd := exec.Command("preview/preview.sh", out)
	cmd.Env = append(os.Environ(), "PROMETHEUS="+p, "LOKI="+loki, "PORT="+freePort(t))
	text, err := cmd.CombinedOutput()
	t.Logf("%s", text)
	if err != nil {
		t.Fatal(err)
	}
}

// variables asks for the values of every query variable, each with those before it chosen as in example.
func variables(t *testing.T, p string, d *grafana.Dashboard) {
	t.Helper()
	form := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		m := form.FindStringSubmatch(v.Query)
		if m == nil {
			t.Errorf("%s: variable %s: %q is not label_values(series, label)", d.UID, v.Name, v.Query)
			continue
		}
		var series []map[string]string
		if err := get(t, p+"/api/v1/series", url.Values{"match[]": {example.Replace(m[1])}}, &series); err != nil {
			t.Errorf("%s: variable %s: %v", d.UID, v.Name, err)
		}
		want := example.Replace("$" + v.Name)
		if !slices.ContainsFunc(series, func(s map[string]string) bool { return s[m[2]] != "" && (want == ".*" || s[m[2]] == want) }) {
			t.Errorf("%s: variable %s cannot be %q, there is %v", d.UID, v.Name, want, series)
		}
	}
}

// TestEveryLokiQueryReturnsLines writes a story's records to a real Loki in the way that the controller does, and lines of its pods, and runs
// every query of panels and annotations against it.
func TestEveryLokiQueryReturnsLines(t *testing.T) {
	t.Parallel()
	loki := startLoki(t)
	pushStory(t, loki)
	all := queries(t, "loki")
	for where, expr := range all {
		var formatted string
		if err := get(t, loki+"/loki/api/v1/format_query", url.Values{"query": {example.Replace(expr)}}, &formatted); err != nil {
			t.Errorf("%s: %v", where, err)
		}
	}
	if err := get(t, loki+"/loki/api/v1/format_query", url.Values{"query": {`{app="homeostat"} | jsn`}}, new(string)); err == nil {
		t.Error("Loki takes a query that is none")
	}
	waitFor(t, func() bool {
		return len(lines(t, loki, `{app="homeostat", kind="decision"}`)) > 0 && len(lines(t, loki, `{pod=~".+"}`)) > 0
	})
	for choice, fill := range map[string]*strings.Replacer{"one": example, "all": everything} {
		for where, expr := range all {
			found := lines(t, loki, fill.Replace(expr))
			if len(found) == 0 {
				t.Errorf("%s: no lines with %s chosen\n%s", where, choice, fill.Replace(expr))
			}
			for _, line := range found {
				if strings.Contains(expr, `{app="homeostat"`) && strings.Contains(expr, "line_format") && !regexp.MustCompile(`^[A-Za-z]+ \S*shop/\S+: .+`).MatchString(line) {
					t.Errorf("%s: the line is not for people: %q", where, line)
				}
			}
		}
	}
	if found := lines(t, loki, `{app="homeostat", namespace="nowhere"}`); len(found) > 0 {
		t.Errorf("a query about nothing returned %q", found)
	}
}

func pushStory(t *testing.T, loki string) {
	t.Helper()
	pusher, err := lokipush.New(lokipush.Options{URL: loki, Wait: 50 * time.Millisecond, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- pusher.Run(ctx) }()
	s := play(t, pusher.Write)
	for range 3 {
		s.next(time.Now())
	}
	waitFor(t, func() bool { return len(lines(t, loki, `{app="homeostat"}`)) == 14 }) // a decision, two incidents and an action, three times, and two ends
	end()
	if err := <-ended; err != nil || pusher.Dropped() > 0 {
		t.Fatalf("%d records were dropped, and %v", pusher.Dropped(), err)
	}
	pushOthers(t, loki)
}

// pushOthers writes lines of pods, as an agent would.
func pushOthers(t *testing.T, loki string) {
	t.Helper()
	push(t, loki, map[string]string{"namespace": "shop", "pod": "web-6d4cf56db6-x7k2p", "container": "app"}, "cache grows: 200 MiB")
	push(t, loki, map[string]string{"namespace": "homeostat-system", "pod": "homeostat-5c9f7d8b6c-r2n8v", "container": "homeostat"},
		`{"time":"2026-01-01T00:00:00Z","level":"WARN","msg":"node cannot be scraped","error":"no route"}`)
}

func push(t *testing.T, loki string, labels map[string]string, line string) {
	t.Helper()
	value := []string{strconv.FormatInt(time.Now().UnixNano(), 10), line}
	body, err := json.Marshal(map[string]any{"streams": []any{map[string]any{"stream": labels, "values": []any{value}}}})
	if err != nil {
		t.Fatal(err)
	}
	res, err := client().Post(loki+"/loki/api/v1/push", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		t.Fatalf("push answers %s", res.Status)
	}
}

type series struct {
	Metric map[string]string
	Value  [2]any
	Values [][2]any
}

func overRange(t *testing.T, p, expr string) []series {
	t.Helper()
	now := float64(time.Now().UnixMilli()) / 1000
	var out struct{ Result []series }
	params := url.Values{"query": {expr}, "start": {fmt.Sprint(now - 8)}, "end": {fmt.Sprint(now)}, "step": {"1"}}
	if err := get(t, p+"/api/v1/query_range", params, &out); err != nil {
		t.Errorf("%s: %v", expr, err)
	}
	return out.Result
}

func instant(t *testing.T, p, expr string) []series {
	t.Helper()
	var out struct{ Result []series }
	if err := get(t, p+"/api/v1/query", url.Values{"query": {expr}}, &out); err != nil {
		t.Errorf("%s: %v", expr, err)
	}
	return out.Result
}

// hasNumber reports whether any value of the series is a number.
func hasNumber(all []series) bool {
	return slices.ContainsFunc(all, func(s series) bool {
		return slices.ContainsFunc(s.Values, func(v [2]any) bool { return v[1] != "NaN" })
	})
}

func lines(t *testing.T, loki, expr string) []string {
	t.Helper()
	var out struct {
		Result []struct{ Values [][2]string }
	}
	params := url.Values{"query": {expr}, "since": {"5m"}, "limit": {"500"}}
	if err := get(t, loki+"/loki/api/v1/query_range", params, &out); err != nil {
		t.Errorf("%s: %v", expr, err)
	}
	var found []string
	for _, stream := range out.Result {
		for _, v := range stream.Values {
			found = append(found, v[1])
		}
	}
	return found
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatal("it did not come within a minute")
}
