package config

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestTheDocumentedConfiguration holds docs/configuration.md against the code: its first file is the defaults, written out, its second
// is accepted, and together they name every field.
func TestTheDocumentedConfiguration(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, part := range strings.Split(string(text), "```yaml\n")[1:] {
		file, _, _ := strings.Cut(part, "\n```")
		files = append(files, file)
	}
	if len(files) != 2 {
		t.Fatalf("%d files are documented, want the defaults and who is told", len(files))
	}
	defaults, err := Read(strings.NewReader(files[0]))
	if err != nil {
		t.Fatalf("the defaults: %v", err)
	}
	if diff := cmp.Diff(Default(), defaults, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the documented defaults (-code +document):\n%s", diff)
	}
	if _, err := Read(strings.NewReader(files[1])); err != nil {
		t.Errorf("who is told: %v", err)
	}
	for _, field := range fields(reflect.TypeFor[Config]()) {
		if !strings.Contains(string(text), field+":") && !strings.Contains(string(text), "`"+field+"`") {
			t.Errorf("the field %s is not documented", field)
		}
	}
}

// fields returns the names of all fields within the type.
func fields(of reflect.Type) []string {
	var out []string
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct {
		return nil
	}
	for f := range of.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name != "" {
			out = append(out, name)
		}
		if inner := f.Type; inner != reflect.TypeFor[[]Route]() {
			out = append(out, fields(inner)...)
		}
	}
	return out
}
