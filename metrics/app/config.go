package app

import (
	"fmt"
	"time"
)

// Config says how to scrape. A zero field takes its default.
type Config struct {
	// Period between two scrapes of a pod, give or take a tenth; from 1s to 1m. Default 1s.
	Period time.Duration
	// Timeout of one scrape; more than 0, less than Period. Default nine tenths of Period, at most 10s.
	Timeout time.Duration
	// Span is the shortest interval that a CPU rate covers, and Longest the longest (see the package's comment); Span from
	// 1s to Longest, Longest to 10m. Default 3s and 15s, or three and six periods if those are longer.
	Span, Longest time.Duration
	// RateSpan is the interval that the rate of any other counter covers; from Period to 1h. Default 10s, or three periods
	// if that is longer.
	RateSpan time.Duration
	// StaleAfter is the age at which a page is too old to be used; from Period to 1h. Default 10s, or three periods if that
	// is longer.
	StaleAfter time.Duration
	// Idle is how long a pod is scraped, and a metric kept, after it was asked for last; from Period to 24h. Default 2m, or
	// four periods if that is longer.
	Idle time.Duration
	// Concurrent is how many scrapes run at once; from 1 to 4096. Default 64. Slow ones have as many places again.
	Concurrent int
	// MaxBodyBytes is the largest page that is read; from 1 KiB to 64 MiB. Default 4 MiB.
	MaxBodyBytes int64
}

// The least of some defaults, in periods.
const (
	spanPeriods    = 3
	longestPeriods = 6
	idlePeriods    = 4
)

func (c Config) withDefaults() Config {
	if c.Period == 0 {
		c.Period = time.Second
	}
	if c.Timeout == 0 {
		c.Timeout = min(c.Period*9/10, 10*time.Second)
	}
	if c.Span == 0 {
		c.Span = max(3*time.Second, spanPeriods*c.Period)
	}
	if c.Longest == 0 {
		c.Longest = max(15*time.Second, longestPeriods*c.Period, c.Span)
	}
	if c.RateSpan == 0 {
		c.RateSpan = max(10*time.Second, spanPeriods*c.Period)
	}
	if c.StaleAfter == 0 {
		c.StaleAfter = max(10*time.Second, spanPeriods*c.Period)
	}
	if c.Idle == 0 {
		c.Idle = max(2*time.Minute, idlePeriods*c.Period)
	}
	if c.Concurrent == 0 {
		c.Concurrent = 64
	}
	if c.MaxBodyBytes == 0 {
		c.MaxBodyBytes = 4 << 20
	}
	return c
}

// Validate returns an error that names the first field that is not allowed, its value and what is allowed. Zero fields
// are checked as their defaults.
func (c Config) Validate() error {
	c = c.withDefaults()
	durations := []struct {
		field         string
		value, lo, hi time.Duration
	}{
		{"period", c.Period, time.Second, time.Minute},
		{"timeout", c.Timeout, 1, c.Period - 1},
		{"longest", c.Longest, time.Second, 10 * time.Minute},
		{"span", c.Span, time.Second, c.Longest},
		{"rateSpan", c.RateSpan, c.Period, time.Hour},
		{"staleAfter", c.StaleAfter, c.Period, time.Hour},
		{"idle", c.Idle, c.Period, 24 * time.Hour},
	}
	for _, d := range durations {
		if d.value < d.lo || d.value > d.hi {
			return fmt.Errorf("app: %s is %v, allowed is %v to %v", d.field, d.value, d.lo, d.hi)
		}
	}
	if c.Concurrent < 1 || c.Concurrent > 4096 {
		return fmt.Errorf("app: concurrent is %d, allowed is 1 to 4096", c.Concurrent)
	}
	if c.MaxBodyBytes < 1<<10 || c.MaxBodyBytes > 64<<20 {
		return fmt.Errorf("app: maxBodyBytes is %d, allowed is %d to %d", c.MaxBodyBytes, 1<<10, 64<<20)
	}
	return nil
}
