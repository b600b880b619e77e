//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/homeostat/homeostat/lab/internal/netns"
	"github.com/homeostat/homeostat/lab/internal/proc"
)

// HoldCommand is the lab tool's command, not for users, that holds the mounts.
const HoldCommand = "hold-mounts"

// PrivateFolders are the host's folders that each node has for itself.
func PrivateFolders() []string {
	return []string{
		"/run/containerd",     // containerd's state, sockets of its shims, runc's state
		"/var/lib/cni",        // addresses given to pods, results of plugins
		"/var/lib/containerd", // images, snapshots
		"/var/lib/kubelet",
		"/var/log/containers",
		"/var/log/pods",
	}
}

// PodLogs is the node's /var/log/pods, as the host sees it.
func (n Node) PodLogs() string { return n.private("/var/log/pods") }

// volatileFolders are those that a machine's power cycle would empty.
func volatileFolders() []string { return []string{"/run/containerd"} }

// private is the node's own version of one of the host's folders.
func (n Node) private(folder string) string { return filepath.Join(n.Dir, "fs", folder) }

// MissingFolders returns the private folders that the host lacks; something must
// be there to mount on.
func MissingFolders() []string {
	return slices.DeleteFunc(PrivateFolders(), func(folder string) bool {
		_, err := os.Stat(folder)
		return err == nil
	})
}

// Holder is the process that makes the node's mount namespace and keeps it; tool
// is the path of the lab tool. Its folders are made here.
func (n Node) Holder(tool string) (proc.Spec, error) {
	for _, folder := range PrivateFolders() {
		if err := errors.Join(os.MkdirAll(folder, 0o755), os.MkdirAll(n.private(folder), 0o755)); err != nil {
			return proc.Spec{}, fmt.Errorf("make folders of %s: %w", n.Name, err)
		}
	}
	return proc.Spec{
		Name: n.Component(Mounts),
		// Slave: what the host mounts later is seen, what the node mounts stays inside.
		Enter: append(netns.Command(n.Namespace), "unshare", "--mount", "--propagation", "slave", "--"),
		Argv:  []string{tool, HoldCommand, filepath.Join(n.Dir, "fs")},
	}, nil
}

// HoldMounts mounts the folders below root over those of the host, in the mount
// namespace that it was started in, and then waits to be ended.
func HoldMounts(ctx context.Context, root string) error {
	// By hand, in the mount namespace of a shell, this would hide folders of the host.
	var own, parent unix.Stat_t
	err := errors.Join(unix.Stat("/proc/self/ns/mnt", &own), unix.Stat(fmt.Sprintf("/proc/%d/ns/mnt", os.Getppid()), &parent))
	if err != nil || own.Ino == parent.Ino {
		return errors.Join(errors.New("hold mounts: refused outside of a mount namespace of its own"), err)
	}
	// Shared among whatever is started in here, as on a machine run by systemd:
	// volumes with mountPropagation need it.
	if err := unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("share mounts: %w", err)
	}
	for _, folder := range PrivateFolders() {
		if err := unix.Mount(filepath.Join(root, folder), folder, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount private %s: %w", folder, err)
		}
	}
	<-ctx.Done()
	return nil
}

// Mounted returns nil once the holder has mounted everything.
func (n Node) Mounted(_ context.Context, holder proc.Process) error {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", holder.PID))
	if err != nil {
		return fmt.Errorf("read mounts of %s: %w", n.Name, err)
	}
	for _, folder := range PrivateFolders() {
		// Field 4 is the mounted folder within its file system, field 5 the mount point (proc(5)).
		mounted := slices.ContainsFunc(strings.Split(string(text), "\n"), func(line string) bool {
			fields := strings.Fields(line)
			return len(fields) > 4 && fields[4] == folder && strings.HasSuffix(n.private(folder), fields[3])
		})
		if !mounted {
			return fmt.Errorf("%s of %s is not mounted yet", folder, n.Name)
		}
	}
	return nil
}

// PowerCycle removes what would not survive switching a machine off. None of the
// node's processes may run.
func (n Node) PowerCycle() error {
	for _, folder := range volatileFolders() {
		if err := os.RemoveAll(n.private(folder)); err != nil {
			return fmt.Errorf("empty %s of %s: %w", folder, n.Name, err)
		}
	}
	return nil
}
