//go:build linux

// Package node runs one worker node of a lab: containerd, kubelet and kube-proxy
// in a network namespace and a mount namespace of their own.
//
// The mount namespace gives each node private copies of the host's folders that
// these programs insist on (/var/lib/kubelet and so on), so that two nodes do not
// meet, a Kubernetes or Docker of the host is not touched, and every mount
// vanishes with the last process. The package knows how a node is run and asked
// for its health; when that happens is its caller's business.
package node

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"golang.org/x/sys/unix"

	"github.com/homeostat/homeostat/lab/internal/cgroup"
	"github.com/homeostat/homeostat/lab/internal/layout"
	"github.com/homeostat/homeostat/lab/internal/netns"
	"github.com/homeostat/homeostat/lab/internal/proc"
)

//go:embed templates/*.tmpl
var templates embed.FS

// Programs of a node; the component's name is PROGRAM-NODE.
const (
	Mounts     = "mounts" // holds the node's mount namespace open
	Containerd = "containerd"
	Kubelet    = "kubelet"
	KubeProxy  = "kube-proxy"
)

// Node is one node of a lab.
type Node struct {
	layout.Node
	Lab     layout.Lab
	Options layout.Options
	Bin     string // folder of the Kubernetes binaries
	CNI     string // folder of the CNI plugins
}

// Component is the name of one of the node's programs in commands, pid files and
// logs.
func (n Node) Component(program string) string { return program + "-" + n.Name }

// Components names all programs, those first that must be stopped first.
func (n Node) Components() []string {
	return []string{n.Component(Kubelet), n.Component(KubeProxy), n.Component(Containerd), n.Component(Mounts)}
}

// Prepare writes the node's configuration files and makes its cgroups.
func (n Node) Prepare() error {
	cpu, memory := n.Options.ReservedCPU, n.Options.ReservedMemory
	defaultCPU, defaultMemory := Reserved(totalMemory(), n.Options.Nodes)
	if cpu == "" {
		cpu = defaultCPU
	}
	if memory == "" {
		memory = defaultMemory
	}
	values := map[string]string{
		"Name": n.Name, "IP": n.IP, "PodCIDR": n.PodCIDR, "ClusterCIDR": layout.PodCIDR, "Cgroup": n.Cgroup,
		"Dir": n.Dir, "PKI": n.Lab.PKI(), "Etc": n.Lab.Etc(), "CNI": n.CNI, "PauseImage": layout.PauseImage,
		"Snapshotter": n.snapshotter(), "ReservedCPU": cpu, "ReservedMemory": memory,
	}
	files := map[string]string{
		"containerd.toml.tmpl": n.config(Containerd, "toml"),
		"kubelet.yaml.tmpl":    n.config(Kubelet, "yaml"),
		"kube-proxy.yaml.tmpl": n.config(KubeProxy, "yaml"),
		"bridge.conflist.tmpl": filepath.Join(n.Dir, "cni", "10-bridge.conflist"),
	}
	for name, path := range files {
		text, err := render(name, values)
		if err != nil {
			return err
		}
		if _, err := layout.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return cgroup.Create(n.Cgroup)
}

func render(name string, values map[string]string) ([]byte, error) {
	parsed, err := template.New(name).Option("missingkey=error").ParseFS(templates, "templates/"+name)
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	var text bytes.Buffer
	if err := parsed.Execute(&text, values); err != nil {
		return nil, fmt.Errorf("fill template: %w", err)
	}
	return text.Bytes(), nil
}

func (n Node) config(program, ending string) string {
	return filepath.Join(n.Lab.Etc(), n.Component(program)+"."+ending)
}

// Containerd is the container runtime; holder is the process that holds the
// node's mounts.
func (n Node) Containerd(holder proc.Process) proc.Spec {
	return proc.Spec{
		Name:  n.Component(Containerd),
		Enter: n.enter(holder),
		Argv:  []string{"containerd", "--config", n.config(Containerd, "toml")},
	}
}

// Kubelet is the kubelet. It reads the containers' usage every 2 s (usual: 10 s)
// and keeps 3 dead containers of a kind (1), so that the log of the container that
// died can still be read when the next one is crashing too.
func (n Node) Kubelet(holder proc.Process) proc.Spec {
	return proc.Spec{
		Name:  n.Component(Kubelet),
		Enter: n.enter(holder),
		Argv: []string{
			filepath.Join(n.Bin, Kubelet),
			"--config=" + n.config(Kubelet, "yaml"),
			"--kubeconfig=" + filepath.Join(n.Lab.Etc(), n.Component(Kubelet)+".kubeconfig"),
			"--hostname-override=" + n.Name, "--node-ip=" + n.IP,
			"--maximum-dead-containers-per-container=3", "--housekeeping-interval=2s", "--v=2",
		},
	}
}

// KubeProxy is kube-proxy; it needs the network namespace only.
func (n Node) KubeProxy() proc.Spec {
	return proc.Spec{
		Name:  n.Component(KubeProxy),
		Enter: netns.Command(n.Namespace),
		Argv:  []string{filepath.Join(n.Bin, KubeProxy), "--config=" + n.config(KubeProxy, "yaml"), "--v=2"},
	}
}

func (n Node) enter(holder proc.Process) []string {
	return []string{"nsenter", fmt.Sprintf("--mount=/proc/%d/ns/mnt", holder.PID), "--net=" + netns.Path(n.Namespace), "--"}
}

// ContainerdReady returns nil once containerd accepts connections.
func (n Node) ContainerdReady(ctx context.Context, holder proc.Process) error {
	// Seen through the holder the path is short; a unix socket's may have 107 bytes.
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "unix", fmt.Sprintf("/proc/%d/root/run/containerd/containerd.sock", holder.PID))
	if err != nil {
		return err
	}
	return connection.Close()
}

