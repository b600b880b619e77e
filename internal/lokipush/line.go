package lokipush

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/grafana/loki/pkg/push"
	"github.com/prometheus/common/model"

	"github.com/homeostat/homeostat/internal/incident"
	"github.com/homeostat/homeostat/internal/journal"
)

// App is the value of the label app of all lines.
const App = "homeostat"

// The names of the structured metadata.
const (
	MetadataID      = "id"
	MetadataSubject = "subject"
	MetadataReason  = "reason"
)

// line is one record on its way.
type line struct {
	labels   model.LabelSet
	at       time.Time
	text     string
	metadata push.LabelsAdapter
}

// bytes is what the line takes of the backlog; the labels and metadata are a few hundred.
func (l *line) bytes() int { return len(l.text) + 512 }

// encode makes the line of a record. An error is json's: a number that is none, or a time beyond the year 9999.
func encode(r *journal.Record, more map[string]string) (line, error) {
	text, err := text(r)
	if err != nil {
		return line{}, err
	}
	labels := model.LabelSet{"app": App, "kind": model.LabelValue(r.Kind), "namespace": model.LabelValue(r.Subject.Namespace)}
	for name, value := range more {
		labels[model.LabelName(name)] = model.LabelValue(value)
	}
	if r.Subject.Namespace == "" {
		delete(labels, "namespace") // to Loki an empty label is none
	}
	l := line{labels: labels, at: r.Time, text: text}
	for _, m := range [][2]string{{MetadataID, r.ID}, {MetadataSubject, r.Subject.String()}, {MetadataReason, r.Reason}} {
		if m[1] != "" {
			l.metadata = append(l.metadata, push.LabelAdapter{Name: m[0], Value: m[1]})
		}
	}
	return l, nil
}

// text returns the record as JSON of at most MaxLine bytes. Of a longer one the largest parts are left out, so that it stays JSON: what a decision was
// made from, the evidence and members of an incident; the journal's file has all of it.
func text(r *journal.Record) (string, error) {
	whole, err := json.Marshal(r)
	if err != nil || len(whole) <= MaxLine {
		return string(whole), err //nolint:wrapcheck // it says all
	}
	short := struct {
		journal.Record
		Cut string `json:"cut"`
	}{Record: *r, Cut: fmt.Sprintf("the line had %d bytes, the journal's file has all of it", len(whole))}
	if r.Decision != nil {
		short.Decision = &journal.DecisionRecord{Target: r.Decision.Target, Mode: r.Decision.Mode, Error: r.Decision.Error}
		rec := &short.Decision.Recommendation
		*rec = r.Decision.Recommendation
		rec.Metrics = nil
	}
	if in := r.Incident; in != nil {
		short.Incident = &incident.Incident{
			Namespace: in.Namespace, Name: in.Name, State: in.State, Kind: in.Kind, Workload: in.Workload, Cause: in.Cause, Confidence: in.Confidence,
			Reason: in.Reason, Message: in.Message, OpenedAt: in.OpenedAt, StartedAt: in.StartedAt, LastSeenAt: in.LastSeenAt,
		}
	}
	some, err := json.Marshal(short)
	return head(string(some), MaxLine), err //nolint:wrapcheck // it says all
}

// head returns at most the first n bytes, whole characters.
func head(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
