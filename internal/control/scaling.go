package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/homeostat/homeostat/hpa"
	"github.com/homeostat/homeostat/internal/cluster"
)

// Defaults of the loops. A write that takes longer than WriteTimeout is given up and decided anew.
const (
	DefaultPeriod = time.Second
	WriteTimeout  = 10 * time.Second
	maxWrites     = 8
	// patience is how long a decision waits for sources that are asked for the first time (or again, after a long period):
	// two timeouts of theirs. So a new leader does not take a metric for away, and jump to its fallback, before it was read.
	patience = 10 * time.Second
	// warmUp is how long a process that has just begun may be without a usable sample of a replica for no other reason than that:
	// two samples of a kubelet that measures every ten seconds, and a scrape of each.
	warmUp = 30 * time.Second
	// scaleFor and reportFor are how long a pass goes on beginning to scale and to report; the rest is for the next pass. When
	// very many numbers or statuses change at once, the next decisions do not wait until all of them are written.
	scaleFor  = 20 * time.Second
	reportFor = 2 * time.Second
)

// Reasons of a pass that made no decision; they stand where a decision's reason stands.
const (
	ReasonTargetUnavailable hpa.Reason = "FailedGetScale"
	ReasonPaused            hpa.Reason = "Paused"
	ReasonInvalidSpec       hpa.Reason = "InvalidSpec"
)

// Scaling is the scaling loop. It keeps the decision history of every autoscaler in memory, and goes on from the stored one
// where it has none. Not safe for concurrent use:
// one Run, or one caller of Pass.
type Scaling struct {
	source   ScalingSource
	writer   ScalingWriter
	recorder Recorder
	log      *slog.Logger
	memory   map[cluster.Ref]memory
}

// memory is what the loop keeps of one autoscaler.
type memory struct {
	history hpa.History
	decided time.Time // when it was last decided
	waiting time.Time // since when it waits for sources that have not answered yet; zero: it does not
}

// NewScaling returns a loop over the autoscalers of source.
func NewScaling(source ScalingSource, writer ScalingWriter, recorder Recorder, log *slog.Logger) *Scaling {
	return &Scaling{source: source, writer: writer, recorder: recorder, log: log, memory: map[cluster.Ref]memory{}}
}

// Run makes a pass every period until ctx is done. It returns when the last pass has ended.
func (s *Scaling) Run(ctx context.Context, period time.Duration) {
	every(ctx, period, nil, func(now time.Time) {
		began := time.Now()
		err := s.Pass(ctx, now)
		s.recorder.Turned("scaling", time.Since(began), err)
		if err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "scaling pass ended early", "error", err)
		}
	})
}

// decided is one autoscaler's decision on its way to the platform.
type decided struct {
	autoscaler Autoscaler
	obs        hpa.Observation
	before     hpa.History
	rec        hpa.Recommendation
	history    hpa.History // what the next decision goes on from
	err        error
	scaled     bool // the number was written
	skipped    bool // its period has not passed yet, or its sources have not answered yet
	at         time.Time
	waiting    time.Time // what memory keeps of it
}

// Pass decides every autoscaler once and writes what changed. It returns an error only where no autoscaler could be
// looked at; the error of one autoscaler is reported on it and does not touch the others.
func (s *Scaling) Pass(ctx context.Context, now time.Time) error {
	list, err := s.source.Autoscalers(ctx)
	if err != nil {
		return fmt.Errorf("list autoscalers: %w", err)
	}
	all := make([]decided, len(list))
	for i, a := range list {
		all[i] = s.decide(ctx, a, now)
	}
	// Decisions are cheap and come first; the writes wait for the network and go side by side. The numbers come before
	// the statuses.
	side(all, func(d *decided, spent time.Duration) {
		if spent >= scaleFor { // the next pass decides it anew
			d.skipped, d.at = true, time.Time{}
			return
		}
		s.scale(ctx, d, now)
	})
	side(all, func(d *decided, spent time.Duration) {
		// What was scaled is said in any case, and what is not decided again soon. All else the next pass says too.
		if d.scaled || d.autoscaler.Period > DefaultPeriod || spent < reportFor {
			s.report(ctx, d)
		}
	})
	s.remember(all)
	return nil
}

// side does f for all that were decided, a few side by side, and tells it how long that has been going on.
func side(all []decided, f func(d *decided, spent time.Duration)) {
	began := time.Now()
	var group errgroup.Group
	group.SetLimit(maxWrites)
	for i := range all {
		if all[i].skipped {
			continue
		}
		group.Go(func() error {
			f(&all[i], time.Since(began))
			return nil
		})
	}
	_ = group.Wait() // the functions return nil: errors stay with their autoscaler
}

