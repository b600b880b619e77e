package service

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/homeostat/homeostat/healing/detect"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/metrics"
	"github.com/homeostat/homeostat/platform/local/process"
)

// keepLives is of how many lives of a replica the output is kept, the present one included.
const keepLives = 5

// notReadyReason is the reason of the Ready condition in Kubernetes where a container is not ready.
const notReadyReason = "ContainersNotReady"

// reasonStart is the termination reason where the command could not be started; startCode its exit code. Both are
// those of containerd.
const (
	reasonStart = "StartError"
	startCode   = 128
)

// replica is one replica over all its lives. One goroutine runs it.
type replica struct {
	service   *Service
	name, uid string
	createdAt time.Time
	stop      chan struct{} // closed by retire
	done      chan struct{} // closed when the last life is over

	// The rest is guarded by the service's lock.
	deletedAt                 time.Time
	disruption                string
	ready                     bool
	readySince                time.Time
	readyReason, readyMessage string
	container                 cluster.Container
	lives                     []*life // newest last
	events                    eventLog
}

// life is one process of a replica. What is set by begin does not change.
type life struct {
	id        string
	log       *process.Log
	startedAt time.Time
	address   string
	process   *process.Process // nil if it could not be started
	err       error            // why not
	// liveness is true where its liveness probe ended it.
	liveness bool
	// ending is guarded by the service's lock: it gets no requests any more, whatever its probe says.
	ending bool
	// ended is guarded by the service's lock; nil while it runs.
	ended *cluster.Termination
}

// run keeps the replica alive until it is retired.
func (r *replica) run(ctx context.Context) {
	defer r.leave()
	back := backoff{rules: r.service.spec.Restart}
	for n := 0; ; n++ {
		l := r.begin(ctx, n)
		if l.process != nil {
			r.follow(ctx, l)
		}
		lived := r.finish(l)
		select {
		case <-r.stop:
			return
		default:
		}
		if !r.rest(back.delay(lived)) {
			return
		}
	}
}

// begin starts the n-th life.
func (r *replica) begin(ctx context.Context, n int) *life {
	s := r.service
	var tap func(string)
	if s.opts.OnLine != nil {
		tap = func(line string) { s.opts.OnLine(r.name, line) }
	}
	l := &life{id: fmt.Sprintf("local://%s/%d", r.uid, n), log: process.NewLog(0, tap), startedAt: time.Now()}
	if l.address, l.err = freeAddress(ctx); l.err == nil {
		l.process, l.err = s.opts.Starter.Start(process.Spec{
			Command: s.spec.Command, Dir: s.spec.WorkingDir, Env: r.environ(l.address), Output: l.log,
			MemoryLimit: s.spec.MemoryLimit, OnChildOOM: r.childOOM,
		})
	}
	if l.process != nil {
		l.startedAt = l.process.StartedAt()
	}
	s.mu.Lock()
	r.lives = append(r.lives, l)
	r.lives = r.lives[max(0, len(r.lives)-keepLives):]
	c := &r.container
	if n > 0 {
		c.Restarts++
		c.Last = c.LatestDeath() // of the present state, or of before the back-off
	}
	c.State, c.StartedAt, c.Terminated, c.WaitingReason, c.WaitingMessage = cluster.StateRunning, l.startedAt, nil, "", ""
	c.Started, c.Ready = true, false
	r.readyMessage = "its readiness probe has not passed yet"
	s.mu.Unlock()
	if l.err != nil {
		l.log.Add("homeostat: " + l.err.Error())
		s.emit(r, Warning, "Failed", "Error: "+l.err.Error())
		return l
	}
	s.emit(r, Normal, "Started", "Started container "+s.spec.Name)
	return l
}

// freeAddress asks the system for a port that is free now. Another program can take it first; then the process ends,
// and its next life gets another one.
func freeAddress(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close() //nolint:errcheck // nothing was accepted
	return l.Addr().String(), nil
}

