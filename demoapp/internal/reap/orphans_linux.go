package reap

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"strconv"

	"golang.org/x/sys/unix"
)

// Run collects orphans until the context is done, each time a child of this process ends. It is needed
// only where the kernel hands orphans to this process: as process 1 of a container, or as a subreaper.
// reaped is called with the id of each; it may be nil.
func (r *Reaper) Run(ctx context.Context, reaped func(pid int)) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	defer signal.Stop(ended)
	for {
		for _, pid := range r.collect() {
			if reaped != nil {
				reaped(pid)
			}
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return
		}
	}
}

// collect waits for each zombie child that nobody owns. Waiting for "any child" instead would race with
// the owners of the others and steal their exit status.
func (r *Reaper) collect() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var collected []int
	self := os.Getpid()
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || r.owned[pid] || !zombieOf(self, pid) {
			continue
		}
		if got, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); err == nil && got == pid {
			collected = append(collected, pid)
		}
	}
	return collected
}

// zombieOf reads state and parent from /proc/PID/stat. The name in parentheses before them may hold
// spaces and parentheses itself, so the fields are counted from the last one.
func zombieOf(parent, pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return false
	}
	return string(fields[0]) == "Z" && string(fields[1]) == strconv.Itoa(parent)
}