func (s *Scaling) decide(ctx context.Context, a Autoscaler, now time.Time) decided {
	kept, known := s.memory[a.Ref]
	if !known && a.Stored != nil {
		kept.history = a.Stored()
	}
	d := decided{autoscaler: a, before: kept.history, history: kept.history, at: now}
	// A tick comes a little early or late; half a pass is no reason to leave one out.
	if known && a.Period > 0 && now.Sub(kept.decided) < a.Period-DefaultPeriod/2 {
		d.skipped, d.at = true, kept.decided
		return d
	}
	switch {
	case a.Invalid != "":
		reason := hpa.Reason(a.InvalidReason)
		if reason == "" {
			reason = ReasonInvalidSpec
		}
		d.rec = undecided(now, reason, a.Invalid, "ScalingActive")
		return d
	case a.Mode == Paused:
		d.rec = undecided(now, ReasonPaused, "paused by spec.mode", "ScalingActive")
		return d
	}
	d.obs, d.err = s.source.Observe(ctx, a, now)
	if errors.Is(d.err, ErrNotYet) {
		d.err, d.waiting = nil, kept.waiting
		if d.waiting.IsZero() {
			d.waiting = now
		}
		if now.Sub(d.waiting) < patience {
			d.skipped, d.at = true, kept.decided
			return d
		}
		if a.Period > patience { // by the next decision the source may have been forgotten, and is waited for again
			d.waiting = time.Time{}
		}
	}
	if d.err != nil {
		d.rec = undecided(now, ReasonTargetUnavailable, d.err.Error(), "AbleToScale")
		return d
	}
	d.rec, d.history = hpa.Decide(a.Policy, d.obs, d.history, now)
	if kept.decided.IsZero() && d.rec.Desired <= d.rec.Current {
		s.await(&d, &kept, now)
	}
	return d
}

// await takes back the first decision of this process where it goes on from a history that another one has left, and has not read
// all replicas yet. Missing ones count as busy, so that it would recommend the present number, and a window that is nearly
// over would begin anew. More replicas are never waited for.
func (s *Scaling) await(d *decided, kept *memory, now time.Time) {
	if len(kept.history.Recommendations) == 0 || !unread(&d.obs, d.autoscaler.Policy.Metrics) {
		return
	}
	began := kept.waiting
	if began.IsZero() {
		began = now
	}
	if now.Sub(began) < warmUp {
		d.skipped, d.at, d.waiting, d.history = true, time.Time{}, began, kept.history
	}
}

// unread reports whether a ready replica has no usable sample of a metric that is read from replicas.
func unread(obs *hpa.Observation, list []hpa.Metric) bool {
	for i := range obs.Replicas {
		r := &obs.Replicas[i]
		if !r.Ready || r.Deleting {
			continue
		}
		for j := range list {
			if u := usageOf(obs, i, list[j].Source); u != nil && !u.Known {
				return true
			}
		}
	}
	return false
}

// usageOf returns what was read of one replica from the source; nil where the source is not read from replicas.
func usageOf(obs *hpa.Observation, replica int, of hpa.Source) *hpa.Usage {
	if of.Type == hpa.FromResource {
		if of.Resource == hpa.Memory {
			return &obs.Replicas[replica].Memory
		}
		return &obs.Replicas[replica].CPU
	}
	for i := range obs.Readings {
		if r := &obs.Readings[i]; r.Source == of && replica < len(r.Replicas) {
			return &r.Replicas[replica]
		}
	}
	return nil
}

// undecided is the record of a pass in which no number could be decided.
func undecided(now time.Time, reason hpa.Reason, message, condition string) hpa.Recommendation {
	return hpa.Recommendation{
		At: now, Reason: reason, Message: message,
		Conditions: []hpa.Condition{{Type: condition, Reason: string(reason), Message: message}},
	}
}

func (s *Scaling) scale(ctx context.Context, d *decided, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, WriteTimeout)
	defer cancel()
	if d.err == nil && d.rec.Change() && d.autoscaler.Mode != DryRun {
		d.err = s.writer.Scale(ctx, d.autoscaler, d.rec)
		if d.err == nil {
			d.scaled, d.history = true, d.history.Applied(d.rec, now)
			s.log.InfoContext(ctx, "scaled", "autoscaler", d.autoscaler.Ref.String(), "target", d.autoscaler.Target.String(),
				"from", d.rec.Current, "to", d.rec.Desired, "reason", string(d.rec.Reason), "message", d.rec.Message)
		}
	}
	s.recorder.Decided(d.autoscaler, d.obs, d.before, d.rec, d.err)
}

func (s *Scaling) report(ctx context.Context, d *decided) {
	ctx, cancel := context.WithTimeout(ctx, WriteTimeout)
	defer cancel()
	if err := s.writer.Report(ctx, d.autoscaler, d.rec, d.history, d.err); err != nil && !errors.Is(err, ErrConflict) && ctx.Err() == nil {
		s.log.WarnContext(ctx, "status not written", "autoscaler", d.autoscaler.Ref.String(), "error", err)
	}
}

// remember keeps the histories of the autoscalers that are still there.
func (s *Scaling) remember(all []decided) {
	next := make(map[cluster.Ref]memory, len(all))
	for i := range all {
		next[all[i].autoscaler.Ref] = memory{history: all[i].history, decided: all[i].at, waiting: all[i].waiting}
	}
	s.memory = next
}

// every calls pass at once, then every period, and early where wake delivers, until ctx is done.
func every(ctx context.Context, period time.Duration, wake <-chan struct{}, pass func(now time.Time)) {
	if period <= 0 {
		period = DefaultPeriod
	}
	tick := time.NewTicker(period)
	defer tick.Stop()
	for ctx.Err() == nil {
		pass(time.Now())
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-wake:
		}
	}
}
