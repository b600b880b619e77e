//go:build linux

package ship

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxText is the longest line that is sent; Loki takes no longer one by default.
const maxText = 256 << 10

// file is one log that is followed.
type file struct {
	handle *os.File
	path   string // where it was seen last
	labels labels
	// next is where to read on, sent what need not be read again.
	next, sent int64
	// parts are the beginnings of lines that the runtime wrote in parts, by their stream.
	parts map[string]part
	gone  time.Time // since when it is not the current log of its container; zero: it is
}

// part is the beginning of a line.
type part struct {
	at    time.Time
	text  string
	start int64 // where it begins in the file
}

// read adds what is new, whole lines of it, to the batch.
func (f *file) read(b *batch) error {
	if stat, err := f.handle.Stat(); err == nil && stat.Size() < f.next {
		f.next, f.sent, f.parts = 0, 0, nil // somebody emptied it
	}
	buffer := make([]byte, chunk)
	n, err := f.handle.ReadAt(buffer, f.next)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read log %s: %w", f.path, err)
	}
	end := bytes.LastIndexByte(buffer[:n], '\n') + 1
	if end == 0 && n == chunk { // no line of the CRI is so long (16 KiB of text)
		end = n
	}
	at := f.next
	for line := range bytes.Lines(buffer[:end]) {
		f.line(at, strings.TrimSuffix(string(line), "\n"), b)
		at += int64(len(line))
	}
	f.next = at
	return nil
}

// line takes one line of the file: a time, the stream, F for a full one or P for a part, and the text. What is none is left out.
func (f *file) line(start int64, line string, b *batch) {
	stamp, rest, _ := strings.Cut(line, " ")
	stream, rest, _ := strings.Cut(rest, " ")
	tag, text, found := strings.Cut(rest, " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil || !found || stream != "stdout" && stream != "stderr" {
		return
	}
	p, begun := f.parts[stream]
	if !begun {
		p = part{at: at, start: start}
	}
	p.text += text
	if len(p.text) > maxText {
		p.text = strings.ToValidUTF8(p.text[:maxText], "")
	}
	if strings.HasPrefix(tag, "P") {
		if f.parts == nil {
			f.parts = map[string]part{}
		}
		f.parts[stream] = p
		return
	}
	delete(f.parts, stream)
	b.add(f.labels, p.at, p.text)
}

// commit says that all that was read has been sent. The beginning of a line has not.
func (f *file) commit() {
	f.sent = f.next
	for _, p := range f.parts {
		f.sent = min(f.sent, p.start)
	}
}

// rewind says that what was read since the last commit has not been sent.
func (f *file) rewind() { f.next, f.parts = f.sent, nil }

// removed reports whether no name leads to the file any more, so that nobody but who has it open can write to it, and it was read to its end.
func (f *file) removed() bool {
	var stat unix.Stat_t
	err := unix.Fstat(int(f.handle.Fd()), &stat)
	return err != nil || stat.Nlink == 0 && f.next >= stat.Size
}
