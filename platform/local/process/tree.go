package process

import "time"

// discoverEvery is how often new children are looked for on a system where that is cheap.
const discoverEvery = 250 * time.Millisecond

// Member is one live process of a tree.
type Member struct {
	PID int
	// Memory is its resident memory in bytes.
	Memory int64
	// CPU is the time it used; with the time of its ended children if the reader counts that.
	CPU time.Duration
	// started tells it from a later process with the same number; its unit is the reader's.
	started uint64
}

// reader reads processes from one operating system. Not safe for concurrent use.
type reader interface {
	// member reads one process; ok is false if it is gone or has ended and was not yet waited for.
	member(pid int) (m Member, ok bool)
	// descendants returns the processes below the root, without it.
	descendants(root int) []int
	// countsEnded reports whether a member's CPU includes that of its ended children.
	countsEnded() bool
	// every is how often descendants may be asked for.
	every() time.Duration
}

// tree follows the processes below one root. Not safe for concurrent use.
type tree struct {
	root     int
	reader   reader
	children []int
	searched time.Time
	members  []Member
	retired  time.Duration // CPU of ended members that nobody else counts
}

func newTree(root int, r reader) *tree { return &tree{root: root, reader: r} }

// read returns the live members, the root first; none if the root is gone. The slice is used again by the next read.
func (t *tree) read(now time.Time) []Member {
	root, ok := t.reader.member(t.root)
	if !ok {
		return nil
	}
	if now.Sub(t.searched) >= t.reader.every() {
		t.searched, t.children = now, t.reader.descendants(t.root)
	}
	before := make(map[int]Member, len(t.members))
	for _, m := range t.members {
		before[m.PID] = m
	}
	t.members = append(t.members[:0], root)
	for _, pid := range t.children {
		if m, ok := t.reader.member(pid); ok {
			t.members = append(t.members, m)
		}
	}
	if !t.reader.countsEnded() {
		t.retire(before)
	}
	return t.members
}

// retire adds the last reading of the members that are gone.
func (t *tree) retire(before map[int]Member) {
	for _, m := range t.members {
		if before[m.PID].started == m.started {
			delete(before, m.PID)
		}
	}
	for _, gone := range before {
		t.retired += gone.CPU
	}
}

// cpu is the time of the live members and of the ended ones.
func (t *tree) cpu() time.Duration {
	sum := t.retired
	for _, m := range t.members {
		sum += m.CPU
	}
	return sum
}
