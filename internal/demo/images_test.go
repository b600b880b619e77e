package demo

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// `KUBECONFIG=... make demo` is for other machines than Linux too, whose own programs run in no container.
func TestImagesAreForLinuxOnEveryMachine(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("there is no make")
	}
	if _, err := os.Stat("../../Makefile"); err != nil { // so that go test knows what the result depends on
		t.Fatal(err)
	}
	for machine, want := range map[string][]string{
		"Darwin": {"GOOS=linux CGO_ENABLED=0 go build", "--out dist/homeostat.tar dist/linux/homeostat", "--out dist/demoapp.tar dist/linux/demoapp"},
		"Linux":  {"--out dist/homeostat.tar bin/homeostat", "--out dist/demoapp.tar bin/demoapp"},
	} {
		out, err := exec.CommandContext(t.Context(), "make", "-C", "../..", "-n", "images", "MACHINE="+machine).CombinedOutput()
		if err != nil {
			t.Fatalf("make -n images: %v\n%s", err, out)
		}
		for _, w := range want {
			if !strings.Contains(string(out), w) {
				t.Errorf("on %s: %q is not in\n%s", machine, w, out)
			}
		}
	}
}
