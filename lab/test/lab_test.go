//go:build lab

package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// app is what runs in the pod: it answers with its user's number.
const app = `package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	fmt.Println("listening")
	_ = http.ListenAndServe(":8080", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Println("asked")
		fmt.Fprintln(w, "user", os.Getuid())
	}))
}
`

const manifest = `
apiVersion: v1
kind: Pod
metadata: {name: app, labels: {app: app}}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {runAsNonRoot: true}
  containers:
  - name: app
    image: localhost/lab-test:dev
    imagePullPolicy: Never
    readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {type: NodePort, selector: {app: app}, ports: [{port: 80, targetPort: 8080, nodePort: 30080}]}
`

// tool runs the lab tool, with a lab of the test's own.
type tool struct {
	path, state string
}

func (l tool) run(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	output, err := l.try(t.Context(), stdin, args...)
	if err != nil {
		t.Fatalf("lab %s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return output
}

func (l tool) try(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, l.path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "LAB_NAME="+filepath.Base(l.state), "LAB_STATE="+l.state, "NODES=1", "LAB_PORT=17443", "LAB_FORWARD=31080:30080")
	cmd.Dir = ".."
	output, err := cmd.CombinedOutput()
	return string(output), err
}

func newTool(t *testing.T) tool {
	t.Helper()
	folder := t.TempDir()
	l := tool{path: filepath.Join(folder, "lab"), state: filepath.Join(folder, "homeostat-check")}
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", l.path, "../cmd/lab").CombinedOutput(); err != nil {
		t.Fatalf("build lab: %v\n%s", err, output)
	}
	t.Cleanup(func() {
		if output, err := l.try(context.Background(), "", "down"); err != nil { // the test's own context has ended
			t.Errorf("lab down: %v\n%s", err, output)
		}
		for _, left := range l.leftovers() {
			t.Errorf("left behind: %s", left)
		}
	})
	return l
}

// leftovers looks for what a lab can leave on a machine, without the lab's help.
func (l tool) leftovers() []string {
	var left []string
	name := filepath.Base(l.state)
	for _, pattern := range []string{"/run/netns/" + name + "*", "/sys/fs/cgroup/" + name + "*", "/sys/fs/cgroup/*/" + name + "*", l.state + "*"} {
		found, _ := filepath.Glob(pattern)
		left = append(left, found...)
	}
	mounts, _ := os.ReadFile("/proc/mounts")
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, l.state) {
			left = append(left, "mount "+line)
		}
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range processes {
		command, _ := os.ReadFile(process + "/cmdline")
		environment, _ := os.ReadFile(process + "/environ")
		ours := process == fmt.Sprintf("/proc/%d", os.Getpid())
		if !ours && (strings.Contains(string(command), l.state) || strings.Contains(string(environment), "HOMEOSTAT_LAB_STATE="+l.state)) {
			left = append(left, process+" "+strings.ReplaceAll(string(command), "\x00", " "))
		}
	}
	return left
}

func TestPodRunsAndNothingIsLeft(t *testing.T) {
	l := newTool(t)
	t.Log(l.run(t, "", "up"))
	folder := t.TempDir()
	source, binary, archive := filepath.Join(folder, "main.go"), filepath.Join(folder, "app"), filepath.Join(folder, "app.tar")
	if err := os.WriteFile(source, []byte(app), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build app: %v\n%s", err, output)
	}
	l.run(t, "", "image", "--name", "localhost/lab-test:dev", "--out", archive, binary)
	l.run(t, "", "load", archive)
	l.run(t, manifest, "kubectl", "apply", "-f", "-")
	l.run(t, "", "kubectl", "wait", "--for=condition=Ready", "pod/app", "--timeout=60s")

	if answer := ask(t, "http://127.0.0.1:31080/"); answer != "user 65532\n" {
		t.Errorf("the service answers %q to the host", answer)
	}
	if logs := l.run(t, "", "kubectl", "logs", "app"); !strings.Contains(logs, "listening\nasked\n") {
		t.Errorf("logs are %q", logs)
	}
	l.run(t, "", "status")

	l.run(t, "", "restart", "--kill", "kube-apiserver")
	l.run(t, "", "kubectl", "get", "pod", "app")
	if answer := ask(t, "http://127.0.0.1:31080/"); answer != "user 65532\n" {
		t.Errorf("after a restart of the API server the service answers %q", answer)
	}

	l.run(t, "", "down", "--keep-state")
	l.run(t, "", "up")
	// The API server still has what the kubelet wrote before, so Ready alone says nothing.
	l.run(t, "", "kubectl", "wait", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", "pod/app", "--timeout=60s")
	l.run(t, "", "kubectl", "wait", "--for=condition=Ready", "pod/app", "--timeout=60s")
}

// TestCrashedUpIsCleanedUp kills `lab up` at different moments.
func TestCrashedUpIsCleanedUp(t *testing.T) {
	l := newTool(t)
	for _, after := range []time.Duration{100 * time.Millisecond, 700 * time.Millisecond, 2 * time.Second} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		_, _ = l.try(ctx, "", "up")
		cancel()
		_ = os.RemoveAll(filepath.Join(l.state, "pids"))
		l.run(t, "", "down")
		for _, left := range l.leftovers() {
			t.Errorf("killed after %s: left behind: %s", after, left)
		}
	}
}

// ask tries for a while: the service's rules follow the pod's readiness.
func ask(t *testing.T, url string) string {
	t.Helper()
	client := http.Client{Timeout: 2 * time.Second}
	err := errors.New("not asked")
	for range 50 {
		var response *http.Response
		if response, err = client.Get(url); err == nil {
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("ask %s: %v", url, err)
	return ""
}
