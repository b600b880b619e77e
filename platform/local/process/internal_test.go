package process

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCopyFromSplitsLines(t *testing.T) {
	long := strings.Repeat("x", maxLineBytes+10)
	log := NewLog(0, nil)
	log.copyFrom(strings.NewReader("one\r\n\n" + long + "\nno newline"))
	want := []string{"one", "", long[:maxLineBytes], long[maxLineBytes:], "no newline"}
	if got := log.Lines(); !slices.Equal(got, want) {
		t.Errorf("lines %q", got)
	}
}

// Every reader sees this process and a child of it; the portable one is what macOS runs.
func TestReaders(t *testing.T) {
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), "LOCALTEST=sleep")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	}()
	for _, r := range []reader{newReader(), portable{}} {
		self, ok := r.member(os.Getpid())
		if !ok || self.Memory < 1<<20 || self.started == 0 {
			t.Errorf("%T: this process is %+v, %v", r, self, ok)
		}
		if below := r.descendants(os.Getpid()); !slices.Contains(below, child.Process.Pid) {
			t.Errorf("%T: descendants %v lack %d", r, below, child.Process.Pid)
		}
		if _, ok := r.member(1 << 30); ok {
			t.Errorf("%T: found a process that is none", r)
		}
	}
}

// script is a reader that returns what the test says.
type script struct {
	members map[int]Member
	counts  bool
}

func (s *script) member(pid int) (Member, bool) { m, ok := s.members[pid]; return m, ok }
func (s *script) descendants(int) []int         { return []int{2} }
func (s *script) countsEnded() bool             { return s.counts }
func (s *script) every() time.Duration          { return 0 }

// Where the system does not add up the time of ended children, the tree keeps their last reading, once.
func TestTreeKeepsTheTimeOfEndedMembers(t *testing.T) {
	s := &script{members: map[int]Member{1: {PID: 1, CPU: 3, started: 1}, 2: {PID: 2, CPU: 5, started: 1}}}
	tree := newTree(1, s)
	now := time.Now()
	tree.read(now)
	if got := tree.cpu(); got != 8 {
		t.Errorf("both live: %d", got)
	}
	delete(s.members, 2)
	for range 2 {
		tree.read(now)
		if got := tree.cpu(); got != 8 {
			t.Errorf("one ended: %d", got)
		}
	}
	s.members[2] = Member{PID: 2, CPU: 1, started: 9} // the number again, another process
	tree.read(now)
	if got := tree.cpu(); got != 9 {
		t.Errorf("a new process with the old number: %d", got)
	}
}

func TestTreeIgnoresReadersThatCount(t *testing.T) {
	s := &script{counts: true, members: map[int]Member{1: {PID: 1, CPU: 3, started: 1}, 2: {PID: 2, CPU: 5, started: 1}}}
	tree := newTree(1, s)
	tree.read(time.Now())
	delete(s.members, 2)
	s.members[1] = Member{PID: 1, CPU: 8, started: 1}
	tree.read(time.Now())
	if got := tree.cpu(); got != 8 {
		t.Errorf("counted twice: %d", got)
	}
}
