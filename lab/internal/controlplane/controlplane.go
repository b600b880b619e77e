//go:build linux

// Package controlplane says how etcd, the API server, the controller-manager, the
// scheduler and metrics-server of a lab are run, makes their certificates and
// knows how to ask each whether it is well. They run in node1's network namespace.
// The package starts nothing itself.
package controlplane

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/homeostat/homeostat/lab/internal/layout"
	"github.com/homeostat/homeostat/lab/internal/netns"
	"github.com/homeostat/homeostat/lab/internal/pki"
	"github.com/homeostat/homeostat/lab/internal/proc"
)

// Names of the components, as used in commands, pid files and logs.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	MetricsServer     = "metrics-server"
)

const (
	etcdClient = "http://127.0.0.1:2379"
	etcdPeer   = "http://127.0.0.1:2380"
)

// Plane is the control plane of one lab.
type Plane struct {
	Lab     layout.Lab
	Options layout.Options
	Bin     string // folder of the Kubernetes binaries
}

// Prepare makes certificates and kubeconfigs, except the one for programs on the
// host, whose address is not known yet.
func (p Plane) Prepare(now time.Time) error {
	folder := p.Lab.PKI()
	ca, err := pki.LoadAuthority(folder, "ca", now)
	if err != nil {
		return err
	}
	front, err := pki.LoadAuthority(folder, "front-proxy-ca", now)
	if err != nil {
		return err
	}
	if _, err := front.Ensure(pki.Request{File: "front-proxy-client", CommonName: "front-proxy-client"}, now); err != nil {
		return err
	}
	if err := pki.EnsureServiceAccountKey(folder); err != nil {
		return err
	}
	for _, request := range p.requests() {
		if _, err := ca.Ensure(request, now); err != nil {
			return err
		}
	}
	clients := []string{"admin", ControllerManager, Scheduler, "kube-proxy"}
	for i := range layout.MaxNodes {
		clients = append(clients, "kubelet-"+p.Lab.Node(i+1).Name)
	}
	for _, client := range clients {
		if err := pki.WriteKubeconfig(p.kubeconfig(client), folder, client, p.Lab.Name, "https://"+layout.APIAddress); err != nil {
			return err
		}
	}
	return nil
}

// requests lists the certificates by the cluster's authority.
func (p Plane) requests() []pki.Request {
	first := p.Lab.Node(1)
	loopback := []string{"127.0.0.1"}
	requests := []pki.Request{
		{
			File: APIServer, CommonName: APIServer,
			DNS: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
			IPs: []string{"127.0.0.1", first.IP, layout.APIServiceIP},
		},
		{File: "apiserver-kubelet-client", CommonName: "apiserver-kubelet-client", Organization: "system:masters"},
		{File: "admin", CommonName: "admin", Organization: "system:masters"},
		{File: ControllerManager, CommonName: "system:kube-controller-manager", DNS: []string{"localhost"}, IPs: loopback},
		{File: Scheduler, CommonName: "system:kube-scheduler", DNS: []string{"localhost"}, IPs: loopback},
		{File: "kube-proxy", CommonName: "system:kube-proxy"},
		{File: MetricsServer, CommonName: MetricsServer, DNS: []string{"metrics-server.kube-system.svc"}, IPs: []string{first.IP}},
	}
	for i := range layout.MaxNodes {
		node := p.Lab.Node(i + 1)
		// One certificate, as server for whoever scrapes the kubelet and as client for
		// the node's own identity.
		requests = append(requests, pki.Request{
			File: "kubelet-" + node.Name, CommonName: "system:node:" + node.Name, Organization: "system:nodes",
			DNS: []string{node.Name}, IPs: []string{"127.0.0.1", node.IP},
		})
	}
	return requests
}

func (p Plane) kubeconfig(client string) string {
	return filepath.Join(p.Lab.Etc(), client+".kubeconfig")
}

func (p Plane) cert(name string) string { return filepath.Join(p.Lab.PKI(), name+".crt") }
func (p Plane) key(name string) string  { return filepath.Join(p.Lab.PKI(), name+".key") }

func (p Plane) spec(name string, flags ...string) proc.Spec {
	return proc.Spec{
		Name:  name,
		Enter: netns.Command(p.Lab.Namespace()),
		Argv:  append([]string{filepath.Join(p.Bin, name)}, flags...),
	}
}

// Etcd is etcd without fsync: a lab may lose its state when the machine crashes,
// and does not when a process does.
func (p Plane) Etcd() proc.Spec {
	return p.spec(Etcd,
		"--name=lab", "--data-dir="+p.Lab.Etcd(), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls="+etcdClient, "--advertise-client-urls="+etcdClient,
		"--listen-peer-urls="+etcdPeer, "--initial-advertise-peer-urls="+etcdPeer, "--initial-cluster=lab="+etcdPeer)
}

