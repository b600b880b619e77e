//go:build linux

package proc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func supervisor(t *testing.T) Supervisor {
	t.Helper()
	state := t.TempDir()
	s := Supervisor{State: state, Pids: filepath.Join(state, "pids"), Logs: filepath.Join(state, "logs")}
	t.Cleanup(func() {
		for _, p := range All() {
			if s.Owns(p) {
				_ = p.End(0)
			}
		}
	})
	return s
}

func sleeper(seconds string) Spec { return Spec{Name: "sleeper", Argv: []string{"sleep", seconds}} }

func start(t *testing.T, s Supervisor, spec Spec) (Process, bool) {
	t.Helper()
	started, err := s.Ensure(spec)
	if err != nil {
		t.Fatal(err)
	}
	p, running := s.Running(spec.Name)
	if !running {
		t.Fatal("it does not run")
	}
	return p, started
}

func TestComponentRunsOnceAndIsReplacedWhenItsSpecChanges(t *testing.T) {
	s := supervisor(t)
	first, started := start(t, s, sleeper("600"))
	if !started {
		t.Error("first Ensure did not start it")
	}
	again, started := start(t, s, sleeper("600"))
	if started || again != first {
		t.Error("second Ensure started it again")
	}
	changed, started := start(t, s, sleeper("601"))
	if !started || changed == first || first.Alive() {
		t.Errorf("changed spec: started %v, old one alive %v", started, first.Alive())
	}
	if err := s.Stop("sleeper", time.Second); err != nil {
		t.Fatal(err)
	}
	if changed.Alive() {
		t.Error("it survived Stop")
	}
	if err := s.Stop("sleeper", time.Second); err != nil {
		t.Errorf("stopping what does not run: %v", err)
	}
}

func TestComponentWithoutPidFileIsFound(t *testing.T) {
	s := supervisor(t)
	lost, _ := start(t, s, sleeper("600"))
	if err := os.RemoveAll(s.Pids); err != nil {
		t.Fatal(err)
	}
	if _, started := start(t, s, sleeper("600")); !started || lost.Alive() {
		t.Errorf("the lost one is alive: %v", lost.Alive())
	}
}

func TestRecycledProcessIDIsNotKilled(t *testing.T) {
	s := supervisor(t)
	stranger := exec.Command("sleep", "600")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = stranger.Process.Kill()
		_ = stranger.Wait()
	}()
	p, ok := Lookup(stranger.Process.Pid)
	if !ok {
		t.Fatal("stranger does not run")
	}
	for name, r := range map[string]record{
		"another start time": {Process: Process{PID: p.PID, Start: p.Start - 1}, Boot: bootID()},
		"another boot":       {Process: p, Boot: "00000000-0000-0000-0000-000000000000"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.MkdirAll(s.Pids, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := s.write("sleeper", r); err != nil {
				t.Fatal(err)
			}
			if _, running := s.Running("sleeper"); running {
				t.Error("the stranger is taken for the component")
			}
			if err := s.Stop("sleeper", 0); err != nil {
				t.Fatal(err)
			}
			if !p.Alive() {
				t.Fatal("the stranger was killed")
			}
		})
	}
	if err := (Process{PID: p.PID, Start: p.Start + 1}).Signal(9); !errors.Is(err, ErrGone) || !p.Alive() {
		t.Errorf("signal to a recycled id: %v, stranger alive: %v", err, p.Alive())
	}
}

