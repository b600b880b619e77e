package demo

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// playDemo runs hack/demo.sh in a folder of its own, with programs that only note how they are called, on a cluster of somebody else.
// Its tests are not parallel: a program that is written while another test forks cannot be run ("text file busy").
// withKubectl is whether kubectl is on the PATH. It returns the notes, and what the script says.
func playDemo(t *testing.T, withKubectl bool, args ...string) (calls, said string) {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("there is no bash")
	}
	root := t.TempDir()
	content, err := os.ReadFile("../../hack/demo.sh")
	if err != nil {
		t.Fatal(err)
	}
	note := "#!/bin/sh\necho \"${0##*/} $*\" >>" + filepath.Join(root, "calls") + "\n"
	files := map[string]string{
		"hack/demo.sh": string(content), "path/make": note, "bin/homeostat": note,
		"bin/lab": note + "[ $1 != kubeconfig ] || echo /nowhere/kubeconfig\n", "kubeconfig": "",
	}
	if withKubectl {
		files["path/kubectl"] = note + "case $* in *current-context) echo theirs ;; esac\n"
	}
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o700)); err != nil { //nolint:gosec // programs
			t.Fatal(err)
		}
	}
	for _, tool := range []string{"bash", "sh", "dirname", "grep", "sed", "cat"} {
		path, err := exec.LookPath(tool)
		if err == nil {
			err = os.Symlink(path, filepath.Join(root, "path", tool))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "bash", append([]string{"hack/demo.sh"}, args...)...)
	cmd.Dir, cmd.Env = root, []string{"PATH=" + filepath.Join(root, "path"), "HOME=" + root, "KUBECONFIG=" + filepath.Join(root, "kubeconfig")}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	if ended := (&exec.ExitError{}); err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	notes, err := os.ReadFile(filepath.Join(root, "calls"))
	if err != nil {
		t.Fatalf("%v; the script says %s", err, out.String())
	}
	return string(notes), out.String()
}

// A namespace called demo may be there, with workloads, policies and incidents of others.
func TestTheDemoOnAClusterOfSomebodyDeletesOnlyItsOwn(t *testing.T) {
	calls, said := playDemo(t, true, "up")
	if !strings.Contains(calls, "homeostat demo --kubernetes") || !strings.Contains(said, "context theirs") {
		t.Errorf("the story is not played, or not said where:\n%s\n%s", calls, said)
	}
	for call := range strings.Lines(calls) {
		if strings.Contains(call, " delete ") && strings.Contains(call, "--all") {
			t.Errorf("it deletes what others have: %s", call)
		}
	}
}

// The lab's kubectl knows the lab alone.
func TestTheDemoOnAClusterOfSomebodyDoesNotTouchTheLab(t *testing.T) {
	for _, way := range []string{"up", "down"} {
		calls, said := playDemo(t, false, way)
		if strings.Contains(calls, "lab kubectl") || !strings.Contains(said, "kubectl is needed") {
			t.Errorf("%s without kubectl calls\n%s\nand says %s", way, calls, said)
		}
	}
}
