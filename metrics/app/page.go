package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/homeostat/homeostat/metrics"
)

// The series of every page that are read: what the client libraries of Prometheus say of their own process.
const (
	seriesCPU    = "process_cpu_seconds_total"
	seriesMemory = "process_resident_memory_bytes"
	seriesStart  = "process_start_time_seconds"
)

// The media types of a page.
const (
	mediaText        = "text/plain"
	mediaOpenMetrics = "application/openmetrics-text"
	accept           = mediaText + ";version=0.0.4," + mediaOpenMetrics + ";version=1.0.0;q=0.5"
)

// kind says how the value of a series is to be read.
type kind uint8

const (
	kindNone kind = iota // nothing was seen yet
	kindGauge
	kindCounter
)

// process is what a page says of the process that serves it; NaN: nothing.
type process struct {
	cpu, memory, start float64
}

// series is one series of a page.
type series struct {
	kind   kind
	labels labels.Labels
	value  float64
}

// readPage reads a page and calls emit for every series whose name is wanted. It overwrites a spare byte of the body's
// capacity, and what emit was told counts only where there is no error.
func readPage(body []byte, contentType string, wanted func(name []byte) bool, emit func(name string, s series)) (process, error) {
	text, err := parserOf(body, contentType)
	if err != nil {
		return process{}, err
	}
	p := process{math.NaN(), math.NaN(), math.NaN()}
	var family family
	found := 0
	for {
		entry, err := text.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return process{}, fmt.Errorf("parse page: %s", metrics.Cause(err.Error(), maxCause))
		}
		switch entry {
		case textparse.EntryType:
			name, kind := text.Type()
			family.name, family.kind = append(family.name[:0], name...), kind
		case textparse.EntrySeries:
			found++
			raw, _, value := text.Series()
			p.read(raw, value)
			if name := nameOf(raw); len(name) == 0 || wanted(name) {
				var l labels.Labels
				text.Labels(&l)
				full := l.Get(labels.MetricName)
				if len(name) == 0 && !wanted([]byte(full)) {
					continue
				}
				emit(full, series{family.kindOf(full), l, value})
			}
		case textparse.EntryInvalid, textparse.EntryHelp, textparse.EntryComment, textparse.EntryUnit, textparse.EntryHistogram:
		}
	}
	if found == 0 {
		return process{}, errors.New("parse page: it has no series")
	}
	return p, nil
}

func parserOf(body []byte, contentType string) (textparse.Parser, error) {
	media := mediaText // what a page without a type is
	if contentType != "" {
		var err error
		if media, _, err = mime.ParseMediaType(contentType); err != nil {
			media = ""
		}
	}
	switch media {
	case mediaText:
		return textparse.NewPromParser(body, labels.NewSymbolTable()), nil
	case mediaOpenMetrics:
		return textparse.NewOpenMetricsParser(body, labels.NewSymbolTable()), nil
	}
	return nil, fmt.Errorf("the content type is %q, allowed is %s or %s", metrics.Cause(contentType, maxCause), mediaText, mediaOpenMetrics)
}

// read keeps the values of the process. Series with labels are of something else.
func (p *process) read(raw []byte, value float64) {
	if !(value >= 0) || math.IsInf(value, 1) {
		return
	}
	switch string(bytes.TrimSuffix(raw, []byte("{}"))) {
	case seriesCPU:
		p.cpu = value
	case seriesMemory:
		p.memory = value
	case seriesStart:
		p.start = value
	}
}

// nameOf returns the name of a series; empty where it is quoted within the braces.
func nameOf(raw []byte) []byte {
	if i := bytes.IndexByte(raw, '{'); i >= 0 {
		raw = raw[:i]
	}
	return raw
}

// family is the one that the page told the type of last.
type family struct {
	name []byte
	kind model.MetricType
}

// kindOf returns the kind of a series. One that does not belong to the family has no type, though its name may begin with
// that of the family; its name says then whether it counts.
func (f *family) kindOf(name string) kind {
	suffix, belongs := strings.CutPrefix(name, string(f.name))
	belongs = belongs && len(f.name) > 0
	counts := false
	switch f.kind {
	case model.MetricTypeCounter:
		counts = suffix == "" || suffix == "_total"
		belongs = belongs && (counts || suffix == "_created")
	case model.MetricTypeHistogram:
		counts = suffix == "_bucket" || suffix == "_sum" || suffix == "_count"
		belongs = belongs && (counts || suffix == "_created")
	case model.MetricTypeSummary:
		counts = suffix == "_sum" || suffix == "_count"
		belongs = belongs && (counts || suffix == "" || suffix == "_created")
	case model.MetricTypeGaugeHistogram:
		belongs = belongs && (suffix == "_bucket" || suffix == "_gsum" || suffix == "_gcount")
	case model.MetricTypeInfo:
		belongs = belongs && suffix == "_info"
	case model.MetricTypeGauge, model.MetricTypeStateset:
		belongs = belongs && suffix == ""
	case model.MetricTypeUnknown, "untyped":
		belongs = false
	}
	if !belongs {
		counts = strings.HasSuffix(name, "_total")
	}
	if counts {
		return kindCounter
	}
	return kindGauge
}

// maxCause is how much of a cause is kept: an error of the parser quotes the page.
const maxCause = 200
