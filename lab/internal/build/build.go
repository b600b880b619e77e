//go:build linux

// Package build compiles what a lab runs: the Kubernetes binary, which takes
// minutes and is kept in a cache folder outside the checkout, and the pause image.
// A cached result is used without asking Go; otherwise it is built once, also when
// two commands want it at the same time.
package build

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/homeostat/homeostat/lab/internal/image"
	"github.com/homeostat/homeostat/lab/internal/layout"
	"github.com/homeostat/homeostat/lab/internal/proc"
)

// ErrNoSource says that the sources to build from were not found.
var ErrNoSource = errors.New("sources of the lab not found")

// progressEvery is how often a running build says how far it is.
const progressEvery = 10 * time.Second

// Components are the programs in the binary; each becomes a link beside it.
func Components() []string {
	return []string{
		"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler",
		"kubelet", "kube-proxy", "kubectl", "metrics-server", "kwok",
	}
}

// flags are those of `go build` and `go list`: both must see the same work.
func flags() []string { return []string{"-mod=readonly", "-trimpath", "-buildvcs=false"} }

// ldflags drops symbols (the binary is a third smaller) and sets the version that
// the components report.
func ldflags() string {
	const variables = "k8s.io/component-base/version"
	parts := strings.Split(layout.Version, ".")
	return fmt.Sprintf("-s -w -X %[1]s.gitVersion=v%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s -X %[1]s.gitTreeState=clean",
		variables, layout.Version, parts[0], parts[1])
}

// CacheFolder returns $XDG_CACHE_HOME/homeostat/lab, or ~/.cache/homeostat/lab.
func CacheFolder() (string, error) {
	base := os.Getenv("XDG_CACHE_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find cache folder: %w", err)
		}
		base = filepath.Join(home, ".cache")
	}
	return filepath.Join(base, "homeostat", "lab"), nil
}

// FindSource returns the folder of the lab's module: the first of the working
// folder and the tool's own, and the folders above each, that is it or holds it
// as lab/.
func FindSource() (string, error) {
	var starts []string
	if working, err := os.Getwd(); err == nil {
		starts = append(starts, working)
	}
	if tool, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(tool))
	}
	for _, start := range starts {
		for folder := start; ; folder = filepath.Dir(folder) {
			for _, candidate := range []string{folder, filepath.Join(folder, "lab")} {
				if _, err := os.Stat(filepath.Join(candidate, "kubeall", "go.mod")); err == nil {
					return candidate, nil
				}
			}
			if folder == filepath.Dir(folder) {
				break
			}
		}
	}
	return "", fmt.Errorf("%w: run this in a checkout of the project", ErrNoSource)
}

// Kubernetes returns the folder that holds the binary and a link per component,
// building it first if it is not in the cache. Progress goes to out.
func Kubernetes(ctx context.Context, source, cache string, out io.Writer) (string, error) {
	key, err := hash([]string{
		filepath.Join(source, "kubeall", "main.go"), filepath.Join(source, "kubeall", "go.mod"), filepath.Join(source, "kubeall", "go.sum"),
	}, append(flags(), ldflags(), runtime.GOARCH)...)
	if err != nil {
		return "", err
	}
	folder := filepath.Join(cache, layout.Version+"-"+key)
	if complete(folder) {
		return folder, nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("make cache folder: %w", err)
	}
	unlock, err := proc.Lock(ctx, filepath.Join(folder, ".lock"), func() {
		_, _ = fmt.Fprintln(out, "  waiting for another command that builds the same")
	})
	if err != nil {
		return "", err
	}
	defer unlock()
	if complete(folder) { // somebody else has built it meanwhile
		return folder, nil
	}
	if err := compile(ctx, filepath.Join(source, "kubeall"), filepath.Join(folder, "kubeall"), out); err != nil {
		return "", fmt.Errorf("build Kubernetes: %w", err)
	}
	for _, name := range Components() {
		link := filepath.Join(folder, name)
		if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("link %s: %w", name, err)
		}
		if err := os.Symlink("kubeall", link); err != nil {
			return "", fmt.Errorf("link %s: %w", name, err)
		}
	}
	return folder, nil
}

// complete reports whether the folder holds a whole result: the links are made
// after the binary.
func complete(folder string) bool {
	for _, name := range Components() {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			return false
		}
	}
	return true
}

