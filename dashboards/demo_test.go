package dashboards

import (
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

// The demo's story as `make demo OBSERVABILITY=1` plays it: its objects, and a scrape every five seconds.
var (
	demoExample = strings.NewReplacer(
		"$__rate_interval", "20s", "$__interval", "5s", "$__range", "10m",
		"$namespace", "demo", "$workload", "web", "$kind", "Autoscaler", "$name", "web", "$target", "", "$job", "homeostat", "$instance", ".*",
	)
	demoEverything = strings.NewReplacer(
		"$__rate_interval", "20s", "$__interval", "5s", "$__range", "10m",
		`=~"$namespace"`, `=~".*"`, "$namespace", "demo", "$workload", ".*", "$kind", "Autoscaler", "$name", "web", "$target", "", "$job", ".*", "$instance", ".*",
	)
)

// TestAfterTheDemo runs every query of the dashboards and every expression of the rules against the Prometheus and the Loki beside the demo's lab,
// after its story, and lists what they returned. What returns nothing is in the tables of silent_test.go with the reason; anything else fails, and so
// does what is in the tables of the silent and returns something.
func TestAfterTheDemo(t *testing.T) {
	s := demoServers(t)
	t.Run("panels", func(t *testing.T) { s.panels(t) })
	t.Run("logs", func(t *testing.T) { s.logs(t) })
	t.Run("variables", func(t *testing.T) {
		for _, d := range All() {
			s.variables(t, d)
		}
	})
	t.Run("rules", func(t *testing.T) { s.rules(t) })
	t.Run("alerts arrive", func(t *testing.T) { s.arrived(t) })
}

// demoServers are those that the environment names.
func demoServers(t *testing.T) servers {
	t.Helper()
	s := servers{prometheus: os.Getenv("DASHBOARDS_PROMETHEUS"), loki: os.Getenv("DASHBOARDS_LOKI"), to: time.Now(), one: demoExample}
	if s.prometheus == "" || s.loki == "" {
		t.Skip("DASHBOARDS_PROMETHEUS and DASHBOARDS_LOKI name no servers: make demo OBSERVABILITY=1, then make demo-queries")
	}
	s.from = s.to.Add(-time.Hour)
	s.from = s.began(t)
	return s
}

// began is when the demo's story did, within the hour: when Homeostat was first scraped.
func (s servers) began(t *testing.T) time.Time {
	t.Helper()
	all := s.series(t, `homeostat_build_info`)
	if len(all) == 0 {
		t.Fatal("the Prometheus has not scraped Homeostat within the last hour")
	}
	first := float64(s.to.Unix())
	for _, one := range all {
		if at, ok := one.Values[0][0].(float64); ok {
			first = min(first, at)
		}
	}
	return time.Unix(int64(first), 0)
}

// A tally counts what queries returned, and those of the tables that returned nothing.
type tally struct {
	asked, answered, excused int
	silent                   map[string]string
}

// expect compares what a query returned with the tables of those that return nothing.
func (y *tally) expect(t *testing.T, where, what string, found int) {
	t.Helper()
	why, quiet := y.silent[where]
	either, uncertain := perhaps()[where]
	y.asked++
	if found > 0 {
		y.answered++
	}
	switch {
	case found > 0 && quiet:
		t.Errorf("%s returned %d %s, and should not: %s", where, found, what, why)
	case found > 0:
		t.Logf("%-62s %d %s", where, found, what)
	case quiet || uncertain:
		y.excused++
		t.Logf("%-62s none: %s", where, why+either)
	default:
		t.Errorf("%s returned no %s", where, what)
	}
}

func (y *tally) log(t *testing.T, what string) {
	t.Helper()
	t.Logf("%d of %d %s returned something; %d returned nothing and are listed with the reason", y.answered, y.asked, what, y.excused)
}

func (s servers) panels(t *testing.T) {
	t.Helper()
	all, y := queries(t, "prometheus"), tally{silent: silentPanels()}
	for _, where := range slices.Sorted(maps.Keys(all)) {
		found := s.numbers(t, s.one.Replace(all[where]))
		y.expect(t, where, "series", found)
		if found > 0 && s.numbers(t, demoEverything.Replace(all[where])) == 0 {
			t.Errorf("%s returned no series with all chosen", where)
		}
	}
	y.log(t, "queries to Prometheus")
}

func (s servers) logs(t *testing.T) {
	t.Helper()
	all, y := queries(t, "loki"), tally{}
	for _, where := range slices.Sorted(maps.Keys(all)) {
		y.expect(t, where, "lines", len(s.lines(t, s.one.Replace(all[where]))))
	}
	y.log(t, "queries to Loki")
}

// rules asks for each expression, and for each metric in it; and Prometheus for whether it evaluates them.
func (s servers) rules(t *testing.T) {
	t.Helper()
	all, y := readRules(t), tally{silent: silentRules()}
	metrics := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		y.expect(t, name, "series", s.numbers(t, all[name].Expr))
		for _, metric := range all[name].metrics(t) {
			metrics[metric] = true
		}
	}
	y.log(t, "expressions of rules")
	y = tally{silent: silentMetrics()}
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		y.expect(t, name, "series", s.numbers(t, name))
	}
	y.log(t, "metrics in the rules")
	for name, health := range s.evaluated(t) {
		if _, ok := all[name]; !ok || health != "ok" {
			t.Errorf("Prometheus evaluates %s: %s", name, health)
		}
		delete(all, name)
	}
	for name := range all {
		t.Errorf("Prometheus does not evaluate %s", name)
	}
}

// evaluated returns the health of each rule in Prometheus.
func (s servers) evaluated(t *testing.T) map[string]string {
	t.Helper()
	var out struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	if err := get(t, s.prometheus+"/api/v1/rules", url.Values{}, &out); err != nil {
		t.Fatal(err)
	}
	health := map[string]string{}
	for _, g := range out.Groups {
		for _, r := range g.Rules {
			health[r.Name] = r.Health
			if r.LastError != "" {
				health[r.Name] += " " + r.LastError
			}
		}
	}
	return health
}

// arrived asks for the way of an alert: fired by the rule, sent by Prometheus and by Homeostat itself, taken by Alertmanager, and ended.
func (s servers) arrived(t *testing.T) {
	t.Helper()
	var y tally
	for _, expr := range []string{
		`ALERTS{alertname="HomeostatOOMKilled", alertstate="firing", namespace="demo", workload="web"}`,
		`sum(prometheus_notifications_sent_total) > 0`,
		`sum(homeostat_notifications_total{receiver="stack", result="sent"}) > 0`,
		`sum(alertmanager_alerts_received_total{status="firing"}) > 0`,
		`sum(alertmanager_alerts_received_total{status="resolved"}) > 0`,
	} {
		y.expect(t, expr, "series", s.numbers(t, expr))
	}
}

type rule struct{ Record, Alert, Expr string }

// metrics are the names in the rule's expression.
func (r rule) metrics(t *testing.T) []string {
	t.Helper()
	e, err := parser.ParseExpr(r.Expr)
	if err != nil {
		t.Fatalf("%s%s: %v", r.Record, r.Alert, err)
	}
	var names []string
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok {
			names = append(names, v.Name)
		}
		return nil
	})
	return names
}

// readRules reads the rules that are committed, by their names.
func readRules(t *testing.T) map[string]rule {
	t.Helper()
	text, err := os.ReadFile("../alerts/rules/homeostat.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Groups []struct{ Rules []rule } }
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	all := map[string]rule{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			all[r.Record+r.Alert] = r
		}
	}
	if len(all) == 0 {
		t.Fatal("there are no rules")
	}
	return all
}
