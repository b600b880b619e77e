package kubelet

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/prometheus/prometheus/model/textparse"

	"github.com/homeostat/homeostat/metrics"
)

// familyOOM is the one family that is read of /metrics/cadvisor.
const familyOOM = "container_oom_events_total"

// oomReader takes the counters of OOM kills from /metrics/cadvisor. That page can have megabytes, so its lines are
// filtered as they come in, and only those that count are kept and parsed. It is reused from page to page.
type oomReader struct {
	lines    *bufio.Reader
	kept     []byte
	readings []oomReading
}

// oomReading is the counter of one life of a container; instance is its cgroup.
type oomReading struct {
	key      metrics.Key
	instance string
	count    float64
}

// read returns a reading for each container of a pod, one per life of it that is on the page. The result is valid until
// the next call.
func (r *oomReader) read(page io.Reader) ([]oomReading, error) {
	if r.lines == nil {
		r.lines = bufio.NewReaderSize(page, 64<<10)
	}
	r.lines.Reset(page)
	defer r.lines.Reset(nil)
	if err := r.filter(); err != nil {
		return nil, err
	}
	if err := r.parse(); err != nil {
		return nil, err
	}
	return r.readings, nil
}

// filter keeps the lines of the family.
func (r *oomReader) filter() error {
	r.kept = r.kept[:0]
	prefix := []byte(familyOOM)
	keep, begun := false, false // of the line that is being read; a long one comes in pieces
	for {
		piece, err := r.lines.ReadSlice('\n')
		if !begun {
			keep = bytes.HasPrefix(piece, prefix)
		}
		if keep {
			r.kept = append(r.kept, piece...)
		}
		begun = errors.Is(err, bufio.ErrBufferFull)
		switch {
		case err == nil, begun:
		case errors.Is(err, io.EOF):
			return nil
		default:
			return err
		}
	}
}

// parse turns the kept lines into readings.
func (r *oomReader) parse() error {
	r.readings = r.readings[:0]
	var labels labelSet
	text := textparse.NewPromParser(r.kept, nil)
	for {
		kind, err := text.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("parse page: %s", clip(err.Error()))
		}
		if kind != textparse.EntrySeries {
			continue
		}
		series, _, count := text.Series()
		family := familyOf(series)
		if string(family) != familyOOM {
			continue
		}
		if labels.read(series[len(family):]); labels.container != nil && labels.pod != nil { // else no container of a pod
			r.readings = append(r.readings, oomReading{labels.key(), string(labels.id), count})
		}
	}
}
