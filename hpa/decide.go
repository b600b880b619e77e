package hpa

import (
	"fmt"
	"time"
)

// decision is one decision on its way through the steps.
type decision struct {
	policy *Policy
	obs    *Observation
	past   History // as it was found
	next   History // as the next decision finds it
	now    time.Time

	rec    Recommendation
	number int32 // what the steps so far have made of it

	able, active, limited Condition // those without a type are left as they are
}

// Decide says how many replicas the target should have, and returns the history for the next decision. It takes any
// input: what Validate refuses gives a recommendation too, but one of no use.
//
// The recommendation lies within Min and Max unless the target has zero replicas, which means that scaling is switched
// off. Nothing is changed by deciding; whoever carries a change out calls History.Applied.
func Decide(p Policy, o Observation, h History, now time.Time) (Recommendation, History) {
	d := decision{policy: &p, obs: &o, past: h.opened(o.Current, now), now: now, number: o.Current}
	d.next = d.past
	d.rec = Recommendation{At: now, Current: o.Current, Proposed: o.Current}
	d.able = Condition{AbleToScale, true, CondSucceededGetScale, "the target's number of replicas could be read"}
	switch {
	case o.Current == 0:
		d.disabled()
	case o.Current > p.Max:
		d.move(StepBounds, p.Max, ReasonTooManyReplicas, fmt.Sprintf("lowered to %d by maxReplicas", p.Max))
	case o.Current < p.Min:
		d.move(StepBounds, p.Min, ReasonTooFewReplicas, fmt.Sprintf("raised to %d by minReplicas", p.Min))
	case d.metrics():
		d.stabilize()
		d.limitRate()
		d.bound()
		d.holdOnIncident()
	}
	return d.finish(), d.next
}

// move takes a step that may change the number.
func (d *decision) move(name StepName, to int32, reason Reason, message string) {
	d.rec.Steps = append(d.rec.Steps, Step{Name: name, Before: d.number, After: to, Reason: reason, Message: message})
	d.number = to
}

// pass takes a step that lets the number through.
func (d *decision) pass(name StepName, message string) {
	d.move(name, d.number, ReasonDesiredWithinRange, message)
}

func (d *decision) disabled() {
	const message = "the target has 0 replicas, so scaling is switched off"
	d.active = Condition{ScalingActive, false, string(ReasonScalingDisabled), message}
	d.move(StepMetrics, d.number, ReasonScalingDisabled, message)
}

// metrics takes the highest proposal. It reports whether there is one to go on with: not where no metric could be
// computed, and not where one could not and the others would scale down, for that one might have held the number.
func (d *decision) metrics() bool {
	d.rec.Steps = make([]Step, 0, 5)
	d.rec.Metrics = make([]MetricProposal, 0, len(d.policy.Metrics))
	var leading, firstFailed *MetricProposal
	failures := 0
	for _, m := range d.policy.Metrics {
		d.rec.Metrics = append(d.rec.Metrics, d.propose(m))
		p := &d.rec.Metrics[len(d.rec.Metrics)-1]
		switch {
		case p.Err != "":
			failures++
			if firstFailed == nil {
				firstFailed = p
			}
		case leading == nil || p.Replicas > leading.Replicas:
			leading = p
		}
	}
	if leading == nil {
		d.noMetrics(firstFailed)
		return false
	}
	d.rec.Proposed = leading.Replicas
	if failures > 0 && leading.Replicas < d.number {
		d.inactive(firstFailed)
		d.move(StepMetrics, d.number, ReasonInvalidMetrics,
			fmt.Sprintf("%s, but %s: %d stay", leading.Message, firstFailed.Message, d.number))
		return false
	}
	d.active = Condition{ScalingActive, true, CondValidMetricFound, "the number of replicas was computed from " + string(leading.Metric.Source.Resource)}
	reason, message := ReasonDesiredWithinRange, leading.Message
	if leading.WithinTolerance {
		reason = ReasonWithinTolerance
	}
	if firstFailed != nil {
		message += " (" + firstFailed.Message + ")"
	}
	d.move(StepMetrics, leading.Replicas, reason, message)
	return true
}

func (d *decision) noMetrics(first *MetricProposal) {
	if first == nil {
		first = &MetricProposal{ErrReason: CondInvalidMetricSourceType, Err: "the policy has no metric", Message: "the policy has no metric"}
	}
	d.inactive(first)
	d.move(StepMetrics, d.number, ReasonNoMetrics, fmt.Sprintf("%s: %d stay", first.Message, d.number))
}

