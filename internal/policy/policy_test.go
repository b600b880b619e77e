package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/homeostat/homeostat/api/v1alpha1"
	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/control"
	"github.com/homeostat/homeostat/internal/incident"
)

const deployed = "../../deploy"

func parse(t *testing.T, text string) File {
	t.Helper()
	f, err := ParseFile(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func autoscaler(spec string) string {
	return "apiVersion: homeostat.dev/v1alpha1\nkind: Autoscaler\nmetadata: {name: web}\nspec:\n  scaleTargetRef: {kind: Deployment, name: web}\n" + spec
}

func TestAnAutoscalerWithoutMoreHasKubernetesDefaults(t *testing.T) {
	t.Parallel()
	f := parse(t, autoscaler("  maxReplicas: 4"))
	got, err := Autoscaling(&f.Autoscalers[0].Spec)
	if err != nil {
		t.Fatal(err)
	}
	want := hpa.Policy{
		Min: 1, Max: 4, Metrics: []hpa.Metric{{Source: hpa.OfResource(hpa.CPU), Type: hpa.Utilization, Target: 80}},
		Tolerance: 0.1, DownscaleStabilization: 5 * time.Minute, CPUInitializationPeriod: 5 * time.Minute,
		InitialReadinessDelay: 30 * time.Second, Health: hpa.DefaultHealth(),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if mode, err := Mode(&f.Autoscalers[0].Spec); mode != control.Active || err != nil {
		t.Errorf("Mode = %s, %v", mode, err)
	}
}

func TestAHealingPolicyReachesTheEngine(t *testing.T) {
	t.Parallel()
	f := parse(t, `
apiVersion: homeostat.dev/v1alpha1
kind: HealingPolicy
metadata: {name: default, namespace: demo}
spec:
  selector: {matchLabels: {app: web}}
---
apiVersion: homeostat.dev/v1alpha1
kind: HealingPolicy
metadata: {name: act}
spec:
  selector: {matchExpressions: [{key: app, operator: In, values: [web]}]}
  mode: Act
  remedies: [{finding: OOMKilled, remedy: Restart}, {finding: NotReady, remedy: None}, {finding: CrashLoop, ladder: [AbortCanary, Rollback]}]
  maxMemoryPercent: 150
  patchTemplate: true
  maxScaleOutPercent: 300
  forecast: {warmUp: 5m, minSpan: 15m, minPercent: 80, horizon: 1h}
  budget: {actions: 5, period: 30m}
  minHealthyPercent: 0
  cooldown: 10s
  verifyWithin: 20s
  resolveAfter: 30s
  notReadyAfter: 40s
  pendingAfter: 50s
`)
	want := healing.DefaultPolicy()
	want.Namespace, want.Name = "demo", "default"
	spec := &f.HealingPolicies[0].Spec
	got, err := Healing("demo", "default", spec)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("defaults: %v, -want +got:\n%s", err, diff)
	}
	want = healing.Policy{
		Name: "act", Mode: healing.Act,
		Remedies: map[incident.Kind][]incident.Remedy{
			incident.OOMKilled: {incident.RemedyRestart}, incident.NotReady: {incident.RemedyNone},
			incident.CrashLoop: {incident.RemedyAbortCanary, incident.RemedyRollback},
		},
		MaxMemoryPercent: 150, PatchTemplate: true, MaxScaleOutPercent: 300,
		Forecast:      healing.ForecastPolicy{WarmUp: 5 * time.Minute, MinSpan: 15 * time.Minute, MinPercent: 80, Horizon: time.Hour},
		BudgetActions: 5, BudgetPeriod: 30 * time.Minute, Cooldown: 10 * time.Second, VerifyWithin: 20 * time.Second,
		ResolveAfter: 30 * time.Second, NotReadyAfter: 40 * time.Second, PendingAfter: 50 * time.Second,
	}
	got, err = Healing("", "act", &f.HealingPolicies[1].Spec)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("everything: %v, -want +got:\n%s", err, diff)
	}
	for i := range f.HealingPolicies {
		s, err := Selector(&f.HealingPolicies[i].Spec)
		if err != nil || !s.Matches(labels.Set{"app": "web"}) || s.Matches(labels.Set{"app": "api"}) {
			t.Errorf("selector %d: %v, %v", i, s, err)
		}
	}
}

func TestAnEmptyOrWrongSelectorSelectsNothing(t *testing.T) {
	t.Parallel()
	wrong := &v1alpha1.HealingPolicySpec{}
	wrong.Selector.MatchLabels = map[string]string{"a b": "c"}
	for _, spec := range []*v1alpha1.HealingPolicySpec{{}, wrong} {
		s, err := Selector(spec)
		if err == nil || s.Matches(labels.Set{}) || s.Matches(labels.Set{"a b": "c"}) {
			t.Errorf("Selector = %v, %v; want nothing and an error", s, err)
		}
	}
}

// What the API server accepts and refuses, by the objects that the end-to-end test gives it, a file accepts and refuses
// too, so that a spec means the same on both platforms.
func TestFilesAreCheckedLikeObjects(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"valid", "invalid"} {
		paths, err := filepath.Glob(filepath.Join(deployed, "testdata", folder, "*.yaml"))
		if err != nil || len(paths) < 3 {
			t.Fatalf("%d objects in %s, %v", len(paths), folder, err)
		}
		for _, path := range paths {
			t.Run(filepath.Base(path), func(t *testing.T) {
				t.Parallel()
				raw, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				_, err = ParseFile(strings.NewReader(string(raw)))
				if folder == "valid" {
					if err != nil {
						t.Errorf("refused: %v", err)
					}
					return
				}
				if err == nil {
					t.Fatal("accepted")
				}
				// The comment on the first line begins with the field's path, as the API server gives it.
				field, _, _ := strings.Cut(strings.TrimPrefix(string(raw), "# "), "|")
				field, _, _ = strings.Cut(field, ":")
				field = strings.TrimSpace(strings.SplitN(field, "\n", 2)[0])
				if !strings.Contains(err.Error(), field) || !strings.HasPrefix(err.Error(), "line ") {
					t.Errorf("error %q names no line or not the field %s", err, field)
				}
			})
		}
	}
}

