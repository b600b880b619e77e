package kubelet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/textparse"

	"github.com/homeostat/homeostat/metrics"
)

// Families of /metrics/resource that are read (k8s.io/kubernetes, pkg/kubelet/metrics/collectors/resource_metrics.go).
const (
	familyCPU         = "container_cpu_usage_seconds_total"
	familyMemory      = "container_memory_working_set_bytes"
	familyStart       = "container_start_time_seconds"
	familyError       = "resource_scrape_error"
	familyErrorBefore = "scrape_error" // its name before Kubernetes 1.29
)

// What a page said of a container.
const (
	hasCPU uint8 = 1 << iota
	hasMemory
	hasStart
)

// Parser reads the /metrics/resource pages of one node, one after the other. It remembers the containers of the last
// pages, so that their names are allocated once and not on each page; it forgets those that are gone. It is not safe for
// concurrent use.
type Parser struct {
	index   map[metrics.Key]int32
	entries []entry
	page    uint32 // number of the present page
	seen    int    // containers on the present page
}

type entry struct {
	key                metrics.Key
	page               uint32 // the last page it was on
	has                uint8
	cpuAt, memoryAt    int64 // milliseconds since the epoch; 0: the page gave none
	cpu, memory, start float64
}

// NewParser returns a parser for the pages of one node.
func NewParser() *Parser { return &Parser{index: map[metrics.Key]int32{}} }

// Parse reads a page in the Prometheus text format and calls emit once per container that has CPU or memory, after the
// whole page was read without an error. A sample has the time that the page gives it, or else received. It returns how
// many samples there were. It does not allocate for containers it knows; to that end body should have a spare byte of
// capacity, which it overwrites.
func (p *Parser) Parse(body []byte, received time.Time, emit func(metrics.Key, metrics.Sample)) (int, error) {
	p.page++
	p.seen = 0
	series, kubeletError := 0, false
	var labels labelSet
	text := textparse.NewPromParser(body, nil)
	for {
		kind, err := text.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, fmt.Errorf("parse page: %s", clip(err.Error()))
		}
		if kind != textparse.EntrySeries {
			continue
		}
		series++
		raw, at, value := text.Series()
		switch family := familyOf(raw); string(family) {
		case familyCPU, familyMemory, familyStart:
			if labels.read(raw[len(family):]); labels.container != nil && labels.pod != nil {
				p.entry(&labels).note(family, at, value)
			}
		case familyError, familyErrorBefore:
			kubeletError = kubeletError || value != 0
		}
	}
	if series == 0 {
		return 0, errors.New("parse page: it has no series")
	}
	n := p.emit(received, emit)
	if n == 0 && kubeletError {
		return 0, errors.New("the kubelet reports " + familyError + " 1: it could not read its containers")
	}
	return n, nil
}

// entry returns the container's entry, emptied if this is its first series on the page.
func (p *Parser) entry(l *labelSet) *entry {
	// The compiler does not allocate for the conversions in this lookup.
	i, ok := p.index[metrics.Key{Namespace: string(l.namespace), Pod: string(l.pod), Container: string(l.container)}]
	if !ok {
		key := l.key()
		i = int32(len(p.entries))
		p.entries = append(p.entries, entry{key: key})
		p.index[key] = i
	}
	e := &p.entries[i]
	if e.page != p.page {
		*e = entry{key: e.key, page: p.page}
		p.seen++
	}
	return e
}

// note keeps one value; values that cannot be are as if they were not there.
func (e *entry) note(family []byte, at *int64, value float64) {
	if !(value >= 0) || math.IsInf(value, 1) {
		return
	}
	ms := int64(0)
	if at != nil {
		ms = *at
	}
	switch string(family) {
	case familyCPU:
		e.has, e.cpu, e.cpuAt = e.has|hasCPU, value, ms
	case familyMemory:
		e.has, e.memory, e.memoryAt = e.has|hasMemory, value, ms
	case familyStart:
		e.has, e.start = e.has|hasStart, value
	}
}

// emit hands over the containers of the present page, and forgets others where they have become the greater part.
func (p *Parser) emit(received time.Time, emit func(metrics.Key, metrics.Sample)) int {
	n := 0
	for i := range p.entries {
		e := &p.entries[i]
		if e.page != p.page {
			continue
		}
		if s, ok := e.sample(received); ok {
			emit(e.key, s)
			n++
		}
	}
	if len(p.entries) > 2*p.seen+64 {
		p.forget()
	}
	return n
}

