//go:build linux

package node

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/homeostat/homeostat/lab/internal/layout"
	"github.com/homeostat/homeostat/lab/internal/proc"
)

func testNode(t *testing.T, index int) Node {
	t.Helper()
	lab := layout.Lab{Name: "lab", State: filepath.Join(t.TempDir(), "lab")}
	return Node{Node: lab.Node(index), Lab: lab, Options: layout.Defaults(), Bin: "/bin/kube", CNI: "/cni"}
}

func values(n Node) map[string]string {
	return map[string]string{
		"Name": n.Name, "IP": n.IP, "PodCIDR": n.PodCIDR, "ClusterCIDR": layout.PodCIDR, "Cgroup": n.Cgroup,
		"Dir": n.Dir, "PKI": n.Lab.PKI(), "Etc": n.Lab.Etc(), "CNI": n.CNI, "PauseImage": layout.PauseImage,
		"Snapshotter": "overlayfs", "ReservedCPU": "250m", "ReservedMemory": "100Mi",
	}
}

func TestConfigurationIsComplete(t *testing.T) {
	n := testNode(t, 2)
	tests := map[string][]string{
		"kubelet.yaml.tmpl": {
			"cgroupRoot: /lab-node2\n", "failCgroupV1: false", "oomScoreAdj: 0", "maxContainerRestartPeriod: 20s",
			`systemReserved: {cpu: "250m", memory: "100Mi"}`, "authorization: {mode: Webhook}", "webhook: {enabled: true}",
			n.Lab.PKI() + "/kubelet-node2.crt", "anonymous: {enabled: false}",
		},
		"containerd.toml.tmpl":  {"restrict_oom_score_adj = true", "netns_mounts_under_state_dir = true", `bin_dir = "/cni"`, layout.PauseImage},
		"kube-proxy.yaml.tmpl":  {`bindAddress: "10.88.0.2"`, "clusterCIDR: \"10.89.0.0/16\"", "oomScoreAdj: 0"},
		"bridge.conflist.tmpl":  {`"subnet": "10.89.2.0/24"`, `"hairpinMode": true`},
		"no-such-template.tmpl": nil,
	}
	for name, parts := range tests {
		t.Run(name, func(t *testing.T) {
			text, err := render(name, values(n))
			if parts == nil {
				if err == nil {
					t.Error("no error")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range parts {
				if !strings.Contains(string(text), part) {
					t.Errorf("%s is missing in\n%s", part, text)
				}
			}
			if strings.HasSuffix(name, ".conflist.tmpl") && !json.Valid(text) {
				t.Errorf("no JSON: %s", text)
			}
		})
	}
	incomplete := values(n)
	delete(incomplete, "PodCIDR")
	if _, err := render("bridge.conflist.tmpl", incomplete); err == nil {
		t.Error("a missing value is no error")
	}
}

func TestNodesShareTheMachine(t *testing.T) {
	const machine = 24 << 30
	for nodes, want := range map[int]string{1: "6144Mi", 2: "15360Mi"} {
		if _, memory := Reserved(machine, nodes); memory != want {
			t.Errorf("%d nodes: %s reserved on each, want %s", nodes, memory, want)
		}
	}
}

func TestProgramsEnterTheirOwnNode(t *testing.T) {
	holder := proc.Process{PID: 4242}
	first, second := testNode(t, 1), testNode(t, 2)
	for _, n := range []Node{first, second} {
		kubelet := n.Kubelet(holder)
		line := strings.Join(append(kubelet.Enter, kubelet.Argv...), " ")
		for _, part := range []string{"--mount=/proc/4242/ns/mnt", "--net=/run/netns/" + n.Namespace + " ", "--hostname-override=" + n.Name, "--node-ip=" + n.IP} {
			if !strings.Contains(line, part) {
				t.Errorf("%s is missing in %s", part, line)
			}
		}
	}
	if first.Namespace == second.Namespace || first.Kubelet(holder).Name == second.Kubelet(holder).Name {
		t.Error("two nodes have the same namespace or component names")
	}
}

func TestMountsAreRefusedInTheHostsNamespace(t *testing.T) {
	root := t.TempDir()
	err := HoldMounts(t.Context(), root)
	if err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("HoldMounts = %v", err)
	}
}

func TestPowerCycleKeepsImagesAndForgetsProcesses(t *testing.T) {
	n := testNode(t, 1)
	kept, gone := n.private("/var/lib/containerd"), n.private("/run/containerd")
	for _, folder := range []string{kept, gone} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.PowerCycle(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error("images are gone")
	}
	if _, err := os.Stat(gone); err == nil {
		t.Error("runtime state survived")
	}
}
