package build

import (
	"errors"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// start starts a build that dies with this process: a compiler that runs on after
// a kill would be a process left behind.
func start(cmd *exec.Cmd) error {
	// The death signal is sent when the starting thread ends, so it is kept.
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		result <- err
		if err == nil {
			_ = waitExit(cmd.Process.Pid)
		}
	}()
	return <-result
}

// waitExit returns when the child has ended, without collecting it.
func waitExit(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
