package policy

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/homeostat/homeostat/api/v1alpha1"
)

// What the reference shows can be used as it stands there: as a whole document, or as a part of a spec.
func TestTheExamplesOfTheReferenceAreAccepted(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/autoscaler.md")
	if err != nil {
		t.Fatal(err)
	}
	var examples []string
	inside := false
	for line := range strings.Lines(string(raw)) {
		code := strings.HasPrefix(line, "    ")
		switch {
		case code && inside:
			examples[len(examples)-1] += line
		case code:
			examples = append(examples, line)
		}
		inside = code
	}
	if len(examples) < 12 {
		t.Fatalf("only %d examples", len(examples))
	}
	for _, text := range examples {
		file := strings.ReplaceAll("\n"+text, "\n    ", "\n")
		if !strings.Contains(text, "apiVersion: homeostat.dev") {
			if !strings.Contains(text, "maxReplicas") {
				file = "\nmaxReplicas: 20" + file
			}
			file = autoscaler(strings.ReplaceAll(file, "\n", "\n  "))
		}
		f, err := ParseFile(strings.NewReader(file))
		if err != nil || len(f.Autoscalers) != 1 {
			t.Errorf("%d Autoscalers, %v in\n%s", len(f.Autoscalers), err, text)
		}
	}
}

// A field that the reference does not name is one that nobody finds.
func TestTheReferenceNamesEveryField(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/autoscaler.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range fieldNames() {
		if !regexp.MustCompile(`\b` + field + `\b`).Match(raw) {
			t.Errorf("%s is not in the reference", field)
		}
	}
}

// fieldNames returns the JSON names of all fields of an Autoscaler's spec and status that are types of the API's own.
func fieldNames() []string {
	var names []string
	var walk func(reflect.Type)
	walk = func(t reflect.Type) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct || t.PkgPath() != reflect.TypeFor[v1alpha1.AutoscalerSpec]().PkgPath() {
			return
		}
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			names = append(names, name)
			// Those of a decision are named by the command line's reference, too, in more words.
			if t != reflect.TypeFor[v1alpha1.Decision]() && t != reflect.TypeFor[v1alpha1.AutoscalerHistory]() {
				walk(f.Type)
			}
		}
	}
	walk(reflect.TypeFor[v1alpha1.AutoscalerSpec]())
	walk(reflect.TypeFor[v1alpha1.AutoscalerStatus]())
	return names
}
