package process_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/homeostat/homeostat/platform/local/localtest"
	"github.com/homeostat/homeostat/platform/local/process"
)

func TestMain(m *testing.M) {
	localtest.Main()
	goleak.VerifyTestMain(m)
}

// start runs the stand-in program and ends it with the test.
func start(t *testing.T, spec process.Spec) *process.Process {
	t.Helper()
	starter := process.NewStarter()
	spec.Command = []string{os.Args[0]}
	if spec.Output == nil {
		spec.Output = process.NewLog(0, nil)
	}
	p, err := starter.Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		<-p.Done()
		starter.Close()
	})
	return p
}

// eventually waits for something that another process does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

func ended(t *testing.T, p *process.Process) process.Exit {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("process did not end")
	}
	return p.Exit()
}

func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat("/proc/self"); err == nil {
			return false
		}
		return syscall.Kill(pid, 0) == nil // no /proc: macOS
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(state, "Z")
}

func TestExitIsTold(t *testing.T) {
	tests := []struct {
		name   string
		env    []string
		signal syscall.Signal
		code   int
	}{
		{"exit code", localtest.Environ(localtest.Crash, "CODE=7"), 0, 7},
		{"terminated", localtest.Environ(localtest.Sleep), syscall.SIGTERM, 143},
		{"killed", localtest.Environ(localtest.Sleep), syscall.SIGKILL, 137},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out := process.NewLog(0, nil)
			p := start(t, process.Spec{Env: tt.env, Output: out, MemoryLimit: 1 << 40})
			if tt.signal != 0 {
				eventually(t, "the program runs", func() bool { return out.Total() > 0 })
				p.Signal(tt.signal)
			}
			e := ended(t, p)
			if e.Code != tt.code || e.Signal != tt.signal || e.OOM != nil {
				t.Errorf("exit %+v, want code %d, signal %d and no OOM", e, tt.code, tt.signal)
			}
		})
	}
}

func TestOutputIsCompleteWhenDone(t *testing.T) {
	out := process.NewLog(0, nil)
	ended(t, start(t, process.Spec{Env: localtest.Environ(localtest.Crash), Output: out}))
	want := []string{"starting", "panic: cannot open the database"}
	if got := out.Lines(); !slices.Equal(got, want) {
		t.Errorf("lines %q, want %q", got, want)
	}
}

func TestRootOverLimitIsOOMKilled(t *testing.T) {
	out := process.NewLog(0, nil)
	limit := int64(256 << 20)
	p := start(t, process.Spec{Env: localtest.Environ(localtest.Leak, "RATE=1000"), Output: out, MemoryLimit: limit})
	e := ended(t, p)
	if e.Code != 137 || e.OOM == nil {
		t.Fatalf("exit %+v, want 137 and OOM", e)
	}
	if e.OOM.Tree <= limit || e.OOM.PID != p.PID() {
		t.Errorf("kill %+v: want the root, over the limit", e.OOM)
	}
	if last := out.Lines(); !strings.HasPrefix(last[len(last)-1], "leak: ") {
		t.Errorf("last line %q: want the leak's", last[len(last)-1])
	}
}

func TestChildOverLimitDiesAlone(t *testing.T) {
	kills := make(chan process.Kill, 8)
	p := start(t, process.Spec{
		Env: localtest.Environ(localtest.Parent, "CHILD="+localtest.Leak, "RATE=1000"), MemoryLimit: 384 << 20,
		OnChildOOM: func(k process.Kill) { kills <- k },
	})
	select {
	case k := <-kills:
		if k.PID == p.PID() {
			t.Errorf("the root was killed: %+v", k)
		}
		eventually(t, "the child is gone", func() bool { return !alive(k.PID) })
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was killed")
	}
	eventually(t, "only the root is left", func() bool { return p.Usage().Processes == 1 })
	if !alive(p.PID()) {
		t.Error("the root died with its child")
	}
	if len(kills) != 0 {
		t.Errorf("%d more kills for one leak", len(kills))
	}
}

