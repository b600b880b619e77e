package dashboards

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"

	"github.com/homeostat/homeostat/dashboards/grafana"
	"github.com/homeostat/homeostat/internal/telemetry"
)

func TestLintFindsNothing(t *testing.T) {
	t.Parallel()
	if found := grafana.Lint(All()...); len(found) > 0 {
		t.Fatal(strings.Join(found, "\n"))
	}
}

func TestTheFilesAreUpToDate(t *testing.T) {
	t.Parallel()
	var want []string
	for _, d := range All() {
		fresh, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		stored, err := os.ReadFile(filepath.Join("grafana", File(d)))
		if err != nil {
			t.Fatal(err)
		}
		if string(fresh) != string(stored) {
			t.Errorf("%s is stale: make dashboards", File(d))
		}
		// kubectl apply keeps the object in an annotation, which may have 256 KiB with all its siblings.
		if len(fresh) > 200<<10 {
			t.Errorf("%s has %d bytes, which kubectl apply cannot take as a ConfigMap", File(d), len(fresh))
		}
		want = append(want, "homeostat-"+File(d)+"="+File(d))
	}
	kustomization, err := os.ReadFile(filepath.Join("grafana", "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var k struct {
		ConfigMapGenerator []struct{ Files []string }
	}
	if err := yaml.Unmarshal(kustomization, &k); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range k.ConfigMapGenerator {
		got = append(got, g.Files...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ConfigMaps (-want +got):\n%s", diff)
	}
}

// Links and bookmarks lead to these, so they never change.
func TestUIDs(t *testing.T) {
	t.Parallel()
	var got []string
	for _, d := range All() {
		got = append(got, d.UID)
	}
	if diff := cmp.Diff([]string{"homeostat-overview", "homeostat-autoscaling", "homeostat-healing", "homeostat-controller"}, got); diff != "" {
		t.Errorf("uids (-want +got):\n%s", diff)
	}
}

// Every metric is one that Homeostat declares, or a foreign one that is listed, with labels that it has; each one that is listed is used.
func TestPromQLNamesMetricsThatExist(t *testing.T) {
	t.Parallel()
	labels, foreign := map[string][]string{}, map[string]bool{}
	for _, m := range telemetry.Metrics() {
		own := []string{"job", "instance"} // of the scrape
		for _, l := range m.Labels {
			own = append(own, l.Name)
		}
		if m.Type == telemetry.Histogram {
			labels[m.Name+"_bucket"], labels[m.Name+"_count"], labels[m.Name+"_sum"] = append(own, "le"), own, own
			continue
		}
		labels[m.Name] = own
	}
	for _, name := range Foreign() {
		foreign[name] = false
	}
	for where, expr := range queries(t, "prometheus") {
		e, err := parser.ParseExpr(example.Replace(expr))
		if err != nil {
			t.Errorf("%s: %v\n%s", where, err, expr)
			continue
		}
		parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
			v, ok := n.(*parser.VectorSelector)
			if !ok {
				return nil
			}
			if _, ok := foreign[v.Name]; ok {
				foreign[v.Name] = true
				return nil
			}
			has, ok := labels[v.Name]
			if !ok {
				t.Errorf("%s: nobody exposes the metric %s", where, v.Name)
				return nil
			}
			for _, m := range v.LabelMatchers {
				if m.Name != "__name__" && !slices.Contains(has, m.Name) {
					t.Errorf("%s: %s has no label %s", where, v.Name, m.Name)
				}
			}
			return nil
		})
	}
	for name, used := range foreign {
		if !used {
			t.Errorf("the foreign metric %s is listed and in no dashboard", name)
		}
	}
}

// What a healthy Homeostat exposes is what the operator sees: a metric in no dashboard is on purpose, and here is why.
func TestEveryMetricIsOnADashboard(t *testing.T) {
	t.Parallel()
	elsewhere := map[string]string{
		"homeostat_healing_incident_root": "the alerts' inhibition uses it; the members' numbers are on the table",
	}
	all := strings.Join(slices.Collect(maps.Values(queries(t, "prometheus"))), "\n")
	for _, m := range telemetry.Metrics() {
		used := regexp.MustCompile(m.Name + `(_bucket|_count|_sum)?\b`).MatchString(all)
		if why := elsewhere[m.Name]; used == (why != "") {
			t.Errorf("%s: on a dashboard is %t, and the reason why not is %q", m.Name, used, why)
		}
	}
}

// The pods of a workload are found by their names, and those of a workload whose name begins in the same way are not.
func TestPodsOfAWorkload(t *testing.T) {
	t.Parallel()
	of := regexp.MustCompile(`^(?:(web)` + podSuffix + `)$`)
	for pod, want := range map[string]bool{
		"web-6d4cf56db6-x7k2p": true, "web-0": true, "web-12": true, "web-x7k2p": true,
		"web": false, "web-api-6d4cf56db6-x7k2p": false, "my-web-6d4cf56db6-x7k2p": false, "website-0": false,
	} {
		if got := of.MatchString(pod); got != want {
			t.Errorf("%s is a pod of web: %t, want %t", pod, got, want)
		}
	}
}

// example has a value for each variable, as Grafana would put it into a query.
var example = strings.NewReplacer(
	"$__rate_interval", "10s", "$__interval", "5s", "$__range", "1m",
	"$namespace", "shop", "$workload", "web", "$kind", "Autoscaler", "$name", "web", "$target", "", "$job", "homeostat", "$instance", ".*",
)

// everything is what Grafana puts in where all is chosen.
var everything = strings.NewReplacer(
	"$__rate_interval", "10s", "$__interval", "5s", "$__range", "1m",
	`=~"$namespace"`, `=~".*"`, "$namespace", "shop", "$workload", ".*", "$kind", "Autoscaler", "$name", "web", "$target", "", "$job", ".*", "$instance", ".*",
)

// queries returns all queries of panels and annotations to that kind of data source, by where they are.
func queries(t *testing.T, source string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, d := range All() {
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				if q.DataSource.Type == source {
					out[d.UID+"/"+p.Title+"/"+q.RefID] = q.Expr
				}
			}
		}
		for _, a := range d.Annotations.List {
			if a.DataSource.Type == source {
				out[d.UID+"/annotation/"+a.Name] = a.Expr
			}
		}
	}
	if len(out) == 0 {
		t.Fatalf("no dashboard asks %s", source)
	}
	return out
}