// The rules in the CRD and the engine must not drift apart: what the rules say is built anew from the engine.
func TestTheAPIAllowsTheRemediesThatTheEngineAllows(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(deployed, "crds", "homeostat.dev_healingpolicies.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensions
	if err := yaml.Unmarshal(raw, &crd); err != nil {
		t.Fatal(err)
	}
	item := crd.Spec.Versions[0].Schema.OpenAPI.Properties["spec"].Properties["remedies"].Items
	if item == nil || len(item.Rules) < 5 {
		t.Fatalf("the schema of a remedy is %+v", item)
	}
	var rules strings.Builder
	for _, r := range item.Rules {
		rules.WriteString(r.Rule + "\n" + r.Message + "\n")
	}
	var kinds, remedies []string
	for _, k := range incident.Kinds() {
		kinds = append(kinds, string(k))
	}
	for _, r := range incident.Remedies() {
		remedies = append(remedies, string(r))
	}
	if diff := cmp.Diff(kinds, item.Properties["finding"].Enum); diff != "" {
		t.Errorf("findings, -engine +CRD:\n%s", diff)
	}
	if diff := cmp.Diff(remedies, item.Properties["remedy"].Enum); diff != "" {
		t.Errorf("remedies, -engine +CRD:\n%s", diff)
	}
	if diff := cmp.Diff(remedies, item.Properties["ladder"].Items.Enum); diff != "" {
		t.Errorf("rungs, -engine +CRD:\n%s", diff)
	}
	byRemedy, words := allowedInCEL()
	if n := strings.Count(rules.String(), byRemedy); n != 3 {
		t.Errorf("the rules have %d times, want 3 times (remedy, ladder and its message):\n%s", n, byRemedy)
	}
	if n := strings.Count(rules.String(), words); n != 2 {
		t.Errorf("the messages have %d times, want 2 times:\n%s", n, words)
	}
}

// apiextensions is the part of a CustomResourceDefinition that is looked at.
type apiextensions struct {
	Spec struct {
		Versions []struct {
			Schema struct {
				OpenAPI crdSchema `yaml:"openAPIV3Schema"`
			} `yaml:"schema"`
		} `yaml:"versions"`
	} `yaml:"spec"`
}

type crdSchema struct {
	Properties map[string]crdSchema `yaml:"properties"`
	Items      *crdSchema           `yaml:"items"`
	Enum       []string             `yaml:"enum"`
	Rules      []struct {
		Rule    string `yaml:"rule"`
		Message string `yaml:"messageExpression"`
	} `yaml:"x-kubernetes-validations"`
}

// allowedInCEL returns what the engine allows as the rules have it: a map of the findings by remedy, and the choice of the words
// for a message. The former is cheap to check; the latter has a bounded cost, which a list that is joined has not.
func allowedInCEL() (byRemedy, words string) {
	quoted := func(kinds []string) string { return "['" + strings.Join(kinds, "', '") + "']" }
	var entries, choices []string
	for _, r := range incident.Remedies()[1:] {
		var kinds []string
		for _, k := range incident.Kinds() {
			if healing.Allows(k, r) {
				kinds = append(kinds, string(k))
			}
		}
		entries = append(entries, "'"+string(r)+"': "+quoted(kinds))
	}
	var order []string
	groups := map[string][]string{}
	for _, k := range incident.Kinds() {
		var allowed []string
		for _, r := range healing.Allowed(k) {
			allowed = append(allowed, string(r))
		}
		key := strings.Join(allowed, ", ")
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], string(k))
	}
	for _, key := range order {
		if key != "None" {
			choices = append(choices, "self.finding in "+quoted(groups[key])+" ? '"+key+"'")
		}
	}
	return "{" + strings.Join(entries, ", ") + "}", "(" + strings.Join(choices, " : ") + " : 'None')"
}

func TestEveryFaultIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Autoscaling(&v1alpha1.AutoscalerSpec{
		MinReplicas: new(int32(0)), Mode: "Off", Metrics: []v1alpha1.MetricSpec{{Type: "Disk"}},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"spec.scaleTargetRef.kind: Required value", "spec.scaleTargetRef.name: Required value",
		"spec.minReplicas: Invalid value: 0: must be at least 1 unless there is a metric of type Object, External or Prometheus", "spec.maxReplicas: Invalid value: 0",
		`spec.mode: Unsupported value: "Off": supported values: "Active", "DryRun", "Paused"`,
		`spec.metrics[0].type: Unsupported value: "Disk": supported values: "Resource", "ContainerResource", "Pods", "Object", "External", "Prometheus"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
}
