package detect

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

// node is a ready node n1; a test changes what it says of its memory.
func node(change ...func(n *cluster.Node)) map[string]cluster.Node {
	n := cluster.Node{Name: "n1", Ready: "True"}
	for _, f := range change {
		f(&n)
	}
	return map[string]cluster.Node{"n1": n}
}

func nodeEvent(reason, message string, at time.Time) func(*cluster.Node) {
	return func(n *cluster.Node) {
		n.Events = append(n.Events, cluster.Event{Reason: reason, Message: message, Count: 1, First: at, Last: at})
	}
}

func systemOOM(message string) func(*cluster.Node) {
	return nodeEvent("SystemOOM", message, ago(3*time.Second))
}

func underPressure(n *cluster.Node) { n.Pressures = []string{"DiskPressure", "MemoryPressure"} }

func TestNodeOOM(t *testing.T) {
	const web, other = "System OOM encountered, victim process: web, pid: 4242", "System OOM encountered, victim process: java, pid: 4243"
	noLimit := func(_ *cluster.Replica, c *cluster.Container) { c.MemoryLimit = 0 }
	uid := func(r *cluster.Replica, _ *cluster.Container) { r.UID = "0f8e2f5a-1111-4222-8333-444455556666" }
	low, high := memory(20*mib), memory(127*mib)
	check(t, []row{
		{
			name: "the kubelet names its process", replica: pod(terminated(dead(137, "Error")), noLimit), nodes: node(systemOOM(web)),
			want: []string{"NodeOOM active"}, confidence: 90, says: []string{"because node n1 ran out of memory"},
		},
		{
			name: "the kernel's log names it, as node-problem-detector tells", replica: pod(terminated(dead(137, "Error"))), memory: low,
			nodes: node(nodeEvent("OOMKilling", "Out of memory: Killed process 5151 (web) total-vm:1272948kB, anon-rss:18432kB, file-rss:0kB", ago(time.Second))),
			want:  []string{"NodeOOM active"}, confidence: 90,
		},
		{
			name: "the kernel's log names the pod's cgroup", replica: pod(terminated(dead(137, "Error")), uid), memory: low,
			nodes: node(nodeEvent("OOMKilling", "oom-kill:constraint=CONSTRAINT_NONE,task_memcg=/kubepods/pod0f8e2f5a_1111_4222_8333_444455556666/x,task=java", ago(time.Second))),
			want:  []string{"NodeOOM active"}, confidence: 90,
		},
		{
			name: "a cgroup's kill is no node's", replica: pod(terminated(dead(137, "OOMKilled"))), memory: low, want: []string{"OOMKilled active"},
			nodes: node(nodeEvent("OOMKilling", "Memory cgroup out of memory: Killed process 5151 (web) total-vm:1kB", ago(time.Second))),
		},
		{
			name: "far below its limit, another process is named", replica: pod(terminated(dead(137, "OOMKilled"))), memory: low, nodes: node(systemOOM(other)),
			want: []string{"NodeOOM active"}, confidence: 85,
		},
		{
			name: "the same, reported as Error", replica: pod(terminated(dead(137, "Error"))), memory: low, nodes: node(systemOOM(other)),
			want: []string{"NodeOOM active"}, confidence: 75,
		},
		{
			name: "under pressure, far below its limit", replica: pod(terminated(dead(137, "OOMKilled"))), memory: low, nodes: node(underPressure),
			want: []string{"NodeOOM active"}, confidence: 70,
		},
		{
			name: "under pressure, no limit, reported as Error", replica: pod(terminated(dead(137, "Error")), noLimit), nodes: node(underPressure),
			want: []string{"NodeOOM active"}, confidence: 55,
		},
		{name: "under pressure, at its own limit", replica: pod(terminated(dead(137, "OOMKilled"))), memory: high, nodes: node(underPressure), want: []string{"OOMKilled active"}},
		{name: "under pressure, memory not known", replica: pod(terminated(dead(137, "OOMKilled"))), nodes: node(underPressure), want: []string{"OOMKilled active"}},
		{
			name: "named while near its own limit, reported as Error", replica: pod(terminated(dead(137, "Error"))), memory: high, nodes: node(systemOOM(web)),
			want: []string{"NodeOOM active"}, confidence: 60,
		},
		{name: "near its own limit, another process is named", replica: pod(terminated(dead(137, "Error"))), memory: high, nodes: node(systemOOM(other)), want: []string{"ProbableOOM active"}},
		{
			name: "an event of another time", replica: pod(terminated(dead(137, "Error")), noLimit),
			nodes: node(nodeEvent("SystemOOM", web, ago(10*time.Minute))),
		},
		{name: "the node says nothing", replica: pod(terminated(dead(137, "Error")), noLimit), nodes: node()},
		{name: "another exit code", replica: pod(terminated(dead(1, "Error")), noLimit), nodes: node(systemOOM(web), underPressure)},
		{
			name: "evicted under pressure, and so killed by the kubelet", nodes: node(underPressure), want: []string{"Evicted"},
			replica: pod(terminated(dead(137, "Error")), noLimit, func(r *cluster.Replica, _ *cluster.Container) {
				r.Disruption, r.DisruptionMessage, r.Phase, r.Reason = "TerminationByKubelet", "The node was low on resource: memory.", cluster.PhaseFailed, "Evicted"
			}),
		},
		{
			name: "killed for its probe under pressure", nodes: node(underPressure), want: []string{"LivenessKill active"},
			replica: pod(terminated(dead(137, "Error")), noLimit, event("Killing", "Container app failed liveness probe, will be restarted", ago(5*time.Second))),
		},
		{
			name: "pressure long after a death", nodes: node(underPressure), want: []string{"OOMKilled"}, memory: low,
			replica: pod(restarted(&cluster.Termination{ContainerID: "c1", ExitCode: 137, Reason: "OOMKilled", StartedAt: ago(time.Hour), FinishedAt: ago(8 * time.Minute)}, 1)),
		},
	})
}

func TestVictimProcess(t *testing.T) {
	for message, want := range map[string]string{
		"System OOM encountered, victim process: demoapp, pid: 1": "demoapp", "System OOM encountered": "",
		"Out of memory: Killed process 5151 (my app) total-vm:1kB": "my app", "Killed process 5151 (": "", "Killed process ": "",
	} {
		if got := victimProcess(message); got != want {
			t.Errorf("%q: %q, want %q", message, got, want)
		}
	}
	for image, want := range map[string]string{
		"localhost:5000/team/demoapp:dev": "demoapp", "web@sha256:aa/bb": "web", "web": "web", "": "",
	} {
		if got := imageBase(image); got != want {
			t.Errorf("image %q: %q, want %q", image, got, want)
		}
	}
}
