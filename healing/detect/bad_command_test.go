package detect

import (
	"testing"
	"time"

	"github.com/homeostat/homeostat/internal/cluster"
)

const notThere = `failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: ` +
	`unable to start container process: exec: "/usr/bin/server": stat /usr/bin/server: no such file or directory: unknown`

// startError is the death of a container that never ran, as containerd tells it.
func startError(message string) *cluster.Termination {
	return &cluster.Termination{
		ContainerID: "c1", ExitCode: 128, Reason: "StartError", Message: message, StartedAt: time.Unix(0, 0), FinishedAt: ago(2 * time.Second),
	}
}

func TestBadCommand(t *testing.T) {
	short := func(code int32, message string) *cluster.Termination {
		return &cluster.Termination{ContainerID: "c1", ExitCode: code, Reason: "Error", Message: message, StartedAt: ago(3 * time.Second), FinishedAt: ago(2 * time.Second)}
	}
	check(t, []row{
		{
			name: "in back-off", replica: pod(looping(startError(notThere), 2)), want: []string{"BadCommand active"}, confidence: 95,
			says: []string{`cannot run its command "/usr/bin/server": it is not there`},
		},
		{
			name: "between two attempts", want: []string{"BadCommand active"}, confidence: 95,
			replica: pod(waiting("RunContainerError", notThere), func(_ *cluster.Replica, c *cluster.Container) { c.Last = startError(notThere) }),
		},
		{
			name: "a runtime that leaves no death", replica: pod(waiting("RunContainerError", `exec: "/tmp": permission denied: unknown`)),
			want: []string{"BadCommand active"}, confidence: 95, says: []string{`"/tmp": it may not be executed`},
		},
		{
			name: "Docker", want: []string{"BadCommand active"}, says: []string{`"web"`},
			replica: pod(terminated(&cluster.Termination{ExitCode: 127, Reason: "ContainerCannotRun", Message: `exec: "web": executable file not found in $PATH`, FinishedAt: ago(time.Second)})),
		},
		{
			name: "what could not be set up is something else", replica: pod(looping(startError("error mounting \"/a\" to rootfs at \"/b\": not a directory"), 2)),
			want: []string{"BadCommand active"}, confidence: 50, says: []string{"could not be run", "not a directory"},
		},
		{name: "a shell does not find it", replica: pod(looping(short(127, ""), 2)), want: []string{"BadCommand active"}, confidence: 85, says: []string{"not found"}},
		{
			name: "a shell names it", replica: pod(terminated(short(127, "sh: 1: serve: not found\n"))), want: []string{"BadCommand active"}, confidence: 90,
			says: []string{`"serve": it is not there`},
		},
		{name: "a shell may not execute it", replica: pod(terminated(short(126, ""))), want: []string{"BadCommand active"}, confidence: 85},
		{
			name: "a build for another machine", replica: pod(terminated(short(1, "exec /app/web: exec format error"))), want: []string{"BadCommand active"}, confidence: 90,
			says: []string{`"/app/web": exec format error`},
		},
		{
			name: "how long it lived is not known", want: []string{"BadCommand active"}, confidence: 70,
			replica: pod(terminated(&cluster.Termination{ExitCode: 127, Reason: "Error", FinishedAt: ago(time.Second)})),
		},
		{name: "a script that ran for a while", replica: pod(terminated(dead(127, "Error")))},
		{name: "an application's own message", replica: pod(terminated(short(1, "config: not found")))},
		{
			name: "it cannot be made", want: []string{"BadCommand active"}, confidence: 50, says: []string{"could not be run", "cannot load seccomp profile"},
			replica: pod(waiting("CreateContainerError", `failed to create containerd container: cannot load seccomp profile "/var/lib/kubelet/seccomp/web.json": no such file or directory`)),
		},
		{
			name: "it has no command", want: []string{"BadCommand active"}, confidence: 95, says: []string{"neither the image nor the container names one"},
			replica: pod(waiting("CreateContainerError", `failed to generate container "c1" spec: failed to generate spec: no command specified`)),
		},
		{name: "the runtime still works on it", replica: pod(waiting("CreateContainerError", `failed to reserve container name "app_web": name "app_web" is reserved for "c1"`))},
		{name: "a Secret that is missing", replica: pod(waiting("CreateContainerError", `secret "db" not found`)), want: []string{"ConfigMissing active"}},
		{name: "an init container's", replica: pod(looping(startError(notThere), 1), kind(cluster.ContainerInit)), want: []string{"BadCommand active"}, says: []string{"init container"}},
	})
}

func TestCommandError(t *testing.T) {
	for message, want := range map[string][2]string{
		notThere: {"/usr/bin/server", "it is not there"},
		"crun: executable file `web` not found in $PATH: No such file or directory: OCI runtime attempted to invoke a command that was not found": {"web", "it is not there"},
		"standard_init_linux.go:228: exec user process caused: exec format error":                                                                 {"exec user process caused", "exec format error"},
		"bash: line 1: serve: command not found":    {"serve", "it is not there"},
		"/entry.sh: 3: /app/web: Permission denied": {"/app/web", "it may not be executed"},
		`exec: "never closed`:                       {}, "not found": {}, "": {}, "exec: \"\": ": {"", "the runtime does not say why"},
	} {
		if command, why := CommandError(message); command != want[0] || why != want[1] {
			t.Errorf("%q: %q, %q, want %q", message, command, why, want)
		}
	}
}
