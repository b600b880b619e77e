package hpa

// stabilize applies the windows and records what the metrics proposed.
func (d *Decider) stabilize() {
	p, proposal := d.policy, d.number
	number, reason := p.stabilized(proposal, d.obs.Current, d.next.Recommendations, d.now)
	longest := max(p.window(up), p.window(down))
	d.next.record(proposal, d.now, d.now.Add(-longest))
	d.able = Condition{Type: AbleToScale, Status: true, Reason: CondReadyForNewScale}
	if number == proposal {
		d.pass(StepStabilization, ReasonDesiredWithinRange)
		return
	}
	d.able.Reason = string(reason)
	d.move(StepStabilization, number, reason)
}

// limitRate applies the rate limits where they are tighter than the bounds.
func (d *Decider) limitRate() {
	p, current := d.policy, d.obs.Current
	d.limited = Condition{Type: ScalingLimited, Reason: string(ReasonDesiredWithinRange)}
	switch {
	case d.number > current:
		limit, rule := p.rateLimit(up, current, &d.next, d.now)
		if limit = max(limit, current); limit < p.Max && d.number > limit {
			d.rule = rule
			d.limit(StepRateLimit, limit, ReasonScaleUpLimit)
			return
		}
	case d.number < current && p.Behavior != nil:
		limit, rule := p.rateLimit(down, current, &d.next, d.now)
		if limit = min(limit, current); limit > d.min && d.number < limit {
			d.rule = rule
			d.limit(StepRateLimit, limit, ReasonScaleDownLimit)
			return
		}
	}
	d.pass(StepRateLimit, ReasonDesiredWithinRange)
}

// limit takes a step that the condition ScalingLimited tells of.
func (d *Decider) limit(name StepName, to int32, reason Reason) {
	d.limited = Condition{Type: ScalingLimited, Status: true, Reason: string(reason)}
	d.move(name, to, reason)
}

// bound applies Min and Max. On the way up from zero the minimum may be above what a rate limit allows, or nothing may
// have looked at it yet: then Kubernetes raises the number without a word of it in the condition.
func (d *Decider) bound() {
	p := d.policy
	switch {
	case d.number > p.Max:
		d.limit(StepBounds, p.Max, ReasonTooManyReplicas)
	case d.number < d.min && d.obs.Current == 0 && (p.Behavior != nil || d.rule.kind != ruleNone):
		d.move(StepBounds, d.min, d.minimumReason())
	case d.number < d.min:
		d.limit(StepBounds, d.min, d.minimumReason())
	default:
		d.pass(StepBounds, ReasonDesiredWithinRange)
	}
}

// holdForHealth keeps the number where it is while the workload is in trouble: its usage says little about its load
// then. A workload without replicas has nothing to keep.
func (d *Decider) holdForHealth() {
	o, rules, current := d.obs, &d.policy.Health, d.obs.Current
	switch {
	case current == 0 || d.number == current:
		d.pass(StepHealth, ReasonDesiredWithinRange)
	case rules.HoldOnFailingRollout && o.Rollout != nil && o.Rollout.Failing != "":
		d.limit(StepHealth, current, ReasonRolloutHold)
	case rules.HoldOnIncident && o.Incident != "" && d.number < current:
		d.limit(StepHealth, current, ReasonIncidentHold)
	case rules.HoldOnShortage && o.Shortage != nil && d.number > current:
		d.limit(StepHealth, current, ReasonShortageHold)
	default:
		d.pass(StepHealth, ReasonDesiredWithinRange)
	}
}

// pause holds a paused direction against everything else. A decision that ended early has the step only where it holds.
func (d *Decider) pause(full bool) {
	p, current := &d.policy.Pause, d.obs.Current
	switch {
	case p.ScaleUp && d.number > current:
		d.limit(StepPause, current, ReasonScaleUpPaused)
	case p.ScaleDown && d.number < current:
		d.limit(StepPause, current, ReasonScaleDownPaused)
	case full:
		d.pass(StepPause, ReasonDesiredWithinRange)
	}
}
