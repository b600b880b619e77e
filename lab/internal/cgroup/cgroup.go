//go:build linux

// Package cgroup makes, searches, empties and removes the control groups of the
// lab's nodes, in every hierarchy of a cgroup v1 host or in the one of a cgroup
// v2 host. It sets no limits: that is the kubelet's and runc's work.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Root is where the control group hierarchies are mounted.
const Root = "/sys/fs/cgroup"

// controllers are those a kubelet needs below its cgroup root on a v2 host.
const controllers = "+cpuset +cpu +io +memory +hugetlb +pids"

// V2 reports whether the host has the unified hierarchy only.
func V2() bool { return magic(Root) == unix.CGROUP2_SUPER_MAGIC }

// Create makes the group in every hierarchy, so that a kubelet can start below
// it. It is no error if the group is there already.
func Create(name string) error {
	if V2() {
		return createV2(name)
	}
	for _, hierarchy := range mounts(unix.CGROUP_SUPER_MAGIC) {
		group := filepath.Join(hierarchy, name)
		if err := os.MkdirAll(group, 0o755); err != nil {
			return fmt.Errorf("make cgroup: %w", err)
		}
		// A new v1 cpuset is empty and accepts no process until it has CPUs and memory nodes.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			value, err := os.ReadFile(filepath.Join(hierarchy, file))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err == nil {
				err = os.WriteFile(filepath.Join(group, file), value, 0o644)
			}
			if err != nil {
				return fmt.Errorf("copy %s to cgroup %s: %w", file, name, err)
			}
		}
	}
	return nil
}

func createV2(name string) error {
	// Controllers that the kernel lacks make the whole write fail, so each is tried alone.
	for _, folder := range []string{Root, filepath.Join(Root, name)} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return fmt.Errorf("make cgroup: %w", err)
		}
		for controller := range strings.FieldsSeq(controllers) {
			_ = os.WriteFile(filepath.Join(folder, "cgroup.subtree_control"), []byte(controller), 0o644)
		}
	}
	for _, needed := range []string{"cpu", "memory", "pids"} {
		have, err := os.ReadFile(filepath.Join(Root, name, "cgroup.subtree_control"))
		if err != nil || !slices.Contains(strings.Fields(string(have)), needed) {
			return fmt.Errorf("enable cgroup controller %s for %s: it has %q", needed, name, have)
		}
	}
	return nil
}

// Processes returns the ids of all processes in the group and in those below it,
// over all hierarchies.
func Processes(name string) []int {
	found := map[int]bool{}
	for _, top := range groups(name) {
		_ = filepath.WalkDir(top, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Base(path) != "cgroup.procs" {
				return nil //nolint:nilerr // a group may vanish while it is read
			}
			text, _ := os.ReadFile(path)
			for field := range strings.FieldsSeq(string(text)) {
				if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
					found[pid] = true
				}
			}
			return nil
		})
	}
	pids := make([]int, 0, len(found))
	for pid := range found {
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	return pids
}

// Remove removes the group and those below it, the innermost first. Groups that
// still hold a process stay, and are named in the error.
func Remove(name string) error {
	var errs []error
	for _, top := range groups(name) {
		var folders []string
		_ = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				folders = append(folders, path)
			}
			return nil
		})
		slices.Reverse(folders) // WalkDir names parents first
		for _, folder := range folders {
			if err := os.Remove(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, fmt.Errorf("remove cgroup: %w", err))
			}
		}
	}
	return errors.Join(errs...)
}

// Exists reports whether the group is there in any hierarchy.
func Exists(name string) bool { return len(groups(name)) > 0 }

// groups returns the folders of a group, over all hierarchies.
func groups(name string) []string {
	tops := append(mounts(unix.CGROUP_SUPER_MAGIC), mounts(unix.CGROUP2_SUPER_MAGIC)...)
	var found []string
	for _, top := range tops {
		path := filepath.Join(top, name)
		if _, err := os.Stat(path); err == nil {
			found = append(found, path)
		}
	}
	return found
}

// mounts returns where file systems of a type are mounted at Root or in it. A
// hybrid host has many v1 hierarchies and a unified one without controllers.
func mounts(kind int64) []string {
	if V2() {
		if kind == unix.CGROUP2_SUPER_MAGIC {
			return []string{Root}
		}
		return nil
	}
	entries, _ := os.ReadDir(Root)
	var found []string
	for _, entry := range entries {
		path := filepath.Join(Root, entry.Name())
		if entry.IsDir() && magic(path) == kind { // a link (cpu -> cpu,cpuacct) is no folder
			found = append(found, path)
		}
	}
	return found
}

func magic(path string) int64 {
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		return 0
	}
	return int64(stat.Type) //nolint:unconvert // int32 on some architectures
}
