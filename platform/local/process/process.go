package process

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"
)

// DefaultPoll is how often a tree is looked at: twenty times a second.
const DefaultPoll = 50 * time.Millisecond

// outputGrace is how long the output of a dead process may stay open, held by a process that left its group.
const outputGrace = 500 * time.Millisecond

// Spec is what to start.
type Spec struct {
	// Command and its arguments; the first is looked up in PATH unless it has a slash.
	Command []string
	// Dir is the working directory; empty: that of this program.
	Dir string
	// Env is the whole environment, NAME=value each.
	Env []string
	// Output gets every line of standard output and standard error. Required.
	Output *Log
	// MemoryLimit of the tree in bytes; 0 is none.
	MemoryLimit int64
	// Poll is how often the tree is looked at. Default DefaultPoll.
	Poll time.Duration
	// OnChildOOM is called after a process that is not the root was killed for memory. It must not block. May be nil.
	OnChildOOM func(Kill)
}

// Kill is one kill for memory.
type Kill struct {
	At  time.Time
	PID int
	// Tree is the resident memory of the tree, Victim that of the process that was killed, Limit the limit; in bytes.
	Tree, Victim, Limit int64
}

// String says it in one phrase for people.
func (k Kill) String() string {
	return fmt.Sprintf("resident memory of %s was over the limit of %s, so its largest process (%s) was killed",
		mebibytes(k.Tree), mebibytes(k.Limit), mebibytes(k.Victim))
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// Exit is how a process ended.
type Exit struct {
	At time.Time
	// Code is the exit code, 128+signal where a signal ended it, as a shell and a container runtime count.
	Code int
	// Signal that ended it, 0 for none.
	Signal syscall.Signal
	// OOM is set where the root was killed for memory.
	OOM *Kill
}

// Usage is what a tree uses.
type Usage struct {
	// At is when it was read; zero: not yet.
	At time.Time
	// CPU is the time used since the start, by all processes of the tree, the ended ones included. It never falls.
	CPU time.Duration
	// Memory is the resident memory of all processes of the tree, in bytes.
	Memory int64
	// Processes is how many there are.
	Processes int
}

// Process is a started command and the tree below it. Safe for concurrent use.
type Process struct {
	spec    Spec
	cmd     *exec.Cmd
	started time.Time
	done    chan struct{}

	mu     sync.Mutex
	reaped bool // the number of the process may belong to another one from now on
	oom    *Kill
	usage  Usage
	known  []Member
	exit   Exit
}

// Start starts the command in a process group of its own. It returns an error if it could not be started at all.
func (s *Starter) Start(spec Spec) (*Process, error) {
	if len(spec.Command) == 0 || spec.Command[0] == "" {
		return nil, errors.New("start process: command is empty")
	}
	if spec.Poll <= 0 {
		spec.Poll = DefaultPoll
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("open pipe for output: %w", err)
	}
	cmd := exec.Command(spec.Command[0], spec.Command[1:]...) //nolint:noctx // its life is not that of a call; Kill ends it
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = spec.Dir, spec.Env, w, w
	cmd.SysProcAttr = attributes()
	err = s.start(cmd)
	_ = w.Close() // the process has its own
	if err != nil {
		_ = r.Close()
		return nil, fmt.Errorf("start process: %w", err)
	}
	p := &Process{spec: spec, cmd: cmd, started: time.Now(), done: make(chan struct{})}
	read := make(chan struct{})
	go func() {
		defer close(read)
		spec.Output.copyFrom(r)
	}()
	quit, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		p.watch(quit)
	}()
	go func() {
		p.reap()
		close(quit)
		<-watched
		_ = r.SetReadDeadline(time.Now().Add(outputGrace))
		<-read
		_ = r.Close()
		close(p.done)
	}()
	return p, nil
}

