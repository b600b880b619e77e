package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"gopkg.in/yaml.v3"

	"github.com/homeostat/homeostat/internal/incident"
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

func TestWhatIsGeneratedIsUpToDate(t *testing.T) {
	t.Parallel()
	files, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range files {
		if diff := cmp.Diff(string(want), string(read(t, path))); diff != "" {
			t.Errorf("%s is stale: go generate ./internal/telemetry (-want +got):\n%s", path, diff)
		}
	}
}

func TestAPageWithoutItsMarksIsAnError(t *testing.T) {
	t.Parallel()
	for page, want := range map[string]string{
		"no marks":                         `"<!-- table: autoscalers -->" is missing`,
		"<!-- table: autoscalers -->\nold": `"<!-- table: autoscalers -->" has no "<!-- end of table -->" after it`,
	} {
		if _, err := fillPage([]byte(page), telemetry.Metrics()); err == nil || err.Error() != want {
			t.Errorf("%q gives %v, want %s", page, err, want)
		}
	}
}

func TestTheTextAroundATableIsKept(t *testing.T) {
	t.Parallel()
	page := "# A\n\n<!-- table: autoscalers -->\nold\n<!-- end of table -->\nB\n<!-- table: healing -->\n<!-- end of table -->\n" +
		"<!-- table: controller -->\n<!-- end of table -->\nC\n"
	m := []telemetry.Metric{
		{
			Name: "a_total", Type: telemetry.Counter, Part: telemetry.Autoscalers, Unit: "things", Help: "Things.",
			Labels: []telemetry.Label{{Name: "x", Bound: "two"}, {Name: "y", Bound: "three"}},
		},
		{Name: "b", Type: telemetry.Gauge, Part: telemetry.Autoscalers, Help: "Another.", Labels: []telemetry.Label{{Name: "x", Bound: "four"}}},
		{Name: "c", Type: telemetry.Gauge, Part: telemetry.Autoscalers, Help: "A third.", Labels: []telemetry.Label{{Name: "x", Bound: "two"}}},
	}
	got, err := fillPage([]byte(page), m)
	if err != nil {
		t.Fatal(err)
	}
	want := "# A\n\n<!-- table: autoscalers -->\n| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n" +
		"| `a_total` | counter | things | `x`, `y` | Things. |\n| `b` | gauge |  | `x` | Another. |\n| `c` | gauge |  | `x` | A third. |\n\n" +
		"| label | values |\n|---|---|\n| `x` | two |\n| `y` | three |\n| `x` of `b` | four |\n<!-- end of table -->\nB\n"
	if before, _, _ := strings.Cut(string(got), "<!-- table: healing"); before != want {
		t.Errorf("(-want +got):\n%s", cmp.Diff(want, before))
	}
	again, err := fillPage(got, m)
	if err != nil || !bytes.Equal(got, again) {
		t.Errorf("filled twice it is another page, or %v", err)
	}
}

func TestThePrometheusRuleHasTheGroupsOfThePlainFile(t *testing.T) {
	t.Parallel()
	var plain ruleGroups
	decode(t, read(t, rulesPath), &plain)
	var object struct {
		APIVersion string     `yaml:"apiVersion"`
		Kind       string     `yaml:"kind"`
		Metadata   any        `yaml:"metadata"`
		Spec       ruleGroups `yaml:"spec"`
	}
	decode(t, read(t, rulePath), &object)
	if object.Kind != "PrometheusRule" || object.APIVersion != "monitoring.coreos.com/v1" {
		t.Errorf("it is a %s of %s", object.Kind, object.APIVersion)
	}
	if diff := cmp.Diff(plain, object.Spec); diff != "" {
		t.Errorf("(-plain +object):\n%s", diff)
	}
}

// kindsOf returns the kinds of incident that the alert's label kind can have.
func kindsOf(t *testing.T, r *rule) []string {
	t.Helper()
	var out []string
	for _, s := range selectors(t, r.Expr) {
		for _, k := range incident.Kinds() {
			fits := slices.ContainsFunc(s.LabelMatchers, func(m *labels.Matcher) bool { return m.Name == "kind" && m.Matches(string(k)) })
			if fits && !slices.Contains(out, string(k)) {
				out = append(out, string(k))
			}
		}
	}
	return out
}

