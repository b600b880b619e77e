package hpa

import (
	"slices"
	"time"
)

// Decider decides like Decide and keeps the memory that it decides in, so that in a steady state a decision allocates
// nothing. The zero value is ready. One Decider serves any number of targets one after the other; it is not safe for
// concurrent use.
type Decider struct {
	policy *Policy
	obs    *Observation
	next   History // as the next decision finds it
	now    time.Time
	lens   lens

	min             int32   // the minimum with the floor
	lowest, highest float64 // the ratios at the edges of the tolerance
	number          int32   // what the steps so far have made of it
	rule            rateRule
	// leading and failed are the metrics that ask for most, and the first that could not be computed; -1: none.
	leading, failed int

	able, active, limited Condition // those without a type are left as they are

	rec        Recommendation
	metrics    []MetricProposal
	notes      []note
	steps      []Step
	conditions []Condition
}

// Decide says how many replicas the target should have, and returns the history for the next decision. It takes any
// input: what Validate refuses gives a recommendation too, but one of no use.
//
// The recommendation lies within Min and Max unless the target has zero replicas that no decision made, which means that
// scaling is switched off, or Pause holds it elsewhere. Nothing is changed by deciding; whoever carries a change out
// calls History.Applied.
func Decide(p Policy, o Observation, h History, now time.Time) (Recommendation, History) {
	var d Decider
	_, next := d.Decide(&p, &o, h.Clone(), now)
	return *d.Explain(), next
}

// Decide is the function Decide without its words: the messages, errors, names and causes of the recommendation are
// empty until Explain. A metric that could not be computed is one with an ErrReason.
//
// The recommendation and all that is in it are valid until the next call; Recommendation.Clone keeps one. The history is given away, as a slice is to
// append: its slices are written to, and the returned history has them; History.Clone keeps one that is wanted later.
// The policy and the observation are read only, and have to stay as they are until after Explain.
func (d *Decider) Decide(p *Policy, o *Observation, h History, now time.Time) (*Recommendation, History) {
	d.begin(p, o, h, now)
	full := false
	switch {
	case o.Current == 0 && !d.wakes():
		d.active = Condition{Type: ScalingActive, Reason: string(ReasonScalingDisabled)}
		d.pass(StepMetrics, ReasonScalingDisabled)
	case o.Current == 0 && d.min > p.Min:
		d.move(StepBounds, d.min, ReasonScheduledMinimum)
	case o.Current > p.Max:
		d.move(StepBounds, p.Max, ReasonTooManyReplicas)
	case o.Current != 0 && o.Current < d.min:
		d.move(StepBounds, d.min, d.minimumReason())
	case d.propositions():
		d.stabilize()
		d.limitRate()
		d.bound()
		d.holdForHealth()
		full = true
	}
	d.pause(full)
	d.finish()
	return &d.rec, d.next
}

func (d *Decider) begin(p *Policy, o *Observation, h History, now time.Time) {
	d.policy, d.obs, d.next, d.now = p, o, h, now
	d.next.open(o.Current, now)
	d.lens.focus(p, now)
	d.min = p.Min
	if o.Floor != nil {
		d.min = max(p.Min, min(o.Floor.Replicas, p.Max))
	}
	d.lowest, d.highest = 1-p.tolerance(down), 1+p.tolerance(up)
	d.number, d.rule, d.leading, d.failed = o.Current, rateRule{}, -1, -1
	d.able = Condition{Type: AbleToScale, Status: true, Reason: CondSucceededGetScale}
	d.active, d.limited = Condition{}, Condition{}
	d.metrics, d.notes = d.metrics[:0], d.notes[:0]
	d.steps, d.conditions = d.steps[:0], d.conditions[:0]
	if d.steps == nil {
		d.steps, d.conditions = make([]Step, 0, 6), make([]Condition, 0, 4)
	}
	d.rec = Recommendation{At: now, Current: o.Current, Proposed: o.Current}
}

// wakes reports whether a target without replicas is to be decided: only where a decision has taken them all away, and
// where there is a minimum by now, or a metric that has a value without replicas.
func (d *Decider) wakes() bool {
	return d.obs.ScaledToZero && (d.min != 0 || d.policy.fromZero())
}

// fromZero reports whether the policy has a metric that can bring a target back from zero.
func (p *Policy) fromZero() bool {
	for i := range p.Metrics {
		if p.Metrics[i].Source.beyondReplicas() {
			return true
		}
	}
	return false
}

// minimumReason is the reason of a number that is raised to the minimum.
func (d *Decider) minimumReason() Reason {
	if d.min > d.policy.Min {
		return ReasonScheduledMinimum
	}
	return ReasonTooFewReplicas
}

