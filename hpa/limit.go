package hpa

import (
	"math"
	"time"
)

// direction of a change.
type direction bool

const (
	up   direction = true
	down direction = false
)

func (d direction) String() string {
	if d == up {
		return "scaleUp"
	}
	return "scaleDown"
}

// rules returns what the user gave for the direction, the empty rules where that is nothing. Behavior is not nil.
func (b *Behavior) rules(d direction) Rules {
	r := b.ScaleDown
	if d == up {
		r = b.ScaleUp
	}
	if r == nil {
		return Rules{}
	}
	return *r
}

// tolerance of the direction.
func (p *Policy) tolerance(d direction) float64 {
	if p.Behavior != nil {
		if t := p.Behavior.rules(d).Tolerance; t != nil {
			return *t
		}
	}
	return p.Tolerance
}

// window is the stabilization window of the direction.
func (p *Policy) window(d direction) time.Duration {
	if p.Behavior == nil {
		if d == up {
			return 0
		}
		return p.DownscaleStabilization
	}
	if w := p.Behavior.rules(d).StabilizationWindow; w != nil {
		return *w
	}
	if d == up {
		return 0
	}
	return p.DownscaleStabilization.Truncate(time.Second) // the field that it stands for has whole seconds
}

// limits are the rate limits of the direction, with the defaults of autoscaling/v2 where none were given; those are
// put into the room.
func (r *Rules) limits(d direction, room *[2]RateLimit) []RateLimit {
	if len(r.Limits) > 0 {
		return r.Limits
	}
	room[0] = RateLimit{Type: LimitPercent, Value: 100, Period: 15 * time.Second}
	if d == down {
		return room[:1]
	}
	room[1] = room[0]
	room[0] = RateLimit{Type: LimitReplicas, Value: 4, Period: 15 * time.Second}
	return room[:]
}

// ratePeriod is the longest period of the direction's rate limits, 0 without Behavior.
func (p *Policy) ratePeriod(d direction) time.Duration {
	if p.Behavior == nil {
		return 0
	}
	var longest time.Duration
	r := p.Behavior.rules(d)
	var room [2]RateLimit
	limits := r.limits(d, &room)
	for i := range limits {
		longest = max(longest, limits[i].Period)
	}
	return longest
}

// stabilized applies the recommendations of the past to a proposal. It returns the reason where they change it.
func (p *Policy) stabilized(proposal, current int32, past []Recommended, now time.Time) (int32, Reason) {
	if p.Behavior == nil {
		cutoff, highest := now.Add(-p.window(down)), proposal
		for i := range past {
			if !past[i].At.Before(cutoff) {
				highest = max(highest, past[i].Replicas)
			}
		}
		return highest, ReasonScaleDownStable
	}
	upCutoff, downCutoff := now.Add(-p.window(up)), now.Add(-p.window(down))
	lowest, highest := proposal, proposal
	for i := range past {
		if past[i].At.After(upCutoff) {
			lowest = min(lowest, past[i].Replicas)
		}
		if past[i].At.After(downCutoff) {
			highest = max(highest, past[i].Replicas)
		}
	}
	reason := ReasonScaleDownStable
	if proposal >= current {
		reason = ReasonScaleUpStabilized
	}
	return min(max(current, lowest), highest), reason
}

// rateRule is the rule that a rate limit came from.
type rateRule struct {
	kind  ruleKind
	way   direction
	given bool // by the user: else it is a default
	limit RateLimit
}

type ruleKind uint8

const (
	ruleNone     ruleKind = iota
	ruleDouble            // more than the double at once: without Behavior
	ruleDisabled          // no change in this direction
	ruleLimit             // a RateLimit
)

// rateLimit is the number that a change in the direction may reach now, with the rule that says so. It may lie on the
// other side of the current number where changes before have used the rate up.
func (p *Policy) rateLimit(d direction, current int32, h *History, now time.Time) (limit int32, rule rateRule) {
	if p.Behavior == nil {
		// More than the double at once is more often a broken sample than load.
		return max(clamp32(2*int64(current)), 4), rateRule{kind: ruleDouble, way: d}
	}
	r := p.Behavior.rules(d)
	if r.Select == SelectDisabled {
		return current, rateRule{kind: ruleDisabled, way: d, given: true}
	}
	// The greatest change allowed is the highest number on the way up and the lowest on the way down.
	highest := (d == up) == (r.Select != SelectMin)
	rule = rateRule{way: d, given: len(r.Limits) > 0}
	var room [2]RateLimit
	limits := r.limits(d, &room)
	for i := range limits {
		l := &limits[i]
		start := clamp32(int64(current) - changed(h.Ups, l.Period, now) + changed(h.Downs, l.Period, now))
		n := l.reach(d, start)
		if rule.kind == ruleNone || (highest && n > limit) || (!highest && n < limit) {
			limit, rule.kind, rule.limit = n, ruleLimit, *l
		}
	}
	return limit, rule
}

// reach is the number that the limit allows within a period that started with the given one. Percentages are rounded
// so that they allow more: up and away from the start.
func (l *RateLimit) reach(d direction, start int32) int32 {
	switch {
	case l.Type == LimitPercent && d == up:
		return ceil32(float64(start) * (1 + float64(l.Value)/100))
	case l.Type == LimitPercent:
		return ceil32(math.Trunc(float64(start) * (1 - float64(l.Value)/100)))
	case d == up:
		return clamp32(int64(start) + int64(l.Value))
	}
	return clamp32(int64(start) - int64(l.Value))
}
