//go:build linux

// Package proc starts the lab's components as background processes, remembers
// them in pid files and finds, watches and ends them again.
//
// A pid file also holds the start time of its process and the boot it belongs
// to, and signals go through a pidfd, so that a recycled process id is never
// mistaken for a component. Processes whose pid file was lost are found by marks
// in their environment. The package restarts nothing by itself.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrGone says that a process has ended, or that its id belongs to another one.
var ErrGone = errors.New("process has ended")

// Process is one process, told apart from later ones with the same id.
type Process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot, field 22 of /proc/PID/stat
}

// Lookup returns the process that has the id now; ok is false if there is none or
// only a zombie. A process whose first thread has ended counts while it has others:
// those still hold its files, and so its ports.
func Lookup(pid int) (p Process, ok bool) {
	s, err := readStatus(pid)
	if err != nil || s.state == 'X' || s.state == 'Z' && s.threads <= 1 {
		return Process{}, false
	}
	return Process{PID: pid, Start: s.start}, true
}

// Alive reports whether the process still runs.
func (p Process) Alive() bool {
	now, ok := Lookup(p.PID)
	return ok && now == p
}

// Signal sends a signal, or returns ErrGone.
func (p Process) Signal(signal unix.Signal) error {
	// The pidfd is opened first: what it refers to cannot be replaced between the
	// check and the signal.
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return ErrGone
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", p.PID, err)
	}
	defer func() { _ = unix.Close(fd) }()
	if !p.Alive() {
		return ErrGone
	}
	if err := unix.PidfdSendSignal(fd, signal, nil, 0); err != nil {
		if errors.Is(err, unix.ESRCH) {
			return ErrGone
		}
		return fmt.Errorf("signal process %d: %w", p.PID, err)
	}
	return nil
}

// End sends SIGTERM, waits up to grace and then sends SIGKILL; a grace of 0 kills
// at once. It returns when the process is gone.
func (p Process) End(grace time.Duration) error {
	if grace > 0 {
		if err := p.Signal(unix.SIGTERM); err != nil {
			return ignoreGone(err)
		}
		if p.wait(grace) {
			return nil
		}
	}
	if err := p.Signal(unix.SIGKILL); err != nil {
		return ignoreGone(err)
	}
	if !p.wait(10 * time.Second) {
		return fmt.Errorf("end process %d (%s): still there 10s after SIGKILL", p.PID, p.Command())
	}
	return nil
}

func ignoreGone(err error) error {
	if errors.Is(err, ErrGone) {
		return nil
	}
	return err
}

func (p Process) wait(limit time.Duration) bool {
	for deadline := time.Now().Add(limit); p.Alive(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// Command is the process's command line, shortened for messages.
func (p Process) Command() string {
	line := strings.Join(arguments(p.PID), " ")
	if len(line) > 120 {
		line = line[:120] + "..."
	}
	return line
}

// Program is the base name of the file the process executes, or empty.
func (p Process) Program() string {
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.PID))
	if err != nil {
		return ""
	}
	return filepath.Base(strings.TrimSuffix(path, " (deleted)"))
}

// Environment reports whether the process was started with the given entries
// (NAME=value) in its environment.
func (p Process) Environment(entries ...string) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.PID))
	if err != nil {
		return false
	}
	have := strings.Split(string(text), "\x00")
	for _, entry := range entries {
		if !slices.Contains(have, entry) {
			return false
		}
	}
	return true
}

// Mentions reports whether an argument of the process contains text.
func (p Process) Mentions(text string) bool {
	return slices.ContainsFunc(arguments(p.PID), func(argument string) bool { return strings.Contains(argument, text) })
}

// Memory is the process's resident memory in bytes, shared pages included, or 0.
func (p Process) Memory() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.PID))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// Age is how long ago the process started.
func (p Process) Age() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0
	}
	const ticks = 100 // USER_HZ: fixed at 100 for user space on every Linux port in use
	return time.Duration(now.Nano()) - time.Duration(p.Start)*(time.Second/ticks)
}

// All returns every process that runs now, without kernel threads' details.
func All() []Process {
	entries, _ := os.ReadDir("/proc")
	var all []Process
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			if p, ok := Lookup(pid); ok {
				all = append(all, p)
			}
		}
	}
	return all
}

// Ancestors returns the ids of this process and of those it descends from.
func Ancestors() []int {
	var ids []int
	for pid := os.Getpid(); pid > 1 && !slices.Contains(ids, pid); {
		ids = append(ids, pid)
		s, err := readStatus(pid)
		if err != nil {
			break
		}
		pid = s.parent
	}
	return ids
}

func arguments(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")
}

// status is what is read of /proc/PID/stat.
type status struct {
	state   byte // R, S, Z and so on
	parent  int
	threads int
	start   uint64 // clock ticks since boot
}

func readStatus(pid int) (status, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return status{}, err
	}
	return parseStatus(text)
}

// parseStatus reads fields 3, 4, 20 and 22 of a line of /proc/PID/stat (proc(5)).
// The program's name in field 2 may itself hold spaces and parentheses.
func parseStatus(text []byte) (status, error) {
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return status{}, fmt.Errorf("parse process status: no name in %q", text)
	}
	fields := strings.Fields(string(text[end+1:])) // the first is field 3
	if len(fields) < 20 || len(fields[0]) != 1 {
		return status{}, fmt.Errorf("parse process status: %d fields after the name", len(fields))
	}
	parent, errParent := strconv.Atoi(fields[1])
	threads, errThreads := strconv.Atoi(fields[17])
	start, errStart := strconv.ParseUint(fields[19], 10, 64)
	if err := errors.Join(errParent, errThreads, errStart); err != nil {
		return status{}, fmt.Errorf("parse process status: %w", err)
	}
	return status{state: fields[0][0], parent: parent, threads: threads, start: start}, nil
}
