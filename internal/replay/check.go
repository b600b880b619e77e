// Package replay decides again what a journal has recorded: with the same inputs and today's code, to find where a decision would differ,
// or with another policy, to see what it would have done.
//
// Records go in and a report comes out; the package reads no clock and no file. It judges numbers, reasons and steps, not sentences: those
// may change with any version. WhatIf is open-loop: the load and the replicas stay as they were recorded, whatever the other policy would
// have made of them.
package replay

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/journal"
)

// MaxDifferences bounds the differences that a report lists; the rest is counted.
const MaxDifferences = 1000

// Tally says what was found in a journal.
type Tally struct {
	// Decisions that came to a number, and that were decided again; Undecided did not (paused, invalid, no target).
	Decisions int `json:"decisions"`
	Undecided int `json:"undecided"`
	// Others are lines about incidents and actions.
	Others int `json:"others"`
	// Bad lines could not be read; each names itself. At most MaxDifferences.
	Bad []BadLine `json:"badLines,omitempty"`
	// First and Last decision, in time; zero where there is none.
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`
}

// BadLine is a line that could not be read.
type BadLine struct {
	Line  int    `json:"line"`
	Error string `json:"error"`
}

// Comparison is the report of Check.
type Comparison struct {
	Tally
	// Differing is how many decisions differ; Differences are the first MaxDifferences of them, in the order of the journal.
	Differing   int          `json:"differing"`
	Differences []Difference `json:"differences,omitempty"`
}

// Same reports whether every line could be read and every decision came out as it was recorded.
func (c *Comparison) Same() bool { return c.Differing == 0 && len(c.Bad) == 0 }

// Difference is one decision that comes out otherwise today.
type Difference struct {
	At         time.Time   `json:"at"`
	Autoscaler cluster.Ref `json:"autoscaler"`
	// Fields that differ: desired, reason, steps.
	Fields   []string `json:"fields"`
	Recorded Verdict  `json:"recorded"`
	Today    Verdict  `json:"today"`
}

// Verdict is what a decision came to.
type Verdict struct {
	Current  int32      `json:"current"`
	Proposed int32      `json:"proposed"`
	Desired  int32      `json:"desired"`
	Reason   hpa.Reason `json:"reason"`
	Message  string     `json:"message"`
	Steps    []hpa.Step `json:"steps"`
}

func verdict(r *hpa.Recommendation) Verdict {
	return Verdict{Current: r.Current, Proposed: r.Proposed, Desired: r.Desired, Reason: r.Reason, Message: r.Message, Steps: r.Steps}
}

// Check decides each recorded decision again from its recorded inputs. Bad lines are part of the report; an error means that the records
// ended early.
func Check(records iter.Seq2[journal.Record, error]) (*Comparison, error) {
	c := &Comparison{}
	err := c.read(records, func(r *journal.Record) {
		d := r.Decision
		today, _ := hpa.Decide(d.Policy, d.Observation, d.History, d.Recommendation.At)
		fields := differing(&d.Recommendation, &today)
		if len(fields) == 0 {
			return
		}
		if c.Differing++; c.Differing <= MaxDifferences {
			c.Differences = append(c.Differences, Difference{
				At: d.Recommendation.At, Autoscaler: r.Subject, Fields: fields,
				Recorded: verdict(&d.Recommendation), Today: verdict(&today),
			})
		}
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// read calls decided for each record of a decision that came to a number, and counts all.
func (t *Tally) read(records iter.Seq2[journal.Record, error], decided func(r *journal.Record)) error {
	for r, err := range records {
		bad, isBad := errors.AsType[*journal.LineError](err)
		switch {
		case isBad:
			if len(t.Bad) < MaxDifferences {
				t.Bad = append(t.Bad, BadLine{Line: bad.Line, Error: bad.Err.Error()})
			}
		case err != nil:
			return fmt.Errorf("replay journal: %w", err)
		case r.Kind != journal.Decision:
			t.Others++
		case !r.Decision.Decided():
			t.Undecided++
		default:
			t.Decisions++
			at := r.Decision.Recommendation.At
			if t.First.IsZero() || at.Before(t.First) {
				t.First = at
			}
			if at.After(t.Last) {
				t.Last = at
			}
			decided(&r)
		}
	}
	return nil
}

// differing names the fields in which two decisions differ. The words are left out.
func differing(a, b *hpa.Recommendation) []string {
	var fields []string
	if a.Desired != b.Desired {
		fields = append(fields, "desired")
	}
	if a.Reason != b.Reason {
		fields = append(fields, "reason")
	}
	if !slices.EqualFunc(a.Steps, b.Steps, func(a, b hpa.Step) bool {
		a.Message, b.Message, a.Cause, b.Cause = "", "", "", "" // words, too
		return a == b
	}) {
		fields = append(fields, "steps")
	}
	return fields
}
