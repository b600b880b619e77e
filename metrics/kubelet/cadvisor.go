package kubelet

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/textparse"

	"github.com/homeostat/homeostat/metrics"
)

// Families of /metrics/cadvisor that are read (github.com/google/cadvisor, metrics/prometheus.go).
const (
	familyOOM       = "container_oom_events_total"
	familyResident  = "container_memory_rss"
	familyPeriods   = "container_cpu_cfs_periods_total"
	familyThrottled = "container_cpu_cfs_throttled_periods_total"
)

// What the cadvisor page said of a life.
const (
	hasOOM uint8 = 1 << iota
	hasResident
	hasPeriods
	hasThrottled
)

// cadvisorReader takes what only /metrics/cadvisor has: the counters of OOM kills, the resident memory and how often a CPU limit
// held a container back. That page can have megabytes, so its lines are filtered as they come in, and only those that count are
// kept and parsed. It is reused from page to page.
type cadvisorReader struct {
	lines *bufio.Reader
	kept  []byte
	lives []life
	index map[string]int32 // of lives, by instance
}

// life is what the page said of one life of a container; instance is its cgroup.
type life struct {
	key      metrics.Key
	instance string
	has      uint8
	// ooms, periods and throttled are counters; resident is in bytes.
	ooms, resident, periods, throttled float64
	// residentAt and throttledAt are in milliseconds since the epoch; 0: the page gave none.
	residentAt, throttledAt int64
}

// read returns each container of a pod that is on the page, once per life of it. The result is valid until the next call.
func (r *cadvisorReader) read(page io.Reader) ([]life, error) {
	if r.lines == nil {
		r.lines, r.index = bufio.NewReaderSize(page, 64<<10), make(map[string]int32)
	}
	r.lines.Reset(page)
	defer r.lines.Reset(nil)
	if err := r.filter(); err != nil {
		return nil, err
	}
	if err := r.parse(); err != nil {
		return nil, err
	}
	return r.lives, nil
}

// counts reports whether a line may be one of the families; most lines of a page are told by a byte or two.
func counts(line []byte) bool {
	const shared = len("container_")
	if len(line) <= shared {
		return false
	}
	switch line[shared] {
	case 'm':
		return bytes.HasPrefix(line, []byte(familyResident))
	case 'o':
		return bytes.HasPrefix(line, []byte(familyOOM))
	case 'c':
		return bytes.HasPrefix(line, []byte(familyPeriods)) || bytes.HasPrefix(line, []byte(familyThrottled))
	default:
		return false
	}
}

// filter keeps the lines of the families.
func (r *cadvisorReader) filter() error {
	r.kept = r.kept[:0]
	keep, begun := false, false // of the line that is being read; a long one comes in pieces
	for {
		piece, err := r.lines.ReadSlice('\n')
		if !begun {
			keep = counts(piece)
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

// parse turns the kept lines into lives.
func (r *cadvisorReader) parse() error {
	r.lives = r.lives[:0]
	clear(r.index)
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
		series, at, value := text.Series()
		family := familyOf(series)
		switch string(family) {
		case familyOOM, familyResident, familyPeriods, familyThrottled:
			if labels.read(series[len(family):]); labels.container != nil && labels.pod != nil { // else no container of a pod
				r.life(&labels).note(family, at, value)
			}
		}
	}
}

// life returns the life that the labels name, a new one if this is its first line on the page.
func (r *cadvisorReader) life(l *labelSet) *life {
	i, ok := r.index[string(l.id)] // the compiler does not allocate for this conversion
	if !ok || !r.lives[i].is(l) {
		i = int32(len(r.lives))
		r.lives = append(r.lives, life{key: l.key(), instance: string(l.id)})
		r.index[r.lives[i].instance] = i
	}
	return &r.lives[i]
}

// is reports whether the labels name the life's container: a page without the names of cgroups has all lives under one.
func (l *life) is(of *labelSet) bool {
	return l.key.Container == string(of.container) && l.key.Pod == string(of.pod) && l.key.Namespace == string(of.namespace)
}

// note keeps one value; values that cannot be are as if they were not there.
func (l *life) note(family []byte, at *int64, value float64) {
	if !(value >= 0) || math.IsInf(value, 1) {
		return
	}
	ms := int64(0)
	if at != nil {
		ms = *at
	}
	switch string(family) {
	case familyOOM:
		l.has, l.ooms = l.has|hasOOM, value
	case familyResident:
		l.has, l.resident, l.residentAt = l.has|hasResident, value, ms
	case familyPeriods:
		l.has, l.periods, l.throttledAt = l.has|hasPeriods, value, ms
	case familyThrottled:
		l.has, l.throttled = l.has|hasThrottled, value
	}
}

// tell hands the life over to the sink. The counters of OOM kills have the time of the reading, all of one page the same.
func (l *life) tell(sink CadvisorSink, read time.Time) {
	if l.has&hasOOM != 0 {
		sink.AddOOMEvents(l.key, l.instance, read, l.ooms)
	}
	if l.has&hasResident != 0 && l.resident < math.MaxInt64 {
		sink.AddResident(l.key, l.instance, timeOr(l.residentAt, read), int64(l.resident))
	}
	if l.has&hasPeriods != 0 && l.has&hasThrottled != 0 {
		sink.AddThrottling(l.key, l.instance, timeOr(l.throttledAt, read), l.periods, l.throttled)
	}
}

func timeOr(ms int64, otherwise time.Time) time.Time {
	if ms > 0 {
		return time.UnixMilli(ms).UTC()
	}
	return otherwise
}
