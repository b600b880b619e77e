package detect

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

func TestOOMKilled(t *testing.T) {
	check(t, []row{
		{
			name: "just killed, memory at the limit", replica: pod(terminated(dead(137, "OOMKilled"))), memory: memory(40*mib, 127*mib),
			want: []string{"OOMKilled active"}, confidence: 99,
			says: []string{"container app of web-7c9 was killed at its memory limit of 128 MiB"},
		},
		{name: "restarted already", replica: pod(restarted(dead(137, "OOMKilled"), 1)), want: []string{"OOMKilled"}, confidence: 95},
		{
			name: "in back-off: it owns the crash loop", replica: pod(looping(dead(137, "OOMKilled"), 4)),
			want: []string{"OOMKilled active"}, says: []string{"back-off of a crash loop after 4 restarts"},
		},
		{
			name: "samples speak against it", replica: pod(terminated(dead(137, "OOMKilled"))), memory: memory(20*mib, 21*mib),
			want: []string{"OOMKilled active"}, confidence: 85,
		},
		{
			name: "no limit of its own", want: []string{"OOMKilled active"}, says: []string{"no limit of its own"}, confidence: 60,
			replica: pod(terminated(dead(137, "OOMKilled")), func(_ *cluster.Replica, c *cluster.Container) { c.MemoryLimit = 0 }),
		},
		{
			name: "an init container", replica: pod(terminated(dead(137, "OOMKilled")), kind(cluster.ContainerInit)),
			want: []string{"OOMKilled active"}, says: []string{"init container app"},
		},
		{
			name: "a sidecar", replica: pod(terminated(dead(137, "OOMKilled")), kind(cluster.ContainerSidecar)),
			want: []string{"OOMKilled active"}, says: []string{"sidecar app"},
		},
		{
			name: "an ephemeral container", replica: pod(tool(terminatedTool(137, "OOMKilled"))),
			want: []string{"OOMKilled"}, says: []string{"ephemeral container debugger of web-7c9", "counts to that of its pod", "a person's tool"}, confidence: 90,
		},
		{
			name: "beside an ephemeral container, with room below its own limit", memory: memory(60*mib, 70*mib), want: []string{"OOMKilled active"},
			replica: pod(terminated(dead(137, "OOMKilled")), tool(nil)), says: []string{"was killed for memory, with a limit of 128 MiB; ephemeral container debugger ran beside it"}, confidence: 45,
		},
		{
			name: "beside an ephemeral container, no sample", want: []string{"OOMKilled active"}, confidence: 45,
			replica: pod(terminated(dead(137, "OOMKilled")), tool(nil)),
		},
		{
			name: "beside an ephemeral container, at its own limit", memory: memory(60*mib, 127*mib), want: []string{"OOMKilled active"},
			replica: pod(terminated(dead(137, "OOMKilled")), tool(nil)), confidence: 99,
		},
		{
			name: "an ephemeral container that came later", want: []string{"OOMKilled"}, confidence: 95,
			replica: pod(restarted(dead(137, "OOMKilled"), 1), tool(nil), func(r *cluster.Replica, _ *cluster.Container) {
				r.Containers[0].Last.StartedAt, r.Containers[0].Last.FinishedAt = ago(3*time.Minute), ago(2*time.Minute)
			}),
		},
		{
			name: "beside an ephemeral container, in a pod without a limit of the whole", want: []string{"OOMKilled active"}, confidence: 95,
			replica: pod(terminated(dead(137, "OOMKilled")), tool(nil), func(r *cluster.Replica, _ *cluster.Container) {
				r.Containers = append(r.Containers, cluster.Container{Name: "proxy", Kind: cluster.ContainerSidecar, State: cluster.StateRunning, StartedAt: ago(time.Hour)})
			}),
		},
		{
			name: "the main process ended by itself after a child was killed", replica: pod(restarted(dead(1, "OOMKilled"), 1)),
			want: []string{"OOMKilled"}, confidence: 60,
		},
		{
			name: "near its limit on a node that ran out too", replica: pod(terminated(dead(137, "OOMKilled"))), memory: memory(127 * mib),
			nodes: node(systemOOM("System OOM encountered, victim process: web, pid: 7")), want: []string{"OOMKilled active"}, confidence: 99,
		},
		{
			name: "before its deletion", want: []string{"OOMKilled"},
			replica: pod(terminated(dead(137, "OOMKilled")), func(r *cluster.Replica, _ *cluster.Container) { r.DeletedAt = now }),
		},
		{
			name: "of a job that is over", want: []string{"OOMKilled"},
			replica: pod(terminated(dead(137, "OOMKilled")), func(r *cluster.Replica, _ *cluster.Container) { r.Phase = cluster.PhaseFailed }),
		},
	})
}