func (d *decision) inactive(p *MetricProposal) {
	d.active = Condition{ScalingActive, false, p.ErrReason, p.Message}
}

// stabilize applies the windows and records what the metrics proposed.
func (d *decision) stabilize() {
	p := d.policy
	proposal := d.number
	number, reason := p.stabilized(proposal, d.obs.Current, d.past.Recommendations, d.now)
	longest := max(p.window(up), p.window(down))
	d.next = d.past.recorded(proposal, d.now, d.now.Add(-longest))
	if number == proposal {
		d.able = Condition{AbleToScale, true, CondReadyForNewScale, "no recent recommendation holds the number"}
		d.pass(StepStabilization, "no recent recommendation holds it")
		return
	}
	other, window := "higher", p.window(down)
	if reason == ReasonScaleUpStabilized {
		other, window = "lower", p.window(up)
	}
	verb := "held at"
	if number > d.obs.Current && number > proposal {
		verb = "raised to"
	}
	message := fmt.Sprintf("%s %d by a %s recommendation in the last %s", verb, number, other, span(window))
	d.able = Condition{AbleToScale, true, string(reason), message}
	d.move(StepStabilization, number, reason, message)
}

// limitRate applies the rate limits where they are tighter than the bounds.
func (d *decision) limitRate() {
	p, current := d.policy, d.obs.Current
	switch {
	case d.number > current:
		limit, rule := p.rateLimit(up, current, &d.past, d.now)
		if limit = max(limit, current); limit < p.Max && d.number > limit {
			d.move(StepRateLimit, limit, ReasonScaleUpLimit, fmt.Sprintf("limited to %d: %s", limit, rule))
			return
		}
	case d.number < current && p.Behavior != nil:
		limit, rule := p.rateLimit(down, current, &d.past, d.now)
		if limit = min(limit, current); limit > p.Min && d.number < limit {
			d.move(StepRateLimit, limit, ReasonScaleDownLimit, fmt.Sprintf("limited to %d: %s", limit, rule))
			return
		}
	}
	d.pass(StepRateLimit, "no rate limit is reached")
}

// bound applies Min and Max.
func (d *decision) bound() {
	p := d.policy
	switch {
	case d.number > p.Max:
		d.move(StepBounds, p.Max, ReasonTooManyReplicas, fmt.Sprintf("limited to %d by maxReplicas", p.Max))
	case d.number < p.Min:
		d.move(StepBounds, p.Min, ReasonTooFewReplicas, fmt.Sprintf("raised to %d by minReplicas", p.Min))
	default:
		d.pass(StepBounds, "within minReplicas and maxReplicas")
	}
	d.limited = Condition{ScalingLimited, false, string(ReasonDesiredWithinRange), "the number is within all limits"}
	for _, s := range d.rec.Steps {
		if (s.Name == StepRateLimit || s.Name == StepBounds) && s.Before != s.After {
			d.limited = Condition{ScalingLimited, true, string(s.Reason), s.Message}
		}
	}
}

// holdOnIncident keeps the number from going down while there is an incident. Replicas that are already too few for the
// load are not what a workload in trouble needs, and its usage says little about its load.
func (d *decision) holdOnIncident() {
	current := d.obs.Current
	switch {
	case d.obs.Incident == "":
		d.pass(StepHealth, "no open incident")
	case !d.policy.Health.HoldOnIncident:
		d.pass(StepHealth, "incidents do not hold this target")
	case d.number >= current:
		d.pass(StepHealth, "an open incident only holds a scale-down")
	default:
		message := fmt.Sprintf("held at %d by the open incident %s", current, d.obs.Incident)
		d.limited = Condition{ScalingLimited, true, string(ReasonIncidentHold), message}
		d.move(StepHealth, current, ReasonIncidentHold, message)
	}
}

// finish sums the steps up.
func (d *decision) finish() Recommendation {
	rec := &d.rec
	rec.Desired = d.number
	for i := range rec.Steps {
		s := &rec.Steps[i]
		switch {
		case i == 0:
			rec.Reason, rec.Message = s.Reason, s.Message
		case s.Before != s.After:
			rec.Reason, rec.Message = s.Reason, rec.Message+"; "+s.Message
		}
	}
	if rec.Change() {
		rec.RatePeriod = d.policy.ratePeriod(direction(rec.Desired > rec.Current))
	}
	rec.Conditions = make([]Condition, 0, 3)
	for _, c := range []Condition{d.able, d.active, d.limited} {
		if c.Type != "" {
			rec.Conditions = append(rec.Conditions, c)
		}
	}
	return *rec
}
