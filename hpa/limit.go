package hpa

import (
	"fmt"
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

// limits are the rate limits of the direction, with the defaults of autoscaling/v2 where none were given.
func (r *Rules) limits(d direction) []RateLimit {
	switch {
	case len(r.Limits) > 0:
		return r.Limits
	case d == up:
		return []RateLimit{
			{Type: LimitReplicas, Value: 4, Period: 15 * time.Second},
			{Type: LimitPercent, Value: 100, Period: 15 * time.Second},
		}
	}
	return []RateLimit{{Type: LimitPercent, Value: 100, Period: 15 * time.Second}}
}

// ratePeriod is the longest period of the direction's rate limits, 0 without Behavior.
func (p *Policy) ratePeriod(d direction) time.Duration {
	if p.Behavior == nil {
		return 0
	}
	var longest time.Duration
	r := p.Behavior.rules(d)
	for _, l := range r.limits(d) {
		longest = max(longest, l.Period)
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

// rateLimit is the number that a change in the direction may reach now, with the rule that says so. It may lie on the
// other side of the current number where changes before have used the rate up.
func (p *Policy) rateLimit(d direction, current int32, h *History, now time.Time) (limit int32, rule string) {
	if p.Behavior == nil {
		// More than the double at once is more often a broken sample than load.
		return max(clamp32(2*int64(current)), 4), "at most the double, or 4, at once"
	}
	r := p.Behavior.rules(d)
	if r.Select == SelectDisabled {
		return current, d.String() + " is disabled"
	}
	// The greatest change allowed is the highest number on the way up and the lowest on the way down.
	highest := (d == up) == (r.Select != SelectMin)
	var binding *RateLimit
	limits := r.limits(d)
	for i := range limits {
		l := &limits[i]
		start := clamp32(int64(current) - changed(h.Ups, l.Period, now) + changed(h.Downs, l.Period, now))
		n := l.reach(d, start)
		if binding == nil || (highest && n > limit) || (!highest && n < limit) {
			limit, binding = n, l
		}
	}
	return limit, fmt.Sprintf("%s allows %s in %s", d, binding.size(), span(binding.Period))
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

// size of the limit for people.
func (l *RateLimit) size() string {
	if l.Type == LimitPercent {
		return fmt.Sprintf("%d %%", l.Value)
	}
	return plural(int64(l.Value), "replica")
}
