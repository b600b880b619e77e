//go:build linux

package cgroup

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

func TestGroupIsMadeSearchedAndRemoved(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: cgroups need root")
	}
	name := fmt.Sprintf("homeostat-test-%d", os.Getpid())
	if err := Create(name); err != nil {
		t.Skipf("SKIPPED: cgroups cannot be made here: %v", err)
	}
	if err := Create(name); err != nil {
		t.Errorf("Create of what is there: %v", err)
	}
	all := groups(name)
	if len(all) == 0 || !Exists(name) {
		t.Fatalf("no group was made")
	}
	inner := filepath.Join(all[0], "pod", "container")
	if err := os.MkdirAll(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	sleeper := exec.Command("sleep", "600")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	pid := sleeper.Process.Pid
	// A group of a hierarchy with controllers enabled takes processes in its leaves only.
	if err := os.WriteFile(filepath.Join(inner, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644); err != nil {
		t.Error(err)
	}
	if found := Processes(name); !slices.Equal(found, []int{pid}) {
		t.Errorf("Processes = %v, want [%d]", found, pid)
	}
	if found := Processes(name + "-other"); len(found) > 0 {
		t.Errorf("processes of a group that does not exist: %v", found)
	}
	if err := Remove(name); err == nil {
		t.Error("an occupied group was removed")
	}
	_ = sleeper.Process.Kill()
	_ = sleeper.Wait()
	var err error
	for range 100 { // the kernel takes a moment
		if err = Remove(name); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil || Exists(name) {
		t.Errorf("Remove: %v, exists %v", err, Exists(name))
	}
	if err := Remove(name); err != nil {
		t.Errorf("Remove of what is not there: %v", err)
	}
}