// APIServer is the API server. Pods leave a node that is not ready after 5 s
// instead of the usual 300 s, so that a test of it need not wait that long.
func (p Plane) APIServer() proc.Spec {
	return p.spec(APIServer,
		"--etcd-servers="+etcdClient,
		"--bind-address=0.0.0.0", "--secure-port=6443", "--advertise-address="+p.Lab.Node(1).IP,
		"--service-cluster-ip-range="+layout.ServiceCIDR,
		"--tls-cert-file="+p.cert(APIServer), "--tls-private-key-file="+p.key(APIServer), "--client-ca-file="+p.cert("ca"),
		"--kubelet-client-certificate="+p.cert("apiserver-kubelet-client"), "--kubelet-client-key="+p.key("apiserver-kubelet-client"),
		"--kubelet-certificate-authority="+p.cert("ca"), "--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file="+p.key("sa"), "--service-account-key-file="+filepath.Join(p.Lab.PKI(), "sa.pub"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
		"--requestheader-client-ca-file="+p.cert("front-proxy-ca"), "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file="+p.cert("front-proxy-client"), "--proxy-client-key-file="+p.key("front-proxy-client"),
		"--enable-aggregator-routing=true", // metrics-server has no pod, only an EndpointSlice
		"--endpoint-reconciler-type=lease",
		"--default-not-ready-toleration-seconds=5", "--default-unreachable-toleration-seconds=5",
		"--v=1")
}

// ControllerManager notices a dead node after 16 s (usual: 40 s) and, with the
// stock HPA, decides every 5 s (15 s) and trusts a new pod's CPU after 30 s (300 s).
func (p Plane) ControllerManager() proc.Spec {
	controllers := "--controllers=*"
	if p.Options.HPA == layout.HPANone {
		controllers += ",-horizontal-pod-autoscaler-controller"
	}
	config := p.kubeconfig(ControllerManager)
	return p.spec(ControllerManager,
		"--kubeconfig="+config, "--authentication-kubeconfig="+config, "--authorization-kubeconfig="+config,
		"--bind-address=127.0.0.1", "--tls-cert-file="+p.cert(ControllerManager), "--tls-private-key-file="+p.key(ControllerManager),
		"--leader-elect=false", "--use-service-account-credentials=true",
		"--service-account-private-key-file="+p.key("sa"), "--root-ca-file="+p.cert("ca"), "--client-ca-file="+p.cert("ca"),
		"--requestheader-client-ca-file="+p.cert("front-proxy-ca"),
		controllers,
		"--node-monitor-period=2s", "--node-monitor-grace-period=16s",
		"--horizontal-pod-autoscaler-sync-period=5s", "--horizontal-pod-autoscaler-cpu-initialization-period=30s",
		"--horizontal-pod-autoscaler-initial-readiness-delay=5s", "--horizontal-pod-autoscaler-downscale-stabilization=30s",
		"--kube-api-qps=500", "--kube-api-burst=1000", "--v=1")
}

// Scheduler is the scheduler.
func (p Plane) Scheduler() proc.Spec {
	config := p.kubeconfig(Scheduler)
	return p.spec(Scheduler,
		"--kubeconfig="+config, "--authentication-kubeconfig="+config, "--authorization-kubeconfig="+config,
		"--bind-address=127.0.0.1", "--tls-cert-file="+p.cert(Scheduler), "--tls-private-key-file="+p.key(Scheduler),
		"--leader-elect=false", "--kube-api-qps=500", "--kube-api-burst=1000", "--v=1")
}

// MetricsServer is metrics-server as a plain process, with the shortest period it
// accepts. Its --kubelet-request-timeout must be shorter than that or it panics.
func (p Plane) MetricsServer() proc.Spec {
	config := p.Lab.KubeconfigInside()
	return p.spec(MetricsServer,
		"--kubeconfig="+config, "--authentication-kubeconfig="+config, "--authorization-kubeconfig="+config,
		"--bind-address=0.0.0.0", fmt.Sprintf("--secure-port=%d", metricsServerPort),
		"--tls-cert-file="+p.cert(MetricsServer), "--tls-private-key-file="+p.key(MetricsServer),
		"--kubelet-certificate-authority="+p.cert("ca"), "--kubelet-preferred-address-types=InternalIP",
		"--node-selector=type!=kwok", // simulated nodes all carry node1's address
		"--metric-resolution=10s", "--kubelet-request-timeout=5s")
}

// Specs returns all components that the options ask for, in starting order.
func (p Plane) Specs() []proc.Spec {
	specs := []proc.Spec{p.Etcd(), p.APIServer(), p.ControllerManager(), p.Scheduler()}
	if p.Options.MetricsServer {
		specs = append(specs, p.MetricsServer())
	}
	return specs
}