// reap waits for the end of the root, ends what is left of its tree, and keeps the exit.
func (p *Process) reap() {
	// Until it is reaped nobody else can get its number: what is left of the tree is best killed before that.
	early := awaitExit(p.cmd.Process.Pid)
	if early {
		p.Kill()
		p.setReaped()
	}
	_ = p.cmd.Wait() // the state says it all
	if !early {
		p.setReaped()
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // a group keeps its number while it has members
	}
	exit := Exit{At: time.Now(), Code: p.cmd.ProcessState.ExitCode()}
	if ws, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		exit.Signal, exit.Code = ws.Signal(), 128+int(ws.Signal())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if exit.Signal == syscall.SIGKILL {
		exit.OOM = p.oom
	}
	p.exit = exit
}

func (p *Process) setReaped() {
	p.mu.Lock()
	p.reaped = true
	p.mu.Unlock()
}

// PID of the root, which is also the number of its process group.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// StartedAt is when it was started.
func (p *Process) StartedAt() time.Time { return p.started }

// Done is closed once the root has ended, its tree was killed and its output was read.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit says how it ended; the zero Exit before Done is closed.
func (p *Process) Exit() Exit {
	select {
	case <-p.done:
	default:
		return Exit{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exit
}

// Usage is the newest reading of the tree, at most about Spec.Poll old while it runs; afterwards the last one.
func (p *Process) Usage() Usage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.usage
}

// Signal sends the signal to the root alone, as a container runtime does. It does nothing once the root has ended.
func (p *Process) Signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = syscall.Kill(p.cmd.Process.Pid, sig) // it may just have ended: nothing to do then
	}
}

// Kill sends SIGKILL to the process group and to every known process of the tree. It does nothing once the root has
// ended.
func (p *Process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // the group may be empty already
	read := newReader()
	for _, m := range p.known {
		if now, ok := read.member(m.PID); ok && now.started == m.started && m.PID != p.cmd.Process.Pid {
			_ = syscall.Kill(m.PID, syscall.SIGKILL)
		}
	}
}

// watch reads the tree until quit is closed, and kills for memory.
func (p *Process) watch(quit <-chan struct{}) {
	tree := newTree(p.PID(), newReader())
	tick := time.NewTicker(p.spec.Poll)
	defer tick.Stop()
	var victim Member // killed and perhaps not yet gone
	for {
		now := time.Now()
		if members := tree.read(now); len(members) > 0 {
			victim = p.judge(members, tree.cpu(), victim, now)
		}
		select {
		case <-quit:
			return
		case <-tick.C:
		}
	}
}

// judge keeps what was read and kills the largest process if the tree is over its limit. While an earlier victim still
// dies nothing else is killed. It returns the victim that is dying, if any.
func (p *Process) judge(members []Member, cpu time.Duration, victim Member, now time.Time) Member {
	var sum int64
	for _, m := range members {
		sum += m.Memory
	}
	p.mu.Lock()
	p.usage = Usage{At: now, CPU: max(cpu, p.usage.CPU), Memory: sum, Processes: len(members)}
	p.known = append(p.known[:0], members...)
	if p.spec.MemoryLimit <= 0 || sum <= p.spec.MemoryLimit || p.reaped {
		p.mu.Unlock()
		return Member{}
	}
	if slices.ContainsFunc(members, func(m Member) bool { return m.PID == victim.PID && m.started == victim.started }) {
		p.mu.Unlock()
		return victim
	}
	victim = slices.MaxFunc(members, func(a, b Member) int { return cmp.Compare(a.Memory, b.Memory) })
	kill := Kill{At: now, PID: victim.PID, Tree: sum, Victim: victim.Memory, Limit: p.spec.MemoryLimit}
	root := victim.PID == p.cmd.Process.Pid
	if root {
		p.oom = &kill
	}
	err := syscall.Kill(victim.PID, syscall.SIGKILL)
	p.mu.Unlock()
	if err == nil && !root && p.spec.OnChildOOM != nil {
		p.spec.OnChildOOM(kill)
	}
	return victim
}
