package detect

import (
	"strconv"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/incident"
)

const (
	// rateRestarts within rateSpan are worth a look, though the container comes back each time: the back-off of a crash loop is
	// forgotten after ten minutes, so five of them an hour may never show as one.
	rateRestarts = 3
	rateSpan     = time.Hour
)

// restartRate finds a container that runs and has restarted too often within the hour, and whose latest death has no kind of its
// own. A life that lasts for longer than the rate allows ends it.
func restartRate(s *subject) (incident.Finding, bool) {
	c := s.container
	if c.State != cluster.StateRunning || c.Restarts < rateRestarts || s.explained || c.StartedAt.IsZero() ||
		s.Now.Sub(c.StartedAt) > rateSpan/rateRestarts {
		return incident.Finding{}, false
	}
	n, how := s.restartsWithin(rateSpan)
	if n < rateRestarts {
		return incident.Finding{}, false
	}
	f := incident.Finding{
		Since: c.StartedAt, Active: true, Confidence: 80, Fingerprint: s.print(c.Name, "RestartRate", strconv.Itoa(int(c.Restarts))),
		Message: s.who() + " restarted " + phrase.Count(int64(n), "time") + " within the last hour, and comes back each time",
		For:     []string{how, "it has run for " + phrase.Span(between(c.StartedAt, s.Now)) + " since"},
	}
	if d := s.newest(); d != nil {
		f.Since = latest(s.endOf(d))
		f.For = append(f.For, "last with "+exitPhrase(d.Termination))
	} else {
		f.Confidence = 60
		f.Against = []string{"how it died last is not known"}
	}
	return f, true
}

// restartsWithin returns how many restarts of the container can be proved to lie within the span, and what proves it: the
// replica is younger, or all starts that the platform's event counts are.
func (s *subject) restartsWithin(span time.Duration) (n int32, how string) {
	c, r := s.container, s.replica
	if born := latest(r.CreatedAt, r.StartedAt); !born.IsZero() && s.Now.Sub(born) < span {
		return c.Restarts, restarts(c.Restarts) + " of a replica that is " + phrase.Span(between(born, s.Now)) + " old"
	}
	if len(r.Containers) != 1 {
		return 0, "" // the event does not name the container
	}
	for i := range r.Events {
		ev := &r.Events[i]
		if ev.Reason == "Started" && !ev.First.IsZero() && s.Now.Sub(ev.First) <= span {
			n += max(ev.Count, 1)
		}
	}
	n = min(n, c.Restarts)
	return n, "events count " + phrase.Count(int64(n), "start") + " within the hour"
}
