package detect

import (
	"slices"
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// tool puts an ephemeral container into the replica that runs since a minute; change makes something else of it.
func tool(change func(*cluster.Container)) func(*cluster.Replica, *cluster.Container) {
	return func(r *cluster.Replica, _ *cluster.Container) {
		c := cluster.Container{
			Name: "debugger", Kind: cluster.ContainerEphemeral, Image: "tool:1", State: cluster.StateRunning, StartedAt: ago(time.Minute),
		}
		if change != nil {
			change(&c)
		}
		r.Containers = append(r.Containers, c)
	}
}

func terminatedTool(code int32, reason string) func(*cluster.Container) {
	return func(c *cluster.Container) {
		c.State, c.StartedAt, c.Terminated = cluster.StateTerminated, time.Time{}, dead(code, reason)
		c.Terminated.ContainerID = "tool"
	}
}

func waitingTool(reason, message string) func(*cluster.Container) {
	return func(c *cluster.Container) {
		c.State, c.StartedAt, c.WaitingReason, c.WaitingMessage = cluster.StateWaiting, time.Time{}, reason, message
	}
}

// TestTools verifies that what becomes of a person's tool is told once, never lasts, and that what a person does with it is no
// failure.
func TestTools(t *testing.T) {
	typed := func(code int32, reason string) func(*cluster.Container) {
		return func(c *cluster.Container) {
			terminatedTool(code, reason)(c)
			c.Interactive = true
		}
	}
	mine := "a person's tool"
	check(t, []row{
		{name: "it runs", replica: pod(tool(nil))},
		{
			name: "its image does not come", replica: pod(tool(waitingTool("ImagePullBackOff", `Back-off pulling image "tool:1": not found`))),
			want: []string{"ImagePull"}, says: []string{"ephemeral container debugger of web-7c9", "does not exist (404)", mine}, confidence: 95,
		},
		{name: "its image did not come at once", replica: pod(tool(waitingTool("ErrImagePull", "not found")))},
		{name: "its image is being pulled", replica: pod(tool(waitingTool("ContainerCreating", "")), event("FailedMount", `configmap "old" not found`, ago(time.Minute)))},
		{
			name: "its configuration is missing", replica: pod(tool(waitingTool("CreateContainerConfigError", `secret "keys" not found`))),
			want: []string{"ConfigMissing"}, says: []string{"Secret keys does not exist", mine},
		},
		{name: "it ended with an error", replica: pod(tool(terminatedTool(3, "Error"))), want: []string{"JobFailed"}, says: []string{"exit code 3", mine}, confidence: 90},
		{name: "it was killed", replica: pod(tool(terminatedTool(137, "Error"))), want: []string{"JobFailed"}, confidence: 60},
		{name: "it is done", replica: pod(tool(terminatedTool(0, "Completed")))},
		{name: "somebody left its shell after a command that failed", replica: pod(tool(typed(1, "Error")))},
		{name: "somebody left its shell after a command that is not there", replica: pod(tool(typed(127, "Error")))},
		{name: "its shell was killed for memory", replica: pod(tool(typed(137, "OOMKilled"))), want: []string{"OOMKilled"}},
		{name: "its shell is not in the image", replica: pod(tool(typed(128, "StartError"))), want: []string{"BadCommand"}},
		{name: "somebody interrupted it", replica: pod(tool(terminatedTool(130, "Error")))},
		{name: "somebody ended it", replica: pod(tool(terminatedTool(143, "Error")))},
		{name: "the kubelet lost sight of it", replica: pod(tool(terminatedTool(137, "ContainerStatusUnknown")))},
		{name: "its command is not there", replica: pod(tool(func(c *cluster.Container) {
			terminatedTool(127, "Error")(c)
			c.Terminated.StartedAt = c.Terminated.FinishedAt
		})), want: []string{"BadCommand"}, says: []string{"cannot run its command", mine}},
		{
			name: "its command cannot be run, and it waits", replica: pod(tool(waitingTool("RunContainerError", `exec: "/tool": stat /tool: no such file or directory`))),
			want: []string{"BadCommand"}, says: []string{`"/tool"`, mine},
		},
		{
			name: "a process in it was killed for memory", want: []string{"ChildOOM"}, says: []string{mine},
			replica: pod(tool(func(c *cluster.Container) {
				c.OOMEvents, c.OOMEventsKnown, c.LastOOMEvent = 1, true, ago(30*time.Second)
			})),
		},
		{
			name: "the replica is deleted with it",
			replica: pod(tool(terminatedTool(137, "Error")), func(r *cluster.Replica, _ *cluster.Container) {
				r.DeletedAt = r.Containers[1].Terminated.FinishedAt.Add(-time.Second)
			}),
		},
		{
			name: "a process of the main container was killed while it ran", want: []string{"ChildOOM"}, confidence: 45, memory: memory(60*mib, 60*mib),
			replica: pod(tool(nil), func(_ *cluster.Replica, c *cluster.Container) {
				c.OOMEvents, c.OOMEventsKnown, c.LastOOMEvent = 1, true, ago(15*time.Second)
			}),
		},
	})
}

// TestToolsExplainNothing verifies that a rollout that is stuck is told, whatever a person's tool beside it does.
func TestToolsExplainNothing(t *testing.T) {
	late := condition("Progressing", "False", "ProgressDeadlineExceeded", "", time.Minute)
	w := owner(late, withReplicas(pod(tool(waitingTool("ImagePullBackOff", "not found")))))
	var kinds []incident.Kind
	for _, f := range Findings(lookAt(w, nil)) {
		kinds = append(kinds, f.Kind)
	}
	if want := []incident.Kind{incident.ImagePull, incident.RolloutStuck}; !slices.Equal(kinds, want) {
		t.Errorf("findings %v, want %v", kinds, want)
	}
}

// TestSharedMemory verifies that only the kills that a tool may have brought about are excused.
func TestSharedMemory(t *testing.T) {
	with, without := pod(terminated(dead(137, "OOMKilled")), tool(nil)), pod(terminated(dead(137, "OOMKilled")))
	of := func(r *cluster.Replica) *incident.Finding {
		found := Findings(&Look{Workload: &cluster.Workload{Replicas: []cluster.Replica{*r}}, Now: now})
		if len(found) != 1 {
			t.Fatalf("%d findings", len(found))
		}
		return &found[0]
	}
	f := of(&with)
	if !SharedMemory(&with, f) || SharedMemory(&without, of(&without)) {
		t.Error("a tool beside it is not told from none")
	}
	sure := *f
	sure.Confidence = 99
	other := *f
	other.Kind = incident.CrashLoop
	if SharedMemory(&with, &sure) || SharedMemory(&with, &other) {
		t.Error("a kill at its own limit, or a crash loop, is excused")
	}
}
