package process

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ticks is USER_HZ, the unit of CPU times in /proc. It is 100 on every architecture that Go runs on.
const ticks = 100

// maxTree bounds the number of processes of one tree that are looked at.
const maxTree = 4096

func newReader() reader {
	if _, err := os.Stat("/proc/self/task/" + strconv.Itoa(os.Getpid()) + "/children"); err != nil {
		return portable{} // a kernel without CONFIG_PROC_CHILDREN
	}
	return &procfs{page: int64(os.Getpagesize())}
}

func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitExit returns when the process has ended, and leaves it to be reaped. It reports whether it could.
func awaitExit(pid int) bool {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err == nil
		}
	}
}

// procfs reads /proc: one small file per process and look.
type procfs struct {
	page int64
	buf  []byte
}

func (f *procfs) countsEnded() bool    { return true }
func (f *procfs) every() time.Duration { return discoverEvery }

// content reads a file of /proc into the reader's buffer, which the next call uses again.
func (f *procfs) content(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd) //nolint:errcheck // it was only read
	if f.buf == nil {
		f.buf = make([]byte, 4096)
	}
	n := 0
	for {
		got, err := unix.Read(fd, f.buf[n:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if got == 0 {
			return f.buf[:n], nil
		}
		if n += got; n == len(f.buf) {
			f.buf = append(f.buf, make([]byte, len(f.buf))...)
		}
	}
}

// member reads /proc/PID/stat (proc_pid_stat(5)): state 3, utime 14, stime 15, cutime 16, cstime 17, starttime 22, rss 24.
func (f *procfs) member(pid int) (Member, bool) {
	line, err := f.content("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Member{}, false
	}
	return parseStat(pid, line, f.page)
}

func parseStat(pid int, line []byte, page int64) (Member, bool) {
	end := bytes.LastIndexByte(line, ')') // the name before it may hold anything
	if end < 0 {
		return Member{}, false
	}
	m := Member{PID: pid}
	field := 2
	for word := range bytes.FieldsSeq(line[end+1:]) {
		field++
		switch field {
		case 3:
			if string(word) == "Z" || string(word) == "X" {
				return Member{}, false
			}
		case 14, 15, 16, 17:
			m.CPU += time.Duration(number(word)) * (time.Second / ticks)
		case 22:
			m.started = uint64(number(word))
		case 24:
			m.Memory = number(word) * page
			return m, true
		}
	}
	return Member{}, false
}

// number is 0 for what is none; cutime and cstime are signed in the kernel.
func number(b []byte) int64 {
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

func (f *procfs) descendants(root int) []int {
	var found []int
	for queue := []int{root}; len(queue) > 0 && len(found) < maxTree; queue = queue[1:] {
		below := f.children(queue[0])
		found, queue = append(found, below...), append(queue, below...)
	}
	return found
}

// children are those of every thread of the process.
func (f *procfs) children(pid int) []int {
	dir := "/proc/" + strconv.Itoa(pid) + "/task"
	threads, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var found []int
	for _, thread := range threads {
		list, err := f.content(dir + "/" + thread.Name() + "/children")
		if err != nil {
			continue // the thread has just ended
		}
		for word := range bytes.FieldsSeq(list) {
			if child := number(word); child > 0 {
				found = append(found, int(child))
			}
		}
	}
	return found
}