// environ is this program's environment, the spec's variables and those of the replica; the last of a name wins.
func (r *replica) environ(address string) []string {
	env := os.Environ()
	for _, v := range r.service.spec.Env {
		env = append(env, v.Name+"="+v.Value)
	}
	_, port, _ := net.SplitHostPort(address)
	return append(env, "PORT="+port, "POD_NAME="+r.name, "HOSTNAME_OVERRIDE="+r.name, "POD_UID="+r.uid,
		"POD_NAMESPACE="+r.service.opts.Namespace)
}

// follow returns when the life is over: by itself, or because the replica was retired or is not live.
func (r *replica) follow(ctx context.Context, l *life) {
	s := r.service
	probing, cancel := context.WithCancel(ctx)
	p := r.probe(probing, l)
	defer p.wait()
	defer cancel()
	select {
	case <-l.process.Done():
	case <-r.stop:
		cancel()
		s.emit(r, Normal, "Killing", "Stopping container "+s.spec.Name)
		r.shutdown(ctx, l, true)
	case <-p.notLive:
		cancel()
		l.liveness = true
		s.emit(r, Normal, "Killing", "Container "+s.spec.Name+" failed liveness probe, will be restarted")
		r.shutdown(ctx, l, false)
	}
}

// shutdown ends the process within the grace period: no new requests, if asked for those under way for at most half of it, SIGTERM, SIGKILL.
func (r *replica) shutdown(ctx context.Context, l *life, drain bool) {
	s := r.service
	grace := s.spec.TerminationGracePeriod
	kill := time.NewTimer(grace)
	defer kill.Stop()
	s.mu.Lock()
	l.ending = true
	r.setReady(false, "it is being ended")
	s.mu.Unlock()
	if drain {
		r.drain(ctx, l, grace/2)
	}
	l.process.Signal(syscall.SIGTERM)
	select {
	case <-l.process.Done():
		return
	case <-kill.C:
		s.emit(r, Warning, "ExceededGracePeriod", fmt.Sprintf("Container %s did not end within %v and was killed", s.spec.Name, grace))
	case <-s.force:
	}
	l.process.Kill()
	<-l.process.Done()
}

func (r *replica) drain(ctx context.Context, l *life, atMost time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		if err := r.service.balancer.Drain(ctx, r.name); err != nil {
			r.service.log.DebugContext(ctx, "requests still under way", "replica", r.name, "error", err)
		}
	}()
	select {
	case <-drained:
	case <-l.process.Done():
	case <-r.service.force:
	}
	cancel()
	<-drained
}

// finish records the death and returns how long the life was.
func (r *replica) finish(l *life) time.Duration {
	s := r.service
	t := &cluster.Termination{ContainerID: l.id, StartedAt: l.startedAt, FinishedAt: time.Now(), Reason: reasonStart, ExitCode: startCode}
	var oom *process.Kill
	if l.err != nil {
		t.Message = l.err.Error()
	} else {
		e := l.process.Exit()
		oom = e.OOM
		t.FinishedAt, t.ExitCode, t.Signal = e.At, int32(e.Code), int32(e.Signal)
		switch {
		case oom != nil:
			t.Reason, t.Message = cluster.ReasonOOMKilled, oom.String()
		case l.liveness:
			t.Reason = detect.ReasonLivenessProbe
		case e.Code == 0:
			t.Reason = cluster.ReasonCompleted
		default:
			t.Reason = cluster.ReasonError
		}
	}
	s.mu.Lock()
	l.ended = t
	c := &r.container
	c.State, c.Terminated, c.StartedAt, c.Started = cluster.StateTerminated, t, time.Time{}, false
	r.setReady(false, "its process ended")
	s.mu.Unlock()
	if oom != nil {
		r.countOOM(*oom)
	}
	kind := Normal
	if t.Reason != cluster.ReasonCompleted && r.wanted() {
		kind = Warning
	}
	message := fmt.Sprintf("Container %s ended with exit code %d (%s)", s.spec.Name, t.ExitCode, t.Reason)
	if t.Message != "" {
		message += ": " + t.Message
	}
	s.emit(r, kind, "Ended", message)
	return t.FinishedAt.Sub(t.StartedAt)
}

