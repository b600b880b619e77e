// Package layout knows the names, folders and addresses of one lab: everything
// that two parts of the tool must agree on, and what is remembered between two
// commands. It starts nothing and decides nothing about order.
package layout

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Version is the Kubernetes version the lab runs; lab/kubeall/go.mod pins it.
const Version = "1.36.3"

// Fixed addresses. They live in network namespaces without an uplink, so they
// cannot collide with anything outside the lab.
const (
	DefaultName    = "homeostat-lab"
	APIAddress     = "10.88.0.1:6443" // API server, on node1's InternalIP
	APIServiceIP   = "10.96.0.1"      // first address of ServiceCIDR: the service default/kubernetes
	ServiceCIDR    = "10.96.0.0/16"
	PodCIDR        = "10.89.0.0/16" // each node takes one /24 of it
	DefaultAPIPort = 16443          // where the API server is forwarded to on the host's loopback
	MaxNodes       = 2
)

// PauseImage is the sandbox image of every pod, built by `lab up`.
const PauseImage = "localhost/homeostat-lab-pause:1"

// Values of Options.HPA.
const (
	HPAStock = "stock" // the controller-manager's own HPA controller runs
	HPANone  = "none"  // it does not: HPA objects are left to somebody else
)

// Forward is one TCP port of the host's loopback that leads into the lab.
type Forward struct {
	HostPort int `json:"host_port"` // on 127.0.0.1
	Port     int `json:"port"`      // on node1's InternalIP: a NodePort, or the API server's 6443
}

// Options is what a user can choose for a lab; it is remembered until `down`.
type Options struct {
	Name           string    `json:"name"`            // also the network namespace and the prefix of the cgroups
	Nodes          int       `json:"nodes"`           // 1 or 2
	HPA            string    `json:"hpa"`             // HPAStock or HPANone
	MetricsServer  bool      `json:"metrics_server"`  // run metrics-server, for kubectl top and the stock HPA
	API            Forward   `json:"api"`             // host port of the API server
	Forwards       []Forward `json:"forwards"`        // NodePorts reachable from the host
	ReservedCPU    string    `json:"reserved_cpu"`    // kubelet's systemReserved; empty: computed from the machine
	ReservedMemory string    `json:"reserved_memory"` // kubelet's systemReserved; empty: computed from the machine
	Loki           string    `json:"loki,omitempty"`  // address, from the host, of the Loki that containers' logs are sent to; empty: none
}

// Defaults returns the options of `lab up` without any flag.
func Defaults() Options {
	return Options{
		Name:     DefaultName,
		Nodes:    1,
		HPA:      HPAStock,
		API:      Forward{HostPort: DefaultAPIPort, Port: 6443},
		Forwards: []Forward{{HostPort: 30080, Port: 30080}},
	}
}

// Validate returns one error per option that cannot be used, each naming the
// option, its value and what is allowed.
func (o Options) Validate() error {
	var errs []error
	if err := ValidateName(o.Name); err != nil {
		errs = append(errs, err)
	}
	if o.Nodes < 1 || o.Nodes > MaxNodes {
		errs = append(errs, fmt.Errorf("nodes: %d is not possible, 1 to %d are", o.Nodes, MaxNodes))
	}
	if o.HPA != HPAStock && o.HPA != HPANone {
		errs = append(errs, fmt.Errorf("hpa: %q is not known, %q and %q are", o.HPA, HPAStock, HPANone))
	}
	if u, err := url.Parse(o.Loki); o.Loki != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		errs = append(errs, fmt.Errorf("loki: %q is no address such as http://127.0.0.1:3100", o.Loki))
	}
	taken := map[int]bool{}
	for _, f := range append([]Forward{o.API}, o.Forwards...) {
		if f.HostPort < 1 || f.HostPort > 65535 || f.Port < 1 || f.Port > 65535 {
			errs = append(errs, fmt.Errorf("forward: %d:%d is outside 1 to 65535", f.HostPort, f.Port))
		}
		if taken[f.HostPort] {
			errs = append(errs, fmt.Errorf("forward: host port %d is used twice", f.HostPort))
		}
		taken[f.HostPort] = true
	}
	return errors.Join(errs...)
}

