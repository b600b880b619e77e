//go:build linux

package controlplane

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/homeostat/homeostat/lab/internal/layout"
)

func testPlane(t *testing.T) Plane {
	t.Helper()
	lab := layout.Lab{Name: "lab", State: filepath.Join(t.TempDir(), "lab")}
	options := layout.Defaults()
	options.MetricsServer = true
	return Plane{Lab: lab, Options: options, Bin: "/bin/kube"}
}

func TestEveryFileOnACommandLineIsMade(t *testing.T) {
	p := testPlane(t)
	if err := p.Prepare(time.Now()); err != nil {
		t.Fatal(err)
	}
	files := 0
	for _, spec := range p.Specs() {
		for _, argument := range spec.Argv[1:] {
			_, value, _ := strings.Cut(argument, "=")
			if !strings.HasPrefix(value, p.Lab.State) || value == p.Lab.Etcd() {
				continue
			}
			files++
			if _, err := os.Stat(value); err != nil {
				t.Errorf("%s %s: %v", spec.Name, argument, err)
			}
		}
	}
	if files < 20 {
		t.Errorf("only %d files were looked at", files)
	}
}

func TestPrepareTwiceChangesNothing(t *testing.T) {
	p := testPlane(t)
	var contents [2]map[string]string
	for i := range contents {
		if err := p.Prepare(time.Now()); err != nil {
			t.Fatal(err)
		}
		contents[i] = map[string]string{}
		for _, folder := range []string{p.Lab.PKI(), p.Lab.Etc()} {
			entries, err := os.ReadDir(folder)
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range entries {
				text, err := os.ReadFile(filepath.Join(folder, entry.Name()))
				if err != nil {
					t.Fatal(err)
				}
				contents[i][entry.Name()] = string(text)
			}
		}
	}
	for name, text := range contents[0] {
		if contents[1][name] != text {
			t.Errorf("%s has changed", name)
		}
	}
}

func TestHPAControllerCanBeLeftOut(t *testing.T) {
	p := testPlane(t)
	const without = "--controllers=*,-horizontal-pod-autoscaler-controller"
	if slices.Contains(p.ControllerManager().Argv, without) {
		t.Error("stock: it is left out")
	}
	p.Options.HPA = layout.HPANone
	if !slices.Contains(p.ControllerManager().Argv, without) {
		t.Error("none: it is not left out")
	}
}

func TestMetricsServerRunsOnlyWhenAskedFor(t *testing.T) {
	p := testPlane(t)
	for _, want := range []bool{true, false} {
		p.Options.MetricsServer = want
		runs := false
		for _, spec := range p.Specs() {
			runs = runs || spec.Name == MetricsServer
		}
		if runs != want {
			t.Errorf("asked for %v, runs %v", want, runs)
		}
	}
}

func TestMetricsObjectsMatchTheirPaths(t *testing.T) {
	authority := []byte("certificate")
	text, err := renderMetricsObjects("10.88.0.1", authority)
	if err != nil {
		t.Fatal(err)
	}
	documents := strings.Split(text, "---\n")
	if len(documents) != 3 {
		t.Fatalf("%d documents", len(documents))
	}
	for _, document := range documents {
		path, object, _ := strings.Cut(document, "\n")
		name := path[strings.LastIndex(path, "/")+1:]
		if !strings.HasPrefix(path, "/api") || !strings.Contains(object, "name: "+name) {
			t.Errorf("object at %s is\n%s", path, object)
		}
	}
	encoded, err := json.Marshal(authority)
	if err != nil || !strings.Contains(text, "caBundle: "+string(encoded)) {
		t.Errorf("the authority is not in the APIService: %v", err)
	}
}
