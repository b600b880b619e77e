//go:build linux

package lifecycle

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/homeostat/homeostat/lab/internal/node"
)

// ErrImpossible says that a lab cannot run on this machine as it is, as opposed to
// one that is broken.
var ErrImpossible = errors.New("a lab is not possible here")

// OtherWay tells what to do on a machine that cannot run a lab.
const OtherWay = "Or use any other cluster, a kind one for instance: KUBECONFIG=... make demo"

// CheckPrerequisites returns nil if a lab can run here, or one error, wrapping
// ErrImpossible, that lists everything that is missing and how to get it.
func CheckPrerequisites() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: it needs root, for network namespaces, mounts and control groups.\nTry: sudo -E env PATH=\"$PATH\" make lab-up\n%s", ErrImpossible, OtherWay)
	}
	var missing []string
	packages := map[string]bool{}
	for _, program := range []struct{ name, deb string }{
		{"containerd", "containerd"},
		{"containerd-shim-runc-v2", "containerd"},
		{"ctr", "containerd"},
		{"runc", "runc"},
		{"iptables", "iptables"},
		{"iptables-save", "iptables"},
		{"iptables-restore", "iptables"},
		{"ip", "iproute2"},
		{"nsenter", "util-linux"},
		{"unshare", "util-linux"},
	} {
		if _, err := exec.LookPath(program.name); err != nil {
			missing = append(missing, "program "+program.name)
			packages[program.deb] = true
		}
	}
	if _, plugins := node.FindCNI(); len(plugins) > 0 {
		missing = append(missing, "CNI plugins "+strings.Join(plugins, ", ")+" in /opt/cni/bin, /usr/lib/cni or /usr/libexec/cni")
		packages["containernetworking-plugins"] = true
	}
	if capabilities := missingCapabilities(); len(capabilities) > 0 {
		missing = append(missing, "capabilities "+strings.Join(capabilities, ", ")+" (this looks like an unprivileged container)")
	}
	if len(missing) == 0 {
		return nil
	}
	message := "missing are:\n  " + strings.Join(missing, "\n  ")
	if len(packages) > 0 {
		var names []string
		for _, name := range []string{"containerd", "runc", "containernetworking-plugins", "iptables", "iproute2", "util-linux"} {
			if packages[name] {
				names = append(names, name)
			}
		}
		message += "\nOn Debian or Ubuntu: apt-get install " + strings.Join(names, " ")
	}
	return fmt.Errorf("%w: %s\n%s", ErrImpossible, message, OtherWay)
}

// missingCapabilities names those of the capabilities that a lab cannot do without
// which this process lacks.
func missingCapabilities() []string {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData // 64 bits in two parts
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return nil // cannot tell: let the steps that need them say so
	}
	var missing []string
	for _, capability := range []struct {
		bit  uint
		name string
	}{{unix.CAP_SYS_ADMIN, "SYS_ADMIN"}, {unix.CAP_NET_ADMIN, "NET_ADMIN"}, {unix.CAP_SYS_PTRACE, "SYS_PTRACE"}} {
		if sets[capability.bit/32].Effective&(1<<(capability.bit%32)) == 0 {
			missing = append(missing, capability.name)
		}
	}
	return missing
}
