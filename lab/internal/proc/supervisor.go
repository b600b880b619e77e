//go:build linux

package proc

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Marks that every component and its children carry in their environment.
const (
	labMark       = "HOMEOSTAT_LAB_STATE="
	componentMark = "HOMEOSTAT_LAB_COMPONENT="
)

// maxLog is the size at which a component's log is set aside when it is started.
const maxLog = 16 << 20

// Spec is one component: what to run and how to get where it belongs.
type Spec struct {
	Name  string   // unique in the lab; names the pid file and the log
	Enter []string // command that executes Argv elsewhere, keeping the process id (nsenter); may be empty
	Argv  []string // the program, by its path, and its arguments
	Env   []string // added to a minimal environment
}

// hash tells whether a running process was started from the same spec.
func (s Spec) hash() string {
	text, _ := json.Marshal(s) //nolint:errchkjson // strings only: cannot fail
	return fmt.Sprintf("%x", sha256.Sum256(text))
}

// Supervisor starts and ends the components of one lab.
type Supervisor struct {
	State string // the lab's state folder: the mark its processes carry
	Pids  string // folder of pid files
	Logs  string // folder of logs
}

// record is the content of a pid file.
type record struct {
	Process
	Boot string `json:"boot"` // /proc/sys/kernel/random/boot_id
	Hash string `json:"hash"`
}

// Ensure starts the component unless it runs already from the same spec. One that
// runs from another spec, or that lost its pid file, is ended first. It returns
// whether it started anything.
func (s Supervisor) Ensure(spec Spec) (bool, error) {
	old, err := s.read(spec.Name)
	if err == nil && old.Hash == spec.hash() {
		return false, nil
	}
	if err := s.Stop(spec.Name, 10*time.Second); err != nil {
		return false, err
	}
	return true, s.start(spec)
}

func (s Supervisor) start(spec Spec) error {
	if err := errors.Join(os.MkdirAll(s.Logs, 0o755), os.MkdirAll(s.Pids, 0o755)); err != nil {
		return fmt.Errorf("start %s: %w", spec.Name, err)
	}
	log, err := s.openLog(spec.Name)
	if err != nil {
		return fmt.Errorf("start %s: %w", spec.Name, err)
	}
	defer func() { _ = log.Close() }()
	argv := append(slices.Clone(spec.Enter), spec.Argv...)
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx // it is meant to outlive this process
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = "/"
	cmd.Env = append([]string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=" + s.State,
		labMark + s.State,
		componentMark + spec.Name,
	}, spec.Env...)
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true} // a Ctrl-C at the terminal is not for it
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", spec.Name, err)
	}
	go func() { _ = cmd.Wait() }() // reaps it if it ends while this process is still there
	process, ok := Lookup(cmd.Process.Pid)
	if !ok {
		return fmt.Errorf("start %s: it ended at once: %s", spec.Name, s.Tail(spec.Name, 5))
	}
	return s.write(spec.Name, record{Process: process, Boot: bootID(), Hash: spec.hash()})
}

