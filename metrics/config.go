package metrics

import (
	"fmt"
	"time"
)

// Config says what a Store keeps and how it reads it. A zero field takes its default.
type Config struct {
	// Span is what a CPU rate shall cover; from 100ms to 1h. Default 15s, the interval at which the kubelet reads cgroups
	// at worst.
	Span time.Duration
	// StaleAfter is the age at which a sample is too old to be used; from Span to 24h. Default 60s, four missed readings.
	StaleAfter time.Duration
	// Keep is how many samples are kept per container, for rates and as evidence; from 2 to 10000. Default 60, which is
	// ten minutes of a kubelet's readings.
	Keep int
	// Forget is how long a container or node is remembered after it was seen last; from StaleAfter to 168h. Default 10m.
	Forget time.Duration
	// TrendStep is how far apart the points of a container's long history are; from 1s to 10m. Default 30s.
	TrendStep time.Duration
	// TrendSpan is how far back that history goes; from TrendStep to 24h, and at most 10000 steps. Default 2h, or TrendStep
	// times 10000 if that is less.
	TrendSpan time.Duration
}

// maxTrendPoints bounds a container's trend.
const maxTrendPoints = 10000

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		Span: 15 * time.Second, StaleAfter: time.Minute, Keep: 60, Forget: 10 * time.Minute,
		TrendStep: 30 * time.Second, TrendSpan: 2 * time.Hour,
	}
}

// withDefaults returns c with its zero fields set.
func (c Config) withDefaults() Config {
	d := DefaultConfig()
	if c.Span == 0 {
		c.Span = d.Span
	}
	if c.StaleAfter == 0 {
		c.StaleAfter = max(d.StaleAfter, c.Span)
	}
	if c.Keep == 0 {
		c.Keep = d.Keep
	}
	if c.Forget == 0 {
		c.Forget = max(d.Forget, c.StaleAfter)
	}
	if c.TrendStep == 0 {
		c.TrendStep = d.TrendStep
	}
	if c.TrendSpan == 0 {
		c.TrendSpan = min(d.TrendSpan, maxTrendPoints*c.TrendStep)
	}
	return c
}

// Validate returns an error that names the first field that is out of its range. Zero fields are checked as their
// defaults.
func (c Config) Validate() error {
	c = c.withDefaults()
	durations := []struct {
		field         string
		value, lo, hi time.Duration
	}{
		{"span", c.Span, 100 * time.Millisecond, time.Hour},
		{"staleAfter", c.StaleAfter, c.Span, 24 * time.Hour},
		{"forget", c.Forget, c.StaleAfter, 7 * 24 * time.Hour},
		{"trendStep", c.TrendStep, time.Second, 10 * time.Minute},
		{"trendSpan", c.TrendSpan, c.TrendStep, min(24*time.Hour, maxTrendPoints*c.TrendStep)},
	}
	for _, d := range durations {
		if d.value < d.lo || d.value > d.hi {
			return fmt.Errorf("metrics: %s is %v, allowed is %v to %v", d.field, d.value, d.lo, d.hi)
		}
	}
	if c.Keep < 2 || c.Keep > 10000 {
		return fmt.Errorf("metrics: keep is %d, allowed is 2 to 10000", c.Keep)
	}
	return nil
}

// trendPoints returns how many points a trend has at most: the span with both its ends.
func (c Config) trendPoints() int { return int(c.TrendSpan/c.TrendStep) + 1 }
