//go:build linux

package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/homeostat/homeostat/lab/internal/cgroup"
	"github.com/homeostat/homeostat/lab/internal/controlplane"
	"github.com/homeostat/homeostat/lab/internal/layout"
	"github.com/homeostat/homeostat/lab/internal/netns"
	"github.com/homeostat/homeostat/lab/internal/node"
	"github.com/homeostat/homeostat/lab/internal/proc"
)

// patience is how long processes and cgroups may take to go away once killed.
const patience = 10 * time.Second

// Down takes the lab down and leaves nothing of it: no process, mount, network
// namespace, cgroup or file. With keep, etcd's data and the nodes' images and
// containers stay for the next Up, as after switching a machine off.
//
// It needs no file of the lab to be there and no component to be as it was
// started: what belongs to the lab is searched for.
func (l *Lab) Down(ctx context.Context, keep bool) error {
	unlock, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := l.CheckState(); err != nil {
		return err
	}
	saved, _, err := l.Load()
	if err != nil {
		l.out.line("  settings cannot be read, going on without them: %v", err)
	}
	if keep {
		l.stopGently()
	}
	if err := l.sweep(ctx, l.belongs); err != nil {
		return err
	}
	l.out.step("no process is left")
	var errs []error
	for _, n := range l.allNodes() {
		errs = append(errs, netns.Delete(ctx, n.Namespace), l.removeCgroup(ctx, n.Cgroup))
		if keep {
			errs = append(errs, node.Node{Node: n}.PowerCycle())
		}
	}
	errs = append(errs, unmountBelow(l.State))
	if len(l.supervisor.Others()) == 0 { // another lab has the same note of how things were
		removeEmpty(saved.Folders)
		errs = append(errs, restoreSysctls(saved.Sysctls))
	}
	if !keep {
		errs = append(errs, os.RemoveAll(l.State))
	}
	errs = append(errs, os.RemoveAll(l.Pids()))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("take %s down: %w", l.Name, err)
	}
	if left := l.Leftovers(); len(left) > 0 {
		return fmt.Errorf("take %s down: left behind: %s", l.Name, strings.Join(left, "; "))
	}
	l.out.step("%s is down", l.Name)
	return nil
}

// Leftovers names everything of the lab that is on the machine, except its files.
func (l *Lab) Leftovers() []string {
	var left []string
	belongs := l.belongs()
	for _, p := range proc.All() {
		if belongs(p) {
			left = append(left, fmt.Sprintf("process %d (%s)", p.PID, p.Command()))
		}
	}
	for _, n := range l.allNodes() {
		if _, err := os.Lstat(netns.Path(n.Namespace)); err == nil {
			left = append(left, "network namespace "+n.Namespace)
		}
		if cgroup.Exists(n.Cgroup) {
			left = append(left, "cgroup "+n.Cgroup)
		}
	}
	for _, point := range mountsBelow(l.State) {
		left = append(left, "mount "+point)
	}
	return left
}

func (l *Lab) allNodes() []layout.Node {
	var nodes []layout.Node
	for i := range layout.MaxNodes {
		nodes = append(nodes, l.Node(i+1))
	}
	return nodes
}

// stopGently ends the components in an order that lets each finish its work.
func (l *Lab) stopGently() {
	var names []string
	for _, n := range l.allNodes() {
		names = append(names, node.Node{Node: n}.Components()[:2]...) // kubelet and kube-proxy
	}
	names = append(names, ForwardComponent, ShipComponent, controlplane.MetricsServer, controlplane.Scheduler,
		controlplane.ControllerManager, controlplane.APIServer, controlplane.Etcd)
	for _, name := range names {
		if err := l.supervisor.Stop(name, 5*time.Second); err != nil {
			l.out.line("  %v", err) // the sweep that follows tries again
		}
	}
}

