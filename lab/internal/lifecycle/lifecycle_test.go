//go:build linux

package lifecycle

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/homeostat/homeostat/lab/internal/layout"
)

func testLab(t *testing.T) *Lab {
	t.Helper()
	return New(layout.Lab{Name: "homeostat-unit", State: filepath.Join(t.TempDir(), "homeostat-unit")}, &bytes.Buffer{})
}

func TestBusyPortIsReplacedAndAFreeOneKept(t *testing.T) {
	busy, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	taken := busy.Addr().(*net.TCPAddr).Port
	got, err := freePort(t.Context(), taken)
	if err != nil || got == taken || got == 0 {
		t.Errorf("freePort(%d) = %d, %v", taken, got, err)
	}
	if again, err := freePort(t.Context(), got); err != nil || again != got {
		t.Errorf("freePort(%d) = %d, %v", got, again, err)
	}
}

func TestForwarderCarriesEveryPort(t *testing.T) {
	options := layout.Defaults()
	options.Forwards = append(options.Forwards, layout.Forward{HostPort: 8080, Port: 30090})
	l := testLab(t)
	c, err := l.cluster(layout.Saved{Options: options})
	if errors.Is(err, ErrImpossible) {
		t.Skip("SKIPPED: no CNI plugins here")
	}
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Join(c.forwardSpec().Argv, " ")
	for _, part := range []string{"127.0.0.1:16443=10.88.0.1:6443", "127.0.0.1:30080=10.88.0.1:30080", "127.0.0.1:8080=10.88.0.1:30090"} {
		if !strings.Contains(line, part) {
			t.Errorf("%s is missing in %s", part, line)
		}
	}
}

func TestCommandsOnALabThatIsDown(t *testing.T) {
	l := testLab(t)
	for name, err := range map[string]error{
		"status": l.Status(t.Context()),
		"stop":   l.Stop(t.Context(), "etcd", false),
		"start":  l.Start(t.Context(), "etcd"),
		"load":   l.LoadImages(t.Context(), []string{"x"}),
	} {
		if !errors.Is(err, ErrDown) {
			t.Errorf("%s: %v, want ErrDown", name, err)
		}
	}
}

func TestDownOfNothingIsNoError(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: needs root")
	}
	l := testLab(t)
	if err := l.Down(t.Context(), false); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(filepath.Dir(l.State)); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// A folder that was named by mistake, such as a home, must survive `lab down`.
func TestDownKeepsAFolderThatIsNoLabs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: needs root")
	}
	l := testLab(t)
	precious := filepath.Join(l.State, "precious")
	if err := errors.Join(os.MkdirAll(l.Bin(), 0o700), os.WriteFile(precious, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := l.Down(t.Context(), false); err == nil || !strings.Contains(err.Error(), "precious") {
		t.Errorf("down says %v", err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error("what somebody had there is gone")
	}
}

func TestFoldersInUseAreKept(t *testing.T) {
	folder := t.TempDir()
	used, empty := filepath.Join(folder, "used"), filepath.Join(folder, "empty")
	for _, path := range []string{used, empty} {
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(used, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	removeEmpty([]string{used, empty, filepath.Join(folder, "none")})
	if _, err := os.Stat(used); err != nil {
		t.Error("a folder that somebody uses was removed")
	}
	if _, err := os.Stat(empty); err == nil {
		t.Error("the empty folder is there")
	}
}
