package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/promql/parser"
	"gopkg.in/yaml.v3"

	"github.com/homeostat/homeostat/internal/telemetry"
)

const (
	root       = "../../.."
	runbookURL = "https://github.com/homeostat/homeostat/blob/main/alerts/runbooks/"
	kindHole   = "{{ $labels.kind }}"
)

// rule is one of a rule file.
type rule struct {
	Alert       string            `yaml:"alert"`
	Record      string            `yaml:"record"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	KeepFiring  string            `yaml:"keep_firing_for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

type ruleGroups struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []rule `yaml:"rules"`
	} `yaml:"groups"`
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// decode reads YAML in which every field must be known.
func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatal(err)
	}
}

func rules(t *testing.T) (alerts, records []rule) {
	t.Helper()
	var file ruleGroups
	decode(t, read(t, rulesPath), &file)
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" {
				records = append(records, r)
				continue
			}
			alerts = append(alerts, r)
		}
	}
	if len(alerts) == 0 || len(records) == 0 {
		t.Fatal("the file has no alerts or no records")
	}
	return alerts, records
}

func selectors(t *testing.T, expr string) []*parser.VectorSelector {
	t.Helper()
	parsed, err := parser.ParseExpr(expr) // that of Prometheus 3
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	var out []*parser.VectorSelector
	parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			out = append(out, s)
		}
		return nil
	})
	return out
}

func TestEveryMetricAndLabelOfTheRulesIsInTheTable(t *testing.T) {
	t.Parallel()
	alerts, records := rules(t)
	known := map[string][]string{"up": nil}
	for _, m := range telemetry.Metrics() {
		for _, l := range m.Labels {
			known[m.Name] = append(known[m.Name], l.Name)
		}
		if len(m.Labels) == 0 {
			known[m.Name] = nil
		}
	}
	workload := []string{"namespace", "kind", "workload_kind", "workload", "role", "root"}
	for _, r := range records {
		known[r.Record] = append(slices.Clip(workload), "reason")
	}
	everywhere := []string{"__name__", "job", "cluster"}
	for _, r := range slices.Concat(records, alerts) {
		for _, s := range selectors(t, r.Expr) {
			has, there := known[s.Name]
			if !there {
				t.Errorf("%s%s asks for %s, which is not in the table", r.Alert, r.Record, s.Name)
			}
			for _, m := range s.LabelMatchers {
				if !slices.Contains(has, m.Name) && !slices.Contains(everywhere, m.Name) {
					t.Errorf("%s%s asks for the label %s of %s, which has none", r.Alert, r.Record, m.Name, s.Name)
				}
			}
		}
	}
}

// tool returns the path of a program of Prometheus's packages. Where there is none the test is left out, and fails with PROMTOOL=required.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
	case os.Getenv("PROMTOOL") == "required":
		t.Fatalf("PROMTOOL=required, and there is no %s: apt-get install prometheus prometheus-alertmanager", name)
	default:
		t.Skipf("THE RULES WERE NOT TESTED: there is no %s (apt-get install prometheus prometheus-alertmanager)", name)
	}
	return path
}

func TestTheRulesFireAndDoNotFire(t *testing.T) {
	t.Parallel()
	promtool := tool(t, "promtool")
	files, err := filepath.Glob(filepath.Join(root, "alerts/rules/tests/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files of tests, %v", len(files), err)
	}
	out, err := exec.CommandContext(t.Context(), promtool, append([]string{"test", "rules"}, files...)...).CombinedOutput() //nolint:gosec // promtool and files of the repository
	if err != nil {
		t.Errorf("promtool test rules: %v\n%s", err, out)
	}
	out, err = exec.CommandContext(t.Context(), promtool, "check", "rules", "--lint=all", filepath.Join(root, rulesPath)).CombinedOutput() //nolint:gosec // promtool and a file of the repository
	if err != nil || bytes.Contains(out, []byte("duplicate")) {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
}

// Each alert has a case in which it fires, and one in which it must not.
func TestEveryAlertIsTestedBothWays(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, "alerts/rules/tests/*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Tests []struct {
				Cases []struct {
					Alert string `yaml:"alertname"`
					Want  []any  `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			} `yaml:"tests"`
		}
		if err := yaml.Unmarshal(text, &file); err != nil {
			t.Fatal(err)
		}
		for _, one := range file.Tests {
			for _, c := range one.Cases {
				if len(c.Want) > 0 {
					fires[c.Alert] = true
				} else {
					silent[c.Alert] = true
				}
			}
		}
	}
	alerts, _ := rules(t)
	for _, a := range alerts {
		if !fires[a.Alert] || !silent[a.Alert] {
			t.Errorf("%s is tested to fire: %v, and not to: %v", a.Alert, fires[a.Alert], silent[a.Alert])
		}
	}
}

func TestTheObjectsForTheOperatorAreWhole(t *testing.T) {
	t.Parallel()
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Skip("there is no kubectl")
	}
	out, err := exec.CommandContext(t.Context(), kubectl, "kustomize", filepath.Join(root, "deploy/monitoring")).Output() //nolint:gosec // kubectl and a folder of the repository
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for doc := range strings.SplitSeq(string(out), "\n---\n") {
		var object struct {
			Kind     string `yaml:"kind"`
			Metadata struct {
				Namespace string            `yaml:"namespace"`
				Labels    map[string]string `yaml:"labels"`
			} `yaml:"metadata"`
		}
		if err := yaml.Unmarshal([]byte(doc), &object); err != nil {
			t.Fatal(err)
		}
		got = append(got, object.Kind+" "+object.Metadata.Namespace+" "+object.Metadata.Labels["release"])
	}
	slices.Sort(got)
	want := []string{"PrometheusRule homeostat-system kube-prometheus-stack", "ServiceMonitor homeostat-system kube-prometheus-stack"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
