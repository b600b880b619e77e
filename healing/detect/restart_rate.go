package detect

import (
	"fmt"
	"math"
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
	// rateHeld is the longest wait between a death and the next start that is no crash loop yet: kubelets wait for 10 s and 20 s at
	// first, and CrashLoop tells of the containers that are held back for longer.
	rateHeld = 30 * time.Second
	// A life that has outlasted the one before it rateOutlived times, and longestBackOff, ends the rate: what came in a burst is
	// over. Of lives that end by chance one in six does so.
	rateOutlived = 5
	// mostCounted restarts and leastCounted time of them go into the outlook: more would say the same.
	mostCounted  = 20
	leastCounted = time.Minute
	// mostSure is the highest confidence, for what has gone on so may end at any time, and unknownDeath what is taken from it
	// where it is not known how the container died.
	mostSure, unknownDeath = 95, 20
)

// restartRate finds a container that runs and will restart again within the hour if it goes on as it does: it has restarted three
// times at least, at a rate of three an hour of late, its latest death has no kind of its own, and no back-off held it.
func restartRate(s *subject) (incident.Finding, bool) {
	c := s.container
	if c.State != cluster.StateRunning || c.Restarts < rateRestarts || s.explained || c.StartedAt.IsZero() {
		return incident.Finding{}, false
	}
	n, span, how := s.lateRestarts()
	if n <= 0 || span*rateRestarts > time.Duration(n)*rateSpan || !s.cameBack() {
		return incident.Finding{}, false
	}
	next := nextHour(n, span)
	f := incident.Finding{
		Since: c.StartedAt, Active: true, Confidence: min(int32(math.Round(100*next.again)), mostSure),
		Fingerprint: s.print(c.Name, "RestartRate", strconv.Itoa(int(c.Restarts))),
		Message: fmt.Sprintf("%s restarted %s within the last %s and comes back each time; if it goes on so, it restarts again within the hour (%.0f %%), %d to %d times with 90 %% certainty",
			s.who(), phrase.Count(int64(n), "time"), phrase.Span(span), math.Min(100*next.again, 99), next.least, next.most),
		For: []string{how, "it has run for " + phrase.Span(between(c.StartedAt, s.Now)) + " since"},
	}
	if d := s.newest(); d != nil {
		f.Since = latest(s.endOf(d))
		f.For = append(f.For, "last with "+exitPhrase(d.Termination))
	}
	if c.Last == nil || c.Last.Reason == cluster.ReasonStatusUnknown {
		f.Confidence -= unknownDeath
		f.Against = []string{"how it died last is not known"}
	}
	return f, true
}

// lateRestarts returns the newest restarts of the container whose times are known, the span from before the first of them until
// now, and how that is known; 0 where it is not, or where a back-off held the newest one. A status has the beginning of this
// life and of the one before it, which is two restarts; without the latter the replica's age bounds them all. The events say no
// more: an event has the count and the first and last time of all starts of a replica, and none of those between them.
func (s *subject) lateRestarts() (n int32, span time.Duration, how string) {
	c, last := s.container, s.container.Last
	if last != nil && lived(last) {
		if between(last.FinishedAt, c.StartedAt) > rateHeld {
			return 0, 0, ""
		}
		span = between(last.StartedAt, s.Now)
		return 2, span, restarts(c.Restarts) + " in all, the last two within " + phrase.Span(span)
	}
	born := latest(s.replica.CreatedAt, s.replica.StartedAt)
	if born.IsZero() || s.Now.Sub(born) >= rateSpan {
		return 0, 0, ""
	}
	span = between(born, s.Now)
	return c.Restarts, span, restarts(c.Restarts) + " of a replica that is " + phrase.Span(span) + " old"
}

// cameBack reports whether the present life is too long for a crash loop that nobody has seen yet, and not so much longer than the
// one before it that the rate is over. Where that one is not known, it is over with a life that is longer than the rate allows.
func (s *subject) cameBack() bool {
	life, last := between(s.container.StartedAt, s.Now), s.container.Last
	if life < quickDeath {
		return false
	}
	if last != nil {
		if before, known := lifeOf(last); known {
			return life <= max(longestBackOff, rateOutlived*before)
		}
	}
	return life <= rateSpan/rateRestarts
}

// outlook is what a rate says of the hour that follows: how likely one restart or more is, and the 90 % interval of their number.
type outlook struct {
	again       float64
	least, most int
}

// nextHour is the posterior predictive of a Poisson process that has had n events within the span: with the prior 1/rate the rate
// is Gamma(n, span), whether the span or the number ended the counting, and the number of events within the next hour is negative
// binomial, with the probability span/(span+1 h) (Gelman and others, Bayesian Data Analysis, third edition, section 2.6).
func nextHour(n int32, span time.Duration) outlook {
	k := float64(n)
	hours := max(span, leastCounted).Hours()
	if k > mostCounted {
		hours, k = hours*mostCounted/k, mostCounted
	}
	hours = max(hours, leastCounted.Hours())
	stay := hours / (hours + rateSpan.Hours())
	p := math.Pow(stay, k) // of no event
	out := outlook{again: 1 - p, least: -1}
	for sum := p; ; sum += p {
		if out.least < 0 && sum > 0.05 {
			out.least = out.most
		}
		if sum >= 0.95 {
			return out
		}
		p *= (float64(out.most) + k) / float64(out.most+1) * (1 - stay)
		out.most++
	}
}
