//go:build linux

package build

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/homeostat/homeostat/lab/internal/layout"
)

// source makes a folder that looks like the lab's module and moves into it.
func source(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range map[string]string{
		"kubeall/main.go": "package main\n\nfunc main() {}\n",
		"kubeall/go.mod":  "module kubeall\n\ngo 1.26.0\n",
		"kubeall/go.sum":  "",
		"pause/main.go":   "package main\n\nfunc main() {}\n",
		"go.mod":          "module lab\n\ngo 1.26.0\n",
	} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(folder)
	return folder
}

func TestBinaryIsBuiltOnceAndThenTakenFromTheCache(t *testing.T) {
	folder, cache := source(t), t.TempDir()
	var said bytes.Buffer
	first, err := Kubernetes(t.Context(), folder, cache, &said)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Components() {
		if _, err := os.Stat(filepath.Join(first, name)); err != nil {
			t.Error(err)
		}
	}
	if !strings.Contains(filepath.Base(first), layout.Version) || !strings.Contains(said.String(), "built in") {
		t.Errorf("folder %s, said %q", first, said.String())
	}
	if left, _ := filepath.Glob(filepath.Join(first, "*.building")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}

	t.Setenv("PATH", "") // no Go: a warm start must not need it
	said.Reset()
	again, err := Kubernetes(t.Context(), folder, cache, &said)
	if err != nil || again != first || said.Len() > 0 {
		t.Errorf("second time: %s, %v, said %q", again, err, said.String())
	}
	if err := os.WriteFile(filepath.Join(folder, "kubeall", "go.sum"), []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Kubernetes(t.Context(), folder, cache, &said); err == nil {
		t.Error("changed sources were taken from the cache")
	}
}

func TestCompilerErrorsAreShown(t *testing.T) {
	folder := source(t)
	if err := os.WriteFile(filepath.Join(folder, "kubeall", "main.go"), []byte("package main\n\nfunc main() { nonsense() }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Kubernetes(t.Context(), folder, t.TempDir(), &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("Kubernetes = %v", err)
	}
}

func TestPauseImageIsBuiltOnce(t *testing.T) {
	folder, cache := source(t), t.TempDir()
	first, err := Pause(t.Context(), folder, cache)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", "")
	again, err := Pause(t.Context(), folder, cache)
	if err != nil || again != first {
		t.Errorf("second time: %s, %v", again, err)
	}
}

func TestSourceIsFoundFromAnywhereInTheCheckout(t *testing.T) {
	folder := source(t)
	for _, below := range []string{".", "pause", "kubeall"} {
		t.Chdir(filepath.Join(folder, below))
		if got, err := FindSource(); err != nil || got != folder {
			t.Errorf("from %s: %s, %v", below, got, err)
		}
	}
	t.Chdir(t.TempDir())
	if got, err := FindSource(); !errors.Is(err, ErrNoSource) {
		t.Errorf("outside: %s, %v", got, err)
	}
}

func TestProgressSaysWhatIsMeasured(t *testing.T) {
	tests := []struct {
		done, total int
		elapsed     time.Duration
		want, not   string
	}{
		{10, 1000, 10 * time.Second, "10 of 1000", "rate"}, // too early to extrapolate
		{500, 1000, 100 * time.Second, "at this rate 1m40s more", "linking"},
		{1000, 1001, 100 * time.Second, "linking", "rate"},
		{0, 1, 10 * time.Second, "linking", "0 of"},
	}
	for _, test := range tests {
		got := progressLine(test.done, test.total, test.elapsed)
		if !strings.Contains(got, test.want) || strings.Contains(got, test.not) {
			t.Errorf("%d of %d after %s: %q, want %q and not %q", test.done, test.total, test.elapsed, got, test.want, test.not)
		}
	}
}

func TestPackagesAreToldFromMessages(t *testing.T) {
	var done atomic.Int64
	messages := count(strings.NewReader("go: downloading x v1\nk8s.io/api/core/v1\nunsafe\n# broken\n./main.go:3:5: undefined: x\n"), &done)
	if done.Load() != 2 || messages != "# broken\n./main.go:3:5: undefined: x\n" {
		t.Errorf("%d packages, messages %q", done.Load(), messages)
	}
}

func TestVersionIsThatOfTheModule(t *testing.T) {
	module, err := os.ReadFile(filepath.Join("..", "..", "kubeall", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(module), "\tk8s.io/kubernetes v"+layout.Version+"\n") {
		t.Errorf("kubeall/go.mod does not have Kubernetes v%s", layout.Version)
	}
}