func TestEveryAlertSaysWhatIsWrongAndHasARunbook(t *testing.T) {
	t.Parallel()
	alerts, _ := rules(t)
	pages := map[string]bool{"README.md": true}
	for i := range alerts {
		a := &alerts[i]
		if !strings.HasPrefix(a.Alert, "Homeostat") || !slices.Contains([]string{"critical", "warning", "info"}, a.Labels["severity"]) {
			t.Errorf("%s has the severity %q", a.Alert, a.Labels["severity"])
		}
		for _, name := range []string{"summary", "description", "runbook_url"} {
			if a.Annotations[name] == "" {
				t.Errorf("%s has no %s", a.Alert, name)
			}
		}
		if n := len(a.Annotations); n != 3 {
			t.Errorf("%s has %d annotations", a.Alert, n)
		}
		url := a.Annotations["runbook_url"]
		urls := []string{url}
		if strings.Contains(url, kindHole) {
			urls = nil
			for _, k := range kindsOf(t, a) {
				urls = append(urls, strings.ReplaceAll(url, kindHole, k))
			}
		}
		if len(urls) == 0 {
			t.Errorf("%s leads nowhere", a.Alert)
		}
		for _, u := range urls {
			name, ours := strings.CutPrefix(u, runbookURL)
			if !ours {
				t.Errorf("%s leads to %s", a.Alert, u)
			}
			pages[name] = true
		}
	}
	for _, k := range incident.Kinds() { // the alerts that Homeostat sends itself are called so
		pages["Homeostat"+string(k)+".md"] = true
	}
	entries, err := os.ReadDir(filepath.Join(root, "alerts/runbooks"))
	if err != nil {
		t.Fatal(err)
	}
	var there []string
	for _, e := range entries {
		there = append(there, e.Name())
		if !pages[e.Name()] {
			t.Errorf("no alert leads to alerts/runbooks/%s", e.Name())
		}
	}
	contents := string(read(t, "alerts/runbooks/README.md"))
	for name := range pages {
		if !slices.Contains(there, name) {
			t.Errorf("alerts/runbooks/%s is missing", name)
			continue
		}
		if name != "README.md" {
			checkRunbook(t, name, contents)
		}
	}
}

func checkRunbook(t *testing.T, name, contents string) {
	t.Helper()
	if !strings.Contains(contents, "]("+name+")") {
		t.Errorf("alerts/runbooks/README.md does not list %s", name)
	}
	page := string(read(t, "alerts/runbooks/"+name))
	if !strings.HasPrefix(page, "# "+strings.TrimSuffix(name, ".md")+"\n") {
		t.Errorf("%s begins with another title", name)
	}
	for _, heading := range []string{"## Look first", "## Do", "## Silence", "## When it is a false alarm"} {
		if !strings.Contains(page, "\n"+heading+"\n") {
			t.Errorf("%s has no %q", name, heading)
		}
	}
	if !strings.Contains(page, "\n```\nhomeostat ") && !strings.Contains(page, "\n```\nkubectl ") {
		t.Errorf("%s has no command to begin with", name)
	}
	for _, link := range regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`).FindAllStringSubmatch(page, -1) {
		if _, err := os.Stat(filepath.Join(root, "alerts/runbooks", link[1])); err != nil {
			t.Errorf("%s links to %s: %v", name, link[1], err)
		}
	}
}

// The commands in runbooks are typed at 3 a.m.: what they call is there.
func TestTheCommandsOfTheRunbooksAreThere(t *testing.T) {
	t.Parallel()
	cli := string(read(t, "docs/cli.md"))
	pages, err := filepath.Glob(filepath.Join(root, "alerts/runbooks/*.md"))
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`(?m)^(?:\$ )?homeostat ([a-z]+)`)
	known := regexp.MustCompile(`(?m)^    homeostat ([a-z]+)`)
	var names []string
	for _, m := range known.FindAllStringSubmatch(cli, -1) {
		names = append(names, m[1])
	}
	for _, p := range pages {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range command.FindAllStringSubmatch(string(text), -1) {
			if !slices.Contains(names, m[1]) {
				t.Errorf("%s: there is no command homeostat %s", filepath.Base(p), m[1])
			}
		}
	}
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