func (p *Parser) forget() {
	kept := make([]entry, 0, p.seen)
	index := make(map[metrics.Key]int32, p.seen)
	for i := range p.entries {
		if e := &p.entries[i]; e.page == p.page {
			index[e.key] = int32(len(kept))
			kept = append(kept, *e)
		}
	}
	p.entries, p.index = kept, index
}

// sample returns false for a container without values, and for one whose values are both zero: it does not run.
func (e *entry) sample(received time.Time) (metrics.Sample, bool) {
	s := metrics.Sample{At: received, NoCPU: e.has&hasCPU == 0, NoMemory: e.has&hasMemory == 0}
	if s.NoCPU && s.NoMemory || e.cpu == 0 && e.memory == 0 && !s.NoCPU && !s.NoMemory {
		return s, false
	}
	switch {
	case !s.NoCPU && e.cpuAt > 0: // the rate is taken from CPU, so its time counts where the two differ
		s.At = time.UnixMilli(e.cpuAt).UTC()
	case s.NoCPU && e.memoryAt > 0:
		s.At = time.UnixMilli(e.memoryAt).UTC()
	}
	s.CPUSeconds = e.cpu
	if s.MemoryBytes = math.MaxInt64; e.memory < math.MaxInt64 {
		s.MemoryBytes = int64(e.memory)
	}
	const lastSecond = 1 << 33 // the year 2242
	if e.has&hasStart != 0 && e.start > 0 && e.start < lastSecond {
		s.Start = time.UnixMicro(int64(math.Round(e.start * 1e6))).UTC()
	}
	return s, true
}

// familyOf returns the name of a series; empty where it is quoted within the braces.
func familyOf(series []byte) []byte {
	if i := bytes.IndexByte(series, '{'); i >= 0 {
		series = series[:i]
	}
	return series
}

// labelSet is the labels of a series that are read, as bytes of the page; nil where there is no such label or it is
// empty.
type labelSet struct {
	container, namespace, pod, id []byte
}

// key allocates the names.
func (l *labelSet) key() metrics.Key {
	return metrics.Key{Namespace: string(l.namespace), Pod: string(l.pod), Container: string(l.container)}
}

// read takes the labels from what follows the name of a series that the parser has found valid.
func (l *labelSet) read(rest []byte) {
	*l = labelSet{}
	rest = skip(rest, '{')
	for {
		rest = skip(rest, ',')
		if len(rest) == 0 || rest[0] == '}' {
			return
		}
		var name, value []byte
		if rest[0] == '"' {
			name, rest = quoted(rest)
		} else {
			equal := bytes.IndexByte(rest, '=')
			if equal < 0 {
				return
			}
			name, rest = bytes.TrimRight(rest[:equal], " \t"), rest[equal:]
		}
		rest = skip(rest, ' ')
		if len(rest) == 0 || rest[0] != '=' {
			continue
		}
		if rest = skip(rest[1:], ' '); len(rest) == 0 || rest[0] != '"' {
			return
		}
		value, rest = quoted(rest)
		l.set(name, value)
	}
}

// skip returns what follows the blanks, and the bytes of the other kind, at the beginning of b: bytes.TrimLeft takes longer than all
// else that is done for a label.
func skip(b []byte, other byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t' || b[0] == other) {
		b = b[1:]
	}
	return b
}

func (l *labelSet) set(name, value []byte) {
	if len(value) == 0 {
		return
	}
	switch string(name) {
	case "container":
		l.container = value
	case "namespace":
		l.namespace = value
	case "pod":
		l.pod = value
	case "id":
		l.id = value
	}
}

// quoted returns the text between the quote that b begins with and the next one that is not escaped, and what follows.
func quoted(b []byte) (text, rest []byte) {
	if end := bytes.IndexByte(b[1:], '"'); end >= 0 && bytes.IndexByte(b[1:1+end], '\\') < 0 {
		return b[1 : 1+end], b[end+2:]
	}
	escaped := false
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			escaped = true
			i++
		case '"':
			text = b[1:i]
			if escaped {
				text = unescape(text)
			}
			return text, b[i+1:]
		}
	}
	return nil, nil
}

// unescape allocates, which costs nothing here: the names of Kubernetes have nothing to escape.
func unescape(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '\\' && i+1 < len(b) {
			i++
			if c = b[i]; c == 'n' {
				c = '\n'
			}
		}
		out = append(out, c)
	}
	return out
}
