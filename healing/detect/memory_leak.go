package detect

import (
	"fmt"
	"math"

	"github.com/homeostat/homeostat/healing/forecast"
	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// A forecast's fit of 0.9, the least that package forecast accepts, says that it is more likely a leak than not; a perfect
// one is as sure as a line through the past can be.
const (
	leastLeakFit, leastLeakConfidence = 0.9, 70
	mostLeakConfidence                = 95
	openInterval                      = 15 // percent less where the line may as well never reach the limit
)

// memoryLeak finds a container whose resident memory will reach its limit if it goes on as it does. It lasts as long as
// the forecast holds, and is the same occurrence for one life of the container.
func memoryLeak(s *subject) (incident.Finding, bool) {
	c := s.container
	if s.Trend == nil || c.State != cluster.StateRunning || c.Kind == cluster.ContainerInit || c.MemoryLimit <= 0 || c.StartedAt.IsZero() ||
		s.Now.Sub(c.StartedAt) < s.ForecastWarmUp+s.ForecastMinSpan {
		return incident.Finding{}, false
	}
	p := forecast.Policy{WarmUp: s.ForecastWarmUp, MinSpan: s.ForecastMinSpan, MinPercent: s.ForecastMinPercent, Horizon: s.ForecastHorizon}
	oom, _, leaks := forecast.Memory(s.Trend(s.replica.Name, c.Name), c.StartedAt, c.MemoryLimit, p, s.Now)
	if !leaks {
		return incident.Finding{}, false
	}
	f := incident.Finding{
		Since: oom.At.Add(-oom.Span), Active: true, Forecast: &oom, Confidence: leakConfidence(&oom),
		Fingerprint: s.print(c.Name, "MemoryLeak", stamp(c.StartedAt)),
		For: []string{
			fmt.Sprintf("its resident memory has grown by %s an hour for %s", phrase.Bytes(int64(oom.Slope*3600)), phrase.Span(oom.Span)),
			fmt.Sprintf("a line fits it with R² %.2f after what load explains", oom.Fit),
		},
	}
	interval := "not before " + phrase.Span(between(oom.At, oom.Earliest))
	if oom.Latest.IsZero() {
		f.Against = []string{"the interval of the forecast is open: it may as well never get there"}
	} else {
		interval = phrase.Span(between(oom.At, oom.Earliest)) + " to " + phrase.Span(between(oom.At, oom.Latest))
	}
	f.Message = fmt.Sprintf("%s reaches its memory limit in about %s (%s with 90 %% certainty) if it goes on so: %s of %s (%.0f %%), growing without load to explain it",
		s.who(), phrase.Span(between(oom.At, oom.OOMAt)), interval, phrase.Bytes(oom.Memory), phrase.Bytes(oom.Limit),
		100*float64(oom.Memory)/float64(oom.Limit))
	return f, true
}

func leakConfidence(f *incident.Forecast) int32 {
	over := (f.Fit - leastLeakFit) / (1 - leastLeakFit)
	c := leastLeakConfidence + int32(math.Round(min(max(over, 0), 1)*(mostLeakConfidence-leastLeakConfidence)))
	if f.Latest.IsZero() {
		c -= openInterval
	}
	return c
}
