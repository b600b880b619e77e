package detect

import (
	"fmt"
	"strconv"
	"time"

	"github.com/homeostat/homeostat/healing/internal/phrase"
	"github.com/homeostat/homeostat/internal/incident"
)

const (
	// loopRestarts within Horizon make a crash loop also where no back-off shows.
	loopRestarts = 3
	// longestBackOff is the kubelet's cap between a death and the next start.
	longestBackOff = 5 * time.Minute
)

// crashLoop finds a container that exits again and again and whose latest death no other check explains.
func crashLoop(s *subject, deaths []death) (incident.Finding, bool) {
	c := s.container
	waiting := c.CrashLooping()
	if !waiting && !restartsOften(s, deaths) {
		return incident.Finding{}, false
	}
	f := incident.Finding{Active: s.failing(), Confidence: 95}
	if waiting {
		f.For = append(f.For, "it is held in CrashLoopBackOff")
	}
	f.For = append(f.For, restarts(c.Restarts))
	if len(deaths) == 0 || !deaths[len(deaths)-1].newest {
		f.Since = latest(s.replica.CreatedAt, s.replica.StartedAt)
		f.Fingerprint = s.print(c.Name, "#"+strconv.Itoa(int(c.Restarts)))
		f.Confidence = 70
		f.Against = []string{"how it died last is not known"}
		f.Message = s.who() + " exits again and again (" + restarts(c.Restarts) + "); how it died last is not known"
		return f, true
	}
	d := &deaths[len(deaths)-1]
	f.Since, f.Death, f.Deaths, f.Fingerprint = d.FinishedAt, d.Termination, d.number, s.deathPrint(d)
	f.For = append(f.For, exitPhrase(d.Termination))
	f.Message = fmt.Sprintf("%s exits again and again (%s), last with exit code %d: %s", s.who(), restarts(c.Restarts),
		d.ExitCode, ExitMeaning(d.ExitCode, d.Signal))
	if life := between(d.StartedAt, d.FinishedAt); !d.StartedAt.IsZero() && !d.FinishedAt.IsZero() {
		f.Message += "; it lived " + phrase.Span(life)
	}
	return f, true
}

// restartsOften reports whether three restarts within the horizon can be proved from the status: the whole replica is
// younger than that, or the two deaths that the status shows leave the third no other time.
func restartsOften(s *subject, deaths []death) bool {
	if s.container.Restarts < loopRestarts || len(deaths) == 0 {
		return false
	}
	newest := &deaths[len(deaths)-1]
	if !newest.newest || s.Now.Sub(newest.FinishedAt) > Horizon {
		return false
	}
	if born := s.replica.CreatedAt; !born.IsZero() && s.Now.Sub(born) <= Horizon {
		return true
	}
	if len(deaths) < 2 || deaths[0].StartedAt.IsZero() {
		return false
	}
	return s.Now.Sub(deaths[0].StartedAt) <= Horizon-longestBackOff
}

func restarts(n int32) string { return phrase.Count(int64(n), "restart") }