// KubeletHealthy returns nil if the kubelet says of itself that it is well. The
// node's condition alone may still be that of a kubelet that has died.
func (n Node) KubeletHealthy(ctx context.Context) error { return n.healthz(ctx, "127.0.0.1:10248") }

// KubeProxyHealthy returns nil once kube-proxy has written its rules.
func (n Node) KubeProxyHealthy(ctx context.Context) error { return n.healthz(ctx, "127.0.0.1:10256") }

func (n Node) healthz(ctx context.Context, address string) error {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return netns.Dial(ctx, n.Namespace, address)
		},
		DisableKeepAlives: true,
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/healthz", http.NoBody)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: transport, Timeout: 2 * time.Second}).Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s says %s", address, response.Status)
	}
	return nil
}

// HasImage reports whether the node has an image of that name.
func (n Node) HasImage(ctx context.Context, holder proc.Process, name string) (bool, error) {
	output, err := n.ctr(ctx, holder, nil, "images", "ls", "-q", "name=="+name)
	return strings.TrimSpace(output) != "", err
}

// LoadImage imports an image archive, as written by `docker save` or `lab image`,
// and returns what containerd said.
func (n Node) LoadImage(ctx context.Context, holder proc.Process, archive io.Reader) (string, error) {
	return n.ctr(ctx, holder, archive, "images", "import", "--snapshotter", n.snapshotter(), "-")
}

func (n Node) ctr(ctx context.Context, holder proc.Process, stdin io.Reader, args ...string) (string, error) {
	argv := append(n.enter(holder), "ctr", "-a", "/run/containerd/containerd.sock", "-n", "k8s.io")
	argv = append(argv, args...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin = stdin
	output, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("run ctr %s on %s: %w: %s", strings.Join(args, " "), n.Name, err, bytes.TrimSpace(output))
	}
	return string(output), nil
}

// snapshotter is overlayfs, except where the state folder is itself on an
// overlayfs, on which the kernel mounts no second one: native copies then.
func (n Node) snapshotter() string {
	var stat unix.Statfs_t
	if err := unix.Statfs(n.Lab.State, &stat); err == nil && stat.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return "native"
	}
	return "overlayfs"
}

// Reserved returns the kubelet's systemReserved for each of several nodes on one
// machine. All of them see the whole machine; a quarter of its memory is left to
// the control plane and the host, the rest is divided.
func Reserved(memory uint64, nodes int) (cpuQuantity, memoryQuantity string) {
	share := memory * 3 / 4 / uint64(max(nodes, 1))
	return "500m", fmt.Sprintf("%dMi", (memory-share)>>20)
}

func totalMemory() uint64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 4 << 30
	}
	return uint64(info.Totalram) * uint64(info.Unit) //nolint:unconvert // uint32 on some architectures
}

// FindCNI returns the folder of the CNI plugins and those that are missing from
// it, or from all known folders.
func FindCNI() (folder string, missing []string) {
	needed := []string{"bridge", "host-local", "loopback", "portmap"}
	for _, folder = range []string{"/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"} {
		missing = nil
		for _, plugin := range needed {
			if _, err := os.Stat(filepath.Join(folder, plugin)); errors.Is(err, os.ErrNotExist) {
				missing = append(missing, plugin)
			}
		}
		if len(missing) == 0 {
			return folder, nil
		}
	}
	return "", needed
}
