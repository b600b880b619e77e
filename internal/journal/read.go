package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
)

// MaxLine bounds one line that is read, in bytes; a decision about a thousand replicas is about one MiB.
const MaxLine = 32 << 20

// LineError says which line of a journal is bad, and why.
type LineError struct {
	Line int // counted from 1
	Err  error
}

// Error names the line.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns what is wrong with the line.
func (e *LineError) Unwrap() error { return e.Err }

// Read yields the records of a journal in their order. A bad line is yielded as a *LineError, and reading goes on behind it; an error of
// r itself ends it. Empty lines are left out, and so is a last line without its end that cannot be read: its writer was cut off, or is
// still at it. Lines of the controller's own log are left out, for whoever reads both from one stream, and fields that are not known, because
// a journal may be of a later version.
func Read(r io.Reader) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		in := bufio.NewReaderSize(r, 1<<16)
		for n, ended := 1, false; !ended; n++ {
			line, err := readLine(in)
			if ended = errors.Is(err, io.EOF); err != nil && !ended {
				yield(Record{}, fmt.Errorf("read journal: %w", err))
				return
			}
			rec, err := parse(line)
			switch {
			case errors.Is(err, errNone), err != nil && ended:
				continue
			case err != nil:
				err = &LineError{Line: n, Err: err}
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

// readLine returns the next line without the space around it; io.EOF where its end is missing. Of a line that is longer than MaxLine it
// reads all and returns a little more than that.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(line) <= MaxLine {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return bytes.TrimSpace(line), err
		}
	}
}

// errNone says that a line is empty, or one of a log in JSON.
var errNone = errors.New("no record")

// parse reads one line and checks that it has what its kind says.
func parse(line []byte) (Record, error) {
	if len(line) == 0 {
		return Record{}, errNone
	}
	if len(line) > MaxLine {
		return Record{}, fmt.Errorf("longer than %d bytes, which is what is allowed", MaxLine)
	}
	var both struct {
		Record
		Level string `json:"level"`
		Msg   string `json:"msg"`
	}
	if err := json.Unmarshal(line, &both); err != nil {
		return Record{}, err
	}
	r := both.Record
	if r.Kind == "" && both.Level != "" && both.Msg != "" {
		return Record{}, errNone
	}
	has := map[Kind]bool{Decision: r.Decision != nil, Incident: r.Incident != nil, Action: r.Action != nil}
	there, known := has[r.Kind]
	switch {
	case !known:
		return Record{}, fmt.Errorf("kind: %q is not allowed, it must be decision, incident or action", r.Kind)
	case !there:
		return Record{}, fmt.Errorf("%s: is missing, a line of kind %q must have it", r.Kind, r.Kind)
	case r.Time.IsZero():
		return Record{}, errors.New("time: is missing")
	}
	return r, nil
}