// compile builds a binary and moves it into place when it is whole.
func compile(ctx context.Context, source, out string, progress io.Writer) error {
	_, _ = fmt.Fprintln(progress, "  asking Go what has to be compiled; the first time this downloads modules")
	total, err := packagesToCompile(ctx, source)
	if err != nil {
		return err
	}
	started := time.Now()
	if total > 10 {
		_, _ = fmt.Fprintf(progress, "  building Kubernetes v%s once: %d packages to compile, then one link; "+
			"about 9 minutes of CPU time when nothing is in Go's cache\n", layout.Version, total)
	} else {
		_, _ = fmt.Fprintf(progress, "  linking Kubernetes v%s once: nothing has to be compiled any more; about a minute\n", layout.Version)
	}
	temporary := out + ".building"
	defer func() { _ = os.Remove(temporary) }() // after the rename there is nothing left to remove
	args := append([]string{"build", "-v"}, flags()...)
	cmd := command(ctx, source, append(args, "-ldflags", ldflags(), "-o", temporary, ".")...)
	lines, err := cmd.StderrPipe() // -v names each package that is compiled there
	if err != nil {
		return err
	}
	if err := start(cmd); err != nil {
		return fmt.Errorf("run go build: %w", err)
	}
	var done atomic.Int64
	finished := make(chan struct{})
	go func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_, _ = fmt.Fprintf(progress, "  %s\n", progressLine(int(done.Load()), total, time.Since(started)))
			case <-finished:
				return
			}
		}
	}()
	messages := count(lines, &done)
	err = cmd.Wait()
	close(finished)
	if err != nil {
		return fmt.Errorf("run go build in %s: %w:\n%s", source, err, messages)
	}
	_, _ = fmt.Fprintf(progress, "  built in %s\n", time.Since(started).Round(time.Second))
	return os.Rename(temporary, out)
}

// progressLine says what is measured, and what is only extrapolated from it.
func progressLine(done, total int, elapsed time.Duration) string {
	seconds := elapsed.Round(time.Second)
	if done >= total-1 { // the main package itself is always counted as work
		return fmt.Sprintf("all packages are compiled, %s so far; linking, which takes about a minute", seconds)
	}
	if done*20 < total { // too early to extrapolate
		return fmt.Sprintf("%4d of %d packages compiled, %s so far", done, total, seconds)
	}
	rest := time.Duration(float64(elapsed) * float64(total-done) / float64(done))
	return fmt.Sprintf("%4d of %d packages compiled, %s so far; at this rate %s more, and about a minute to link",
		done, total, seconds, rest.Round(10*time.Second))
}

// count counts package names and returns all other lines: Go's error messages.
func count(lines io.Reader, done *atomic.Int64) string {
	var messages strings.Builder
	scanner := bufio.NewScanner(lines)
	for scanner.Scan() {
		line := scanner.Text()
		switch {
		case strings.HasPrefix(line, "go: downloading "):
		case strings.ContainsAny(line, " \t:#") || line == "":
			messages.WriteString(line + "\n")
		default:
			done.Add(1)
		}
	}
	return messages.String()
}

// packagesToCompile asks Go which packages are not in its cache.
func packagesToCompile(ctx context.Context, source string) (int, error) {
	args := append([]string{"list"}, flags()...)
	cmd := command(ctx, source, append(args, "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", ".")...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("run go list in %s: %w: %s", source, err, strings.TrimSpace(stderr.String()))
	}
	return len(strings.Fields(string(output))), nil
}

// Pause returns the path of an archive of the pause image, building it first if it
// is not in the cache.
func Pause(ctx context.Context, source, cache string) (string, error) {
	key, err := hash([]string{filepath.Join(source, "pause", "main.go")}, append(flags(), runtime.GOARCH, layout.PauseImage)...)
	if err != nil {
		return "", err
	}
	archive := filepath.Join(cache, "pause-"+key+".tar")
	if _, err := os.Stat(archive); err == nil {
		return archive, nil
	}
	folder, err := os.MkdirTemp("", "homeostat-lab-pause-*")
	if err != nil {
		return "", fmt.Errorf("build pause image: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	binary := filepath.Join(folder, "pause")
	args := append([]string{"build"}, flags()...)
	cmd := command(ctx, source, append(args, "-ldflags", "-s -w", "-o", binary, "./pause")...)
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build pause image: %w: %s", err, output)
	}
	return archive, image.Write(image.Spec{Name: layout.PauseImage, Binaries: []string{binary}}, archive)
}

// command is a go command that the user's own settings do not change.
func command(ctx context.Context, folder string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=", "GOWORK=off")
	return cmd
}

func hash(files []string, more ...string) (string, error) {
	sum := sha256.New()
	for _, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrNoSource, err)
		}
		_, _ = fmt.Fprintf(sum, "%d %s", len(content), content)
	}
	_, _ = fmt.Fprintf(sum, "%q", more)
	return hex.EncodeToString(sum.Sum(nil))[:12], nil
}
