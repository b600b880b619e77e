package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/homeostat/homeostat/internal/corpus"
)

// functions are what the scripts of the variants can call.
//
//go:embed functions.sh
var functions string

const (
	applyTries  = 10
	stepTimeout = 4 * time.Minute
)

// stage makes the variants happen.
type stage struct {
	options
	watcher *watcher
	log     *slog.Logger

	mu     sync.Mutex
	failed []error
}

// record makes one variant and records it. An error is logged and kept; the other variants go on.
func (s *stage) record(ctx context.Context, v *corpus.Variant) {
	name := v.Kind + "/" + v.Name
	path, err := s.make(ctx, v)
	s.watcher.close(v)
	// The recorder's own end must not leave a node stopped.
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), stepTimeout)
	defer cancel()
	if v.Cleanup != "" {
		if _, err := s.shell(ending, v, v.Cleanup, nil); err != nil {
			s.log.WarnContext(ctx, "not cleaned up", "variant", name, "error", err)
		}
	}
	if _, err := s.shell(ending, v, `kubectl delete namespace "$NS" --wait=false --ignore-not-found`, nil); err != nil {
		s.log.WarnContext(ctx, "namespace not deleted", "variant", name, "error", err)
	}
	if err != nil {
		s.log.ErrorContext(ctx, "not recorded", "variant", name, "error", err)
		s.mu.Lock()
		s.failed = append(s.failed, fmt.Errorf("%s: %w", name, err))
		s.mu.Unlock()
		return
	}
	size := int64(0)
	if file, err := os.Stat(path); err == nil {
		size = file.Size()
	}
	s.log.InfoContext(ctx, "recorded", "variant", name, "bytes", size)
}

func (s *stage) make(ctx context.Context, v *corpus.Variant) (path string, err error) {
	if _, err := s.shell(ctx, v, `kubectl delete namespace "$NS" --ignore-not-found --timeout=100s >/dev/null; kubectl create namespace "$NS" >/dev/null`, nil); err != nil {
		return "", err
	}
	t := s.watcher.open(v)
	for try := 1; ; try++ { // the namespace's service account comes a moment later
		_, err = s.shell(ctx, v, `kubectl -n "$NS" apply --server-side -f - >/dev/null`, v.Manifests)
		if err == nil || try == applyTries {
			break
		}
		if !sleep(ctx, time.Second) {
			return "", ctx.Err()
		}
	}
	if err != nil {
		return "", err
	}
	if v.Settle {
		if _, err := s.shell(ctx, v, "settled", nil); err != nil {
			return "", err
		}
	}
	applied := now()
	for _, step := range v.Steps {
		if !sleep(ctx, applied.Add(time.Duration(step.After*float64(time.Second))).Sub(now())) {
			return "", ctx.Err()
		}
		if out, err := s.shell(ctx, v, step.Run, nil); err != nil {
			return "", err
		} else if out != "" {
			s.log.DebugContext(ctx, "step done", "variant", v.Kind+"/"+v.Name, "output", out)
		}
	}
	if !sleep(ctx, applied.Add(time.Duration(v.Seconds)*time.Second).Sub(now())) {
		return "", ctx.Err()
	}
	t.living()
	return t.save(s.folder, applied)
}

// shell runs a script with the functions before it.
func (s *stage) shell(ctx context.Context, v *corpus.Variant, script string, stdin []byte) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", functions+"\n"+script)
	lab, err := filepath.Abs(s.lab)
	if err != nil {
		return "", fmt.Errorf("find lab's tool: %w", err)
	}
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.kubeconfig, "NS="+v.Namespace(),
		"PATH="+filepath.Dir(s.kubectl)+":"+filepath.Dir(lab)+":"+os.Getenv("PATH"))
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("run %q: %w: %s", firstLine(script), err, strings.TrimSpace(string(out)))
	}
	return strings.TrimSpace(string(out)), nil
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}

// sleep waits; it returns false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(max(0, d)):
		return true
	}
}
