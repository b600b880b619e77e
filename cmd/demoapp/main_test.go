package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(withBinary(m))
}

func withBinary(m *testing.M) int {
	dir, err := os.MkdirTemp("", "demoapp")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "demoapp")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// replica is a running process of the program.
type replica struct {
	t    *testing.T
	cmd  *exec.Cmd
	url  string
	log  chan map[string]any
	exit chan int
}

// launch starts a replica and waits until it listens.
func launch(t *testing.T, name string, env ...string) *replica {
	t.Helper()
	r := &replica{t: t, cmd: exec.Command(binary), log: make(chan map[string]any, 1000), exit: make(chan int, 1)}
	r.cmd.Env = append(os.Environ(), append([]string{"PORT=0", "ADDR=127.0.0.1", "HOSTNAME_OVERRIDE=" + name}, env...)...)
	r.cmd.Stderr = os.Stderr
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		scanner := bufio.NewScanner(out)
		for scanner.Scan() {
			var line map[string]any
			if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
				line = map[string]any{"msg": "not JSON: " + scanner.Text()}
			}
			r.log <- line
		}
		close(r.log)
		_ = r.cmd.Wait()
		r.exit <- r.cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		for range r.log {
		}
	})
	line := r.await("listening")
	addr, _ := line["addr"].(string)
	r.url = "http://" + addr
	return r
}

// await returns the next log line with the message.
func (r *replica) await(msg string) map[string]any {
	r.t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case line, open := <-r.log:
			if !open {
				r.t.Fatalf("the process ended without saying %q", msg)
			}
			if line["msg"] == msg {
				return line
			}
		case <-deadline:
			r.t.Fatalf("the process never said %q", msg)
		}
	}
}

func (r *replica) get(client *http.Client, path string) (int, string, error) {
	response, err := client.Get(r.url + path)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// balancer sends each request to a replica that was ready when it last looked, as kube-proxy does.
type balancer struct {
	mu       sync.Mutex
	replicas []*replica
	ready    []*replica
	next     int
}

func (b *balancer) watch(ctx context.Context) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for ctx.Err() == nil {
		var ready []*replica
		for _, r := range b.replicas {
			if status, _, err := r.get(client, "/readyz"); err == nil && status == http.StatusOK {
				ready = append(ready, r)
			}
		}
		b.mu.Lock()
		b.ready = ready
		b.mu.Unlock()
		time.Sleep(20 * time.Millisecond)
	}
}

func (b *balancer) pick() *replica {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.ready) == 0 {
		return b.replicas[len(b.replicas)-1]
	}
	b.next++
	return b.ready[b.next%len(b.ready)]
}

// One of two replicas is told to stop while clients hammer both through a balancer that follows readiness. No
// request may fail: neither new ones, nor those on connections kept open, nor the slow one in flight.
func TestNoRequestIsLostWhenAReplicaStops(t *testing.T) {
	leaving, staying := launch(t, "leaving", "DRAIN=3s"), launch(t, "staying", "DRAIN=0s")
	ctx, cancel := context.WithCancel(t.Context())
	balancing := &balancer{replicas: []*replica{leaving, staying}, ready: []*replica{leaving, staying}}
	var running sync.WaitGroup
	running.Go(func() { balancing.watch(ctx) })

	var answered, byLeaving atomic.Int64
	for i := range 8 {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: i%2 == 0}}
		defer client.CloseIdleConnections()
		running.Go(func() {
			for ctx.Err() == nil {
				status, body, err := balancing.pick().get(client, "/hostname")
				if err != nil || status != http.StatusOK {
					t.Errorf("a request got %d, %v", status, err)
					return
				}
				answered.Add(1)
				if strings.HasPrefix(body, "leaving ") {
					byLeaving.Add(1)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	slow := make(chan error, 1)
	go func() {
		status, _, err := leaving.get(http.DefaultClient, "/slow?ms=4000")
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d", status)
		}
		slow <- err
	}()
	for answered.Load() < 100 {
		time.Sleep(5 * time.Millisecond)
	}
	if err := leaving.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	leaving.await("draining: not ready any more, still serving")
	leaving.await("stopped: every request was answered")
	if code := <-leaving.exit; code != 0 {
		t.Errorf("exit code is %d, want 0", code)
	}
	if err := <-slow; err != nil {
		t.Errorf("the request in flight: %v", err)
	}
	cancel()
	running.Wait()
	if byLeaving.Load() == 0 {
		t.Error("the replica that left never answered, so the test says nothing")
	}
	t.Logf("%d requests, %d of them answered by the replica that left", answered.Load(), byLeaving.Load())
}

func TestExitCodes(t *testing.T) {
	t.Run("crash", func(t *testing.T) {
		r := launch(t, "web-0")
		if status, _, err := r.get(http.DefaultClient, "/crash?code=42"); err != nil || status != http.StatusOK {
			t.Errorf("the crash was answered with %d, %v", status, err)
		}
		r.await("crashing: told to by /crash")
		if code := <-r.exit; code != 42 {
			t.Errorf("exit code is %d, want 42", code)
		}
	})
	t.Run("fail on start", func(t *testing.T) {
		cmd := exec.Command(binary)
		cmd.Env = append(os.Environ(), "FAIL_ON_START=9")
		var exit *exec.ExitError
		if out, err := cmd.Output(); !errors.As(err, &exit) || exit.ExitCode() != 9 || !strings.Contains(string(out), "told to fail on start") {
			t.Errorf("the process ended with %v and said %q, want code 9 and why", err, out)
		}
	})
}

func TestChildIsTheOneThatDies(t *testing.T) {
	r := launch(t, "web-0", "DRAIN=0s")
	if status, body, err := r.get(http.DefaultClient, "/child-leak?rate=100&size=8"); err != nil || status != http.StatusAccepted {
		t.Fatalf("child leak was answered with %d %s, %v", status, body, err)
	}
	line := r.await("leak ended, memory is kept")
	if line["app"] != "demoapp-child" || line["leaked_mib"] != 8.0 {
		t.Errorf("log says %v, want 8 MiB leaked by the child", line)
	}
	pid, _ := line["pid"].(float64)
	if err := syscall.Kill(int(pid), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if line := r.await("child process was killed, most likely out of memory; serving on"); line["child_pid"] != pid {
		t.Errorf("log says %v, want the death of process %v", line, pid)
	}
	if status, _, err := r.get(http.DefaultClient, "/hostname"); err != nil || status != http.StatusOK {
		t.Errorf("after the child's death the app answers %d, %v", status, err)
	}
}

// A child must not outlive a parent that was killed and could not tell it to end.
func TestChildEndsWithAKilledParent(t *testing.T) {
	r := launch(t, "web-0")
	if status, _, err := r.get(http.DefaultClient, "/child-leak?rate=100&size=8"); err != nil || status != http.StatusAccepted {
		t.Fatalf("child leak was answered with %d, %v", status, err)
	}
	pid, _ := r.await("leak ended, memory is kept")["pid"].(float64)
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", int(pid)))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the child lives on")
		}
	}
}
