package dashboards

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/dashboards/grafana"
)

// servers are a Prometheus and a Loki, the time that is asked about, and what stands for the variables.
type servers struct {
	prometheus, loki string
	from, to         time.Time
	one              *strings.Replacer
}

type series struct {
	Metric map[string]string
	Value  [2]any
	Values [][2]any
}

// numbers counts the series that have a number at any time of the span.
func (s servers) numbers(t *testing.T, expr string) int {
	t.Helper()
	n := 0
	for _, one := range s.series(t, expr) {
		if hasNumber([]series{one}) {
			n++
		}
	}
	return n
}

func (s servers) series(t *testing.T, expr string) []series {
	t.Helper()
	var out struct{ Result []series }
	step := max(s.to.Sub(s.from)/720, time.Second).Seconds()
	params := url.Values{"query": {expr}, "start": {seconds(s.from)}, "end": {seconds(s.to)}, "step": {fmt.Sprint(step)}}
	if err := get(t, s.prometheus+"/api/v1/query_range", params, &out); err != nil {
		t.Errorf("%s: %v", expr, err)
	}
	return out.Result
}

func seconds(at time.Time) string { return fmt.Sprintf("%.3f", float64(at.UnixMilli())/1000) }

func (s servers) lines(t *testing.T, expr string) []string {
	t.Helper()
	var out struct {
		Result []struct{ Values [][2]string }
	}
	params := url.Values{"query": {expr}, "start": {fmt.Sprint(s.from.UnixNano())}, "end": {fmt.Sprint(s.to.UnixNano())}, "limit": {"500"}}
	if err := get(t, s.loki+"/loki/api/v1/query_range", params, &out); err != nil {
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

// hasNumber reports whether any value of the series is a number.
func hasNumber(all []series) bool {
	return slices.ContainsFunc(all, func(s series) bool {
		return slices.ContainsFunc(s.Values, func(v [2]any) bool { return v[1] != "NaN" })
	})
}

// variables asks for the values of every query variable, each with those before it chosen as in one.
func (s servers) variables(t *testing.T, d *grafana.Dashboard) {
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
		var found []map[string]string
		if err := get(t, s.prometheus+"/api/v1/series", url.Values{"match[]": {s.one.Replace(m[1])}, "start": {seconds(s.from)}, "end": {seconds(s.to)}}, &found); err != nil {
			t.Errorf("%s: variable %s: %v", d.UID, v.Name, err)
		}
		want := s.one.Replace("$" + v.Name)
		if !slices.ContainsFunc(found, func(one map[string]string) bool { return one[m[2]] != "" && (want == ".*" || one[m[2]] == want) }) {
			t.Errorf("%s: variable %s cannot be %q, there is %v", d.UID, v.Name, want, found)
		}
	}
}