func TestProcessThatIgnoresTermIsKilled(t *testing.T) {
	s := supervisor(t)
	p, _ := start(t, s, Spec{Name: "stubborn", Argv: []string{"sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"}})
	up := func(context.Context) error {
		if strings.Contains(s.Tail("stubborn", 1), "up") {
			return nil
		}
		return errors.New("trap is not set yet")
	}
	if err := s.Await(t.Context(), 10*time.Second, up, "stubborn"); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop("stubborn", 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if p.Alive() {
		t.Error("it is alive")
	}
}

func TestWaitingEndsWithTheComponentAndShowsItsLog(t *testing.T) {
	s := supervisor(t)
	if _, err := s.Ensure(Spec{Name: "crasher", Argv: []string{"sh", "-c", "sleep 0.2; echo no such flag; exit 1"}}); err != nil {
		t.Fatal(err)
	}
	never := func(context.Context) error { return errors.New("not ready") }
	err := s.Await(t.Context(), time.Minute, never, "crasher")
	if err == nil || !strings.Contains(err.Error(), "crasher has ended") || !strings.Contains(err.Error(), "no such flag") {
		t.Errorf("Await = %v", err)
	}
}

func TestWaitingTooLongSaysWhatWasMissing(t *testing.T) {
	s := supervisor(t)
	start(t, s, sleeper("600"))
	never := func(context.Context) error { return errors.New("the port is closed") }
	err := s.Await(t.Context(), 150*time.Millisecond, never, "sleeper")
	if err == nil || !strings.Contains(err.Error(), "the port is closed") {
		t.Errorf("Await = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Await(ctx, time.Minute, never); !errors.Is(err, context.Canceled) {
		t.Errorf("Await with an ended context = %v", err)
	}
}

func TestMarksTellLabsApart(t *testing.T) {
	one, two := supervisor(t), supervisor(t)
	p, _ := start(t, one, sleeper("600"))
	if !one.Owns(p) || two.Owns(p) {
		t.Errorf("owned by its lab %v, by the other %v", one.Owns(p), two.Owns(p))
	}
	if !one.Started(p, "other", "sleeper") || one.Started(p, "other") {
		t.Error("the component's mark is wrong")
	}
	if others := two.Others(); !slices.Contains(others, one.State) || slices.Contains(one.Others(), one.State) {
		t.Errorf("others are %v", others)
	}
	if !p.Mentions("600") || p.Mentions("601") || p.Program() == "" || p.Memory() <= 0 || p.Age() < 0 {
		t.Errorf("details are wrong: %q %q %d %s", p.Command(), p.Program(), p.Memory(), p.Age())
	}
}

func TestLockIsExclusiveAndLeavesNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "lock")
	unlock, err := Lock(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	waited := make(chan struct{})
	second := make(chan error, 1)
	go func() {
		unlockSecond, err := Lock(t.Context(), path, func() { close(waited) })
		if err == nil {
			unlockSecond()
		}
		second <- err
	}()
	<-waited
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Lock(ctx, path, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Lock with an ended context = %v", err)
	}
	unlock()
	if err := <-second; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("lock file: %v", err)
	}
}

const statLine = "42 (a) b (c)) S 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 3 0 123456 1 2 3"

func TestParseStatus(t *testing.T) {
	got, err := parseStatus([]byte(statLine))
	if want := (status{state: 'S', parent: 7, threads: 3, start: 123456}); err != nil || got != want {
		t.Errorf("parseStatus = %+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{"", "42 (x", "42 (x) S 1", strings.Replace(statLine, "123456", "x", 1)} {
		if _, err := parseStatus([]byte(bad)); err == nil {
			t.Errorf("parseStatus(%q) gives no error", bad)
		}
	}
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte(statLine))
	f.Add([]byte(")"))
	f.Fuzz(func(_ *testing.T, text []byte) { _, _ = parseStatus(text) })
}

// TestProcessWithoutItsFirstThreadIsAlive is about how the API server dies when it
// is killed: its first thread is gone while others still hold its port.
func TestProcessWithoutItsFirstThreadIsAlive(t *testing.T) {
	folder := t.TempDir()
	source, program := filepath.Join(folder, "main.go"), filepath.Join(folder, "headless")
	if err := os.WriteFile(source, []byte(headless), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, output)
	}
	s := supervisor(t)
	p, _ := start(t, s, Spec{Name: "headless", Argv: []string{program}})
	zombie := func(context.Context) error {
		got, err := readStatus(p.PID)
		if err == nil && got.state != 'Z' {
			err = fmt.Errorf("it is %+v", got)
		}
		return err
	}
	if err := s.Await(t.Context(), 30*time.Second, zombie); err != nil {
		t.Fatal(err)
	}
	if !p.Alive() {
		t.Error("it counts as ended while it has threads")
	}
	if err := s.Stop("headless", 0); err != nil || p.Alive() {
		t.Errorf("Stop: %v, alive %v", err, p.Alive())
	}
}

// headless is a program that ends its first thread and goes on with another.
const headless = `package main

import (
	"runtime"
	"syscall"
)

func init() { runtime.LockOSThread() } // main then runs on the first thread

func main() {
	up := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(up)
		_ = syscall.Pause()
	}()
	<-up
	_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0)
}
`

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{"pid":42,"start":1,"boot":"b","hash":"h"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseRecord(text)
		if err == nil && r.PID <= 1 {
			t.Errorf("%q was read as process %d", text, r.PID)
		}
		if err == nil {
			if _, err := json.Marshal(r); err != nil {
				t.Error(err)
			}
		}
	})
}