// wanted reports whether the replica is to go on.
func (r *replica) wanted() bool {
	select {
	case <-r.stop:
		return false
	default:
		return true
	}
}

// rest waits before the next life and reports whether there is to be one.
func (r *replica) rest(delay time.Duration) bool {
	if delay == 0 {
		return true
	}
	s := r.service
	pod := fmt.Sprintf("%s_%s(%s)", r.name, s.opts.Namespace, r.uid)
	s.mu.Lock()
	c := &r.container
	c.State, c.Last, c.Terminated = cluster.StateWaiting, c.Terminated, nil
	c.WaitingReason = cluster.ReasonCrashLoopBackOff
	c.WaitingMessage = fmt.Sprintf("back-off %v restarting failed container=%s pod=%s", delay, s.spec.Name, pod)
	s.mu.Unlock()
	s.emit(r, Warning, "BackOff", fmt.Sprintf("Back-off restarting failed container %s in pod %s", s.spec.Name, pod))
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.stop:
		return false
	}
}

// leave moves the replica from those that there are to those that there were.
func (r *replica) leave() {
	s := r.service
	s.mu.Lock()
	s.replicas = slices.DeleteFunc(s.replicas, func(other *replica) bool { return other == r })
	s.ended = append(s.ended, r)
	s.ended = s.ended[max(0, len(s.ended)-keepEnded):]
	s.mu.Unlock()
	close(r.done)
}

// setReady moves the replica in or out of the load balancer and keeps since when. The lock must be held.
func (r *replica) setReady(ready bool, why string) {
	r.container.Ready = ready
	if ready {
		r.service.balancer.Add(r.name, r.lives[len(r.lives)-1].address)
	} else {
		r.service.balancer.Remove(r.name)
	}
	if r.ready != ready {
		r.ready, r.readySince = ready, time.Now()
	}
	r.readyReason, r.readyMessage = notReadyReason, why
	if ready {
		r.readyReason, r.readyMessage = "", ""
	}
}

// running is the process of the present life, nil where none runs. The lock must be held.
func (r *replica) running() *process.Process {
	if len(r.lives) == 0 {
		return nil
	}
	if l := r.lives[len(r.lives)-1]; l.ended == nil {
		return l.process
	}
	return nil
}

// key of the replica's samples.
func (r *replica) key() metrics.Key {
	return metrics.Key{Namespace: r.service.opts.Namespace, Pod: r.name, Container: r.service.spec.Name}
}

// sample hands the newest reading of the process to the store.
func (r *replica) sample() {
	s := r.service
	s.mu.Lock()
	p, started := r.running(), r.container.StartedAt
	s.mu.Unlock()
	if p == nil {
		return
	}
	if u := p.Usage(); !u.At.IsZero() {
		s.opts.Store.Add(r.key(), "", metrics.Sample{At: u.At, CPUSeconds: u.CPU.Seconds(), MemoryBytes: u.Memory, Start: started})
	}
}

// childOOM is called when a process of the tree that is not the root was killed for memory.
func (r *replica) childOOM(k process.Kill) {
	r.countOOM(k)
	r.service.emit(r, Warning, "OOMKilling", "In container "+r.service.spec.Name+", "+k.String()+" (process "+strconv.Itoa(k.PID)+")")
}

// countOOM counts a kill and keeps the memory at that time as a sample: it is the reading that decided.
func (r *replica) countOOM(k process.Kill) {
	s := r.service
	s.mu.Lock()
	r.container.OOMEvents++
	r.container.LastOOMEvent = k.At
	s.mu.Unlock()
	s.opts.Store.Add(r.key(), "", metrics.Sample{At: k.At, NoCPU: true, MemoryBytes: k.Tree})
}
