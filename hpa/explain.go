package hpa

import (
	"fmt"
	"slices"
	"strings"
)

// explainStep says in words what a step did, and what caused it.
func (d *Decider) explainStep(s *Step) (message, cause string) {
	switch s.Name {
	case StepMetrics:
		return d.explainMetrics(s)
	case StepStabilization:
		return d.explainStabilization(s)
	case StepRateLimit:
		return d.explainRateLimit(s)
	case StepBounds:
		return d.explainBounds(s)
	case StepHealth:
		return d.explainHealth(s)
	case StepPause:
		return d.explainPause(s)
	}
	return "", ""
}

func (d *Decider) explainMetrics(s *Step) (message, cause string) {
	stay := fmt.Sprintf(": %d stay", s.After)
	switch {
	case s.Reason == ReasonScalingDisabled:
		return "the target has 0 replicas, so scaling is switched off", "replicas"
	case s.Reason == ReasonInvalidSelector, s.Reason == ReasonAmbiguousSelector:
		return d.obs.Selector.Message + stay, "selector"
	case d.leading < 0 && d.failed < 0:
		return "the policy has no metric" + stay, "metrics"
	case d.leading < 0:
		return d.metrics[d.failed].Message + stay, d.metrics[d.failed].Metric.Source.String()
	}
	leading := &d.metrics[d.leading]
	message, cause = leading.Message, leading.Metric.Source.String()
	if d.failed < 0 || d.failed == d.leading {
		return message, cause
	}
	failed := &d.metrics[d.failed]
	if s.Reason == ReasonInvalidMetrics {
		return message + ", but " + failed.Message + stay, failed.Metric.Source.String()
	}
	return message + " (" + failed.Message + ")", cause
}

func (d *Decider) explainStabilization(s *Step) (message, cause string) {
	if s.Reason == ReasonDesiredWithinRange {
		return "no recent recommendation holds it", ""
	}
	other, way := "higher", down
	if s.Reason == ReasonScaleUpStabilized {
		other, way = "lower", up
	}
	verb := "held at"
	if s.After > d.obs.Current && s.After > s.Before {
		verb = "raised to"
	}
	cause = "downscaleStabilization"
	if b := d.policy.Behavior; b != nil && (way == up || b.rules(way).StabilizationWindow != nil) {
		cause = "behavior." + way.String() + ".stabilizationWindowSeconds"
	}
	return fmt.Sprintf("%s %d by a %s recommendation in the last %s", verb, s.After, other, span(d.policy.window(way))), cause
}

func (d *Decider) explainRateLimit(s *Step) (message, cause string) {
	r := &d.rule
	message, cause = fmt.Sprintf("limited to %d: ", s.After), "behavior."+r.way.String()
	switch r.kind {
	case ruleNone:
		return "no rate limit is reached", ""
	case ruleDouble:
		return message + "at most the double, or 4, at once", "the default limit of scaleUp"
	case ruleDisabled:
		return message + r.way.String() + " is disabled", cause + ".selectPolicy"
	case ruleLimit:
	}
	if cause += ".policies"; !r.given {
		cause = "the default policies of " + r.way.String()
	}
	return message + fmt.Sprintf("%s allows %s in %s", r.way, r.limit.size(), span(r.limit.Period)), cause
}

// size of the limit for people.
func (l *RateLimit) size() string {
	if l.Type == LimitPercent {
		return fmt.Sprintf("%d %%", l.Value)
	}
	return plural(int64(l.Value), "replica")
}

func (d *Decider) explainBounds(s *Step) (message, cause string) {
	verb := "limited"
	if s == &d.steps[0] {
		verb = "lowered"
	}
	if s.Reason == ReasonTooManyReplicas {
		return fmt.Sprintf("%s to %d by maxReplicas", verb, s.After), "maxReplicas"
	}
	if s.Reason == ReasonTooFewReplicas {
		return fmt.Sprintf("raised to %d by minReplicas", s.After), "minReplicas"
	}
	if s.Reason == ReasonScheduledMinimum {
		return fmt.Sprintf("raised to %d by %s", s.After, d.obs.Floor.By), d.obs.Floor.By
	}
	return "within minReplicas and maxReplicas", ""
}

func (d *Decider) explainHealth(s *Step) (message, cause string) {
	o, rules := d.obs, &d.policy.Health
	held := fmt.Sprintf("held at %d ", s.After)
	switch {
	case s.Reason == ReasonRolloutHold:
		return held + "by a rollout that fails: " + o.Rollout.Failing, strings.TrimSpace("rollout " + o.Rollout.Revision)
	case s.Reason == ReasonIncidentHold:
		return held + "by the open incident " + o.Incident, o.Incident
	case s.Reason == ReasonShortageHold:
		return held + "by a shortage: " + o.Shortage.Message, o.Shortage.Reason
	case rules.HoldOnFailingRollout && o.Rollout != nil && o.Rollout.Failing != "":
		return "a rollout that fails only holds a change", ""
	case o.Incident != "" && !rules.HoldOnIncident:
		return "incidents do not hold this target", ""
	case o.Incident != "":
		return "an open incident only holds a scale-down", ""
	case o.Shortage != nil && rules.HoldOnShortage:
		return "a shortage only holds a scale-up", ""
	}
	return "no open incident", ""
}

func (d *Decider) explainPause(s *Step) (message, cause string) {
	if s.Reason == ReasonScaleUpPaused {
		return fmt.Sprintf("held at %d: scaleUp is paused", s.After), "pause.scaleUp"
	}
	if s.Reason == ReasonScaleDownPaused {
		return fmt.Sprintf("held at %d: scaleDown is paused", s.After), "pause.scaleDown"
	}
	return "this direction is not paused", ""
}

func (d *Decider) explainCondition(c *Condition) string {
	switch c.Type {
	case AbleToScale:
		switch c.Reason {
		case CondSucceededGetScale:
			return "the target's number of replicas could be read"
		case CondReadyForNewScale:
			return "no recent recommendation holds the number"
		}
	case ScalingActive:
		switch {
		case c.Status && d.metrics[d.leading].Fallback != "":
			return "a fallback stands in for " + d.metrics[d.leading].Metric.Source.String()
		case c.Status:
			return "the number of replicas was computed from " + d.metrics[d.leading].Metric.Source.String()
		case c.Reason == string(ReasonScalingDisabled):
			return d.steps[0].Message
		case d.obs.Selector != nil:
			return d.obs.Selector.Message
		case d.failed < 0:
			return "the policy has no metric"
		}
		return d.metrics[d.failed].Message
	case ScalingLimited:
		if !c.Status {
			return "the number is within all limits"
		}
	case ScaledToZero:
		if c.Status {
			return "the metrics ask for no replica"
		}
		return "no decision has scaled the target to zero"
	}
	for _, s := range slices.Backward(d.steps) {
		if string(s.Reason) == c.Reason {
			return s.Message
		}
	}
	return ""
}