func TestUsageOfABusyTree(t *testing.T) {
	p := start(t, process.Spec{Env: localtest.Environ(localtest.Parent, "CHILD="+localtest.Burn)})
	eventually(t, "the child's CPU is seen", func() bool {
		u := p.Usage()
		return u.Processes == 2 && u.CPU > 200*time.Millisecond && u.Memory > 1<<20
	})
}

// The time of a child that ended stays in the sum.
func TestCPUNeverFalls(t *testing.T) {
	out := process.NewLog(0, nil)
	p := start(t, process.Spec{Env: localtest.Environ(localtest.Parent, "CHILD="+localtest.BurnShort), Output: out, Poll: 10 * time.Millisecond})
	var before time.Duration
	eventually(t, "the child ended", func() bool {
		now := p.Usage().CPU
		if now < before {
			t.Fatalf("CPU fell from %v to %v", before, now)
		}
		before = now
		return slices.ContainsFunc(out.Lines(), func(l string) bool { return strings.HasPrefix(l, "child ended") })
	})
	if before < 100*time.Millisecond {
		t.Errorf("CPU %v after a child that burned for half a second", before)
	}
}

func TestKillEndsTheWholeTree(t *testing.T) {
	out := process.NewLog(0, nil)
	p := start(t, process.Spec{Env: localtest.Environ(localtest.Parent, "CHILD="+localtest.Sleep), Output: out})
	child := 0
	eventually(t, "the child runs", func() bool {
		for _, l := range out.Lines() {
			if pid, ok := strings.CutPrefix(l, "child "); ok {
				child, _ = strconv.Atoi(pid)
			}
		}
		return child != 0
	})
	p.Signal(syscall.SIGKILL) // the root alone, as a crash would
	ended(t, p)
	eventually(t, "the child is gone", func() bool { return !alive(child) })
}

func TestStartErrors(t *testing.T) {
	starter := process.NewStarter()
	for _, command := range [][]string{nil, {""}, {"/does/not/exist"}} {
		if _, err := starter.Start(process.Spec{Command: command, Output: process.NewLog(0, nil)}); err == nil {
			t.Errorf("start %q: no error", command)
		}
	}
	starter.Close()
	starter.Close() // twice is fine
	_, err := starter.Start(process.Spec{Command: []string{os.Args[0]}, Output: process.NewLog(0, nil)})
	if !errors.Is(err, process.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// A process dies with the program that started it, however that ends; Linux only.
func TestDiesWithItsParent(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("needs Linux")
	}
	if os.Getenv("HOLDER") != "" {
		p := start(t, process.Spec{Env: localtest.Environ(localtest.Sleep)})
		fmt.Println("held", p.PID())
		time.Sleep(time.Minute)
	}
	holder := exec.CommandContext(t.Context(), os.Args[0], "-test.run=TestDiesWithItsParent$")
	holder.Env = append(os.Environ(), "HOLDER=1")
	pipe, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	if _, err := fmt.Fscanf(pipe, "held %d\n", &pid); err != nil {
		t.Fatal(err)
	}
	_ = holder.Process.Kill()
	_ = holder.Wait()
	eventually(t, "the held process is gone", func() bool { return !alive(pid) })
}

func TestLogKeepsTheLastLines(t *testing.T) {
	var tapped int
	log := process.NewLog(3, func(string) { tapped++ })
	for i := range 5 {
		log.Add(strconv.Itoa(i))
	}
	if got := log.Lines(); !slices.Equal(got, []string{"2", "3", "4"}) || log.Total() != 5 || tapped != 5 {
		t.Errorf("lines %q, total %d, tapped %d", got, log.Total(), tapped)
	}
	log.Add("\xff")
	if got := log.Lines()[2]; got != "\uFFFD" {
		t.Errorf("invalid UTF-8 kept as %q", got)
	}
}
