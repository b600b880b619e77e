package layers

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestTheCodeKeepsTheLayers(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	files := 0
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); rel == "lab" || name == "testdata" || (rel != "." && strings.HasPrefix(name, ".")) {
				return filepath.SkipDir
			}
			return nil
		}
		// Tests may use what they like: they hold real parts against each other.
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		files++
		parsed, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := path.Join(Module, filepath.ToSlash(filepath.Dir(rel)))
		for _, im := range parsed.Imports {
			imported, err := strconv.Unquote(im.Path.Value)
			if err != nil {
				return err
			}
			if why := Broken(pkg, imported); why != "" {
				t.Errorf("%s imports %s: %s", rel, imported, why)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 40 {
		t.Errorf("only %d files were looked at", files)
	}
}

func TestBroken(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pkg, imports string
		broken       bool
	}{
		{"hpa", "time", false},
		{"hpa", Module + "/internal/cluster", false},
		{"hpa", "k8s.io/api/core/v1", true},
		{"hpa", "net/http", true},
		{"hpa", Module + "/healing", true},
		{"healing", Module + "/hpa", true},
		{"healing", "os", true},
		{"metrics", Module + "/metrics/kubelet", false}, // its own tree
		{"metrics/kubelet", "net/http", false},
		{"metrics/kubelet", Module + "/hpa", true},
		{"platform/kube", Module + "/platform/local", true},
		{"platform/kube/view", Module + "/platform/kube", false},
		{"platform/local", Module + "/internal/app", true},
		{"demoapp/load", Module + "/metrics", true},
		{"cmd/homeostat", Module + "/internal/app", true},
		{"internal/app", Module + "/platform/kube", false},
	}
	for _, tt := range tests {
		if got := Broken(Module+"/"+tt.pkg, tt.imports) != ""; got != tt.broken {
			t.Errorf("%s importing %s: broken is %v, want %v", tt.pkg, tt.imports, got, tt.broken)
		}
	}
}
