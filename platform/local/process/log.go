package process

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
)

// Bounds of what is kept of one life's output.
const (
	DefaultLogLines = 200
	maxLineBytes    = 4 << 10
)

// Log keeps the last lines of the output of one process. Safe for concurrent use. Make one with NewLog.
type Log struct {
	mu    sync.Mutex
	lines []string // a ring once it is full
	next  int
	keep  int
	total int64
	tap   func(line string)
}

// NewLog returns a log that keeps the last lines, DefaultLogLines if keep is not positive. tap, if any, is called with
// every line as it comes; the process waits for it when its pipe is full.
func NewLog(keep int, tap func(line string)) *Log {
	if keep <= 0 {
		keep = DefaultLogLines
	}
	return &Log{keep: keep, tap: tap}
}

// Add keeps one line. A line that is not UTF-8 is made so.
func (l *Log) Add(line string) {
	line = strings.ToValidUTF8(line, "\uFFFD")
	l.mu.Lock()
	if len(l.lines) < l.keep {
		l.lines = append(l.lines, line)
	} else {
		l.lines[l.next] = line
		l.next = (l.next + 1) % l.keep
	}
	l.total++
	l.mu.Unlock()
	if l.tap != nil {
		l.tap(line)
	}
}

// Lines returns what is kept, oldest first.
func (l *Log) Lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Concat(l.lines[l.next:], l.lines[:l.next])
}

// Total is how many lines there were, the dropped ones included.
func (l *Log) Total() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// copyFrom reads lines until the end or an error, such as a deadline. A line longer than 4 KiB is split, as container
// runtimes do.
func (l *Log) copyFrom(r io.Reader) {
	in := bufio.NewReaderSize(r, maxLineBytes)
	for {
		line, err := in.ReadSlice('\n')
		if n := len(line); n > 0 && line[n-1] == '\n' {
			line = line[:n-1]
			if n > 1 && line[n-2] == '\r' {
				line = line[:n-2]
			}
			l.Add(string(line))
		} else if n > 0 {
			l.Add(string(line))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}
