package process

import (
	"errors"
	"os/exec"
	"runtime"
	"sync"
)

// ErrClosed is returned by Starter.Start after Close.
var ErrClosed = errors.New("starter is closed")

// Starter starts processes, all of them from one thread that it keeps for itself. Linux ties the signal that a process gets when its
// parent dies to the thread that started it, and Go ends threads as it likes; so the thread has to live as long as the
// processes. Safe for concurrent use. Make one with NewStarter and Close it when every process has ended.
type Starter struct {
	requests chan request
	quit     chan struct{}
	done     chan struct{}
	once     sync.Once
}

type request struct {
	cmd   *exec.Cmd
	reply chan error
}

// NewStarter returns a starter with its thread running.
func NewStarter() *Starter {
	s := &Starter{requests: make(chan request), quit: make(chan struct{}), done: make(chan struct{})}
	go s.run()
	return s
}

func (s *Starter) run() {
	defer close(s.done)
	// Never unlocked: the thread ends with this goroutine, and with the thread everything on Linux that it started.
	runtime.LockOSThread()
	for {
		select {
		case r := <-s.requests:
			r.reply <- r.cmd.Start()
		case <-s.quit:
			return
		}
	}
}

func (s *Starter) start(cmd *exec.Cmd) error {
	r := request{cmd: cmd, reply: make(chan error, 1)}
	select {
	case s.requests <- r:
		return <-r.reply
	case <-s.quit:
		return ErrClosed
	}
}

// Close ends the thread and waits for it. On Linux a process that is still running dies with it.
func (s *Starter) Close() {
	s.once.Do(func() { close(s.quit) })
	<-s.done
}
