package dashboards

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/incident"
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
	recent := func() servers {
		return servers{prometheus: p, from: time.Now().Add(-8 * time.Second), to: time.Now(), one: example}
	}
	waitFor(t, func() bool { return recent().numbers(t, "count_over_time(homeostat_build_info[1m]) >= 8") > 0 })

	for _, d := range All() {
		recent().variables(t, d)
	}
	// Grafana marks the first incident of a kind too, whose counter does not rise but begin.
	for where, expr := range queries(t, "prometheus") {
		if strings.Contains(where, "/annotation/") && strings.Contains(expr, "homeostat_healing_incidents_opened_total") &&
			!slices.ContainsFunc(recent().series(t, example.Replace(expr)), func(one series) bool { return one.Metric["kind"] == string(incident.CPUThrottled) }) {
			t.Errorf("%s: the only incident of its kind is not marked", where)
		}
	}
	for choice, fill := range map[string]*strings.Replacer{"one": example, "all": everything} {
		for where, expr := range queries(t, "prometheus") {
			if recent().numbers(t, fill.Replace(expr)) == 0 {
				t.Errorf("%s: no data with %s chosen\n%s", where, choice, fill.Replace(expr))
			}
		}
	}
	// A panel that counts nothing must find nothing, or the test above could not fail.
	if found := recent().numbers(t, strings.ReplaceAll(`sum(homeostat_healing_incidents{namespace=~"$namespace"})`, "$namespace", "nowhere")); found > 0 {
		t.Errorf("a query about nothing returned %d series", found)
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
		return len(recentLines(t, loki, `{app="homeostat", kind="decision"}`)) > 0 && len(recentLines(t, loki, `{pod=~".+"}`)) > 0
	})
	for choice, fill := range map[string]*strings.Replacer{"one": example, "all": everything} {
		for where, expr := range all {
			found := recentLines(t, loki, fill.Replace(expr))
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
	if found := recentLines(t, loki, `{app="homeostat", namespace="nowhere"}`); len(found) > 0 {
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
	waitFor(t, func() bool { return len(recentLines(t, loki, `{app="homeostat"}`)) == 14 }) // a decision, two incidents and an action, three times, and two ends
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

// recentLines are those of the last five minutes.
func recentLines(t *testing.T, loki, expr string) []string {
	t.Helper()
	return servers{loki: loki, from: time.Now().Add(-5 * time.Minute), to: time.Now()}.lines(t, expr)
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