func (s Supervisor) openLog(name string) (*os.File, error) {
	path := s.LogFile(name)
	if status, err := os.Stat(path); err == nil && status.Size() > maxLog {
		if err := os.Rename(path, path+".old"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
}

// LogFile is the path of a component's log.
func (s Supervisor) LogFile(name string) string { return filepath.Join(s.Logs, name+".log") }

// Running returns the component's process if it is alive.
func (s Supervisor) Running(name string) (Process, bool) {
	r, err := s.read(name)
	return r.Process, err == nil
}

// Stop ends the component, also one whose pid file was lost; it is no error if it
// does not run. See Process.End for grace.
func (s Supervisor) Stop(name string, grace time.Duration) error {
	var errs []error
	if r, err := s.read(name); err == nil {
		errs = append(errs, r.End(grace))
	}
	for _, orphan := range s.orphans(name) {
		errs = append(errs, orphan.End(grace))
	}
	if err := os.Remove(s.pidFile(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	return nil
}

// orphans returns processes of the component that no pid file knows. The shims
// that containerd leaves to look after its pods carry the same marks and are none.
func (s Supervisor) orphans(name string) []Process {
	self := Ancestors()
	return slices.DeleteFunc(All(), func(p Process) bool {
		return slices.Contains(self, p.PID) ||
			!p.Environment(labMark+s.State, componentMark+name) || strings.HasPrefix(p.Program(), "containerd-shim")
	})
}

// Owns reports whether the process was started by this lab, directly or through a
// component.
func (s Supervisor) Owns(p Process) bool { return p.Environment(labMark + s.State) }

// Others returns the state folders of other labs that run on this machine.
func (s Supervisor) Others() []string {
	var others []string
	for _, p := range All() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.PID))
		if err != nil {
			continue
		}
		for entry := range strings.SplitSeq(string(text), "\x00") {
			state, found := strings.CutPrefix(entry, labMark)
			if found && state != s.State && !slices.Contains(others, state) {
				others = append(others, state)
			}
		}
	}
	return others
}

// Started reports whether one of the components is the process or started it,
// directly or not.
func (s Supervisor) Started(p Process, components ...string) bool {
	return slices.ContainsFunc(components, func(name string) bool {
		return p.Environment(labMark+s.State, componentMark+name)
	})
}

// Names returns the components that have a pid file, running or not.
func (s Supervisor) Names() []string {
	files, _ := filepath.Glob(filepath.Join(s.Pids, "*.json"))
	var names []string
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".json"))
	}
	return names
}

// Tail returns the last lines of the component's log, each indented.
func (s Supervisor) Tail(name string, lines int) string {
	path := s.LogFile(name)
	text, err := readEnd(path, 16<<10)
	if err != nil {
		return fmt.Sprintf("no log: %v", err)
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return fmt.Sprintf("last lines of %s:\n    %s", path, strings.Join(all, "\n    "))
}

// Await calls check every 100 ms until it returns nil. It gives up when the time
// is over or, at once, when one of the components that it depends on has ended,
// and then says what check complained about last and how the first component's
// log ends.
func (s Supervisor) Await(ctx context.Context, limit time.Duration, check func(context.Context) error, components ...string) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		for _, name := range components {
			if _, running := s.Running(name); !running {
				return fmt.Errorf("%s has ended; %s", name, s.Tail(name, 15))
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			message := fmt.Errorf("not there after %s: %w", limit, err)
			if len(components) > 0 {
				message = fmt.Errorf("%w; %s", message, s.Tail(components[0], 15))
			}
			return message
		}
	}
}

func (s Supervisor) pidFile(name string) string { return filepath.Join(s.Pids, name+".json") }

func (s Supervisor) read(name string) (record, error) {
	text, err := os.ReadFile(s.pidFile(name))
	if err != nil {
		return record{}, err
	}
	r, err := parseRecord(text)
	if err != nil {
		return record{}, fmt.Errorf("read pid file of %s: %w", name, err)
	}
	if r.Boot != bootID() || !r.Alive() {
		return record{}, ErrGone
	}
	return r, nil
}

func parseRecord(text []byte) (r record, err error) {
	if err := json.Unmarshal(text, &r); err != nil {
		return record{}, err
	}
	if r.PID <= 1 {
		return record{}, fmt.Errorf("pid: %d is not a component's, more than 1 is", r.PID)
	}
	return r, nil
}

func (s Supervisor) write(name string, r record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write pid file of %s: %w", name, err)
	}
	temporary := s.pidFile(name) + ".new"
	err = os.WriteFile(temporary, append(text, '\n'), 0o644)
	if err == nil {
		err = os.Rename(temporary, s.pidFile(name))
	}
	if err != nil {
		return fmt.Errorf("write pid file of %s: %w", name, err)
	}
	return nil
}

func bootID() string {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(bytes.TrimSpace(text))
}

func readEnd(path string, size int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	status, err := file.Stat()
	if err != nil {
		return nil, err
	}
	text := make([]byte, min(size, status.Size()))
	if _, err := file.ReadAt(text, status.Size()-int64(len(text))); err != nil {
		return nil, err
	}
	return text, nil
}
