package loki

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/logs"
	"github.com/homeostat/homeostat/internal/logs/loki/lokitest"
)

// TestRealLoki pushes lines to a Loki of its own and reads them back. hack/loki.sh builds it. LOKI=required fails where it is not
// there, LOKI=off leaves the test out.
func TestRealLoki(t *testing.T) {
	url := lokitest.Start(t, "../../..", true)
	now := time.Now().UTC().Truncate(time.Microsecond)
	var want []logs.Line
	for i := range 2500 { // several pages, five lines of each time
		want = append(want, logs.Line{At: now.Add(time.Duration(i/5-500) * 100 * time.Millisecond), Text: fmt.Sprintf(`level=info msg="line \"%d\"" ü`, i)})
	}
	kubernetes := map[string]string{"namespace": "shop", "pod": "web-1", "container": "web"}
	push(t, url, "shop-team", kubernetes, nil, want)
	push(t, url, "shop-team", map[string]string{"namespace": "shop", "pod": "web-2", "container": "web"}, nil, want[2495:])
	push(t, url, "shop-team", map[string]string{"namespace": "shop", "pod": "web-1", "container": "proxy"}, nil, []logs.Line{{At: now, Text: "of another container"}})
	otlp := map[string]string{"k8s_pod_name": "api-1", "k8s_container_name": "api"}
	push(t, url, "otel-team", map[string]string{"k8s_namespace_name": "shop"}, otlp, want[:3])

	open := func(change func(*Options)) *Reader {
		o := Options{URL: url, Tenant: "shop-team", Now: time.Now, Timeout: 20 * time.Second}
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
	q := logs.Query{
		Namespace: "shop", Replicas: []string{"web-1"}, Container: "web", From: now.Add(-5 * time.Minute), To: now.Add(10 * time.Second),
		MaxLines: 5000, MaxBytes: 1 << 20,
	}
	read := func(r *Reader, q logs.Query) []logs.Line {
		t.Helper()
		var got []logs.Line
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			var err error
			if got, err = r.Window(t.Context(), q); err != nil {
				t.Fatal(err)
			}
			if len(got) > 0 {
				break
			}
		}
		slices.SortStableFunc(got, byText)
		return got
	}
	sorted := func(lines []logs.Line) []logs.Line {
		lines = slices.Clone(lines)
		slices.SortStableFunc(lines, byText)
		return lines
	}
	for name, tc := range map[string]struct {
		reader func(*Options)
		change func(*logs.Query)
		want   []logs.Line
	}{
		"backward":  {want: want},
		"forward":   {change: func(q *logs.Query) { q.Forward = true }, want: want},
		"odd pages": {reader: func(o *Options) { o.Page = 333 }, want: want},
		"newest":    {change: func(q *logs.Query) { q.MaxLines = 50 }, want: want[2450:]},
		"a window": {
			change: func(q *logs.Query) { q.From, q.To = want[1000].At, want[1500].At }, want: want[1000:1500],
		},
		"two replicas": {change: func(q *logs.Query) { q.Replicas, q.From = []string{"web-1", "web-2"}, want[2495].At }, want: append(slices.Clone(want[2495:]), want[2495:]...)},
		"otlp": {
			reader: func(o *Options) { o.Tenant, o.Labels = "otel-team", Presets()["otlp"] },
			change: func(q *logs.Query) { q.Replicas, q.Container = []string{"api-1"}, "api" }, want: want[:3],
		},
	} {
		t.Run(name, func(t *testing.T) {
			q := q
			if tc.change != nil {
				tc.change(&q)
			}
			if diff := cmp.Diff(sorted(tc.want), read(open(tc.reader), q)); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}

	for name, tc := range map[string]struct {
		reader  func(*Options)
		trouble Trouble
		message string
	}{
		"no tenant":       {func(o *Options) { o.Tenant = "" }, Denied, "no org id"},
		"labels of OTLP":  {func(o *Options) { o.Labels = Presets()["otlp"] }, Unlabeled, "no label k8s_namespace_name; it has container, namespace, pod"},
		"a path of a UI":  {func(o *Options) { o.URL = url + "/grafana" }, Refused, "404"},
		"a word for none": {func(o *Options) { o.Labels = Labels{Namespace: "by", Pod: "pod", Container: "container"} }, Refused, "parse error"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(tc.reader).Window(t.Context(), q)
			var e *Error
			if !errors.As(err, &e) || e.Trouble != tc.trouble || !strings.Contains(e.Message, tc.message) {
				t.Errorf("error is %v, want %s with %q", err, tc.trouble, tc.message)
			}
		})
	}
	t.Run("an empty window", func(t *testing.T) {
		q := q
		q.Replicas = []string{"web-9"}
		if lines, err := open(nil).Window(t.Context(), q); err != nil || len(lines) > 0 {
			t.Errorf("%d lines and error %v", len(lines), err)
		}
	})
	t.Run("more at once than it allows", func(t *testing.T) {
		if got := read(open(func(o *Options) { o.Page = 6000 }), func() logs.Query { q := q; q.MaxLines = 6000; return q }()); len(got) != len(want) {
			t.Errorf("%d lines, want %d", len(got), len(want))
		}
	})
}

func push(t *testing.T, url, tenant string, labels, metadata map[string]string, lines []logs.Line) {
	t.Helper()
	values := make([][]any, len(lines))
	for i, l := range lines {
		values[i] = []any{strconv.FormatInt(l.At.UnixNano(), 10), l.Text}
		if metadata != nil {
			values[i] = append(values[i], metadata)
		}
	}
	body, err := json.Marshal(map[string]any{"streams": []any{map[string]any{"stream": labels, "values": values}}})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/loki/api/v1/push", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Scope-OrgID", tenant)
	res, err := lokitest.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		t.Fatalf("push answers %s", res.Status)
	}
}
