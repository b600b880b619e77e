package lokipush

import "sync"

// backlog holds lines in their order, bounded by their bytes. Safe for concurrent use.
type backlog struct {
	most int

	mu     sync.Mutex
	more   sync.Cond // a line came, or it was closed
	lines  []line
	bytes  int
	closed bool
}

func newBacklog(most int) *backlog {
	b := &backlog{most: most}
	b.more.L = &b.mu
	return b
}

// put adds the line; it reports false where it does not fit.
func (b *backlog) put(l line) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.bytes+l.bytes() > b.most {
		return false
	}
	b.lines, b.bytes = append(b.lines, l), b.bytes+l.bytes()
	b.more.Signal()
	return true
}

// take waits for a line and removes the oldest; ok is false once the backlog is closed and empty.
func (b *backlog) take() (l line, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.lines) == 0 && !b.closed {
		b.more.Wait()
	}
	if len(b.lines) == 0 {
		return line{}, false
	}
	l = b.lines[0]
	b.lines[0] = line{} // let go of its text
	b.lines, b.bytes = b.lines[1:], b.bytes-l.bytes()
	if len(b.lines) == 0 {
		b.lines = nil
	}
	return l, true
}

// length returns how many lines wait.
func (b *backlog) length() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.lines)
}

// close lets take end when the backlog is empty. Nothing fits any more.
func (b *backlog) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.more.Broadcast()
}

// abandon drops what waits and returns how many lines that were.
func (b *backlog) abandon() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.lines)
	b.lines, b.bytes, b.closed = nil, 0, true
	b.more.Broadcast()
	return n
}
