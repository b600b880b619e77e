package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const head = "apiVersion: homeostat.dev/v1alpha1\nkind: Autoscaler\nmetadata: {name: web}\n"

func TestAFaultNamesLineFieldValueAndWhatIsAllowed(t *testing.T) {
	t.Parallel()
	good := head + "spec: {scaleTargetRef: {kind: Deployment, name: web}, maxReplicas: 4}\n"
	for name, test := range map[string]struct{ text, want string }{
		"unknown field":      {head + "spec:\n  maxReplica: 4\n", "line 5: spec.maxReplica: unknown field"},
		"letters of a field": {head + "spec:\n  MaxReplicas: 4\n", "line 5: spec.MaxReplicas: unknown field"},
		"unknown in a list":  {head + "spec:\n  metrics:\n  - type: Resource\n    extra: 1\n", "line 7: spec.metrics[0].extra: unknown field"},
		"wrong type":         {head + "spec:\n  maxReplicas: four\n", `line 5: spec.maxReplicas: "four" is not allowed: must be a whole number of at most 32 bits`},
		"too large":          {head + "spec:\n  maxReplicas: 4000000000\n", `line 5: spec.maxReplicas: "4000000000" is not allowed: must be a whole number of at most 32 bits`},
		"list for a text":    {head + "spec:\n  mode: [Active]\n", "line 5: spec.mode: a list is not allowed: must be text"},
		"text for a mapping": {head + "spec:\n  behavior: fast\n", `line 5: spec.behavior: "fast" is not allowed: must be a mapping`},
		"duration":           {head + "spec:\n  maxReplicas: 4\n  timing:\n    cpuInitializationPeriod: 5 minutes\n", `line 7: spec.timing.cpuInitializationPeriod: "5 minutes" is not allowed: time: unknown unit`},
		"quantity": {
			head + "spec:\n  metrics:\n  - type: Resource\n    resource:\n      name: cpu\n      target:\n        averageValue: much\n",
			`line 10: spec.metrics[0].resource.target.averageValue: "much" is not allowed: quantities must match`,
		},
		"out of range":     {good + "---\n" + strings.Replace(head, "web", "api", 1) + "spec:\n  scaleTargetRef: {kind: Deployment, name: web}\n  maxReplicas: 0\n", "line 11: spec.maxReplicas: Invalid value: 0"},
		"missing":          {head + "spec:\n  maxReplicas: 4\n", "line 4: spec.scaleTargetRef.kind: Required value"},
		"twice a key":      {head + "spec:\n  maxReplicas: 4\n  maxReplicas: 5\n", "line 6: spec.maxReplicas: given twice, first on line 5"},
		"twice an object":  {good + "---\n" + good, `line 8: metadata.name: the Autoscaler "web" is there twice, first on line 1`},
		"no name":          {"apiVersion: homeostat.dev/v1alpha1\nkind: Autoscaler\nspec: {scaleTargetRef: {kind: Deployment, name: web}, maxReplicas: 4}\n", "line 1: metadata.name: required"},
		"no kind":          {"apiVersion: homeostat.dev/v1alpha1\n", "line 1: kind: required, as text"},
		"no apiVersion":    {"kind: Autoscaler\n", "line 1: apiVersion: required, as text"},
		"other kind":       {"apiVersion: homeostat.dev/v1alpha1\nkind: Incident\n", `line 2: kind: "Incident" is not allowed: must be Autoscaler or HealingPolicy`},
		"other version":    {"kind: Autoscaler\napiVersion: homeostat.dev/v1\n", `line 2: apiVersion: "homeostat.dev/v1" is not allowed: must be homeostat.dev/v1alpha1`},
		"no mapping":       {"- a\n", "line 1: a document must be a mapping with apiVersion and kind"},
		"alias":            {head + "spec:\n  mode: &m Active\n  maxReplicas: *m\n", "line 6: spec.maxReplicas: an alias (*m) is not allowed"},
		"number as a key":  {head + "spec:\n  1: 2\n", `line 5: spec: key "1" is not allowed: keys must be text`},
		"tag":              {head + "spec:\n  mode: !secret x\n", "line 5: spec.mode: tag !secret is not allowed"},
		"infinite":         {head + "spec:\n  maxReplicas: .inf\n", `line 5: spec.maxReplicas: ".inf" is not allowed: must be a finite number`},
		"syntax":           {head + "spec: {\n", "yaml: line "},
		"too deep":         {head + "spec: " + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "\n", "nested deeper than 100 levels"},
		"too many values":  {head + "spec: [" + strings.Repeat("1,", 30_000) + "]\n", "more than 20000 values"},
		"too large a file": {strings.Repeat("#", MaxFileBytes+1), "more than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseFile(strings.NewReader(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

func TestOtherDocumentsAreHandedOnWithTheirLines(t *testing.T) {
	t.Parallel()
	f := parse(t, "# nothing but a comment\n---\n---\napiVersion: local.homeostat.dev/v1alpha1\nkind: Service\nmetadata: {name: web}\nspec: {on: 2024-01-01, off: no}\n---\n"+
		head+"spec: {scaleTargetRef: {kind: Service, name: web}, maxReplicas: 4}\n")
	if len(f.Others) != 1 || len(f.Autoscalers) != 1 || f.Autoscalers[0].Name != "web" {
		t.Fatalf("%d others, %d autoscalers", len(f.Others), len(f.Autoscalers))
	}
	d := f.Others[0]
	if d.Kind != "Service" || d.Name != "web" || d.Line != 4 || d.Node.Line != 4 {
		t.Errorf("%s %s on line %d", d.Kind, d.Name, d.Line)
	}
	// Dates, yes and no are text where text is wanted.
	var service struct {
		APIVersion string            `json:"apiVersion"`
		Kind       string            `json:"kind"`
		Metadata   map[string]string `json:"metadata"`
		Spec       struct {
			On  string `json:"on"`
			Off string `json:"off"`
		} `json:"spec"`
	}
	if err := d.Decode(&service); err != nil || service.Spec.On != "2024-01-01" || service.Spec.Off != "no" {
		t.Errorf("%+v, %v", service, err)
	}
}

func FuzzParseFile(f *testing.F) {
	for _, folder := range []string{"valid", "invalid"} {
		paths, err := filepath.Glob(filepath.Join(deployed, "testdata", folder, "*.yaml"))
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			raw, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(raw))
		}
	}
	f.Add(head + "spec: {metrics: [{}], timing: {cpuInitializationPeriod: 1e999h}}\n---\n? [a]\n: b\n")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseFile(strings.NewReader(text))
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Error("an error that says nothing")
			}
			return
		}
		for i := range got.Autoscalers {
			p, err := Autoscaling(&got.Autoscalers[i].Spec)
			if err != nil || p.Validate() != nil {
				t.Errorf("a file was accepted whose Autoscaler is not: %v, %v", err, p.Validate())
			}
			set, err := Schedules(&got.Autoscalers[i].Spec)
			if floor := set.Floor(time.Unix(1774749600, 0)); err != nil || (floor != nil && floor.Replicas > p.Max) {
				t.Errorf("a file was accepted whose schedules are not: %v, %+v", err, floor)
			}
			if _, _, err := App(&got.Autoscalers[i].Spec); err != nil {
				t.Errorf("a file was accepted whose app's page is not: %v", err)
			}
		}
		for i := range got.HealingPolicies {
			p := &got.HealingPolicies[i]
			if _, err := Healing(p.Namespace, p.Name, &p.Spec); err != nil {
				t.Errorf("a file was accepted whose HealingPolicy is not: %v", err)
			}
			if _, err := Selector(&p.Spec); err != nil {
				t.Errorf("a file was accepted whose selector is not: %v", err)
			}
		}
		for i := range got.Others {
			var anything map[string]any
			if err := got.Others[i].Decode(&anything); err != nil {
				t.Errorf("a document was accepted that decodes into nothing: %v", err)
			}
		}
	})
}