// move takes a step that may change the number.
func (d *Decider) move(name StepName, to int32, reason Reason) {
	d.steps = append(d.steps, Step{Name: name, Before: d.number, After: to, Reason: reason})
	d.number = to
}

// pass takes a step that lets the number through.
func (d *Decider) pass(name StepName, reason Reason) { d.move(name, d.number, reason) }

// propositions takes the highest proposal. It reports whether there is one to go on with: not where no metric could be
// computed, and not where one could not and the others would scale down, for that one might have held the number. A
// metric with a fallback has a proposal in any case.
func (d *Decider) propositions() bool {
	if f := d.obs.Selector; f != nil {
		reason := ReasonInvalidSelector
		if f.Reason == FaultAmbiguousSelector {
			reason = ReasonAmbiguousSelector
		}
		d.active = Condition{Type: ScalingActive, Reason: string(reason)}
		d.pass(StepMetrics, reason)
		return false
	}
	highest, computed, failures := d.proposeAll()
	proposed := max(highest, 0)
	switch {
	case d.leading < 0:
		d.inactive()
		d.pass(StepMetrics, ReasonNoMetrics)
		return false
	case failures > 0 && highest < d.number:
		d.inactive()
		d.rec.Proposed = proposed
		d.pass(StepMetrics, ReasonInvalidMetrics)
		return false
	case computed == 0:
		d.inactive()
	default:
		d.active = Condition{Type: ScalingActive, Status: true, Reason: CondValidMetricFound}
	}
	d.rec.Proposed = proposed
	reason := ReasonDesiredWithinRange
	switch leading := &d.metrics[d.leading]; {
	case leading.Fallback != "":
		reason = ReasonFallback
	case leading.WithinTolerance:
		reason = ReasonWithinTolerance
	}
	d.move(StepMetrics, proposed, reason)
	return true
}

// proposeAll computes every metric and returns the highest proposal, how many were computed, and how many failed without
// a fallback.
//
// As in Kubernetes, a proposal takes the lead where it is higher or the lead is 0: behind a 0 even a negative proposal
// does. Both mean zero replicas, but beside a metric that failed a negative one is a scale-down even from zero.
func (d *Decider) proposeAll() (highest int32, computed, failures int) {
	n := len(d.policy.Metrics)
	d.metrics, d.notes = slices.Grow(d.metrics, n)[:n], slices.Grow(d.notes, n)[:n] // propose writes all of each
	for i := range n {
		d.propose(i)
		if d.metrics[i].ErrReason == "" {
			computed++
		} else {
			// The condition tells of the first that nothing stands in for, if there is one.
			standIn := d.fallBack(i)
			if d.failed < 0 || (!standIn && failures == 0) {
				d.failed = i
			}
			if !standIn {
				failures++
				continue
			}
		}
		if raw := d.notes[i].raw; d.leading < 0 || highest == 0 || raw > highest {
			highest, d.leading = raw, i
		}
	}
	d.keepGood()
	return highest, computed, failures
}

// inactive sets the condition of a decision without a metric.
func (d *Decider) inactive() {
	d.active = Condition{Type: ScalingActive, Reason: CondInvalidMetricSourceType}
	if d.failed >= 0 {
		d.active.Reason = d.metrics[d.failed].ErrReason
	}
}

// finish sums the steps up.
func (d *Decider) finish() {
	rec := &d.rec
	rec.Desired = d.number
	for i := range d.steps {
		if s := &d.steps[i]; i == 0 || s.Before != s.After {
			rec.Reason = s.Reason
		}
	}
	if rec.Change() {
		rec.RatePeriod = d.policy.ratePeriod(direction(rec.Desired > rec.Current))
	}
	for _, c := range [...]*Condition{&d.able, &d.active, &d.limited} {
		if c.Type != "" {
			d.conditions = append(d.conditions, *c)
		}
	}
	if rec.Change() {
		d.conditions = append(d.conditions, d.scaledToZero())
	}
	rec.Steps, rec.Conditions = d.steps, d.conditions
	if len(d.metrics) > 0 {
		rec.Metrics = d.metrics
	}
}

// scaledToZero is the condition after a change: whether it took the last replicas away, and a metric can bring them back.
func (d *Decider) scaledToZero() Condition {
	if d.number == 0 && d.policy.fromZero() {
		return Condition{Type: ScaledToZero, Status: true, Reason: CondScaledToZero}
	}
	return Condition{Type: ScaledToZero, Reason: CondNotScaledToZero}
}
