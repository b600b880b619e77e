// Package journal writes what was decided and done, one JSON object per line, and reads it again.
//
// A line is complete: a decision has all inputs that it was made from, so that it can be explained, and recomputed, later.
// Writing never blocks who decides: lines go through a bounded queue to one goroutine, and what does not fit is dropped
// and counted. The package reads no clock; the times are those of the records. What the lines say is in docs/journal.md.
package journal

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/homeostat/homeostat/healing"
	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// Queue is how many lines may wait for the disk. At one decision a second for 100 autoscalers it holds some ten seconds.
const Queue = 1024

// Kind says what a line records.
type Kind string

// The kinds of line.
const (
	Decision Kind = "decision"
	Incident Kind = "incident"
	Action   Kind = "action"
)

// Record is one line. Exactly one of Decision, Incident and Action is set, as Kind says.
type Record struct {
	Time time.Time `json:"time"`
	Kind Kind      `json:"kind"`
	// ID follows what is recorded through events, status, logs and notifications: cluster.DecisionID of a decision that changes the number,
	// cluster.IncidentID of an incident and of what is done about it; empty for any other decision. Write sets it.
	ID      string      `json:"id,omitempty"`
	Subject cluster.Ref `json:"subject"`
	// Reason and Message are those of the decision, incident or result.
	Reason   string             `json:"reason"`
	Message  string             `json:"message"`
	Decision *DecisionRecord    `json:"decision,omitempty"`
	Incident *incident.Incident `json:"incident,omitempty"`
	Action   *ActionRecord      `json:"action,omitempty"`
}

// DecisionRecord is a decision with everything that it was made from.
type DecisionRecord struct {
	Target cluster.Ref `json:"target"`
	// Mode of the autoscaler (control.Mode): only an Active one writes its number.
	Mode        string          `json:"mode"`
	Policy      hpa.Policy      `json:"policy"`
	Observation hpa.Observation `json:"observation"`
	// History as it was before the decision.
	History        hpa.History        `json:"history,omitzero"`
	Recommendation hpa.Recommendation `json:"recommendation"`
	// Error of the write that followed, empty for none.
	Error string `json:"error,omitempty"`
}

// identify sets the id.
func (r *Record) identify() {
	switch {
	case r.Decision != nil:
		rec := &r.Decision.Recommendation
		r.ID = cluster.DecisionID(r.Subject, rec.At, rec.Current, rec.Desired)
	case r.Incident != nil:
		r.ID = cluster.IncidentID(r.Incident.Namespace, r.Incident.Name)
	case r.Action != nil:
		r.ID = cluster.IncidentID(r.Subject.Namespace, r.Action.Incident)
	}
}

// Decided reports whether a number was decided: not where the autoscaler is paused or refused, or its target cannot be read.
func (d *DecisionRecord) Decided() bool { return len(d.Recommendation.Steps) > 0 }

// Written reports whether the number was written to the target.
func (d *DecisionRecord) Written() bool {
	return d.Decided() && d.Mode == modeActive && d.Error == "" && d.Recommendation.Change()
}

// modeActive is control.Active, in a package that knows no loop.
const modeActive = "Active"

// ActionRecord is an action and what came of it.
type ActionRecord struct {
	Incident      string           `json:"incident"`
	RemediationID string           `json:"remediationID"`
	Remedy        incident.Remedy  `json:"remedy"`
	Replica       string           `json:"replica"`
	ReplicaUID    string           `json:"replicaUID"`
	Outcome       incident.Outcome `json:"outcome"`
	Reason        healing.Reason   `json:"reason"`
}

// Writer queues records. The zero value drops everything and is ready to use; so is a nil *Writer.
type Writer struct {
	queue   chan Record
	dropped atomic.Int64
	sink    func(Record)
}

// New returns a writer whose Run has to be called for anything to be written.
func New() *Writer {
	return &Writer{queue: make(chan Record, Queue)}
}

// Also gives each record to the sink too, which must not block and must not change what it is given; whether the record fits into the
// writer's own queue does not matter. Call it before the first Write.
func (w *Writer) Also(sink func(Record)) { w.sink = sink }

// Write gives the record its id and queues it, or drops and counts it where the queue is full. It never blocks.
func (w *Writer) Write(r Record) {
	if w == nil {
		return
	}
	r.identify()
	if w.sink != nil {
		w.sink(r)
	}
	select {
	case w.queue <- r:
	default:
		w.dropped.Add(1)
	}
}

// Dropped returns how many records did not fit so far.
func (w *Writer) Dropped() int64 {
	if w == nil {
		return 0
	}
	return w.dropped.Load()
}

// Length returns how many records wait to be written.
func (w *Writer) Length() int {
	if w == nil {
		return 0
	}
	return len(w.queue)
}

// Run writes queued records to out until ctx is done, and then what is left in the queue. A record that has no JSON (a time
// beyond the year 9999, or a number that is none) is dropped and counted, and so is one that out does not take; the log
// says when that begins and when it is over. Call it once.
func (w *Writer) Run(ctx context.Context, out io.Writer, log *slog.Logger) {
	l := lines{out: out, log: log}
	for {
		select {
		case r := <-w.queue:
			w.put(ctx, &l, &r)
		case <-ctx.Done():
			for len(w.queue) > 0 {
				r := <-w.queue
				w.put(ctx, &l, &r)
			}
			return
		}
	}
}

func (w *Writer) put(ctx context.Context, l *lines, r *Record) {
	text, err := json.Marshal(r)
	if err != nil || !l.write(ctx, text) {
		w.dropped.Add(1)
	}
}

// lines writes one line at a time, so that readers see it at once and a disk that is full for a while costs no more than the
// lines of that time.
type lines struct {
	out io.Writer
	log *slog.Logger
	// torn is true after a line of which only a part was written, failing after one that was not written.
	torn, failing bool
}

// write reports whether the line was written.
func (l *lines) write(ctx context.Context, text []byte) bool {
	line := make([]byte, 0, len(text)+2)
	if l.torn {
		line = append(line, '\n') // what was torn spoils no more than itself
	}
	n, err := l.out.Write(append(append(line, text...), '\n'))
	if err != nil {
		l.torn = l.torn || n > 0
		if !l.failing {
			l.log.ErrorContext(ctx, "journal cannot be written, lines are dropped until it can", "error", err)
		}
		l.failing = true
		return false
	}
	if l.failing {
		l.log.InfoContext(ctx, "journal is written again")
	}
	l.torn, l.failing = false, false
	return true
}
