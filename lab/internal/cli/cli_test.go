//go:build linux

package cli

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/lab/internal/layout"
)

func TestMain(m *testing.M) {
	// The tests say themselves what the environment has.
	for _, s := range settings() {
		_ = os.Unsetenv(s.env)
	}
	_ = os.Unsetenv("LAB_NAME")
	_ = os.Unsetenv("LAB_STATE")
	os.Exit(m.Run())
}

func call(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = Run(t.Context(), args, Streams{In: os.Stdin, Out: &o, Err: &e})
	return code, o.String(), e.String()
}

func TestWrongCallsSayWhatIsWrong(t *testing.T) {
	t.Setenv("LAB_STATE", t.TempDir())
	tests := []struct {
		args []string
		want string
	}{
		{[]string{}, "usage"},
		{[]string{"nonsense"}, `"nonsense"`},
		{[]string{"up", "--nodes", "3"}, "nodes: 3"},
		{[]string{"up", "--nodes", "x"}, `--nodes: "x"`},
		{[]string{"up", "--hpa", "off"}, `hpa: "off"`},
		{[]string{"up", "--metrics-server", "maybe"}, `--metrics-server: "maybe"`},
		{[]string{"up", "--forward", "1:2:3"}, `"1:2:3"`},
		{[]string{"up", "--nonsense"}, "nonsense"},
		{[]string{"up", "extra"}, `"extra"`},
		{[]string{"down", "--name", "A B"}, `"A B"`},
		{[]string{"stop"}, "one component"},
		{[]string{"load"}, "wrong number"},
		{[]string{"image", "--name", "x:y"}, "--out"},
		{[]string{"forward", "ns", "x"}, `"x"`},
	}
	for _, test := range tests {
		code, out, errs := call(t, test.args...)
		if code != exitUsage || !strings.Contains(out+errs, test.want) {
			t.Errorf("lab %v: exit code %d, said %q, want 2 and %q", test.args, code, out+errs, test.want)
		}
	}
}

func TestHelpNamesCommandsForUsersOnly(t *testing.T) {
	code, out, _ := call(t, "help")
	if code != exitOK || !strings.Contains(out, "  up ") || strings.Contains(out, "hold-mounts") {
		t.Errorf("exit code %d, said\n%s", code, out)
	}
	if code, _, errs := call(t, "up", "-h"); code != exitOK || !strings.Contains(errs, "METRICS_SERVER") {
		t.Errorf("exit code %d, said\n%s", code, errs)
	}
}

func TestCommandsNeedALabThatIsUp(t *testing.T) {
	for _, command := range []string{"status", "kubeconfig", "kubectl", "enter"} {
		t.Setenv("LAB_STATE", filepath.Join(t.TempDir(), "none"))
		code, _, errs := call(t, command)
		if code != exitFailed || !strings.Contains(errs, "not up") {
			t.Errorf("lab %s: exit code %d, said %q", command, code, errs)
		}
	}
}

func TestMissingProgramsAreListedAtOnce(t *testing.T) {
	t.Setenv("LAB_STATE", t.TempDir())
	t.Setenv("PATH", t.TempDir())
	code, _, errs := call(t, "up")
	if code != exitImpossible {
		t.Errorf("exit code %d, want %d", code, exitImpossible)
	}
	wants := []string{"make demo", "KUBECONFIG="}
	if os.Geteuid() == 0 {
		wants = append(wants, "containerd", "nsenter", "apt-get install containerd runc")
	} else {
		wants = append(wants, "root")
	}
	for _, want := range wants {
		if !strings.Contains(errs, want) {
			t.Errorf("%q is missing in %q", want, errs)
		}
	}
}

func TestFlagsBeatTheEnvironmentWhichBeatsWhatWasBefore(t *testing.T) {
	parsed := func(args ...string) *flag.FlagSet {
		flags := flag.NewFlagSet("up", flag.ContinueOnError)
		for _, s := range settings() {
			flags.String(s.flag, "", s.usage)
		}
		if err := flags.Parse(args); err != nil {
			t.Fatal(err)
		}
		return flags
	}
	t.Setenv("NODES", "2")
	t.Setenv("HPA", "none")
	t.Setenv("METRICS_SERVER", "1")
	options := layout.Defaults()
	options.ReservedCPU = "250m"
	if err := apply(&options, settings(), parsed("--hpa", "stock", "--forward", "8080:30080,30090")); err != nil {
		t.Fatal(err)
	}
	want := layout.Defaults()
	want.Nodes, want.MetricsServer, want.ReservedCPU = 2, true, "250m"
	want.Forwards = []layout.Forward{{HostPort: 8080, Port: 30080}, {HostPort: 30090, Port: 30090}}
	if diff := cmp.Diff(want, options); diff != "" {
		t.Error(diff)
	}
}
