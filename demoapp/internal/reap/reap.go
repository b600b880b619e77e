// Package reap starts child processes and, where this process is the first one of a container, also
// collects the orphans that the kernel hands to it, so that no zombie stays. It never takes the exit
// status of a child that someone waits for.
package reap

import (
	"os/exec"
	"sync"
)

// Reaper knows which children are waited for. The zero value is ready; it is safe for concurrent use.
type Reaper struct {
	mu    sync.Mutex
	owned map[int]bool
}

// Start starts a command whose exit status belongs to the caller, who must call Wait.
func (r *Reaper) Start(cmd *exec.Cmd) error {
	// Held across the start, so that a child that dies at once is not taken for an orphan.
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	if r.owned == nil {
		r.owned = map[int]bool{}
	}
	r.owned[cmd.Process.Pid] = true
	return nil
}

// Wait waits for a command started by Start and returns what cmd.Wait says.
func (r *Reaper) Wait(cmd *exec.Cmd) error {
	err := cmd.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.owned, cmd.Process.Pid)
	return err
}