// ValidateName says whether a name can be a lab's: it becomes part of paths,
// cgroup names and network namespace names, and must not look like a node of
// another lab.
func ValidateName(name string) error {
	if !regexp.MustCompile(`^[a-z][a-z0-9-]{0,38}[a-z0-9]$`).MatchString(name) {
		return fmt.Errorf("name: %q is not allowed: 2 to 40 of a-z, 0-9 and -, starting with a letter", name)
	}
	if regexp.MustCompile(`-node[0-9]+$`).MatchString(name) {
		return fmt.Errorf("name: %q is not allowed: -nodeN at the end is kept for the nodes' own names", name)
	}
	return nil
}

// ParseForward reads "30080" or "8080:30080" (host port, then NodePort).
func ParseForward(s string) (Forward, error) {
	host, port, found := strings.Cut(s, ":")
	if !found {
		port = host
	}
	h, errHost := strconv.Atoi(host)
	p, errPort := strconv.Atoi(port)
	if errHost != nil || errPort != nil {
		return Forward{}, fmt.Errorf("forward: %q is not a port or HOSTPORT:NODEPORT", s)
	}
	return Forward{HostPort: h, Port: p}, nil
}

// Lab is one lab: its name and the folder that holds all its state.
type Lab struct {
	Name  string
	State string // absolute
}

// StateFolder returns the default state folder of a lab:
// $XDG_STATE_HOME/homeostat/lab/NAME, or ~/.local/state/homeostat/lab/NAME.
func StateFolder(name string) (string, error) {
	base := os.Getenv("XDG_STATE_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find state folder: %w", err)
		}
		base = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(base, "homeostat", "lab", name), nil
}

// Folders and files of a lab, below its state folder.

// PKI holds certificates and keys.
func (l Lab) PKI() string { return filepath.Join(l.State, "pki") }

// Etc holds the components' configuration and kubeconfig files.
func (l Lab) Etc() string { return filepath.Join(l.State, "etc") }

// Logs holds one log file per component.
func (l Lab) Logs() string { return filepath.Join(l.State, "logs") }

// Pids holds one pid file per running component.
func (l Lab) Pids() string { return filepath.Join(l.State, "pids") }

// Etcd holds etcd's data.
func (l Lab) Etcd() string { return filepath.Join(l.State, "etcd") }

// Bin holds a copy of the lab tool, which outlives `go run`.
func (l Lab) Bin() string { return filepath.Join(l.State, "bin") }

// Offsets is what the log shipper has sent.
func (l Lab) Offsets() string { return filepath.Join(l.State, "log-offsets.json") }

// Kubeconfig is the administrator's kubeconfig for programs on the host.
func (l Lab) Kubeconfig() string { return filepath.Join(l.State, "kubeconfig") }

// KubeconfigInside is the administrator's kubeconfig for programs inside the
// lab's network namespaces.
func (l Lab) KubeconfigInside() string { return filepath.Join(l.Etc(), "admin.kubeconfig") }

// Namespace is the network namespace of the control plane and of node1.
func (l Lab) Namespace() string { return l.Name }

// LockFile serialises the commands that change the lab. It is beside the state
// folder, not in it, because `down` removes that.
func (l Lab) LockFile() string {
	return filepath.Join(filepath.Dir(l.State), "."+filepath.Base(l.State)+".lock")
}

// Node is one worker node of a lab.
type Node struct {
	Name      string // node1, node2
	Index     int    // from 1
	IP        string // InternalIP
	PodCIDR   string
	Namespace string // network namespace
	Cgroup    string // cgroup below which all its pods are, without leading slash
	Dir       string // its folder
}

// Node returns node number index, counted from 1.
func (l Lab) Node(index int) Node {
	name := "node" + strconv.Itoa(index)
	namespace := l.Name
	if index > 1 {
		namespace += "-" + name
	}
	return Node{
		Name:      name,
		Index:     index,
		IP:        fmt.Sprintf("10.88.0.%d", index),
		PodCIDR:   fmt.Sprintf("10.89.%d.0/24", index),
		Namespace: namespace,
		Cgroup:    l.Name + "-" + name,
		Dir:       filepath.Join(l.State, name),
	}
}

// NodeNames returns node1 up to the given number of nodes.
func (l Lab) NodeNames(nodes int) []string {
	var names []string
	for i := range nodes {
		names = append(names, l.Node(i+1).Name)
	}
	return names
}
