package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/telemetry"
)

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
