package detect

import (
	"fmt"
	"strconv"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

// throttledPercent of the CPU periods is the threshold of the alert CPUThrottlingHigh of kubernetes-mixin.
const throttledPercent = 25

// cpuThrottled finds a container that serves and that its CPU limit holds back for much of the time.
func cpuThrottled(s *subject) (incident.Finding, bool) {
	c := s.container
	if !c.ThrottledKnown || !(c.ThrottledPercent >= throttledPercent) || c.State != cluster.StateRunning || !c.Ready || !s.replica.Ready {
		return incident.Finding{}, false
	}
	held := strconv.FormatFloat(min(c.ThrottledPercent, 100), 'f', 0, 64) + " % of its CPU periods"
	f := incident.Finding{
		Active: true, Confidence: 85, Fingerprint: s.print(c.Name, "CPUThrottled", stamp(c.StartedAt)),
		Message: s.who() + " is held back in " + held,
		For:     []string{"it was throttled in " + held + " of the last minutes"},
	}
	if c.CPULimitMilli > 0 {
		f.Confidence = 95
		limit := fmt.Sprintf("its CPU limit of %d m", c.CPULimitMilli)
		f.Message = s.who() + " is held back by " + limit + " in " + held
		f.For = append(f.For, limit)
	} else {
		f.Against = []string{"it has no CPU limit of its own"}
	}
	return f, true
}
