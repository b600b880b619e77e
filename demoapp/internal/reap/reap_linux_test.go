package reap

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A subreaper gets orphans just as process 1 of a container does.
func TestOrphansAreCollectedAndOwnChildrenAreNot(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Skipf("become subreaper: %v", err)
	}
	defer func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) }()

	var reaper Reaper
	reaped := make(chan int, 16)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		reaper.Run(ctx, func(pid int) { reaped <- pid })
	}()

	// The shell prints the id of its child, exits before it with a status of its own, and so orphans it.
	var out strings.Builder
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", "sleep 0.1 >/dev/null 2>&1 & echo $!; exit 7")
	cmd.Stdout = &out
	if err := reaper.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := reaper.Wait(cmd); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 7 {
		t.Fatalf("the owner got %v, want its child's exit status 7", err)
	}
	orphan, err := strconv.Atoi(strings.TrimSpace(out.String()))
	if err != nil {
		t.Fatal(err)
	}
	if got := <-reaped; got != orphan {
		t.Errorf("collected process %d, want the orphan %d", got, orphan)
	}
	cancel()
	<-done
}

func TestStartReturnsTheError(t *testing.T) {
	var reaper Reaper
	if err := reaper.Start(exec.CommandContext(t.Context(), "/no/such/program")); err == nil {
		t.Error("starting a missing program gave no error")
	}
}