// belongs returns a test for processes of this lab: started by it, in one of its
// cgroups or network namespaces, or one of its programs with the state folder on
// its command line. This process and those it descends from never belong.
func (l *Lab) belongs() func(proc.Process) bool {
	self := proc.Ancestors()
	var inodes []uint64
	inCgroup := map[int]bool{}
	for _, n := range l.allNodes() {
		if inode := netns.Inode(n.Namespace); inode != 0 {
			inodes = append(inodes, inode)
		}
		for _, pid := range cgroup.Processes(n.Cgroup) {
			inCgroup[pid] = true
		}
	}
	programs := []string{"kubeall", "containerd", "containerd-shim-runc-v2", "runc", "ctr", "lab", "nsenter", "unshare"}
	return func(p proc.Process) bool {
		if slices.Contains(self, p.PID) {
			return false
		}
		return inCgroup[p.PID] || slices.Contains(inodes, netns.InodeOf(p.PID)) || l.supervisor.Owns(p) ||
			slices.Contains(programs, p.Program()) && p.Mentions(l.State+"/")
	}
}

// powerOff ends all processes of a node at once, those of its pods too, and clears
// what a machine forgets without power.
func (l *Lab) powerOff(ctx context.Context, n node.Node) error {
	for _, name := range n.Components() {
		if err := l.supervisor.Stop(name, 0); err != nil {
			return err
		}
	}
	self := proc.Ancestors()
	err := l.sweep(ctx, func() func(proc.Process) bool {
		pods := cgroup.Processes(n.Cgroup)
		return func(p proc.Process) bool {
			// Shims carry the mark of the containerd that started them.
			return !slices.Contains(self, p.PID) &&
				(slices.Contains(pods, p.PID) || l.supervisor.Started(p, n.Components()...))
		}
	})
	if err != nil {
		return err
	}
	// Empty groups of dead containers would keep the next kubelet busy: cAdvisor asks
	// for each of them, with retries, before the node is registered.
	if err := l.removeCgroup(ctx, n.Cgroup); err != nil {
		return err
	}
	return n.PowerCycle()
}

// sweep kills what matches until nothing matches any more: what is killed may just
// have started something. The test is made anew for each round.
func (*Lab) sweep(ctx context.Context, test func() func(proc.Process) bool) error {
	deadline := time.Now().Add(patience)
	for {
		matches := test()
		found := slices.DeleteFunc(proc.All(), func(p proc.Process) bool { return !matches(p) })
		if len(found) == 0 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("end processes: %d are still there after %s, one is %d (%s)", len(found), patience, found[0].PID, found[0].Command())
		}
		for _, p := range found {
			if err := p.Signal(unix.SIGKILL); err != nil && !errors.Is(err, proc.ErrGone) {
				return err
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// removeCgroup waits for the kernel to notice that the group's last process ended.
func (*Lab) removeCgroup(ctx context.Context, name string) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := cgroup.Remove(name)
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
	}
}

// mountsBelow returns the mount points in a folder, the innermost first.
func mountsBelow(folder string) []string {
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil
	}
	var points []string
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[1], folder+"/") {
			points = append(points, fields[1])
		}
	}
	slices.Reverse(points)
	return points
}

// unmountBelow is a second line: the nodes' mounts are in namespaces of their own
// and go with those.
func unmountBelow(folder string) error {
	var errs []error
	for _, point := range mountsBelow(folder) {
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil {
			errs = append(errs, fmt.Errorf("unmount %s: %w", point, err))
		}
	}
	return errors.Join(errs...)
}

// removeEmpty removes folders that were made to mount on, unless somebody has put
// something there since.
func removeEmpty(folders []string) {
	for _, folder := range folders {
		_ = os.Remove(folder)
	}
}

// sysctls are the settings that a kubelet changes for the whole machine.
func sysctls() []string {
	return []string{
		"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
		"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
	}
}

// rememberHost notes what a lab will change on the machine, before it does. While
// another lab runs it is that one which knows how things were.
func (l *Lab) rememberHost() (settings map[string]string, folders []string) {
	for _, other := range l.supervisor.Others() {
		if saved, ok, err := (layout.Lab{State: other}).Load(); err == nil && ok {
			return saved.Sysctls, saved.Folders
		}
	}
	return readSysctls(), node.MissingFolders()
}

func readSysctls() map[string]string {
	values := map[string]string{}
	for _, name := range sysctls() {
		if text, err := os.ReadFile(filepath.Join("/proc/sys", name)); err == nil {
			values[name] = strings.TrimSpace(string(text))
		}
	}
	return values
}

func restoreSysctls(values map[string]string) error {
	var errs []error
	for name, value := range values {
		err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("restore %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}
