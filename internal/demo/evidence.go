package demo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/report"
	"github.com/homeostat/homeostat/metrics"
)

// mostLogLines of an incident are shown; `homeostat incidents NAME` has the rest.
const mostLogLines = 3

// evidence words what an incident was opened on: how the container died, its memory, its last log lines.
func evidence(in *incident.Incident) []string {
	var out []string
	newest := func(k incident.EvidenceKind) *incident.Evidence {
		for i := range slices.Backward(in.Evidence) {
			if in.Evidence[i].Kind == k {
				return &in.Evidence[i]
			}
		}
		return nil
	}
	if e := newest(incident.EvidenceTermination); e != nil {
		out = append(out, "death   "+e.Message)
	}
	if e := newest(incident.EvidenceUsage); e != nil && aboutMemory(in.Kind) {
		if s := memory(e.Points, e.MemoryLimit); s != "" {
			out = append(out, "memory  "+s)
		}
	}
	e := newest(incident.EvidenceLog)
	if e == nil {
		return out
	}
	if len(e.Lines) == 0 {
		return append(out, "log     "+e.Message)
	}
	head := "log     "
	for _, l := range e.Lines[max(0, len(e.Lines)-mostLogLines):] {
		out = append(out, head+"│ "+logLine(l))
		head = strings.Repeat(" ", len(head))
	}
	return out
}

func aboutMemory(k incident.Kind) bool {
	return k == incident.OOMKilled || k == incident.ProbableOOM || k == incident.ChildOOM
}

// memory draws the points that are known as a line of bars against the limit.
func memory(points []metrics.Point, limit int64) string {
	const most = 24
	bars := []rune("▁▂▃▄▅▆▇█")
	var values []int64
	for _, pt := range points {
		if pt.MemoryBytes != metrics.NotKnown {
			values = append(values, pt.MemoryBytes)
		}
	}
	if len(values) == 0 {
		return ""
	}
	values = values[max(0, len(values)-most):]
	top := max(limit, slices.Max(values), 1)
	var b strings.Builder
	fmt.Fprintf(&b, "%s → %s", report.Bytes(values[0]), report.Bytes(values[len(values)-1]))
	if limit > 0 {
		fmt.Fprintf(&b, ", limit %s", report.Bytes(limit))
	}
	b.WriteString("  ")
	for _, v := range values {
		b.WriteRune(bars[min(int(v*int64(len(bars))/top), len(bars)-1)])
	}
	return b.String()
}

// quietFields of a JSON log line repeat what the screen says already.
func quietFields() []string { return []string{"time", "app", "hostname", "correlation_id"} }

// logLine shortens a JSON log line to level, message and fields, in their order; any other line is left as it is.
func logLine(s string) string {
	dec := json.NewDecoder(bytes.NewReader([]byte(s)))
	dec.UseNumber()
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return s
	}
	var out []string
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return s
		}
		var value any
		if err := dec.Decode(&value); err != nil {
			return s
		}
		switch {
		case slices.Contains(quietFields(), fmt.Sprint(key)):
		case key == "level" || key == "msg":
			out = append(out, fmt.Sprint(value))
		default:
			out = append(out, fmt.Sprintf("%v=%v", key, value))
		}
	}
	return strings.Join(out, " ")
}
